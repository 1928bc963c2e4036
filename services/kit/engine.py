"""One engine: vLLM's HTTP surface as far as the roles need it, and what it was last seen to serve."""

import time
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from services.kit.abilities import Abilities, Grammar, Labels, estimate_tokens
from services.kit.auth import bearer
from services.kit.completion import as_count, as_list, as_object, quote, read_reply
from services.kit.failures import RefusedError
from services.kit.origin import current_origin
from services.kit.problems import Kind, ProblemError
from services.kit.settings import RoleSettings
from services.kit.tracing import SpanKind, describe_chat, describe_reply, span
from services.kit.upstream import Upstream

TOP_LOGPROBS = (20, 5)
"""How many alternatives are requested: vLLM's most, then OpenAI-compatible servers' least."""
PROBE = "Is water wet? Output Yes or No."
RECHECK = 30.0
"""After so many seconds an engine that reported no labels is looked at again."""
CONTEXT = 4096
"""The context that is assumed where neither the engine nor the settings name one, tokens."""
NOT_OFFERED = (400, 404, 405, 422, 501)
"""The statuses by which a server answers a path or a form of it that it does not have."""
TOO_LONG = (
    "context length",
    "context_length",
    "maximum context",
    "context size",
    "context window",
    "maximum model length",
    "prompt length",
    "max_new_tokens` must be",
    "too long",
)
"""Servers' messages, in lower case, for a prompt that does not fit."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Served:
    """What an engine serves."""

    base: str
    adapters: list[str]
    """Those that were loaded at run time."""
    context: int
    """Tokens of prompt and answer together."""


class Engine:
    """One engine that a role calls.

    Args:
        url: Its address, without `/v1`.
        settings: The key, the bounds and the deadline of calls to it.
        merged: The adapter that is merged into its weights; empty: none.
    """

    def __init__(self, url: str, settings: RoleSettings, merged: str = "") -> None:
        self.url = url.rstrip("/")
        self.merged = merged
        self.abilities = Abilities()
        self.top_logprobs = TOP_LOGPROBS[0]
        self._labels_at = 0.0
        self._named = settings.model_name
        self._context = settings.model_context
        self._upstream = Upstream(
            "model",
            self.url,
            headers=bearer(settings.model_key.get_secret_value()),
            concurrency=settings.model_concurrency,
            waiting=settings.model_waiting,
            timeout=settings.model_timeout,
            retry_for=2.0,
            proxied=settings.use_proxy,
        )
        self._served: Served | None = None
        self._tokens: dict[str, int] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    async def refresh(self) -> Served:
        """Find out what it serves.

        Raises:
            ProblemError: It does not serve the model that the settings name, or lists none.
            OutageError: It is away.
        """
        try:
            response = await self._upstream.request("GET", "/v1/models")
        except RefusedError as error:
            raise _describe_refusal(error) from error
        listed = _read_json(response.content, "/v1/models", response.headers.get("content-type", ""))
        models = [as_object(model) for model in as_list(as_object(listed).get("data"))]
        bases = {str(model["id"]): model for model in models if model.get("id") and not model.get("parent")}
        name = self._named if self._named in bases else "" if self._named else next(iter(bases), "")
        if not name:
            raise ProblemError(
                Kind.UPSTREAM,
                f"The engine does not serve {self._named or 'any model'} (ESPALIER_MODEL_NAME).",
                allowed=list(bases),
            )
        adapters = [str(model["id"]) for model in models if model.get("id") and model.get("parent")]
        base = bases[name]
        length = base.get("max_model_len") or as_object(base.get("meta")).get("n_ctx")
        if self._served is not None and self._served.base != name:
            self.abilities, self._tokens = Abilities(), {}  # another engine at this address
        self._served = Served(name, adapters, self._context or as_count(length) or CONTEXT)
        return self._served

    async def served(self) -> Served:
        """What it serves, as last read."""
        return self._served or await self.refresh()

    async def list_routed(self) -> list[str]:
        """Return the addresses of the engines behind it where it is a router, else none.

        Raises:
            OutageError: It is away.
        """
        try:
            response = await self._upstream.request("GET", "/workers")
            answer = _read_json(response.content, "/workers", "")
        except (RefusedError, ProblemError):  # no such path, or a page that stands for every path
            return []
        listed = as_list(as_object(answer).get("workers"))
        return [str(url) for one in listed if (url := as_object(one).get("url"))]

    async def token(self, text: str) -> int | None:
        """Return the first token of a short text (such as `Yes`); None where it has no `/tokenize`."""
        if text not in self._tokens:
            if self.abilities.tokenize is False:
                return None
            model = (await self.served()).base
            tokens = await self._tokenize({"model": model, "prompt": text, "add_special_tokens": False})
            found = as_list(tokens.get("tokens"))
            if not found or not isinstance(found[0], int):
                return None
            self._tokens[text] = found[0]
        return self._tokens[text]

    async def count(self, model: str, messages: list[dict[str, str]]) -> int:
        """Return how many tokens a prompt has, by the engine's own count or by an upper estimate."""
        if self.abilities.tokenize is not False:
            body = {"model": model, "messages": messages, "add_generation_prompt": True}
            counted = await self._tokenize(body)
            if isinstance(counted.get("count"), int):
                self.abilities.tokenize = True
                return int(counted["count"])
            if self.abilities.tokenize is None:  # what it could once it can still, but for this chat
                self.abilities.tokenize = False
        return estimate_tokens(messages)

    async def probe(self) -> Abilities:
        """Find out what it can do, with a few calls of one token; once for an engine."""
        known = self.abilities
        if known.grammar is not None and not self.labels_are_old:
            return known
        model = (await self.served()).base
        messages = [{"role": "user", "content": PROBE}]
        await self.count(model, messages)
        if known.labels is None or self.labels_are_old:
            await self.find_labels()
        if known.several is None:
            body = {"model": model, "messages": messages, "max_tokens": 1, "temperature": 1.0, "n": 2}
            answer = await self._attempt(body)
            known.several = len(as_list(as_object(answer).get("choices"))) == 2
        for grammar in (Grammar.STRUCTURED_OUTPUTS, Grammar.GUIDED_REGEX, Grammar.REGEX):
            body = {"model": model, "messages": messages, "max_tokens": 8, "temperature": 0.0}
            answer = await self._attempt({**body, **grammar.fields("(ab)")})
            if answer and read_reply(answer).samples[0].text.strip() == "ab":
                known.grammar = grammar
                break
        else:
            known.grammar = Grammar.NONE
        log.info("Engine was probed", engine=self._upstream.shown, **known.describe())
        return known

    async def find_labels(self) -> None:
        """Find out how it reports the log-probabilities of labels."""
        messages = [{"role": "user", "content": PROBE}]
        self._labels_at = time.monotonic()
        self.abilities.labels = await self._probe_labels((await self.served()).base, messages)

    @property
    def labels_are_old(self) -> bool:
        """Whether it was found so long ago to report no labels that it is worth another look."""
        return self.abilities.labels is Labels.NONE and time.monotonic() - self._labels_at > RECHECK

    async def _probe_labels(self, model: str, messages: list[dict[str, str]]) -> Labels:
        body = {"model": model, "messages": messages, "max_tokens": 1, "temperature": 0.0, "logprobs": True}
        ids = [await self.token(label) for label in ("Yes", "No")]
        if None not in ids:
            answer = await self._attempt({**body, "logprob_token_ids": ids})
            first = read_reply(answer).samples[0].first if answer else {}
            if {"Yes", "No"} <= first.keys():
                return Labels.IDS
        for top in TOP_LOGPROBS:
            answer = await self._attempt({**body, "top_logprobs": top})
            if answer and len(read_reply(answer).samples[0].first) > 1:
                self.top_logprobs = top
                return Labels.TOP
        return Labels.NONE

    async def _attempt(self, body: dict[str, Any]) -> Any:
        """The answer to a chat of a form that the engine may not have; None where it refuses the form.

        Raises:
            ProblemError, OutageError, BusyError: It does not answer now: what it can do stays open.
        """
        try:
            response = await self._upstream.request("POST", "/v1/chat/completions", body)
        except RefusedError as error:
            if error.problem.status in NOT_OFFERED:
                return None
            raise _describe_refusal(error) from error
        answer = _read_json(response.content, "/v1/chat/completions", "")
        self.abilities.usage = read_reply(answer).tokens.reported
        return answer

    async def _tokenize(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of `/tokenize`; empty where the engine has none or one of another shape."""
        try:
            response = await self._upstream.request("POST", "/tokenize", body)
            return as_object(_read_json(response.content, "/tokenize", ""))
        except RefusedError as error:
            refusal = _describe_refusal(error)
            if refusal.kind is not Kind.UPSTREAM or error.problem.status not in NOT_OFFERED:
                raise refusal from error
        except ProblemError as error:
            if error.kind is not Kind.UPSTREAM:
                raise
        return {}

    async def send(self, path: str, body: dict[str, Any], *, text: bool = False) -> Any:
        """Post a message; the answer's JSON.

        Args:
            path: Where to.
            body: The message.
            text: Whether an answer may be plain text, which is then passed over.

        Raises:
            ProblemError: The engine refused, or answered with something else than JSON.
            OutageError: It is away, or does not answer in time.
        """
        if not path.endswith("completions"):
            return await self._post(path, body, text=text)
        origin = current_origin()
        if origin.engine_priority and self.abilities.priority:
            body = {**body, "priority": origin.engine_priority}
        with span(f"chat {body['model']}", kind=SpanKind.CLIENT) as opened:
            if not opened.is_recording():
                return await self._complete(path, body)
            opened.set_attributes(describe_chat(self.url, body, origin.session))
            answer = await self._complete(path, body)
            opened.set_attributes(describe_reply(answer))
            return answer

    async def _complete(self, path: str, body: dict[str, Any]) -> Any:
        """Post a completion; an engine that refuses `priority` gets none from then on."""
        try:
            return await self._post(path, body, text=False)
        except ProblemError as error:
            if "priority" not in body or "priority" not in error.detail.lower():
                raise
        self.abilities.priority = False
        del body["priority"]
        return await self._post(path, body, text=False)

    async def _post(self, path: str, body: dict[str, Any], *, text: bool) -> Any:
        try:
            response = await self._upstream.request("POST", path, body)
        except RefusedError as error:
            raise _describe_refusal(error) from error
        kind = response.headers.get("content-type", "")
        if text and not kind.startswith("application/json"):
            return {}
        return _read_json(response.content, path, kind)


def _read_json(content: bytes, path: str, kind: str) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        shown = quote(content.decode("utf-8", "replace").strip())
        raise ProblemError(
            Kind.UPSTREAM, f"The engine answered {path} with {kind or 'something'} that is not JSON: {shown}"
        ) from None


def _describe_refusal(error: RefusedError) -> ProblemError:
    status, detail = error.problem.status, error.problem.detail
    if status in (400, 413, 422, 500) and any(words in detail.lower() for words in TOO_LONG):
        return ProblemError(Kind.CONTEXT_TOO_LONG, detail)
    return ProblemError(Kind.UPSTREAM, f"The engine answered {status}: {detail}")
