"""On-policy data: the served actor plays, and where it errs the environment's expert goes on from there.

So the actor learns what to do in the states into which its own mistakes lead it, which no expert's run has
(dataset aggregation: Ross, Gordon and Bagnell, 2011). Of each record only the expert's turns are taught.
"""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from espalier.client import AsyncActor, AsyncSessions
from services.contracts.action import ActionRequest, Candidate, Form
from services.contracts.context import Context, Turn
from services.contracts.session import Metadata, SessionCreate, SessionState
from training.construct.cards import write_card
from training.construct.collect import drawn
from training.construct.derive import Runs, add_derived
from training.construct.experts import Guiding, find_licence, finder, guide, is_mistake, play_moves
from training.construct.making import Made, Report, make_records
from training.construct.play import brief
from training.construct.record import Provenance, Record
from training.construct.roles import RoleError
from training.construct.rollouts import Actor
from training.construct.stumbling import make_stumbler

ROLE = "actor"
SHORTEST, LONGEST = 2, 5
"""How many turns the expert plays before the actor may go on."""
LEAST = 0.99
TIMEOUT = 120.0
"""One call to the actor or the environment, seconds."""


Begin = Callable[[str, str], Guiding]
"""Makes the expert of a task out of its first observation and its instruction."""


async def make_corrected(
    environment: str,
    url: str,
    actor_url: str,
    split: str,
    out: Path,
    report: Report,
    *,
    limit: int,
    seed: int,
    corrections: int,
    temperature: float,
    concurrency: int,
    derived: int = 0,
) -> Made:
    """Tasks of a real environment, played by an actor and corrected by the expert.

    Args:
        environment: Which expert corrects.
        url: The environment's server.
        actor_url: The actor's service; empty: one that stumbles on purpose.
        split: The tasks to draw from.
        out: The file of records; a task that it holds is not played again.
        report: Called with a line of progress now and then.
        limit: How many tasks.
        seed: Which tasks; the sessions' seed too.
        corrections: How often the expert takes over in one.
        temperature: The actor's.
        concurrency: Tasks at once.
        derived: How many plans, steps and selections, and twice as many verdicts, are made of the runs.

    Raises:
        UnknownEnvironmentError: No expert of it can correct.
        RecordError: The file holds something else.
        EspalierError: The environment does not answer, or has no such split.
    """
    corrects, find = guide(environment), finder(environment)
    licence = find_licence(environment, split)
    async with contextlib.AsyncExitStack() as stack:
        sessions = await stack.enter_async_context(AsyncSessions(url, timeout=TIMEOUT))
        if not actor_url:
            actor: Actor = make_stumbler(environment, corrects)
        else:
            actor = await stack.enter_async_context(AsyncActor(actor_url, timeout=TIMEOUT))
        metadata = await sessions.metadata()
        tasks = await drawn(sessions, split, limit, f"corrected/{seed}")

        async def make(task_id: str) -> Record:
            return await corrected(
                sessions,
                metadata,
                task_id,
                actor,
                lambda first, task: corrects(first, task, find(task_id)),
                Provenance(source="corrected", split=split, seed=seed, licence=licence),
                corrections=corrections,
                temperature=temperature,
            )

        made = await make_records(tasks, make, out, report, environment=environment, concurrency=concurrency)
    if add_derived(out, Runs(environment, "corrected", split, seed, LEAST), derived):
        write_card(out)
    return made


async def corrected(
    sessions: AsyncSessions,
    metadata: Metadata,
    task_id: str,
    actor: Actor,
    begin: Begin,
    provenance: Provenance,
    *,
    corrections: int,
    temperature: float,
) -> Record:
    """Play one task; the expert takes over at the actor's mistakes, at the last of them to the end.

    A mistake is an action without form or effect, one that shows again what it showed before, or one that
    the expert takes for one by what it showed. Of every two mistakes about one is taken back before the
    expert plays: so the state before it is learned too. Where the actor ends the task badly, the expert
    plays it from the start.

    Args:
        sessions: The environment.
        metadata: The environment's.
        task_id: The task.
        actor: Who plays.
        begin: Makes the expert that can go on from anywhere.
        provenance: Of the record; its seed decides which mistakes are taken back, and how long the expert
            plays.
        corrections: How often the expert takes over.
        temperature: The actor's.

    Raises:
        RoleError: The actor made no mistake, or the task was not solved in the end.
        EspalierError: The environment refused, or is away.
    """
    seed = provenance.seed
    draw = random.Random(f"corrected/{seed}/{task_id}")  # noqa: S311
    run = _Run(sessions, metadata, task_id, seed, begin)
    try:
        await run.open()
        while not run.ended and corrections:
            candidate = await _proposed(actor, run.context, temperature, draw)
            if await run.mistaken(candidate):
                corrections -= 1
                if run.ended:
                    corrections = 0
                    await run.begin_again()
                elif draw.random() < 0.5:
                    await run.take_back()
                span = draw.randint(SHORTEST, LONGEST) if corrections else metadata.max_steps
                await run.guided(span)
        return run.record(provenance)
    except ValueError as error:
        if isinstance(error, ValidationError):
            raise
        raise RoleError("expert", "does not know this kind of task", str(error)) from error
    finally:
        await run.close()


