"""The episodes of a chaos run: created, waited for and read over HTTP, whatever is away in the meantime."""

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

CALL_SECONDS = 30.0
TERMINAL = {"completed", "failed", "cancelled"}


@dataclass(frozen=True)
class Seen:
    """What an episode did, without times, ids and what a retry may change."""

    state: str
    failure: str = ""
    result: dict[str, Any] = field(default_factory=dict[str, Any])
    branches: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    """Actions and observations of each branch."""
    cut: frozenset[str] = frozenset()
    """Branches that their parent cancelled: how far they came by then is a matter of time."""
    faults: tuple[str, ...] = ()
    """What is wrong with its log."""


def make_bodies(count: int, seed: int, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the requests of a run: all methods, corridors of several lengths, a seed of its own each.

    Args:
        count: How many.
        seed: Of the first; the others count up.
        params: Parameters of every second `tmbr` episode.
    """
    bodies: list[dict[str, Any]] = []
    for number in range(count):
        method = ("react", "tmbr", "cot", "tmbr", "io")[number % 5]
        body: dict[str, Any] = {
            "environment": "twin",
            "task_id": f"corridors/{2 + number % 4}",
            "method": method,
            "seed": seed + number,
            "max_steps": 10,
        }
        if method == "tmbr" and number % 5 == 3:
            body["params"] = params
        bodies.append(body)
    return bodies


class Client:
    """Calls the orchestrator until it answers.

    Args:
        url: Its address.
        patience: Seconds until a call that is not answered fails the run.
    """

    def __init__(self, url: str, patience: float = 300.0) -> None:
        self._http = httpx.Client(base_url=url, timeout=CALL_SECONDS, limits=httpx.Limits(max_connections=32))
        self._patience = patience

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create(self, bodies: Iterable[dict[str, Any]], run: str) -> list[str]:
        """Create episodes, several at once; a repeated try makes no second one. Returns their ids."""

        def make(body: dict[str, Any]) -> str:
            key = {"Idempotency-Key": f"{run}-{body['seed']}"}
            return self._insist(lambda: self._http.post("/v1/episodes", json=body, headers=key)).json()["id"]

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(make, bodies))

    def await_ends(self, episodes: list[str], within: float) -> set[str]:
        """Wait until episodes have ended; returns those that have not in time."""
        left = set(episodes)
        deadline = time.monotonic() + within
        while left and time.monotonic() < deadline:
            for episode in sorted(left):
                if self.get(f"/v1/episodes/{episode}").json()["state"] in TERMINAL:
                    left.discard(episode)
                else:
                    break  # look at the first that lives until it ends: fewer questions
            time.sleep(0.2)
        return left

    def count_ended(self, episodes: list[str]) -> int:
        """Return how many episodes have ended; they are the newest."""
        page = self.get(f"/v1/episodes?limit={min(200, len(episodes) + 10)}").json()["episodes"]
        return sum(each["id"] in episodes and each["state"] in TERMINAL for each in page)

    def get(self, path: str) -> httpx.Response:
        """Return an answer of 200."""
        return self._insist(lambda: self._http.get(path))

    def read(self, episode: str) -> Seen:
        """Return what an episode did."""
        record = self.get(f"/v1/episodes/{episode}").json()
        if record["state"] not in TERMINAL:
            return Seen(record["state"])
        events = [
            json.loads(line[len("data:") :])
            for line in self.get(f"/v1/episodes/{episode}/events").text.splitlines()
            if line.startswith("data:")
        ]
        branches: dict[str, list[tuple[str, str]]] = {}
        for event in events:
            if event["type"] == "step.taken":
                steps = branches.setdefault(event["branch"], [])
                steps.append((event["data"]["action"], event["data"]["observation"]))
        cut = {
            event["branch"]
            for event in events
            if event["type"] == "branch.closed" and event["data"].get("failure") == "cancelled"
        }
        failure = record.get("failure") or {}
        return Seen(
            record["state"],
            f"{failure.get('reason', '')}: {failure.get('detail', '')}" if failure else "",
            record.get("result") or {},
            branches,
            frozenset(cut),
            tuple(check_log(events)),
        )

    def _insist(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                answer = call()
                if answer.status_code < 300:
                    return answer
                if answer.status_code not in (429, 502, 503, 504):
                    raise AssertionError(f"{answer.request.url} answered {answer.status_code}: {answer.text}")
                reason = answer.text
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__}: {error}"
            assert time.monotonic() < deadline, f"no answer within {self._patience:g} s: {reason}"
            time.sleep(0.2)


def check_log(events: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with a log: gaps and doubles in a branch's numbers, a wrong beginning or end."""
    faults: list[str] = []
    numbers: dict[str, list[int]] = {}
    for event in events:
        if event.get("seq") is not None:
            numbers.setdefault(event["branch"], []).append(event["seq"])
    for branch, found in numbers.items():
        expected = list(range(len(found)))
        if sorted(found) != expected:
            faults.append(f"branch {branch} has the numbers {sorted(found)}")
    types = [event["type"] for event in events]
    if types.count("episode.created") != 1 or types[0] != "episode.created":
        faults.append("the log does not begin once")
    ends = [name for name in types if name.removeprefix("episode.") in TERMINAL]
    if len(ends) != 1 or types[-1] not in ends:
        faults.append(f"the log ends with {types[-1]}, after {ends}")
    return faults
