"""The router before several engines: requests of one episode meet the engine that holds their prefix.

`vllm-router` hashes `X-Session-ID`, which every role sends, to an engine. It leaves out engines that do not
answer, and takes them back when they do.
"""

import importlib.util
import sys

from espalier.stack.embedded import SetupError

PACKAGE = "vllm_router"
POLICY = "consistent_hash"


def router_command(
    engines: list[str], *, host: str, port: int, metrics_port: int, patience: float
) -> list[str]:
    """Return the router's command line.

    Args:
        engines: The engines' addresses.
        host: Where it listens.
        port: Where it takes requests.
        metrics_port: Where Prometheus finds its figures.
        patience: How long it waits at its start for all engines to be healthy, seconds.

    Raises:
        SetupError: The package is not installed.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise SetupError("Several engines need vllm-router, which is not installed: run `make setup`.")
    options = {
        "host": host,
        "port": port,
        "policy": POLICY,
        "prometheus-host": host,
        "prometheus-port": metrics_port,
        "worker-startup-timeout-secs": int(patience),
        "worker-startup-check-interval": 1,
        # An engine that computes a long prompt on few cores answers its health check late.
        "health-check-interval-secs": 2,
        "health-check-timeout-secs": 10,
        "health-failure-threshold": 2,
        "health-success-threshold": 1,
        "cb-timeout-duration-secs": 5,
        "max-concurrent-requests": 1024,
        "request-timeout-secs": 600,
        "log-level": "warning",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", f"{PACKAGE}.launch_router", *words, "--worker-urls", *engines]
