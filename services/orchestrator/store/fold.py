"""The one fold of a log: figures, tree, open sessions, scores and metrics are read off it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from services.contracts.action import Candidate
from services.contracts.episode import Figures, WallTime
from services.contracts.event import (
    Backtracked,
    BranchClosed,
    BranchOpened,
    BranchTaken,
    CandidatesCompared,
    CandidateSelected,
    CandidatesProposed,
    CandidatesRepeated,
    EpisodeCreated,
    EpisodeStarted,
    Event,
    PathCommitted,
    PathEnded,
    PathJudged,
    PlanMade,
    SessionClosed,
    SessionForked,
    SessionOpened,
    StatesValued,
    StepTaken,
    SubtaskJudged,
    WindowCut,
)
from services.contracts.event_data import Compared, Showing, Stepping
from services.contracts.tree import Branch, Node, NodeCandidate, Tree
from services.contracts.usage import Usage
from services.orchestrator.identity import name_session, normalise_action

YES = 0.5
"""At this probability a verdict counts as a yes."""
Turn = tuple[str, str]
"""An action and what it showed."""


@dataclass
class _Line:
    """The steps of one session, those of the sessions that it was forked from included."""

    nodes: list[str] = field(default_factory=list[str])
    """Their ids."""
    turns: list[Turn] = field(default_factory=list[Turn])
    shown: set[Turn] = field(default_factory=set[Turn])

    def fork(self, at_step: int) -> "_Line":
        """Return the line of a fork."""
        turns = self.turns[:at_step]
        return _Line(self.nodes[:at_step], turns, set(turns))

    def add(self, node: str, turn: Turn) -> None:
        self.nodes.append(node)
        self.turns.append(turn)
        self.shown.add(turn)


class Fold:
    """What a log amounts to, event by event."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.instruction = ""
        self.branches: dict[str, Branch] = {}
        self.steps: Counter[bool] = Counter()
        """Steps, by whether they were valid."""
        self.candidates: Counter[bool] = Counter()
        """Answers of the actor, by whether they were well formed."""
        self.verdicts: Counter[tuple[str, str]] = Counter()
        """The judge's answers, by question and answer."""
        self.p_yes: list[tuple[str, float]] = []
        """The judge's probabilities of a yes, by question."""
        self.backtracks = 0
        self.cuts = 0
        self.forks = 0
        self.usage = Usage()
        self.sessions: dict[str, str] = {}
        """Open sessions, by name: the environment's ids."""
        self.scores: dict[str, float] = {}
        """The reward so far, by session."""
        self._stepped: dict[str, str] = {}
        """The session that a branch is about: the one that it stepped last, or began with."""
        self._workers: dict[str, str] = {}
        """The worker that took a branch last."""
        self._environment = 0.0
        self._created: float | None = None
        self._started: float | None = None
        self._repeated = 0
        self._refusals: Counter[bool] = Counter()
        """Refused steps that another one followed, by whether it was the same action."""
        self._refused: dict[str, str] = {}
        """The action of a session's last step, where it was refused."""
        self._lines: dict[str, _Line] = {}
        """By session."""
        self._proposed: dict[str, list[NodeCandidate]] = {}
        self._walked: set[str] = set()
        """Branches that had a session."""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> Self:
        """Take one event in."""
        branch = event.branch
        usage = getattr(event.data, "usage", None)
        if usage is not None:
            self.usage += usage
        if isinstance(event.data, Showing):
            self._show(branch, event.data)
        match event:
            case EpisodeCreated(data=data):
                self._created, self.instruction = event.at, data.instruction
            case EpisodeStarted():
                self._started = self._started or event.at
            case BranchOpened(data=data):
                self._set(data.opened, parent=branch)
                if data.session is not None:
                    self._stepped[data.opened] = data.session.session
                    self._walked.add(data.opened)
                    self._set(data.opened, observation=data.session.observation)
            case BranchTaken(data=data):
                self._workers[branch] = data.worker
                if branch in self.branches:
                    self._set(branch, worker=data.worker)
            case BranchClosed(data=data):
                self._set(branch, failure=data.failure)
            case SessionOpened(data=data) | SessionForked(data=data):
                self._begin_line(event)
                self._walked.add(branch)
                if branch not in self.branches or not self.branches[branch].nodes:
                    self._set(branch, observation=data.observation)
            case SessionClosed(data=data):
                self.sessions.pop(name_session(branch, data.session), None)
            case _:
                self._add_reasoning(event)
        return self

    def _add_reasoning(self, event: Event) -> None:
        """Take in an event of the search itself."""
        branch = event.branch
        match event:
            case PlanMade(data=data):
                self._set(branch, plan=data.subtasks)
            case CandidatesCompared(data=data):
                self._compare(branch, data)
            case StatesValued(data=data):
                for score in data.scores:
                    self._judge("value", score)
            case CandidatesProposed(data=data):
                for item in data.candidates:
                    self.candidates[item.well_formed] += item.count
                self._propose(branch, data.candidates)
            case CandidatesRepeated(data=data):
                self._proposed[branch] = [
                    item.model_copy(update={"repeated": item.repeated or item.action in data.actions})
                    for item in self._proposed.get(branch, [])
                ]
            case CandidateSelected(data=data):
                self.verdicts["selection", str(data.index + 1)] += 1
                self._rate(branch, data.scores)
            case StepTaken(data=data):
                self._step(branch, data)
            case SubtaskJudged(data=data):
                self._judge("subtask", data.p_yes)
                self._mark_last(branch, p_subtask_done=data.p_yes)
            case PathJudged(data=data) if len(data.scores) == 1:
                self._judge("path", data.scores[0])
                self._set(branch, p_good_enough=data.scores[0])
            case PathEnded(data=data):
                self._set(branch, ended=data.reason)
            case PathCommitted(data=data):
                self._set(data.branch, committed=True)
            case Backtracked():
                self.backtracks += 1
            case WindowCut():
                self.cuts += 1
            case _:
                pass

    def score(self, branch: str) -> float:
        """Return the reward that a branch's path ended with; 0 before its first step."""
        return min(1.0, max(0.0, self.scores.get(self._stepped.get(branch, ""), 0.0)))

    def figures(self, ended_at: float) -> Figures:
        """Return what the episode did and cost until a time, Unix seconds."""
        created = self._created or ended_at
        queueing = max(0.0, (self._started or created) - created)
        total = max(0.0, ended_at - created)
        spent = self.usage.seconds + self._environment + queueing
        return Figures(
            steps=self.steps.total(),
            paths=len(self._walked),
            candidates=self.candidates.total(),
            malformed=self.candidates[False],
            invalid_actions=self.steps[False],
            repeated=self._repeated,
            refused_followed=self._refusals.total(),
            refused_repeated=self._refusals[True],
            backtracks=self.backtracks,
            forks=self.forks,
            window_cuts=self.cuts,
            usage=self.usage,
            wall=WallTime(
                total=total,
                model=self.usage.seconds,
                environment=self._environment,
                queueing=queueing,
                orchestration=max(0.0, total - spent),
            ),
        )

    def tree(self, episode: str) -> Tree:
        """Return the branches and their steps."""
        return Tree(episode=episode, instruction=self.instruction, branches=list(self.branches.values()))

    def _judge(self, question: str, p_yes: float) -> None:
        self.verdicts[question, "yes" if p_yes >= YES else "no"] += 1
        self.p_yes.append((question, p_yes))

    def _show(self, branch: str, shown: Showing) -> None:
        self._environment += shown.seconds
        name = name_session(branch, shown.session)
        self.scores[name] = shown.score
        self.sessions[name] = shown.session_id
        if isinstance(shown, Stepping) or branch not in self._stepped:
            self._stepped[branch] = name

    def _set(self, branch: str, **changes: Any) -> None:
        known = self.branches.get(branch) or Branch(id=branch, worker=self._workers.get(branch, ""))
        self.branches[branch] = known.model_copy(update=changes)

    def _propose(self, branch: str, candidates: list[Candidate]) -> None:
        """Add candidates to those that a step has already: one step may need several requests."""
        kept = [item for item in self._proposed.get(branch, []) if item.well_formed]
        names = {normalise_action(item.action) for item in kept}
        self._proposed[branch] = kept + [
            NodeCandidate(
                action=item.action, thought=item.thought, well_formed=item.well_formed, count=item.count
            )
            for item in candidates
            if normalise_action(item.action) not in names
        ]

    def _rate(self, branch: str, scores: list[float]) -> None:
        rated = iter(scores)
        self._proposed[branch] = [
            item.model_copy(update={"score": next(rated, None)})
            if item.well_formed and not item.repeated
            else item
            for item in self._proposed.get(branch, [])
        ]

    def _step(self, branch: str, taken: Stepping) -> None:
        self.steps[taken.valid] += 1
        session = name_session(branch, taken.session)
        self._follow_refusal(session, taken)
        turn = (taken.action, taken.observation)
        line = self._lines.setdefault(session, _Line())
        self._repeated += turn in line.shown
        if branch not in self.branches:
            self._set(branch)
        nodes = self.branches[branch].nodes
        name = f"{branch}/{len(nodes) + 1}"
        parent = line.nodes[-1] if line.nodes else None
        line.add(name, turn)
        nodes.append(
            Node(
                id=name,
                parent=parent,
                action=taken.action,
                observation=taken.observation,
                valid=taken.valid,
                done=taken.done,
                candidates=self._proposed.pop(branch, []),
            )
        )

    def _begin_line(self, event: SessionOpened | SessionForked) -> None:
        name = name_session(event.branch, event.data.session)
        if isinstance(event, SessionOpened):
            self._lines[name] = _Line()
            return
        self.forks += 1
        of = event.data.of
        source = self._lines.get(of, _Line())
        self._lines[name] = source.fork(event.data.at_step)
        if event.data.at_step >= len(source.turns) and of in self._refused:
            self._refused[name] = self._refused[of]

    def _compare(self, branch: str, compared: Compared) -> None:
        """Mark what candidates led to, and follow the branch into the session of the chosen one."""
        names = [name_session(branch, outcome.session) for outcome in compared.outcomes]
        self._stepped[branch] = names[compared.chosen]
        last = {
            line.nodes[-1]: place
            for place, name in enumerate(names)
            if (line := self._lines.get(name)) and line.nodes
        }
        nodes = self.branches[branch].nodes if branch in self.branches else []
        for at in range(len(nodes) - 1, max(-1, len(nodes) - 1 - len(names)), -1):
            place = last.get(nodes[at].id)
            if place is not None:
                value = compared.outcomes[place].value
                nodes[at] = nodes[at].model_copy(
                    update={"value": value, "taken_back": place != compared.chosen}
                )

    def _follow_refusal(self, session: str, taken: Stepping) -> None:
        action = normalise_action(taken.action)
        before = self._refused.pop(session, None)
        if before is not None:
            self._refusals[before == action] += 1
        if not taken.valid:
            self._refused[session] = action

    def _mark_last(self, branch: str, **changes: Any) -> None:
        line = self._lines.get(self._stepped.get(branch, ""))
        nodes = self.branches[branch].nodes if branch in self.branches else []
        for at in range(len(nodes) - 1, -1, -1):
            if line is not None and line.nodes and nodes[at].id == line.nodes[-1]:
                nodes[at] = nodes[at].model_copy(update=changes)
                return
