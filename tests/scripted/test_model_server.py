"""The scripted model server, over real HTTP, held against vLLM's own models."""

import asyncio
import json
import math
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from services.scripted import tokenizer
from services.scripted.api import create, serving
from services.scripted.call import Answer, ChatCall
from services.scripted.model import ScriptedModel
from services.scripted.scripts import Rule, rules
from tests.support import eventually

ROOM = (
    "You are in the middle of a room. Looking quickly around you, you see a bed 1, a desk 2, a desk 1, "
    "a drawer 1, a garbagecan 1, and a shelf 1."
)
HEAD = [
    {"role": "system", "content": "You are an agent that solves tasks by acting in an environment."},
    {"role": "user", "content": f"Your task is to: put some pencil on shelf.\n\n{ROOM}"},
]


class Engine:
    """A scripted model and an HTTP client to it."""

    def __init__(self, model: ScriptedModel, url: str) -> None:
        self.model = model
        self.http = httpx.Client(base_url=url, timeout=20)

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def chat(self, question: str, **body: Any) -> dict[str, Any]:
        answer = self.post("/v1/chat/completions", messages=[*HEAD, _user(question)], **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def token(self, text: str) -> int:
        tokens = self.post("/tokenize", prompt=text, add_special_tokens=False).json()["tokens"]
        assert len(tokens) == 1
        return tokens[0]


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _texts(answer: dict[str, Any]) -> list[str]:
    return [choice["message"]["content"] for choice in answer["choices"]]


@pytest.fixture
def engine() -> Iterator[Engine]:
    model = ScriptedModel(name="toy", max_model_len=1024, adapters={"actor@1": "/adapters/1"})
    with serving(model) as url:
        yield Engine(model, url)


ACT = "Give a short thought and the next action. Answer in this form:\nTHOUGHT: <why>\nACTION: <action>"


def test_roles_by_default(engine: Engine) -> None:
    plan = _texts(engine.chat("Decompose the task into 4 subtasks, in order. Write nothing else."))[0]
    assert [line[:3] for line in plan.splitlines()] == ["1. ", "2. ", "3. ", "4. "]
    assert "put some pencil on shelf" in plan

    texts = _texts(engine.chat(ACT, n=4, temperature=0.8))
    actions = [re.fullmatch(r"THOUGHT: .+\nACTION: (.+)", text) for text in texts]
    assert all(actions)
    commands = {found.group(1) for found in actions if found}
    assert len(commands) == 4
    places = {"bed 1", "desk 1", "desk 2", "drawer 1", "garbagecan 1", "shelf 1"}
    assert all(c in {"look", "inventory"} or c.removeprefix("go to ") in places for c in commands)

    bare = _texts(engine.chat("Give the next action. Answer in this form:\nACTION: <action>"))[0]
    assert bare.startswith("ACTION: ")

    question = "Which is the best next action?\nA. look\nB. go to bed 1\nC. go to desk 1\nOutput the letter."
    assert _texts(engine.chat(question))[0] in {"A", "B", "C"}

    verdicts = [
        _texts(engine.chat(f"Judge whether subtask {i} is completed. Output Yes or No."))[0]
        for i in range(40)
    ]
    assert set(verdicts) == {"Yes", "No"}


def test_an_actor_sees_what_the_transcript_shows(engine: Engine) -> None:
    turns = [
        {"role": "assistant", "content": "THOUGHT: look there\nACTION: go to desk 1"},
        _user("You arrive at desk 1. On the desk 1, you see a pencil 2, and a mug 1."),
    ]
    answer = engine.post(
        "/v1/chat/completions", messages=[*HEAD, *turns, _user(ACT)], n=16, temperature=1
    ).json()
    said = "\n".join(_texts(answer))
    assert "take pencil 2 from desk 1" in said
    assert "ACTION: go to desk 1" not in said


def test_answers_depend_on_the_request_and_seed_alone() -> None:
    def ask(order: list[int]) -> dict[int, list[str]]:
        model = ScriptedModel()
        with serving(model) as url:
            fresh = Engine(model, url)
            return {seed: _texts(fresh.chat(ACT, n=3, temperature=0.8, seed=seed)) for seed in order}

    forwards, backwards = ask([1, 2, 3, 4, 5, 6]), ask([6, 5, 4, 3, 2, 1])
    assert forwards == backwards
    assert len({tuple(texts) for texts in forwards.values()}) > 1


def test_judging_by_logprobs(engine: Engine) -> None:
    engine.model.script = rules(Rule("lamp", [Answer("Yes", first={"Yes": 0.7, "No": 0.1})]))
    yes, no = engine.token("Yes"), engine.token("No")
    answer = engine.chat(
        "Is the lamp on? Output Yes or No.",
        max_tokens=1,
        temperature=0,
        logprobs=True,
        logprob_token_ids=[yes, no],
    )
    entry = answer["choices"][0]["logprobs"]["content"][0]
    found = {top["token"]: math.exp(top["logprob"]) for top in entry["top_logprobs"]}
    assert found == pytest.approx({"Yes": 0.7, "No": 0.1})
    assert entry["token"] == "Yes"
    assert entry["logprob"] == pytest.approx(math.log(0.7))
    assert bytes(entry["bytes"]) == b"Yes"

    top = engine.chat("Is the lamp on?", logprobs=True, top_logprobs=2)["choices"][0]["logprobs"]["content"][
        0
    ]
    assert [each["token"] for each in top["top_logprobs"]] == ["Yes", "No"]


def test_generative_scoring(engine: Engine) -> None:
    def script(call: ChatCall) -> Answer:
        return Answer("Yes", first={"Yes": 0.6, "No": 0.2}) if "good" in call.last else Answer("No")

    engine.model.script = script
    labels = [engine.token("Yes"), engine.token("No")]
    body = {"query": "Is it fit? ", "items": ["good", "bad"], "label_token_ids": labels}
    answer = engine.post("/generative_scoring", model="actor@1", **body).json()
    scores = [item["score"] for item in answer["data"]]
    assert scores[0] == pytest.approx(0.75)
    assert scores[1] < 0.01
    assert answer["model"] == "actor@1"
    raw = engine.post("/generative_scoring", **body, apply_softmax=False).json()
    assert raw["data"][0]["score"] == pytest.approx(0.6)
    refused = engine.post("/generative_scoring", **{**body, "label_token_ids": [tokenizer.VOCABULARY]})
    assert refused.status_code == 400


@pytest.mark.parametrize(
    ("constraint", "fits"),
    [
        ({"choice": ["left", "right"]}, lambda text: text in {"left", "right"}),
        ({"regex": r"[a-c]{3}-\d+(x|yy)"}, lambda text: re.fullmatch(r"[a-c]{3}-\d+(x|yy)", text)),
        (
            {"grammar": 'root ::= "say " word ("!" | "?")\nword ::= [a-f]+'},
            lambda text: re.fullmatch(r"say [a-f]+[!?]", text),
        ),
        (
            {
                "json": {
                    "type": "object",
                    "properties": {"steps": {"type": "array", "minItems": 2, "items": {"type": "string"}}},
                    "required": ["steps"],
                }
            },
            lambda text: len(json.loads(text)["steps"]) == 2,
        ),
        ({"json": {"type": "integer", "minimum": 40}}, lambda text: json.loads(text) >= 40),
    ],
)
def test_structured_outputs(
    engine: Engine, constraint: dict[str, Any], fits: Callable[[str], object]
) -> None:
    engine.model.script = lambda _call: "I would rather say something else."
    texts = _texts(engine.chat("Speak.", structured_outputs=constraint, n=5, temperature=1))
    assert all(fits(text) for text in texts)


def test_an_answer_that_satisfies_the_constraint_is_kept(engine: Engine) -> None:
    engine.model.script = lambda _call: "2"
    answer = engine.chat("Output the number.", structured_outputs={"choice": ["1", "2", "3"]})
    assert _texts(answer) == ["2"]


@pytest.mark.parametrize(
    ("schema", "text", "kept"),
    [
        ({"type": "integer", "maximum": 5}, "5", True),
        ({"type": "integer", "maximum": 5}, "6", False),
        ({"anyOf": [{"type": "null"}, {"const": 1}]}, "2", False),
        ({"$ref": "http://127.0.0.1:9/schema"}, '"yes"', False),
        ({"$ref": "#/$defs/yes", "$defs": {"yes": {"const": "yes"}}}, '"yes"', True),
    ],
)
def test_an_answer_is_held_to_every_keyword_of_a_schema(
    engine: Engine, schema: dict[str, Any], text: str, kept: bool
) -> None:
    engine.model.script = lambda _call: text
    answer = engine.post("/v1/chat/completions", messages=HEAD, structured_outputs={"json": schema})
    assert answer.status_code in (200, 400)
    is_same = answer.status_code == 200 and _texts(answer.json()) == [text]
    assert is_same is kept


@pytest.mark.parametrize(
    "constraint",
    [
        {},
        {"choice": ["a"], "regex": "a"},
        {"json": {"type": "no type"}},
        {"regex": "("},
        {"grammar": "root ::= root"},
        {"choice": []},
    ],
)
def test_constraints_that_make_no_sense_are_refused(engine: Engine, constraint: dict[str, Any]) -> None:
    answer = engine.post("/v1/chat/completions", messages=HEAD, structured_outputs=constraint)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "BadRequestError"


def test_stop_and_length(engine: Engine) -> None:
    engine.model.script = lambda _call: "THOUGHT: hm\nACTION: look\nOBSERVATION: made up"
    stopped = engine.chat("Go on.", stop=["\nOBSERVATION:"])["choices"][0]
    assert stopped["message"]["content"] == "THOUGHT: hm\nACTION: look"
    assert (stopped["finish_reason"], stopped["stop_reason"]) == ("stop", "\nOBSERVATION:")
    short = engine.chat("Go on.", max_tokens=2)
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == 2
    assert short["choices"][0]["message"]["content"] == "THOUGHT"


@pytest.mark.parametrize(
    "text",
    ["", "Yes", "  two  spaces\n\ttab", "naïve 日本語 🙂", "a<|im_start|>b<|im_end|>\n", "go to shelf 12."],
)
def test_tokens_come_back_as_text(engine: Engine, text: str) -> None:
    answer = engine.post("/tokenize", model="toy", prompt=text).json()
    assert answer["count"] == len(answer["tokens"])
    assert answer["max_model_len"] == 1024
    assert engine.post("/detokenize", tokens=answer["tokens"]).json() == {"prompt": text}


def test_labels_are_single_tokens_and_chats_count_as_they_are_prompted(engine: Engine) -> None:
    labels = [engine.token(text) for text in ["Yes", "No", *map(str, range(1, 17))]]
    assert len(set(labels)) == len(labels)
    counted = engine.post("/tokenize", messages=[*HEAD, _user("Go.")], add_generation_prompt=True).json()
    assert counted["count"] == engine.chat("Go.")["usage"]["prompt_tokens"]
    beginning = engine.post("/tokenize", messages=HEAD, add_generation_prompt=False).json()["tokens"]
    assert counted["tokens"][: len(beginning)] == beginning


def test_cached_tokens_are_the_longest_known_prefix_in_blocks(engine: Engine) -> None:
    def cached(question: str, **body: Any) -> int:
        return engine.chat(question, **body)["usage"]["prompt_tokens_details"]["cached_tokens"]

    head = engine.post("/tokenize", messages=HEAD, add_generation_prompt=False).json()["count"]
    assert cached("One?") == 0
    shared = cached("Another question altogether?")
    assert shared % 16 == 0
    assert head - 16 < shared <= head + 16
    again = engine.chat("One?")["usage"]
    assert 0 < again["prompt_tokens"] - again["prompt_tokens_details"]["cached_tokens"] <= 16
    assert cached("One?", model="actor@1") == 0


def test_adapters(engine: Engine) -> None:
    cards = engine.http.get("/v1/models").json()["data"]
    assert [(card["id"], card["parent"], card["max_model_len"]) for card in cards] == [
        ("toy", None, 1024),
        ("actor@1", "toy", None),
    ]
    assert engine.post("/v1/load_lora_adapter", lora_name="judge@2", lora_path="/j").status_code == 200
    again = engine.post("/v1/load_lora_adapter", lora_name="judge@2", lora_path="/j")
    assert (again.status_code, again.json()["error"]["type"]) == (400, "InvalidUserInput")
    assert engine.chat("Go.", model="judge@2")["model"] == "judge@2"
    assert engine.model.log[-1].call.adapter == "judge@2"
    assert engine.post("/v1/unload_lora_adapter", lora_name="judge@2").status_code == 200
    assert engine.post("/v1/unload_lora_adapter", lora_name="judge@2").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"messages": HEAD, "model": "nobody"}, 404, "model"),
        ({"messages": [_user("word " * 2000)]}, 400, "input_tokens"),
        ({"messages": HEAD, "n": 2, "temperature": 0}, 400, None),
        ({"messages": HEAD, "logprob_token_ids": [300]}, 400, "logprob_token_ids"),
        ({"messages": HEAD, "temperature": "hot"}, 400, "body.temperature"),
        ({"messages": HEAD, "stream": True}, 400, "stream"),
        ({}, 400, "body.messages"),
    ],
)
def test_errors_have_openais_shape(
    engine: Engine, body: dict[str, Any], status: int, param: str | None
) -> None:
    answer = engine.post("/v1/chat/completions", **body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == status
    assert error["param"] == param
    assert error["message"]
    assert error["type"]


def test_rules_answer_in_turn_and_the_default_the_rest(engine: Engine) -> None:
    engine.model.script = rules(Rule("riddle", ["ACTION: a", "ACTION: b"]))
    assert _texts(engine.chat("A riddle.", n=3, temperature=1)) == ["ACTION: a", "ACTION: b", "ACTION: a"]
    assert _texts(engine.chat("Output Yes or No."))[0] in {"Yes", "No"}
    assert [logged.call.n for logged in engine.model.log] == [3, 1]


def test_failures_come_when_asked_for_and_then_go(engine: Engine) -> None:
    engine.model.fail(2, status=503)
    statuses = [engine.post("/v1/chat/completions", messages=HEAD).status_code for _ in range(3)]
    assert statuses == [503, 503, 200]
    engine.model.drop()
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        engine.post("/v1/chat/completions", messages=HEAD)
    assert engine.chat("And now?")["choices"]
    engine.model.healthy = False
    assert engine.http.get("/health").status_code == 503


async def test_latency_is_per_request_and_overlaps(engine: Engine) -> None:
    engine.model.latency, engine.model.token_latency = 1.0, 0.01
    engine.model.script = lambda _call: "word" + " word" * 9 * 2
    tokens = len(tokenizer.encode("word" + " word" * 18))
    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=engine.http.base_url, timeout=20) as client:
        asked = [
            asyncio.create_task(client.post("/v1/chat/completions", json={"messages": HEAD}))
            for _ in range(8)
        ]
        await asyncio.to_thread(eventually, lambda: engine.model.metrics.running._value.get() >= 2)
        answers = await asyncio.gather(*asked)
    took = time.perf_counter() - began
    assert all(answer.status_code == 200 for answer in answers)
    assert took >= 1.0 + 0.01 * tokens


