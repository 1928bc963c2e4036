"""The action language: a script for bash, an answer, or the end; short forms and AgentBench's own."""

import re
from dataclasses import dataclass

DESCRIPTION = """You are root in bash on a Linux machine. Do what the task asks, or find the answer to its \
question. There is no network, and no program may wait for input."""
LANGUAGE = """bash: SCRIPT; answer(TEXT); finish
bash runs one script and shows what it prints, cut after 800 characters. Folder and variables stay until the \
next one. answer(TEXT) answers a question, as short as asked for, such as answer(42). finish says that a \
task without a question is done. answer and finish end the task."""
TERMINAL = "answer(TEXT)"

_LABELLED = re.compile(r"\s*(?:think|thought|act|action)\s*:", re.IGNORECASE)
_ACT = re.compile(r"^[ \t]*act(?:ion)?[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)
_FENCED = re.compile(r"```[ \t]*(?:bash|sh|shell)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_INLINE = re.compile(r"```(?:bash|sh|shell)?\s*(.*?)\s*```|`([^`]*)`", re.DOTALL)
_BASH = re.compile(r"bash[ \t]*(?::|\n|(?=```)|\Z)(.*)", re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(r"answer\s*(?:\((?P<inside>.*)\)|:(?P<after>.*))\s*\.?", re.DOTALL | re.IGNORECASE)
_FINISH = re.compile(r"finish(?:ed)?\s*(?:\(\s*\))?\s*\.?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bash:
    """Run a script."""

    script: str


@dataclass(frozen=True, slots=True)
class Submit:
    """End the task."""

    answer: str | None
    """None for `finish`."""


def parse(text: str) -> Bash | Submit | None:
    """An action out of a model's text; what is in none of the forms is a script.

    Returns:
        None where nothing is asked for: an empty text, or `bash` without a script.
    """
    text = text.strip()
    if _LABELLED.match(text):
        return _labelled(text)
    return _plain(text)


def _labelled(text: str) -> Bash | Submit | None:
    """AgentBench's form: `Think: ...`, then `Act: ...`; the last one that is an action counts."""
    for found in reversed(list(_ACT.finditer(text))):
        act = text[found.end() :].strip()
        line = act.partition("\n")[0].strip()
        if re.match(r"bash\b", line, re.IGNORECASE):
            fenced = _FENCED.findall(text)
            return _bash("\n\n".join(fenced)) if fenced else _plain(act)
        action = _plain(act)
        if isinstance(action, Submit):
            return action
        if _FINISH.fullmatch(line) or _ANSWER.fullmatch(line):
            return _plain(line)
        if action is not None:
            return action
    return None


def _plain(text: str) -> Bash | Submit | None:
    if _FINISH.fullmatch(text):
        return Submit(None)
    if found := _ANSWER.fullmatch(text):
        inside = found["inside"]
        return Submit((inside if inside is not None else found["after"]).strip())
    if found := _BASH.fullmatch(text):
        return _bash(found[1])
    return _bash(text)


def _bash(script: str) -> Bash | None:
    script = script.strip()
    fenced = _FENCED.findall(script)
    if fenced and script.startswith("```"):
        script = "\n\n".join(fenced)
    elif found := _INLINE.fullmatch(script):
        script = found[1] if found[1] is not None else found[2]
    return Bash(script.strip()) if script.strip() else None
