"""The scripted model: answers by a script, counts tokens, caches prefixes, takes its time, fails on demand.

What it answers depends on the request and its seed alone. What it remembers changes only figures:
the cached tokens, the metrics, the log.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.scripted import constraint as constraints
from services.scripted import tokenizer, wire
from services.scripted.call import Answer, ChatCall, Message, Script, answers
from services.scripted.faults import DROP, Fault, Faults
from services.scripted.model_metrics import ModelMetrics
from services.scripted.prefix_cache import CAPACITY, PrefixCache
from services.scripted.sampling import cut, odds_of, unlikely, wire_choice
from services.scripted.scripts import play_roles
from services.scripted.wire import EngineError

DEFAULT_MODEL = "scripted"
LOG_LENGTH = 10_000


@dataclass(frozen=True)
class Logged:
    """One chat or scoring request that was answered, for assertions."""

    path: str
    call: ChatCall
    texts: tuple[str, ...]
    usage: wire.Usage


class ScriptedModel:
    """An engine that answers by a script."""

    def __init__(
        self,
        script: Script = play_roles,
        *,
        name: str = DEFAULT_MODEL,
        max_model_len: int = 8192,
        latency: float = 0.0,
        token_latency: float = 0.0,
        adapters: Mapping[str, str] | None = None,
        cache: int = CAPACITY,
    ) -> None:
        """A model.

        Args:
            script: Answers a chat.
            name: The base model's name.
            max_model_len: The context, tokens.
            latency: Seconds that every request takes.
            token_latency: Seconds that each token of the longest choice adds.
            adapters: Adapters that are loaded from the start: paths by name.
            cache: Blocks that the prefix cache holds.
        """
        self.script = script
        self.name = name
        self.max_model_len = max_model_len
        self.latency = latency
        self.token_latency = token_latency
        self.adapters = dict(adapters or {})
        self.healthy = True
        self.faults = Faults()
        self.log: deque[Logged] = deque(maxlen=LOG_LENGTH)
        self.metrics = ModelMetrics(name)
        self.cache = PrefixCache(cache)
        self.began = int(time.time())

    def fail(self, times: int = 1, *, status: int = 503, path: str = "/v1/chat/completions") -> None:
        """Answer the next `times` requests to a path with an error."""
        self.faults.add(Fault(status, path), times)

    def drop(self, times: int = 1, *, path: str = "/v1/chat/completions") -> None:
        """Break the connection of the next `times` requests to a path in the middle of the answer."""
        self.faults.add(Fault(DROP, path), times)

    def models(self) -> wire.ModelList:
        """The base model and the adapters that are loaded."""
        base = wire.ModelCard(
            id=self.name, created=self.began, root=self.name, max_model_len=self.max_model_len
        )
        loaded = [
            wire.ModelCard(id=name, created=self.began, root=path, parent=self.name)
            for name, path in self.adapters.items()
        ]
        return wire.ModelList(data=[base, *loaded])

    def load(self, request: wire.LoadAdapter) -> str:
        """Load an adapter; its weights are not looked at."""
        name = request.lora_name
        if not name or not request.lora_path:
            raise EngineError("Both 'lora_name' and 'lora_path' must be provided.", kind="InvalidUserInput")
        if name == self.name:
            raise EngineError(
                f"The lora adapter '{name}' conflicts with a served base model.", kind="InvalidUserInput"
            )
        if name in self.adapters and not request.load_inplace:
            raise EngineError(f"The lora adapter '{name}' has already been loaded.", kind="InvalidUserInput")
        self.adapters[name] = request.lora_path
        return f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, request: wire.UnloadAdapter) -> str:
        """Unload an adapter."""
        if request.lora_name not in self.adapters:
            raise EngineError(
                f"The lora adapter '{request.lora_name}' cannot be found.", 404, "NotFoundError"
            )
        del self.adapters[request.lora_name]
        return f"Success: LoRA adapter '{request.lora_name}' removed successfully."

    def tokenize(self, request: wire.TokenizeRequest) -> wire.TokenizeResponse:
        """The tokens of a prompt or of a chat."""
        self._adapter(request.model)
        if request.messages is not None:
            pairs = [(message.role, message.text()) for message in request.messages]
            text = tokenizer.render(pairs, generation=request.add_generation_prompt)
        elif request.prompt is not None:
            text = request.prompt
        else:
            raise EngineError("Either prompt or messages is needed.", kind="Bad Request", param="body.prompt")
        tokens = tokenizer.encode(text)
        strings = [tokenizer.decode([token]) for token in tokens] if request.return_token_strs else None
        return wire.TokenizeResponse(
            count=len(tokens), max_model_len=self.max_model_len, tokens=tokens, token_strs=strings
        )

    def detokenize(self, request: wire.DetokenizeRequest) -> wire.DetokenizeResponse:
        """The text of tokens."""
        self._adapter(request.model)
        try:
            return wire.DetokenizeResponse(prompt=tokenizer.decode(request.tokens))
        except ValueError as error:
            raise EngineError(str(error)) from error

    async def chat(self, request: wire.ChatRequest, session: str = "") -> wire.ChatResponse:
        """Answer a chat of a session."""
        call = replace(self._call(request), priority=request.priority, session=session)
        prompt = tokenizer.encode(tokenizer.render([(m.role, m.content) for m in call.messages]))
        room = self._room(len(prompt))
        drawn = [self._constrained(call, index, item) for index, item in enumerate(self._run_script(call))]
        limit = min(room, call.max_tokens or room)
        choices = [cut(call, index, answer, limit) for index, answer in enumerate(drawn)]
        usage = await self._spend(call, [prompt], [len(choice.tokens) for choice in choices])
        for choice in choices:
            self.metrics.finished(choice.finish)
        self._remember("/v1/chat/completions", call, [choice.text for choice in choices], usage)
        digest = call.random("id", time.monotonic_ns()).getrandbits(128)
        return wire.ChatResponse(
            id=f"chatcmpl-{digest:032x}",
            created=int(time.time()),
            model=call.model,
            choices=[
                wire_choice(index, choice, request, drawn[index]) for index, choice in enumerate(choices)
            ],
            usage=usage,
        )

    async def score(self, request: wire.ScoringRequest) -> wire.ScoringResponse:
        """The probability of the first label after the query and each item."""
        model, adapter = self._adapter(request.model)
        if not request.label_token_ids:
            raise EngineError("label_token_ids must contain at least one token ID.")
        if not request.items:
            raise EngineError("items must contain at least one item.")
        for label in request.label_token_ids:
            if not 0 <= label < tokenizer.VOCABULARY:
                raise EngineError(
                    f"label_token_id {label} is out of vocabulary range [0, {tokenizer.VOCABULARY})."
                )
        query = _tokens(request.query)
        prompts: list[list[int]] = []
        results: list[wire.ScoringItem] = []
        call = ChatCall(model, (), adapter=adapter)
        for index, item in enumerate(request.items):
            parts = [_tokens(item), query] if request.item_first else [query, _tokens(item)]
            prompt = [*parts[0], *parts[1]][: self.max_model_len - 1]
            call = ChatCall(
                model, (Message("user", tokenizer.decode(prompt)),), max_tokens=1, adapter=adapter
            )
            odds = odds_of(self._run_script(call)[0])
            shares = [odds.get(label, unlikely(odds)) for label in request.label_token_ids]
            score = shares[0] / sum(shares) if request.apply_softmax else shares[0]
            prompts.append(prompt)
            results.append(wire.ScoringItem(index=index, score=score))
        usage = await self._spend(call, prompts, [1] * len(prompts))
        usage = usage.model_copy(update={"prompt_tokens_details": None})
        self._remember("/generative_scoring", call, [], usage)
        return wire.ScoringResponse(
            id=f"generative-scoring-{call.random(len(prompts)).getrandbits(128):032x}",
            created=int(time.time()),
            model=model,
            data=results,
            usage=usage,
        )

    def _adapter(self, model: str | None) -> tuple[str, str | None]:
        """The served name and the adapter that a request's model stands for."""
        if not model or model == self.name:
            return self.name, None
        if model in self.adapters:
            return model, model
        raise EngineError(
            f"The model `{model}` does not exist. Valid aliases: {self.name}.", 404, "NotFoundError", "model"
        )

    def _call(self, request: wire.ChatRequest) -> ChatCall:
        model, adapter = self._adapter(request.model)
        temperature = 1.0 if request.temperature is None else request.temperature
        n = request.n or 1
        if n > 1 and temperature == 0:
            raise EngineError(f"n must be 1 when using greedy sampling, got {n}.")
        if request.logprob_token_ids and not request.logprobs:
            raise EngineError("`logprob_token_ids` needs `logprobs`.", param="logprob_token_ids")
        if request.top_logprobs and not request.logprobs:
            raise EngineError("`top_logprobs` needs `logprobs`.", param="top_logprobs")
        if request.stream:
            raise EngineError("The scripted server does not stream.", param="stream")
        constraint = None
        if request.structured_outputs is not None:
            try:
                constraint = constraints.parse_constraint(request.structured_outputs)
            except ValueError as error:
                raise EngineError(str(error), param="structured_outputs") from error
        return ChatCall(
            model=model,
            messages=tuple(Message(message.role, message.text()) for message in request.messages),
            n=n,
            temperature=temperature,
            max_tokens=request.max_completion_tokens or request.max_tokens,
            stop=request.stops(),
            seed=request.seed,
            constraint=constraint,
            adapter=adapter,
        )

    def _room(self, prompt: int) -> int:
        if prompt >= self.max_model_len:
            raise EngineError(
                f"This model's maximum context length is {self.max_model_len} tokens. However, your "
                f"prompt contains {prompt} input tokens. Please reduce the length of the input prompt.",
                param="input_tokens",
            )
        return self.max_model_len - prompt

    def _run_script(self, call: ChatCall) -> list[Answer]:
        try:
            return answers(self.script, call)
        except ValueError as error:
            raise EngineError(f"The script failed: {error}", 500, "InternalServerError") from error

    def _constrained(self, call: ChatCall, index: int, answer: Answer) -> Answer:
        """The script's answer where it satisfies the constraint, else one that does."""
        if call.constraint is None:
            return answer
        try:
            if constraints.satisfies(call.constraint, answer.text):
                return answer
            return Answer(constraints.sample(call.constraint, call.random("constraint", index)))
        except ValueError as error:
            raise EngineError(str(error), param="structured_outputs") from error

    async def _spend(self, call: ChatCall, prompts: list[list[int]], lengths: list[int]) -> wire.Usage:
        """Take the time that a request takes, and count its tokens."""
        metrics = self.metrics
        salt = f"{call.adapter}\0{self.adapters.get(call.adapter or '')}"
        cached = sum(self.cache.admit(salt, prompt) for prompt in prompts)
        prompt = sum(map(len, prompts))
        generated = sum(lengths)
        seconds = self.latency + self.token_latency * max(lengths)
        with metrics.running.track_inprogress():
            await asyncio.sleep(seconds)
        metrics.cache_usage.set(self.cache.usage())
        metrics.cache_queries.inc(prompt)
        metrics.cache_hits.inc(cached)
        metrics.prompt_tokens.inc(prompt)
        metrics.cached_tokens.inc(cached)
        metrics.generated_tokens.inc(generated)
        metrics.first_token.observe(self.latency + self.token_latency)
        metrics.between_tokens.observe(self.token_latency)
        metrics.latency.observe(seconds)
        metrics.queue.observe(0)
        metrics.prompt_length.observe(prompt)
        metrics.answer_length.observe(generated)
        return wire.Usage(
            prompt_tokens=prompt,
            completion_tokens=generated,
            total_tokens=prompt + generated,
            prompt_tokens_details=wire.PromptDetails(cached_tokens=cached),
        )

    def _remember(self, path: str, call: ChatCall, texts: Sequence[str], usage: wire.Usage) -> None:
        self.log.append(Logged(path, call, tuple(texts), usage))


def _tokens(given: str | list[int]) -> list[int]:
    return tokenizer.encode(given) if isinstance(given, str) else given
