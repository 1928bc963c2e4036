"""The embedded engine's weights are swapped while episodes run.

Its adapter is merged, so another adapter takes another engine. The supervisor starts that one beside the
first, lets it answer, and switches the roles; new episodes go there. The first goes on for the episodes that
are pinned to its adapter, and stops when the last of them has ended. While there are two they take turns.

A command requests it, and reads its progress, by files beside the one that describes the stack.
"""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, Field, ValidationError

from espalier.client import EspalierError, Role
from espalier.stack.adapters import ServedModel, find_adapter, prepare_served
from espalier.stack.embedded import SetupError
from espalier.stack.parts import Part, engine_part
from espalier.stack.pinned import list_pinned
from espalier.stack.settings import StackSettings
from espalier.stack.supervisor import POLL, Supervisor
from services.contracts.adapter import AdapterLoad
from services.contracts.card import Card
from services.roles.registry import ROLES

"""The actor comes last: episodes are pinned to what it reports as served."""
LOOK = 1.0
"""Between two looks at what is pinned to the engine that drains, seconds."""
LOOKS = 3
"""Looks in a row that find nothing before it stops: an episode may just be being made."""
FIRST_ANSWER = 120.0
"""How long the new engine may take for its first answer, seconds."""
CALL_TIMEOUT = 60.0
KEPT = 20
"""Swaps whose progress is kept; the oldest is removed."""
STARTING = (0.25, 0.75)
DRAINING = (0.5, 0.5)
"""How long the engine before and the new one run in turn, seconds, while one starts and while one drains."""


class SwapState(StrEnum):
    """How far a swap is."""

    PREPARING = "preparing"
    SERVING = "serving"
    """New episodes use it; those before it go on with theirs."""
    DONE = "done"
    """The engine before it has stopped."""
    FAILED = "failed"
    """What was served is still served."""


class SwapRequest(BaseModel):
    """A command's request."""

    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    adapter: str
    """A shipped adapter's name, or a folder's absolute path."""


class Swap(BaseModel):
    """The progress of a swap, written by the supervisor."""

    id: str
    state: SwapState
    adapter: str = ""
    """The name that is served."""
    former: str = ""
    """The name that was."""
    lines: list[str] = []
    """What was done, in order."""
    error: str = ""


def request_file(settings: StackSettings) -> Path:
    """Return the file of a request for a swap."""
    return settings.folder / "run" / "adapter.json"


def progress_folder(settings: StackSettings) -> Path:
    """Return the folder of the running stack's swaps, a file each."""
    return settings.folder / "run" / "swaps"


def read_swap(settings: StackSettings, number: str) -> Swap | None:
    """A swap of the running stack, by the id of its request; None where it has not begun."""
    try:
        return Swap.model_validate_json((progress_folder(settings) / f"{number}.json").read_text())
    except (FileNotFoundError, ValidationError):
        return None


