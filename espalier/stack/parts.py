"""The parts of the stack as processes: command, environment, port, how to tell that it is ready."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from espalier.serve import PORTS
from espalier.stack.embedded import engine_command, engine_environment, state_command
from espalier.stack.settings import StackSettings


@dataclass(frozen=True)
class Part:
    """One process of the stack."""

    name: str
    command: list[str]
    port: int
    ready: str
    """A path that answers 200 when the part can work; empty: an open port is enough."""
    patience: float
    """How long it may take to be ready, seconds."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    after: str = ""
    """The part that must be ready before this one starts; empty: none."""


def plan_parts(settings: StackSettings, model: Path | None) -> list[Part]:
    """What is to be started, in order.

    Args:
        settings: What is there already is not started.
        model: The embedded model's folder; None where an engine is named.
    """
    parts: list[Part] = []
    redis = settings.redis_url.get_secret_value()
    if not redis:
        redis = f"redis://127.0.0.1:{settings.state_port}/0"
        parts.append(Part("state", state_command(settings), settings.state_port, "", settings.part_ready))
    if model is not None:
        parts.append(
            Part(
                "engine",
                engine_command(settings, model),
                settings.engine_port,
                "/health",
                settings.engine_ready,
                engine_environment(settings),
            )
        )
    shared = {"ESPALIER_REDIS_URL": redis, "ESPALIER_HOST": settings.host}
    if model is not None:
        shared["ESPALIER_MODEL_URL"] = f"http://127.0.0.1:{settings.engine_port}"
    patience = settings.part_ready
    roles_patience = settings.engine_ready + patience if model is not None else patience
    for name in ("planner", "judge", "actor"):
        parts.append(_service(name, shared, "/readyz", roles_patience))
    parts.append(_service("alfworld", shared, "/readyz", patience * 2))
    after = "state" if not settings.redis_url.get_secret_value() else ""
    parts.append(_service("orchestrator", shared, "/readyz", roles_patience, after=after))
    for number in range(settings.workers):
        parts.append(_service("worker", shared, "/readyz", patience, number=number, after=after))
    return parts


def _service(
    part: str, shared: dict[str, str], ready: str, patience: float, *, number: int = 0, after: str = ""
) -> Part:
    port = PORTS[part] + number
    command = [sys.executable, "-m", "espalier", "serve", part, "--port", str(port)]
    name = part if number == 0 else f"{part}-{number + 1}"
    return Part(name, command, port, ready, patience, shared, after)
