"""Draws an episode in the terminal: the tree as it grows, and the sum at the end."""

from rich.console import Console, Group
from rich.markup import escape as escape_markup
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as Drawing

from espalier.plain import plain
from services.contracts.action import Candidate
from services.contracts.episode import Episode, State
from services.contracts.event import (
    Backtracked,
    BranchOpened,
    CallFailed,
    CandidatesCompared,
    CandidateSelected,
    CandidatesProposed,
    CandidatesRepeated,
    Event,
    EventType,
    FellBack,
    PathCommitted,
    PathEnded,
    PathJudged,
    PlanMade,
    ReflectionMade,
    SessionForked,
    SessionOpened,
    StepTaken,
    SubtaskJudged,
    SubtaskOver,
    WindowCut,
)
from services.contracts.event_data import Compared, Stepping
from services.contracts.plan import Plan

ROOT = "0"
"""The id of every episode's root branch."""
LONGEST = 110
"""Characters of an observation that are shown."""


class EpisodeView:
    """The tree of one episode, event by event."""

    def __init__(self, instruction: str) -> None:
        self._root = Drawing(f"[bold]{escape(instruction)}[/]")
        self._branches: dict[str, Drawing] = {}
        self._proposed: dict[str, list[Candidate]] = {}
        self._chosen: dict[str, int] = {}
        self._doing = "queued"

    def __rich__(self) -> Group:
        """The tree, and what is going on."""
        return Group(self._root, Text(f"… {self._doing}", style="dim"))

    @property
    def tree(self) -> Drawing:
        """The tree alone."""
        return self._root

    def add(self, event: Event) -> None:
        """Take one event in."""
        branch = event.branch
        match event:
            case BranchOpened(data=data):
                self._branches[data.opened] = self._branch(branch).add(
                    f"[bold blue]{escape(data.body)} {escape(data.opened)}[/]"
                )
            case SessionForked() if self._proposed.pop(branch, None):
                pass  # the candidates are taken, each in a session
            case SessionOpened(data=data) | SessionForked(data=data):
                self._branch(branch).add(f"[dim]{_short(data.observation)}[/]")
                self._doing = "planning or acting"
            case PlanMade(data=data):
                plan = self._branch(branch).add("[magenta]plan[/]" + _origin(data))
                for number, subtask in enumerate(data.subtasks, start=1):
                    plan.add(f"[magenta]{number}. {escape(subtask)}[/]")
            case CandidatesProposed(data=data):
                self._candidates(branch, data.candidates)
            case CandidateSelected(data=data):
                self._chosen[branch] = data.index
            case StepTaken(data=data):
                self._step(branch, data)
            case SubtaskJudged(data=data):
                self._doing = f"judged: subtask done with P = {data.p_yes:.2f}"
            case _:
                self._add_note(event)

    def _add_note(self, event: Event) -> None:
        branch = event.branch
        match event:
            case CandidatesRepeated(data=data):
                self._proposed[branch] = [
                    item for item in self._proposed.get(branch, []) if item.action not in data.actions
                ]
                for action in data.actions:
                    self._branch(branch).add(f"[yellow]had no effect: {escape(action[:LONGEST])}[/]")
            case CandidatesCompared(data=data):
                self._branch(branch).add(f"[cyan]{_compare(data)}[/]")
            case SubtaskOver(type=EventType.SUBTASK_DONE, data=data):
                self._branch(branch).add(f"[green]✓ subtask: {escape(data.subtask)}[/]")
            case SubtaskOver(data=data):
                self._branch(branch).add(f"[yellow]passed over: {escape(data.subtask)}[/]")
            case WindowCut(data=data):
                self._branch(branch).add(f"[dim]{data.turns} old turns left the window[/]")
            case PathEnded(data=data):
                self._branch(branch).add(f"[dim]the path ended: {escape(data.reason)}[/]")
            case PathJudged(data=data) if len(data.scores) == 1:
                self._branch(branch).add(f"[cyan]judge: good enough with P = {data.scores[0]:.2f}[/]")
            case ReflectionMade(data=data) if data.text:
                self._branch(branch).add(f"[magenta]lesson: {_short(data.text)}[/]")
            case Backtracked(data=data):
                place = f"step {data.to_step}" if data.to_step else "the start"
                self._root.add(f"[yellow]↶ not good enough: back to {place}[/]")
            case FellBack(data=data):
                self._branch(branch).add(f"[yellow]{escape(data.detail)}[/]")
            case CallFailed(data=data):
                self._branch(branch).add(f"[red]{escape(data.reason)}: {escape(data.detail[:200])}[/]")
            case PathCommitted(data=data):
                self._root.add(f"[green]committed: branch {escape(data.branch)}[/]")
            case _:
                pass

    def _branch(self, branch: str) -> Drawing:
        """Return where a branch is drawn; the root branch is the tree itself."""
        if branch == ROOT:
            return self._root
        if branch not in self._branches:
            self._branches[branch] = self._root.add(f"[bold blue]branch {escape(branch)}[/]")
        return self._branches[branch]

    def _candidates(self, branch: str, candidates: list[Candidate]) -> None:
        kept = self._proposed.get(branch, [])
        actions = {item.action for item in kept}
        self._proposed[branch] = kept + [
            item for item in candidates if item.well_formed and item.action not in actions
        ]
        self._chosen.pop(branch, None)
        self._doing = "the judge chooses" if len(self._proposed[branch]) > 1 else "acting"
        if not self._proposed[branch]:
            self._branch(branch).add("[yellow]no well-formed action; requested again[/]")

    def _step(self, branch: str, taken: Stepping) -> None:
        style = "green" if taken.valid else "yellow"
        node = self._branch(branch).add(
            f"[bold]{taken.n}.[/] {escape(taken.action[:LONGEST])}  [{style}]→ {_short(taken.observation)}[/]"
        )
        proposed = self._proposed.pop(branch, [])
        chosen = self._chosen.pop(branch, 0)
        for index, candidate in enumerate(proposed):
            if index != chosen:
                node.add(f"[dim strike]{escape(candidate.action[:LONGEST])}[/]")
        self._doing = "acting"


