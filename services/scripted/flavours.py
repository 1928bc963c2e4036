"""Shapes of other servers over the scripted model: what they lack, and how they answer.

Each is as the documentation of the server and its recorded answers have it, as far as our requests touch it.
"""

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CHAT, TOKENIZE, MODELS = "/v1/chat/completions", "/tokenize", "/v1/models"
Json = dict[str, Any]


class Flavour(StrEnum):
    """A server."""

    VLLM = "vllm"
    VLLM_OLD = "vllm-0.10"
    """No `logprob_token_ids`; grammars are `guided_regex`."""
    SGLANG = "sglang"
    """No `/tokenize`; grammars are `regex`."""
    LLAMA_CPP = "llama.cpp"
    """`/tokenize` of plain content only; one choice a call; errors of its own."""
    OLLAMA = "ollama"
    """No log-probabilities, `n` is ignored, no `/tokenize`, no grammar."""
    TGI = "tgi"
    """At most five alternatives a token, `n` is ignored, `/tokenize` of `inputs`."""


class Disguise:
    """Changes requests on their way in and answers on their way out."""

    def __init__(self, app: ASGIApp, flavour: Flavour, context: int) -> None:
        self.app = app
        self.flavour = flavour
        self.context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request as the server would."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path not in (CHAT, TOKENIZE, MODELS):
            await self.app(scope, receive, send)
            return
        request: Json = json.loads(await _read(receive) or b"{}")
        status, answer = self._refuse(path, request) or (0, {})
        if not status:
            status, answer = await self._call(scope, self._request(path, request))
            answer = self._answer(path, status, answer)
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _refuse(self, path: str, request: Json) -> tuple[int, Any] | None:
        match self.flavour, path:
            case ((Flavour.SGLANG | Flavour.OLLAMA), "/tokenize"):
                return 404, {"detail": "Not Found"}
            case Flavour.TGI, "/tokenize":
                return 422, {"error": "missing field `inputs`", "error_type": "validation"}
            case Flavour.LLAMA_CPP, "/tokenize":
                return 200, {"tokens": []}
            case Flavour.LLAMA_CPP, "/v1/chat/completions" if (request.get("n") or 1) > 1:
                message = "Only one completion choice is allowed"
                return 400, {"error": {"code": 400, "message": message, "type": "invalid_request_error"}}
            case Flavour.TGI, "/v1/chat/completions" if (request.get("top_logprobs") or 0) > 5:
                message = "Input validation error: `top_n_tokens` must be >= 0 and <= 5"
                return 422, {"error": message, "error_type": "validation"}
            case _:
                return None

    def _request(self, path: str, request: Json) -> Json:
        if path != CHAT:
            return request
        kept = {name: value for name, value in request.items() if name not in _GRAMMARS}
        kept.pop("logprob_token_ids", None)
        field = {Flavour.VLLM_OLD: "guided_regex", Flavour.SGLANG: "regex"}.get(self.flavour)
        if field and request.get(field):
            kept["structured_outputs"] = {"regex": request[field]}
        if self.flavour in (Flavour.OLLAMA, Flavour.TGI):
            kept["n"] = 1
        if self.flavour is Flavour.OLLAMA:
            kept |= {"logprobs": False, "top_logprobs": 0}
        return kept

    def _answer(self, path: str, status: int, answer: Json) -> Json:
        if path == MODELS and self.flavour is not Flavour.VLLM_OLD:
            return {"object": "list", "data": [self._model(model) for model in answer["data"]]}
        if status == 400 and "context length" in answer["error"]["message"]:
            return _OVERFLOWS.get(self.flavour, lambda given: given)(answer)
        if path != CHAT or status != 200:
            return answer
        for choice in answer["choices"]:
            if self.flavour is Flavour.OLLAMA:
                choice.pop("logprobs", None)
            if self.flavour is Flavour.LLAMA_CPP and choice.get("logprobs"):
                choice["logprobs"].pop("refusal", None)
        if self.flavour is Flavour.SGLANG:
            answer["usage"]["prompt_tokens_details"] = None
        return answer

    def _model(self, model: Json) -> Json:
        bare = {"id": model["id"], "object": "model", "created": model["created"]}
        if self.flavour is Flavour.LLAMA_CPP:
            return {**bare, "owned_by": "llamacpp", "meta": {"n_ctx": self.context, "n_vocab": 50_000}}
        if self.flavour is Flavour.SGLANG:
            return {**bare, "owned_by": "sglang", "root": model["id"], "max_model_len": self.context}
        return {**bare, "owned_by": "library"}

    async def _call(self, scope: Scope, request: Json) -> tuple[int, Json]:
        """The scripted model's own answer."""
        status, parts = 0, list[bytes]()
        body = json.dumps(request).encode()

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        return status, json.loads(b"".join(parts))


_GRAMMARS = frozenset({"structured_outputs", "guided_regex", "regex"})
_OVERFLOWS: dict[Flavour, Callable[[Json], Json]] = {
    Flavour.LLAMA_CPP: lambda _: {
        "error": {
            "code": 400,
            "message": "the request exceeds the available context size, try increasing it",
            "type": "exceed_context_size_error",
        }
    },
    Flavour.TGI: lambda _: {
        "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096.",
        "error_type": "validation",
    },
}


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
