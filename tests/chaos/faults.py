"""The faults: each does something to the stack in the middle of a run, and leaves every part up."""

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.chaos.proxy import Link
from tests.chaos.stack import ROLES, SERVERS, WORKERS, Stack
from tests.support import eventually

AWAY = 2.0
"""How long what was killed stays away, seconds."""
FROZEN = 5.0
"""How long what is stopped does not run, seconds: longer than a worker's lease."""
CUT = 3.0
"""How long a link is cut, seconds."""
LATE = 1.0
"""How long a late answer is held back, seconds."""
JUMP = 3600
"""By how much a clock jumps, seconds."""
PARTS = ("valkey", "engine", *ROLES, "environment", "orchestrator", "worker")
"""The parts that faults happen to: one of two environment servers, one of two workers."""
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong."""

    name: str
    happen: Callable[[Stack], None]
    prepare: Callable[[Stack], None] = lambda stack: None
    """Done before the run begins."""
    restore: Callable[[Stack], None] = lambda stack: None
    """Done after the run has ended."""
    needs: str = ""
    """What is missing on this machine; empty: nothing."""
    creates: bool = True
    """Whether some of the episodes are created while it is on."""


def _kill(*names: str) -> Callable[[Stack], None]:
    def happen(stack: Stack) -> None:
        stack.kill(*names)
        time.sleep(AWAY)
        _bring_up(stack, names)

    return happen


def _bring_up(stack: Stack, names: tuple[str, ...]) -> None:
    """Start parts, Redis before those that need it."""
    if "valkey" in names:
        stack.bring_up("valkey")
    stack.bring_up(*(name for name in names if name != "valkey"))


def _stop(*names: str) -> Callable[[Stack], None]:
    def happen(stack: Stack) -> None:
        with stack.stopped(*names):
            time.sleep(FROZEN)

    return happen


def _terminate(*names: str) -> Callable[[Stack], None]:
    def happen(stack: Stack) -> None:
        stack.signal(signal.SIGTERM, *names)
        stack.await_end(*names)
        _bring_up(stack, names)

    return happen


def _upgrade(stack: Stack) -> None:
    """Replace each part in turn."""
    for name in stack.parts:
        _terminate(name)(stack)


def _cut_clients(stack: Stack) -> None:
    with stack.redis() as client:
        for _ in range(10):
            client.client_kill_filter(_type="normal", skipme=True)
            time.sleep(0.2)


def _fill(stack: Stack) -> None:
    """Let Redis refuse every write for a while."""
    with stack.redis() as client:
        client.config_set("maxmemory", 1)
        time.sleep(CUT)
        client.config_set("maxmemory", 0)


def _block(stack: Stack) -> None:
    """Let Redis answer nothing for a while, twice."""
    with stack.redis() as client:
        for _ in range(2):
            client.execute_command("CLIENT", "PAUSE", 2500, "ALL")
            time.sleep(3.0)


def _lose_tail(stack: Stack) -> None:
    """Let Redis crash and come back as it was a second before: what `appendfsync everysec` may lose."""
    folder, kept = stack.folder / "appendonlydir", stack.folder / "kept"
    shutil.copytree(folder, kept)
    time.sleep(1.0)
    stack.kill("valkey")
    shutil.rmtree(folder)
    kept.rename(folder)
    stack.bring_up("valkey")


def _cut_link(name: str) -> Callable[[Stack], None]:
    def happen(stack: Stack) -> None:
        with stack.network.without(stack.network.links[name]):
            time.sleep(CUT)

    return happen


def _cut_all(stack: Stack) -> None:
    with stack.network.without(*stack.network.links.values()):
        time.sleep(CUT)


def _delay(*names: str, late: float = LATE) -> Callable[[Stack], None]:
    def happen(stack: Stack) -> None:
        links = [stack.network.links[name] for name in names]
        for link in links:
            link.late = late
        time.sleep(4 * LATE)
        for link in links:
            link.late = 0.0

    return happen


def _garble(*names: str) -> Callable[[Stack], None]:
    def happen(stack: Stack) -> None:
        links = [stack.network.links[name] for name in names]
        for link in links:
            link.garbage = 2
        _await_garbled(links)

    return happen


def _await_garbled(links: list[Link]) -> None:
    deadline = time.monotonic() + 20.0
    while any(link.garbage for link in links) and time.monotonic() < deadline:
        time.sleep(0.05)
    for link in links:
        link.garbage = 0


def _jump(name: str) -> Fault:
    """A part's clock jumps ahead, and back again later; what it measures durations by does not."""

    def prepare(stack: Stack) -> None:
        offset = stack.folder / "clock"
        offset.write_text("+0")
        stack.kill(name)
        stack.bring_up(
            name,
            LD_PRELOAD=str(FAKETIME),
            FAKETIME_TIMESTAMP_FILE=str(offset),
            FAKETIME_CACHE_DURATION="1",
            DONT_FAKE_MONOTONIC="1",
        )

    def happen(stack: Stack) -> None:
        for offset in (f"+{JUMP}", f"-{JUMP}", "+0"):
            (stack.folder / "clock").write_text(offset)
            time.sleep(CUT)

    def restore(stack: Stack) -> None:
        stack.kill(name)
        stack.bring_up(name)

    needs = "" if FAKETIME else "libfaketime is not installed (apt-get install libfaketime)"
    return Fault(f"clock of {name} jumps", happen, prepare, restore, needs)


