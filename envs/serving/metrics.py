"""What an environment server counts."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class SessionMetrics:
    """The figures of one environment."""

    def __init__(
        self, registry: CollectorRegistry, environment: str, live: Callable[[], float], limit: int
    ) -> None:
        label = ["environment"]
        sessions = Gauge("espalier_sessions", "Live sessions.", label, registry=registry)
        sessions.labels(environment).set_function(live)
        places = Gauge(
            "espalier_sessions_limit", "Sessions that the server takes at once.", label, registry=registry
        )
        places.labels(environment).set(limit)
        self.opened = Counter(
            "espalier_sessions_opened_total", "Sessions made, forks included.", label, registry=registry
        ).labels(environment)
        self._steps = Counter(
            "espalier_environment_steps_total",
            "Steps by outcome: valid, invalid, failed.",
            ["environment", "outcome"],
            registry=registry,
        )
        self.seconds = Histogram(
            "espalier_environment_step_seconds",
            "Time of a step in the environment.",
            label,
            buckets=SECONDS,
            registry=registry,
        ).labels(environment)
        self.forks = Counter("espalier_session_forks_total", "Forks made.", label, registry=registry).labels(
            environment
        )
        self.expired = Counter(
            "espalier_sessions_expired_total", "Sessions that expired.", label, registry=registry
        ).labels(environment)
        self.rebuilt = Counter(
            "espalier_sessions_rebuilt_total",
            "Sessions rebuilt by replay after their instance was lost.",
            label,
            registry=registry,
        ).labels(environment)
        self._environment = environment
        for outcome in ("valid", "invalid", "failed"):
            self._steps.labels(environment, outcome)

    def step(self, outcome: str) -> None:
        """Count one step."""
        self._steps.labels(self._environment, outcome).inc()
