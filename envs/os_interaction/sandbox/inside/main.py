"""Process 1 of a sandbox: it builds it, locks it, and carries out the server's requests.

`python -I -S -c "..." ROOT GROUPS`, with messages on standard input and output. The first thing it does is to
close every other descriptor that it was given. When the server goes, its standard input ends, and with
process 1 the kernel ends all that is in the sandbox.
"""

import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from envs.os_interaction.sandbox.inside import archive, calls, checks, kernel, restoring, root
from envs.os_interaction.sandbox.inside.checks import Check
from envs.os_interaction.sandbox.inside.frames import Frames, claim_streams, move_away
from envs.os_interaction.sandbox.inside.programs import OWN_SCORE, Limits, Programs
from envs.os_interaction.sandbox.inside.rounds import Stream, close, pipe, watch
from envs.os_interaction.sandbox.inside.shell import Files, Shell
from envs.os_interaction.sandbox.inside.usage import Usage

IDLE = 0.1
"""How often limits are looked at between commands, seconds."""
LAUNCH = 1.0
"""So long a script that starts programs in the background is waited for, seconds."""
LONGEST_ERROR = 1000
BUILD, COPY = "build", "copy"
"""Stages of a start: what the host may refuse, and what the copied files may."""


class Init:
    """The requests that a sandbox carries out."""

    def __init__(
        self,
        frames: Frames,
        config: dict[str, Any],
        system: kernel.Kernel,
        files: Files,
        programs: Programs,
    ) -> None:
        self._frames = frames
        self._system = restoring.System(config["tree"], [target for _, target in config["binds"]])
        self._kernel = system
        self._files = files
        self._programs = programs
        self._shell = Shell(programs, config["environ"], config["folder"], files)
        self._spent: str | None = None
        """What limit the programs in the background were ended for since the last command."""

    def serve(self) -> None:
        """Answer until the server goes."""
        while True:
            self._wait()
            request = self._frames.read()
            number, operation = request.pop("id"), request.pop("op")
            try:
                reply: dict[str, Any] = {"answer": getattr(self, f"do_{operation}")(**request)}
            except EOFError:
                raise
            except Exception as error:  # whatever an agent did to its machine, the next request is answered
                reply = {"error": f"{type(error).__name__}: {error}"[:LONGEST_ERROR]}
            self._frames.write({"id": number} | reply)

    def do_run(self, script: str, seconds: float) -> dict[str, Any]:
        """A command in the agent's shell."""
        result = self._shell.run(script, seconds)
        result["spent"], self._spent = self._spent, None
        return result

    def do_once(
        self,
        argv: list[str],
        environ: dict[str, str],
        folder: str,
        seconds: float,
        check: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A program by itself, to its end; what it leaves in the background lives on.

        Args:
            argv: Its name and arguments.
            environ: Its environment variables.
            folder: Where it starts.
            seconds: Its deadline.
            check: Where it is a check: what `Check` takes.
        """
        with Check(self._kernel, **check) if check is not None else contextlib.nullcontext() as secret:
            if secret is not None and secret.alone:
                self._programs.kill()
            return self._once(argv, environ, folder, seconds, secret)

    def _once(
        self, argv: list[str], environ: dict[str, str], folder: str, seconds: float, secret: Check | None
    ) -> dict[str, Any]:
        (out, to_out), (err, to_err) = pipe(), pipe()
        streams = [self._files.null, to_out, to_err]
        before = list(self._programs.listed().values())
        self._programs.begin_round()
        if secret is None:
            pid = self._programs.spawn(argv, environ, folder, streams)
        else:
            streams += [self._files.null] * (secret.number - 3) + [secret.source]
            pid = self._programs.spawn(argv, environ, folder, streams, secret.path, secret.before)
            secret.send()
        close(to_out, to_err)
        printed, errors = Stream(out), Stream(err)
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

    def do_changes(self) -> dict[str, Any]:
        """The paths in the system's folders that are not as they were made."""
        return {"paths": restoring.list_changes(self._system)}

    def do_launch(self, argv: list[str], environ: dict[str, str], folder: str) -> dict[str, Any]:
        """A program in the background; what it prints goes nowhere."""
        pid = self._programs.spawn(argv, environ, folder, [self._files.null] * 3)
        watch(self._programs, [], LAUNCH, lambda: "exit" if pid in self._programs.ended else None)
        return {}

    def do_programs(self) -> dict[str, Any]:
        """What runs now, but for the shell; pid and birth identify a program for good."""
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

    def do_pack(self, limit: int) -> dict[str, Any]:
        """Send the writable layer as a stream, with the shell's state and what cannot be copied.

        Args:
            limit: The most bytes that the stream may have.
        """
        state = self._shell.state()
        running = [one["command"] for one in self.do_programs()["programs"]]
        stopped = self._programs.stop()
        try:
            self._frames.write_stream(archive.pack(limit=limit))
        finally:
            self._programs.resume(stopped)
        return {"state": state, "running": running}

    def do_resume(self, state: str) -> dict[str, Any]:
        """Go on with what another sandbox's shell knew."""
        self._shell.resume(state)
        return {}

    def _wait(self) -> None:
        """Read what is printed, and keep the limits, until the server sends a request."""
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
    _close_others()
    joined = _join(sys.argv[2:])
    frames = Frames(*claim_streams())
    system = kernel.Kernel()
    with contextlib.suppress(OSError):
        system.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        config = frames.read()
    except EOFError:
        sys.exit(0)  # it was kept ready, and never taken
    with _reporting(frames, config, BUILD):
        if joined is not None:
            raise joined
        usage = Usage(config["gauges"])
        _leave(system, config)
    child = os.fork()
    if child:
        frames.close()
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256)
    with _reporting(frames, config, BUILD):
        score = _become_first(system, config)
    with _reporting(frames, config, COPY):
        _fill(system, frames, config)
    with contextlib.suppress(EOFError, BrokenPipeError):
        files = Files.open()
        frames.write({"id": config["id"], "answer": {}})
        usage.begin()
        programs = Programs(Limits(**config["limits"]), usage, score)
        Init(frames, config, system, files, programs).serve()
    os._exit(0)


