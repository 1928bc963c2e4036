"""Repeats calls while Redis is away."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from services.orchestrator.store.transient import is_transient

P = ParamSpec("P")
T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


class Patient(Protocol):
    """What has a patience, in seconds."""

    patience: float


S = TypeVar("S", bound=Patient)


def patient(
    call: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Awaitable[T]]:
    """Repeat a method on transient errors of Redis for as long as its object's patience lasts.

    The method has to be safe to repeat: a call whose answer was lost may have been done.
    """

    @wraps(call)
    async def repeated(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await call(self, *args, **kwargs)  # nearly always: without the machinery of retries
        except Exception as error:
            if not is_transient(error):
                raise
        attempts = AsyncRetrying(
            retry=retry_if_exception(is_transient),
            wait=wait_exponential_jitter(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE, jitter=FIRST_PAUSE),
            stop=stop_after_delay(self.patience),
            reraise=True,
        )
        return await attempts(call, self, *args, **kwargs)

    return repeated
