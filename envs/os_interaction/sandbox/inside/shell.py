"""The agent's bash: one that lives from command to command, so that folder and variables stay.

Bash reads its own standard input, where each command comes as one quoted word for `eval`. When it is done a
random word comes out of a stream that only the shell has. Whatever an agent makes of its shell hurts
itself alone: the deadline holds, and a new shell is started.
"""

import os
import re
import select
import shlex
import time
from typing import Any, NamedTuple

from envs.os_interaction.sandbox.inside.frames import move_away
from envs.os_interaction.sandbox.inside.programs import Programs
from envs.os_interaction.sandbox.inside.rounds import Stream, close, pipe, watch

BASH = "/usr/bin/bash"
DONE = 9
EMPTY = 8
"""The shell's own descriptor of the null device, which stays where an agent removes `/dev/null`."""
LONGEST_STATUS = 3
"""Digits of an exit status."""
OWN = re.compile(r"declare -\w*r\w* (?:BASHOPTS|BASH_VERSINFO|EUID|PPID|SHELLOPTS|UID)=")
"""What a shell does not take; the error would end the script."""
LONGEST_STATE = 2**20
"""A shell whose state is larger than this many bytes is not copied."""
GRACE = 0.5
"""So long a shell may take to go on after what it waited for was ended, seconds."""
STATE = (
    "builtin declare -p; builtin declare -f; builtin alias -p; builtin shopt -p; builtin set +o; "
    'builtin umask -p; builtin trap -p; builtin printf "builtin cd -- %q\\n" "$PWD"'
)
"""The commands that print a shell's state, as a script."""


class Files(NamedTuple):
    """Files that are opened before an agent comes."""

    null: int
    bash: int

    @classmethod
    def open(cls) -> "Files":
        """Open them."""
        return cls(move_away(os.open("/dev/null", os.O_RDWR)), move_away(os.open(BASH, os.O_PATH)))


class Shell:
    """A living bash; started when it is needed.

    Args:
        programs: All of the sandbox's.
        environ: Its environment variables.
        folder: Where it starts.
        files: Open files that an agent cannot replace: the null device and bash itself.
    """

    def __init__(self, programs: Programs, environ: dict[str, str], folder: str, files: "Files") -> None:
        self._programs = programs
        self._environ = environ
        self._folder = folder
        self._files = files
        self.pid = 0
        """0 where none lives."""
        self.output = -1
        """What its programs print."""
        self._input = self._done = self._printed = -1

    @property
    def streams(self) -> list[int]:
        """What must be read between commands, so that programs in the background never wait."""
        return [self.output] if self.pid else []

    def run(self, script: str, seconds: float) -> dict[str, Any]:
        """Run a script and return what it printed and how it ended."""
        if not self._alive():
            self.start()
        self.drain()
        line = f"builtin eval {shlex.quote(script)} <&{EMPTY} {DONE}>&- {EMPTY}<&-"
        result = self._do(line, seconds, Stream(self.output), Stream(self._done))
        if result["restarted"]:
            self.start()
        return result

    def state(self) -> str | None:
        """Return the shell's whole state as a script; None where it does not answer."""
        if not self._alive():
            return ""
        done = Stream(self._done, LONGEST_STATE)
        result = self._do(f"{{ {STATE}; }} 2>/dev/null >&{DONE}", 2.0, Stream(self.output), done)
        if result["restarted"]:
            self.start()
        if result["ended"] != "exit":
            return None
        lines = done.text().rpartition("\n")[0].rpartition("\n")[0].split("\n")
        return "\n".join(line for line in lines if not OWN.match(line))

    def resume(self, state: str) -> None:
        """Take the state of another shell."""
        self.run(state, 5.0)

    def start(self) -> None:
        """Start a new one."""
        self.end()
        empty, self._input = os.pipe()
        os.set_blocking(self._input, False)
        # An end of it is kept here: a shell that sends its output elsewhere is not yet dead.
        self.output, self._printed = pipe()
        self._done, writer = pipe()
        nowhere = [self._files.null] * (DONE - 3)
        streams = [empty, self._printed, self._printed, *nowhere, writer]
        command = ["bash", "--noprofile", "--norc"]
        self.pid = self._programs.spawn(command, self._environ, self._folder, streams, self._files.bash)
        close(empty, writer)
        closing = " ".join(f"{number}<&-" for number in range(3, EMPTY))
        self._do(f"exec {closing}", 5.0, Stream(-1), Stream(self._done))

    def end(self) -> None:
        """Forget the one that there was."""
        close(self._input, self.output, self._done, self._printed)
        self._programs.ended.pop(self.pid, None)
        self.pid, self._input, self.output, self._done, self._printed = 0, -1, -1, -1, -1

    def drain(self) -> None:
        """Throw away what was printed between commands."""
        if self.pid:
            Stream(self.output).take()

    def _alive(self) -> bool:
        self._programs.reap()
        return bool(self.pid) and self.pid not in self._programs.ended

    def _do(self, line: str, seconds: float, printed: Stream, done: Stream) -> dict[str, Any]:
        word = os.urandom(12).hex()
        before = [one for one in self._programs.listed().values() if one.pid != self.pid]
        self._programs.begin_round()
        status: int | None = None

        def over() -> str | None:
            nonlocal status
            status = _status(done, word)
            if status is not None:
                return "exit"
            if not self._alive():
                status = self._programs.ended.get(self.pid)
                return "shell"
            return None

        streams = [one for one in (printed, done) if one.stream >= 0]
        text = f"{line}\nbuiltin printf '\\n%s %s\\n' {word} \"$?\" >&{DONE}\n"
        if not self._send(text.replace("\0", ""), seconds):
            ended = "deadline"
        else:
            ended = watch(self._programs, streams, seconds, over)
        restarted = ended == "shell"
        if ended not in ("exit", "shell"):
            restarted = self._stop(before, ended, streams, over)
        return {"output": printed.text(), "status": status, "ended": ended, "restarted": restarted}

    def _stop(self, before: list[Any], ended: str, streams: list[Stream], over: Any) -> bool:
        """End what a command started, or all where memory or CPU time ran out; True if the shell too."""
        spared = [] if ended in ("memory", "cpu") else before
        if ended != "memory":
            self._programs.kill([*spared, self.pid])
            again = [Stream(self.output), *streams[-1:]]
            if watch(self._programs, again, GRACE, over) == "exit":
                return False
        self._programs.kill(spared)
        return True

    def _send(self, text: str, seconds: float) -> bool:
        """Write to the shell; False where it does not read."""
        view = memoryview(text.encode(errors="replace"))
        until = time.monotonic() + seconds
        while view and time.monotonic() < until:
            if select.select([], [self._input], [], 0.1)[1]:
                try:
                    view = view[os.write(self._input, view) :]
                except OSError:
                    return True  # it is dead, which the watch will find
            elif not self._alive():
                return True
        return not view


def _status(done: Stream, word: str) -> int | None:
    """The exit status that came with the word, if it has come."""
    found = done.kept.rpartition(f"\n{word} ".encode())
    text = found[2].strip()
    whole = found[1] and found[2].endswith(b"\n") and text.isdigit() and len(text) <= LONGEST_STATUS
    return int(text) & 255 if whole else None
