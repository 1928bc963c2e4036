"""Checks: programs whose text and arguments no other program can read.

A command line is readable for all programs of a sandbox, so a check's script, the answer and what is
expected travel through a pipe, each as one word that ends with a NUL. The check closes the pipe before it
runs anything else. Its memory is closed to others by the kernel: bash and compiled checks are started from
files that may be run and not read; Python gives up being readable before it reads the pipe.
"""

import os
from collections.abc import Sequence

from envs.os_interaction.sandbox.inside import kernel
from envs.os_interaction.sandbox.inside.frames import move_away
from envs.os_interaction.sandbox.inside.restoring import PRIVATE
from envs.os_interaction.sandbox.inside.root import remove

NUMBER = 9
"""The descriptor that a check reads its words from."""
HIDDEN_BASH = f"{PRIVATE}/bash"
PROGRAM = "/run/check-program/check"
"""Where a check in C is compiled to."""
BASH_LOADER = (
    f"builtin mapfile -d '' -t -u {NUMBER} && builtin exec {NUMBER}<&- && "
    'builtin set -- "${MAPFILE[@]:1}" && builtin eval "builtin unset MAPFILE; ${MAPFILE[0]}"'
)
PYTHON_LOADER = f"""import os, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl({kernel.PR_SET_DUMPABLE}, 0, 0, 0, 0)
except ImportError: pass
with open({NUMBER}, "rb") as words:
    code, *sys.argv[1:] = [os.fsdecode(word) for word in words.read().split(b"\\0")[:-1]]
exec(compile(code, "<string>", "exec"), {{"__name__": "__main__"}})
"""
C_LOADER = """#include <stdlib.h>
#include <unistd.h>
int __real_main(int, char **, char **);
extern char **environ;
int __wrap_main(int count, char **words) {
    static char *list[4096];
    char *text = malloc(1 << 16), *word;
    size_t room = 1 << 16, size = 0;
    ssize_t got;
    int number = 1;
    while (text && (got = read(9, text + size, room - size)) > 0) {
        size += got;
        if (size == room && !(text = realloc(text, room *= 2))) return 126;
    }
    close(9);
    if (!text) return 126;
    list[0] = count ? words[0] : "check";
    for (word = text; word < text + size && number < 4095; number++) {
        list[number] = word;
        while (*word) word++;
        word++;
    }
    return __real_main(number, list, environ);
}
"""


class Check:
    """What a check is started with; a context that closes its descriptors.

    Args:
        system: The kernel.
        words: The script or nothing, then the arguments; none has a NUL.
        language: `bash`, `python` or `program`: a compiled one, which is removed as soon as it runs.
        alone: Whether all other programs are ended first.
    """

    number = NUMBER

    def __init__(self, system: kernel.Kernel, words: Sequence[str], language: str, alone: bool) -> None:
        self.alone = alone
        self._system = system
        self._text = b"".join(word.encode(errors="surrogateescape") + b"\0" for word in words)
        self._language = language
        self.path: str | int = ""
        self.source = self._target = -1

    def __enter__(self) -> "Check":
        self.source, self._target = os.pipe()
        if self._language == "bash":
            self._open(HIDDEN_BASH)
        elif self._language == "program":
            os.chmod(PROGRAM, 0o111)  # noqa: S103
            self._open(PROGRAM)
            remove(os.path.dirname(PROGRAM))
        return self

    def __exit__(self, *_: object) -> None:
        for number in (self.source, self._target, self.path):
            if isinstance(number, int) and number >= 0:
                os.close(number)

    def before(self) -> None:
        """Called in the new process right before it becomes the check."""
        if self._language != "python":
            self._system.hide_memory()

    def send(self) -> None:
        """Write the words; a process of its own does so, since the check may not read them at once."""
        writer = os.fork()
        if not writer:
            try:
                os.close(self.source)
                view = memoryview(self._text)
                while view:
                    view = view[os.write(self._target, view) :]
            finally:
                os._exit(0)
        for number in (self.source, self._target):
            os.close(number)
        self.source = self._target = -1

    def _open(self, path: str) -> None:
        self.path = move_away(os.open(path, os.O_PATH | os.O_NOFOLLOW))


def prepare() -> None:
    """Make the bash that may be run and not read."""
    with open("/usr/bin/bash", "rb") as source, open(HIDDEN_BASH, "wb") as target:
        while piece := source.read(2**20):
            target.write(piece)
    os.chmod(HIDDEN_BASH, 0o111)  # noqa: S103
