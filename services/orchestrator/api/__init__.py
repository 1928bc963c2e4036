"""The orchestrator's HTTP surface: episodes, their events, the catalogue."""

from services.orchestrator.api.app import create

__all__ = ["create"]
