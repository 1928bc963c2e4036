"""Sandboxes without a server: how they are built, copied, limited, and what is said where they cannot be."""

import asyncio
import contextlib
import errno
import io
import os
import shutil
import struct
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from envs.os_interaction.sandbox.inside import archive, calls
from envs.os_interaction.sandbox.inside.checks import BASH_LOADER, HIDDEN_BASH
from envs.os_interaction.sandbox.limits import MIB, Limits
from envs.os_interaction.sandbox.nursery import ROOT, Nursery
from envs.os_interaction.sandbox.sandbox import Kind, RefusedError, Sandbox, Start
from envs.os_interaction.sandbox.spool import Spool
from envs.serving.environment import EngineUnavailableError, InstanceLostError
from tests.envs.os_machine import start_or_skip
from tests.support import eventually

LIMITS = Limits(memory=128 * MIB, disk=8 * MIB, processes=32, files=64, cpu=20, seconds=5.0)
UNPRIVILEGED = """#!/bin/sh
exec setpriv --reuid 10001 --regid 10001 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs \\
  /usr/bin/python3 "$@"
"""


@pytest.fixture(scope="module")
def how() -> Start:
    return start_or_skip(LIMITS)


async def test_the_kernel_says_what_the_sandbox_is(how: Start) -> None:
    sandbox = await Sandbox.start(how)
    outcome = (await sandbox.run(f"cat /proc/self/status; id -u; ls /sys {ROOT} /host 2>&1; env", 5)).output
    lines = dict(line.split(":", 1) for line in outcome.splitlines() if line.count(":\t") == 1)
    assert lines["Seccomp"].strip() == "2"
    assert lines["NoNewPrivs"].strip() == "1"
    # Over the sandbox's own files and programs, and no more.
    assert int(lines["CapEff"], 16) == int(lines["CapBnd"], 16) == 0b10000111011
    assert int(lines["CapAmb"], 16) == 0
    assert outcome.count("No such file") == 3
    assert "ESPALIER" not in outcome
    assert "PATH=/usr/local/sbin:" in outcome
    await sandbox.close()


async def test_on_the_host_it_is_nobody_and_has_no_network(how: Start) -> None:
    sandbox = await Sandbox.start(how)
    await sandbox.run("sleep 4242 &", 5)
    await asyncio.to_thread(eventually, lambda: _running("sleep 4242 "), 10)
    (pid,) = _running("sleep 4242 ")
    if os.geteuid() == 0:
        assert os.stat(f"/proc/{pid}").st_uid > 1_000_000_000
    for kind in ("user", "pid", "net", "ipc", "uts", "mnt", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    devices = (await sandbox.run("cut -d: -f1 /proc/net/dev | tail -n +3", 5)).output.split()
    assert devices == ["lo"]
    await sandbox.close()
    await asyncio.to_thread(eventually, lambda: not _running("sleep 4242 "), 10)


def _running(command: str) -> list[int]:
    """The host's process ids of programs with a command line."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_text(errors="replace").replace("\0", " ") == command:
                found.append(int(entry.parent.name))
    return found


async def test_it_works_for_a_user_without_any_privilege(
    how: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container: not root, no capabilities, no new privileges."""
    if os.geteuid() or not shutil.which("setpriv") or not shutil.which("python3", path="/usr/bin"):
        pytest.skip("needs root, setpriv and /usr/bin/python3, to become a user without privileges")
    wrapper = tmp_path / "python"
    wrapper.write_text(UNPRIVILEGED)
    wrapper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(wrapper))
    monkeypatch.setattr(Nursery, "uid", lambda _: None)
    sandbox = await Sandbox.start(how)
    script = "useradd -m bob && id -un && ls /home && echo x > /srv/f && ls -l /usr/bin/bash | wc -l"
    assert (await sandbox.run(script, 5)).output == "root\nbob\n1\n"
    copy = await Sandbox.start(how, await sandbox.pack())
    assert (await copy.run("cat /srv/f", 5)).output == "x\n"
    await copy.close()
    checker = await Sandbox.start(how, await sandbox.pack(), Kind.CHECKER)
    look = 'echo "$1"; cat /proc/$$/environ || echo closed; touch /etc/x /usr/x || echo sealed; '
    look += "rm /bin || echo pinned"
    check = {"words": [look, "answer"], "language": "bash", "alone": True}
    argv = [HIDDEN_BASH, "-c", BASH_LOADER, "--"]
    assert (await checker.once(argv, 5, check=check)).output == "answer\nclosed\nsealed\npinned\n"
    await checker.close()
    await sandbox.close()


