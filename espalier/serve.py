"""`espalier serve PART`: one part as a process."""

import os
import signal
import sys
from types import MappingProxyType

from envs.registry import load_environments
from services.roles.registry import ROLES

PORTS = MappingProxyType(
    {
        "orchestrator": 8000,
        **{role.name: role.port for role in ROLES.values()},
        "worker": 8010,
        "engine": 8100,
        "scripted-model": 8100,
        "router": 8150,
        **{entry.name: entry.port for entry in load_environments().values()},
    }
)
"""The port of each part on one machine."""

FACTORIES = MappingProxyType(
    {
        "orchestrator": "services.orchestrator.api:create",
        **{role.name: role.factory for role in ROLES.values()},
        "scripted-model": "services.scripted.api:create",
        "router": "services.router.api:create",
        "worker": "services.orchestrator.worker:create",
        **{entry.name: entry.factory for entry in load_environments().values()},
    }
)
"""Where the app of each part is made."""


def serve(part: str, host: str, port: int | None) -> None:
    """Serve a part until it is stopped; after SIGTERM the process ends with 0 as soon as it has shut down."""
    import uvicorn

    from services.kit.server import server_options
    from services.kit.settings import Settings

    os.environ["ESPALIER_HOST"] = host  # what the part's settings check: no keys, no listening off loopback
    # uvicorn ends by raising the signal that stopped it again; unhandled, it would be the process's failure.
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        uvicorn.run(
            FACTORIES[part],
            factory=True,
            host=host,
            port=PORTS[part] if port is None else port,
            **server_options(Settings()),
        )
    finally:
        signal.signal(signal.SIGTERM, before)
