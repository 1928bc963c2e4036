"""One chaos run: episodes, a fault in their middle, checks."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.checks import Inventory, Outcome, await_nothing_left, compare, count_doubled, count_keys
from tests.chaos.episodes import Client, Seen, make_bodies
from tests.chaos.faults import Fault, list_faults, restore_all
from tests.chaos.stack import Stack

END_SECONDS = 400.0
"""Until then every episode of a run has to end."""


@dataclass
class Bench:
    """A stack, and what its undisturbed run did.

    Args:
        stack: Up.
        branches: `ESPALIER_BRANCHES`, for the table.
        episodes: How many a run has.
        seed: Of the episodes and of the moments at which faults happen.
    """

    stack: Stack
    branches: str
    episodes: int
    seed: int
    reference: dict[int, Seen] = field(default_factory=dict[int, Seen])
    """What each episode did undisturbed, by seed."""
    steps: int = 0
    """Steps of the undisturbed run."""
    growth: Counter[str] = field(default_factory=Counter[str])
    """By how much keys that stay grew in it."""
    created: set[str] = field(default_factory=set[str])
    """All episodes so far."""
    runs: int = 0

    def run(self, fault: Fault) -> Outcome:
        """Run all episodes with a fault in their middle; the first run has to be the undisturbed one."""
        self.runs += 1
        stack = self.stack
        restore_all(stack)
        fault.prepare(stack)
        client = Client(stack.parts["orchestrator"].url)
        try:
            before = Inventory.take(stack)
            begin = len(stack.record.read_text().splitlines()) if stack.record.exists() else 0
            bodies = make_bodies(self.episodes, self.seed, probe_params(stack))
            began = time.monotonic()
            ids, live = self._play(client, fault, bodies)
            restore_all(stack)
            late = client.await_ends(ids, END_SECONDS)
            seconds = time.monotonic() - began
            fault.restore(stack)
            seen = {body["seed"]: client.read(id_) for body, id_ in zip(bodies, ids, strict=True)}
            self.created |= set(ids)
            listed = list_strangers(client, min(ids), self.created)
        finally:
            client.close()
        if not self.reference:
            self.reference = seen
        outcome = Outcome(fault.name, self.branches, self.episodes, live=live, seconds=seconds)
        compare(outcome, seen, self.reference)
        outcome.notes += [f"episode {id_} has not ended" for id_ in sorted(late)]
        doubled = count_doubled(stack.record, begin, seen)
        outcome.doubled = len(doubled)
        outcome.notes += doubled
        outcome.left = await_nothing_left(stack, before, self.growth) if self.runs > 1 else []
        outcome.left += [f"a second episode for one key: {id_}" for id_ in listed]
        if self.runs == 1:
            self._settle(before)
        return outcome

    def _settle(self, before: Inventory) -> None:
        """Measure what an undisturbed run leaves."""
        left = await_nothing_left(self.stack, before, Counter(dict.fromkeys(count_keys(self.stack), 10**9)))
        assert not left, f"the undisturbed run left {left}"
        self.growth = count_keys(self.stack) - before.keys
        self.steps = self.stack.steps_taken()

    def _play(self, client: Client, fault: Fault, bodies: list[dict[str, Any]]) -> tuple[list[str], int]:
        """Create the episodes, some of them while the fault is on.

        Returns:
            Their ids, and how many had not ended when the fault began.
        """
        draw = random.Random(f"{self.seed} {fault.name}")
        early = round(len(bodies) * 0.7) if fault.creates else len(bodies)
        run = f"{self.branches}-{self.runs}"
        taken = self.stack.steps_taken()
        ids = client.create(bodies[:early], run)
        if self.runs > 1:
            self.stack.await_steps(taken + round(self.steps * draw.uniform(0.05, 0.4)))
        live = len(bodies) - client.count_ended(ids)
        happening = threading.Thread(target=fault.happen, args=(self.stack,))
        happening.start()
        ids += client.create(bodies[early:], run)
        happening.join(600)
        assert not happening.is_alive(), f"{fault.name} goes on and on"
        return ids, live


def probe_params(stack: Stack) -> dict[str, Any]:
    """Return the parameters of parallel paths, if this release has them."""
    methods = httpx.get(f"{stack.parts['orchestrator'].url}/v1/methods", timeout=30).json()
    known = {method["name"]: method["params"] for method in methods}
    return {"parallel": True} if "parallel" in known["tmbr"] else {}


def list_strangers(client: Client, first: str, created: set[str]) -> list[str]:
    """Return the episodes since a first one that no run created."""
    found: list[str] = []
    cursor = ""
    while True:
        page = client.get(f"/v1/episodes?limit=100{cursor}").json()
        fresh = [each["id"] for each in page["episodes"] if each["id"] >= first]
        found += [each for each in fresh if each not in created]
        if len(fresh) < len(page["episodes"]) or page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def find_fault(name: str) -> Fault:
    """Return a fault by its name."""
    return next(fault for fault in list_faults() if fault.name == name)
