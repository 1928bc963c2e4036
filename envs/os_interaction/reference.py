"""Reference solutions of tasks, for those who make training data. The server never imports it."""

import re

from envs.os_interaction.expert import Reference
from envs.os_interaction.settings import OsSettings
from envs.os_interaction.tasks.reading import LEARNED, VARIED, read_tasks
from envs.serving.environment import UnknownTaskError

LEARNABLE = (LEARNED, VARIED)
"""The splits whose tasks have references: of the others nothing is learned."""
FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
SENTENCE = re.compile(r"(.+?[.!:])(?:\s|\Z)", re.DOTALL)
OPENING = re.compile(
    r"(?:to (?:solve|do|accomplish|complete|approach|address|achieve|find|perform) (?:this|the|it)[^,.]{0,60}"
    r", ?)?(?:you|we|one|i)(?: can| could| will|'ll|'d| must| should|)(?: first)?(?: need to| have to)? ",
    re.IGNORECASE,
)
LONGEST = 220
"""The longest thought, characters."""
FEWEST = 5
"""The fewest words of a thought."""
VAGUE = re.compile(
    r"\b(?:steps|several|combination of (?:several|various|shell|linux|unix))\b", re.IGNORECASE
)
"""What a sentence has that says nothing of the solution."""
HASH = re.compile(r"(?:\A|\s)#")
"""What may begin a comment, which would swallow what is joined behind it."""
MOST_JOINED = 5
"""The most commands that are put in one line."""
KEPT_APART = re.compile(r"<<|\\\Z|[|&{(]\Z|\A\s*[|&]|\b(?:do|done|then|fi|else|case|esac|function)\b|\(\)")
"""What a line has that cannot be joined with its neighbours by a semicolon."""
COMMENT = re.compile(r"\s#[^'\"`]*\Z")


class References:
    """The reference solutions of the tasks that a server with the same settings plays."""

    def __init__(self) -> None:
        recorded = OsSettings().model_copy(update={"os_generated": 0})
        self._table = read_tasks(recorded).table

    def find(self, task_id: str) -> Reference | None:
        """Return the reference of a task, or None if it has none or is held out."""
        if task_id.partition("/")[0] not in LEARNABLE:
            return None
        try:
            task = self._table.find(task_id)
        except UnknownTaskError:
            return None
        if task.example is None:
            return None
        return Reference(join_lines(strip_comments(task.example.code)), condense(task.explanation))


def join_lines(script: str) -> str:
    """Return a script of plain commands in one line; one with blocks, documents or long texts as it is."""
    lines = script.split("\n")
    if any(HASH.search(line) for line in lines):
        return script
    if len(lines) > MOST_JOINED or any(KEPT_APART.search(line) for line in lines) or not _is_balanced(lines):
        return script
    return "; ".join(line.strip().removesuffix(";") for line in lines)


def _is_balanced(lines: list[str]) -> bool:
    """Whether each line closes the quotes and brackets that it opens."""
    return all(
        line.count("'") % 2 == 0
        and line.count('"') % 2 == 0
        and line.count("(") == line.count(")")
        and line.count("{") == line.count("}")
        for line in lines
    )


def condense(explanation: str) -> str:
    """Return the first sentence of an explanation as a thought; empty where it has none."""
    text = " ".join(FENCED.sub(" ", explanation).split())
    found = SENTENCE.match(text)
    first = (found[1] if found else text).rstrip(": ").rstrip(".")
    first = OPENING.sub("", first, count=1).strip() if OPENING.match(first) else first
    if len(first) > LONGEST or len(first.split()) < FEWEST or VAGUE.search(first):
        return ""
    return f"{first[0].upper()}{first[1:]}."


def strip_comments(script: str) -> str:
    """Return a script without comments, blank lines and the line that names its shell."""
    lines = [line.rstrip() for line in script.split("\n")]
    if "<<" in script:
        return "\n".join(lines).strip()
    kept = [COMMENT.sub("", line).rstrip() for line in lines if not line.lstrip().startswith("#")]
    return "\n".join(line for line in kept if line).strip()