def escape(text: str) -> str:
    """A text as Rich's markup takes it, with nothing that a terminal acts on."""
    return escape_markup(plain(text))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return escape(line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…")


def _compare(compared: Compared) -> str:
    """Return one line on candidates that were taken to see what they lead to."""
    worths = [
        "no effect" if one.dead else "not compared" if one.value is None else f"P = {one.value:.2f}"
        for one in compared.outcomes
    ]
    chosen = escape(compared.outcomes[compared.chosen].action[:LONGEST])
    return f"looked ahead ({'; '.join(worths)}): goes on from {chosen}"


def _origin(plan: Plan) -> str:
    return "" if plan.origin == "model" else f" [dim](by {escape(plan.origin)})[/]"


def summary(console: Console, episode: Episode) -> None:
    """Print what an episode committed, what it cost, and where the time went."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    figures, result = episode.figures, episode.result
    if result is not None:
        judged = {None: "", True: ", judged good enough", False: ", judged not good enough"}
        table.add_row("committed", f"path {result.branch}, {result.steps} steps{judged[result.good_enough]}")
        table.add_row("reward", f"{result.score:g}")
    if episode.failure is not None:
        table.add_row("failed", escape(f"{episode.failure.reason}: {episode.failure.detail}"))
    if figures is not None:
        usage, wall = figures.usage, figures.wall
        share = usage.cached_tokens / usage.prompt_tokens if usage.prompt_tokens else 0.0
        table.add_row(
            "steps", f"{figures.steps} on {figures.paths} path(s), {figures.backtracks} backtrack(s)"
        )
        table.add_row("model calls", str(usage.calls))
        table.add_row(
            "tokens",
            f"{usage.prompt_tokens} prompt ({share:.0%} cached), {usage.completion_tokens} generated",
        )
        table.add_row(
            "time",
            f"{wall.total:.1f} s: model {wall.model:.1f}, environment {wall.environment:.1f}, "
            f"orchestration {wall.orchestration:.2f}, queueing {wall.queueing:.2f}",
        )
    table.add_row("feedback", f"{episode.request.feedback} (what the search was allowed to see)")
    table.add_row("episode", episode.id)
    console.print(table)
    console.print(verdict_line(episode))


def verdict_line(episode: Episode) -> str:
    """The last line of a run: solved or not."""
    if episode.state is State.COMPLETED and episode.result is not None:
        return "solved" if episode.result.success else "not solved"
    return f"{episode.state}: no result"
