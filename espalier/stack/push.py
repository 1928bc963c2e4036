"""Pushes an adapter to actors whose engines load adapters at run time, and retires those before it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from espalier.client import Actor, Espalier
from services.contracts.action import ActionRequest
from services.contracts.adapter import AdapterLoad, Adapters
from services.contracts.context import Brief, Context
from training.sft.card import AdapterError, Card

LIVE = ("queued", "running")
PAGE = 100
POLL = 2.0
"""Between two looks at what runs, seconds."""
CALL_TIMEOUT = 300.0
Tell = Callable[[str], None]


def push(card: Card, path: Path, actors: Sequence[str], tell: Tell) -> None:
    """Load an adapter into the engine of each actor, and let it answer once.

    Args:
        card: The adapter's card.
        path: Its folder as the engines see it.
        actors: The actors' addresses.
        tell: Called with what was done.

    Raises:
        AdapterError: It does not fit what an actor serves, or it did not answer.
        EspalierError: An actor refused, or does not answer.
    """
    for url in actors:
        with Actor(url, timeout=CALL_TIMEOUT) as actor:
            _check(card, actor.adapters(), url)
            actor.load(AdapterLoad(name=card.name, path=str(path)))
            room = Context(
                environment=Brief(name="room"), task="find the mug", observation="You see a desk 1."
            )
            answer = actor.act(ActionRequest(context=room, adapter=card.name))
            if answer.adapter != card.name or not answer.candidates:
                raise AdapterError(f"{url} answers with {answer.adapter}, not with {card.name}")
            tell(f"{url} serves {card.name}: it says {answer.candidates[0].text.strip()!r}")


def retire(card: Card, actors: Sequence[str], orchestrator: str, patience: float, tell: Tell) -> None:
    """Unload the other adapters of the same name when no live episode is pinned to them.

    Args:
        card: The adapter that stays.
        actors: The actors' addresses.
        orchestrator: Where the episodes are.
        patience: How long to wait for episodes to end, seconds.
        tell: Called with what was done, and with what could not be.

    Raises:
        EspalierError: A part refused, or does not answer.
    """
    kind = card.name.partition("@")[0]
    deadline = time.monotonic() + patience
    for url in actors:
        with Actor(url, timeout=CALL_TIMEOUT) as actor, Espalier(orchestrator) as episodes:
            names = [one.name for one in actor.adapters().adapters if not one.merged]
            old = {name for name in names if name.partition("@")[0] == kind and name != card.name}
            while old:
                for name in sorted(old - _pinned(episodes)):
                    actor.unload(name)
                    old.remove(name)
                    tell(f"{url} no longer serves {name}")
                if old and time.monotonic() > deadline:
                    tell(f"{url} still serves {', '.join(sorted(old))}: episodes use them")
                    break
                if old:
                    time.sleep(POLL)


def _check(card: Card, served: Adapters, url: str) -> None:
    if not served.runtime:
        raise AdapterError(
            f"the engine of {url} has an adapter merged into its weights; "
            "start the stack anew with ESPALIER_ADAPTER"
        )
    if not card.base.startswith(served.base.rpartition("/")[2]):
        raise AdapterError(f"{card.name} is an adapter of {card.base}, and {url} serves {served.base}")
    if served.profile != card.profile:
        raise AdapterError(
            f"{card.name} learned from prompts of {card.profile}, and {url} makes those of {served.profile}; "
            f"set ESPALIER_PROMPT_PROFILE={card.profile.partition('@')[0]}"
        )


def _pinned(episodes: Espalier) -> set[str]:
    """The adapters that live episodes are pinned to."""
    found: set[str] = set()
    for state in LIVE:
        cursor: str | None = None
        while True:
            page = episodes.list(state=state, cursor=cursor, limit=PAGE)
            found |= {one.adapter for one in page.episodes if one.adapter}
            cursor = page.next
            if cursor is None:
                break
    return found
