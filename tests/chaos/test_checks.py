"""The checks of a chaos run find what they are for."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.checks import Outcome, compare, count_doubled, find_difference
from tests.chaos.episodes import Seen, check_log
from tests.chaos.proxy import Link, Network
from tests.chaos.stack import pick_ports

WALK = [("north", "Cell 1"), ("look", "Cell 1"), ("north", "Cell 2")]


def event(name: str, branch: str = "", seq: int | None = None) -> dict[str, Any]:
    return {"type": name, "branch": branch, "seq": seq, "data": {}}


def log_of(*numbers: tuple[str, int]) -> list[dict[str, Any]]:
    middle = [event("step.taken", branch, seq) for branch, seq in numbers]
    return [event("episode.created"), *middle, event("episode.completed")]


def test_a_whole_log_has_no_faults() -> None:
    assert check_log(log_of(("0", 0), ("0.0", 1), ("0", 1), ("0.0", 0))) == []


@pytest.mark.parametrize(
    "events",
    [
        log_of(("0", 0), ("0", 2)),
        log_of(("0", 1)),
        log_of(("0", 0), ("0.0", 0), ("0.0", 0)),
        log_of()[:-1],
        log_of()[1:],
        [*log_of(), event("episode.failed")],
        [*log_of(), event("step.taken", "0", 0)],
        [*log_of()[:1], *log_of()],
    ],
    ids=["gap", "late begin", "double", "no end", "no begin", "two ends", "after the end", "two begins"],
)
def test_a_broken_log_is_found(events: list[dict[str, Any]]) -> None:
    assert check_log(events)


@pytest.mark.parametrize(
    "now",
    [
        Seen("failed", "judge: away"),
        Seen("completed", "", {"score": 0.0}, {"0": WALK}),
        Seen("completed", "", {"score": 1.0}, {"0": WALK[:2]}),
        Seen("completed", "", {"score": 1.0}, {"0": [*WALK[:2], ("south", "Cell 0")]}),
        Seen("completed", "", {"score": 1.0}, {"0": WALK, "1": WALK}),
    ],
)
def test_another_course_is_found(now: Seen) -> None:
    before = Seen("completed", "", {"score": 1.0}, {"0": WALK})
    outcome = Outcome("none", "local", 1)
    compare(outcome, {7: now}, {7: before})
    assert (outcome.ended, outcome.equal, outcome.good) == (1, 0, False)
    assert "episode 7" in outcome.describe()


def test_of_a_cancelled_branch_only_what_both_did_is_compared() -> None:
    whole = Seen("completed", "", {}, {"0": WALK, "0.1": WALK})
    short = Seen("completed", "", {}, {"0": WALK, "0.1": WALK[:1]}, frozenset({"0.1"}))
    none = Seen("completed", "", {}, {"0": WALK}, frozenset({"0.1"}))
    other = Seen("completed", "", {}, {"0": WALK, "0.1": WALK[1:]}, frozenset({"0.1"}))
    assert (
        find_difference(whole, short) == find_difference(short, whole) == find_difference(none, whole) == ""
    )
    assert find_difference(other, whole)
    assert find_difference(Seen("completed", "", {}, {"0": WALK, "0.1": WALK[:1]}), whole)


@pytest.mark.parametrize(
    ("actions", "doubled"),
    [
        ([], False),
        (["north", "look"], False),
        (["north", "look", "north"], False),
        (["north", "north"], True),
        (["north", "look", "north", "north"], True),
    ],
)
def test_a_step_that_was_taken_twice_is_found(tmp_path: Path, actions: list[str], doubled: bool) -> None:
    record = tmp_path / "steps.jsonl"
    lines = [{"process": 1, "handle": "w1", "seed": 7}]
    lines += [{"process": 1, "handle": "w1", "action": action} for action in actions]
    record.write_text("an earlier run's\n" + "".join(json.dumps(line) + "\n" for line in lines))
    assert bool(count_doubled(record, 1, {7: Seen("completed", branches={"0": WALK})})) == doubled


@pytest.fixture
def answering() -> Iterator[int]:
    """A server that answers every request with a JSON object; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_the_proxy_passes_cuts_delays_and_garbles(answering: int) -> None:
    link = Link("way", answering, pick_ports(1)[0])
    network = Network([link])
    network.start()
    url = f"http://127.0.0.1:{link.port}"
    try:
        assert httpx.get(url).json() == {}
        with network.without(link), pytest.raises(httpx.HTTPError):
            httpx.get(url)
        link.garbage = 1
        with pytest.raises(ValueError, match=r"codec|JSON|Expecting"):
            httpx.get(url).json()
        assert (link.garbage, link.garbled) == (0, 1)
        link.late = 0.3
        assert httpx.get(url).elapsed.total_seconds() >= 0.3
    finally:
        network.stop()
