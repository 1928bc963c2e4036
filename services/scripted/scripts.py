"""Scripts: the default one, which plays all roles, and rules for tests.

The default distinguishes the roles by their questions, the last paragraph of a prompt: a judge's has
"Yes or No" or "the letter", a planner's "subtasks", and everything else is an actor's turn.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from services.scripted.call import Answer, ChatCall, Script

DONE_SHARE = 0.3
"""The share of yes-or-no questions that the default script answers with Yes."""

_LETTER = re.compile(r"\b(?:the|its) letter\b", re.IGNORECASE)
_LETTERED = re.compile(r"^\s*([A-P])\s*[.):]", re.MULTILINE)
_SUBTASKS = re.compile(r"(\d{1,2}) subtasks", re.IGNORECASE)
_TASK = re.compile(r"^\s*(?:your )?task(?: is to)?:\s*(.+)$", re.IGNORECASE | re.MULTILINE)
_PLACES = re.compile(r"\b(?:a|an|the) ([a-z]+ \d+)\b")
_SEEN = re.compile(r"(?:you see) ([^.\n]*)\.?", re.IGNORECASE)
_TAKEN = re.compile(r"^ACTION:\s*take ([a-z]+ \d+) from", re.MULTILINE)
_PUT = re.compile(r"^ACTION:\s*(?:move|put) ([a-z]+ \d+) (?:to|in|on|in/on) ", re.MULTILINE)
_LISTED = re.compile(r"^Possible actions: (.+)$", re.MULTILINE)
_AT = re.compile(r"^ACTION:\s*go to ([a-z]+ \d+)", re.MULTILINE)


@dataclass(frozen=True)
class Rule:
    """Answers to requests whose messages match a pattern (searched, across lines)."""

    pattern: str
    answers: Sequence[str | Answer]


def rules(*known: Rule, otherwise: Script | None = None) -> Script:
    """A script of rules: the first that matches answers, and `otherwise` (the default) the rest."""
    compiled = [(re.compile(rule.pattern, re.MULTILINE | re.DOTALL), rule.answers) for rule in known]
    fallback = otherwise or play_roles

    def script(call: ChatCall) -> str | Answer | Sequence[str | Answer]:
        text = call.text
        for pattern, answers in compiled:
            if pattern.search(text):
                return answers
        return fallback(call)

    return script


def play_roles(call: ChatCall) -> list[Answer]:
    """The default script: a planner, judges and an actor that make sense without thinking."""
    question = call.question
    if re.search(r"\byes or no\b", question, re.IGNORECASE):
        return [_yes_or_no(call)] * call.n
    if _LETTER.search(question):
        return [_letter(call)] * call.n
    if "ACTION:" not in question and "subtasks" in question.lower():
        return [Answer(_plan(call))] * call.n
    return [Answer(text) for text in _actions(call)]


def _yes_or_no(call: ChatCall) -> Answer:
    drawn = call.random("verdict").random()
    # A draw of 0 is a sure Yes, a draw of 1 a sure No, and DONE_SHARE is in doubt.
    p_yes = 1 - drawn / (2 * DONE_SHARE) if drawn < DONE_SHARE else (1 - drawn) / (2 * (1 - DONE_SHARE))
    p_yes = min(max(p_yes, 0.01), 0.99)
    return Answer("Yes" if p_yes >= 0.5 else "No", first={"Yes": p_yes * 0.98, "No": (1 - p_yes) * 0.98})


def _letter(call: ChatCall) -> Answer:
    # Options count up to the end of the question; other lists may come before them.
    count = ascii_uppercase.index((_LETTERED.findall(call.question) or ["A"])[-1]) + 1
    weights = [call.random("selection", option).random() + 0.05 for option in range(count)]
    total = sum(weights) / 0.98
    odds = {ascii_uppercase[option]: weight / total for option, weight in enumerate(weights)}
    return Answer(max(odds, key=lambda option: odds[option]), first=odds)


def _plan(call: ChatCall) -> str:
    found = _SUBTASKS.search(call.question)
    k = max(1, int(found.group(1))) if found else 3
    task = _TASK.search(call.text)
    goal = task.group(1).strip().rstrip(".") if task else "do the task"
    steps = [f"find what is needed to {goal}"]
    steps += [f"bring it where it belongs (part {part})" for part in range(1, k - 1)]
    steps = [*steps, f"finish: {goal}"] if k > 1 else [goal]
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps[:k], 1))


def _actions(call: ChatCall) -> list[str]:
    """One well-formed answer for each choice, with differing actions as far as there are some."""
    commands = _commands(call.text)
    call.random("action").shuffle(commands)
    chosen = [commands[choice % len(commands)] for choice in range(call.n)]
    if "THOUGHT" not in call.question and "ACTION:" in call.question:
        return [f"ACTION: {command}" for command in chosen]
    lead = "Let's think step by step. " if "step by step" in call.question else ""
    return [f"THOUGHT: {lead}To get on, I should {command}.\nACTION: {command}" for command in chosen]


def _commands(text: str) -> list[str]:
    """Commands that the prompt makes plausible; never empty, without repeats.

    The actions that the last observation lists (`Possible actions: a | b`), else those of a household.
    """
    if listed := _LISTED.findall(text):
        return list(dict.fromkeys(action.strip() for action in listed[-1].split("|")))
    seen = _SEEN.findall(text)
    rooms = _PLACES.findall(seen[0]) if seen else []
    here = next(iter(reversed(_AT.findall(text))), None)
    commands = [f"go to {place}" for place in rooms if place != here]
    if here:
        latest = seen[-1] if len(seen) > 1 else ""
        commands += [f"open {here}", f"examine {here}"]
        commands += [f"take {thing} from {here}" for thing in _PLACES.findall(latest) if thing not in rooms]
        held = set(_TAKEN.findall(text)) - set(_PUT.findall(text))
        commands += [f"move {thing} to {here}" for thing in sorted(held)]
    return list(dict.fromkeys([*commands, "look", "inventory"]))
