"""Which calls go through a proxy of the environment (`HTTP_PROXY` and its like)."""

import os
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit


def honours_proxy(url: str) -> bool:
    """Return whether a command's call to an address may go through a proxy.

    Never on loopback, nor where `NO_PROXY` names the host, a domain above it, or a network of it (CIDR, which
    HTTP clients do not read).
    """
    host = (urlsplit(url).hostname or "").lower()
    if not host or host == "localhost" or host.endswith(".localhost"):
        return False
    excluded = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name.strip().lower().lstrip(".") for name in excluded.split(",") if name.strip()]
    if "*" in names or any(host == name or host.endswith(f".{name}") for name in names):
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return True
    return not address.is_loopback and not any(_contains(name, host) for name in names)


def _contains(network: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
