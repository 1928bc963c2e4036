"""Hostile actions: none gets out, none takes the server down, each session after it works.

An attack prints the word `ESCAPED` where it succeeds; that word never stands in a script as it is, so that
no error message can show it. After each, the machine outside, another agent's session, the attacked
session and a new one are looked at.
"""

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.envs.test_envs_os import Os, on_host, served_os
from tests.support import eventually

SUCCESS = "ESCAPED"
WON = "printf 'ESC''APED'"
COMMAND_SECONDS = 1.0
CALL = "import ctypes; c = ctypes.CDLL(None, use_errno=True); "
PRINT = "print('ESC' + 'APED')"


def won(script: str) -> str:
    """A script that prints the word where all of it succeeds."""
    return f"{{ {script}; }} && {WON}"


def python(code: str) -> str:
    """Python code as a script."""
    return f"python3 - <<'CODE'\n{code}\nCODE"


ATTACKS: dict[str, str] = {
    # Mounts.
    "mount a file system": won("mount -t tmpfs none /mnt"),
    "mount the kernel's objects": won("mkdir -p /sys && mount -t sysfs none /sys"),
    "mount a second proc": won("mkdir -p /p && mount -t proc none /p"),
    "make programs writable": won("mount -o remount,rw /usr/bin"),
    "bind programs elsewhere": won("mount --bind /usr/bin /mnt && touch /mnt/evil"),
    "mount over the programs": won(
        "mount -t overlay o -o lowerdir=/usr/bin,upperdir=/tmp,workdir=/run /usr/bin"
    ),
    "take proc away": won("umount -l /proc"),
    "mount by system call": python(
        f"{CALL}r = c.mount(b'none', b'/mnt', b'tmpfs', 0, None)\nif r == 0: {PRINT}"
    ),
    "mount by the new system calls": python(
        f"{CALL}r = [c.syscall(n, -100, b'/usr', 1) for n in (428, 430, 433, 442)]\nif max(r) >= 0: {PRINT}"
    ),
    "turn the root around": python(f"{CALL}r = c.syscall(155, b'/tmp', b'/tmp')\nif r == 0: {PRINT}"),
    # Namespaces.
    "a user namespace of its own": won("unshare --user --map-root-user true"),
    "a mount namespace of its own": won("unshare --mount true"),
    "a namespace by clone": python(f"{CALL}r = c.syscall(56, 0x10000011, 0, 0, 0, 0)\nif r >= 0: {PRINT}"),
    "a namespace by clone3": python(
        f"{CALL}a = (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, 17)\n"
        f"r = c.syscall(435, a, 64)\nif r >= 0: {PRINT}"
    ),
    "enter the namespaces of process 1": won("nsenter --target 1 --all true"),
    "chroot": won("chroot /proc/1/root true || chroot /tmp true"),
    # Files of programs.
    "write into the programs": won("touch /usr/bin/evil || echo x >> /usr/bin/ls || rm -f /usr/bin/ls"),
    "write into the libraries": won("touch /usr/lib/evil || : > /usr/lib/x86_64-linux-gnu/libc.so.6"),
    "change the programs' permissions": won("chmod 777 /usr/bin /usr/bin/bash"),
    # /proc.
    "set the core pattern": won("echo '|/tmp/x' > /proc/sys/kernel/core_pattern"),
    "press sysrq": won("echo b > /proc/sysrq-trigger"),
    "drop the machine's caches": won("echo 3 > /proc/sys/vm/drop_caches"),
    "rename the machine": won("echo evil > /proc/sys/kernel/hostname || hostname evil"),
    "look through process 1's root": won("ls /proc/1/root/"),
    "look through process 1's folder": won("ls /proc/1/cwd/"),
    "read process 1's environment": won("cat /proc/1/environ"),
    "read process 1's memory map": won("grep -q . /proc/1/maps"),
    "read process 1's streams": won("ls -l /proc/1/fd/ && cat /proc/1/fd/0"),
    "write process 1's memory": python(f"f = open('/proc/1/mem', 'r+b')\n{PRINT}"),
    "overwrite the interpreter": won("cat /tmp/x > /proc/self/exe || cat /tmp/x > /proc/1/exe"),
    "map more users": won("echo '0 0 4294967295' > /proc/self/uid_map"),
    "be spared when memory ends": won("echo -1000 > /proc/self/oom_score_adj"),
    "read kernel memory": won("head -c 1 /proc/kcore | grep -q ."),
    "read the kernel's log": won("dmesg || timeout 1 head -c 1 /proc/kmsg | grep -q ."),
    # Devices.
    "make a disk": won("mknod /tmp/disk b 254 0 && dd if=/tmp/disk of=/tmp/x bs=512 count=1"),
    "make the memory": won("mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem"),
    "find a disk": won("ls /dev/vd* /dev/sd* /dev/nvme* /dev/mem /dev/kmsg 2>/dev/null | grep -q ."),
    "attach a loop device": won("truncate -s 1M /tmp/i && losetup -f /tmp/i"),
    "break the null device": won("chmod 000 /dev/null || rm -f /dev/null"),
    "type into a terminal": python(
        f"import fcntl\ntry:\n    fcntl.ioctl(0, 0x5412, b'x')\n    {PRINT}\nexcept OSError: pass"
    ),
    # Users.
    "a setuid shell": won(
        "cp /usr/bin/bash /tmp/b && chmod 4755 /tmp/b && /tmp/b -p -c 'mount -t tmpfs n /mnt'"
    ),
    "capabilities of a file": won("cp /usr/bin/bash /tmp/b && setcap all+ep /tmp/b"),
    "capabilities by su": won("su root -c 'mount -t tmpfs n /mnt'"),
    "capabilities by prctl": python(
        f"{CALL}r = [c.prctl(47, 2, n, 0, 0) for n in (16, 21, 19)]\nif 0 in r: {PRINT}"
    ),
    "another user of the host": python(
        f"import os\n{CALL}os.setresuid(1, 1, 1)\n"
        f"told = open('/proc/self/status').read()\nif 'Uid:\\t0' not in told: {PRINT}"
    ),
    "the kernel's keys": python(f"{CALL}r = c.syscall(250, 0, -3, 1)\nif r >= 0: {PRINT}"),
    # Links and names.
    "a link to the host's users": "ln -s ../../../../../../etc/shadow /tmp/s; cat /tmp/s",
    "up and up": won("cat ../../../../../../../..$CANARY"),
    "a link as the home": "rm -rf /root; ln -s /proc/1/root /root; ls -la /root/",
    "a link as /tmp": "rm -rf /tmp; ln -s / /tmp; ls /tmp/",
    "names with line ends": "cd /srv; touch $'a\\nb' $'\\x1b[31mred' -- '-rf' '$(reboot)' $'\\xff'; ls -la",
    "all files deleted": "rm -rf --no-preserve-root / 2>/dev/null; echo gone",
    "programs moved away": "mv /usr /elsewhere; ln -s /tmp /usr; ls",
    "loader replaced": "rm /lib64; mkdir /lib64; echo x > /lib64/ld-linux-x86-64.so.2; ls",
    "a hard link to a setuid program": won("ln /usr/bin/su /tmp/su"),
    # Kernel interfaces.
    "trace process 1": python(f"{CALL}r = c.ptrace(16, 1, 0, 0)\nif r == 0: {PRINT}"),
    "read another's memory": python(f"{CALL}r = c.syscall(310, 1, 0, 0, 0, 0, 0)\nif r >= 0: {PRINT}"),
    "io_uring": python(
        f"{CALL}b = ctypes.create_string_buffer(120)\nr = c.syscall(425, 1, b)\nif r >= 0: {PRINT}"
    ),
    "bpf": python(
        f"{CALL}b = ctypes.create_string_buffer(120)\nr = c.syscall(321, 0, b, 120)\nif r >= 0: {PRINT}"
    ),
    "userfaultfd": python(f"{CALL}r = c.syscall(323, 1)\nif r >= 0: {PRINT}"),
    "load a module": python(f"{CALL}r = c.syscall(313, 0, b'', 0)\nif r == 0: {PRINT}"),
    "calls of another word length": python(
        f"import mmap\n{CALL}m = mmap.mmap(-1, 4096, prot=7)\n"
        "m.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n"
        "a = ctypes.addressof(ctypes.c_char.from_buffer(m))\n"
        f"r = ctypes.CFUNCTYPE(ctypes.c_int)(a)()\nif r > 0: {PRINT}"
    ),
    "calls of x32": python(f"{CALL}r = c.syscall(0x40000000 + 39)\nif r > 0: {PRINT}"),
    "set the clock": won("date -s 2001-01-01"),
    "restart the machine": python(f"{CALL}r = c.reboot(0x1234567)\nif r == 0: {PRINT}"),
    # Too much.
    "fork bomb": "b() { b | b & }; b",
    "fork bomb in sessions of their own": 'f() { setsid bash -c "$(declare -f f); f; f" & }; f; f; sleep 5',
    "fork bomb in Python": python("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
    "threads": python(
        "import threading, time\nwhile True:\n"
        "    try: threading.Thread(target=time.sleep, args=(9,)).start()\n    except RuntimeError: pass"
    ),
    "more processes allowed": won("ulimit -u 100000"),
    "memory of one program": python("x = []\nwhile True: x.append(bytearray(10_000_000))"),
    "memory of many programs": "for i in $(seq 20); do python3 -c 'x = bytearray(60000000); input()' "
    "< <(sleep 9) & done; wait",
    "memory of the shell": "x=x; while :; do x=$x$x; done",
    "memory of tail": "tail /dev/zero",
    "memory that nobody maps": python(
        f"import os\nf = os.memfd_create('x')\nfor _ in range(4000): os.write(f, bytes(1000000))\n{PRINT}"
    ),
    "memory by System V": python(f"{CALL}r = c.shmget(0, 1 << 30, 0o1600)\nif r >= 0: {PRINT}"),
    "memory in pipes": python(
        "import os, fcntl\nwhile True:\n    r, w = os.pipe()\n    os.set_blocking(w, False)\n"
        "    try: fcntl.fcntl(w, 1031, 1048576)\n    except OSError: pass\n    os.write(w, bytes(1048576))"
    ),
    "memory locked": won("ulimit -l unlimited"),
    "disk in the root": "cat /dev/zero > /fill; df / | tail -1",
    "disk in shared memory": "cat /dev/zero > /dev/shm/fill",
    "disk by allocation": won("fallocate -l 2G /tmp/fill"),
    "files without end": "i=0; while mkdir /tmp/$i; do i=$((i + 1)); done",
    "folders without end": "while mkdir d && cd d; do :; done",
    "a file of a terabyte": won("truncate -s 1T /tmp/huge"),
    "output without end": "yes",
    "output of zeros": "cat /dev/zero",
    "errors without end": "yes >&2",
    "output in the background": "(yes; yes) & (cat /dev/zero >&2) & echo started",
    "CPU in the background": "for i in 1 2 3 4; do (while :; do :; done) & done; echo started",
    "a command that never ends": "sleep 1000000",
    "a command that hears no signal": "trap '' TERM INT HUP QUIT; while :; do sleep 1; done",
    # The network.
    "the server itself": "exec 3<>/dev/tcp/127.0.0.1/$PORT && printf 'ESC''APED'",
    "a listener of the host": "exec 3<>/dev/tcp/127.0.0.1/$LISTENER && printf 'ESC''APED'",
    "a socket without a path": python(
        "import os, socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0' + os.environ['ABSTRACT'])\n"
        + PRINT
    ),
    "the cloud's metadata": won("timeout 1 bash -c 'exec 3<>/dev/tcp/169.254.169.254/80'"),
    "a name": won("getent hosts example.com"),
    "raw packets": python(f"import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n{PRINT}"),
    "raw addresses": python(f"import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)\n{PRINT}"),
    "the firewall": python(
        f"import socket\ns = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)\n{PRINT}"
    ),
    "a new interface": won("ip link add evil type dummy"),
    # The server and process 1.
    "kill all": "kill -9 -1",
    "kill process 1": "kill -9 1; kill -STOP 1; kill -INT 1; kill -SEGV 1; kill -TERM 1; kill -HUP 1",
    "kill every number": "for i in $(seq 1 3000); do kill -9 $i 2>/dev/null; done",
    "kill the parent": "kill -9 $PPID; kill -9 $$",
    "the shell stands still": "kill -STOP $$",
    "the shell becomes another program": "exec sleep 1000",
    "the shell without streams": "exec 0<&- 1>&- 2>&-; echo x",
    "the shell with other streams": 'for i in $(seq 3 255); do eval "exec $i>&-"; done; echo x',
    "words of its own": "builtin() { :; }; eval() { :; }; printf() { :; }; unset() { :; }; echo x",
    "words into the shell's streams": "for i in $(seq 3 20); do echo '0 0 {}' >&$i; done 2>/dev/null; echo x",
    "a shell that may not write": "ulimit -f 0; echo x > /tmp/x",
    "a shell without files": "ulimit -n 3; ls | cat",
    # Other sessions.
    "other programs": won("ps -eo args | grep -q '[v]ictims-program'"),
    "other files": won(
        "grep -rqs \"$(printf 'victims-%s' secret)\" /tmp /root /srv /home /dev/shm /proc/*/environ"
    ),
    "other messages": won("ipcs | grep -E '^0x'"),
    # Terminals.
    "escapes": "printf '\\033[2J\\033]0;title\\007\\033P+q\\033\\\\\\033[6n\\x9b31m\\a\\b\\r\\v\\033c text'",
    "a clipboard": "printf '\\033]52;c;ZXZpbA==\\007 text'",
    "text that runs backwards": "printf '\\u202e\\u2066 text \\u2069'",
    "no text at all": "head -c 5000 /dev/urandom; echo; echo text",
}
BAD = ("\x1b", "\x07", "\x9b", "\r", "\x00", "\u202e")


@dataclass
class Range:
    """A server under attack, and what must stay as it is."""

    machine: Os
    secret: str
    canary: Path
    victim: str
    connected: list[object] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    def attack(self, script: str) -> str:
        """One attack in a session of its own, and a look at everything after it."""
        session = self.machine.start()
        places = " ".join(f"{name}={place}" for name, place in self.places.items())
        shown = self.machine.step(session, f"bash: export {places}\n{script}")["observation"]
        after = self.machine.run(session, "builtin echo still")
        again = self.machine.start()
        assert self.machine.run(again, "echo works; cat /dev/null") == "works"
        assert self.machine.run(self.victim, "cat /srv/secret; pgrep -fc '[v]ictims-program'") == (
            f"victims-secret {self.secret}\n1"
        )
        assert self.canary.read_text() == self.secret
        assert self.machine.http.get("/healthz", timeout=5).status_code == 200
        self.machine.close(session)
        self.machine.close(again)
        assert not self.connected
        assert self.secret not in shown
        assert SUCCESS not in shown, shown
        assert not any(word in shown for word in BAD)
        assert len(shown) < 1100
        assert after, "the session does not answer any more"
        return shown


@pytest.fixture(scope="module")
def range_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    """A server with a secret in its environment, a file beside it, listeners, and another agent's session."""
    secret = secrets.token_hex(16)
    canary = tmp_path_factory.mktemp("host") / "canary"
    canary.write_text(secret)
    os.environ["ESPALIER_SECRET"] = secret
    caps = {"os_command_timeout": COMMAND_SECONDS, "os_memory": 128, "os_disk": 16, "os_cpu": 2}
    connected: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        abstract = f"espalier-attack-{os.getpid()}"
        unix.bind(f"\0{abstract}")
        unix.listen()
        for listener in (tcp, unix):
            threading.Thread(target=_listen, args=(listener, connected), daemon=True).start()
        for machine in served_os(**caps):
            victim = machine.start(
                create={"init": f"echo victims-secret {secret} > /srv/secret; chmod 777 /srv"}
            )
            machine.run(victim, "export SECRET=$(cat /srv/secret); exec -a victims-program sleep 5000 &")
            port = machine.http.base_url.port
            assert port is not None
            places = {"PORT": str(port), "LISTENER": str(tcp.getsockname()[1]), "ABSTRACT": abstract}
            places["CANARY"] = str(canary)
            yield Range(machine, secret, canary, victim, connected, places)
    del os.environ["ESPALIER_SECRET"]


def _listen(listener: socket.socket, connected: list[object]) -> None:
    while True:
        try:
            connected.append(listener.accept())
        except OSError:
            return


def test_there_are_enough_attacks() -> None:
    assert len(ATTACKS) >= 60
    assert not any(SUCCESS in script for script in ATTACKS.values())


@pytest.mark.parametrize("name", list(ATTACKS))
def test_attack(range_: Range, name: str) -> None:
    range_.attack(ATTACKS[name])


def test_the_attacks_word_is_seen_where_it_is_printed(range_: Range) -> None:
    """What the attacks are judged by does see a success."""
    with pytest.raises(AssertionError):
        range_.attack(won("true"))
    with pytest.raises(AssertionError):
        range_.attack(python(PRINT))
    with pytest.raises(AssertionError):
        range_.attack(f"echo {range_.secret}")


def test_limits_are_told(range_: Range) -> None:
    assert "printed too much" in range_.attack(ATTACKS["output without end"])
    assert "did not end within 1 seconds" in range_.attack(ATTACKS["a command that never ends"])


def test_cpu_time_is_counted_over_all_programs(range_: Range) -> None:
    word = f"spinner{os.getpid()}"
    session = range_.machine.start()
    range_.machine.run(session, f"for i in $(seq 8); do bash -c 'while :; do :; done' {word} & done")
    eventually(lambda: not on_host(word), 90)
    found = range_.machine.run(session, "echo works")
    assert found == "works\n[All programs were stopped: they used over 2 seconds of CPU time.]"
    range_.machine.close(session)
