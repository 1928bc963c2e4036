"""Rollouts: the served actor plays on from a state to the end, as it does in `react`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from espalier.client import AsyncSessions, EspalierError
from services.contracts.action import ActionRequest, Actions, Candidate, Form
from services.contracts.context import Context, Turn
from services.contracts.session import ForkRequest, Metadata, SessionState
from training.construct.play import brief

MALFORMED_LIMIT = 3
"""Answers in a row without a well-formed action that end a rollout."""
RESAMPLES, HOT = 4, 1.0
"""Candidates, and their temperature, where the actor's own action had no effect before."""
MOST_AVOIDED = 64


class Actor(Protocol):
    """Who plays."""

    async def act(self, body: ActionRequest, /) -> Actions:
        """Propose actions."""
        ...


@dataclass
class Line:
    """What was done from the start of a task, and how it stands."""

    first: str
    """The first observation."""
    state: SessionState
    turns: list[Turn] = field(default_factory=list[Turn])
    valid: list[bool] = field(default_factory=list[bool])
    logprobs: list[float | None] = field(default_factory=list[float | None])
    """The actor's log-probability of each answer, where the engine gave it."""

    def fork(self, state: SessionState, at_step: int) -> "Line":
        """Return the line of a session that was forked after so many steps."""
        return Line(self.first, state, self.turns[:at_step], self.valid[:at_step], self.logprobs[:at_step])


class Rollouts:
    """Plays lines in the sessions of one environment.

    Args:
        sessions: The environment.
        metadata: The environment's.
        actor: Who plays.
    """

    def __init__(self, sessions: AsyncSessions, metadata: Metadata, actor: Actor) -> None:
        self.sessions, self.metadata, self._actor = sessions, metadata, actor

    def context(self, line: Line, turns: Sequence[Turn] | None = None) -> Context:
        """Return what the actor sees of a line, or of its first turns."""
        return Context(
            environment=brief(self.metadata),
            task=line.state.instruction,
            observation=line.first,
            turns=list(line.turns if turns is None else turns),
        )

    async def propose(
        self, context: Context, *, n: int = 1, temperature: float = 0.0, seed: int, avoid: Sequence[str] = ()
    ) -> list[Candidate]:
        """Return the actor's well-formed candidates."""
        request = ActionRequest(
            context=context,
            form=Form.REACT,
            n=n,
            temperature=temperature,
            seed=seed,
            avoid=list(avoid)[-MOST_AVOIDED:],
        )
        return [one for one in (await self._actor.act(request)).candidates if one.well_formed]

    async def step(self, line: Line, candidate: Candidate) -> None:
        """Take a candidate's action."""
        line.state = await self.sessions.step(line.state.session_id, candidate.action)
        turn = Turn(action=candidate.action, thought=candidate.thought, observation=line.state.observation)
        line.turns.append(turn)
        line.valid.append(line.state.valid)
        line.logprobs.append(candidate.logprob)

    async def fork(self, line: Line, at_step: int) -> Line:
        """Return a line in a fork of another one's session, after so many of its steps."""
        state = await self.sessions.fork(line.state.session_id, ForkRequest(at_step=at_step))
        return line.fork(state, at_step)

    async def close(self, line: Line) -> None:
        """Close a line's session; one that has expired is closed already."""
        try:
            await self.sessions.close_session(line.state.session_id)
        except EspalierError as error:
            if error.problem.status not in (404, 410):
                raise

    async def play(self, line: Line, *, temperature: float, seed: int) -> float:
        """Play a line to its end and return the reward.

        An action that was refused, or that showed nothing new, is not taken again at once.
        """
        malformed = 0
        while not line.state.done and len(line.turns) < self.metadata.max_steps:
            step_seed = (seed + len(line.turns) * MALFORMED_LIMIT + malformed) % 2**31
            heat = temperature if not malformed else HOT
            found = await self.propose(self.context(line), temperature=heat, seed=step_seed)
            avoid = _list_useless(line)
            if found and normalise_action(found[0].action) in {normalise_action(action) for action in avoid}:
                found += await self.propose(
                    self.context(line), n=RESAMPLES, temperature=HOT, seed=step_seed, avoid=avoid
                )
                known = {normalise_action(action) for action in avoid}
                found = [one for one in found if normalise_action(one.action) not in known] or found[:1]
            if not found:
                malformed += 1
                if malformed == MALFORMED_LIMIT:
                    break
                continue
            malformed = 0
            await self.step(line, found[0])
        return line.state.reward


def _list_useless(line: Line) -> list[str]:
    """Return the actions that had no effect since something new was seen."""
    useless: list[str] = []
    seen: set[tuple[str, str]] = set()
    for turn, valid in zip(line.turns, line.valid, strict=True):
        shown = normalise_action(turn.action), turn.observation
        if not valid or shown in seen:
            useless.append(turn.action)
        else:
            useless.clear()
        seen.add(shown)
    return useless


def normalise_action(action: str) -> str:
    """Return what two texts of the same action have in common: case and blanks make no difference."""
    return " ".join(action.lower().split())
