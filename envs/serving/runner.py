"""An environment's calls with deadlines, and replays that are compared with what was shown before."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import structlog

from envs.serving.environment import (
    BadTaskError,
    EngineUnavailableError,
    Environment,
    Frame,
    InstanceLostError,
    Opening,
)
from envs.serving.session import Origin, Past
from envs.serving.settings import EnvironmentSettings
from services.contracts.task import InlineTask, Task
from services.kit.problems import Kind, ProblemError

T = TypeVar("T")
log = structlog.get_logger()


class RebuildError(Exception):
    """Raised when a replay did not show what the history has."""


def lost() -> ProblemError:
    """The answer where an instance could not be kept."""
    return ProblemError(
        Kind.UNAVAILABLE, "The environment's instance was lost twice in a row; try again.", retry_after=2
    )


class Runner:
    """Runs instances of one environment."""

    def __init__(self, environment: Environment, settings: EnvironmentSettings) -> None:
        self._environment = environment
        self._settings = settings
        self._endings: set[asyncio.Task[None]] = set()

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Start an instance; once more where it is lost at once.

        Raises:
            ProblemError: 422 a bad task, 503, 504.
        """
        for attempt in (1, 2):
            try:
                return await self._within("START", self._environment.start(task, seed))
            except BadTaskError as error:
                raise ProblemError.field("task", str(error)) from error
            except InstanceLostError as error:
                if attempt == 2:
                    raise lost() from error
        raise AssertionError("unreachable")

    async def step(self, handle: str, action: str) -> Frame:
        """Take one action.

        Raises:
            InstanceLostError: The instance is gone.
            ProblemError: 503, 504.
        """
        return await self._within("ACTION", self._environment.step(handle, action))

    async def copy(self, handle: str) -> str:
        """A copy of an instance, where the environment can make one.

        Raises:
            InstanceLostError: The instance is gone.
            ProblemError: 503, 504.
        """
        return await self._within("ACTION", self._environment.fork(handle))

    async def replay(self, origin: Origin, history: Sequence[Past]) -> str:
        """A new instance in the state that a history leads to.

        Raises:
            RebuildError: It showed something else than before.
            InstanceLostError: The new instance was lost on the way.
            ProblemError: 503, 504.
        """
        opening = await self.start(origin.task, origin.seed)
        try:
            self._compare(0, origin.first, opening.frame)
            for number, past in enumerate(history, start=1):
                self._compare(number, past.frame, await self.step(opening.handle, past.action))
        except BaseException:
            self.end(opening.handle)
            raise
        return opening.handle

    def end(self, handle: str) -> None:
        """Let an instance go, without waiting for it."""
        task = asyncio.ensure_future(self._ended(handle))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def drained(self, seconds: float) -> None:
        """Wait until the instances that were let go have ended, for so long at most."""
        if self._endings:
            await asyncio.wait(self._endings, timeout=seconds)

    async def _ended(self, handle: str) -> None:
        try:
            await self._environment.end(handle)
        except Exception as error:  # an instance that will not end is the environment's to reclaim
            log.warning("instance did not end", error=f"{type(error).__name__}: {error}")

    def _compare(self, number: int, before: Frame, now: Frame) -> None:
        normalise = self._environment.normalise
        same = normalise(before.observation) == normalise(now.observation)
        if not same or (before.reward, before.done) != (now.reward, now.done):
            raise RebuildError(
                f"step {number} showed {now.observation[:200]!r} where it had shown "
                f"{before.observation[:200]!r}"
            )

    async def _within(self, what: str, call: Awaitable[T]) -> T:
        seconds = self._settings.start_timeout if what == "START" else self._settings.action_timeout
        try:
            async with asyncio.timeout(seconds):
                return await call
        except TimeoutError as error:
            raise ProblemError(
                Kind.TIMEOUT,
                f"The environment did not answer within {seconds:g} s (ESPALIER_{what}_TIMEOUT); "
                "the action counts as not taken.",
            ) from error
        except EngineUnavailableError as error:
            raise ProblemError(Kind.UNAVAILABLE, str(error), retry_after=5) from error
