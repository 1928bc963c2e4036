"""Prometheus metrics of one process, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The registry of a part and the figures that every part has."""

    def __init__(self, part: str) -> None:
        self.registry = CollectorRegistry()
        self.part = part
        self.requests = Counter(
            "espalier_http_requests_total",
            "HTTP requests answered.",
            ["part", "method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "espalier_http_request_seconds",
            "Time to answer an HTTP request.",
            ["part", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.ready = Gauge(
            "espalier_ready",
            "Whether a dependency was there when readiness was last checked.",
            ["part", "dependency"],
            registry=self.registry,
        )

    def exposition(self) -> tuple[bytes, str]:
        """The text that Prometheus scrapes, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class ModelMetrics:
    """What a part that calls a model counts."""

    def __init__(self, metrics: Metrics, role: str) -> None:
        self.role = role
        labels = ["role"]
        registry = metrics.registry
        self.calls = Counter(
            "espalier_model_calls_total", "Requests to the engine.", ["role", "outcome"], registry=registry
        )
        self.seconds = Histogram(
            "espalier_model_call_seconds",
            "Time of a request to the engine.",
            labels,
            buckets=SECONDS,
            registry=registry,
        )
        self.prompt_tokens = Counter(
            "espalier_prompt_tokens_total", "Prompt tokens sent.", labels, registry=registry
        )
        self.cached_tokens = Counter(
            "espalier_cached_tokens_total", "Prompt tokens from the prefix cache.", labels, registry=registry
        )
        self.completion_tokens = Counter(
            "espalier_completion_tokens_total", "Tokens generated.", labels, registry=registry
        )
        self.in_flight = Gauge(
            "espalier_model_calls_in_flight", "Requests to the engine under way.", labels, registry=registry
        )