def _close_others() -> None:
    """Close every descriptor but standard input, output and errors; a server's event loop may leave some."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            close(int(name))


@contextlib.contextmanager
def _reporting(frames: Frames, config: dict[str, Any], stage: str) -> Iterator[None]:
    """Send an error of a stage to the server, and end."""
    try:
        yield
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError):
            what = f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
        with contextlib.suppress(OSError):
            frames.write({"id": config["id"], "error": what[:LONGEST_ERROR], "stage": stage})
        os._exit(1)


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


def _join(doors: Sequence[str]) -> OSError | None:
    """Join a control group; the error where that is not possible."""
    try:
        for door in doors:
            with open(door, "w") as file:
                file.write("0")
    except OSError as error:
        return OSError(error.errno, f"control group: {error.strerror}")
    return None


def _become_first(system: kernel.Kernel, config: dict[str, Any]) -> int | None:
    """Build the sandbox around this process; it is still empty.

    Returns:
        A descriptor of how readily the kernel ends this process for want of memory.
    """
    system.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    os.umask(0o022)
    score: int | None = None
    with contextlib.suppress(OSError):
        score = move_away(os.open("/proc/self/oom_score_adj", os.O_WRONLY))
        os.write(score, OWN_SCORE)
    system.rename_process("init")
    os.nice(5)
    root.build(system, config)
    return score


def _fill(system: kernel.Kernel, frames: Frames, config: dict[str, Any]) -> None:
    """Make or copy the files, and lock this process.

    Files of an agent are unpacked by a process without rights over mounts; a checker's system folders are
    made read-only afterwards, so that no program under test changes what the check depends on.
    """
    task = config["task"]
    if task is not None:
        _apart(system, lambda: _unpack(frames, config, task))
        frames.forget_stream()
        for folder in restoring.sealed():
            root.seal(system, folder)
        # What is mounted over itself can be neither renamed nor removed.
        system.bind("/dev", "/dev", 0)
        for link in restoring.links(config["trusted"]):
            # Where a container's filter does not allow it, a program under test can replace them.
            with contextlib.suppress(OSError):
                system.pin(link)
    _lock(system)
    if task is None and config["copied"]:
        archive.unpack(frames.read_stream)
        frames.end_stream()
    elif task is None:
        root.furnish(config["tree"])
        root.settle(config["tree"])


def _unpack(frames: Frames, config: dict[str, Any], task: dict[str, Any]) -> None:
    """Copy an agent's files, with the system's folders made anew."""
    if config["copied"]:
        archive.unpack(frames.read_stream)
        frames.end_stream()
    else:
        root.furnish(config["tree"])
    system = restoring.System(config["tree"], [target for _, target in config["binds"]])
    changed = frozenset(task["changed"])
    about = restoring.Task(task["instruction"], task["prepared"], task["checked"], changed)
    restoring.restore(system, about, config["trusted"], config["removed"])
    checks.prepare()


def _apart(system: kernel.Kernel, work: Callable[[], None]) -> None:
    """Do something in a locked process of its own.

    Raises:
        RuntimeError: It did not work out.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            _lock(system)
            work()
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the files could not be copied")


def _lock(system: kernel.Kernel) -> None:
    """Give up all rights over the sandbox itself, for good."""
    system.drop_capabilities()
    system.filter_calls(calls.program())
    system.prctl(kernel.PR_SET_DUMPABLE, 0)
