"""Where branches run: as tasks of the job that opened them, or as jobs that any worker takes.

A job is one branch and all local ones below it. A branch that waits for jobs parks: its job ends, holds no
slot, and is ready again when they have closed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence

from pydantic import BaseModel

from services.contracts.event import BranchClosed, Event
from services.contracts.event_data import Closing, Opening, Parking, Place, Spent
from services.contracts.usage import Usage
from services.orchestrator.durable.budget import count_spent
from services.orchestrator.durable.errors import BrokenError, LaidAside, Parked
from services.orchestrator.durable.ground import Ground
from services.orchestrator.durable.slots import Slots
from services.orchestrator.identity import is_within
from services.orchestrator.settings import Branches

LOOK = 0.25
"""Between two looks whether a job has closed, while local branches run on, seconds."""
RunBranch = Callable[[str, Opening, BaseModel], Awaitable[Closing]]
"""Runs a branch here: its id, its opening, its arguments."""


class Scheduler:
    """The branches that one job has opened.

    Args:
        ground: What the job stands on.
        closed: Branches that have closed already.
        run_branch: Runs a local branch.
        slots: The worker's slots, for `auto`.
        mode: Where branches run.
    """

    def __init__(
        self,
        ground: Ground,
        closed: dict[str, Closing],
        run_branch: RunBranch,
        slots: Slots,
        mode: Branches,
    ) -> None:
        self._ground = ground
        self._closed = closed
        self._run_branch = run_branch
        self._slots = slots
        self._mode = mode
        self._tasks: dict[str, asyncio.Task[Closing]] = {}
        self._waiting: set[str] = set()
        """Branches of this job that wait for others."""

    def choose_place(self) -> Place:
        """Return where a branch that is opened now runs."""
        if self._mode is Branches.SPREAD:
            return Place.JOB
        if self._mode is Branches.LOCAL or self._slots.free():
            return Place.LOCAL
        return Place.JOB

    def start(self, branch: str, opening: Opening, arguments: BaseModel) -> None:
        """Begin a branch, if it is one of this job and has not closed."""
        local = opening.place is Place.LOCAL or not self._ground.live
        if branch in self._closed or branch in self._tasks or not local:
            return
        task = asyncio.create_task(self._run(branch, opening, arguments))
        task.add_done_callback(_read_exception)
        self._tasks[branch] = task

    async def _run(self, branch: str, opening: Opening, arguments: BaseModel) -> Closing:
        self._slots.occupy()
        try:
            closing = self._closed[branch] = await self._run_branch(branch, opening, arguments)
            return closing
        finally:
            self._slots.give_back()

    async def gather(self, waiter: str, branches: Sequence[str]) -> list[Closing]:
        """Wait until branches have closed and return how.

        Raises:
            Parked: Some of them run elsewhere and have not closed.
        """
        with self._wait(waiter):
            await self._settle(self._list_tasks(branches))
            while open_ := await self._find_open(branches):
                if not await self._wait_a_moment():
                    raise Parked(Parking(branches=open_))
        closings = [self._closed[branch] for branch in branches]
        for branch, closing in zip(branches, closings, strict=True):
            if closing.failure == "error":
                raise BrokenError(f"branch {branch}: {closing.detail}")
        return closings

    async def first(self, waiter: str, branches: Sequence[str]) -> str:
        """Wait until one of several branches has closed and return which. Raises as `gather` does."""
        with self._wait(waiter):
            while True:
                open_ = await self._find_open(branches)
                if len(open_) < len(set(branches)):
                    return next(branch for branch in self._closed if branch in branches)
                tasks = self._list_tasks(branches)
                if any(_broken(task) for task in tasks) or (tasks and all(task.done() for task in tasks)):
                    try:
                        await self._settle([task for task in tasks if task.done()])
                    except Parked as parked:  # whichever comes first: what they wait for, or a job
                        jobs = [branch for branch in open_ if branch not in self._tasks]
                        names = [*parked.waits.branches, *jobs]
                        raise Parked(Parking(branches=names, first=True)) from None
                if await self._wait_a_moment():
                    continue
                if not tasks:
                    raise Parked(Parking(branches=open_, first=True))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    async def cancel(self, branches: Sequence[str]) -> dict[str, Spent]:
        """End branches early and return what each has spent."""
        open_ = await self._find_open(branches)
        below = [name for name in self._tasks if any(is_within(name, branch) for branch in open_)]
        await _stop(self._tasks[name] for name in below)
        await self._ground.writer.flush()
        await self._ground.store.cancel(self._ground.job, open_)
        for name in below:
            self._tasks.pop(name)
        await self._find_open(branches)
        unknown = [branch for branch in branches if self._closed[branch].failure == "cancelled"]
        spent = fold_spent(await self._ground.history(), unknown)
        return {branch: spent.get(branch) or self._closed[branch] for branch in branches}

    async def pause(self, branch: str, seconds: float) -> bool:
        """Wait while other branches run here; False where none does."""
        if not self._list_running(branch):
            return False
        with self._wait(branch):
            until = asyncio.get_running_loop().time() + seconds
            while (left := until - asyncio.get_running_loop().time()) > 0:
                running = self._list_running(branch)
                if not running:
                    break
                await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def stop(self, above: str = "") -> None:
        """Stop the branches that still run here.

        Args:
            above: Only those below this branch, which is about to close.

        Raises:
            Exception: A branch that nobody waited for broke.
        """
        names = [name for name in self._tasks if not above or (name != above and is_within(name, above))]
        broken = [error for name in names if (error := _broken(self._tasks[name]))]
        await _stop(self._tasks[name] for name in names)
        if broken:
            raise broken[0]

    async def halt(self) -> None:
        """Stop the branches that still run here, whatever became of them."""
        await _stop(self._tasks.values())

    async def _settle(self, tasks: Sequence["asyncio.Task[Closing]"]) -> None:
        """Wait for branches. What only stops them is raised when all others have come to rest, too."""
        try:
            await _settle(tasks)
        except LaidAside:
            while await self._wait_a_moment():
                pass
            raise

    async def _find_open(self, branches: Sequence[str]) -> list[str]:
        """Return which branches have not closed, after a look at those that run elsewhere."""
        open_ = [branch for branch in dict.fromkeys(branches) if branch not in self._closed]
        elsewhere = [branch for branch in open_ if branch not in self._tasks]
        if elsewhere and self._ground.live:
            ends = await self._ground.store.closings(self._ground.job.episode, elsewhere)
            entries = sorted(ends.values(), key=_parse_entry)
            for event in await self._ground.store.entries(self._ground.job.episode, entries):
                if isinstance(event, BranchClosed):
                    self._closed[event.branch] = event.data
        return [branch for branch in dict.fromkeys(branches) if branch not in self._closed]

    async def _wait_a_moment(self) -> bool:
        """Wait while local branches run that wait for nobody; False where there is none."""
        running = self._list_running()
        if not running:
            return False
        await asyncio.wait(running, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        return True

    def _list_running(self, but: str = "") -> "list[asyncio.Task[Closing]]":
        """Return the branches here, but one, that neither have come to rest nor wait for others."""
        return [
            task
            for name, task in self._tasks.items()
            if not task.done() and name not in self._waiting and name != but
        ]

    @contextlib.contextmanager
    def _wait(self, waiter: str) -> Generator[None]:
        """Give the waiting branch's slot back meanwhile."""
        self._waiting.add(waiter)
        self._slots.give_back()
        try:
            yield
        finally:
            self._slots.occupy()
            self._waiting.discard(waiter)

    def _list_tasks(self, branches: Sequence[str]) -> "list[asyncio.Task[Closing]]":
        return [
            self._tasks[branch] for branch in branches if branch in self._tasks and branch not in self._closed
        ]


