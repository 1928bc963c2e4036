"""The client of a model: vLLM's OpenAI API, as far as the roles need it."""

import time
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from services.contracts.usage import Usage
from services.kit.auth import bearer
from services.kit.metrics import Metrics, ModelMetrics
from services.kit.problems import Kind, ProblemError
from services.kit.settings import RoleSettings
from services.kit.upstream import OutageError, RefusedError, Upstream

Chat = list[dict[str, str]]
"""Messages in OpenAI's form: `role` and `content`."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _TopLogprob(_Wire):
    token: str = ""
    logprob: float = -9999.0


class _TokenLogprob(_TopLogprob):
    top_logprobs: list[_TopLogprob] = Field(default_factory=list[_TopLogprob])


class _Logprobs(_Wire):
    content: list[_TokenLogprob] | None = None


class _Said(_Wire):
    content: str | None = None


class _Choice(_Wire):
    message: _Said
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Cached(_Wire):
    cached_tokens: int | None = 0


class _Usage(_Wire):
    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    prompt_tokens_details: _Cached | None = None


class _Completion(_Wire):
    choices: list[_Choice]
    usage: _Usage = _Usage()


class _Model(_Wire):
    id: str
    parent: str | None = None
    max_model_len: int | None = None


class _Models(_Wire):
    data: list[_Model]


@dataclass(frozen=True)
class Sample:
    """One of the texts that a model call gave."""

    text: str
    logprob: float | None
    """Sum over its tokens."""
    first: dict[str, float]
    """Logprobs of the first token's alternatives, by token text, as far as they were asked for."""
    truncated: bool
    """Whether it ended at `max_tokens`."""


@dataclass(frozen=True)
class Completion:
    """What a model call gave."""

    samples: list[Sample]
    usage: Usage
    model: str


@dataclass(frozen=True)
class Served:
    """What an engine serves."""

    base: str
    adapters: list[str]
    context: int
    """Tokens of prompt and answer together."""


