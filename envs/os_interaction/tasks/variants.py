"""Variants of recorded tasks: the same task with other names of files, folders and words.

A model that sees a task several times with the same names learns the names; with other names each time it
learns to copy them from the instruction. A name is exchanged everywhere at once: in the instruction, in the
scripts that make the machine, and in the solution. The expected answer follows from the solution, so a
variant is as right as its task.
"""

import dataclasses
import random
import re

from envs.os_interaction.tasks.table import OsTask, Script
from envs.os_interaction.tasks.templates import NOUNS, SUBJECTS

MARKED = re.compile(
    r"""["'`](?P<marked>[^"'`\n]{2,40})["'`]"""
    r"""|(?P<path>(?:~|\.|\b)/?[\w./-]*\w\.\w{1,6}\b|~?(?:/[\w.-]+)+)"""
)
"""What an instruction puts in quotes or backticks, file names, and paths."""
WORD = re.compile(r"[A-Za-z]{3,}")
_KEPT = """bash bin boot cat cut dev etc file files find folder grep head home hidden lib line lines log logs
ls mnt opt proc root run sbin sed sort srv sys tail text tmp txt uniq usr var awk csv json xml html
css sh py js jpg jpeg png gif pdf doc docx md conf cfg ini bak tar zip gz yaml yml sql the and for
not null true false print printf echo mkdir touch chmod size total count user users group groups
passwd shadow hosts localhost http https www com org get post put delete day days week month year
date time hours minutes seconds yyyy hh mm ss dd ip all name names number numbers length type list
sum min max env path python java class public function import return def end done else then fi do if
in of to is"""
KEPT = frozenset(_KEPT.split())
"""Words that mean something to a shell, a system or a format, or that are too plain to be a name."""
MOST = 4
"""The most names that a variant exchanges."""
POOL = tuple(dict.fromkeys((*SUBJECTS, *NOUNS)))


def vary(task: OsTask, number: int) -> OsTask | None:
    """Return a variant of a task, or None if the task has no name that can be exchanged.

    Args:
        task: A task with an example, whose expected answer is what the example prints.
        number: Which variant; the same number gives the same one.
    """
    if task.example is None or any(isinstance(check, Script) for check in task.check) or task.match:
        return None
    names = _find_names(task)
    if not names:
        return None
    draw = random.Random(f"os/variant/{number}/{task.instruction}")  # noqa: S311
    chosen = draw.sample(names, min(len(names), draw.randint(1, MOST)))
    taken = {word.lower() for text in _texts(task) for word in WORD.findall(text)}
    free = [word for word in POOL if word not in taken]
    if len(free) < len(chosen):
        return None
    return _exchange(task, dict(zip(chosen, draw.sample(free, len(chosen)), strict=True)))


def _find_names(task: OsTask) -> list[str]:
    """List the words, in lower case, that an instruction marks as names and both kinds of scripts have.

    A word that only the solution has may be a command, or a name that every system has.
    """
    assert task.example is not None
    made = {word.lower() for one in task.init for word in WORD.findall(one.code)}
    used = made & {word.lower() for word in WORD.findall(task.example.code)}
    marked = (found["marked"] or found["path"] for found in MARKED.finditer(task.instruction))
    words = (word.lower() for text in marked for word in WORD.findall(text))
    return [word for word in dict.fromkeys(words) if word in used and word not in KEPT]


def _texts(task: OsTask) -> list[str]:
    scripts = [*task.init, *([task.example] if task.example else []), *([task.start] if task.start else [])]
    return [task.instruction, task.explanation, *(script.code for script in scripts)]


def _exchange(task: OsTask, names: dict[str, str]) -> OsTask:
    """Return the task with words exchanged; each keeps its capitals."""
    pattern = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(map(re.escape, names))})(?![A-Za-z])", re.IGNORECASE)

    def change(text: str) -> str:
        return pattern.sub(lambda found: _like(found[0], names[found[0].lower()]), text)

    def changed(script: Script) -> Script:
        return dataclasses.replace(script, code=change(script.code))

    return dataclasses.replace(
        task,
        instruction=change(task.instruction),
        explanation=change(task.explanation),
        init=tuple(map(changed, task.init)),
        start=changed(task.start) if task.start else None,
        example=changed(task.example) if task.example else None,
    )


def _like(old: str, new: str) -> str:
    """Return a word with the capitals of another."""
    if old.isupper():
        return new.upper()
    return new.capitalize() if old[0].isupper() else new
