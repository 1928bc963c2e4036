"""What every part shares: the app factory, and calls to other parts."""

import asyncio
import hmac
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, SecretStr

from services.contracts.problem import Problem
from services.kit import auth, problems
from services.kit.app import create_app
from services.kit.failures import BusyError, OutageError, RefusedError
from services.kit.problems import Kind
from services.kit.settings import Settings
from services.kit.upstream import Upstream
from tests.support import free_port, served

PROBLEM = "application/problem+json"
LIMIT = 2000


class Body(BaseModel):
    """What the probe takes."""

    number: int


async def wrong() -> str | None:
    return "it is cold"


async def broken() -> str | None:
    raise LookupError("lost")


def probe(settings: Settings, **options: Any) -> FastAPI:
    """A part with a route of every temper."""
    app = create_app("probe", settings=settings, **options)

    @app.post("/numbers")
    async def numbers(body: Body) -> int:
        return body.number

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.Event().wait()

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("a secret detail")

    @app.get("/away")
    async def away() -> None:
        raise OutageError("model", "nobody is there")

    @app.get("/refused")
    async def refused() -> None:
        raise RefusedError("model", problems.ProblemError(Kind.GONE, "it went").problem())

    return app


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    limits: dict[str, Any] = {"max_body_bytes": LIMIT}
    keys = SecretStr("first-key, second-key")
    with ExitStack() as running:
        yield {
            "open": running.enter_context(served(probe(Settings(**limits)))),
            "hasty": running.enter_context(served(probe(Settings(request_timeout=0.3)))),
            "locked": running.enter_context(served(probe(Settings(api_keys=keys)))),
            "sick": running.enter_context(
                served(probe(Settings(**limits), checks={"stove": wrong, "shelf": broken}))
            ),
        }