async def test_limits_hold_for_all_programs_together(how: Start) -> None:
    sandbox = await Sandbox.start(how)
    hog = "python3 -c 'import time; x = bytearray(50_000_000); time.sleep(30)' &\n"
    outcome = await sandbox.run(hog + "sleep 1; echo two", 5)
    assert outcome.ended == "exit"
    outcome = await sandbox.run(hog * 3 + "wait", 10)
    assert (outcome.ended, outcome.restarted) == ("memory", True)
    outcome = await sandbox.run("for i in $(seq 100); do sleep 3 & done 2>/dev/null; echo", 2)
    assert (await sandbox.run("ps -e | wc -l", 5)).output.strip().isdigit()
    outcome = await sandbox.run(
        "head -c 20M /dev/zero > /tmp/x; stat -c %s /tmp/x; df --output=size -B1 / | tail -1", 5
    )
    size, whole = [int(word) for word in outcome.output.split()[-2:]]
    assert size < whole == 8 * MIB
    outcome = await sandbox.run(
        "rm /tmp/x; cd /tmp; for i in $(seq 4000); do : > $i || break; done; ls | wc -l", 8
    )
    assert int(outcome.output.split()[-1]) < 8 * 256 + 64
    await sandbox.close()


async def test_a_killed_sandbox_is_lost(how: Start) -> None:
    sandbox = await Sandbox.start(how)
    sandbox.kill()
    with pytest.raises(InstanceLostError):
        await sandbox.run("true", 5)
    await sandbox.close()


async def test_a_call_that_is_given_up_ends_the_sandbox(how: Start) -> None:
    """Half an answer may be in the pipe: nothing is read after it."""
    sandbox = await Sandbox.start(how)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await sandbox.run("sleep 3; echo late", 5)
    with pytest.raises(InstanceLostError):
        await sandbox.run("echo next", 5)
    await sandbox.close()


ODD = r"""cd /srv; printf 'a\0b' > $'n\nl'; printf x > $'\xff'; : > empty; mkdir -m 000 closed
touch closed/in; chmod 000 empty; ln -s nowhere broken; truncate -s 3M hole
printf end | dd of=hole bs=1 seek=2000000 conv=notrunc; ln hole twin; mkfifo pipe; rm -r /opt; chmod 751 /
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/run/socket")'
mkdir -p $(printf 'd/%.0s' $(seq 150)); ln -s /usr/bin link; touch -d @12345.678 empty"""
NAMES = r"find / -xdev ! -path '/run*' ! -path /proc -printf '%P %m %s %y %l %T@ %n\n' | sort | md5sum"


async def test_copies_of_odd_files(how: Start) -> None:
    sandbox = await Sandbox.start(how)
    assert (await sandbox.run(ODD, 5)).status == 0
    layer = await sandbox.pack()
    assert layer.files.size < 200_000
    copy = await Sandbox.start(how, layer)
    for look in (
        "find / -xdev | wc -l",
        "stat -c '%b %h' hole; md5sum hole; cat $'n\nl'; ls -d d/d/d",
        "ls /opt",
    ):
        outcome = [
            (await one.run(f"cd /srv; rm -f /run/socket; {look}", 5)).output for one in (sandbox, copy)
        ]
        assert outcome[0] == outcome[1] != ""
    # A folder's times are looked at before anything is written into it.
    fresh = await Sandbox.start(how, layer)
    first = (await fresh.run(NAMES, 5)).output
    again = await Sandbox.start(how, await fresh.pack())
    assert (await again.run(NAMES, 5)).output == first
    for one in (sandbox, copy, fresh, again):
        await one.close()


async def test_a_checker_has_the_hosts_programs_and_an_example_all_as_it_was(how: Start) -> None:
    sandbox = await Sandbox.start(how)
    await sandbox.run(
        "echo x > /etc/ld.so.preload; mkdir -p /usr/local/lib/python3.11; rm /bin; touch /bin", 5
    )
    layer = await sandbox.pack()
    look = [
        "/usr/bin/bash",
        "-c",
        "ls -d /etc/ld.so.preload /usr/local/lib/python3.11 2>&- | wc -l; readlink /bin",
    ]
    for kind, outcome in ((Kind.CHECKER, "0\nusr/bin\n"), (Kind.EXAMPLE, "2\n")):
        copy = await Sandbox.start(how, layer, kind)
        assert (await copy.once(look, 5)).output == outcome
        await copy.close()
    await sandbox.close()


async def test_where_the_kernel_refuses_it_is_said_what_to_do(how: Start) -> None:
    broken = replace(how, base=replace(how.base, binds=[("/nowhere", "usr/bin")]))
    with pytest.raises(EngineUnavailableError, match=r"mount usr/bin: No such file.*seccomp-sandbox\.json"):
        await Sandbox.start(broken)


