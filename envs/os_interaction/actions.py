"""The action language: a script for bash, an answer, or the end; short forms and AgentBench's own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

DESCRIPTION = """You are root in bash on a Linux machine. Do what the task asks, or find the answer to its \
question. There is no network, and no program may wait for input."""
LANGUAGE = """bash: SCRIPT; answer(TEXT); finish
bash runs one script and shows what it prints, cut after 800 characters. Folder and variables stay until the \
next one. answer(TEXT) answers a question, as short as asked for, such as answer(42). finish says that a \
task without a question is done. answer and finish end the task."""
TERMINAL = "answer(TEXT)"

SHELLS = frozenset(("", "bash", "sh", "shell"))
"""What may stand behind the three backticks that open a script."""
FENCE = "```"
LONGEST_TAG = 40
EMPTY_ANSWER = (
    "The answer is empty, so the task goes on. Write answer(TEXT), or finish where no question is asked."
)
NO_SCRIPT = "No action was understood. Actions are: bash: SCRIPT; answer(TEXT); finish"
OPEN_FENCE = "The script has no end: a block that begins with ``` ends with ```. Nothing was run."
_LABEL = re.compile(r"[ \t]{0,200}(?:(think|thought)|act|action)[ \t]{0,200}[:\uff1a]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bash:
    """Run a script."""

    script: str


@dataclass(frozen=True, slots=True)
class Submit:
    """End the task."""

    answer: str | None
    """None for `finish`."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """Nothing to do; the task goes on."""

    why: str
    """What the agent is shown."""


Action = Bash | Submit | Invalid


@dataclass(frozen=True, slots=True)
class _Fence:
    """A block between lines of three backticks."""

    start: int
    end: int
    tag: str
    script: str


def parse(text: str) -> Action:
    """Read an action out of a model's text, in time linear in its length; any other text is a script."""
    text = text.strip()
    if _LABEL.match(text):
        return _parse_labelled(text)
    return _parse_plain(text)


def _parse_labelled(text: str) -> Action:
    """Read AgentBench's form: `Think: ...`, then `Act: ...`; the last one that is an action counts."""
    fences = list(_find_fences(text))
    last: Action | None = None
    for start, end in _find_acts(text, fences):
        action = _parse_act(
            text[start:end].strip(), [one for one in fences if start <= one.start < end], fences
        )
        if action is not None and not (isinstance(action, Invalid) and last):
            last = action
    return last or Invalid(NO_SCRIPT)


def _parse_act(act: str, own: list[_Fence], fences: list[_Fence]) -> Action | None:
    """Read what stands behind one `Act:`; None where it is no action."""
    line = act.partition("\n")[0].strip()
    if line[:4].lower() == "bash" and not (line[4:5].isalnum() or line[4:5] == "_"):
        if scripts := [one.script for one in own or fences if one.tag in SHELLS]:
            return _make_bash("\n\n".join(scripts))
        if act.lower() == "bash":
            return None
    whole = _parse_plain(act)
    if isinstance(whole, Bash) and (first := _parse_end(line)) is not None:
        return first
    return whole if act else None


def _parse_plain(text: str) -> Action:
    end = _parse_end(text)
    if end is not None:
        return end
    if text[:4].lower() == "bash":
        rest = text[4:].lstrip(" \t")
        if not rest or rest[0] in ":\uff1a\n":
            return _parse_script(rest[1:])
        if rest.startswith(FENCE):
            return _parse_script(rest)
    return _parse_script(text)


def _parse_end(text: str) -> Action | None:
    """Read an action that ends the task; None where it is another one."""
    lowered = text.lower()
    bare = lowered.removesuffix(".").rstrip()
    if bare.endswith(")") and bare[:-1].rstrip().endswith("("):
        bare = bare[:-1].rstrip()[:-1].rstrip()
    if bare in ("finish", "finished"):
        return Submit(None)
    if not lowered.startswith("answer"):
        return None
    after = text[len("answer") :]
    rest = after.strip()
    if not rest or bare == "answer":
        return Invalid(EMPTY_ANSWER)
    if rest[0] == "(":
        closed = rest if rest[-1] == ")" else rest.removesuffix(".").rstrip()
        return _make_answer(closed[1:-1]) if closed[-1] == ")" else None
    if rest[0] in ":\uff1a":
        return _make_answer(rest[1:])
    return _make_answer(rest) if after.lstrip(" \t").startswith("\n") else None


def _make_answer(text: str) -> Action:
    text = text.strip()
    return Submit(text) if text else Invalid(EMPTY_ANSWER)


def _parse_script(text: str) -> Action:
    """Read a script, in backticks or without."""
    script = text.strip()
    if script.startswith(FENCE):
        if fenced := [one.script for one in _find_fences(script) if one.tag in SHELLS]:
            return _make_bash("\n\n".join(fenced))
        inner = script[3:-3]
        if len(script) < 6 or not script.endswith(FENCE) or FENCE in inner:
            return Invalid(OPEN_FENCE)
        tag = inner.split(None, 1)[0] if inner.strip() else ""
        return _make_bash(inner.lstrip()[len(tag) :] if tag in SHELLS else inner)
    if len(script) > 1 and script[0] == script[-1] == "`" and "`" not in script[1:-1]:
        script = script[1:-1]
    return _make_bash(script)


def _make_bash(script: str) -> Action:
    script = script.strip()
    return Bash(script) if script else Invalid(NO_SCRIPT)


def _find_acts(text: str, fences: list[_Fence]) -> Iterator[tuple[int, int]]:
    """Where the text behind each `Act:` starts and ends; those inside a block do not count."""
    start: int | None = None
    at, waiting = 0, list(reversed(fences))
    while at < len(text):
        while waiting and waiting[-1].end <= at:
            waiting.pop()
        found = None if waiting and waiting[-1].start <= at else _LABEL.match(text, at)
        if found:
            if start is not None:
                yield start, at
            start = None if found[1] else found.end()
        line = text.find("\n", at)
        at = line + 1 if line >= 0 else len(text)
    if start is not None:
        yield start, len(text)


def _find_fences(text: str) -> Iterator[_Fence]:
    """Find blocks; one ends at the next line that begins with three backticks, or else at the last three."""
    at, line = 0, -1
    while (start := text.find(FENCE, at)) >= 0:
        if line < start:
            line = text.find("\n", start)
            line = line if line >= 0 else len(text)
        tag = text[start + 3 : line].strip().lower() if line - start <= LONGEST_TAG else FENCE
        if line == len(text) or "`" in tag or " " in tag:
            other = text.find(FENCE, start + 3, line)
            at = (other if other >= 0 else start) + 3
            continue
        close = _find_close(text, line + 1)
        if close < 0:
            return
        body = text[line + 1 : close].rstrip(" \t").removesuffix("\n")
        at = close + 3
        yield _Fence(start, at, tag, body)


def _find_close(text: str, start: int) -> int:
    """Where the three backticks stand that end a block; -1 where it has no end."""
    at = start
    while at < len(text):
        line = text.find("\n", at)
        line = line if line >= 0 else len(text)
        begin = at
        while begin < line and text[begin] in " \t":
            begin += 1
        if text.startswith(FENCE, begin):
            return begin
        at = line + 1
    close = text.rfind(FENCE, start)
    return close if close >= 0 and not text[close + 3 :].partition("\n")[0].strip() else -1
