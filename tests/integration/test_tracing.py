"""Traces of whole episodes over real HTTP: one trace an episode, whichever worker plays it."""

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from espalier.client import Espalier
from services.contracts.episode import Episode, EpisodeCreate, State
from tests.collector import Collected, Collector, collecting
from tests.integration.conftest import Stack, act, started
from tests.support import eventually, free_port

SECRET = "remember the purple elephant"
"""In every answer of the model: it is in no span."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(valkey: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with started(valkey, tmp_path_factory.mktemp("home"), otlp_endpoint=collector.url) as stack:
        yield stack


@pytest.fixture
def outside(collector: Collector) -> SpanContext:
    """A span of a client's own, which is current while the client creates an episode."""
    return SpanContext(
        secrets.randbits(128), secrets.randbits(64), is_remote=False, trace_flags=TraceFlags(1)
    )


def create(stack: Stack, outside: SpanContext, **fields: Any) -> Episode:
    body = EpisodeCreate.model_construct(environment="twin", task_id="corridors/1", **fields)
    with Espalier(stack.url) as client, use_span(NonRecordingSpan(outside)):
        return client.create(body)


def wait_for(stack: Stack, episode: str) -> None:
    with Espalier(stack.url) as client:
        ended = client.wait(episode)
    assert ended.state is State.COMPLETED, ended.failure


def never_good_enough() -> Callable[[Any], Any]:
    """A script whose paths are all judged as not good enough, so that there are as many as there may be."""
    play = act(f"THOUGHT: {SECRET}\nACTION: north")

    def script(call: Any) -> list[Any]:
        if "Yes or No" in call.last and "subtask" not in call.last:
            return ["No"] * call.n
        return play(call)

    return script


TREE = {
    ("outside", "orchestrator POST /v1/episodes"),
    ("orchestrator POST /v1/episodes", "twin GET /v1/tasks/{task_id:path}"),
    ("orchestrator POST /v1/episodes", "actor GET /v1/adapters"),
    ("orchestrator POST /v1/episodes", "worker run branch"),
    ("worker run branch", "worker run branch"),
    ("worker run branch", "worker plan.made"),
    ("worker plan.made", "planner POST /v1/plans"),
    ("planner POST /v1/plans", "planner chat scripted"),
    ("worker run branch", "worker session.opened"),
    ("worker session.opened", "twin POST /v1/sessions"),
    ("worker run branch", "worker candidates.proposed"),
    ("worker candidates.proposed", "actor POST /v1/actions"),
    ("actor POST /v1/actions", "actor chat scripted"),
    ("worker run branch", "worker step.taken"),
    ("worker step.taken", "twin POST /v1/sessions/{session_id}/steps"),
    ("worker run branch", "worker verdict.subtask"),
    ("worker verdict.subtask", "judge POST /v1/verdicts/subtask"),
    ("judge POST /v1/verdicts/subtask", "judge chat scripted"),
    ("worker run branch", "worker verdict.path"),
    ("worker verdict.path", "judge POST /v1/verdicts/path"),
    ("judge POST /v1/verdicts/path", "judge chat scripted"),
    ("worker run branch", "twin DELETE /v1/sessions/{session_id}"),
}
"""Parents and children in an episode of tmbr."""


def chats_of(collector: Collector, trace: str) -> list[Collected]:
    return [span for span in collector.of_trace(trace) if span.name == "chat scripted"]


def runs_of(collector: Collector, trace: str) -> list[Collected]:
    return [span for span in collector.of_trace(trace) if span.name == "run branch"]


