"""Engines other than the one that Espalier is built on: what each can do is found out, used and reported."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response

from services.actor.api import create as create_actor
from services.judge.api import create as create_judge
from services.kit.abilities import estimate_tokens
from services.kit.settings import RoleSettings
from services.planner.api import create as create_planner
from services.scripted import tokenizer
from services.scripted.api import create_app as create_model
from services.scripted.call import Answer
from services.scripted.flavours import Flavour
from services.scripted.model import ScriptedModel
from tests.services.actor_calls import CONTEXT, propose
from tests.support import eventually, served

FACTORIES = {"planner": create_planner, "judge": create_judge, "actor": create_actor}
Start = Callable[..., str]
ABILITIES = {
    Flavour.VLLM: ("logprob_token_ids", "one call", "counted by the engine", "structured_outputs"),
    Flavour.VLLM_OLD: ("top_logprobs", "one call", "counted by the engine", "guided_regex"),
    Flavour.SGLANG: ("top_logprobs", "one call", "estimated", "regex"),
    Flavour.LLAMA_CPP: ("top_logprobs", "a call each", "estimated", "none"),
    Flavour.OLLAMA: ("none", "a call each", "estimated", "none"),
    Flavour.TGI: ("top_logprobs", "a call each", "estimated", "none"),
}
OPTIONS = [{"action": "look"}, {"action": "wait"}]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as running:

        def start(role: str, engine: FastAPI, **options: Any) -> str:
            url = running.enter_context(served(engine))
            return running.enter_context(served(FACTORIES[role](RoleSettings(model_url=url, **options))))

        yield start


def ready(url: str) -> dict[str, Any]:
    return httpx.get(f"{url}/readyz", timeout=20).json()


def verdict(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/verdicts/subtask", json={"context": CONTEXT, "subtask": "look"}, timeout=20)


def answers(body: Any, kind: str = "application/json", status: int = 200) -> FastAPI:
    """An engine that answers every chat the same."""
    app = FastAPI()
    content = body if isinstance(body, str) else json.dumps(body)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"data": [{"id": "odd"}]}

    @app.post("/v1/chat/completions")
    async def chat() -> Response:
        return Response(content, status, media_type=kind)

    return app


def choice(message: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, **fields}]}


@pytest.mark.parametrize("flavour", Flavour)
def test_what_an_engine_can_do_is_found_out_at_readiness(start: Start, flavour: Flavour) -> None:
    def script(call: Any) -> str | Answer:
        return Answer("Yes", first={"Yes": 0.6, "No": 0.3}) if call.max_tokens == 1 else "Yes."

    url = start("judge", create_model(ScriptedModel(script), flavour=flavour))
    eventually(lambda: ready(url)["engine"]["grammar"] != "not known yet")
    found = ready(url)
    labels, several, tokens, grammar = ABILITIES[flavour]
    assert found["engine"] == {
        "labels": labels,
        "n": several,
        "tokens": tokens,
        "grammar": grammar,
        "usage": "reported",
    }
    assert (found["status"] == "ready") == (labels != "none")
    if labels == "none":
        assert "docs/engines.md" in found["dependencies"]["model"]


@pytest.mark.parametrize("flavour", [one for one in Flavour if one is not Flavour.OLLAMA])
def test_verdicts_come_of_every_engine_that_reports_labels(start: Start, flavour: Flavour) -> None:
    model = ScriptedModel(lambda call: Answer("Yes", first={"Yes": 0.6, "No": 0.2}))
    url = start("judge", create_model(model, flavour=flavour))
    assert verdict(url).json()["p_yes"] == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("after_probe", [False, True])
def test_an_engine_without_labels_is_an_error_and_never_a_yes(start: Start, after_probe: bool) -> None:
    model = ScriptedModel(lambda call: "Yes")
    url = start("judge", create_model(model, flavour=Flavour.OLLAMA))
    if after_probe:
        eventually(lambda: ready(url)["engine"]["labels"] == "none")
    for answer in (
        verdict(url),
        httpx.post(f"{url}/v1/verdicts/selection", json={"context": CONTEXT, "options": OPTIONS}),
        httpx.post(f"{url}/v1/verdicts/path", json={"paths": [CONTEXT]}),
    ):
        assert (answer.status_code, answer.json()["type"].rpartition("#")[2]) == (502, "upstream")
        assert "log-probability" in answer.json()["detail"]


@pytest.mark.parametrize("flavour", Flavour)
def test_several_candidates_come_of_every_engine(start: Start, flavour: Flavour) -> None:
    texts = iter(f"THOUGHT: on\nACTION: go {number}" for number in range(100))
    model = ScriptedModel(lambda call: [next(texts) for _ in range(call.n)])
    url = start("actor", create_model(model, flavour=flavour))
    found = propose(url, n=3)
    assert len(found["candidates"]) == 3
    assert found["usage"]["calls"] == sum(1 for logged in model.log if logged.call.n) == len(model.log)
    assert propose(url, n=3, temperature=0)["candidates"][0]["count"] == 1


@pytest.mark.parametrize("flavour", [Flavour.LLAMA_CPP, Flavour.TGI, Flavour.VLLM_OLD])
def test_a_prompt_over_the_context_is_named_so(start: Start, flavour: Flavour) -> None:
    model = ScriptedModel(lambda call: "ACTION: look", max_model_len=256)
    url = start("actor", create_model(model, flavour=flavour), model_context=100_000)
    answer = httpx.post(
        f"{url}/v1/actions", json={"context": {**CONTEXT, "task": "walk on " * 700}}, timeout=20
    )
    assert (answer.status_code, answer.json()["type"].rpartition("#")[2]) == (422, "context-too-long")


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        ({"choices": []}, "application/json", "choices"),
        ({"choices": None}, "application/json", "choices"),
        ({"object": "error", "message": "no such model"}, "application/json", "no such model"),
        ([], "application/json", "choices"),
        ("null", "application/json", "choices"),
        ("<html><title>Sign in</title></html>", "text/html", "Sign in"),
        ("", "application/json", "not JSON"),
        ("{", "application/json", "not JSON"),
    ],
)
def test_an_answer_that_is_none_is_a_502_with_the_engines_words(
    start: Start, body: Any, kind: str, says: str
) -> None:
    url = start("actor", answers(body, kind))
    answer = httpx.post(f"{url}/v1/actions", json={"context": CONTEXT, "n": 2}, timeout=20)
    assert (answer.status_code, answer.json()["type"].rpartition("#")[2]) == (502, "upstream"), answer.text
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("alternatives", "expected"),
    [
        ({"No": -0.01}, 0.02),
        ({"The": -0.1, "It": -1.0, "I": -2.0, "A": -2.5, "No": -3.0}, 0.01),
        ({"Yes": -0.1, "No": -3.0}, None),
        ({"Yes": -9999.0, "No": -9999.0}, "502"),
    ],
)
def test_a_label_that_is_left_out_is_unlikely(
    start: Start, alternatives: dict[str, float], expected: float | str | None
) -> None:
    top = [{"token": token, "logprob": logprob} for token, logprob in alternatives.items()]
    body = choice(
        {"content": "No"},
        logprobs={"content": [{**top[0], "top_logprobs": [*top, {"token": "x", "logprob": -9}]}]},
    )
    answer = verdict(start("judge", answers(body)))
    if expected == "502":
        assert answer.status_code == 502
    elif expected is None:
        assert answer.json()["p_yes"] > 0.9
    else:
        assert answer.json()["p_yes"] < expected


def test_an_engine_that_stumbles_while_it_is_probed_is_probed_again(start: Start) -> None:
    model = ScriptedModel(lambda call: Answer("Yes", first={"Yes": 0.6, "No": 0.2}))
    model.fail(8, status=500)
    url = start("judge", create_model(model))
    ready(url)
    eventually(lambda: ready(url)["status"] == "ready")
    assert ready(url)["engine"]["labels"] == "logprob_token_ids"
    assert verdict(url).json()["p_yes"] == pytest.approx(0.75)


@pytest.mark.parametrize("reason", ["content_filter", "model_length", "MAX_TOKENS", "abort"])
def test_an_answer_that_was_ended_for_it_may_be_cut(start: Start, reason: str) -> None:
    body = choice({"content": SPOKEN}, finish_reason=reason)
    assert not propose(start("actor", answers(body)))["candidates"][0]["well_formed"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (
            400,
            {"message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096"},
        ),
        (400, {"message": "no", "code": "context_length_exceeded"}),
        (400, {"message": "Context Length exceeded"}),
        (500, {"message": "the request exceeds the available context size, try increasing it"}),
    ],
)
def test_every_way_to_say_that_a_prompt_is_too_long_is_read(
    start: Start, status: int, error: dict[str, str]
) -> None:
    url = start("actor", answers({"error": error}, status=status))
    answer = httpx.post(f"{url}/v1/actions", json={"context": CONTEXT}, timeout=20)
    assert answer.json()["type"].rpartition("#")[2] == "context-too-long"


SPOKEN = "THOUGHT: on\nACTION: look"
PARTS = [{"type": "text", "text": "THOUGHT: on\n"}, {"type": "text", "text": "ACTION: look"}]
CALL = {"function": {"name": "act", "arguments": json.dumps({"thought": "on", "action": "look"})}}


@pytest.mark.parametrize(
    "body",
    [
        {**choice({"content": SPOKEN}), "usage": None},
        choice({"content": SPOKEN}, logprobs=None, finish_reason=None),
        choice({"content": SPOKEN}, logprobs={"content": [{"token": "T", "logprob": None}]}),
        choice({"content": SPOKEN}, logprobs={"content": [{"token": None, "top_logprobs": None}]}),
        choice({"content": SPOKEN}, logprobs={"tokens": ["T"], "token_logprobs": [-0.1]}),
        {**choice({"content": SPOKEN}), "usage": {"prompt_tokens": None, "prompt_tokens_details": {}}},
        choice({"content": PARTS}),
        choice({"content": None, "reasoning_content": SPOKEN}, finish_reason="stop"),
        choice({"content": "", "reasoning": SPOKEN}, finish_reason="stop"),
        choice({"content": "ACTION: look", "reasoning_content": "on"}),
        choice({"content": None, "tool_calls": [CALL]}),
        choice(
            {
                "content": None,
                "tool_calls": [
                    {"function": {**CALL["function"], "arguments": {"thought": "on", "action": "look"}}}
                ],
            }
        ),
    ],
)
def test_every_shape_of_an_answer_is_read(start: Start, body: dict[str, Any]) -> None:
    candidate = propose(start("actor", answers(body)))["candidates"][0]
    assert (candidate["action"], candidate["thought"], candidate["well_formed"]) == ("look", "on", True)


@pytest.mark.parametrize(
    "body",
    [
        choice({"content": None}),
        choice(None),
        choice({"content": None, "reasoning_content": SPOKEN}, finish_reason="length"),
        choice({"content": None, "tool_calls": [CALL, CALL]}),
        choice({"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}),
        choice({"content": SPOKEN}, finish_reason="length"),
    ],
)
def test_what_is_no_whole_answer_is_malformed(start: Start, body: dict[str, Any]) -> None:
    assert not propose(start("actor", answers(body)))["candidates"][0]["well_formed"]


@pytest.mark.parametrize("text", ["a", "word " * 50, "x=1;" * 100, "\u4f60\u597d" * 40, "\U0001f600" * 20])
def test_an_estimate_is_no_less_than_the_count(text: str) -> None:
    messages = [{"role": "user", "content": text}]
    assert estimate_tokens(messages) >= len(tokenizer.encode(text))


def test_a_grammar_goes_by_the_field_that_the_engine_takes(start: Start) -> None:
    for flavour in (Flavour.VLLM_OLD, Flavour.SGLANG):
        url = start("actor", create_model(ScriptedModel(lambda call: "no idea"), flavour=flavour))
        eventually(lambda url=url: ready(url)["engine"]["grammar"] not in ("not known yet", "none"))
        assert propose(url, grammar=True)["candidates"][0]["well_formed"]
