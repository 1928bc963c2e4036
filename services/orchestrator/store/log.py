"""Entries of an episode's log as Redis holds them. A long text is stored once, by its digest.

In an entry's place of such a text stands nothing, and `refs` lists where which text belongs.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson
from pydantic import ValidationError

from services.contracts.event import EVENTS, Event, EventType
from services.orchestrator.store.errors import UnreadableError

LONG = 160
"""Texts of more characters than this are stored once."""
SHORT_ENTRY = 4 * LONG
"""In an entry of no more bytes than this nothing is looked for."""
Packed = tuple[bytes, dict[str, str]]
"""An entry, and the long texts in it by digest."""


def pack(
    kind: EventType,
    at: float,
    *,
    branch: str = "",
    seq: int | None = None,
    digest: str = "",
    data: Mapping[str, Any] | None = None,
) -> Packed:
    """Return an event as the stream holds it, and its long texts by digest."""
    event = _describe(kind, at, branch, seq, digest, data)
    packed = orjson.dumps(event)
    if len(packed) <= SHORT_ENTRY:
        return packed, {}
    texts: dict[str, str] = {}
    refs: list[list[Any]] = []
    event["data"] = _take_out(data or {}, [], texts, refs)
    if not refs:
        return packed, {}
    event["refs"] = refs
    return orjson.dumps(event), texts


def pack_whole(
    kind: EventType, at: float, *, branch: str = "", data: Mapping[str, Any] | None = None
) -> bytes:
    """Return an event that answers no call as the stream holds it, with its long texts in their places."""
    return orjson.dumps(_describe(kind, at, branch, None, "", data))


def _describe(
    kind: EventType, at: float, branch: str, seq: int | None, digest: str, data: Mapping[str, Any] | None
) -> dict[str, Any]:
    event: dict[str, Any] = {"type": kind.value, "at": at}
    if branch:
        event["branch"] = branch
    if seq is not None:
        event["seq"] = seq
        event["digest"] = digest
    if data:
        event["data"] = data
    return event


def _take_out(value: Any, path: list[Any], texts: dict[str, str], refs: list[list[Any]]) -> Any:
    match value:
        case str() if len(value) > LONG:
            name = hashlib.blake2b(value.encode(), digest_size=12).hexdigest()
            texts[name] = value
            refs.append([*path, name])
            return ""
        case dict():
            items = cast("dict[str, Any]", value).items()
            return {key: _take_out(item, [*path, key], texts, refs) for key, item in items}
        case list():
            places = enumerate(cast("list[Any]", value))
            return [_take_out(item, [*path, place], texts, refs) for place, item in places]
        case _:
            return value


def list_references(raw: Mapping[str, Any]) -> Iterable[str]:
    """Return the digests of the texts that an entry refers to."""
    return (reference[-1] for reference in raw.get("refs", ()))


def put_back(raw: dict[str, Any], texts: Mapping[str, str]) -> None:
    """Put an entry's long texts back into their places."""
    for *path, last, name in raw.pop("refs", ()):
        place: Any = raw["data"]
        for step in path:
            place = place[step]
        place[last] = texts[name]


def parse_event(entry: str, raw: Mapping[str, Any]) -> Event | None:
    """Return an entry as an event; None for a type of a newer release that no replay needs.

    Raises:
        UnreadableError: A replay needs it: it answers a port call.
    """
    try:
        return EVENTS.validate_python({**raw, "id": entry}, extra="ignore")
    except ValidationError as error:
        if raw.get("seq") is None:
            return None
        raise UnreadableError(f"event {entry} of type {raw.get('type')!r} cannot be read") from error