class ModelClient:
    """One role's client of its engine."""

    def __init__(self, role: str, settings: RoleSettings, metrics: Metrics) -> None:
        self.role = role
        self.settings = settings
        self.metrics = ModelMetrics(metrics, role)
        self._upstream = Upstream(
            "model",
            settings.model_url_of(role),
            headers=bearer(settings.model_key.get_secret_value()),
            concurrency=settings.model_concurrency,
            waiting=settings.model_waiting,
            timeout=settings.model_timeout,
            retry_for=2.0,
        )
        self._served: Served | None = None
        self._tokens: dict[str, int] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    async def check(self) -> str | None:
        """For readiness: None where the engine answers."""
        try:
            await self.refresh()
        except (OutageError, RefusedError, ProblemError) as error:
            return str(error)
        return None

    async def refresh(self) -> Served:
        """Ask the engine what it serves."""
        response = await self._upstream.request("GET", "/v1/models")
        models = _Models.model_validate_json(response.content).data
        bases = [model for model in models if model.parent is None]
        named = self.settings.model_name
        base = next((model for model in bases if named in ("", model.id)), None)
        if base is None:
            known = [model.id for model in bases]
            raise ProblemError(
                Kind.UPSTREAM, f"The engine does not serve {named} (ESPALIER_MODEL_NAME).", allowed=known
            )
        adapters = [model.id for model in models if model.parent is not None]
        self._served = Served(base.id, adapters, base.max_model_len or 4096)
        return self._served

    async def served(self) -> Served:
        """What the engine serves, as last asked."""
        return self._served or await self.refresh()

    async def resolve(self, adapter: str | None) -> str:
        """The model name to ask for when an adapter is wanted.

        Raises:
            ProblemError: `adapter-not-served`, with what is.
        """
        served = await self.served()
        merged = self.settings.merged_adapter
        if adapter is None or adapter == merged:
            return served.base
        if adapter in served.adapters or adapter in (await self.refresh()).adapters:
            return adapter
        allowed = [name for name in [merged, *(self._served or served).adapters] if name]
        raise ProblemError(
            Kind.ADAPTER_NOT_SERVED,
            f"adapter {adapter} is not served; served are: {', '.join(allowed) or 'none'}.",
            allowed=allowed,
        )

    async def chat(
        self,
        messages: Chat,
        *,
        model: str,
        max_tokens: int,
        n: int = 1,
        temperature: float = 0.0,
        seed: int | None = None,
        stop: list[str] | None = None,
        structured: dict[str, Any] | None = None,
        label_tokens: list[int] | None = None,
    ) -> Completion:
        """One chat completion with `n` samples.

        Args:
            messages: The prompt.
            model: As `resolve` gives it.
            max_tokens: Longest answer.
            n: Samples.
            temperature: 0 is greedy.
            seed: Sent only to engines that stand it.
            stop: Texts that end an answer.
            structured: vLLM's `structured_outputs`, one of regex, choice, json, grammar.
            label_tokens: Token ids whose logprobs are wanted at the first token.
        """
        body: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "n": n,
            "logprobs": True,
        }
        if seed is not None and self.settings.model_seeds:
            body["seed"] = seed
        if stop:
            body["stop"] = stop
        if structured:
            body["structured_outputs"] = structured
        if label_tokens:
            body["logprob_token_ids"] = label_tokens
        began = time.perf_counter()
        answer = _Completion.model_validate(await self._send("/v1/chat/completions", body))
        usage = self._account(answer.usage, time.perf_counter() - began)
        return Completion([_sample(choice) for choice in answer.choices], usage, model)

    async def count(self, messages: Chat, model: str) -> int:
        """How many tokens a prompt is, as the engine counts them."""
        body = {"model": model, "messages": messages, "add_generation_prompt": True}
        return int((await self._send("/tokenize", body))["count"])

    async def token(self, text: str) -> int:
        """The first token of a short text (a label such as `Yes`); remembered."""
        if text not in self._tokens:
            model = (await self.served()).base
            body = {"model": model, "prompt": text, "add_special_tokens": False}
            self._tokens[text] = int((await self._send("/tokenize", body))["tokens"][0])
        return self._tokens[text]

    async def load_adapter(self, name: str, path: str) -> None:
        """Load an adapter into the engine at run time."""
        await self._send("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        await self.refresh()

    async def unload_adapter(self, name: str) -> None:
        """Take an adapter out of the engine."""
        await self._send("/v1/unload_lora_adapter", {"lora_name": name})
        await self.refresh()

    async def _send(self, path: str, body: dict[str, Any]) -> Any:
        self.metrics.in_flight.labels(self.role).inc()
        outcome = "error"
        try:
            response = await self._upstream.request("POST", path, body)
            outcome = "ok"
            is_json = response.headers.get("content-type", "").startswith("application/json")
            return orjson.loads(response.content) if is_json else {}
        except RefusedError as error:
            raise _told(error) from error
        finally:
            self.metrics.in_flight.labels(self.role).dec()
            if path.endswith("completions"):
                self.metrics.calls.labels(self.role, outcome).inc()

    def _account(self, usage: _Usage, seconds: float) -> Usage:
        details = usage.prompt_tokens_details
        cost = Usage(
            calls=1,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=(details.cached_tokens or 0) if details else 0,
            completion_tokens=usage.completion_tokens or 0,
            seconds=seconds,
        )
        self.metrics.seconds.labels(self.role).observe(seconds)
        self.metrics.prompt_tokens.labels(self.role).inc(cost.prompt_tokens)
        self.metrics.cached_tokens.labels(self.role).inc(cost.cached_tokens)
        self.metrics.completion_tokens.labels(self.role).inc(cost.completion_tokens)
        return cost


def _sample(choice: _Choice) -> Sample:
    content = (choice.logprobs.content if choice.logprobs else None) or []
    first: dict[str, float] = {}
    if content:
        for alternative in [content[0], *content[0].top_logprobs]:
            first[alternative.token] = max(alternative.logprob, first.get(alternative.token, -9999.0))
    return Sample(
        text=choice.message.content or "",
        logprob=sum(token.logprob for token in content) if content else None,
        first=first,
        truncated=choice.finish_reason == "length",
    )


def _told(error: RefusedError) -> ProblemError:
    status, detail = error.problem.status, error.problem.detail
    if status == 400 and ("context length" in detail or "maximum context" in detail):
        return ProblemError(Kind.CONTEXT_TOO_LONG, detail)
    if status == 429:
        return ProblemError(Kind.TOO_MANY, f"The engine is full: {detail}", retry_after=1)
    return ProblemError(Kind.UPSTREAM, f"The engine answered {status}: {detail}")
