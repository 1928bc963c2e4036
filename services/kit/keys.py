"""Lists of bearer tokens: `key` or `name=key`, separated by commas. The name is the key's tenant.

A bearer token has `=` at its end only (RFC 6750), so that an entry is read in one way.
"""

import hashlib
import re

LOCAL = "local"
"""The tenant of every request where no keys are set."""
TENANT = r"[a-z0-9_-]{1,32}"
_NAMED = re.compile(rf"({TENANT})=([^=].*)")


def parse_keys(entries: str) -> dict[str, str]:
    """Return the tenant of each key of a list, in the list's order.

    The tenant of a key without a name is a digest of the key. Keys with one name are one tenant's.

    Raises:
        ValueError: A name is malformed, or a key has two names.
    """
    tenants: dict[str, str] = {}
    for place, entry in enumerate(entry.strip() for entry in entries.split(",")):
        if not entry:
            continue
        named = _NAMED.fullmatch(entry)
        if named is None and "=" in entry.rstrip("="):  # the entry is a secret: its place is shown
            raise ValueError(
                f"entry {place + 1} of a list of keys is no `name=key`: "
                "a name has 1 to 32 of a-z, 0-9, _ and -"
            )
        name, key = named.groups() if named else (_name_by_digest(entry), entry)
        if tenants.setdefault(key, name) != name:
            raise ValueError(f"a list of keys gives one key to {tenants[key]} and to {name}")
    return tenants


def find_first_key(entries: str) -> str:
    """Return the first key of a list; empty where there is none. Raises as `parse_keys` does."""
    return next(iter(parse_keys(entries)), "")


def _name_by_digest(key: str) -> str:
    return f"key-{hashlib.blake2b(key.encode(), digest_size=6).hexdigest()}"
