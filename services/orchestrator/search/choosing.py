"""Choosing: which candidate a line takes, by the judge's letter, its values, or what the actor thinks likely.

With a margin, the first candidate stands unless another one scores higher by at least that much; an
infinite margin takes the first. With `look_ahead` every candidate is taken, the first in the line's own
session and the others in forks of it: one that was refused, or that shows again what the line has seen,
loses at once, and values are of what it led to. The line goes on in the session of the chosen one.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from services.contracts.action import Candidate
from services.contracts.event import EventType
from services.contracts.event_data import Outcome
from services.contracts.verdict import Option, Reached, SelectionQuestion
from services.orchestrator.ports import SELECT, BudgetExhaustedError, InfrastructureError, Seen
from services.orchestrator.search.line import Line, clip
from services.orchestrator.search.repetitions import Repeats
from services.orchestrator.search.valuing import value_reached, value_turns


class Scorer(StrEnum):
    """What candidates are scored by."""

    SELECTION = "selection"
    """The judge's choice among all candidates."""
    VALUE = "value"
    """The judge's P(success) of each."""
    LOGPROB = "logprob"
    """The actor's own probability of each, relative to the others'."""


@dataclass(frozen=True)
class Choosing:
    """How candidates are chosen among."""

    scorer: Scorer = Scorer.SELECTION
    margin: float | None = None
    """What a candidate must score above the first to replace it; None: the best wins."""
    look_ahead: bool = False
    repeats: Repeats = Repeats.AVOID
    """With `avoid` a state that shows what the line has seen loses at once."""


@dataclass
class _Tried:
    """A candidate that was taken in a session."""

    candidate: Candidate
    session: str
    seen: Seen
    dead: bool
    """Whether it was refused, or shows again what the line has seen."""
    score: float | None = None


async def advance(line: Line, candidates: Sequence[Candidate], choosing: Choosing) -> float | None:
    """Take a step of a line.

    Args:
        line: The line, which gets the step.
        candidates: At least one, the greedy one first.
        choosing: How to choose.

    Returns:
        The score of the step that was taken; None where there was nothing to choose.
    """
    if len(candidates) > 1 and choosing.look_ahead and choosing.margin != math.inf:
        return await _look_ahead(line, candidates, choosing)
    chosen, score = await _choose(line, candidates, choosing)
    await line.step(candidates[chosen])
    return score


async def _choose(
    line: Line, candidates: Sequence[Candidate], choosing: Choosing
) -> tuple[int, float | None]:
    """Return the index of the candidate to take, and its score."""
    if len(candidates) == 1 or choosing.margin == math.inf:
        return 0, None
    match choosing.scorer:
        case Scorer.SELECTION:
            index, scores = await _select(line, candidates)
        case Scorer.VALUE:
            reached = [Reached(action=it.action, thought=clip(it.thought)) for it in candidates]
            scores = await value_reached(line, reached)
            index = _find_best(scores)
        case Scorer.LOGPROB:
            scores = _weigh(candidates)
            index = _find_best(scores)
    if not overrides(scores, index, choosing.margin):
        index = 0
    return index, scores[index]


def overrides(scores: Sequence[float], index: int, margin: float | None) -> bool:
    """Return whether a candidate's score is above the first one's by a margin."""
    return margin is None or scores[index] - scores[0] >= margin


async def _select(line: Line, candidates: Sequence[Candidate]) -> tuple[int, list[float]]:
    choice = await line.world.query(
        SELECT,
        SelectionQuestion(
            context=line.context(),
            subtask=line.current,
            options=[Option(action=item.action, thought=clip(item.thought)) for item in candidates],
            adapter=line.spec.request.adapter,
            seed=line.spec.request.seed,
        ),
    )
    return min(choice.index, len(candidates) - 1), choice.scores


