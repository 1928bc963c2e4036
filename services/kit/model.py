"""The client of a model: vLLM's OpenAI API, as far as the roles need it."""

import time
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from services.contracts.usage import Usage
from services.kit.engine import Engine, Wire
from services.kit.metrics import Metrics, ModelMetrics
from services.kit.problems import Kind, ProblemError
from services.kit.settings import RoleSettings
from services.kit.upstream import OutageError, RefusedError

Chat = list[dict[str, str]]
"""Messages in OpenAI's form: `role` and `content`."""
DRAINING = 4
"""The most engines that may drain at once."""


class _TopLogprob(Wire):
    token: str = ""
    logprob: float = -9999.0


class _TokenLogprob(_TopLogprob):
    top_logprobs: list[_TopLogprob] = Field(default_factory=list[_TopLogprob])


class _Logprobs(Wire):
    content: list[_TokenLogprob] | None = None


class _Said(Wire):
    content: str | None = None


class _Choice(Wire):
    message: _Said
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Cached(Wire):
    cached_tokens: int | None = 0


class _Usage(Wire):
    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    prompt_tokens_details: _Cached | None = None


class _Completion(Wire):
    choices: list[_Choice]
    usage: _Usage = _Usage()


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
class Target:
    """What a request is sent to."""

    engine: Engine
    model: str
    """The name to ask the engine for."""
    adapter: str | None
    """The adapter that will answer, merged or loaded; None for the base model."""


class ModelClient:
    """One role's client of its engine; of several for a while, when a merged adapter is followed by another.

    An engine whose weights have an adapter merged into them cannot load others. So another engine takes its
    place, and the one before it answers those that ask for its adapter by name, until it is dropped.
    """

    def __init__(self, role: str, settings: RoleSettings, metrics: Metrics) -> None:
        self.role = role
        self.settings = settings
        self.metrics = ModelMetrics(metrics, role)
        self.engine = Engine(settings.model_url_of(role), settings, settings.merged_adapter)
        """The engine that answers requests that name no adapter."""
        self._draining = {
            name: Engine(url, settings, name) for name, url in settings.draining_engines.items()
        }

    @property
    def draining(self) -> list[str]:
        """The merged adapters of engines before this one."""
        return list(self._draining)

    async def close(self) -> None:
        """Close the connections."""
        for engine in (self.engine, *self._draining.values()):
            await engine.close()

    async def check(self) -> str | None:
        """For readiness: None where the engine answers."""
        try:
            await self.engine.refresh()
        except (OutageError, RefusedError, ProblemError) as error:
            return str(error)
        return None

    async def resolve(self, adapter: str | None) -> Target:
        """Where to send a request that wants an adapter.

        Raises:
            ProblemError: `adapter-not-served`, with what is.
        """
        engine = self.engine
        served = await engine.served()
        if adapter is None or adapter == engine.merged:
            return Target(engine, served.base, engine.merged or None)
        if former := self._draining.get(adapter):
            return Target(former, (await former.served()).base, adapter)
        if adapter not in served.adapters:
            served = await engine.refresh()
        if adapter in served.adapters:
            return Target(engine, adapter, adapter)
        allowed = [name for name in [engine.merged, *served.adapters, *self._draining] if name]
        raise ProblemError(
            Kind.ADAPTER_NOT_SERVED,
            f"adapter {adapter} is not served; served are: {', '.join(allowed) or 'none'}.",
            allowed=allowed,
        )

    async def change_engine(self, merged: str, url: str) -> None:
        """Send what names no adapter to another engine; the one before it drains.

        Args:
            merged: The adapter that is merged into the other engine's weights.
            url: Its address.

        Raises:
            ProblemError: It serves another base, the engine of now has no merged weights, or too many drain.
            OutageError: It does not answer.
        """
        before = self.engine
        if not before.merged:
            raise ProblemError(Kind.CONFLICT, "The engine has no merged adapter: load adapters into it.")
        if before.merged == merged:
            if before.url != url.rstrip("/"):
                raise ProblemError(Kind.CONFLICT, f"{merged} is served by {before.url}.")
            return
        if merged not in self._draining and len(self._draining) >= DRAINING:
            raise ProblemError(
                Kind.CONFLICT, f"{DRAINING} engines drain already; drop one first.", allowed=self.draining
            )
        after = Engine(url, self.settings, merged)
        try:
            base, wanted = (await after.refresh()).base, (await before.served()).base
            if base != wanted:
                raise ProblemError(Kind.UNPROCESSABLE, f"{url} serves {base}, and {wanted} is wanted.")
        except BaseException:
            await after.close()
            raise
        again = self._draining.pop(merged, None)
        self.engine, self._draining[before.merged] = after, before
        if again is not None:
            await again.close()

    async def drop_engine(self, merged: str) -> bool:
        """Let go of an engine that drains, by its merged adapter; False where none of that name does."""
        engine = self._draining.pop(merged, None)
        if engine is not None:
            await engine.close()
        return engine is not None

    async def chat(
        self,
        messages: Chat,
        *,
        target: Target,
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
            target: As `resolve` gives it.
            max_tokens: Longest answer.
            n: Samples.
            temperature: 0 is greedy.
            seed: Sent only to engines that stand it.
            stop: Texts that end an answer.
            structured: vLLM's `structured_outputs`, one of regex, choice, json, grammar.
            label_tokens: Token ids whose logprobs are wanted at the first token.
        """
        body: dict[str, Any] = {
            "model": target.model,
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
        answer = _Completion.model_validate(await self._send(target.engine, "/v1/chat/completions", body))
        usage = self._account(answer.usage, time.perf_counter() - began)
        return Completion([_sample(choice) for choice in answer.choices], usage, target.model)

    async def count(self, messages: Chat, target: Target) -> int:
        """How many tokens a prompt is, as the engine counts them."""
        body = {"model": target.model, "messages": messages, "add_generation_prompt": True}
        return int((await self._send(target.engine, "/tokenize", body))["count"])

    async def load_adapter(self, name: str, path: str) -> None:
        """Load an adapter into the engine at run time."""
        await self._send(self.engine, "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        await self.engine.refresh()

    async def unload_adapter(self, name: str) -> None:
        """Take an adapter out of the engine."""
        await self._send(self.engine, "/v1/unload_lora_adapter", {"lora_name": name})
        await self.engine.refresh()

    async def _send(self, engine: Engine, path: str, body: dict[str, Any]) -> Any:
        self.metrics.in_flight.labels(self.role).inc()
        outcome = "error"
        try:
            answer = await engine.send(path, body)
            outcome = "ok"
            return answer
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
