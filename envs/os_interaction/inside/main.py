"""Process 1 of a sandbox: it builds it, locks it, and does what the server asks.

`python -I -S -c "..." ROOT`, with messages on standard input and output. When the server goes, its
standard input ends, and with process 1 the kernel ends all that is in the sandbox.
"""

import contextlib
import errno
import os
import select
import signal
import sys
from typing import Any

from envs.os_interaction.inside import archive, calls, kernel, root
from envs.os_interaction.inside.frames import Frames
from envs.os_interaction.inside.programs import Limits, Programs
from envs.os_interaction.inside.rounds import Told, close, pipe, watch
from envs.os_interaction.inside.shell import Shell

IDLE = 0.1
"""How often limits are looked at between commands, seconds."""
LAUNCH = 1.0
"""So long a script that starts programs in the background is waited for, seconds."""


class Init:
    """What a sandbox can be asked for."""

    def __init__(self, frames: Frames, config: dict[str, Any]) -> None:
        self._frames = frames
        self._programs = Programs(Limits(**config["limits"]))
        self._shell = Shell(self._programs, config["environ"], config["folder"])
        self._spent: str | None = None
        """What limit the programs in the background were ended for since the last command."""

    def serve(self) -> None:
        """Answer until the server goes."""
        while True:
            self._wait()
            request = self._frames.read()
            answer = getattr(self, f"do_{request.pop('op')}")(**request)
            self._frames.write(answer)

    def do_run(self, script: str, seconds: float) -> dict[str, Any]:
        """A command in the agent's shell."""
        told = self._shell.run(script, seconds)
        told["spent"], self._spent = self._spent, None
        return told

    def do_once(
        self, argv: list[str], environ: dict[str, str], folder: str, seconds: float
    ) -> dict[str, Any]:
        """A program by itself, to its end; what it leaves in the background lives on."""
        (out, to_out), (err, to_err) = pipe(), pipe()
        nowhere = os.open("/dev/null", os.O_RDONLY)
        before = list(self._programs.listed().values())
        self._programs.begin_round()
        pid = self._programs.spawn(argv, environ, folder, [nowhere, to_out, to_err])
        close(nowhere, to_out, to_err)
        printed, errors = Told(out), Told(err)
        ended = watch(
            self._programs,
            [printed, errors],
            seconds,
            lambda: "exit" if pid in self._programs.ended else None,
        )
        if ended != "exit":
            self._programs.kill(before)
        close(out, err)
        status = self._programs.ended.pop(pid, None)
        return {"output": printed.text(), "errors": errors.text(), "status": status, "ended": ended}

    def do_launch(self, argv: list[str], environ: dict[str, str], folder: str) -> dict[str, Any]:
        """A program in the background; what it prints goes nowhere."""
        nowhere = os.open("/dev/null", os.O_RDWR)
        pid = self._programs.spawn(argv, environ, folder, [nowhere] * 3)
        close(nowhere)
        watch(self._programs, [], LAUNCH, lambda: "exit" if pid in self._programs.ended else None)
        return {}

    def do_programs(self) -> dict[str, Any]:
        """What runs now, but for the shell; pid and birth tell one program for good."""
        self._programs.reap()
        listed = [one for one in self._programs.listed().values() if one.alive and one.pid != self._shell.pid]
        return {
            "programs": [
                {
                    "pid": one.pid,
                    "born": one.born,
                    "stopped": one.state in "Tt",
                    "command": self._programs.command(one.pid),
                }
                for one in listed
            ]
        }

    def do_end(self, pid: int, born: int) -> dict[str, Any]:
        """End one program."""
        self._programs.end(pid, born)
        return {}

    def do_pack(self) -> dict[str, Any]:
        """The writable layer as a stream, with what the shell knows and what cannot be copied."""
        state = self._shell.state()
        running = [one["command"] for one in self.do_programs()["programs"]]
        stopped = self._programs.stop()
        try:
            self._frames.write_stream(archive.pack())
        finally:
            self._programs.resume(stopped)
        return {"state": state, "running": running}

    def do_resume(self, state: str) -> dict[str, Any]:
        """Go on with what another sandbox's shell knew."""
        self._shell.resume(state)
        return {}

    def _wait(self) -> None:
        """Until the server asks: read what is printed, and keep the limits."""
        while True:
            streams = [self._frames.source, *self._shell.streams]
            ready = select.select(streams, [], [], IDLE if self._busy() else 1.0)[0]
            self._programs.reap()
            if self._frames.source in ready:
                return
            self._shell.drain()
            self._spent = self._programs.excess() or self._spent
            if self._spent and self._busy():
                self._programs.kill()

    def _busy(self) -> bool:
        return any(one.pid != self._shell.pid for one in self._programs.listed().values())


def main() -> None:
    """Read what to build, build it, serve."""
    frames = Frames(0, 1)
    system = kernel.Kernel()
    with contextlib.suppress(OSError):
        system.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        config = frames.read()
    except EOFError:
        sys.exit(0)  # it was kept ready, and never taken
    try:
        _leave(system, config)
    except OSError as error:
        frames.write({"error": f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"})
        sys.exit(1)
    child = os.fork()
    if child:
        close(0, 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256)
    try:
        _become_first(system, frames, config)
    except OSError as error:
        frames.write({"error": f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"})
        os._exit(1)
    with contextlib.suppress(EOFError, BrokenPipeError):
        frames.write({})
        Init(frames, config).serve()
    os._exit(0)


def _leave(system: kernel.Kernel, config: dict[str, Any]) -> None:
    """Be nobody on the host, and leave its namespaces."""
    if config["uid"] is not None:
        os.setgroups([])
        os.setresgid(*[config["uid"]] * 3)
        os.setresuid(*[config["uid"]] * 3)
        system.prctl(kernel.PR_SET_DUMPABLE, 1)
        system.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    uid, gid = os.getuid(), os.getgid()
    system.unshare(kernel.NEW_NAMESPACES)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _become_first(system: kernel.Kernel, frames: Frames, config: dict[str, Any]) -> None:
    """Build the sandbox around this process and lock it."""
    system.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    os.umask(0o022)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("900")
    system.rename_process("init")
    os.nice(5)
    root.build(system, config)
    system.drop_capabilities()
    system.filter_calls(calls.program())
    system.prctl(kernel.PR_SET_DUMPABLE, 0)
    if config["copied"]:
        archive.unpack(frames.read_stream)
        frames.end_stream()
    else:
        root.furnish(config["tree"])
    if config["trusted"]:
        root.restore(config["tree"], config["trusted"], config["removed"])
