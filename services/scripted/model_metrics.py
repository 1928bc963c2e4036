"""The metrics of the scripted engine, under vLLM's names."""

from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_LABELS = ("model_name", "engine")


class ModelMetrics:
    """What vLLM 0.32 counts, as far as Espalier's dashboards read it."""

    def __init__(self, model: str) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self._model = model
        self.running = self._gauge("num_requests_running", "Requests in execution.")
        self.waiting = self._gauge("num_requests_waiting", "Requests that wait.")
        self.cache_usage = self._gauge("kv_cache_usage_perc", "Share of the cache in use; 1 is full.")
        self.cache_queries = self._counter("prefix_cache_queries", "Tokens looked up in the prefix cache.")
        self.cache_hits = self._counter("prefix_cache_hits", "Tokens found in the prefix cache.")
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens processed.")
        self.cached_tokens = self._counter("prompt_tokens_cached", "Prompt tokens from the cache.")
        self.generated_tokens = self._counter("generation_tokens", "Tokens generated.")
        self.first_token = self._histogram("time_to_first_token_seconds", "Time to the first token.")
        self.between_tokens = self._histogram("inter_token_latency_seconds", "Time between tokens.")
        self.latency = self._histogram("e2e_request_latency_seconds", "Time of a whole request.")
        self.queue = self._histogram("request_queue_time_seconds", "Time that a request waited.")
        self.prompt_length = self._histogram("request_prompt_tokens", "Prompt tokens of a request.", TOKENS)
        self.answer_length = self._histogram(
            "request_generation_tokens", "Tokens generated for a request.", TOKENS
        )
        self._finished = Counter(
            "vllm:request_success", "Finished.", [*_LABELS, "finished_reason"], registry=self.registry
        )

    def finished(self, reason: str) -> None:
        """Count one finished choice."""
        self._finished.labels(self._model, "0", reason).inc()

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"vllm:{name}", text, _LABELS, registry=self.registry).labels(self._model, "0")

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"vllm:{name}", text, _LABELS, registry=self.registry).labels(self._model, "0")

    def _histogram(self, name: str, text: str, buckets: Sequence[float] = SECONDS) -> Histogram:
        metric = Histogram(f"vllm:{name}", text, _LABELS, buckets=buckets, registry=self.registry)
        return metric.labels(self._model, "0")