def _weigh(candidates: Sequence[Candidate]) -> list[float]:
    """Return the actor's probabilities of the candidates' texts, with a sum of 1."""
    likely = [-math.inf if item.logprob is None else item.logprob for item in candidates]
    top = max(likely)
    if top == -math.inf:
        return [1 / len(likely)] * len(likely)
    weights = [math.exp(one - top) for one in likely]
    return [weight / sum(weights) for weight in weights]


def _find_best(scores: Sequence[float]) -> int:
    """Return the index of the highest score, the first of equal ones."""
    return max(range(len(scores)), key=lambda index: (scores[index], -index))


async def _look_ahead(line: Line, candidates: Sequence[Candidate], choosing: Choosing) -> float | None:
    """Take every candidate, and go on with the one that led to the best state.

    A candidate whose fork breaks is left out. Where the budget ends in between, the first stays.
    """
    world = line.world
    forks = await _fork_all(line, candidates[1:])
    try:
        tried = [await _try(line, candidates[0], line.session, choosing)]
    except (BudgetExhaustedError, InfrastructureError):
        await _close_all(line, [session for _, session in forks])
        raise
    spent: BudgetExhaustedError | None = None
    broken: list[str] = []
    for candidate, session in forks:
        if spent is not None:
            broken.append(session)
            continue
        try:
            tried.append(await _try(line, candidate, session, choosing))
        except InfrastructureError:
            broken.append(session)
        except BudgetExhaustedError as error:
            broken.append(session)
            spent = error
    alive = [one for one in tried if not one.dead] or tried[:1]
    chosen = tried[0] if spent is not None else alive[0]
    if spent is None and len({(one.seen.observation, one.seen.done) for one in alive}) > 1:
        with suppress(BudgetExhaustedError, InfrastructureError):  # the first is as good as any then
            chosen = await _compare(line, alive, choosing)
    await world.note(
        EventType.CANDIDATES_COMPARED,
        outcomes=[
            Outcome(session=one.session, action=one.candidate.action, value=one.score, dead=one.dead)
            for one in tried
        ],
        chosen=tried.index(chosen),
    )
    await _close_all(line, [*broken, *(one.session for one in tried if one is not chosen)])
    line.session = chosen.session
    line.take(chosen.candidate, chosen.seen)
    if spent is not None:
        raise spent
    return chosen.score


async def _fork_all(line: Line, candidates: Sequence[Candidate]) -> list[tuple[Candidate, str]]:
    """Return candidates with a fork each; those that no fork can be had for are left out."""
    forks: list[tuple[Candidate, str]] = []
    for candidate in candidates:
        try:
            forks.append((candidate, (await line.world.fork(line.session)).session))
        except InfrastructureError:
            continue
        except BudgetExhaustedError:
            await _close_all(line, [session for _, session in forks])
            raise
    return forks


async def _try(line: Line, candidate: Candidate, session: str, choosing: Choosing) -> _Tried:
    """Take a candidate in a session."""
    seen = await line.world.step(session, candidate.action)
    return _Tried(candidate, session, seen, dead=line.is_futile(candidate, seen, choosing.repeats))


async def _close_all(line: Line, sessions: Sequence[str]) -> None:
    for session in sessions:
        await line.world.close(session)


async def _compare(line: Line, alive: Sequence[_Tried], choosing: Choosing) -> _Tried:
    """Return the state to go on from."""
    candidates = [one.candidate for one in alive]
    match choosing.scorer:
        case Scorer.SELECTION:
            best, scores = await _select(line, candidates)
        case Scorer.LOGPROB:
            scores = _weigh(candidates)
            best = _find_best(scores)
        case Scorer.VALUE:
            turns = [line.make_turn(one.candidate, one.seen.observation) for one in alive]
            scores = await value_turns(line, turns)
            best = _find_best(scores)
    for one, score in zip(alive, scores, strict=True):
        one.score = score
    return alive[best] if overrides(scores, best, choosing.margin) else alive[0]
