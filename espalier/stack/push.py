"""Pushes an adapter: engines load it at run time, or this machine's stack swaps its merged weights."""

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from uuid import uuid4

from espalier.adapter_folder import AdapterError
from espalier.client import Actor
from espalier.stack.pinned import list_pinned
from espalier.stack.settings import StackSettings
from espalier.stack.swap import Swap, SwapRequest, SwapState, read_swap, request_file, write
from espalier.stack.up import is_up
from services.contracts.action import ActionRequest
from services.contracts.adapter import AdapterLoad, Adapters
from services.contracts.card import Card
from services.contracts.context import Brief, Context

POLL = 2.0
"""Between two looks at what runs, seconds."""
LOOK = 0.25
"""Between two looks at how far a swap is, seconds."""
MERGING = 300.0
"""How long a swap may take besides the engine's start, seconds."""
SERVED = (SwapState.SERVING, SwapState.DONE)
ENDED = (SwapState.DONE,)
CALL_TIMEOUT = 300.0
Report = Callable[[str], None]


def push(card: Card, path: Path, actors: Sequence[str], report: Report) -> None:
    """Load an adapter into the engine of each actor, and let it answer once.

    Args:
        card: The adapter's card.
        path: Its folder as the engines see it.
        actors: The actors' addresses.
        report: Called with what was done.

    Raises:
        AdapterError: It does not fit what an actor serves, or it did not answer.
        EspalierError: An actor refused, or does not answer.
    """
    for url in actors:
        with Actor(url, timeout=CALL_TIMEOUT) as actor:
            served = actor.adapters()
            _check(card, served, url)
            if not served.runtime:
                raise AdapterError(
                    f"the engine of {url} has an adapter merged into its weights; push where its stack was "
                    "started, without --actor, or name its roles an engine that has this one merged"
                )
            actor.load(AdapterLoad(name=card.name, path=str(path)))
            _see_it_answer(actor, card.name, report)


def swaps(settings: StackSettings) -> bool:
    """Whether this machine's stack is up with merged weights, so that a push swaps them."""
    if not is_up(settings) or settings.has_engine:
        return False
    with Actor(settings.url("actor"), timeout=CALL_TIMEOUT) as actor:
        return not actor.adapters().runtime


def swap(card: Card, folder: Path, settings: StackSettings, patience: float, report: Report) -> None:
    """Have this machine's stack serve an adapter that is merged, and let it answer once.

    Args:
        card: The adapter's card.
        folder: Where it is.
        settings: The stack's.
        patience: How long to wait until the engine before has stopped, seconds.
        report: Called with what was done, and with what could not be.

    Raises:
        AdapterError: It does not fit what is served, or the swap failed; what was served still is.
        EspalierError: The actor refused, or does not answer.
    """
    with Actor(settings.url("actor"), timeout=CALL_TIMEOUT) as actor:
        _check(card, actor.adapters(), actor.url)
        request = SwapRequest(id=uuid4().hex, adapter=str(folder.resolve()))
        write(request_file(settings), request)
        swapped = _follow(settings, request.id, SERVED, settings.engine_ready + MERGING, report, 0)
        if swapped.state not in SERVED:
            request_file(settings).unlink(missing_ok=True)
            raise AdapterError(swapped.error or f"{card.name} was not served in time")
        _see_it_answer(actor, card.name, report)
    if swapped.state is SwapState.SERVING and patience:
        swapped = _follow(settings, request.id, ENDED, patience, report, len(swapped.lines))
    if swapped.state is SwapState.SERVING:
        report(f"{swapped.former} goes on for the episodes pinned to it, and stops with the last of them")


def _follow(
    settings: StackSettings,
    number: str,
    until: Collection[SwapState],
    patience: float,
    report: Report,
    lines: int,
) -> Swap:
    """Report a swap's progress, and return it when it is as far as wanted or the patience has ended."""
    deadline = time.monotonic() + patience
    while True:
        swap = read_swap(settings, number) or Swap(id=number, state=SwapState.PREPARING)
        for line in swap.lines[lines:]:
            report(line)
        lines = max(lines, len(swap.lines))
        if swap.state in until or swap.state is SwapState.FAILED or time.monotonic() > deadline:
            return swap
        if not is_up(settings):
            raise AdapterError("the stack was stopped")
        time.sleep(LOOK)


def retire(card: Card, actors: Sequence[str], orchestrator: str, patience: float, report: Report) -> None:
    """Unload the other adapters of the same name when no live episode is pinned to them.

    Args:
        card: The adapter that stays.
        actors: The actors' addresses.
        orchestrator: Where the episodes are.
        patience: How long to wait for episodes to end, seconds.
        report: Called with what was done, and with what could not be.

    Raises:
        EspalierError: A part refused, or does not answer.
    """
    kind = card.name.partition("@")[0]
    deadline = time.monotonic() + patience
    for url in actors:
        with Actor(url, timeout=CALL_TIMEOUT) as actor:
            names = [one.name for one in actor.adapters().adapters if not one.merged]
            old = {name for name in names if name.partition("@")[0] == kind and name != card.name}
            while old:
                for name in sorted(old - list_pinned(orchestrator)):
                    actor.unload(name)
                    old.remove(name)
                    report(f"{url} no longer serves {name}")
                if old and time.monotonic() > deadline:
                    report(f"{url} still serves {', '.join(sorted(old))}: episodes use them")
                    break
                if old:
                    time.sleep(POLL)


def _see_it_answer(actor: Actor, name: str, report: Report) -> None:
    room = Context(environment=Brief(name="room"), task="find the mug", observation="You see a desk 1.")
    answer = actor.act(ActionRequest(context=room, adapter=name))
    if answer.adapter != name or not answer.candidates:
        raise AdapterError(f"{actor.url} answers with {answer.adapter}, not with {name}")
    report(f"{actor.url} serves {name}: it answers {answer.candidates[0].text.strip()!r}")


def _check(card: Card, served: Adapters, url: str) -> None:
    if not card.base.startswith(served.base.rpartition("/")[2]):
        raise AdapterError(f"{card.name} is an adapter of {card.base}, and {url} serves {served.base}")
    if served.profile != card.profile:
        raise AdapterError(
            f"{card.name} learned from prompts of {card.profile}, and {url} makes those of {served.profile}; "
            f"set ESPALIER_PROMPT_PROFILE={card.profile.partition('@')[0]}"
        )