def fold_spent(events: Iterable[Event], branches: Sequence[str]) -> dict[str, Spent]:
    """Return what branches spent, with all below them, as far as the log has it."""
    totals = {branch: Usage() for branch in branches}
    for event in events:
        usage = getattr(event.data, "usage", None)
        if usage is not None:
            for branch in branches:
                if is_within(event.branch, branch):
                    totals[branch] += usage
    return {branch: count_spent(usage) for branch, usage in totals.items()}


async def _settle(tasks: Iterable["asyncio.Task[Closing]"]) -> None:
    """Wait for branches. What only stops one of them is raised when all others have come to an end."""
    pending, stopped = set(tasks), list[BaseException]()
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            error = task.exception()
            if isinstance(error, LaidAside | Parked):
                stopped.append(error)
            elif error is not None:
                raise error
    parked = [error for error in stopped if isinstance(error, Parked)]
    if len(parked) < len(stopped):
        raise next(error for error in stopped if not isinstance(error, Parked))
    if len(parked) > 1:
        names = [name for error in parked for name in error.waits.branches]
        raise Parked(Parking(branches=names, first=True))
    if parked:
        raise parked[0]


async def _stop(tasks: Iterable["asyncio.Task[Closing]"]) -> None:
    stopped = list(tasks)
    for task in stopped:
        task.cancel()
    await asyncio.gather(*stopped, return_exceptions=True)


def _broken(task: "asyncio.Task[Closing]") -> Exception | None:
    """Return what broke a branch, but for what only stops it."""
    error = task.exception() if task.done() and not task.cancelled() else None
    return error if isinstance(error, Exception) else None


def _parse_entry(entry: str) -> tuple[int, int]:
    time, number = entry.split("-")
    return int(time), int(number)


def _read_exception(task: "asyncio.Task[Closing]") -> None:
    """Mark a task's error as seen: whoever waits for the branch raises it."""
    if not task.cancelled():
        task.exception()
