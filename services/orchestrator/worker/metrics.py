"""What workers and the API count. Names are stable: dashboards and alerts are built on them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.contracts.episode import Episode
from services.orchestrator.store.fold import Fold

EPISODE_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


class EpisodeMetrics:
    """Figures of episodes; each episode is counted once, by one worker of all."""

    def __init__(self, registry: CollectorRegistry) -> None:
        where = ["environment", "method"]
        self.episodes = Counter(
            "espalier_episodes_total", "Episodes ended.", [*where, "outcome"], registry=registry
        )
        self.live = Gauge("espalier_episodes_live", "Episodes queued or running.", registry=registry)
        self.running = Gauge("espalier_episodes_running", "Branches on this worker.", registry=registry)
        self.depth = Gauge("espalier_queue_depth", "Jobs that wait for a worker.", registry=registry)
        self.seconds = Histogram(
            "espalier_episode_seconds",
            "From creation to end of an episode.",
            where,
            buckets=EPISODE_SECONDS,
            registry=registry,
        )
        self.wall = Counter(
            "espalier_wall_seconds_total",
            "Where episodes' time went: model, environment, orchestration, queueing.",
            ["where"],
            registry=registry,
        )
        self.steps = Counter(
            "espalier_steps_total", "Environment steps.", [*where, "valid"], registry=registry
        )
        self.candidates = Counter(
            "espalier_candidates_total", "Answers of the actor.", [*where, "well_formed"], registry=registry
        )
        self.verdicts = Counter(
            "espalier_verdicts_total", "Verdicts of the judge.", ["question", "answer"], registry=registry
        )
        self.backtracks = Counter("espalier_backtracks_total", "Paths begun anew.", where, registry=registry)
        self.pauses = Counter(
            "espalier_pauses_total",
            "Times a branch was laid aside in an outage.",
            ["part"],
            registry=registry,
        )
        self.takeovers = Counter(
            "espalier_takeovers_total", "Branches taken again from the log.", registry=registry
        )

    def count(self, episode: Episode, fold: Fold) -> None:
        """Count an episode that has ended."""
        where = (episode.request.environment, episode.request.method)
        self.episodes.labels(*where, episode.state.value).inc()
        self.seconds.labels(*where).observe((episode.ended_at or 0.0) - episode.created_at)
        figures = episode.figures or fold.figures(episode.ended_at or 0.0)
        for place in ("model", "environment", "orchestration", "queueing"):
            self.wall.labels(place).inc(getattr(figures.wall, place))
        for valid, count in fold.steps.items():
            self.steps.labels(*where, str(valid).lower()).inc(count)
        for well_formed, count in fold.candidates.items():
            self.candidates.labels(*where, str(well_formed).lower()).inc(count)
        for (question, answer), count in fold.verdicts.items():
            self.verdicts.labels(question, answer).inc(count)
        if fold.backtracks:
            self.backtracks.labels(*where).inc(fold.backtracks)
