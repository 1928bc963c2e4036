"""Prometheus metrics of one process, in a registry of its own.

The values of every label are bounded: they come from a registry, from the settings or from `BoundedLabel`.
"""

import contextlib
import math
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from http import HTTPMethod

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Of an HTTP request: from a read of Redis to the longest call of a role."""
CALL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Of a model call: from one token on a GPU to a long answer on a busy CPU."""
READY_SECONDS = 60.0
"""How long a readiness check is shown: where nothing checks, nothing is claimed."""
OTHER = "other"
"""The value of a label beyond its bound."""
ADAPTERS = 20
"""Adapters that a process shows by name; names hold digests, so there are ever more of them."""
BASE = "base"
"""The adapter label of answers without an adapter."""
CHANGES = ("load", "unload", "switch", "drop")
"""Changes of a role's adapters: loaded or unloaded at run time, another merged engine, a drained one gone."""


class BoundedLabel:
    """A label that shows so many values by name, and all later ones as `other`.

    Args:
        limit: How many values it shows.
        known: Values that it shows in any case, first.
    """

    def __init__(self, limit: int, known: Iterable[str] = ()) -> None:
        self._values = set(known)
        self._limit = max(limit, len(self._values))

    def fold(self, value: str) -> str:
        """Return the value, or `other` beyond the bound."""
        if value not in self._values:
            if len(self._values) >= self._limit:
                return OTHER
            self._values.add(value)
        return value


class Metrics:
    """The registry of a part and the figures that every part has."""

    def __init__(self, part: str, clock: Callable[[], float] = time.monotonic) -> None:
        disable_created_metrics()
        self._clock = clock
        self._checked = -math.inf
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
        disk = Gauge(
            "espalier_disk_bytes",
            "File system of the working directory: size and free.",
            ["part", "kind"],
            registry=self.registry,
        )
        disk.labels(part, "size").set_function(lambda: _measure_disk()[0])
        disk.labels(part, "free").set_function(lambda: _measure_disk()[1])

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an HTTP request; clients choose the method, so unknown ones share a series."""
        shown = method if method in HTTPMethod.__members__ else OTHER
        self.requests.labels(self.part, shown, route, str(status)).inc()
        self.request_seconds.labels(self.part, route).observe(seconds)

    def show_ready(self, states: Mapping[str, bool]) -> None:
        """Show which dependencies are there, until the figures are old."""
        self._checked = self._clock()
        for dependency, state in states.items():
            self.ready.labels(self.part, dependency).set(state)

    def exposition(self) -> tuple[bytes, str]:
        """The text that Prometheus scrapes, and its content type."""
        if self._clock() - self._checked > READY_SECONDS:
            self.ready.clear()
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
            buckets=CALL_SECONDS,
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
        self.adapters = Gauge(
            "espalier_adapters",
            "Adapters that answer: loaded, merged, draining.",
            ["role", "kind"],
            registry=registry,
        )
        self.answers = Counter(
            "espalier_adapter_answers_total", "Answers by adapter.", ["role", "adapter"], registry=registry
        )
        self.changes = Counter(
            "espalier_adapter_changes_total",
            "Changes of the adapters: load, unload, switch, drop.",
            ["role", "change", "outcome"],
            registry=registry,
        )
        self._shown = BoundedLabel(ADAPTERS, [BASE])
        for outcome in ("ok", "error"):
            self.calls.labels(role, outcome)
            for change in CHANGES:
                self.changes.labels(role, change, outcome)

    def count_answer(self, adapter: str | None) -> None:
        """Count an answer of an adapter, or of the base model."""
        self.answers.labels(self.role, self._shown.fold(adapter or BASE)).inc()

    def show_adapters(self, *, loaded: int, merged: int, draining: int) -> None:
        """Show how many adapters answer."""
        for kind, count in (("loaded", loaded), ("merged", merged), ("draining", draining)):
            self.adapters.labels(self.role, kind).set(count)

    @contextlib.contextmanager
    def count_change(self, change: str) -> Generator[None]:
        """Count a change of the adapters, by whether the block raises.

        Args:
            change: One of `CHANGES`.
        """
        outcome = "error"
        try:
            yield
            outcome = "ok"
        finally:
            self.changes.labels(self.role, change, outcome).inc()


def _measure_disk() -> tuple[float, float]:
    try:
        usage = shutil.disk_usage(".")
    except OSError:  # the directory is gone; the other figures are still wanted
        return math.nan, math.nan
    return usage.total, usage.free
