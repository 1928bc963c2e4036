"""A scripted user of bash that sees only what an agent sees; its sessions are demonstrations.

It has the kinds of generated tasks and reads their places out of the instruction. A task of the benchmark
it plays by the example that comes with it. The server never imports it.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass

from envs.os_interaction.actions import Bash, parse
from envs.os_interaction.tasks.generator import TOPICS
from envs.os_interaction.tasks.templates import Template, filled
from envs.os_interaction.text import EMPTY, SHOWN

FAILED = re.compile(
    r"No such file or directory|command not found|syntax error|invalid option|unrecognized option"
    r"|cannot access|Is a directory|missing operand|unexpected EOF|Permission denied|bad substitution"
    r"|Usage:|did not end within"
)
"""What a step shows that failed."""
LONGEST_FAULT = 100
PROBE_SECONDS = 6
INTERVAL = re.compile(r"writes 'succeed' into (?P<file>\S+) periodically")
WRITTEN = re.compile(r"writes something into (?P<folder>\S+) every")


@dataclass(frozen=True, slots=True)
class Move:
    """One step."""

    thought: str
    action: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A solution that comes with a task."""

    script: str
    """Prints the answer."""
    why: str = ""
    """The reason for it, as a thought; empty where none is given."""


Policy = Generator[Move, str, None]
"""Yields moves and is sent what each showed; it ends with the one that ends the task."""


class Expert:
    """Plays one task.

    Args:
        observation: The first observation.
        instruction: The task.
        reference: What solves it, for tasks of the benchmark.
        looks: Whether it looks first at what there is, where that helps.
    """

    def __init__(
        self, observation: str, instruction: str, reference: Reference | None = None, *, looks: bool = True
    ) -> None:
        self._instruction = instruction
        self._reference = reference
        self._looks = looks
        self._fault = ""
        self._ran: dict[str, str] = {}
        """What another's scripts showed, by the script, of those that did not fail."""

    def follow(self, action: str, shown: str) -> None:
        """Take note of another's step, and of what it showed."""
        if self.is_mistake(action, shown):
            first = printed(shown).partition("\n")[0][:LONGEST_FAULT]
            self._fault = f"That failed: {first}. " if first else "That printed nothing. "
            return
        self._fault = ""
        parsed = parse(action)
        if isinstance(parsed, Bash):
            self._ran[parsed.script.strip()] = shown

    def is_mistake(self, action: str, shown: str) -> bool:
        """Whether another's step failed, or printed nothing where something was asked for."""
        return bool(FAILED.search(shown)) or (shown == EMPTY and "?" in self._instruction)

    def play(self) -> Policy:
        """The moves, one by one; none for an unknown kind of task."""
        for templates in TOPICS.values():
            for template in templates:
                places = template.read(self._instruction)
                if places is not None:
                    yield from self._generated(template, places)
                    return
        if found := INTERVAL.search(self._instruction):
            yield from self._answered(
                _interval(found["file"]),
                "The file grows by one word an interval, so I measure how much it grows.",
            )
        elif found := WRITTEN.search(self._instruction):
            yield from self._answered(
                _written(found["folder"]),
                "Only the file that is written to is newer than a mark that I set now.",
            )
        elif self._reference is not None:
            why = self._reference.why or "This prints what is asked for."
            yield from self._answered(self._reference.script, self._fault + why)

    def _generated(self, template: Template, places: dict[str, str]) -> Policy:
        look = filled(template.look, places)
        if look and self._looks and not self._fault and look.strip() not in self._ran:
            yield Move("First I look at what is there.", f"bash: {look}")
        solution, why = filled(template.solution, places), self._fault + filled(template.why, places)
        if not template.does:
            yield from self._answered(solution, why)
            return
        if solution.strip() not in self._ran:
            yield Move(why, f"bash: {solution}")
        yield Move("It is done, and no question was asked.", "finish")

    def _answered(self, script: str, why: str) -> Policy:
        shown = self._ran.get(script.strip())
        if shown is None:
            block = f"bash\n```bash\n{script}\n```"
            shown = yield Move(why, block if "\n" in script.strip() else f"bash: {script.strip()}")
        answer = printed(shown)
        first = answer.partition("\n")[0] or "nothing"
        yield Move(
            f"The output is the answer: {first}.",
            f"answer({answer})",
        )


def printed(observation: str) -> str:
    """What a command printed, without what the environment adds around it."""
    return "" if observation == EMPTY else observation.removeprefix(SHOWN).strip()


def _interval(file: str) -> str:
    """The seconds between two words of seven letters, rounded."""
    return (
        f"a=$(stat -c %s {file} 2>/dev/null || echo 0); sleep {PROBE_SECONDS}; b=$(stat -c %s {file}); "
        f"n=$(( (b - a) / 7 )); echo $(( ({PROBE_SECONDS} + n / 2) / n ))"
    )


def _written(folder: str) -> str:
    return f"touch /tmp/mark; sleep 2.2; find {folder} -type f -newer /tmp/mark -printf '%f\\n'"