def found(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """The problem that an answer is."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    problem = answer.json()
    assert problem["type"] == f"{problems.DOCUMENTATION}#{name}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["instance"] == answer.request.url.path
    return problem


# Keys


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer first-key,second-key", "Basic first-key", "x"]
)
def test_without_a_key_nothing_is_served(urls: dict[str, str], header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    for path in ("/numbers", "/openapi.json", "/docs", "/nowhere"):
        answer = httpx.get(f"{urls['locked']}{path}", headers=headers)
        found(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["first-key", "second-key"])
def test_each_key_opens(urls: dict[str, str], key: str) -> None:
    headers = auth.bearer(key)
    assert httpx.post(f"{urls['locked']}/numbers", json={"number": 4}, headers=headers).json() == 4


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_and_metrics_need_no_key(urls: dict[str, str], path: str) -> None:
    assert httpx.get(f"{urls['locked']}{path}").status_code == 200


def test_keys_are_compared_in_constant_time_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(given: bytes, key: bytes) -> bool:
        compared.append(key)
        return given == key

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert auth.authorised("bearer a", ["a", "b"])
    assert compared == [b"a", b"b"]
    assert not auth.authorised("Bearer ", ["a"])


@pytest.mark.parametrize(
    ("host", "key", "refused"),
    [
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "", True),
        ("10.0.0.7", "", True),
        ("example.org", "", True),
        ("0.0.0.0", "key", False),
    ],
)
def test_listening_off_loopback_needs_a_key(host: str, key: str, refused: bool) -> None:
    settings = Settings(host=host, api_keys=SecretStr(key))
    if refused:
        with pytest.raises(ValueError, match="ESPALIER_API_KEYS"):
            create_app("probe", settings=settings)
    else:
        create_app("probe", settings=settings)


# Limits


def chunks(size: int) -> Iterator[bytes]:
    """A body without a Content-Length."""
    yield b'{"number": 4'
    yield from (b" " * 100 for _ in range(size // 100))
    yield b"}"


@pytest.mark.parametrize("known", [True, False])
def test_a_large_body_is_refused(urls: dict[str, str], known: bool) -> None:
    url = f"{urls['open']}/numbers"
    content: Callable[[int], Any] = (lambda size: b"".join(chunks(size))) if known else chunks
    headers = {"content-type": "application/json"}
    assert httpx.post(url, content=content(LIMIT // 2), headers=headers).json() == 4
    answer = httpx.post(url, content=content(LIMIT * 2), headers=headers)
    problem = found(answer, 413, "too-large")
    assert str(LIMIT) in problem["detail"]
    assert "ESPALIER_MAX_BODY_BYTES" in problem["detail"]


def test_a_slow_answer_is_cut_off(urls: dict[str, str]) -> None:
    problem = found(httpx.get(f"{urls['hasty']}/slow"), 504, "timeout")
    assert "ESPALIER_REQUEST_TIMEOUT" in problem["detail"]


# Errors


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "name", "says"),
    [
        ("GET", "/nowhere", "", 404, "not-found", "/openapi.json"),
        ("DELETE", "/numbers", "", 405, "method-not-allowed", "Not Allowed"),
        ("POST", "/numbers", "{", 400, "bad-request", "JSON"),
        ("POST", "/numbers", "", 422, "unprocessable", "body"),
        ("POST", "/numbers", '{"number": "four"}', 422, "unprocessable", "body.number"),
        ("GET", "/away", "", 503, "unavailable", "nobody is there"),
        ("GET", "/refused", "", 410, "gone", "model: it went"),
    ],
)
def test_every_error_is_a_problem(
    urls: dict[str, str], method: str, path: str, content: str, status: int, name: str, says: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.request(method, f"{urls['open']}{path}", content=content, headers=headers)
    problem = found(answer, status, name)
    assert says in problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_a_field_that_is_wrong_is_named(urls: dict[str, str]) -> None:
    answer = httpx.post(f"{urls['open']}/numbers", json={"number": "four"})
    [field] = answer.json()["errors"]
    assert field["field"] == "body.number"
    assert "integer" in field["message"]


def test_a_bug_is_told_without_its_insides(urls: dict[str, str]) -> None:
    problem = found(httpx.get(f"{urls['open']}/bug"), 500, "internal")
    assert "RuntimeError" in problem["detail"]
    assert "secret" not in problem["detail"]
    assert problem["request_id"]


def test_kinds_are_told_apart_and_general_ones_come_first() -> None:
    assert len({kind.slug for kind in Kind}) == len(Kind)
    assert [Kind.of_status(status) for status in (404, 409, 422, 418)] == [
        Kind.NOT_FOUND,
        Kind.CONFLICT,
        Kind.UNPROCESSABLE,
        Kind.INTERNAL,
    ]


def test_request_ids_are_kept_or_made(urls: dict[str, str]) -> None:
    kept = httpx.get(f"{urls['open']}/healthz", headers={"x-request-id": "mine"})
    made = [httpx.get(f"{urls['open']}/healthz").headers["x-request-id"] for _ in range(2)]
    assert kept.headers["x-request-id"] == "mine"
    assert len({*made, ""}) == 3


# Health and metrics


def test_readiness_tells_every_dependency(urls: dict[str, str]) -> None:
    ready = httpx.get(f"{urls['open']}/readyz")
    sick = httpx.get(f"{urls['sick']}/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert sick.status_code == 503
    assert sick.json()["dependencies"] == {"stove": "it is cold", "shelf": "LookupError: lost"}
    assert httpx.get(f"{urls['sick']}/healthz").status_code == 200


def test_requests_are_counted_by_route_and_not_by_path(urls: dict[str, str]) -> None:
    for number in range(3):
        httpx.get(f"{urls['sick']}/nowhere/{number}")
    httpx.post(f"{urls['sick']}/numbers", json={"number": 1})
    answer = httpx.get(f"{urls['sick']}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    counted = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "espalier_http_requests_total"
    }
    assert counted["unmatched", "404"] == 3
    assert counted["/numbers", "200"] == 1


# Calls to other parts


def answering(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A part that gives these answers in order, the last for ever; what it was asked."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.MockTransport(handle), asked


def upstream(transport: httpx.AsyncBaseTransport, **options: Any) -> Upstream:
    return Upstream("judge", "http://judge", transport=transport, **options)


@pytest.mark.parametrize(
    "first",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("broken"),
        httpx.RemoteProtocolError("half an answer"),
        httpx.Response(200, content=b'{"fine": \xff}', headers={"content-type": "application/json"}),
        *(httpx.Response(status) for status in (429, 502, 503, 504)),
    ],
)
async def test_what_may_pass_is_tried_again(first: httpx.Response | Exception) -> None:
    transport, asked = answering(first, httpx.Response(200, json={"fine": True}))
    answer = await upstream(transport).request("POST", "/v1/plans", {"k": 3})
    assert answer.json() == {"fine": True}
    assert [request.content for request in asked] == [b'{"k":3}'] * 2


async def test_an_answer_that_stays_unreadable_is_refused() -> None:
    garbled = httpx.Response(200, content=b"{", headers={"content-type": "application/json"})
    transport, asked = answering(garbled)
    client = upstream(transport, retry_for=0.5)
    with pytest.raises(RefusedError, match="is no Problem"):
        client.read(await client.request("GET", "/"), Problem)
    assert len(asked) >= 2


async def test_a_part_that_is_not_there_is_an_outage() -> None:
    client = Upstream("judge", f"http://127.0.0.1:{free_port()}", retry_for=0.15)
    with pytest.raises(OutageError, match="ConnectError") as outage:
        await client.request("GET", "/")
    assert outage.value.part == "judge"
    await client.close()


async def test_a_connection_that_is_closed_in_mid_answer_is_tried_again() -> None:
    answers = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, family=socket.AF_INET)
    client = Upstream("judge", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        assert (await client.request("GET", "/")).content == b"{}"
        await client.close()
    assert answers == []


async def test_it_gives_up_in_time_and_says_what_it_heard() -> None:
    transport, asked = answering(httpx.Response(503, json={"error": {"message": "loading"}}))
    with pytest.raises(OutageError, match="answered 503: loading"):
        await upstream(transport, retry_for=0.5).request("GET", "/")
    assert len(asked) >= 2


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
async def test_a_refusal_is_final_and_keeps_its_problem(status: int) -> None:
    problem = {"type": "x#unprocessable", "title": "No", "status": status, "detail": "k", "allowed": ["a"]}
    refusal = httpx.Response(status, json=problem, headers={"content-type": PROBLEM})
    transport, asked = answering(refusal)
    with pytest.raises(RefusedError) as refused:
        await upstream(transport).request("GET", "/")
    assert refused.value.problem.model_dump(include=set(problem)) == problem
    assert refused.value.problem.name == "unprocessable"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b'{"error": {"message": "too long", "code": 400}}', "too long"),
        (b'{"error": "Unauthorized"}', "Unauthorized"),
        (b"plain words", "plain words"),
        (b"[1]", "[1]"),
    ],
)
async def test_other_error_shapes_are_read(content: bytes, detail: str) -> None:
    transport, _ = answering(httpx.Response(400, content=content))
    with pytest.raises(RefusedError) as refused:
        await upstream(transport).request("GET", "/")
    assert (refused.value.problem.status, refused.value.problem.detail) == (400, detail)


class Held(httpx.AsyncBaseTransport):
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.entered = asyncio.Semaphore(0)
        self.released = asyncio.Event()
        self.most = 0
        self.inside = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.entered.release()
        try:
            await self.released.wait()
        finally:
            self.inside -= 1
        return httpx.Response(200)


async def test_waiting_is_bounded() -> None:
    held = Held()
    client = upstream(held, concurrency=2, waiting=1)
    calls: list[Awaitable[httpx.Response]] = [
        asyncio.create_task(client.request("GET", f"/{number}")) for number in range(3)
    ]
    await held.entered.acquire()
    await held.entered.acquire()
    with pytest.raises(BusyError) as refused:
        await client.request("GET", "/one-too-many")
    assert refused.value.retry_after == 1
    held.released.set()
    assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200] * 3
    assert held.most == 2
    assert (await client.request("GET", "/later")).status_code == 200


async def test_a_call_that_is_late_frees_its_place() -> None:
    held = Held()
    client = upstream(held, concurrency=1, timeout=0.3)
    with pytest.raises(OutageError, match=r"0\.3 s"):
        await client.request("GET", "/")
    held.released.set()
    assert (await client.request("GET", "/")).status_code == 200


async def test_the_deadline_counts_the_wait_for_a_place() -> None:
    client = upstream(Held(), concurrency=1, timeout=0.05)
    await client._places.acquire()  # as a call would that never ends
    async with asyncio.timeout(20):
        with pytest.raises(BusyError):
            await client.request("GET", "/")
