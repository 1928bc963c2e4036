"""What workers count. Names are stable: dashboards and alerts are built on them."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.contracts.episode import Episode, Priority, State
from services.kit.metrics import ADAPTERS, BASE, OTHER, BoundedLabel
from services.orchestrator.search import METHODS
from services.orchestrator.store.fold import Fold
from services.orchestrator.worker.metering import PART
from services.roles.registry import ROLES

EPISODE_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
WAIT_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
P_YES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ENVIRONMENTS = 50
"""Environments that are shown by name."""


class EpisodeMetrics:
    """Figures of episodes; each episode is counted once, by one worker of all.

    Args:
        registry: Where they are.
        environments: Those that the worker is configured for.
    """

    def __init__(self, registry: CollectorRegistry, environments: Iterable[str] = ()) -> None:
        where = ["environment", "method"]

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"espalier_{name}_total", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"espalier_{name}", text, labels, registry=registry)

        self.episodes = counter("episodes", "Episodes ended.", *where, "outcome")
        self.successes = counter("successes", "Episodes that committed a success.", *where)
        self.live = gauge("episodes_live", "Episodes queued or running.")
        self.running = gauge("episodes_running", "Branches on this worker.")
        self.depth = gauge("queue_depth", "Jobs that wait for a worker.")
        self.seconds = Histogram(
            "espalier_episode_seconds",
            "From creation to end of an episode.",
            where,
            buckets=EPISODE_SECONDS,
            registry=registry,
        )
        self.waits = Histogram(
            "espalier_queue_wait_seconds",
            "From when a job is due until a worker takes it.",
            ["priority", "tenant"],
            buckets=WAIT_SECONDS,
            registry=registry,
        )
        self.wall = counter(
            "wall_seconds",
            "Where episodes' time went: model, environment, orchestration, queueing.",
            "where",
        )
        self.tokens = counter(
            "episode_tokens", "Tokens of ended episodes: prompt, cached, completion.", *where, "kind"
        )
        self.calls = counter("episode_calls", "Model calls of ended episodes.", *where)
        self.steps = counter("steps", "Environment steps.", *where, "valid")
        self.candidates = counter("candidates", "Answers of the actor.", *where, "well_formed")
        self.verdicts = counter("verdicts", "Verdicts of the judge.", *where, "question", "answer")
        self.p_yes = Histogram(
            "espalier_p_yes",
            "The judge's probability of a yes, by question.",
            [*where, "question"],
            buckets=P_YES,
            registry=registry,
        )
        self.branches = counter("branches", "Branches of ended episodes, roots included.", *where)
        self.forks = counter("forks", "Sessions that episodes began in the state of another one.", *where)
        self.backtracks = counter("backtracks", "Paths begun anew.", *where)
        self.pauses = counter("pauses", "Times a branch was laid aside in an outage.", "part")
        self.takeovers = counter("takeovers", "Branches taken again from the log.")
        self.leases_lost = counter("leases_lost", "Branches whose worker let their lease run out.")
        self.left_over = counter(
            "sessions_left", "Open sessions of ended episodes that a worker closed.", "environment"
        )
        self.adapter_episodes = gauge("adapter_episodes", "Live episodes by adapter.", "adapter")
        self.redis = gauge("redis_bytes", "Memory of the fullest Redis server: used and limit.", "kind")
        self._environments = BoundedLabel(ENVIRONMENTS, environments)
        self._prepared: set[tuple[str, str]] = set()
        for part in ("redis", PART, *ROLES, *environments):
            self.pauses.labels(part)
        for environment in environments:
            self.left_over.labels(environment)
        for place in ("model", "environment", "orchestration", "queueing"):
            self.wall.labels(place)
        for priority in Priority:
            self.waits.labels(priority.value, OTHER)

    def prepare(self, environment: str, method: str) -> tuple[str, str]:
        """Return the labels of an environment and a method, and start their counters at 0.

        Prometheus computes rates from differences: it does not see the first increment of a series that
        begins with it.
        """
        where = (self._environments.fold(environment), method if method in METHODS else OTHER)
        if where not in self._prepared:
            self._prepared.add(where)
            for state in State:
                if state.over:
                    self.episodes.labels(*where, state.value)
            for plain in (self.successes, self.calls, self.branches, self.forks, self.backtracks):
                plain.labels(*where)
            self.seconds.labels(*where)
            for kind in ("prompt", "cached", "completion"):
                self.tokens.labels(*where, kind)
            for flag in ("true", "false"):
                self.steps.labels(*where, flag)
                self.candidates.labels(*where, flag)
        return where

    def count(self, episode: Episode, fold: Fold) -> None:
        """Count an episode that has ended."""
        where = self.prepare(episode.request.environment, episode.request.method)
        self.episodes.labels(*where, episode.state.value).inc()
        if episode.result is not None and episode.result.success:
            self.successes.labels(*where).inc()
        self.seconds.labels(*where).observe((episode.ended_at or 0.0) - episode.created_at)
        figures = episode.figures or fold.figures(episode.ended_at or 0.0)
        for place in ("model", "environment", "orchestration", "queueing"):
            self.wall.labels(place).inc(getattr(figures.wall, place))
        usage = figures.usage
        self.tokens.labels(*where, "prompt").inc(usage.prompt_tokens - usage.cached_tokens)
        self.tokens.labels(*where, "cached").inc(usage.cached_tokens)
        self.tokens.labels(*where, "completion").inc(usage.completion_tokens)
        self.calls.labels(*where).inc(usage.calls)
        for valid, count in fold.steps.items():
            self.steps.labels(*where, str(valid).lower()).inc(count)
        for well_formed, count in fold.candidates.items():
            self.candidates.labels(*where, str(well_formed).lower()).inc(count)
        for (question, answer), count in fold.verdicts.items():
            self.verdicts.labels(*where, question, answer).inc(count)
        for question, p_yes in fold.p_yes:
            self.p_yes.labels(*where, question).observe(p_yes)
        self.branches.labels(*where).inc(len(fold.branches))
        self.forks.labels(*where).inc(fold.forks)
        self.backtracks.labels(*where).inc(fold.backtracks)

    def show_adapters(self, live: int, episodes: Mapping[str, int]) -> None:
        """Show which adapters live episodes use; adapters beyond the bound are shown together.

        Args:
            live: Live episodes.
            episodes: Of them, those with an adapter, by its name.
        """
        most = sorted(episodes.items(), key=lambda item: (-item[1], item[0]))
        shown = dict(most[:ADAPTERS])
        if len(most) > ADAPTERS:
            shown[OTHER] = sum(count for _, count in most[ADAPTERS:])
        shown[BASE] = live - sum(episodes.values())
        self.adapter_episodes.clear()
        for adapter, count in shown.items():
            self.adapter_episodes.labels(adapter).set(count)

    def show_memory(self, used: int, limit: int) -> None:
        """Show the memory of the fullest Redis server, bytes."""
        self.redis.labels("used").set(used)
        self.redis.labels("limit").set(limit)
