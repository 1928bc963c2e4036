"""`espalier serve PART`: one part as a process."""

import os

PORTS = {
    "orchestrator": 8000,
    "planner": 8001,
    "judge": 8002,
    "actor": 8003,
    "worker": 8010,
    "engine": 8100,
    "scripted-model": 8100,
    "alfworld": 8201,
    "webshop": 8202,
    "mind2web": 8203,
    "os_interaction": 8204,
    "dbbench": 8205,
    "openenv": 8210,
}
"""The port of each part on one machine."""

FACTORIES = {
    "orchestrator": "services.orchestrator.api:create",
    "planner": "services.planner.api:create",
    "judge": "services.judge.api:create",
    "actor": "services.actor.api:create",
    "scripted-model": "services.scripted.api:create",
    "worker": "services.orchestrator.worker_api:create",
    "alfworld": "envs.alfworld.server:create",
    "webshop": "envs.webshop.server:create",
    "mind2web": "envs.mind2web.server:create",
    "os_interaction": "envs.os_interaction.server:create",
    "dbbench": "envs.dbbench.server:create",
    "openenv": "envs.openenv.server:create",
}


def serve(part: str, host: str, port: int | None) -> None:
    """Serve a part until it is told to stop."""
    import uvicorn

    from services.kit.server import server_options
    from services.kit.settings import Settings

    os.environ["ESPALIER_HOST"] = host  # what the part's settings check: no keys, no listening off loopback
    uvicorn.run(
        FACTORIES[part],
        factory=True,
        host=host,
        port=PORTS[part] if port is None else port,
        **server_options(Settings()),
    )
