"""The client of a model: vLLM's OpenAI API, as far as the roles need it."""

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Any

from services.contracts.usage import Usage
from services.kit.abilities import Grammar, Labels
from services.kit.completion import MISSING, Reply, Sample, read_reply
from services.kit.engine import Engine, Served
from services.kit.failures import OutageError, RefusedError
from services.kit.metrics import Metrics, ModelMetrics
from services.kit.problems import Kind, ProblemError
from services.kit.replicas import Replicas
from services.kit.settings import RoleSettings

Chat = list[dict[str, str]]
"""Messages in OpenAI's form: `role` and `content`."""
CHAT = "/v1/chat/completions"
LEAST = 1e-9
"""The least probability that is assumed of a label."""
DRAINING = 4
"""The most engines that may drain at once."""


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
    """The model's name in requests to the engine."""
    adapter: str | None
    """The adapter that will answer, merged or loaded; None for the base model."""


class ModelClient:
    """One role's client of its engine; of several for a while, when a merged adapter is followed by another.

    An engine whose weights have an adapter merged into them cannot load others. So another engine takes its
    place, and the one before it answers those that name its adapter, until it is dropped.
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

        self._probe: tuple[Engine, asyncio.Task[Any]] | None = None

    @property
    def draining(self) -> list[str]:
        """The merged adapters of engines before this one."""
        return list(self._draining)

    async def close(self) -> None:
        """Close the connections."""
        if self._probe is not None:
            self._probe[1].cancel()
            await asyncio.gather(self._probe[1], return_exceptions=True)
        for engine in (self.engine, *self._draining.values()):
            await engine.close()

    async def check(self, *, needs_labels: bool = False) -> str | None:
        """For readiness: None where the engine answers and can do what the role needs.

        What it can do is found out once, in the background: a first check may come back before.
        """
        engine = self.engine
        try:
            self.show_adapters(await engine.refresh())
            if self._probe is None or self._probe[0] is not engine or _failed(self._probe[1]):
                self._probe = (engine, asyncio.create_task(engine.probe()))
            if needs_labels:
                while engine.abilities.labels is None and not self._probe[1].done():
                    await asyncio.wait([self._probe[1]], timeout=0.05)
                if engine.abilities.labels is Labels.NONE:
                    return "the engine reports no log-probabilities of labels: docs/engines.md"
                if engine.abilities.labels is None:
                    await self._probe[1]
        except (OutageError, RefusedError, ProblemError) as error:
            return str(error)
        return None

    def show_adapters(self, served: Served) -> None:
        """Show in the metrics which adapters answer, where the engine serves these."""
        self.metrics.show_adapters(
            loaded=len(served.adapters), merged=int(bool(self.engine.merged)), draining=len(self._draining)
        )

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
        regex: str | None = None,
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
            regex: A pattern that the whole answer has to match, where the engine takes one.
        """
        body: dict[str, Any] = {
            "model": target.model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "logprobs": True,
        }
        if seed is not None and self.settings.model_seeds:
            body["seed"] = seed
        if stop:
            body["stop"] = stop
        if regex:
            body |= (target.engine.abilities.grammar or Grammar.STRUCTURED_OUTPUTS).fields(regex)
        replies, seconds = await self._sample(target.engine, body, n if temperature > 0 else 1)
        samples = [sample for reply in replies for sample in reply.samples][:n]
        return Completion(samples, self._account(replies, seconds, target), target.model)

    async def score_labels(
        self, messages: Chat, labels: list[str], *, target: Target
    ) -> tuple[list[float], Completion]:
        """Return the log-probability of each label as the first token of the answer.

        A label that an engine leaves out of its likeliest tokens gets what those leave over, no more than the
        lowest of them.

        Raises:
            ProblemError: `upstream`: the engine reports none of the labels.
        """
        engine = target.engine
        body: dict[str, Any] = {
            "model": target.model,
            "messages": messages,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": True,
        }
        ids = [await engine.token(label) for label in labels]
        replies: list[Reply] = []
        began = time.perf_counter()
        found: dict[str, float] = {}
        if engine.labels_are_old:
            await engine.find_labels()
        if engine.abilities.labels in (None, Labels.IDS):
            if None not in ids:
                replies.append(read_reply(await self._send(engine, CHAT, {**body, "logprob_token_ids": ids})))
                found = _found(replies[-1], labels)
            if len(found) == len(labels):
                engine.abilities.labels = Labels.IDS
            else:  # a server that ignores the ids, or another one than before
                await engine.find_labels()
        if engine.abilities.labels is Labels.TOP:
            body["top_logprobs"] = engine.top_logprobs
            replies.append(read_reply(await self._send(engine, CHAT, body)))
            found = _found(replies[-1], labels)
        elif engine.abilities.labels is Labels.NONE:
            found = {}
        usage = self._account(replies, time.perf_counter() - began, target)
        if not found:
            raise ProblemError(
                Kind.UPSTREAM,
                f"The engine reports no log-probability of {', '.join(labels)}; a judge needs vLLM "
                "0.32 or one with top_logprobs (docs/engines.md).",
            )
        rest = _left_over(replies[-1].samples[0].first)
        scores = [found.get(label, rest) for label in labels]
        return scores, Completion(replies[-1].samples[:1], usage, target.model)

    async def count(self, messages: Chat, target: Target) -> int:
        """Return how many tokens a prompt has: as the engine counts them, or an upper estimate."""
        return await target.engine.count(target.model, messages)

    async def _sample(self, engine: Engine, body: dict[str, Any], n: int) -> tuple[list[Reply], float]:
        """Request n answers: in one call, and in calls of their own for those that are missing."""
        began = time.perf_counter()
        replies: list[Reply] = []
        if engine.abilities.several is not False or n == 1:
            replies += await self._chat(engine, {**body, "n": n} if n > 1 else body, n)
        missing = n - sum(len(reply.samples) for reply in replies)
        if missing > 0:
            seed = body.get("seed")
            bodies = [body if seed is None else {**body, "seed": seed + place} for place in range(missing)]
            for more in await asyncio.gather(*(self._chat(engine, one, 1) for one in bodies)):
                replies += more
            engine.abilities.several = False  # a request that is refused whole shows nothing about n
        return replies, time.perf_counter() - began

    async def _chat(self, engine: Engine, body: dict[str, Any], n: int) -> list[Reply]:
        """The answer to a chat; none where the engine refuses n above 1."""
        try:
            return [read_reply(await self._send(engine, CHAT, body))]
        except ProblemError as error:
            if n == 1 or error.kind is not Kind.UPSTREAM or engine.abilities.several:
                raise
            # Whatever else is wrong with the request, the single calls are refused as well.
            return []

    @property
    def replicas(self) -> Replicas:
        """The replicas of the engine, which all have to see a change of adapters."""
        return Replicas(self.engine, self.settings)

    async def load_adapter(self, name: str, path: str) -> None:
        """Load an adapter into every replica of the engine that lacks it. Raises as `Replicas.load`."""
        await self.replicas.load(name, path)
        await self.engine.refresh()

    async def unload_adapter(self, name: str) -> None:
        """Take an adapter out of every replica of the engine. Raises as `Replicas.unload`."""
        await self.replicas.unload(name)
        await self.engine.refresh()

    async def _send(self, engine: Engine, path: str, body: dict[str, Any], *, text: bool = False) -> Any:
        self.metrics.in_flight.labels(self.role).inc()
        outcome = "error"
        try:
            answer = await engine.send(path, body, text=text)
            outcome = "ok"
            return answer
        finally:
            self.metrics.in_flight.labels(self.role).dec()
            if path.endswith("completions"):
                self.metrics.calls.labels(self.role, outcome).inc()

    def _account(self, replies: list[Reply], seconds: float, target: Target) -> Usage:
        cost = Usage(
            calls=len(replies),
            prompt_tokens=sum(reply.tokens.prompt for reply in replies),
            cached_tokens=sum(reply.tokens.cached for reply in replies),
            completion_tokens=sum(reply.tokens.completion for reply in replies),
            seconds=seconds,
        )
        self.metrics.seconds.labels(self.role).observe(seconds)
        self.metrics.prompt_tokens.labels(self.role).inc(cost.prompt_tokens)
        self.metrics.cached_tokens.labels(self.role).inc(cost.cached_tokens)
        self.metrics.completion_tokens.labels(self.role).inc(cost.completion_tokens)
        self.metrics.count_answer(target.adapter)
        return cost


def _failed(task: "asyncio.Task[Any]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _left_over(reported: dict[str, float]) -> float:
    """The most that an unreported token can have: what the others leave, no more than the lowest."""
    left = 1.0 - sum(math.exp(min(logprob, 0.0)) for logprob in reported.values())
    return min(math.log(max(left, LEAST)), *reported.values())


def _found(reply: Reply, labels: list[str]) -> dict[str, float]:
    """The labels' log-probabilities, as far as they are reported; a token's leading blank does not matter."""
    found: dict[str, float] = {}
    for token, logprob in reply.samples[0].first.items():
        text = token.lstrip(" \u0120\u2581\n")
        if text in labels and logprob > MISSING:
            found[text] = max(logprob, found.get(text, MISSING))
    return found
