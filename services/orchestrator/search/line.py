"""A line: the steps from the start of the task to where a path stands now, and what the roles see of it."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.action import Candidate, Form
from services.contracts.context import Context, TriedPath, Turn
from services.contracts.event import EventType
from services.contracts.window import Window
from services.orchestrator.ports import Opened, Seen, Spec, World
from services.orchestrator.search.repetitions import Repeats, Repetitions

LONGEST = 20_000
"""Characters of an observation or a thought that a path keeps."""
CUT = " [cut]"
"""How a text ends that is longer than a context takes."""


def clip(text: str) -> str:
    """Return a text as far as a path keeps it: many turns have to fit into one request."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - len(CUT)]}{CUT}"


class Past(BaseModel):
    """The steps that a line has behind it already where it begins in a forked session."""

    model_config = ConfigDict(frozen=True)

    observation: str
    """The first one, at the task's start."""
    turns: list[Turn] = Field(default_factory=list[Turn])
    valid: list[bool] = Field(default_factory=list[bool])
    """Whether the environment accepted each of them."""

    def extend(self, turn: Turn, *, valid: bool) -> "Past":
        """Return the steps with one more."""
        return Past(observation=self.observation, turns=[*self.turns, turn], valid=[*self.valid, valid])


class Line:
    """The line of one branch.

    Args:
        world: The branch's ports.
        spec: What the method is given of its episode.
        opened: The session that it goes on in.
        form: The form of the actor's answers.
        tried: Paths that were tried before.
        plan: The subtasks, where there are any already.
        past: What happened before `opened`, if that is no fresh session.
        first_turn: Turns before this one have left the window already.
    """

    def __init__(
        self,
        world: World,
        spec: Spec,
        opened: Opened,
        form: Form,
        tried: Sequence[TriedPath] = (),
        plan: Sequence[str] = (),
        past: Past | None = None,
        first_turn: int = 0,
    ) -> None:
        self.world = world
        self.spec = spec
        self.form = form
        self.session = opened.session
        self.plan = list(plan)
        self.first_turn = first_turn
        self.success: bool | None = None
        self.done = opened.done
        self.outcome = ""
        """What its end amounts to."""
        self.subtask = 0
        self.subtask_steps = 0
        self.refused = False
        """Whether the environment refused the last action."""
        self.turns: list[Turn] = []
        self.valid: list[bool] = []
        self.repetitions = Repetitions()
        self._tried = list(tried)
        self._first = past.observation if past is not None else clip(opened.observation)
        if past is not None:
            for turn, valid in zip(past.turns, past.valid, strict=True):
                self._add(turn, valid=valid)

    @property
    def current(self) -> str:
        """The subtask in hand; empty where there is none."""
        return self.plan[self.subtask] if self.subtask < len(self.plan) else ""

    @property
    def submits(self) -> bool:
        """Whether all subtasks are done and the result is to be submitted."""
        return bool(self.plan) and self.subtask == len(self.plan)

    @property
    def past(self) -> Past:
        """All steps so far, for a line that goes on in a fork."""
        return Past(observation=self._first, turns=list(self.turns), valid=list(self.valid))

    def context(self) -> Context:
        """Return the line as the roles get it."""
        return Context(
            environment=self.spec.brief,
            task=self.spec.instruction,
            observation=self._first,
            tried=self._tried,
            plan=self.plan,
            turns=list(self.turns),
            first_turn=self.first_turn,
        )

    async def follow(self, window: Window | None) -> None:
        """Keep to the window that the last prompt was fitted into."""
        if window and window.first_turn > self.first_turn:
            await self.world.note(
                EventType.WINDOW_CUT, first_turn=window.first_turn, turns=window.first_turn - self.first_turn
            )
            self.first_turn = window.first_turn

    async def step(self, candidate: Candidate) -> None:
        """Take a candidate's action."""
        self.take(candidate, await self.world.step(self.session, candidate.action))

    def take(self, candidate: Candidate, seen: Seen) -> None:
        """Add a step that was taken in the line's session."""
        self._add(self.make_turn(candidate, seen.observation), valid=seen.valid)
        self.success = seen.success
        self.outcome = seen.outcome
        self.done = seen.done
        self.subtask_steps += 1

    def is_futile(self, candidate: Candidate, seen: Seen, repeats: Repeats) -> bool:
        """Return whether a step leads nowhere: it was refused, or shows again what the line has seen.

        Args:
            candidate: What was taken from the line's state, in a session of its own.
            seen: What it led to; an end never leads nowhere.
            repeats: With `allow`, what shows nothing new may be taken.
        """
        again = repeats is Repeats.AVOID and self.repetitions.shows_again(
            candidate.action, clip(seen.observation)
        )
        return not seen.done and (again or not seen.valid)

    def make_turn(self, candidate: Candidate, observation: str) -> Turn:
        """Return a candidate with what it led to, as the line keeps it."""
        thought = candidate.thought if self.form is Form.REACT else ""
        return Turn(action=candidate.action, observation=clip(observation), thought=clip(thought))

    def _add(self, turn: Turn, *, valid: bool) -> None:
        self.turns.append(turn)
        self.valid.append(valid)
        self.repetitions.add(turn.action, turn.observation, valid=valid)
        self.refused = not valid