def test_an_episode_is_one_trace_through_all_parts(
    traced: Stack, collector: Collector, outside: SpanContext
) -> None:
    traced.model.script = never_good_enough()
    traced.model.log.clear()
    worker, _ = traced.start_worker()
    episode = create(traced, outside, method="tmbr", num_path=2, num_branch=2, params={"profile": "paper"})
    wait_for(traced, episode.id)
    worker.terminate()
    worker.wait(30)
    trace = f"{outside.trace_id:032x}"
    eventually(lambda: collector.edges(trace) >= TREE)
    eventually(lambda: len(chats_of(collector, trace)) == len(traced.model.log) > 0)
    # Metadata is read once a minute.
    assert collector.edges(trace) - {("orchestrator POST /v1/episodes", "twin GET /metadata")} == TREE

    spans = collector.of_trace(trace)
    by_id = {span.id: span for span in spans}
    creation = next(span for span in spans if span.name == "POST /v1/episodes")
    assert creation.parent == f"{outside.span_id:016x}"
    runs = {span.attributes["espalier.branch"]: span for span in runs_of(collector, trace)}
    assert {branch: by_id[span.parent].name for branch, span in runs.items()} == {
        "0": "POST /v1/episodes",
        "0.0": "run branch",
        "0.1": "run branch",
    }
    assert {runs["0.0"].parent, runs["0.1"].parent} == {runs["0"].id}
    assert runs["0"].attributes["espalier.episode"] == episode.id

    chats = chats_of(collector, trace)
    for chat in chats:
        assert (
            chat.attributes.items()
            >= {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "scripted",
                "gen_ai.conversation.id": episode.id,
            }.items()
        )
        assert set(chat.attributes["gen_ai.response.finish_reasons"]) <= {"stop", "length"}
    for field, counted in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
        seen = Counter(span.attributes[f"gen_ai.usage.{field}"] for span in chats)
        assert seen == Counter(getattr(logged.usage, counted) for logged in traced.model.log)

    assert not any(span.failed or span.events for span in spans)
    sent = b"".join(collector.received)
    for text in (SECRET, episode.instruction, "north"):
        assert text.encode() not in sent
    lines = [json.loads(line) for line in traced.read_log(worker).splitlines() if line.startswith("{")]
    (taken,) = [line for line in lines if line["event"] == "branch taken" and line["episode"] == episode.id]
    assert (taken["trace"], taken["span"], taken["branch"]) == (trace, runs["0"].id, "0")


def test_another_worker_continues_the_trace(
    traced: Stack, collector: Collector, outside: SpanContext
) -> None:
    traced.model.script = never_good_enough()
    traced.model.fail(10_000)
    try:
        first, _ = traced.start_worker()
        episode = create(traced, outside, method="tmbr", num_path=2, num_branch=1)
        eventually(lambda: f'"episode": "{episode.id}"' in traced.read_log(first))
        first.terminate()
        first.wait(30)
    finally:
        traced.model.faults.clear()
    second, _ = traced.start_worker(ESPALIER_BRANCHES="spread")
    wait_for(traced, episode.id)
    second.terminate()
    second.wait(30)
    trace = f"{outside.trace_id:032x}"
    eventually(lambda: any(span.name == "POST /v1/episodes" for span in collector.of_trace(trace)))
    (creation,) = [span for span in collector.of_trace(trace) if span.name == "POST /v1/episodes"]
    jobs = [span for span in runs_of(collector, trace) if span.kind == Span.SPAN_KIND_CONSUMER]
    roots = [span for span in jobs if span.attributes["espalier.branch"] == "0"]
    assert {span.parent for span in jobs} == {creation.id}
    assert {span.instance.rpartition("/")[2] for span in roots} == {str(first.pid), str(second.pid)}
    opened = {span.attributes["espalier.branch"]: span for span in jobs if span.links}
    assert "0.1" in opened, "the second worker opened it as a job"
    assert {link for span in opened.values() for link in span.links} <= {span.id for span in roots}


def test_a_collector_that_is_away_fails_nothing(stack: Stack) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    worker, _ = stack.start_worker(ESPALIER_OTLP_ENDPOINT=away)
    with Espalier(stack.url) as client:
        made = client.create(EpisodeCreate(environment="twin", task_id="corridors/1", method="react"))
    wait_for(stack, made.id)
    eventually(lambda: "Traces cannot be exported" in stack.read_log(worker))
    worker.terminate()
    assert worker.wait(30) == 0
    assert stack.read_log(worker).count("Traces cannot be exported") == 1
    assert "Traceback" not in stack.read_log(worker)
