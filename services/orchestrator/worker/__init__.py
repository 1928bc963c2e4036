"""Workers: they take branches that are ready and run them."""

from services.orchestrator.worker.app import create

__all__ = ["create"]
