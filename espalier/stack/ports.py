"""Who listens on a port."""

import socket

import psutil


def port_holder(port: int) -> str | None:
    """Who holds a TCP port of this machine, in words; None where it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return _who(port)
    return None


def _who(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return "another process"
    for connection in connections:
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            try:
                process = psutil.Process(connection.pid)
                return f"{process.name()} (pid {process.pid}: {' '.join(process.cmdline())[:100]})"
            except (psutil.NoSuchProcess, psutil.AccessDenied, TypeError, ValueError):
                return "another process"
    return "another process"
