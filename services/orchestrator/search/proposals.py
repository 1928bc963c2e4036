"""Proposals: the candidates for a line's next action."""

import math
from contextlib import suppress
from enum import StrEnum

from services.contracts.action import MAX_AVOIDED, ActionRequest, Candidate
from services.contracts.event import EventType
from services.orchestrator.identity import normalise_action
from services.orchestrator.ports import ACT, BudgetExhaustedError
from services.orchestrator.search.line import Line
from services.orchestrator.search.repetitions import Repeats

RESAMPLES = 4
"""Candidates of a second request, made where all of the first are repetitions."""
HOT, HOTTER, HOTTEST = 1.0, 0.25, 1.5
"""The temperature of a second request: its start, its rise for each step that is stuck, and its limit."""
RESAMPLE_STRIDE = 500_009
"""Between the seeds of the two requests."""
VARIANT_STRIDE = 1_000_003
"""Between the seeds of two paths that begin together."""
SAMPLE_STRIDE = 250_007
"""Between the seed of the greedy request and that of the samples beside it."""
MALFORMED_LIMIT = 3
"""Steps in a row without a well-formed candidate that end a path."""


class Grammar(StrEnum):
    """When the actor is held to its form by a grammar."""

    NEVER = "never"
    MALFORMED = "malformed"
    """Only after an answer without a well-formed candidate."""
    RETRY = "retry"
    """After an answer without a well-formed candidate, and after an action that the environment refused."""
    ALWAYS = "always"


class Proposer:
    """Requests candidates from the actor for one line.

    Args:
        line: The line.
        num_branch: How many candidates a step.
        grammar: When answers are held to the form.
        repeats: What becomes of repetitions.
        temperature: The actor's; None: greedy for one candidate, the service's own setting for several.
        variant: Among lines that begin together, this one's number: each samples with seeds of its own.
        sure: The greedy candidate is requested first, and stays alone where its text has at least this
            probability; None: all candidates are sampled in one request.
        avoid: Actions that the first step may not take.
    """

    def __init__(
        self,
        line: Line,
        *,
        num_branch: int = 1,
        grammar: Grammar = Grammar.RETRY,
        repeats: Repeats = Repeats.AVOID,
        temperature: float | None = None,
        variant: int = 0,
        sure: float | None = None,
        avoid: list[str] | None = None,
    ) -> None:
        self._line = line
        self._num_branch = num_branch
        self._grammar = grammar
        self._repeats = repeats
        self._temperature = temperature
        self._variant = variant
        self._sure = sure
        self._avoid = avoid or []
        self._first = len(line.turns)
        self._stuck = 0
        """Steps in a row at which two requests brought nothing but repetitions."""

    async def propose(self, malformed: int) -> list[Candidate]:
        """Return well-formed candidates that are no repetitions; none where the actor gave none.

        Where all are repetitions, the actor gets one more request. Where it has nothing else, the first
        candidate stays: a path never ends for want of an action.

        Args:
            malformed: Steps in a row that brought no well-formed candidate.
        """
        candidates = await self._request_all(malformed)
        avoided = self._list_avoided()
        fresh = self._drop(candidates, avoided)
        if len(fresh) == len(candidates):
            self._stuck = 0
            return candidates
        await self._note(candidates, fresh, avoided)
        if fresh:
            self._stuck = 0
            return fresh
        again: list[Candidate] = []
        with suppress(BudgetExhaustedError):
            again = await self._request(malformed, avoid=avoided[-MAX_AVOIDED:])
        fresh = self._drop(again, avoided)
        if len(fresh) < len(again):
            await self._note(again, fresh, avoided)
        self._stuck = 0 if fresh else self._stuck + 1
        return fresh[: max(1, self._num_branch if self._avoids_path else 1)] or candidates[:1]

    async def insist(self) -> list[Candidate]:
        """Return candidates as `propose` does, requested again while no answer is well-formed."""
        for malformed in range(MALFORMED_LIMIT):
            if candidates := await self.propose(malformed):
                return candidates
        return []

    @property
    def _avoids_path(self) -> bool:
        """Whether this is the step that another path took otherwise."""
        return bool(self._avoid) and len(self._line.turns) == self._first

    def _list_avoided(self) -> list[str]:
        repetitions = self._line.repetitions.actions if self._repeats is Repeats.AVOID else []
        return [*repetitions, *(self._avoid if self._avoids_path else ())]

    def _drop(self, candidates: list[Candidate], avoided: list[str]) -> list[Candidate]:
        names = {normalise_action(action) for action in avoided}
        return [item for item in candidates if normalise_action(item.action) not in names]

    async def _note(self, candidates: list[Candidate], fresh: list[Candidate], avoided: list[str]) -> None:
        dropped = [item.action for item in candidates if item not in fresh]
        await self._line.world.note(EventType.CANDIDATES_REPEATED, actions=dropped, avoided=avoided)

    async def _request_all(self, malformed: int) -> list[Candidate]:
        """Return the candidates of a step, the greedy one first where it is requested by itself."""
        if self._sure is None or self._num_branch == 1:
            return await self._request(malformed)
        greedy = await self._request(malformed, greedy=True)
        if greedy and self._is_sure(greedy[0]):
            return greedy
        sampled: list[Candidate] = []
        with suppress(BudgetExhaustedError):
            sampled = await self._request(malformed, beside=True)
        names = {normalise_action(item.action) for item in greedy}
        others = [item for item in sampled if normalise_action(item.action) not in names]
        return [*greedy, *others][: self._num_branch]

    def _is_sure(self, candidate: Candidate) -> bool:
        assert self._sure is not None
        return candidate.logprob is not None and math.exp(min(candidate.logprob, 0.0)) >= self._sure

    async def _request(
        self, malformed: int, *, avoid: list[str] | None = None, greedy: bool = False, beside: bool = False
    ) -> list[Candidate]:
        """Return the actor's well-formed candidates.

        Args:
            malformed: Steps in a row that brought no well-formed candidate.
            avoid: Actions to avoid: candidates are sampled anew, hotter.
            greedy: Whether only the greedy candidate is requested.
            beside: Whether they are samples beside a greedy candidate.
        """
        line, request = self._line, self._line.spec.request
        stride = RESAMPLE_STRIDE if avoid else SAMPLE_STRIDE if beside else 0
        seed = request.seed + self._variant * VARIANT_STRIDE
        count = RESAMPLES if avoid else 1 if greedy else self._num_branch
        temperature = self._heat() if avoid else 0.0 if greedy else self._temperature
        actions = await line.world.query(
            ACT,
            ActionRequest(
                context=line.context(),
                form=line.form,
                n=count,
                subtask=line.current,
                submit=line.submits,
                temperature=temperature,
                grammar=self._constrains(malformed),
                avoid=avoid or [],
                adapter=request.adapter,
                seed=(seed + len(line.turns) * MALFORMED_LIMIT + malformed + stride) % 2**31,
            ),
            line.session,
        )
        await line.follow(actions.window)
        return [candidate for candidate in actions.candidates if candidate.well_formed]

    def _heat(self) -> float:
        """Return the temperature of a second request; it rises while the actor only repeats itself."""
        return max(self._temperature or 0.0, min(HOT + HOTTER * self._stuck, HOTTEST))

    def _constrains(self, malformed: int) -> bool:
        """Return whether the next answer is held to its form by a grammar."""
        match self._grammar:
            case Grammar.NEVER:
                return False
            case Grammar.MALFORMED:
                return malformed > 0
            case Grammar.RETRY:
                return malformed > 0 or self._line.refused
            case Grammar.ALWAYS:
                return True
