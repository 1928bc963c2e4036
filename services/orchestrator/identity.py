"""Names of episodes, branches and sessions, and digests of requests."""

import hashlib
import re
from typing import Any, cast

from pydantic import BaseModel
from ulid import ULID

PREFIX = "ep_"
ID = re.compile(PREFIX + "[0-7][0-9a-hjkmnp-tv-z]{25}")


def new_id() -> str:
    """Return a ULID in lower case with a prefix; ids sort by time."""
    return PREFIX + str(ULID()).lower()


def id_at(moment: float) -> str:
    """Return the lowest id of a moment, Unix seconds."""
    milliseconds = int(max(0.0, moment) * 1000)
    return PREFIX + str(ULID(milliseconds.to_bytes(6) + bytes(10))).lower()


def made_at(episode: str) -> float | None:
    """Return when an id was made, Unix seconds; None where it is no id of ours."""
    if not ID.fullmatch(episode):
        return None
    return ULID.from_str(episode.removeprefix(PREFIX).upper()).timestamp


def is_within(branch: str, above: str) -> bool:
    """Return whether a branch is another one, or below it."""
    return branch == above or branch.startswith(f"{above}.")


def name_session(branch: str, handle: str) -> str:
    """Return a session's full name; a handle of another branch is one already."""
    return handle if "/" in handle else f"{branch}/{handle}"


def digest(kind: str, request: BaseModel | str) -> str:
    """Return sixteen hexadecimal digits that identify a request.

    They cover the fields that differ from their defaults, so that a field that a later release adds does not
    change the digest of a request that leaves it out.
    """
    text = request if isinstance(request, str) else request.model_dump_json(exclude_defaults=True)
    return _hash(kind, text)


def digest_whole(kind: str, request: BaseModel | str) -> str:
    """Return the digest that release 0.1 recorded: over all fields that it had, defaults too."""
    if isinstance(request, str):
        return _hash(kind, request)
    return _hash(kind, request.model_dump_json(exclude=_find_added(request)))


def _find_added(message: BaseModel) -> dict[str, Any]:
    """Return which fields of a message, and of those within it, release 0.1 did not have."""
    added: dict[str, Any] = {}
    for name, field in type(message).model_fields.items():
        if isinstance(field.json_schema_extra, dict) and "since" in field.json_schema_extra:
            added[name] = True
        elif below := _find_added_below(getattr(message, name)):
            added[name] = below
    return added


def _find_added_below(value: object) -> dict[Any, Any]:
    """Return the same for a field's value: a message, or a list of them."""
    if isinstance(value, BaseModel):
        return _find_added(value)
    items = cast(list[object], value) if isinstance(value, list) else []
    found = {place: _find_added(item) for place, item in enumerate(items) if isinstance(item, BaseModel)}
    return {place: below for place, below in found.items() if below}


def normalise_action(action: str) -> str:
    """Return what two texts of the same action have in common: case and blanks make no difference."""
    return " ".join(action.lower().split())


def _hash(kind: str, text: str) -> str:
    return hashlib.blake2b(f"{kind}\0{text}".encode(), digest_size=8).hexdigest()
