"""Values: how often the served actor succeeds from a state, measured by playing on from forks of it.

The actor plays a task. At some states of its own path other candidates are sampled; each is taken in a fork,
and from there the task is played to its end several times, the first time greedily. The share of these
rollouts that succeed is the state's value. The judge learns it as Yes or No, drawn by the share. Where
another candidate did better than the actor's own, the rollout that succeeded is a trajectory for the actor,
taught from that candidate on: what a search would find is distilled into the policy.
"""

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espalier.client import AsyncActor, AsyncSessions
from services.contracts.action import Candidate
from services.contracts.context import Turn
from services.contracts.session import SessionCreate
from training.construct.collect import drawn
from training.construct.experts import find_licence
from training.construct.making import Made, Report, make_records
from training.construct.record import Provenance, Record
from training.construct.roles import RoleError
from training.construct.rollouts import Line, Rollouts, normalise_action

LEAST = 0.99
"""The least reward of a success."""
CANDIDATES, HOT = 4, 1.0
"""Samples at a state, and their temperature."""
OTHERS = 2
"""Candidates of a state that are tried beside the actor's own."""
TIMEOUT = 120.0
"""One call to the actor or the environment, seconds."""


@dataclass(frozen=True)
class Effort:
    """How much is played for one task."""

    states: int = 2
    """States of the path whose candidates are valued."""
    visited: int = 0
    """States of the path that are valued by how it ended, without rollouts."""
    rollouts: int = 2
    """From each candidate."""
    temperature: float = 0.7
    """Of the rollouts after the first."""
    equal: float = 0.35
    """The share of states whose candidates are worth the same that is kept: they show no difference."""
    forecasts: float = 0.2
    """The share of values that are learned of the action alone, without what it led to."""


@dataclass
class _Valued:
    """A candidate that was taken at a state, and what came of it."""

    turn: Turn
    line: Line
    """A rollout that succeeded, or the first."""
    wins: list[bool]
    """Whether each rollout succeeded, the greedy one first."""

    @property
    def share(self) -> float:
        """The share of rollouts that succeeded."""
        return sum(self.wins) / len(self.wins)


async def make_values(
    environment: str,
    url: str,
    actor_url: str,
    split: str,
    out: Path,
    report: Report,
    *,
    limit: int,
    seed: int,
    effort: Effort,
    concurrency: int,
) -> Made:
    """Value states of the actor's own paths through tasks of an environment.

    Args:
        environment: Its name.
        url: Its server.
        actor_url: The actor's service.
        split: The tasks to draw from.
        out: The file of records; a task that it holds is not played again.
        report: Called with a line of progress now and then.
        limit: How many tasks.
        seed: Which tasks; the sessions' seed too.
        effort: How much is played for each.
        concurrency: Tasks at once.

    Raises:
        RecordError: The file holds something else.
        EspalierError: The environment does not answer, or has no such split.
    """
    async with contextlib.AsyncExitStack() as stack:
        sessions = await stack.enter_async_context(AsyncSessions(url, timeout=TIMEOUT))
        actor = await stack.enter_async_context(AsyncActor(actor_url, timeout=TIMEOUT))
        rollouts = Rollouts(sessions, await sessions.metadata(), actor)
        tasks = await drawn(sessions, split, limit, f"values/{seed}")
        licence = find_licence(environment, split)
        provenance = Provenance(source="rollouts", split=split, seed=seed, licence=licence)

        async def make(task_id: str) -> list[Record]:
            return await value_task(rollouts, task_id, effort, provenance)

        return await make_records(tasks, make, out, report, environment=environment, concurrency=concurrency)


