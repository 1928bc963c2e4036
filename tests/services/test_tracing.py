"""Tracing of one part: which requests have spans, what they hold, what they cost where there is none."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI, Request
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import INVALID_SPAN
from pydantic import ValidationError

from services.kit.app import create_app
from services.kit.engine import Engine
from services.kit.problems import Kind, ProblemError
from services.kit.settings import RoleSettings, Settings
from services.kit.tracing import OFF, Tracing, add_trace, describe_chat, describe_reply, span, trace_headers
from services.orchestrator.store.episodes import read_trace
from tests.collector import Collector, collecting
from tests.support import eventually, free_port, served

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
EXPORTER = "OtelBatchSpanRecordProcessor"


def exporters() -> int:
    return sum(thread.name == EXPORTER for thread in threading.enumerate())


@contextmanager
def part(**settings: Any) -> Iterator[httpx.Client]:
    """A part that shows what a request's handler sees, and fails on demand."""
    app = create_app("part", settings=Settings(**settings))

    @app.post("/v1/things/{name}")
    async def post(name: str) -> dict[str, Any]:
        if name == "unknown":
            raise ProblemError(Kind.NOT_FOUND, "There is no such thing.")
        if name == "broken":
            raise RuntimeError("a secret")
        seen = add_trace(None, "info", {})
        return {
            "bound": structlog.contextvars.get_contextvars(),
            "log": dict(seen),
            "headers": trace_headers(),
        }

    @app.get("/v1/things")
    async def get() -> dict[str, str]:
        return trace_headers()

    with served(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def test_requests_continue_a_trace_or_begin_one(collector: Collector) -> None:
    with part(otlp_endpoint=collector.url) as client:
        client.get("/v1/things")
        client.get("/v1/things", headers={"traceparent": "00-nonsense"})
        client.get("/readyz")
        client.get("/v1/things", headers={"traceparent": PARENT})
        origin = {"traceparent": PARENT, "X-Session-ID": "ep_1"}
        seen = client.post("/v1/things/one", headers=origin).json()
        for malformed in ("", "00-nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01"):
            client.post("/v1/things/two", headers={"traceparent": malformed})
        for name in ("unknown", "broken"):
            client.post(f"/v1/things/{name}", headers={"traceparent": PARENT})
    spans = collector.spans
    ours = collector.of_trace(TRACE)
    assert [span.name for span in ours] == ["GET /v1/things"] + ["POST /v1/things/{name}"] * 3
    assert {span.parent for span in ours} == {"00f067aa0ba902b7"}
    others = [span for span in spans if span.trace != TRACE]
    assert [(span.name, span.parent) for span in others] == [("POST /v1/things/{name}", "")] * 3
    assert len({span.trace for span in others}) == 3
    by_status = {span.attributes["http.response.status_code"]: span for span in ours}
    assert {status: span.failed for status, span in by_status.items()} == {200: False, 404: False, 500: True}
    assert b"a secret" not in b"".join(collector.received)
    assert seen["log"] == {"trace": TRACE, "span": ours[1].id}
    assert seen["headers"] == {"traceparent": f"00-{TRACE}-{ours[1].id}-01"}
    assert seen["bound"]["episode"] == "ep_1"


def test_callers_without_a_key_open_no_span(collector: Collector) -> None:
    with part(otlp_endpoint=collector.url, api_keys="ours=secret") as client:
        foreign = {"traceparent": PARENT}
        for headers in (foreign, {**foreign, "Authorization": "Bearer other"}):
            assert client.post("/v1/things/one", headers=headers).status_code == 401
            assert client.get("/v1/things", headers=headers).status_code == 401
            assert client.get("/healthz", headers=headers).status_code == 200
        page = {**foreign, "Authorization": "Bearer secret", "Origin": "https://elsewhere.example"}
        assert client.post("/v1/things/one", headers=page).status_code == 403
        answered = client.post("/v1/things/one", headers={**foreign, "Authorization": "Bearer secret"})
        assert answered.status_code == 200
        figures = client.get("/metrics").text
    (ours,) = collector.spans
    assert (ours.trace, ours.attributes["http.response.status_code"]) == (TRACE, 200)
    counted = re.findall(r"^espalier_http_requests_total\{(.*)\} (\S+)$", figures, re.MULTILINE)
    assert sum(float(count) for labels, count in counted if 'status="401"' in labels) == 4


def test_a_share_of_traces_is_recorded(collector: Collector) -> None:
    with part(otlp_endpoint=collector.url, trace_ratio=0) as client:
        seen = client.post("/v1/things/one").json()
        client.post("/v1/things/two", headers={"traceparent": PARENT})
    flags = int(seen["headers"]["traceparent"].rpartition("-")[2], 16)
    assert not flags & 1, "the parts behind it record nothing either"
    assert [span.trace for span in collector.spans] == [TRACE], "a caller's decision holds"


def test_nothing_runs_where_tracing_is_off() -> None:
    before = exporters()
    with part() as client:
        seen = client.post("/v1/things/one", headers={"traceparent": PARENT}).json()
        assert exporters() == before
    assert (seen["log"], seen["headers"]) == ({}, {})
    assert span("anything") is OFF
    with span("anything") as opened:
        assert opened is INVALID_SPAN


def test_a_part_with_a_dead_collector_answers_and_stops() -> None:
    before = exporters()
    with part(otlp_endpoint=f"http://127.0.0.1:{free_port()}") as client:
        assert exporters() == before + 1
        for _ in range(20):
            assert client.post("/v1/things/one").status_code == 200
    eventually(lambda: exporters() == before)


def test_the_engine_gets_the_trace_and_no_prompt_leaves(collector: Collector) -> None:
    traceparents: list[str] = []
    engine = FastAPI()

    @engine.post("/v1/chat/completions")
    async def chat(request: Request) -> dict[str, Any]:
        traceparents.append(request.headers.get("traceparent", ""))
        return {"not": "a completion"} if len(traceparents) > 1 else ANSWER

    async def call(url: str) -> None:
        tracing = Tracing("actor", Settings(otlp_endpoint=collector.url))
        async with tracing.run():
            engine = Engine(url, RoleSettings())
            with tracing.begin("outer", parent=PARENT):
                for _ in range(2):
                    await engine.send("/v1/chat/completions", BODY)
            await engine.close()

    with served(engine) as url:
        asyncio.run(call(url))
    chats = [span for span in collector.of_trace(TRACE) if span.name == "chat small"]
    assert traceparents == [f"00-{TRACE}-{span.id}-01" for span in chats]
    (outer,) = [span for span in collector.of_trace(TRACE) if span.name == "outer"]
    assert {span.parent for span in chats} == {outer.id}
    assert chats[0].attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "small",
        "gen_ai.request.max_tokens": 8,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.choice.count": 2,
        "gen_ai.response.id": "chat-1",
        "gen_ai.response.model": "small",
        "gen_ai.response.finish_reasons": ["stop", "length"],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "server.address": "127.0.0.1",
        "server.port": int(url.rpartition(":")[2]),
    }
    assert b"secret" not in b"".join(collector.received)


BODY: dict[str, Any] = {
    "model": "small",
    "messages": [{"role": "user", "content": "a secret"}],
    "max_tokens": 8,
    "temperature": 0.5,
    "n": 2,
}
ANSWER: dict[str, Any] = {
    "id": "chat-1",
    "model": "small",
    "choices": [
        {"finish_reason": "stop", "message": {"content": "a secret"}},
        {"finish_reason": "length", "message": {"content": "a secret"}},
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
}


def test_attributes_are_those_of_the_conventions() -> None:
    names = {*describe_chat("http://engine:8100", BODY, "ep_1"), *describe_reply(ANSWER)}
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    assert {name for name in names if not name.startswith("server.")} <= known


@pytest.mark.parametrize("spec", [b"", b"{", b"[]", b'{"trace": 1}', b'{"version": "1"}'])
def test_a_record_without_a_trace_has_none(spec: bytes) -> None:
    assert read_trace(spec) == ""
    assert read_trace(b'{"trace": "%s"}' % PARENT.encode()) == PARENT


@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector:4317", "http://a b"])
def test_an_endpoint_is_an_address(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="otlp_endpoint"):
        Settings(otlp_endpoint=endpoint)
