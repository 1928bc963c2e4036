"""What is folded from a log: the figures, the tree, the open sessions, a branch's answers."""

from collections.abc import Iterable
from typing import Any

from services.contracts.episode import Figures, WallTime
from services.contracts.event import Event, EventType
from services.contracts.tree import Branch, Node, NodeCandidate, Tree
from services.contracts.usage import Usage


def fold_figures(events: Iterable[Event], ended_at: float) -> Figures:
    """What an episode did and cost."""
    counts = dict.fromkeys(("steps", "candidates", "malformed", "invalid", "backtracks", "cuts"), 0)
    usage = Usage()
    environment = 0.0
    created = started = None
    seen: dict[str, list[tuple[str, str]]] = {}
    repeated = 0
    paths: set[str] = set()
    for event in events:
        data = event.data
        if "usage" in data:
            usage += Usage.model_validate(data["usage"])
        environment += data.get("seconds", 0.0)
        match event.type:
            case EventType.EPISODE_CREATED:
                created = event.at
            case EventType.EPISODE_STARTED:
                started = started or event.at
            case EventType.SESSION_OPENED:
                paths.add(event.branch)
            case EventType.CANDIDATES_PROPOSED:
                for candidate in data["candidates"]:
                    counts["candidates"] += candidate["count"]
                    counts["malformed"] += 0 if candidate["well_formed"] else candidate["count"]
            case EventType.STEP_TAKEN:
                counts["steps"] += 1
                counts["invalid"] += not data["valid"]
                turn = (data["action"], data["observation"])
                before = seen.setdefault(event.branch, [])
                repeated += turn in before
                before.append(turn)
            case EventType.BACKTRACKED:
                counts["backtracks"] += 1
            case EventType.WINDOW_CUT:
                counts["cuts"] += 1
            case _:
                pass
    created = created or ended_at
    queueing = max(0.0, (started or created) - created)
    total = max(0.0, ended_at - created)
    return Figures(
        steps=counts["steps"],
        paths=len(paths),
        candidates=counts["candidates"],
        malformed=counts["malformed"],
        invalid_actions=counts["invalid"],
        repeated=repeated,
        backtracks=counts["backtracks"],
        window_cuts=counts["cuts"],
        usage=usage,
        wall=WallTime(
            total=total,
            model=usage.seconds,
            environment=environment,
            queueing=queueing,
            orchestration=max(0.0, total - usage.seconds - environment - queueing),
        ),
    )


def fold_score(events: Iterable[Event], branch: str) -> float:
    """The reward that a branch's path ended with; 0 before its first step."""
    score = 0.0
    for event in events:
        if event.branch == branch and event.type in (EventType.STEP_TAKEN, EventType.SESSION_OPENED):
            score = float(event.data["score"])
    return min(1.0, max(0.0, score))


def fold_open_sessions(events: Iterable[Event]) -> list[str]:
    """The environment's ids of sessions that were opened and not closed."""
    opened: dict[tuple[str, str], str] = {}
    for event in events:
        key = (event.branch, str(event.data.get("session", "")))
        if event.type in (EventType.SESSION_OPENED, EventType.STEP_TAKEN):
            opened[key] = event.data["session_id"]
        elif event.type is EventType.SESSION_CLOSED:
            opened.pop(key, None)
    return list(opened.values())


class Answers:
    """The recorded answers of a log, by branch and number of the call."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.calls: dict[str, dict[int, Event]] = {}
        self.closed: dict[str, dict[str, Any]] = {}
        self.started_at: float | None = None
        for event in events:
            if event.seq is not None:
                self.calls.setdefault(event.branch, {})[event.seq] = event
            elif event.type is EventType.BRANCH_CLOSED:
                self.closed[event.branch] = event.data
            elif event.type is EventType.EPISODE_STARTED and self.started_at is None:
                self.started_at = event.at


def fold_tree(episode: str, events: Iterable[Event]) -> Tree:
    """The branches and their steps."""
    grower = _Grower()
    for event in events:
        grower.add(event)
    return Tree(episode=episode, instruction=grower.instruction, branches=list(grower.branches.values()))


class _Grower:
    """Grows a tree event by event."""

    def __init__(self) -> None:
        self.instruction = ""
        self.branches: dict[str, Branch] = {}
        self.proposed: dict[str, list[NodeCandidate]] = {}

    def add(self, event: Event) -> None:
        """Take one event in."""
        data = event.data
        match event.type:
            case EventType.EPISODE_CREATED:
                self.instruction = data.get("instruction", "")
            case EventType.BRANCH_OPENED:
                self._set(data["opened"], parent=event.branch)
            case EventType.SESSION_OPENED:
                self._set(event.branch, observation=data["observation"])
            case EventType.PLAN_MADE:
                self._set(event.branch, plan=data["subtasks"])
            case EventType.CANDIDATES_PROPOSED:
                candidates = [NodeCandidate.model_validate(item) for item in data["candidates"]]
                self.proposed[event.branch] = candidates
            case EventType.VERDICT_SELECTION:
                self._score(event.branch, data["scores"])
            case EventType.STEP_TAKEN:
                self._step(event)
            case EventType.VERDICT_SUBTASK:
                self._last(event.branch, p_subtask_done=data["p_yes"])
            case EventType.PATH_ENDED:
                self._set(event.branch, ended=data["reason"])
            case EventType.VERDICT_PATH if len(data["scores"]) == 1:
                self._set(event.branch, p_good_enough=data["scores"][0])
            case EventType.PATH_COMMITTED:
                self._set(data["branch"], committed=True)
            case EventType.BRANCH_CLOSED:
                self._set(event.branch, failure=data.get("failure", ""))
            case _:
                pass

    def _set(self, branch: str, **changes: Any) -> None:
        known = self.branches.get(branch) or Branch(id=branch)
        self.branches[branch] = known.model_copy(update=changes)

    def _score(self, branch: str, scores: list[float]) -> None:
        rated = iter(scores)
        self.proposed[branch] = [
            item.model_copy(update={"score": next(rated, None)}) if item.well_formed else item
            for item in self.proposed.get(branch, [])
        ]

    def _step(self, event: Event) -> None:
        branch, data = event.branch, event.data
        nodes = self.branches[branch].nodes if branch in self.branches else []
        node = Node(
            id=f"{branch}/{len(nodes) + 1}",
            parent=nodes[-1].id if nodes else None,
            action=data["action"],
            observation=data["observation"],
            valid=data["valid"],
            done=data["done"],
            candidates=self.proposed.pop(branch, []),
        )
        self._set(branch, nodes=[*nodes, node])

    def _last(self, branch: str, **changes: Any) -> None:
        nodes = self.branches[branch].nodes
        if nodes:
            self._set(branch, nodes=[*nodes[:-1], nodes[-1].model_copy(update=changes)])