def list_faults() -> list[Fault]:
    """Return all faults."""
    stoppable = [name for name in PARTS if name != "valkey"]
    faults = [Fault("none", lambda stack: None)]
    faults += [Fault(f"SIGKILL {name}", _kill(name)) for name in PARTS]
    faults.append(Fault("SIGKILL both workers", _kill(*WORKERS)))
    faults.append(Fault("SIGKILL both environments", _kill(*SERVERS)))
    faults.append(
        Fault("SIGKILL everything", _kill("valkey", "engine", *ROLES, *SERVERS, "orchestrator", *WORKERS))
    )
    faults += [Fault(f"SIGSTOP {name}", _stop(name)) for name in PARTS]
    faults.append(Fault("SIGSTOP both workers", _stop(*WORKERS)))
    faults.append(Fault("SIGSTOP everything", _stop("valkey", *stoppable, "environment-2", "worker-2")))
    faults += [Fault(f"SIGTERM {name}", _terminate(name)) for name in PARTS]
    faults.append(Fault("SIGTERM everything", _terminate(*(name for name in PARTS))))
    faults.append(Fault("upgrade of each part in turn", _upgrade))
    faults.append(Fault("CLIENT KILL, ten times", _cut_clients))
    faults.append(Fault("Redis loses its last second", _lose_tail, creates=False))
    faults.append(Fault("Redis is full", _fill))
    faults.append(Fault("Redis hangs", _block))
    faults.append(Fault("Redis is slow", _delay("worker-valkey", "orchestrator-valkey", late=0.1)))
    links = [
        *(f"{role}-engine" for role in ROLES),
        *(f"worker-{name}" for name in (*ROLES, "environment", "valkey")),
        *(f"orchestrator-{name}" for name in ("environment", "actor", "valkey")),
    ]
    faults += [Fault(f"cut {link}", _cut_link(link)) for link in links]
    faults.append(Fault("cut everything", _cut_all))
    faults += [Fault(f"late answers {link}", _delay(link)) for link in links]
    faults += [Fault(f"garbage {link}", _garble(link)) for link in links]
    return faults + [_jump(name) for name in ("worker", "environment", "orchestrator", "valkey")]


def restore_all(stack: Stack) -> None:
    """Bring up what is down and take back what a fault set."""
    for link in stack.network.links.values():
        link.cut, link.late, link.garbage = False, 0.0, 0
    stack.signal(signal.SIGCONT, *stack.parts)
    down = [
        name for name, part in stack.parts.items() if part.process is None or part.process.poll() is not None
    ]
    _bring_up(stack, tuple(down))
    with stack.redis() as client:
        eventually(lambda: _is_restored(client))


def _is_restored(client: redis.Redis) -> bool:
    try:
        return bool(client.config_set("maxmemory", 0))
    except redis.RedisError:
        return False