def test_a_key_guards_v1_as_in_vllm() -> None:
    with serving(ScriptedModel(), api_key="secret") as url, httpx.Client(base_url=url) as client:
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200
        assert client.get("/health").status_code == 200


def test_as_a_part_it_reads_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPALIER_HOST", "0.0.0.0")
    monkeypatch.delenv("ESPALIER_MODEL_KEY", raising=False)
    with pytest.raises(ValueError, match="ESPALIER_MODEL_KEY"):
        create()
    monkeypatch.setenv("ESPALIER_MODEL_KEY", "secret")
    monkeypatch.setenv("ESPALIER_SCRIPTED_CONTEXT", "512")
    with TestClient(create()) as client:
        assert client.get("/v1/models").status_code == 401
        answer = client.get("/v1/models", headers={"Authorization": "Bearer secret"})
        assert answer.json()["data"][0]["max_model_len"] == 512


def test_metrics_have_vllms_names_and_count(engine: Engine) -> None:
    first = engine.chat("One?")["usage"]
    second = engine.chat("Two?")["usage"]
    families = {f.name: f for f in text_string_to_metric_families(engine.http.get("/metrics").text)}
    totals = {
        sample.name: sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert totals["vllm:prompt_tokens_total"] == first["prompt_tokens"] + second["prompt_tokens"]
    assert totals["vllm:prefix_cache_queries_total"] == totals["vllm:prompt_tokens_total"]
    hits = second["prompt_tokens_details"]["cached_tokens"]
    assert hits > 0
    assert totals["vllm:prefix_cache_hits_total"] == totals["vllm:prompt_tokens_cached_total"] == hits
    assert {
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:time_to_first_token_seconds",
        "vllm:e2e_request_latency_seconds",
    } <= families.keys()
