"""One engine: vLLM's HTTP surface as far as the roles need it, and what it was last seen to serve."""

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from services.kit.auth import bearer
from services.kit.problems import Kind, ProblemError
from services.kit.settings import RoleSettings
from services.kit.upstream import RefusedError, Upstream


class Wire(BaseModel):
    """A message of the engine's; what we do not read is passed over."""

    model_config = ConfigDict(extra="ignore")


class _Model(Wire):
    id: str
    parent: str | None = None
    max_model_len: int | None = None


class _Models(Wire):
    data: list[_Model]


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
        self._named = settings.model_name
        self._upstream = Upstream(
            "model",
            self.url,
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

    async def refresh(self) -> Served:
        """Ask what it serves.

        Raises:
            ProblemError: It does not serve the model that the settings name.
            OutageError: It is not there.
        """
        response = await self._upstream.request("GET", "/v1/models")
        models = _Models.model_validate_json(response.content).data
        bases = [model for model in models if model.parent is None]
        base = next((model for model in bases if self._named in ("", model.id)), None)
        if base is None:
            known = [model.id for model in bases]
            raise ProblemError(
                Kind.UPSTREAM,
                f"The engine does not serve {self._named} (ESPALIER_MODEL_NAME).",
                allowed=known,
            )
        adapters = [model.id for model in models if model.parent is not None]
        self._served = Served(base.id, adapters, base.max_model_len or 4096)
        return self._served

    async def served(self) -> Served:
        """What it serves, as last asked."""
        return self._served or await self.refresh()

    async def token(self, text: str) -> int:
        """The first token of a short text (a label such as `Yes`); remembered."""
        if text not in self._tokens:
            model = (await self.served()).base
            body = {"model": model, "prompt": text, "add_special_tokens": False}
            self._tokens[text] = int((await self.send("/tokenize", body))["tokens"][0])
        return self._tokens[text]

    async def send(self, path: str, body: dict[str, Any]) -> Any:
        """Post a message; the answer's JSON, or nothing where it has none.

        Raises:
            ProblemError: The engine refused.
            OutageError: It is not there, or not in time.
        """
        try:
            response = await self._upstream.request("POST", path, body)
        except RefusedError as error:
            raise _told(error) from error
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return orjson.loads(response.content) if is_json else {}


def _told(error: RefusedError) -> ProblemError:
    status, detail = error.problem.status, error.problem.detail
    if status == 400 and ("context length" in detail or "maximum context" in detail):
        return ProblemError(Kind.CONTEXT_TOO_LONG, detail)
    if status == 429:
        return ProblemError(Kind.TOO_MANY, f"The engine is full: {detail}", retry_after=1)
    return ProblemError(Kind.UPSTREAM, f"The engine answered {status}: {detail}")
