"""What an agent is shown of what programs print: no terminal escapes, and no more than AgentBench shows."""

import re

LONGEST = 800
"""AgentBench cuts what is longer, characters,"""
CUT = 780
"""to so many,"""
CUT_NOTE = "\n[truncated because the output is too long]"
"""and shows a mark."""
EMPTY = "The output of the OS is empty."
SHOWN = "The output of the OS:\n\n"

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\Z)"  # titles, links, the clipboard: up to their end
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]",
    re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LINE = re.compile(r"^(?:/usr)?(?:/bin/)?bash: line \d+: ", re.MULTILINE)
_KILLED = re.compile(r"^bash: +\d+ (?:Killed|Terminated|Done|Exit \d+) .*\n?", re.MULTILINE)

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_VARYING = re.compile(
    rf"\b(?:{_DAY},? )?{_MONTH} +\d{{1,2}}(?: +\d\d:\d\d(?::\d\d)?)?(?: \w+)?(?: \d{{4}})?\b"
    rf"|\b(?:{_DAY},? )?\d{{1,2}} {_MONTH} \d{{4}}\b"
    r"|\b\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?: ?[+-]\d{4})?\b"
    r"|\b\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?\b"
    r"|\b(?:real|user|sys)\s+\d+m[\d.,]+s"
    r"|\b1[5-9]\d{8}(?:\.\d+)?\b"  # Unix seconds
    r"|^\[\d+\][-+]? *\d*"
    r"|(?<=pid )\d+|(?<=PID )\d+|(?<=pid=)\d+|(?<=\()\d+(?=\) - )|(?<=/proc/)\d+",
    re.MULTILINE,
)
_PROCESSES = re.compile(r"^.*\bPID\b", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_STATE = re.compile(r"(?<=\s)[DIRSTXZt][<NLsl+]*(?=\s)")


def clean(printed: str) -> str:
    """What programs printed, as an agent is shown it before it is cut."""
    text = _ESCAPES.sub("", printed.replace("\r\n", "\n"))
    text = _CONTROLS.sub("", text.replace("\r", "\n"))
    return _KILLED.sub("", _LINE.sub("bash: ", text)).strip("\n")


def shown(printed: str, notes: list[str]) -> str:
    """The observation after a command.

    Args:
        printed: What programs printed.
        notes: The environment's remarks on it.
    """
    text = clean(printed)
    if len(text) > LONGEST:
        text = text[:CUT] + CUT_NOTE
    lines = [part for part in (text, *notes) if part]
    return SHOWN + "\n".join(lines) if lines else EMPTY


def normalised(observation: str) -> str:
    """An observation without what may differ between two runs: process ids, times, the order of lines.

    Where processes are listed, neither numbers nor states count.
    """
    whole, cut, notes = observation.partition(CUT_NOTE)
    if cut:
        # The cut falls into a line at a place that depends on how long the numbers before it are.
        observation = whole.rpartition("\n")[0] + notes
    text = _VARYING.sub("#", observation)
    if _PROCESSES.search(text):
        text = _STATE.sub("#", _NUMBER.sub("#", text))
    return "\n".join(sorted(" ".join(line.split()) for line in text.split("\n") if line.strip()))
