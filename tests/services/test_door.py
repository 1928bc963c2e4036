"""What every part answers at its door: strict JSON, HEAD, problems, hosts, origins, proxies."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import Field, SecretStr
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request as StarletteRequest

from envs.serving.server import serve as serve_environment
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from espalier.client.calls import Call
from espalier.client.http import SyncClient
from services.actor.api import create as create_actor
from services.contracts.base import Bool, Float, Int, Request
from services.judge.api import create as create_judge
from services.kit.app import create_app
from services.kit.auth import is_local
from services.kit.bodies import MAX_DEPTH, MAX_KEYS
from services.kit.settings import RoleSettings, Settings
from services.kit.upstream import Upstream, shown_url
from services.planner.api import create as create_planner
from services.scripted.api import create_app as create_model
from services.scripted.model import ScriptedModel
from tests.services.actor_calls import CONTEXT
from tests.support import eventually, free_port, served

JSON = {"content-type": "application/json"}


class Thing(Request):
    number: Int = 1
    share: Float = 0.5
    fine: Bool = True
    data: dict[str, Any] = Field(default_factory=dict)


def probe(settings: Settings | None = None) -> FastAPI:
    app = create_app("probe", settings=settings or Settings())

    @app.post("/v1/things")
    async def things(body: Thing) -> Thing:
        return body

    @app.get("/v1/bug")
    async def bug() -> None:
        raise RuntimeError("a bug")

    @app.get("/v1/stream")
    async def stream() -> EventSourceResponse:
        async def events() -> AsyncIterator[dict[str, str]]:
            while True:
                yield {"data": "on and on"}
                await asyncio.sleep(0.05)

        return EventSourceResponse(events())

    @app.get("/v1/late")
    async def late() -> None:
        raise TimeoutError("an inner deadline")

    return app


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(probe()) as address:
        yield address


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, str]]:
    with ExitStack() as running:
        engine = running.enter_context(served(create_model(ScriptedModel())))
        settings = RoleSettings(model_url=engine)
        twin = serve_environment(TwinEnvironment(), EnvironmentSettings())
        yield {
            "planner": running.enter_context(served(create_planner(settings))),
            "judge": running.enter_context(served(create_judge(settings))),
            "actor": running.enter_context(served(create_actor(settings))),
            "environment": running.enter_context(served(twin)),
        }


def nested(depth: int) -> str:
    return '{"data": {"a": ' + "[" * depth + "]" * depth + "}}"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("{", 400, "JSON"),
        ('{"number": NaN}', 400, "JSON"),
        ('{"share": Infinity}', 400, "JSON"),
        ('{"share": 1e999}', 400, "JSON"),
        (r'{"data": {"a": "\ud800"}}', 400, "JSON"),
        ('{"data": {"a": 18446744073709551616}}', 400, "64 bits"),
        ('{"data": {"a": -9223372036854775809}}', 400, "64 bits"),
        ('{"data": {"a": ' + "9" * 5000 + "}}", 400, "JSON"),
        (nested(MAX_DEPTH), 400, "nested"),
        (nested(250), 400, "nested"),
        (nested(100_000), 400, "nested"),
        (json.dumps({f"k{n}": 1 for n in range(MAX_KEYS + 1)}), 400, "keys"),
        ("[" + "1," * 250_000 + "1]", 400, "values"),
        ('{"number": false}', 422, "number"),
        ('{"number": "1"}', 422, "number"),
        ('{"number": 1.5}', 422, "number"),
        ('{"share": true}', 422, "share"),
        ('{"share": "0.5"}', 422, "share"),
        ('{"fine": 1}', 422, "fine"),
        ('{"fine": "yes"}', 422, "fine"),
        ('{"other": 1}', 422, "other"),
        ("[]", 422, "body"),
        ("null", 422, "body"),
    ],
)
def test_a_body_that_is_not_acceptable_is_a_problem(url: str, body: str, status: int, says: str) -> None:
    answer = httpx.post(f"{url}/v1/things", content=body, headers=JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"number": null, "share": 1, "fine": null}',
        '{"data": {"a": 18446744073709551615, "b": -9223372036854775808, "c": 1.12345678901234567890123}}',
        '{"data": {"a": "99999999999999999999 [[[[", "b": "\\"{{{{"}}',
        nested(MAX_DEPTH - 3),
        '{"data": {"a": ["' + "[" * 5000 + '"]}}',
        json.dumps({"data": {"rows": [[1] * 10] * 2000}}),
    ],
)
def test_a_body_within_the_limits_is_taken(url: str, body: str) -> None:
    answer = httpx.post(f"{url}/v1/things", content=body, headers=JSON)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "kind", ["application/JSON", "Application/Json; charset=utf-8", "application/vnd.api+JSON"]
)
def test_the_limits_hold_however_the_type_is_spelled(url: str, kind: str) -> None:
    answer = httpx.post(f"{url}/v1/things", content='{"data": {"a": NaN}}', headers={"content-type": kind})
    assert answer.status_code == 400


ODD = [
    ("planner", "/v1/plans", {"context": CONTEXT, "num_subtasks": True}),
    ("planner", "/v1/plans", {"context": CONTEXT, "num_subtasks": "3"}),
    ("actor", "/v1/actions", {"context": CONTEXT, "seed": False}),
    ("actor", "/v1/actions", {"context": CONTEXT, "n": "2"}),
    ("actor", "/v1/actions", {"context": CONTEXT, "temperature": "0"}),
    ("actor", "/v1/actions", {"context": CONTEXT, "grammar": 1}),
    ("judge", "/v1/verdicts/subtask", {"context": CONTEXT, "subtask": "a", "seed": True}),
    ("environment", "/v1/sessions", {"task_id": "a", "seed": "1"}),
    ("environment", "/v1/sessions", {"task_id": "a", "epoch": False}),
]


@pytest.mark.parametrize(("part", "path", "body"), ODD)
def test_no_part_takes_one_type_for_another(
    parts: dict[str, str], part: str, path: str, body: dict[str, Any]
) -> None:
    assert httpx.post(f"{parts[part]}{path}", json=body).status_code == 422


def test_several_greedy_candidates_are_one(parts: dict[str, str]) -> None:
    body = {"context": CONTEXT, "n": 2, "temperature": 0}
    answer = httpx.post(f"{parts['actor']}/v1/actions", json=body)
    assert (answer.status_code, len(answer.json()["candidates"])) == (200, 1)


@pytest.mark.parametrize("path", ["/v1/bug", "/v1/late"])
def test_a_bug_is_a_500_with_its_id_and_counted_as_one(url: str, path: str) -> None:
    with httpx.Client(base_url=url) as client:
        answer = client.get(path)
        again = client.get(path, headers={"x-request-id": "mine"})
        metrics = client.get("/metrics").text
    assert (answer.status_code, answer.json()["type"].rpartition("#")[2]) == (500, "internal")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert again.headers["x-request-id"] == "mine"
    counted = {
        sample.labels["status"]
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "espalier_http_requests_total" and sample.labels["route"] == path
    }
    assert counted == {"500"}


async def test_the_connection_outlives_a_500(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(2):
        writer.write(f"GET /v1/bug HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 500")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
    writer.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_head_is_answered_where_get_is(parts: dict[str, str], path: str) -> None:
    for address in parts.values():
        head, get = httpx.head(f"{address}{path}"), httpx.get(f"{address}{path}")
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
    assert httpx.head(f"{parts['actor']}/v1/adapters").status_code == 200
    assert httpx.head(f"{parts['actor']}/v1/actions").status_code == 405


async def test_a_connection_outlives_a_head(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for path in ("/healthz", "/v1/stream", "/openapi.json", "/v1/bug"):
        writer.write(f"HEAD {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 500" if path == "/v1/bug" else b"HTTP/1.1 200")
    writer.close()


def test_head_of_a_stream_ends(url: str) -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        for _ in range(2):
            answer = client.head("/v1/stream")
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["content-type"].startswith("text/event-stream")
        assert client.get("/healthz").status_code == 200


async def test_a_client_that_leaves_before_its_request_is_here_is_counted_as_one(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/things HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    def counted() -> bool:
        return 'method="POST",part="probe",route="unmatched",status="499"' in httpx.get(f"{url}/metrics").text

    await asyncio.to_thread(eventually, counted)


def test_a_405_names_what_is_allowed(url: str) -> None:
    answer = httpx.delete(f"{url}/v1/things")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_openapi_declares_every_problem(parts: dict[str, str]) -> None:
    for address in parts.values():
        document = httpx.get(f"{address}/openapi.json").json()
        assert "Problem" in document["components"]["schemas"]
        for operations in document["paths"].values():
            for operation in operations.values():
                for status in ("400", "404", "409", "410", "413", "422", "429", "500", "502", "503", "504"):
                    assert list(operation["responses"][status]["content"]) == ["application/problem+json"]


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with served(probe(Settings(body_timeout=0.2))) as address:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/things HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10\r\n\r\n{")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        assert head.startswith(b"HTTP/1.1 408")
        writer.close()


# Hosts and origins


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:1"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "[::1"}, 403),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, 200),
        ({"host": "localhost:8000", "origin": "http://localhost:9000"}, 403),
    ],
)
def test_web_pages_of_others_are_kept_out(url: str, headers: dict[str, str], status: int) -> None:
    assert httpx.post(f"{url}/v1/things", json={}, headers=headers).status_code == status


def test_origins_that_are_allowed_get_cors_answers() -> None:
    settings = Settings(cors_origins="https://app.example", allowed_hosts="espalier.internal")
    with served(probe(settings)) as address:
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        preflight = httpx.options(f"{address}/v1/things", headers=asked)
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        answer = httpx.post(f"{address}/v1/things", json={}, headers={"origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert httpx.post(f"{address}/v1/things", json={}, headers={"host": "espalier.internal"}).is_success
        assert (
            httpx.post(f"{address}/v1/things", json={}, headers={"origin": "https://b.example"}).status_code
            == 403
        )


def test_a_part_without_keys_answers_on_loopback_only() -> None:
    """As where uvicorn listens on every address with the documented factory."""
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    outside = sorted(str(address) for address in addresses if not str(address).startswith("127."))
    if not outside:
        pytest.skip("this machine has no address but loopback")
    for settings, status in ((Settings(), 403), (Settings(api_keys=SecretStr("k")), 401)):
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(probe(settings), host="0.0.0.0", port=port, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport, trust_env=False) as client:
            answer = client.get(f"http://{outside[0]}:{port}/openapi.json")
        server.should_exit = True
        thread.join(20)
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("server", "local"),
    [
        (("127.0.0.1", 1), True),
        (("::1", 1), True),
        (None, True),
        (("/run/x.sock", None), True),
        (("10.0.0.3", 1), False),
    ],
)
def test_an_address_of_the_network_is_not_local(server: tuple[str, int | None] | None, local: bool) -> None:
    assert is_local({"type": "http", "server": server}) is local


def test_keys_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="no key"):
        Settings(api_keys=SecretStr(" , "))


@pytest.mark.parametrize("given", ["a=1,b=1", "Upper=1", "white space=1", "a" * 33 + "=1"])
def test_names_of_keys_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(ValueError, match="a list of keys") as refused:
        Settings(api_keys=SecretStr(given))
    assert given.rpartition("=")[0] not in str(refused.value) or given.startswith("a=1")


def test_a_named_key_is_sent_and_accepted_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    given = "small=one,small=two,three,padded=="
    settings = Settings(api_keys=SecretStr(given), admin_keys=SecretStr("boss=root"))
    assert settings.own_key() == "one"
    assert settings.admin_key() == "root"
    assert settings.accepted_keys() == {"one", "two", "three", "padded==", "root"}
    assert settings.accepted_admin_keys() == {"root"}
    app = create_app("probe", settings=settings)

    @app.get("/v1/tenant")
    async def tenant(request: StarletteRequest) -> str:
        return request.state.tenant

    def ask(address: str, key: str) -> httpx.Response:
        return httpx.get(f"{address}/v1/tenant", headers={"authorization": f"Bearer {key}"})

    monkeypatch.setenv("ESPALIER_API_KEYS", given)
    with served(app) as address:
        names = {key: ask(address, key).json() for key in ("one", "two", "three", "padded==", "root")}
        assert ask(address, "small=one").status_code == 401
        with SyncClient(address) as client:
            assert client._send(Call("GET", "/v1/tenant", str)) == "small"
    assert (names["one"], names["two"], names["root"]) == ("small", "small", "boss")
    digests = {names["three"], names["padded=="]}
    assert len(digests) == 2
    assert all(re.fullmatch("key-[0-9a-f]{12}", name) for name in digests)


def test_without_keys_every_caller_is_the_local_tenant() -> None:
    app = create_app("probe", settings=Settings())

    @app.get("/v1/tenant")
    async def tenant(request: StarletteRequest) -> str:
        return request.state.tenant

    with served(app) as address:
        answer = httpx.get(f"{address}/v1/tenant", headers={"authorization": "Bearer any"})
    assert answer.json() == "local"


def test_addresses_are_shown_without_credentials() -> None:
    assert shown_url("http://user:secret@host:1/path?key=2#x") == "http://host:1/path"


async def test_an_outage_shows_no_credentials() -> None:
    upstream = Upstream("engine", f"http://user:secret@127.0.0.1:{free_port()}", retry_for=0)
    assert "secret" not in (await upstream.alive() or "")
    with pytest.raises(Exception, match="engine") as raised:
        await upstream.request("GET", "/")
    assert "secret" not in str(raised.value)
    await upstream.close()


# Proxies


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_calls_between_parts_ignore_proxy_variables(
    url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    direct, proxied = Upstream("probe", url, retry_for=0), Upstream("probe", url, retry_for=0, proxied=True)
    assert await direct.alive() is None
    assert await proxied.alive() is not None
    for upstream in (direct, proxied):
        await upstream.close()


def test_a_part_can_be_served_below_a_path() -> None:
    with served(probe(Settings(root_path="/espalier"))) as address:
        page = httpx.get(f"{address}/docs").text
        assert "/espalier/openapi.json" in page
        assert httpx.get(f"{address}/openapi.json").json()["servers"] == [{"url": "/espalier"}]
