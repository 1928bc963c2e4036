"""What has to hold after a run: all ended, all equal, nothing doubled, nothing left."""

import json
import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.episodes import Seen
from tests.chaos.stack import SERVERS, Stack

BOUNDED = re.compile(r"bull:.*:(?:events|meta)")
"""Keys without a time to live whose size depends on what happened, up to a limit of their own."""
CLEAN_SECONDS = 150.0
"""How long the sweeper may take to clean up after a run."""


@dataclass
class Outcome:
    """What a run did, as a row of the table."""

    fault: str
    branches: str
    episodes: int
    live: int = 0
    """Episodes that had not ended when the fault began."""
    ended: int = 0
    equal: int = 0
    doubled: int = 0
    """Steps that an instance of the environment took beyond those of its branch."""
    broken: int = 0
    """Logs with gaps or doubles."""
    left: list[str] = field(default_factory=list[str])
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list[str])
    """What differed."""

    @property
    def good(self) -> bool:
        """Whether everything held."""
        return self.ended == self.equal == self.episodes and not (self.doubled or self.broken or self.left)

    def summarise(self) -> str:
        """Return a cell of the table."""
        faults = [
            f"{self.episodes - self.ended} without an end" * (self.ended < self.episodes),
            f"{self.doubled} doubled" * bool(self.doubled),
            f"{self.broken} broken logs" * bool(self.broken),
            f"{len(self.left)} left" * bool(self.left),
        ]
        return "; ".join(
            [f"{self.equal} of {self.episodes} equal", *filter(None, faults), f"{self.seconds:.0f} s"]
        )

    def describe(self) -> str:
        """Return what did not hold."""
        return (
            f"{self.fault} (branches {self.branches}, {self.live} live at the fault): "
            f"{self.ended} of {self.episodes} ended, {self.equal} equal, "
            f"{self.doubled} steps doubled, {self.broken} logs broken, left: {self.left}\n"
            + "\n".join(self.notes[:20])
        )


def compare(outcome: Outcome, seen: dict[int, Seen], reference: dict[int, Seen]) -> None:
    """Compare a run's episodes with those of the undisturbed run, by seed."""
    for seed, now in seen.items():
        outcome.ended += now.state in ("completed", "failed", "cancelled")
        outcome.broken += bool(now.faults)
        outcome.notes += [f"episode {seed}: {fault}" for fault in now.faults]
        before = reference[seed]
        difference = find_difference(now, before)
        outcome.equal += not difference
        if difference:
            outcome.notes.append(f"episode {seed}: {difference}")


def find_difference(now: Seen, before: Seen) -> str:
    """Return what an episode did otherwise than before; empty if nothing.

    Of a branch that was cancelled in either run, only what both did is compared.
    """
    if now.state != before.state:
        return f"{now.state} {now.failure}"
    for branch in sorted(now.branches.keys() | before.branches.keys()):
        steps, expected = now.branches.get(branch, []), before.branches.get(branch, [])
        if branch in now.cut | before.cut:
            both = min(len(steps), len(expected))
            steps, expected = steps[:both], expected[:both]
        if steps != expected:
            place = next(
                (n for n, (one, other) in enumerate(zip(steps, expected, strict=False)) if one != other),
                min(len(steps), len(expected)),
            )
            what = f"{steps[place:][:1]}, was {expected[place:][:1]}"
            return f"branch {branch} differs at step {place + 1}: {what}"
    return "" if now.result == before.result else f"result {now.result}, was {before.result}"


