"""What a sandbox is given by its server, on every event loop, and what a forged answer does."""

import asyncio
import json
import os
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from envs.os_interaction.sandbox.answers import Envelope
from envs.os_interaction.sandbox.limits import MIB, Limits
from envs.os_interaction.sandbox.nursery import Nursery
from envs.os_interaction.sandbox.sandbox import RefusedError, Sandbox, Start
from envs.serving.environment import InstanceLostError
from tests.envs.os_machine import start_or_skip

LIMITS = Limits(memory=128 * MIB, disk=8 * MIB, processes=32, files=64, cpu=20, seconds=5.0)
OPEN = 'for one in /proc/self/fd/* /proc/$$/fd/*; do echo "${one##*/} $(readlink $one)"; done'
LOOPS = ["asyncio", "uvloop"]
Work = Callable[[Start], Awaitable[None]]


def on_loop(loop: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run something on an event loop of a kind."""
    if loop == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        uvloop.run(_whole(work))
    else:
        asyncio.run(_whole(work))


async def _whole(work: Callable[[], Awaitable[None]]) -> None:
    await work()


@pytest.fixture(scope="module")
def how() -> Start:
    return start_or_skip(LIMITS)


@pytest.fixture
def inherited(tmp_path: Path) -> Iterator[list[int]]:
    """Descriptors of the server that its children would inherit: a log and a pipe, with high numbers."""
    log = os.open(tmp_path / "server.log", os.O_RDWR | os.O_CREAT)
    os.write(log, b"the server's log")
    pipe = os.pipe()
    numbers = [log, *pipe]
    for number in (77, 199, 700):
        os.dup2(log, number)
        numbers.append(number)
    for number in numbers:
        os.set_inheritable(number, True)
    yield numbers
    for number in numbers:
        os.close(number)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("spares", [0, 2])
def test_no_program_has_a_descriptor_of_the_server(
    how: Start, inherited: list[int], tmp_path: Path, loop: str, spares: int
) -> None:
    """In the shell, in programs by themselves and in the background, with other sandboxes open."""

    async def work() -> None:
        nursery = Nursery(spares)
        others = [await Sandbox.start(how, nursery=nursery) for _ in range(3)]
        sandbox = await Sandbox.start(how, nursery=nursery)
        listed = [(await sandbox.run(OPEN, 5)).output]
        listed.append((await sandbox.once(["/usr/bin/bash", "-c", OPEN], 5)).output)
        await sandbox.launch(["/usr/bin/bash", "-c", f"({OPEN}) > /tmp/listed"])
        listed.append((await sandbox.run("cat /tmp/listed", 5)).output)
        copy = await Sandbox.start(how, await sandbox.pack(), nursery=nursery)
        listed.append((await copy.run(OPEN, 5)).output)
        for lines in listed:
            assert lines
            places = [line.partition(" ")[2] for line in lines.splitlines()]
            assert not any("socket:" in place or str(tmp_path) in place for place in places), lines
            allowed = ("pipe:", "/dev/null", "/proc/", "/tmp/listed", "")
            assert all(place.startswith(allowed[:4]) or place == "" for place in places), lines
        # Whatever number it tries, nothing of the server's is written, read or cut.
        await sandbox.run("for n in $(seq 0 1023); do echo forged >&$n; : > /proc/self/fd/$n; done 2>&-", 5)
        assert (tmp_path / "server.log").read_bytes() == b"the server's log"
        for one in (*others, sandbox, copy):
            await one.close()
        await nursery.close()

    on_loop(loop, work)


@pytest.mark.parametrize("loop", LOOPS)
def test_process_one_itself_has_its_own_messages_only(how: Start, inherited: list[int], loop: str) -> None:
    """A process that is kept ready and one that serves, seen from the host."""

    async def work() -> None:
        nursery = Nursery(1)
        sandbox = await Sandbox.start(how, nursery=nursery)
        await sandbox.run("true", 5)
        assert nursery._filling is not None
        await nursery._filling
        for process in (nursery._spares[0], sandbox._process):
            for pid in (process.pid, *_children(process.pid)):
                await asyncio.to_thread(_settled, pid)
                places = {os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
                assert not any("server.log" in place for place in places), places
                # Two ends of the messages at most, the null device, the shell's pipes, and bash.
                assert len([place for place in places if place.startswith("socket:")]) <= 2, places
                assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"
        await sandbox.close()
        await nursery.close()

    if os.geteuid():
        pytest.skip("only root sees the descriptors of a process that is closed to others")
    on_loop(loop, work)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _settled(pid: int) -> None:
    from tests.support import eventually

    eventually(lambda: os.readlink(f"/proc/{pid}/fd/0") == "/dev/null", 30)


GOOD: dict[str, Any] = {"output": "x", "status": 0, "ended": "exit", "restarted": False, "spent": None}
FORGED: dict[str, Any] = {
    "another request's id": {"id": "0" * 16, "answer": GOOD},
    "no id": {"answer": GOOD},
    "no answer": {"id": "ID"},
    "answer and error": {"id": "ID", "answer": GOOD, "error": "x"},
    "a field more": {"id": "ID", "answer": GOOD | {"reward": 1}},
    "a field more around it": {"id": "ID", "answer": GOOD, "reward": 1},
    "a field less": {"id": "ID", "answer": {"output": "x"}},
    "text for a number": {"id": "ID", "answer": GOOD | {"status": "0"}},
    "a number for a flag": {"id": "ID", "answer": GOOD | {"restarted": 1}},
    "another end": {"id": "ID", "answer": GOOD | {"ended": "won"}},
    "a status beyond all": {"id": "ID", "answer": GOOD | {"status": 10**30}},
    "too much output": {"id": "ID", "answer": GOOD | {"output": "x" * 70_000}},
    "a list": [1],
    "nothing": None,
    "a number": 1,
    "deep": json.loads("[" * 900 + "]" * 900),
}
FAKE = """import json, struct, sys
def read():
    head = sys.stdin.buffer.read(4)
    return json.loads(sys.stdin.buffer.read(struct.unpack("!I", head)[0])) if head else sys.exit()
def write(payload):
    sys.stdout.buffer.write(struct.pack("!I", len(payload)) + payload); sys.stdout.flush()
write(json.dumps({"id": read()["id"], "answer": {}}).encode())
number = read()["id"]
forged = sys.argv[1]
payload = forged.replace('"ID"', json.dumps(number)).encode() if forged != "raw" else b"\\xff\\x00{"
write(payload)
read()
"""


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", [*FORGED, "no JSON", "true"])
def test_a_forged_answer_ends_the_sandbox(how: Start, loop: str, name: str) -> None:
    forged = "raw" if name == "no JSON" else json.dumps(FORGED.get(name, {"id": "ID", "answer": GOOD}))

    class Fake(Nursery):
        async def take(self) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", FAKE, forged),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )

    async def work() -> None:
        sandbox = await Sandbox.start(how, nursery=Fake())
        if name == "true":
            assert (await sandbox.run("x", 5)).output == "x"
        else:
            with pytest.raises(InstanceLostError):
                await sandbox.run("x", 5)
            with pytest.raises(InstanceLostError):
                await sandbox.run("x", 5)
        await sandbox.close()

    on_loop(loop, work)


async def test_an_error_of_process_one_is_no_loss(how: Start) -> None:
    """What it cannot do is answered, and the next request is served."""
    sandbox = await Sandbox.start(how)
    with pytest.raises(RefusedError):
        await sandbox.once(["/usr/bin/true"], 5, check={"words": [], "language": "bash", "alone": False})
    assert (await sandbox.run("echo still", 5)).output == "still\n"
    await sandbox.close()


def test_the_schema_of_answers_takes_no_other_types() -> None:
    assert Envelope.model_validate_json(b'{"id": "a", "answer": {}}').error is None
    assert struct.calcsize("!I") == 4
