"""A scripted environment that behaves: for tests and benchmarks of what is built on sessions.

A task is a corridor. `north` goes one cell on, `south` one back, `look` stays; whoever reaches the
end has won. Equal actions give equal observations, up to a process id that `normalise` takes out.
"""

import asyncio
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from envs.serving.environment import BadTaskError, Frame, InstanceLostError, Opening, UnknownTaskError
from envs.serving.grammar import any_of
from services.contracts.session import DoneMeans, Fork, Metadata, TerminalAction
from services.contracts.task import InlineTask, Task

SPLIT = "corridors"
LONGEST = 10_000
"""The longest corridor, cells."""
MOVES = {"north": 1, "south": -1, "look": 0}
"""Cells that each action goes north."""


@dataclass
class _Walker:
    length: int
    seed: int
    cell: int = 0
    pid: int = 0


class TwinEnvironment:
    """A deterministic environment whose latency, forks and accidents can be set.

    Args:
        latency: Time of a step, seconds.
        start_latency: Time of a start, seconds.
        fork: How it says that it forks.
        tasks: How many corridors there are; corridor n is n + 1 cells long.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        start_latency: float = 0.0,
        fork: Fork = Fork.REPLAY,
        tasks: int = 50,
    ) -> None:
        self.latency = latency
        self.start_latency = start_latency
        self.drifts = False
        """Whether instances started from now on answer otherwise than before."""
        self.starts = 0
        self.steps = 0
        self.walkers: dict[str, _Walker] = {}
        self._fork = fork
        self._tasks = tasks
        self._handles = itertools.count(1)

    @property
    def metadata(self) -> Metadata:
        """What the twin is."""
        return Metadata(
            name="twin",
            version="1",
            fork=self._fork,
            done_means=DoneMeans.SUCCESS,
            terminal_action=TerminalAction.NONE,
            splits=[SPLIT],
            takes_tasks=True,
            description="You stand in a corridor.",
            actions=", ".join(MOVES),
            engine="scripted",
        )

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Forget every instance."""
        self.walkers.clear()

    async def ready(self) -> str | None:
        """Always ready."""
        return None

    def count(self, split: str) -> int:
        """How many corridors there are."""
        return self._tasks if split == SPLIT else 0

    async def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Corridors by number."""
        return [await self.task(f"{split}/{number}") for number in range(start, stop)]

    async def task(self, task_id: str) -> Task:
        """One corridor."""
        match = re.fullmatch(rf"{SPLIT}/(\d{{1,9}})", task_id)
        if match is None or int(match[1]) >= self._tasks:
            raise UnknownTaskError(task_id)
        return Task(id=task_id, split=SPLIT, instruction=f"Go {int(match[1]) + 1} cells north.")

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Stand at the corridor's south end."""
        self.starts += 1
        await asyncio.sleep(self.start_latency)
        length = int(task.id.rpartition("/")[2]) + 1 if isinstance(task, Task) else _read_length(task)
        number = next(self._handles)
        walker = _Walker(length, seed, pid=number)
        self.walkers[f"w{number}"] = walker
        return Opening(f"w{number}", self._frame(walker), task.instruction)

    async def step(self, handle: str, action: str) -> Frame:
        """Walk."""
        await asyncio.sleep(self.latency)
        walker = self._walker(handle)
        self.steps += 1
        move = MOVES.get(action.strip().lower())
        if move is None:
            return Frame("Nothing happens.", valid=False)
        walker.cell = max(0, walker.cell + move)
        return self._frame(walker)

    async def fork(self, handle: str) -> str:
        """Copy a walker."""
        walker = self._walker(handle)
        number = next(self._handles)
        self.walkers[f"w{number}"] = _Walker(walker.length, walker.seed, walker.cell, number)
        return f"w{number}"

    async def end(self, handle: str) -> None:
        """Forget a walker."""
        self.walkers.pop(handle, None)

    def grammar(self, handle: str) -> str:
        """Return the three moves."""
        return any_of(MOVES)

    def normalise(self, observation: str) -> str:
        """Without the process id."""
        return re.sub(r"\(pid \d+\)", "(pid)", observation)

    def lose_all(self) -> None:
        """Lose every instance, as a dying worker does."""
        self.walkers.clear()

    def _walker(self, handle: str) -> _Walker:
        try:
            return self.walkers[handle]
        except KeyError:
            raise InstanceLostError(handle) from None

    def _frame(self, walker: _Walker) -> Frame:
        done = walker.cell >= walker.length
        drift = " It has changed." if self.drifts else ""
        text = f"Cell {walker.cell} of {walker.length}, seed {walker.seed} (pid {walker.pid}).{drift}"
        return Frame(text, reward=float(done), done=done, info={"cell": walker.cell})


def _read_length(task: InlineTask) -> int:
    length = task.data.get("length")
    if not isinstance(length, int) or isinstance(length, bool) or not 1 <= length <= LONGEST:
        raise BadTaskError(f"data.length is a number of cells, 1 to {LONGEST}")
    return length