async def _proposed(actor: Actor, context: Context, temperature: float, draw: random.Random) -> Candidate:
    request = ActionRequest(
        context=context, form=Form.REACT, temperature=temperature, seed=draw.randrange(2**31)
    )
    return (await actor.act(request)).candidates[0]


class _Run:
    """One task's session and what was done in it.

    Args:
        sessions: The environment.
        metadata: The environment's.
        task_id: The task.
        seed: The session's.
        begin: Makes the expert.
    """

    def __init__(
        self, sessions: AsyncSessions, metadata: Metadata, task_id: str, seed: int, begin: Begin
    ) -> None:
        self._sessions, self._metadata, self._begin = sessions, metadata, begin
        self._body = SessionCreate(task_id=task_id, seed=seed)
        self._state: SessionState | None = None
        self._first = ""
        self._turns: list[Turn] = []
        self._valid: list[bool] = []
        self._taught: list[bool] = []

    async def open(self) -> None:
        """Begin, or begin anew with the turns that there are."""
        await self.close()
        self._state = await self._sessions.create(self._body)
        self._first = self._state.observation
        for turn in self._turns:
            self._state = await self._sessions.step(self._state.session_id, turn.action)

    async def close(self) -> None:
        """End the session, if there is one."""
        if self._state is not None:
            await self._sessions.close_session(self._state.session_id)
            self._state = None

    @property
    def _now(self) -> SessionState:
        assert self._state is not None, "it was not opened"
        return self._state

    @property
    def ended(self) -> bool:
        """Whether nothing more can be done."""
        return self._now.done or len(self._turns) >= self._metadata.max_steps

    @property
    def context(self) -> Context:
        """What the actor sees."""
        return Context(
            environment=brief(self._metadata),
            task=self._now.instruction,
            observation=self._first,
            turns=self._turns,
        )

    async def mistaken(self, candidate: Candidate) -> bool:
        """Take the actor's step; whether it was a mistake."""
        before = {(turn.action, turn.observation) for turn in self._turns}
        await self._step(candidate.action, candidate.thought, taught=False)
        last = self._turns[-1]
        if self._now.done:
            return self._now.reward < LEAST
        return (
            not (candidate.well_formed and self._valid[-1])
            or (last.action, last.observation) in before
            or is_mistake(self._expert(), last.action, last.observation)
        )

    def _expert(self) -> Guiding:
        return self._begin(self._first, self._now.instruction)

    async def take_back(self) -> None:
        """Undo the last step."""
        for rows in (self._turns, self._valid, self._taught):
            rows.pop()
        await self.open()

    async def begin_again(self) -> None:
        """Undo all steps."""
        for rows in (self._turns, self._valid, self._taught):
            rows.clear()
        await self.open()

    async def guided(self, span: int) -> None:
        """Let the expert play so many turns."""
        expert = self._expert()
        for turn in self._turns:
            expert.follow(turn.action, turn.observation)
        moves = play_moves(expert)
        move = next(moves, None)
        while move is not None and span and not self.ended:
            await self._step(move.action, move.thought, taught=move.taught)
            span -= 1
            try:
                move = moves.send(self._turns[-1].observation)
            except StopIteration:
                return

    async def _step(self, action: str, thought: str, *, taught: bool) -> None:
        self._state = await self._sessions.step(self._now.session_id, action)
        self._turns.append(Turn(action=action, observation=self._state.observation, thought=thought))
        self._valid.append(self._state.valid)
        self._taught.append(taught)

    def record(self, provenance: Provenance) -> Record:
        """What came of it.

        Raises:
            RoleError: There is nothing to learn.
        """
        if not any(self._taught):
            raise RoleError(ROLE, "no mistakes" if self._now.reward >= LEAST else "not corrected")
        if self._now.reward < LEAST:
            raise RoleError("expert", f"reward below {LEAST:g}", f"reward {self._now.reward:g}")
        return Record(
            environment=self._metadata.name,
            task_id=self._body.task_id or "",
            context=self.context,
            reward=self._now.reward,
            done=self._now.done,
            valid=self._valid,
            taught=self._taught,
            provenance=provenance,
        )
