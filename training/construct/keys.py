"""Keys that a person presses: one at a time in a terminal, else one a line of standard input."""

from collections.abc import Generator
from typing import TextIO

ENDS = ("", "\x04")
"""End of the input, Ctrl-D."""


def keys(source: TextIO) -> Generator[str, None, None]:
    """The keys, in lower case, to the end of the input.

    A terminal is as it was once this is closed.
    """
    if not source.isatty():
        for line in source:
            if line.strip():
                yield line.strip()[0].lower()
        return
    import termios
    import tty

    number = source.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        while (key := source.read(1)) not in ENDS:
            yield key.lower()
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
