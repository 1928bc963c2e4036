"""The parts of the stack as processes: command, environment, port, check of readiness."""

import json
import sys
from dataclasses import dataclass, field, replace

from espalier.stack.adapters import ServedModel
from espalier.stack.embedded import engine_command, engine_environment, state_command, state_password
from espalier.stack.settings import StackSettings
from services.roles.registry import ROLES

HINT = """
  The embedded engine needs about 3 GiB of memory besides its cache: lower ESPALIER_ENGINE_KV_GIB, or name an
  engine of your own with ESPALIER_MODEL_URL."""


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
    cored: bool = False
    """Whether the work is done by processes below its own, without which it cannot come up."""
    preferred: bool = False
    """Whether it gets its cores before ordinary processes, where this user may grant that."""
    hint: str = ""
    """What a person may do where it does not come up: the end of the message."""
    optional: bool = False
    """Whether the stack is up without it; why it is not ready is reported."""


def plan_parts(settings: StackSettings, model: ServedModel | None) -> list[Part]:
    """What is to be started, in order.

    Args:
        settings: What is there already is not started.
        model: The embedded model; None where an engine is named.
    """
    parts: list[Part] = []
    patience = settings.part_ready
    shared = {"ESPALIER_HOST": settings.host}
    for role in ROLES:
        shared[f"ESPALIER_{role.upper()}_URL"] = settings.url(role)
    others = {name: settings.port("openenv") + place for place, name in enumerate(settings.openenv)}
    urls = {name: settings.url(name) for name in settings.start_environments}
    urls |= {name: f"http://127.0.0.1:{port}" for name, port in others.items()}
    shared["ESPALIER_ENVIRONMENTS"] = json.dumps(urls)
    after = ""
    if not settings.redis_url.get_secret_value():
        after = "state"
        port = settings.port("state")
        shared["ESPALIER_REDIS_URL"] = f"redis://:{state_password(settings)}@127.0.0.1:{port}/0"
        parts.append(Part("state", state_command(settings), port, "", patience))
    roles_patience = patience
    if model is not None:
        roles_patience += settings.engine_ready * settings.engine_replicas
        engines = engine_parts(settings, model)
        shared["ESPALIER_MODEL_URL"] = f"http://127.0.0.1:{model_port(settings)}"
        shared["ESPALIER_ENGINES"] = ",".join(
            f"http://127.0.0.1:{engine_part(settings, model, number).port}" for number in (0, 1)
        )
        shared |= model.environment()
        shared["ESPALIER_ADAPTER_CARDS"] = str(settings.cards)
        parts += engines
    for role in ROLES:
        parts.append(_service(role, settings.port(role), shared, roles_patience))
    for name in settings.start_environments:
        parts.append(replace(_service(name, settings.port(name), shared, patience * 2), optional=True))
    for name, port in others.items():
        named = {"ESPALIER_OPENENV_NAME": name, "ESPALIER_OPENENV_URL": settings.openenv[name]}
        made = _service("openenv", port, shared | named, patience)
        parts.append(replace(made, name=name, optional=True))
    parts.append(_service("orchestrator", settings.port("orchestrator"), shared, roles_patience, after=after))
    for number in range(settings.workers):
        port = settings.port("worker") + number
        parts.append(_service("worker", port, shared, patience, number=number, after=after))
    return parts


def model_port(settings: StackSettings) -> int:
    """Return where the roles find the embedded model: at the router where there are several engines."""
    return settings.port("router") + 1 if settings.engine_replicas > 1 else settings.port("engine")


def engine_parts(settings: StackSettings, model: ServedModel) -> list[Part]:
    """Return the embedded engines and, where there are several, the router before them.

    They start one after another: the later ones load what the first has compiled.
    """
    engines = [engine_part(settings, model, number) for number in range(settings.engine_replicas)]
    if len(engines) == 1:
        return engines
    engines = [
        replace(engine, after=engines[number - 1].name if number else "")
        for number, engine in enumerate(engines)
    ]
    port = settings.port("router")
    environment = {
        "ESPALIER_ROUTER_ENGINES": ",".join(f"http://127.0.0.1:{engine.port}" for engine in engines),
        "ESPALIER_ROUTER_PORT": str(model_port(settings)),
        "ESPALIER_ROUTER_METRICS_PORT": str(port + 2),
        "ESPALIER_HOST": "127.0.0.1",
    }
    return [*engines, _service("router", port, environment, settings.part_ready, after=engines[-1].name)]


def engine_part(settings: StackSettings, model: ServedModel, number: int = 0) -> Part:
    """The embedded engine; number 1 is a second one, beside the first."""
    port = settings.port("engine") + number
    command, environment = engine_command(settings, model.folder, port), engine_environment(settings, number)
    return Part(
        _numbered("engine", number),
        command,
        port,
        "/health",
        settings.engine_ready,
        environment,
        cored=True,
        preferred=True,
        hint=HINT,
    )


def _service(
    part: str, port: int, shared: dict[str, str], patience: float, *, number: int = 0, after: str = ""
) -> Part:
    command = [sys.executable, "-m", "espalier", "serve", part, "--port", str(port)]
    return Part(_numbered(part, number), command, port, "/readyz", patience, shared, after)


def _numbered(part: str, number: int) -> str:
    return part if number == 0 else f"{part}-{number + 1}"