def test_an_archive_is_unpacked_as_it_was_packed(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "d").mkdir(parents=True)
    (source / "d" / "f").write_bytes(os.urandom(200_000))
    (source / "l").symlink_to("d/f")
    (source / "d" / "f").chmod(0o4640)
    os.link(source / "d" / "f", source / "h")
    os.utime(source / "d", ns=(5, 7))
    target.mkdir()
    (target / "l").mkdir()
    stream = io.BytesIO(b"".join(archive.pack(str(source))))
    # What stands in the way is kept, and told.
    assert archive.unpack(stream.read, str(target)) == 1
    assert stream.read() == b""
    assert (target / "d" / "f").read_bytes() == (source / "h").read_bytes()
    assert (target / "h").samefile(target / "d" / "f")
    assert (target / "h").stat().st_mode & 0o7777 == 0o4640
    assert (target / "d").stat().st_mtime_ns == 7
    assert (target / "l").is_dir()


def test_the_filter_is_made_for_known_machines_only() -> None:
    for machine in ("x86_64", "aarch64"):
        code = calls.program(machine)
        steps = list(struct.iter_unpack("=HBBI", code))
        assert len(steps) < 4096
        assert steps[0] == (0x20, 0, 0, 4)
        assert steps[-1] == (0x06, 0, 0, calls.ERRNO | errno.ENOSYS)
        for at, (kind, true, false, _) in enumerate(steps):
            if kind & 7 == 5:
                assert at + 1 + max(true, false) < len(steps)
    with pytest.raises(KeyError):
        calls.program("riscv64")


async def test_processes_are_kept_ready_and_end_with_the_nursery(how: Start) -> None:
    nursery = Nursery(2)
    first = await Sandbox.start(how, nursery=nursery)
    assert nursery._filling is not None
    await nursery._filling
    ready = list(nursery._spares)
    assert len(ready) == 2
    ready[0].kill()
    await ready[0].wait()
    second = await Sandbox.start(how, nursery=nursery)
    assert (await second.run("echo works", 5)).output == "works\n"
    assert second._process is ready[1]
    await nursery.close()
    for sandbox in (first, second):
        assert (await sandbox.run("echo still", 5)).output == "still\n"
        await sandbox.close()
    assert not nursery._spares


MANY = """cd /srv
python3 - <<'CODE'
import os
for folder in range(7):
    os.mkdir(f"{folder:0255}")
    for number in range(1000):
        name = f"{folder}{number}".encode().ljust(255, b"\\xff")
        if number % 2: os.symlink(b"\\x01" * 4000, os.path.join(f"{folder:0255}".encode(), name))
        else: open(os.path.join(f"{folder:0255}".encode(), name), "w").close()
CODE
find /srv | wc -l"""


async def test_a_copy_of_many_long_names_stays_small(how: Start) -> None:
    """The server keeps it on disk, and no more of it than the limit."""
    roomy = replace(how, limits=replace(LIMITS, disk=64 * MIB, seconds=30.0))
    sandbox = await Sandbox.start(roomy)
    assert (await sandbox.run(MANY, 30)).output == "7008\n"
    tracemalloc.start()
    layer = await sandbox.pack()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Thousands of links of 4,000 control characters, each of which takes six in JSON, and long names.
    assert peak < 8 * MIB
    assert layer.files.size < roomy.limits.copied
    copy = await Sandbox.start(roomy, layer)
    assert (await copy.run("find /srv | wc -l", 30)).output == "7008\n"
    for one in (sandbox, copy):
        await one.close()


async def test_files_beyond_the_limit_are_not_copied(how: Start) -> None:
    """Process 1 refuses before it sends them, and goes on."""
    sandbox = await Sandbox.start(how)
    sandbox._limits = replace(LIMITS, disk=0)
    await sandbox.run("head -c 7M /dev/urandom > /srv/f", 5)
    with pytest.raises(RefusedError, match="more than a copy may hold"):
        await sandbox.pack()
    assert (await sandbox.run("echo still", 5)).output == "still\n"
    await sandbox.close()


async def test_what_is_spooled_comes_back_as_it_was() -> None:
    spool = Spool(10 * MIB)
    pieces = [os.urandom(size) for size in (1, 1000, 2**18, 2**18 + 7, 3, 2**20)]
    for piece in pieces:
        await spool.add(piece)
    for _ in range(2):
        assert b"".join([piece async for piece in spool.pieces()]) == b"".join(pieces)
    with pytest.raises(ValueError, match="more than"):
        await spool.add(bytes(10 * MIB))