async def value_task(
    rollouts: Rollouts, task_id: str, effort: Effort, provenance: Provenance
) -> list[Record]:
    """Play a task and value candidates at states of the path.

    Returns:
        The values, and trajectories that did better than the actor.

    Raises:
        RoleError: No state had more than one candidate.
        EspalierError: A part refused, or is away.
    """
    draw = random.Random(f"values/{provenance.seed}/{task_id}")  # noqa: S311
    seed = draw.randrange(2**30)
    state = await rollouts.sessions.create(SessionCreate(task_id=task_id, seed=provenance.seed))
    path = Line(state.observation, state)
    try:
        await rollouts.play(path, temperature=0.0, seed=seed)
        records: list[Record] = []
        won = path.state.reward >= LEAST
        count = min(effort.visited, len(path.turns))
        for at in sorted(draw.sample(range(len(path.turns)), count)):
            visited = _Valued(path.turns[at], path, [won])
            records += _record(rollouts, path, at, [visited], draw, task_id, provenance, effort)
        left, equal = effort.states, False
        for at in draw.sample(range(len(path.turns)), len(path.turns)):
            if not left:
                break
            group = await _value_state(rollouts, path, at, effort, seed)
            if len(group) > 1:
                left -= 1
                if len({one.share for one in group}) > 1 or draw.random() < effort.equal:
                    records += _record(rollouts, path, at, group, draw, task_id, provenance, effort)
                else:
                    equal = True
    finally:
        await rollouts.close(path)
    if not records and equal:
        raise RoleError("actor", "no difference", "the candidates of its states were worth the same")
    if not records:
        raise RoleError("actor", "no other candidate", "its samples are the actions that it takes anyway")
    return records


async def _value_state(rollouts: Rollouts, path: Line, at: int, effort: Effort, seed: int) -> list[_Valued]:
    """Value the candidates of a state of a path that was played to its end, the actor's own first."""
    taken = path.turns[at]
    context = rollouts.context(path, path.turns[:at])
    sampled = await rollouts.propose(context, n=CANDIDATES, temperature=HOT, seed=(seed + at) % 2**31)
    names = [normalise_action(taken.action)]
    others: list[Candidate] = []
    for candidate in sampled:
        name = normalise_action(candidate.action)
        if name not in names and len(others) < OTHERS:
            names.append(name)
            others.append(candidate)
    if not others:
        return []

    async def play_on(first: Line) -> _Valued:
        """Play from a state after the candidate, whose first rollout is played already."""
        best, wins = first, [first.state.reward >= LEAST]
        for number in range(1, effort.rollouts):
            line = await rollouts.fork(first, at + 1)
            try:
                await rollouts.play(line, temperature=effort.temperature, seed=seed + 1000 * number)
            finally:
                await rollouts.close(line)
            wins.append(line.state.reward >= LEAST)
            best = line if wins[-1] and not any(wins[:-1]) else best
        return _Valued(first.turns[at], best, wins)

    group = [await play_on(path)]
    for candidate in others:
        line = await rollouts.fork(path, at)
        try:
            await rollouts.step(line, candidate)
            if line.valid[-1]:  # what is refused loses without a judge
                await rollouts.play(line, temperature=0.0, seed=seed)
                group.append(await play_on(line))
        finally:
            await rollouts.close(line)
    return group


def _record(
    rollouts: Rollouts,
    path: Line,
    at: int,
    group: Sequence[_Valued],
    draw: random.Random,
    task_id: str,
    provenance: Provenance,
    effort: Effort,
) -> list[Record]:
    """Return the records of one state's candidates."""
    environment = rollouts.metadata.name
    records: list[Record] = []
    for place, one in enumerate(group):
        turn = one.turn
        if draw.random() < effort.forecasts:
            turn = turn.model_copy(update={"observation": ""})
        records.append(
            Record(
                environment=environment,
                task_id=task_id,
                kind="value",
                context=rollouts.context(path, [*path.turns[:at], turn]),
                question={
                    "share": one.share,
                    "wins": one.wins,
                    "visited": len(group) == 1,
                    "state": at,
                    "own": place == 0,
                    "logprob": one.line.logprobs[at],
                },
                answer="Yes" if draw.random() < one.share else "No",
                provenance=provenance,
            )
        )
    best = max(group, key=lambda one: one.share)
    if best.share > group[0].share and best.line.state.reward >= LEAST:
        line = best.line
        records.append(
            Record(
                environment=environment,
                task_id=task_id,
                context=rollouts.context(line),
                reward=line.state.reward,
                done=line.state.done,
                valid=line.valid,
                taught=[place >= at for place in range(len(line.turns))],
                provenance=provenance,
            )
        )
    return records
