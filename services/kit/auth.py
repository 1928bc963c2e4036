"""Who may call: bearer tokens, and the checks of Host and Origin that keep web pages out."""

import hmac
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import Scope

from services.kit.settings import Settings

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/health"})
"""What needs no token: health and metrics show nothing secret, and probes hold no keys."""


def authorised(header: str | None, keys: Iterable[str]) -> bool:
    """Whether an `Authorization` header carries one of the keys; compared in constant time."""
    return find_tenant(header, dict.fromkeys(keys, "")) is not None


def find_tenant(header: str | None, tenants: Mapping[str, str]) -> str | None:
    """Return the tenant of the key that an `Authorization` header carries, or None; in constant time.

    Args:
        header: The header's value.
        tenants: The tenant of each key.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    given = token.strip().encode()
    found = [tenant for key, tenant in tenants.items() if hmac.compare_digest(given, key.encode())]
    return found[0] if found else None


def bearer(key: str) -> dict[str, str]:
    """The header to send; none without a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def is_local(scope: Scope) -> bool:
    """Return whether a request came in at a loopback address or a Unix socket of this machine."""
    server = scope.get("server")
    try:
        return server is None or server[1] is None or ip_address(server[0]).is_loopback
    except ValueError:
        return True


def refuse_origin(scope: Scope, settings: Settings) -> str:
    """Return why a request is refused for its Host or Origin; empty where it is not.

    A part without keys is open to everything on its machine, web pages in a browser included. So a page of
    another origin is refused, and so is a host name that is not the part's own (DNS rebinding).
    """
    headers = {
        name: value.decode("latin-1") for name, value in scope["headers"] if name in (b"host", b"origin")
    }
    host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
    if not settings.accepted_keys() and _is_socket(scope) and not _is_own_host(host, settings):
        return f"The host {host[:100]!r} is not served; name it in ESPALIER_ALLOWED_HOSTS."
    if (
        not origin
        or origin in split_names(settings.cors_origins)
        or "*" in split_names(settings.cors_origins)
    ):
        return ""
    if host and origin.lower().partition("://")[2] == host.lower():
        return ""
    return f"Pages of {origin[:100]!r} may not call this; name the origin in ESPALIER_CORS_ORIGINS."


def _is_socket(scope: Scope) -> bool:
    """Whether a request came over a network address, and not from this process."""
    try:
        return bool(scope.get("server")) and bool(ip_address(scope["server"][0]))
    except ValueError:
        return False


def _is_own_host(host: str, settings: Settings) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return False
    allowed = split_names(settings.allowed_hosts)
    if not name or name == "localhost" or name.endswith(".localhost") or name == settings.host.lower():
        return True
    if "*" in allowed or name in allowed:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def split_names(given: str) -> frozenset[str]:
    """Return the names of a list that is separated by commas, in lower case."""
    return frozenset(name.strip().lower() for name in given.split(",") if name.strip())
