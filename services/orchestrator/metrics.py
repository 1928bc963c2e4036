"""What workers and the API count. Names are stable: dashboards and alerts are built on them."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.contracts.event import Event, EventType

EPISODE_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


class EpisodeMetrics:
    """Figures of episodes, folded from the events that this process wrote."""

    def __init__(self, registry: CollectorRegistry) -> None:
        where = ["environment", "method"]
        self.episodes = Counter(
            "espalier_episodes_total", "Episodes ended.", [*where, "outcome"], registry=registry
        )
        self.live = Gauge("espalier_episodes_live", "Episodes queued or running.", registry=registry)
        self.running = Gauge("espalier_episodes_running", "Episodes on this worker.", registry=registry)
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
            "espalier_takeovers_total", "Episodes taken over from another worker.", registry=registry
        )

    def count(self, events: Iterable[Event], environment: str, method: str) -> None:
        """Count what happened in an episode, once, at its end."""
        where = (environment, method)
        for event in events:
            data = event.data
            match event.type:
                case EventType.STEP_TAKEN:
                    self.steps.labels(*where, str(data["valid"]).lower()).inc()
                case EventType.CANDIDATES_PROPOSED:
                    for candidate in data["candidates"]:
                        well_formed = str(candidate["well_formed"]).lower()
                        self.candidates.labels(*where, well_formed).inc(candidate["count"])
                case EventType.VERDICT_SUBTASK:
                    self.verdicts.labels("subtask", "yes" if data["p_yes"] >= 0.5 else "no").inc()
                case EventType.VERDICT_SELECTION:
                    self.verdicts.labels("selection", str(data["index"] + 1)).inc()
                case EventType.VERDICT_PATH if len(data["scores"]) == 1:
                    self.verdicts.labels("path", "yes" if data["scores"][0] >= 0.5 else "no").inc()
                case EventType.BACKTRACKED:
                    self.backtracks.labels(*where).inc()
                case _:
                    pass
