"""Calls to another part over HTTP: bounded, with deadlines and retries.

What may be repeated is repeated: connections refused, reads that break, 429, 502, 503 and 504 (a model
call has no side effect, and everything else that we send carries a key that makes it safe).
"""

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
import structlog
from pydantic import ValidationError

from services.contracts.problem import PROBLEM_MEDIA_TYPE, Problem
from services.kit.problems import Kind, ProblemError

RETRIED_STATUS = frozenset({429, 502, 503, 504})
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
log = structlog.get_logger()


class OutageError(Exception):
    """A part could not be reached, or said that it cannot work now; trying later may help."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason


class RefusedError(Exception):
    """A part answered that the request is wrong; trying again will not help."""

    def __init__(self, part: str, problem: Problem) -> None:
        super().__init__(f"{part}: {problem.status} {problem.detail or problem.title}")
        self.part = part
        self.problem = problem


class Upstream:
    """One part that this process calls.

    Args:
        part: Its name, as errors tell it.
        url: Where it is, without a trailing slash.
        headers: Sent with every request.
        concurrency: Requests in flight; more wait their turn here, not in httpx's pool, whose cost
            is quadratic in the number that wait.
        waiting: Requests that may wait; more are refused (429).
        timeout: One request's deadline, waiting and retries included, seconds.
        retry_for: How long to go on trying a part that is not there, seconds.
    """

    def __init__(
        self,
        part: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        concurrency: int = 64,
        waiting: int = 1024,
        timeout: float = 60.0,
        retry_for: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.part = part
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.retry_for = retry_for
        self._places = asyncio.Semaphore(concurrency)
        self._limit = concurrency + waiting
        self._present = 0
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=dict(headers or {}),
            timeout=httpx.Timeout(timeout, connect=min(5.0, timeout)),
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            transport=transport,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def alive(self) -> str | None:
        """For readiness: None where the part answers, else why it does not; asked once."""
        try:
            response = await self._http.get("/healthz", timeout=2.0)
        except httpx.HTTPError as error:
            return f"{type(error).__name__} at {self.url}"
        return None if response.status_code == 200 else f"answers {response.status_code} at {self.url}"

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request; the answer is a success.

        Raises:
            OutageError: The part is not there, or not in time.
            RefusedError: It answered 4xx or 500.
            ProblemError: Too many requests wait for this part already.
        """
        if self._present >= self._limit:
            raise ProblemError(
                Kind.TOO_MANY, f"{self._limit} requests wait for {self.part} already.", retry_after=1
            )
        self._present += 1
        try:
            async with asyncio.timeout(self.timeout), self._places:
                return await self._insist(method, path, body, params, headers)
        except TimeoutError:
            raise OutageError(self.part, f"no answer within {self.timeout:g} s from {self.url}") from None
        finally:
            self._present -= 1

    async def _insist(
        self,
        method: str,
        path: str,
        body: Any,
        params: Mapping[str, str | int] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response:
        content = None if body is None else orjson.dumps(body)
        sent = {"content-type": "application/json", **(headers or {})}
        give_up = time.monotonic() + self.retry_for
        pause = FIRST_PAUSE
        while True:
            try:
                response = await self._http.request(
                    method, path, content=content, params=params, headers=sent
                )
                if response.status_code < 400:
                    return response
                if response.status_code not in RETRIED_STATUS:
                    raise RefusedError(self.part, problem_of(response))
                reason = f"answered {response.status_code}: {problem_of(response).detail}"
            except httpx.TimeoutException:
                raise OutageError(self.part, f"no answer in time from {self.url}") from None
            except httpx.TransportError as error:
                reason = f"{type(error).__name__} at {self.url}: {error}"
            if time.monotonic() + pause > give_up:
                raise OutageError(self.part, reason)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE)


def problem_of(response: httpx.Response) -> Problem:
    """What an error response says: problem details, OpenAI's error shape, or plain text."""
    status = response.status_code
    title = Kind.of_status(status).title
    try:
        data = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return Problem(title=title, status=status, detail=response.text[:500])
    if response.headers.get("content-type", "").startswith(PROBLEM_MEDIA_TYPE):
        try:
            return Problem.model_validate(data)
        except ValidationError:
            return Problem(title=title, status=status, detail=str(data)[:500])
    error = data.get("error", data) if isinstance(data, dict) else data  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    message = error.get("message", error) if isinstance(error, dict) else error  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return Problem(title=title, status=status, detail=str(message)[:500])  # pyright: ignore[reportUnknownArgumentType]