def write(path: Path, message: BaseModel) -> None:
    """Write a message so that a reader finds it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(message.model_dump_json())
    partial.replace(path)


class Progress:
    """Writes the progress of one swap."""

    def __init__(self, folder: Path, number: str) -> None:
        self._file = folder / f"{number}.json"
        self._swap = Swap(id=number, state=SwapState.PREPARING)
        for old in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)[: -KEPT + 1]:
            old.unlink(missing_ok=True)
        self.update()

    def update(self, line: str = "", **changes: Any) -> None:
        """Add a line of what was done, and change fields."""
        lines = [*self._swap.lines, line] if line else self._swap.lines
        self._swap = self._swap.model_copy(update={"lines": lines, **changes})
        write(self._file, self._swap)


class Swapper:
    """Swaps the weights of one stack.

    Args:
        settings: The stack's.
        supervisor: Which runs its parts.
        model: What the engine serves at first.
        prepare: Makes the merged weights of an adapter.
        plan: The engine of a model: the first (0), or the one beside it (1).
    """

    def __init__(
        self,
        settings: StackSettings,
        supervisor: Supervisor,
        model: ServedModel,
        *,
        prepare: Callable[[StackSettings, Callable[[str], None]], ServedModel] = prepare_served,
        plan: Callable[[StackSettings, ServedModel, int], Part] = engine_part,
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._model = model
        self._prepare = prepare
        self._plan = plan
        self._number = 0
        self._draining: asyncio.Task[None] | None = None
        request_file(settings).unlink(missing_ok=True)
        shutil.rmtree(progress_folder(settings), ignore_errors=True)

    async def serve(self) -> None:
        """Carry out requests until cancelled."""
        request_path = request_file(self._settings)
        try:
            while True:
                await asyncio.sleep(POLL)
                if request_path.exists():
                    request = _read(request_path)
                    request_path.unlink(missing_ok=True)
                    if request is not None:
                        await self._do(request)
        finally:
            if self._draining is not None:
                self._draining.cancel()
                await asyncio.gather(self._draining, return_exceptions=True)

    async def _do(self, request: SwapRequest) -> None:
        progress = Progress(progress_folder(self._settings), request.id)
        try:
            await self._take(request.adapter, progress)
        except Exception as error:  # whatever it is, what was served is still served
            progress.update(state=SwapState.FAILED, error=str(error) or type(error).__name__)

    async def _take(self, adapter: str, progress: Progress) -> None:
        card, former = self._fitting(adapter)
        progress.update(adapter=card.name, former=former)
        if card.name == former:
            progress.update("it is served already", state=SwapState.DONE)
            return
        if self._draining is not None and not self._draining.done():
            raise SetupError("The engine before this one still has episodes; try again when they have ended.")
        settings = self._settings.model_copy(update={"adapter": adapter})
        after = await asyncio.to_thread(self._prepare, settings, lambda _: None)
        progress.update(f"{card.name} is merged")
        old = self._plan(self._settings, self._model, self._number)
        new = self._plan(self._settings, after, 1 - self._number)
        async with self._turns(old, new, STARTING):
            await self._supervisor.add(new)
            try:
                await _first_answer(new)
                progress.update(f"{new.name} serves it at port {new.port}")
                await asyncio.to_thread(self._switch_roles, card.name, new, former, old)
            except BaseException:
                await self._supervisor.remove(new.name)
                raise
        self._model, self._number = after, 1 - self._number
        environment = {
            "ESPALIER_MODEL_URL": _url(new),
            "ESPALIER_MERGED_ADAPTER": card.name,
            "ESPALIER_DRAINING_ENGINES": json.dumps({former: _url(old)}),
        }
        self._supervisor.inform(environment, ROLES)
        progress.update(f"new episodes use {card.name}", state=SwapState.SERVING)
        self._draining = asyncio.create_task(self._drain(former, old, new, progress))

    def _fitting(self, adapter: str) -> tuple[Card, str]:
        """The adapter's card, and the name of what is served."""
        if self._settings.engine_replicas > 1:
            raise SetupError(
                "Adapters are followed by others while one embedded engine runs: start the stack anew with "
                "ESPALIER_ADAPTER, or without --engines."
            )
        found, before = find_adapter(adapter), self._model.card
        if found is None or before is None:
            raise SetupError(
                "Only a merged adapter is followed by another: start the stack anew with ESPALIER_ADAPTER."
            )
        card = found[1]
        if card.profile != before.profile:
            raise SetupError(
                f"{card.name} learned from prompts of {card.profile}, and {before.profile} is rendered: "
                "start the stack anew with ESPALIER_ADAPTER."
            )
        return card, before.name

    def _switch_roles(self, name: str, new: Part, former: str, old: Part) -> None:
        """All roles use the new engine after this, or none does."""
        switched: list[str] = []
        try:
            for role in ROLES:
                self._load(role, name, new)
                switched.append(role)
        except EspalierError:
            for role in switched:
                self._load(role, former, old)
                self._unload(role, name)
            raise

    def _load(self, role: str, name: str, engine: Part) -> None:
        key = self._settings.admin_key()
        with Role(self._settings.url(role), api_key=key, timeout=CALL_TIMEOUT) as one:
            one.load(AdapterLoad(name=name, engine=_url(engine)))

    def _unload(self, role: str, name: str) -> None:
        key = self._settings.admin_key()
        with Role(self._settings.url(role), api_key=key, timeout=CALL_TIMEOUT) as one:
            one.unload(name)

    @asynccontextmanager
    async def _turns(self, old: Part, new: Part, seconds: tuple[float, float]) -> AsyncIterator[None]:
        shares = dict(zip((old.name, new.name), seconds, strict=True))
        task = asyncio.create_task(self._supervisor.take_turns(shares))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _drain(self, former: str, old: Part, new: Part, progress: Progress) -> None:
        """Stop an engine when no live episode is pinned to its adapter."""
        quiet = 0
        async with self._turns(old, new, DRAINING):
            while quiet < LOOKS:
                await asyncio.sleep(LOOK)
                try:
                    used = former in await asyncio.to_thread(list_pinned, self._settings.url("orchestrator"))
                except EspalierError:
                    used = True  # it is away, and comes back
                quiet = 0 if used else quiet + 1
        for role in ROLES:
            try:
                await asyncio.to_thread(self._unload, role, former)
            except EspalierError as error:
                progress.update(f"{role} did not let go of {former}: {error}")
        self._supervisor.inform({"ESPALIER_DRAINING_ENGINES": "{}"}, ROLES)
        await self._supervisor.remove(old.name)
        progress.update(f"{old.name} has stopped: no episode uses {former}", state=SwapState.DONE)


def _read(path: Path) -> SwapRequest | None:
    try:
        return SwapRequest.model_validate_json(path.read_text())
    except (OSError, ValidationError):
        return None


def _url(engine: Part) -> str:
    return f"http://127.0.0.1:{engine.port}"


async def _first_answer(engine: Part) -> None:
    """See an engine answer before anything is sent to it."""
    deadline = time.monotonic() + FIRST_ANSWER
    async with httpx.AsyncClient(base_url=_url(engine), timeout=FIRST_ANSWER, trust_env=False) as http:
        models = (await http.get("/v1/models")).raise_for_status().json()["data"]
        message = {"role": "user", "content": "Say yes."}
        body = {"model": models[0]["id"], "messages": [message], "max_tokens": 1, "temperature": 0.0}
        answer = await http.post("/v1/chat/completions", json=body, timeout=deadline - time.monotonic())
        answer.raise_for_status()
