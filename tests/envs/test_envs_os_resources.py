"""Memory, CPU time and kernel objects that no program's own size shows, with and without control groups."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from envs.os_interaction.sandbox.cgroups import PREFIX, Groups
from envs.os_interaction.sandbox.inside import calls, numbers
from envs.os_interaction.sandbox.limits import MIB, Limits
from tests.envs.test_envs_os import Os, served_os
from tests.envs.test_envs_os_attacks import CALL, PRINT, SUCCESS, python
from tests.support import eventually

MEMORY, DISK, CPU = 128, 16, 2
HELD = 400
"""What an attack wants to hold, MiB."""
LIMITS = Limits(MEMORY * MIB, DISK * MIB, 64, 256, CPU, 5.0)


@pytest.fixture(scope="module", params=["auto", "off"])
def machine(request: pytest.FixtureRequest) -> Iterator[Os]:
    """A server with control groups, where this machine has them, and one without."""
    if request.param == "auto" and not Groups.find().bases:
        pytest.skip(f"{Groups.find().describe()} for this process")
    caps = {"os_memory": MEMORY, "os_disk": DISK, "os_cpu": CPU, "os_command_timeout": 8.0}
    yield from served_os(os_cgroup=request.param, os_generated=0, **caps)


def _grouped(machine: Os) -> bool:
    return bool(machine.environment._nursery.groups.bases)


SHARED = f"""import mmap, os, time
pids = []
for _ in range(4):
    pid = os.fork()
    if not pid:
        memory = mmap.mmap(-1, {HELD // 4} << 20)
        for start in range(0, len(memory), 4096): memory[start] = 1
        memory.madvise(mmap.MADV_DONTNEED)
        open(f"/tmp/full{{os.getpid()}}", "w").close()
        time.sleep(60)
    pids.append(pid)
while len([name for name in os.listdir("/tmp") if name.startswith("full")]) < 4: time.sleep(0.05)
time.sleep(0.5)
assert all(os.path.exists(f"/proc/{{pid}}/exe") for pid in pids)
{PRINT}"""
ZERO = SHARED.replace("mmap.mmap(-1, ", "mmap.mmap(os.open('/dev/zero', os.O_RDWR), ")
SOCKETS = """import os, socket, time
held = []
for _ in range(12):
    if not os.fork():
        for _ in range(110):
            try: a, b = socket.socketpair()
            except OSError: break
            a.setblocking(False)
            held.append((a, b))
            try:
                while True: a.send(bytes(65536))
            except OSError: pass
        open(f"/tmp/full{os.getpid()}", "w").close()
        time.sleep(60)
while len([name for name in os.listdir("/tmp") if name.startswith("full")]) < 12: time.sleep(0.05)
print("held")"""


@pytest.mark.parametrize("script", [SHARED, ZERO], ids=["without a name", "by the zero device"])
def test_shared_memory_counts_when_it_is_given_back(machine: Os, script: str) -> None:
    session = machine.start()
    shown = machine.run(session, python(script))
    assert SUCCESS not in shown
    assert f"over {MEMORY} MB of memory" in shown
    assert machine.run(session, "echo works; pgrep -c python3").startswith("works\n0")
    machine.close(session)


def test_memory_of_the_kernels_own_is_capped(machine: Os) -> None:
    """Buffers of sockets stay below the group's limit, however many there are; without a group they count."""
    before = _peaks() if _grouped(machine) else {}
    session = machine.start()
    shown = machine.run(session, python(SOCKETS))
    if not _grouped(machine):
        assert f"over {MEMORY} MB of memory" in shown
        machine.close(session)
        return
    assert machine.run(session, "echo works").splitlines()[0] == "works"
    most = LIMITS.memory + 2 * LIMITS.disk + 64 * MIB
    grown = [peak for folder, peak in _peaks().items() if folder not in before or peak > before[folder]]
    assert grown
    assert max(grown) <= most
    machine.close(session)


def _peaks() -> dict[str, int]:
    """The most that each living group has used, bytes."""
    base = Groups.find().bases["memory"]
    found: dict[str, int] = {}
    for folder in base.glob(f"{PREFIX}*"):
        for name in ("memory.peak", "memory.max_usage_in_bytes", "memory.current"):
            if (folder / name).exists():
                found[folder.name] = int((folder / name).read_text())
                break
    return found


def test_process_one_outlives_its_programs_when_memory_ends(machine: Os) -> None:
    session = machine.start()
    for _ in range(3):
        machine.run(session, python("x = []\nwhile True: x.append(bytearray(1 << 20))"))
        machine.run(session, python(SOCKETS))
    # The last of them hold what they have until they are gone.
    eventually(lambda: machine.run(session, "pkill -9 python3; pgrep -c python3") == "0")
    machine.run(session, "echo kept > /srv/f")
    assert machine.run(session, "cat /srv/f") == "kept"
    metrics = machine.http.get("/metrics").text
    rebuilt = [line for line in metrics.split("\n") if "rebuilt_total" in line and line[0] != "#"]
    assert [line.rpartition(" ")[2] for line in rebuilt] == ["0.0"]
    machine.close(session)


NOBODY_WAITS = """import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
until = time.monotonic() + 7
while time.monotonic() < until:
    for _ in range(2):
        try: pid = os.fork()
        except OSError: continue
        if not pid:
            end = time.process_time() + 0.03
            while time.process_time() < end: pass
            os._exit(0)
    time.sleep(0.03)
print('ESC' + 'APED')"""


def test_cpu_time_counts_of_children_that_nobody_waits_for(machine: Os) -> None:
    session = machine.start()
    shown = machine.run(session, python(NOBODY_WAITS))
    assert SUCCESS not in shown
    assert f"over {CPU} seconds of CPU time" in shown
    machine.close(session)


REFUSED: dict[str, str] = {
    "shared memory by key": "c.shmget(0, 4096, 0o1600)",
    "semaphores by key": "c.semget(0, 100, 0o1600)",
    "messages by key": "c.msgget(0, 0o1600)",
    "message queues": "c.syscall(240 if x86 else 180, b'q', 0o102, 0o600, None)",
    "asynchronous I/O": "c.syscall(206 if x86 else 0, 64, ctypes.create_string_buffer(8))",
    "pages into pipes": "c.syscall(278 if x86 else 75, w, v, 1, 8)",
    "files without a name": "c.syscall(319 if x86 else 279, b'x', 0)",
    "secret files without a name": "c.syscall(447, 0)",
    "huge pages": "0 if c.mmap(None, 1 << 21, 3, 0x40022, -1, 0) not in (-1, 2 ** 64 - 1) else -1",
    "larger pipes": "fcntl.fcntl(w, 1031, 1 << 20)",
    "a call that is not known yet": "c.syscall(9999)",
    "mounts by descriptor": "c.syscall(428, -100, b'/', 1)",
    "performance counters": "c.syscall(298 if x86 else 241, b'', 0, -1, -1, 0)",
    "a fault handler": "c.syscall(323 if x86 else 282, 1)",
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_calls_that_take_what_nobody_counts_are_refused(machine: Os, name: str) -> None:
    session = machine.start()
    code = (
        f"{CALL}import fcntl, os, platform\nx86 = platform.machine() == 'x86_64'\nr, w = os.pipe()\n"
        "b = ctypes.create_string_buffer(4096)\nv = (ctypes.c_uint64 * 2)(ctypes.addressof(b), 4096)\n"
        "c.mmap.restype = ctypes.c_ssize_t\nc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + "
        "[ctypes.c_int] * 3 + [ctypes.c_long]\n"
        f"try: r = {REFUSED[name]}\nexcept OSError: r = -1\nprint('tried')\nif r >= 0: {PRINT}"
    )
    shown = machine.run(session, python(code))
    assert "tried" in shown
    assert SUCCESS not in shown
    machine.close(session)


def test_a_sockets_buffers_stay_as_they_are(machine: Os) -> None:
    session = machine.start()
    code = (
        "import socket\ns = socket.socket()\nold = s.getsockopt(1, 7), s.getsockopt(1, 8)\n"
        "for option in (7, 8, 32, 33): s.setsockopt(1, option, 1 << 24)\n"
        "s.setsockopt(1, 2, 1)\nassert s.getsockopt(1, 2)\n"
        "print((s.getsockopt(1, 7), s.getsockopt(1, 8)) == old)"
    )
    assert machine.run(session, python(code)) == "True"
    machine.close(session)


def test_the_metadata_says_what_limits_a_sandbox(machine: Os) -> None:
    engine = machine.http.get("/metadata").json()["engine"]
    assert ("control groups v" in engine) == _grouped(machine)
    assert ("no control groups (" in engine) != _grouped(machine)


def test_groups_go_with_their_sandboxes(machine: Os) -> None:
    if not _grouped(machine):
        pytest.skip("no control groups on this server")
    groups = machine.environment._nursery.groups
    folder = groups.bases["memory"]
    session = machine.start()
    machine.run(session, "sleep 300 &")
    spares = machine.environment._settings.os_spares
    machine.close(session)

    def few() -> bool:
        groups.close()
        return len(list(folder.glob(f"{PREFIX}{os.getpid()}-*"))) <= spares + len(machine.sandboxes())

    eventually(few, 30)


def test_groups_of_two_servers_in_one_process_differ() -> None:
    one, other = Groups.find(), Groups.find()
    if not one.bases:
        pytest.skip(f"{one.describe()} for this process")
    made = [groups.make(LIMITS) for groups in (one, other)]
    doors = [group.doors for group in made if group is not None]
    assert len(doors) == 2
    assert doors[0] != doors[1]
    for group in made:
        assert group is not None
        group.release()
    assert one.close()
    assert other.close()


def test_where_no_group_can_be_made_it_is_said_why(tmp_path: Path) -> None:
    assert Groups.find("off").describe() == "no control groups (they are switched off)"
    groups = Groups.find(str(tmp_path))
    assert groups.describe().startswith("no control groups (version 2: ")
    assert groups.make(LIMITS) is None


def test_a_delegated_folder_of_version_2_is_used(tmp_path: Path) -> None:
    """The files that are written, without a kernel behind them."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids io")
    (tmp_path / "cgroup.subtree_control").write_text("")
    (tmp_path / "cgroup.procs").write_text("")
    groups = Groups.find(str(tmp_path))
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert groups.version == 2
    (tmp_path / "fresh").mkdir()
    group = Groups(dict.fromkeys(("cpu", "memory", "pids"), tmp_path / "fresh")).make(LIMITS)
    assert group is not None
    (folder,) = set(group.folders.values())
    assert (folder / "memory.max").read_text() == str((MEMORY + 2 * DISK + 64) * MIB)
    assert (folder / "memory.swap.max").read_text() == "0"
    assert int((folder / "pids.max").read_text()) == 64 + 16
    assert (folder / "cpu.max").read_text() == "200000 100000"
    assert group.doors == [str(folder / "cgroup.procs")]
    assert set(group.gauges) == {"memory", "kills", "cpu"}


def test_no_call_is_in_two_lists() -> None:
    for which in (0, 1):
        lists = (numbers.ALLOWED, numbers.FAKED, numbers.REFUSED, numbers.CHECKED)
        seen = [entry[which] for one in lists for entry in one.values() if entry[which] is not None]
        assert len(seen) == len(set(seen))
    assert not {"ptrace", "bpf", "mount", "io_setup", "vmsplice", "shmget"} & set(numbers.ALLOWED)
    assert calls.program("x86_64") != calls.program("aarch64")
