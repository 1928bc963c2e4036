"""The scripted server's answers, read by vLLM's own protocol models."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from services.scripted import model_metrics
from services.scripted.api import serving
from services.scripted.model import ScriptedModel

MESSAGES = [{"role": "user", "content": "Decompose the task into 3 subtasks."}]


@pytest.fixture(scope="module")
def vllm() -> Iterator[Any]:
    """Finds a name in a module of vLLM's entrypoints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_TARGET_DEVICE", "cpu")
        try:
            importlib.import_module("vllm.entrypoints.openai.chat_completion.protocol")
        except ImportError as error:
            pytest.skip(f"vLLM is not installed here: {error}")
        yield lambda module, name: getattr(importlib.import_module(f"vllm.entrypoints.{module}"), name)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    model = ScriptedModel(name="toy", adapters={"actor@1": "/adapters/1"})
    with serving(model) as url, httpx.Client(base_url=url, timeout=20) as client:
        yield client


def _same(given: Any, read: Any) -> None:
    """vLLM's model reads the answer as it is meant, and knows every field of it."""
    if isinstance(given, list):
        assert len(given) == len(read)
        for ours, theirs in zip(given, read, strict=True):
            _same(ours, theirs)
    elif isinstance(read, BaseModel):
        assert not read.model_extra, f"vLLM has no such fields: {read.model_extra}"
        for name, value in given.items():
            _same(value, getattr(read, name))
    else:
        assert given == read


CHATS = [
    {},
    {"n": 3, "temperature": 0.8, "seed": 7, "stop": ["\n2."], "max_tokens": 30},
    {"logprobs": True, "top_logprobs": 3, "max_tokens": 4},
    {"logprobs": True, "logprob_token_ids": [300, 301], "max_tokens": 1, "temperature": 0},
    {"structured_outputs": {"choice": ["Yes", "No"]}},
]


@pytest.mark.parametrize("extra", CHATS)
def test_chats(vllm: Any, client: httpx.Client, extra: dict[str, Any]) -> None:
    body = {"model": "toy", "messages": MESSAGES, **extra}
    protocol = "openai.chat_completion.protocol"
    assert not vllm(protocol, "ChatCompletionRequest").model_validate(body).model_extra
    answer = client.post("/v1/chat/completions", json=body).json()
    read = vllm(protocol, "ChatCompletionResponse").model_validate(answer)
    _same(answer, read)
    assert len(answer["choices"]) == extra.get("n", 1)


def test_what_vllm_refuses_we_refuse(vllm: Any, client: httpx.Client) -> None:
    request = vllm("openai.chat_completion.protocol", "ChatCompletionRequest")
    refusal = importlib.import_module("vllm.exceptions").VLLMValidationError
    for extra in (
        {"logprob_token_ids": [3]},
        {"top_logprobs": 2},
        {"structured_outputs": {"regex": "a", "choice": ["a"]}},
    ):
        body = {"messages": MESSAGES, **extra}
        assert client.post("/v1/chat/completions", json=body).status_code == 400
        with pytest.raises(refusal):
            request.model_validate(body)


def test_tokens_and_scores(vllm: Any, client: httpx.Client) -> None:
    protocol = "serve.tokenize.protocol"
    prompt = {"model": "toy", "prompt": "Yes", "add_special_tokens": False}
    chat = {"model": "toy", "messages": MESSAGES, "add_generation_prompt": True}
    for body, request in ((prompt, "TokenizeCompletionRequest"), (chat, "TokenizeChatRequest")):
        assert not vllm(protocol, request).model_validate(body).model_extra
        answer = client.post("/tokenize", json=body).json()
        _same(answer, vllm(protocol, "TokenizeResponse").model_validate(answer))
    back = client.post("/detokenize", json={"tokens": answer["tokens"]}).json()
    _same(back, vllm(protocol, "DetokenizeResponse").model_validate(back))

    serving_module = "generate.generative_scoring.serving"
    body = {"model": "toy", "query": "fit? ", "items": ["a", "b"], "label_token_ids": [300, 301]}
    assert not vllm(serving_module, "GenerativeScoringRequest").model_validate(body).model_extra
    scored = client.post("/generative_scoring", json=body).json()
    _same(scored, vllm(serving_module, "GenerativeScoringResponse").model_validate(scored))


def test_models_and_errors(vllm: Any, client: httpx.Client) -> None:
    models = client.get("/v1/models").json()
    _same(models, vllm("serve.engine.protocol", "ModelList").model_validate(models))
    for body in ({"messages": MESSAGES, "model": "nobody"}, {"messages": "no list"}):
        error = client.post("/v1/chat/completions", json=body).json()
        _same(error, vllm("serve.engine.protocol", "ErrorResponse").model_validate(error))
    load = {"lora_name": "judge@2", "lora_path": "/j"}
    vllm("serve.lora.protocol", "LoadLoRAAdapterRequest").model_validate(load)
    assert client.post("/v1/load_lora_adapter", json=load).status_code == 200


def test_metrics_are_named_as_vllm_names_them(vllm: Any) -> None:
    assert vllm("serve.engine.protocol", "ModelList")
    loggers = importlib.import_module("vllm.v1.metrics.loggers")
    theirs = set(re.findall(r'"(vllm:\w+)"', Path(str(loggers.__file__)).read_text()))
    source = Path(model_metrics.__file__).read_text()
    ours = set(re.findall(r'self\._(?:gauge|counter|histogram)\("(\w+)"', source))
    assert len(ours) >= 10
    assert {f"vllm:{name}" for name in ours} <= theirs
