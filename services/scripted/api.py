"""The scripted engine's HTTP surface: that of vLLM 0.32's OpenAI server.

espalier serve scripted-model --port 8100
"""

import hmac
import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from services.scripted import wire
from services.scripted.faults import DROP
from services.scripted.flavours import Disguise, Flavour
from services.scripted.model import ScriptedModel
from services.scripted.settings import ScriptedSettings
from services.scripted.wire import EngineError

VERSION = "0.32.0"
GUARDED = "/v1"
"""As in vLLM, a key guards the paths that begin so."""


class Gate:
    """What comes before a request: the key, the failures that a test set, the engine's death."""

    def __init__(self, app: ASGIApp, model: ScriptedModel, api_key: str) -> None:
        self.app = app
        self.model = model
        self.api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or fail it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if self.api_key and path.startswith(GUARDED) and not self._authorised(scope):
            await JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)
            return
        fault = self.model.faults.take(path)
        if fault is None:
            await self.app(scope, receive, send)
        elif fault.status == DROP:
            # An answer that promises more than it brings: the server closes the connection.
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]}
            )
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
        else:
            error = EngineError(fault.message, fault.status, "InternalServerError")
            await JSONResponse(error.body.model_dump(), fault.status)(scope, receive, send)

    def _authorised(self, scope: Scope) -> bool:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        expected = f"Bearer {self.api_key}".encode()
        return hmac.compare_digest(headers.get(b"authorization", b""), expected)


def create_app(model: ScriptedModel, *, api_key: str = "", flavour: Flavour = Flavour.VLLM) -> FastAPI:
    """The app of a scripted model.

    Args:
        model: Answers.
        flavour: The server whose shapes it has.
        api_key: The bearer token that `/v1` requires; empty: none.
    """
    app = FastAPI(title="Scripted model", version=VERSION)
    if flavour is not Flavour.VLLM:
        app.add_middleware(Disguise, flavour=flavour, context=model.max_model_len)
    app.add_middleware(Gate, model=model, api_key=api_key)
    _add_errors(app)
    _add_models(app, model)
    _add_tokens(app, model)
    _add_state(app, model)

    @app.post("/v1/chat/completions")
    async def chat(
        request: wire.ChatRequest, session: Annotated[str, Header(alias="X-Session-ID")] = ""
    ) -> wire.ChatResponse:
        return await model.chat(request, session)

    @app.post("/generative_scoring")
    async def score(request: wire.ScoringRequest) -> wire.ScoringResponse:
        return await model.score(request)

    return app


def create() -> FastAPI:
    """The server as a part, with the default script and its settings from the environment.

    Raises:
        ValueError: It would listen off loopback without a key.
    """
    settings = ScriptedSettings()
    key = settings.model_key.get_secret_value()
    if not settings.on_loopback() and not key:
        raise ValueError(
            f"the scripted model would listen on {settings.host} without authentication: "
            "set ESPALIER_MODEL_KEY, or listen on 127.0.0.1"
        )
    model = ScriptedModel(
        name=settings.scripted_model,
        max_model_len=settings.scripted_context,
        cache=settings.scripted_cache,
        latency=settings.scripted_latency,
        token_latency=settings.scripted_token_latency,
    )
    return create_app(model, api_key=key)


def _add_errors(app: FastAPI) -> None:
    async def on_engine_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, EngineError)
        return JSONResponse(error.body.model_dump(), error.status)

    async def on_invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"])
        message = f"{len(error.errors())} validation errors: {param}: {first['msg']}"
        return JSONResponse(EngineError(message, kind="Bad Request", param=param).body.model_dump(), 400)

    async def on_http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = EngineError(str(error.detail), error.status_code, str(error.detail)).body
        return JSONResponse(body.model_dump(), error.status_code)

    app.add_exception_handler(EngineError, on_engine_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


def _add_models(app: FastAPI, model: ScriptedModel) -> None:
    @app.get("/v1/models")
    async def models() -> wire.ModelList:
        return model.models()

    @app.post("/v1/load_lora_adapter")
    async def load(request: wire.LoadAdapter) -> Response:
        return PlainTextResponse(model.load(request))

    @app.post("/v1/unload_lora_adapter")
    async def unload(request: wire.UnloadAdapter) -> Response:
        return PlainTextResponse(model.unload(request))


def _add_tokens(app: FastAPI, model: ScriptedModel) -> None:
    @app.post("/tokenize")
    async def tokenize(request: wire.TokenizeRequest) -> wire.TokenizeResponse:
        return model.tokenize(request)

    @app.post("/detokenize")
    async def detokenize(request: wire.DetokenizeRequest) -> wire.DetokenizeResponse:
        return model.detokenize(request)


def _add_state(app: FastAPI, model: ScriptedModel) -> None:
    @app.get("/health")
    async def health() -> Response:
        return Response(status_code=200 if model.healthy else 503)

    @app.get("/version")
    async def version() -> dict[str, str]:
        return {"version": VERSION}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(model.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@contextmanager
def serving(model: ScriptedModel, *, port: int = 0, api_key: str = "") -> Generator[str]:
    """Serve a model on this machine from a thread of this process, and yield its URL.

    Args:
        model: Answers; it can be changed while it serves.
        port: Where to listen; 0: any free port.
        api_key: As in `create_app`.
    """
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(
        create_app(model, api_key=api_key), log_level="critical", timeout_graceful_shutdown=1, lifespan="off"
    )
    server = uvicorn.Server(config)
    # The socket listens already, so a client that connects before the server runs just waits.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
