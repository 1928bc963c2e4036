"""Calls to another part over HTTP: bounded, with deadlines and retries.

What may be repeated is repeated: refused connections, reads that break, JSON that cannot be read, 429, 502,
503 and 504. A model call has no side effect, and everything else carries a key that makes it safe to repeat.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import httpx
import orjson
import structlog
from httpx_aiohttp import AiohttpTransport
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_before_delay

from services.contracts.problem import PROBLEM_MEDIA_TYPE, Problem
from services.kit.failures import BusyError, OutageError, RefusedError
from services.kit.origin import current_origin
from services.kit.problems import Kind
from services.kit.tracing import trace_headers

RETRIED_STATUS = frozenset({429, 502, 503, 504})
LOST_BY_ROUTER = ("error sending request for url", "error decoding response body")
"""What vllm-router answers with 500 where the engine that it chose is away, or dies under the request."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
LONGEST_RETRY_AFTER = 300.0
"""A longer `Retry-After` is taken for this, seconds."""
Reply = TypeVar("Reply", bound=BaseModel)
log = structlog.get_logger()


class _UnavailableError(Exception):
    """An attempt that may be repeated."""

    def __init__(
        self,
        reason: str,
        retry_after: float | None = None,
        *,
        busy: bool = False,
        problem: Problem | None = None,
        garbled: httpx.Response | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.busy = busy
        self.problem = problem
        self.garbled = garbled
        """A success whose body cannot be read."""


class Upstream:
    """One part that this process calls. Requests carry their origin and the current trace with them.

    Args:
        part: Its name in errors.
        url: Where it is, without a trailing slash.
        headers: Sent with every request.
        concurrency: Requests in flight; more wait their turn here, not in httpx's pool, whose cost
            is quadratic in the number that wait.
        waiting: Requests that may wait; more are refused (429).
        timeout: One request's deadline, waiting and retries included, seconds.
        retry_for: How long to go on trying a part that is away, seconds.
        proxied: Whether `HTTP_PROXY` and its like apply.
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
        proxied: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.part = part
        self.url = url.rstrip("/")
        self.shown = shown_url(self.url)
        self.timeout = timeout
        self.retry_for = retry_for
        self._places = asyncio.Semaphore(concurrency)
        self._limit = concurrency + waiting
        self._present = 0
        self._headers = dict(headers or {})
        self._timeout = httpx.Timeout(timeout, connect=min(5.0, timeout))
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        # Proxies and credentials in URLs are httpx's own; for all else, a transport alone costs half as much.
        own = proxied or "@" in urlsplit(url).netloc
        self._transport = transport if own else transport or AiohttpTransport(limits=limits)
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=self._headers,
            timeout=self._timeout,
            limits=limits,
            transport=self._transport,
            trust_env=proxied,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def alive(self) -> str | None:
        """For readiness: None where the part answers, else why it does not; checked once."""
        try:
            response = await self._http.get("/healthz", timeout=2.0)
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError) as error:
            return f"{_name_error(error)} at {self.shown}"
        return None if response.status_code == 200 else f"answers {response.status_code} at {self.shown}"

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        retry_for: float | None = None,
        timeout: float | None = None,
    ) -> httpx.Response:
        """Send one request; the answer is a success.

        Args:
            method: The HTTP method.
            path: Below the part's URL.
            body: Sent as JSON.
            params: The query.
            headers: Sent besides the part's own.
            retry_for: As the part's own, for this request; 0: one attempt.
            timeout: As the part's own, for this request.

        Raises:
            OutageError: The part is away, or does not answer in time.
            BusyError: It answers 429, or too many requests wait for it here.
            RefusedError: It answered anything else that is no success.
        """
        if self._present >= self._limit:
            raise BusyError(self.part, f"{self._limit} requests wait for it already", 1.0, answered=False)
        self._present += 1
        seconds = self.timeout if timeout is None else timeout
        deadline = asyncio.timeout(seconds)
        sent = False
        try:
            async with deadline, self._places:
                sent = True
                lasting = self.retry_for if retry_for is None else retry_for
                return await self._insist(method, path, body, params, headers, lasting)
        except TimeoutError:
            if not deadline.expired():
                raise
            if not sent:
                raise BusyError(
                    self.part, f"no place for it within {seconds:g} s", 1.0, answered=False
                ) from None
            raise OutageError(self.part, f"no answer within {seconds:g} s from {self.shown}") from None
        finally:
            self._present -= 1

    def read(self, response: httpx.Response, reply: type[Reply]) -> Reply:
        """Return an answer's message.

        Raises:
            RefusedError: The answer is not such a message.
        """
        try:
            return reply.model_validate_json(response.content, extra="ignore")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the body"
            kind = response.headers.get("content-type", "no content type")
            detail = f"its answer ({kind}) is no {reply.__name__}: {where}: {first['msg']}"
            problem = Problem(title=Kind.UPSTREAM.title, status=502, detail=detail)
            raise RefusedError(self.part, problem) from error

    async def _insist(
        self,
        method: str,
        path: str,
        body: Any,
        params: Mapping[str, str | int] | None,
        headers: Mapping[str, str] | None,
        retry_for: float,
    ) -> httpx.Response:
        content = None if body is None else orjson.dumps(body)
        carried = current_origin().headers() | trace_headers()
        sent = {"content-type": "application/json", **carried, **(headers or {})}
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_UnavailableError),
            wait=_pause,
            stop=stop_before_delay(retry_for),
            reraise=True,
        )
        try:
            return await attempts(self._attempt, method, path, content, params, sent)
        except _UnavailableError as error:
            if error.busy:
                raise BusyError(self.part, error.reason, error.retry_after or 1.0) from None
            if error.garbled is not None:  # it is no accident of the network: the reader refuses it
                return error.garbled
            raise OutageError(self.part, error.reason, error.problem) from None

    async def _attempt(
        self,
        method: str,
        path: str,
        content: bytes | None,
        params: Mapping[str, str | int] | None,
        headers: Mapping[str, str],
    ) -> httpx.Response:
        try:
            response = await self._send(method, path, content, params, headers)
        except (httpx.RequestError, aiohttp.ClientError) as error:
            if _is_timeout(error):
                raise OutageError(self.part, f"no answer in time from {self.shown}") from None
            raise _UnavailableError(f"{_name_error(error)} at {self.shown}: {error}") from error
        status = response.status_code
        if status < 300:
            if is_garbled(response):
                raise _UnavailableError("answered with JSON that cannot be read", garbled=response)
            return response
        problem = problem_of(response)
        if status == 500 and any(words in problem.detail for words in LOST_BY_ROUTER):
            raise _UnavailableError(f"answered {status}: {problem.detail}", problem=problem)
        # A part that answers 502 for itself has been answered wrongly: the same request gets the same.
        if status not in RETRIED_STATUS or (status == 502 and problem.name == Kind.UPSTREAM.slug):
            raise RefusedError(self.part, problem)
        reason = f"answered {status}: {problem.detail}"
        raise _UnavailableError(reason, _retry_after(response), busy=status == 429, problem=problem)

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | None,
        params: Mapping[str, str | int] | None,
        headers: Mapping[str, str],
    ) -> httpx.Response:
        if self._transport is None:
            return await self._http.request(method, path, content=content, params=params, headers=headers)
        request = httpx.Request(
            method,
            self.url + path,
            params=params,
            headers={**self._headers, **headers},
            content=content,
            extensions={"timeout": self._timeout.as_dict()},
        )
        response = await self._transport.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response


def _is_timeout(error: Exception) -> bool:
    """Return whether a request ran out of time; the transport names broken connections so, too."""
    if not isinstance(error, httpx.TimeoutException):
        return False
    return error.__cause__ is None or isinstance(error.__cause__, TimeoutError)


def _name_error(error: Exception) -> str:
    """Return what httpx calls an error; the transport takes broken connections for timeouts."""
    if not isinstance(error, httpx.TimeoutException) or _is_timeout(error):
        return type(error).__name__
    return "ConnectError" if isinstance(error.__cause__, aiohttp.ClientConnectorError) else "ReadError"


def is_garbled(response: httpx.Response) -> bool:
    """Return whether a body is declared as JSON and is not JSON."""
    if not response.content or "json" not in response.headers.get("content-type", ""):
        return False
    try:
        orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return True
    return False


def _pause(state: RetryCallState) -> float:
    """Seconds until the next attempt: exponential with jitter, and no less than `Retry-After`."""
    grown = min(FIRST_PAUSE * 2 ** (state.attempt_number - 1), LONGEST_PAUSE)
    error = state.outcome.exception() if state.outcome else None
    wanted = error.retry_after if isinstance(error, _UnavailableError) else None
    return max(grown * random.uniform(0.5, 1.0), wanted or 0.0)  # noqa: S311


def _retry_after(response: httpx.Response) -> float | None:
    """The seconds of `Retry-After`; None where there are none, or a date."""
    given = response.headers.get("retry-after", "")
    return min(float(given), LONGEST_RETRY_AFTER) if given.isascii() and given.isdigit() else None


def shown_url(url: str) -> str:
    """Return an address without the credentials and the query that it may hold."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def problem_of(response: httpx.Response) -> Problem:
    """Return the text of an error response: problem details, OpenAI's error shape, or plain text."""
    status = response.status_code if 100 <= response.status_code <= 599 else 502
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
    code = error.get("code") if isinstance(error, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if isinstance(code, str) and code not in str(message):  # pyright: ignore[reportUnknownArgumentType]
        message = f"{message} ({code})"
    return Problem(title=title, status=status, detail=str(message)[:500])  # pyright: ignore[reportUnknownArgumentType]