def count_doubled(record: Path, begin: int, seen: dict[int, Seen]) -> list[str]:
    """Return the instances of the environment whose actions are not the beginning of a branch's.

    Args:
        record: What the environments wrote.
        begin: The line at which the run began.
        seen: The run's episodes by seed.
    """
    seeds: dict[tuple[int, str], int] = {}
    actions: dict[tuple[int, str], list[str]] = defaultdict(list)
    for line in record.read_text().splitlines()[begin:]:
        entry = json.loads(line)
        instance = (entry["process"], entry["handle"])
        if "seed" in entry:
            seeds[instance] = entry["seed"]
            actions[instance] = []
        else:
            actions[instance].append(entry["action"])
    found: list[str] = []
    for instance, taken in actions.items():
        seed = seeds.get(instance)
        if seed not in seen:
            continue
        cut = seen[seed].cut
        paths: dict[str, list[str]] = {name: [] for name in cut}
        paths |= {name: [action for action, _ in steps] for name, steps in seen[seed].branches.items()}
        if taken and not any(_is_begun(taken, path, name in cut) for name, path in paths.items()):
            found.append(f"an instance of episode {seed} took {taken}; branches: {paths}")
    return found


def _is_begun(taken: list[str], path: list[str], cut: bool) -> bool:
    """Return whether an instance took a branch's steps.

    The last step of a branch that was cancelled may not be in the log.
    """
    return taken == path[: len(taken)] or (cut and taken[:-1] == path)


@dataclass(frozen=True)
class Inventory:
    """What the stack holds between two runs."""

    sessions: frozenset[str]
    """Live sessions, each with its key and its server."""
    keys: Counter[str]
    """As `count_keys` counts them."""
    strays: frozenset[str]
    """Processes that belong to no part."""

    @classmethod
    def take(cls, stack: Stack) -> "Inventory":
        """Return what a stack holds now; all its parts are up."""
        found = [
            f"session {entry['session_id']} ({entry['session_key'] or entry['fork_key']}) on {name}"
            for name in SERVERS
            for entry in list_sessions(stack, name)
        ]
        strays = (f"process {line}" for line in stack.strays())
        return cls(frozenset(found), count_keys(stack), frozenset(strays))

    def list_left(self, before: "Inventory", allowed: Counter[str]) -> list[str]:
        """Return what is there and was not before, beyond what keys may grow by."""
        grown = self.keys - before.keys - allowed
        left = [*sorted(self.sessions - before.sessions), *sorted(self.strays - before.strays)]
        return left + [f"{more} more {kind}" for kind, more in sorted(grown.items())]


def await_nothing_left(stack: Stack, before: Inventory, allowed: Counter[str]) -> list[str]:
    """Return what is left of a run after the sweeper had its time: sessions, jobs, keys, processes.

    Args:
        stack: The stack, with all parts up.
        before: What it held before the run.
        allowed: By how much an undisturbed run of the same episodes lets keys grow (indexes of episodes).
    """
    deadline = time.monotonic() + CLEAN_SECONDS
    while (left := Inventory.take(stack).list_left(before, allowed)) and time.monotonic() < deadline:
        time.sleep(1.0)
    return left


def list_sessions(stack: Stack, name: str) -> list[dict[str, Any]]:
    """Return the live sessions of an environment server."""
    answer = httpx.get(f"{stack.parts[name].url}/v1/sessions", params={"limit": 1000}, timeout=30)
    answer.raise_for_status()
    return answer.json()["sessions"]


def count_keys(stack: Stack) -> Counter[str]:
    """Return how many keys without a time to live there are, and how much they hold, by kind.

    A kind is a key's name without the ids in it: what stays for ever may not grow with what happened.
    """
    found: Counter[str] = Counter()
    with stack.redis() as client:
        for key in client.scan_iter(count=1000):
            if client.ttl(key) != -1 or BOUNDED.fullmatch(key):
                continue
            kind = re.sub(r"ep_[0-9A-Za-z_-]+|\d{6,}|[0-9a-f]{16,}", "*", key)
            found[f"keys {kind}"] += 1
            found[f"entries of {kind}"] += _size(client, key)
    return found


def _size(client: Any, key: str) -> int:
    match client.type(key):
        case "set":
            return client.scard(key)
        case "zset":
            return client.zcard(key)
        case "list":
            return client.llen(key)
        case "hash":
            return client.hlen(key)
        case "stream":
            return client.xlen(key)
        case _:
            return 0
