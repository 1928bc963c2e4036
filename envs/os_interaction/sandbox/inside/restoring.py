"""What a checker's sandbox keeps of the system's folders that an agent had, and what is made anew.

Data folders (`/srv`, `/home`, `/tmp` and all others) are the agent's. `/etc`, `/usr` and the start files at
home are what programs are found, loaded and configured by: they are made anew, and of the agent's only those
entries come back that the task is about: which its texts name, or which its own preparation had made or
changed.
"""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from envs.os_interaction.sandbox.inside.root import furnish, remove, solid

PRIVATE = "/usr/.checker"
"""A folder of the checker's own; `/usr` is read-only there and cannot be renamed."""
PYTHON = f"{PRIVATE}/python"
AREAS = ("etc", "usr/local")
_DATA = """passwd group shadow gshadow subuid subgid hosts hostname crontab cron.d cron.hourly cron.daily
cron.weekly cron.monthly fstab motd issue issue.net services protocols networks shells sudoers sudoers.d
timezone aliases"""
DATA = frozenset(f"etc/{name}" for name in _DATA.split())
"""What programs read as data: users, names, schedules. It is always the agent's."""
CODE = frozenset(
    f"etc/{name}" for name in ("pam.d", "ssl", "security", "alternatives", "ld.so.conf.d", "profile.d")
)
"""Folders whose every file changes what programs do."""
COMMANDS = ("usr/local/bin", "usr/local/sbin")
_START_FILES = """bash_aliases bash_completion bash_login bash_logout bash_profile bashrc profile inputrc
terminfo gitconfig config local/lib netrc curlrc wgetrc gnupg ssh/config sqliterc psqlrc my.cnf mylogin.cnf
gdbinit vimrc vim exrc nanorc toprc screenrc tmux.conf npmrc condarc pip pydistutils.cfg pythonrc irbrc digrc
pam_environment lesskey less mailrc subversion hgrc cvsrc forward rhosts shosts dircolors zshrc zshenv
zprofile kshrc mkshrc cshrc tcshrc login tidyrc lynxrc indent.pro ctags ackrc ripgreprc perltidyrc
perlcriticrc ImageMagick magic octaverc Rprofile Renviron gemrc cargo rustup nvmrc yarnrc docker kube aws"""
START_FILES = tuple(f".{name}" for name in _START_FILES.split())
LOST = ("pyvenv.cfg", "usr/pyvenv.cfg", "etc/ld.so.preload", "etc/ld.so.cache")
"""Files that a program's start depends on and that are never copied."""
LIBRARIES = re.compile(r"lib(?:32|64|x32)?")
SITE = """import os, sys
script = getattr(sys, "argv", ["-c"])[0]
sys.path.append(os.path.dirname(os.path.realpath(script)) if os.path.isfile(script) else "")
"""
"""Python's own modules come first, those beside a program last, where `PYTHONSAFEPATH` is set."""


class Task(NamedTuple):
    """What a task's texts are, and what its preparation has changed."""

    instruction: str = ""
    prepared: str = ""
    """The scripts that prepare the machine."""
    checked: str = ""
    """The scripts that check it."""
    changed: frozenset[str] = frozenset()

    @property
    def texts(self) -> str:
        """All of them."""
        return f"{self.instruction}\n{self.prepared}\n{self.checked}"


class System(NamedTuple):
    """The system's folders as they are made."""

    tree: Sequence[Sequence[Any]]
    """Path, kind, mode, content."""
    shown: Sequence[str]
    """Where folders of the host are shown."""

    def kinds(self) -> dict[str, str]:
        """What kind of entry stands at each path."""
        return {line[0]: line[1] for line in self.tree}

    def is_given(self, path: str) -> bool:
        """Whether an entry of `/usr` is one of those that are made."""
        return any(
            place == path or place.startswith(f"{path}/")
            for place in (*self.shown, *(line[0] for line in self.tree))
        )


def list_changes(system: System) -> list[str]:
    """The paths in the system's folders that are not as they were made, without what is below them."""
    contents = {line[0]: line for line in system.tree}
    found: list[str] = []
    for area in AREAS:
        waiting = [area]
        while waiting:
            folder = waiting.pop()
            for name in _names(f"/{folder}"):
                path = f"{folder}/{name}"
                line = contents.get(path)
                if line is None or not _same(line):
                    found.append(path)
                elif line[1] == "folder":
                    waiting.append(path)
    found += [f"usr/{name}" for name in _names("/usr") if not system.is_given(f"usr/{name}")]
    for home in _homes():
        for name in START_FILES:
            path = f"{home}/{name}"
            line = contents.get(path)
            if os.path.lexists(f"/{path}") and (line is None or not _same(line)):
                found.append(path)
    return found


def restore(system: System, task: Task, trusted: Sequence[str], removed: Sequence[str]) -> None:
    """Make the system's folders anew, with what the task is about as the agent left it.

    Args:
        system: How they are made.
        task: What the task is about.
        trusted: More paths that are made as they were, with all below them.
        removed: Patterns of paths that are never copied.
    """
    remove(PRIVATE)
    solid(PRIVATE)
    os.chmod(PRIVATE, 0o700)
    for area in AREAS:
        _renew(area, system, task)
    for pattern in (*removed, *LOST):
        for place in glob.glob(f"/{pattern}"):
            remove(place)
    for name in _names("/usr"):
        path = f"usr/{name}"
        if (
            f"/{path}" != PRIVATE
            and not system.is_given(path)
            and path not in task.changed
            and not _named(path, task.texts)
        ):
            remove(f"/{path}")
    _restore_trusted(system, trusted)
    for home in _homes():
        for name in START_FILES:
            path = f"{home}/{name}"
            if path not in task.changed and not _mentioned(name.partition("/")[0], task.texts):
                remove(f"/{path}")
                furnish([line for line in system.tree if line[0] == path and os.path.isdir(f"/{home}")])
    for folder in (PRIVATE, PYTHON):
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o755)  # noqa: S103
    with open(f"{PYTHON}/sitecustomize.py", "w") as file:
        file.write(SITE)


def sealed() -> Iterator[str]:
    """The folders that no program of a checker's sandbox may change."""
    for folder in ("etc", "usr"):
        if os.path.isdir(f"/{folder}") and not os.path.islink(f"/{folder}"):
            yield folder


def links(trusted: Sequence[str]) -> list[str]:
    """The links in the root folder that programs are found and loaded by."""
    return [f"/{path}" for path in trusted if "/" not in path and os.path.islink(f"/{path}")]


def _renew(area: str, system: System, task: Task) -> None:
    """Make a folder anew and bring back what the task is about."""
    place, aside = f"/{area}", f"{PRIVATE}/aside"
    if os.path.isdir(place) and not os.path.islink(place):
        os.rename(place, aside)
    else:
        remove(place)
    solid(place)
    furnish([line for line in system.tree if line[0] == area or line[0].startswith(f"{area}/")])
    if os.path.isdir(aside):
        os.chmod(aside, 0o700)
        _bring_back(aside, area, system.kinds(), task)
        remove(aside)


def _bring_back(source: str, folder: str, kinds: dict[str, str], task: Task) -> None:
    for name in _names(source):
        path, old = f"{folder}/{name}", f"{source}/{name}"
        if path in LOST:
            continue
        if is_kept(path, folder, name, kinds, task):
            remove(f"/{path}")
            os.rename(old, f"/{path}")
        elif kinds.get(path) == "folder" and os.path.isdir(old) and not os.path.islink(old):
            _bring_back(old, path, kinds, task)


def is_kept(path: str, folder: str, name: str, kinds: dict[str, str], task: Task) -> bool:
    """Whether an entry is something that the task is about."""
    if path in DATA or path in task.changed:
        return True
    if path in kinds:
        return kinds[path] != "folder" and _named(path, task.texts)
    if _named(path, task.texts):
        return True
    if folder in COMMANDS:
        return _mentioned(name, task.texts)
    if folder not in AREAS and _named(folder, task.instruction if folder in CODE else task.texts):
        return True
    return path.startswith("etc/") and _mentioned(name, f"{task.instruction}\n{task.prepared}")


def _named(path: str, text: str) -> bool:
    """Whether a text has an absolute path, or one below it."""
    return re.search(rf"(?<![\w.-])/{re.escape(path)}(?![\w-]|\.\w)", text) is not None


def _mentioned(name: str, text: str) -> bool:
    """Whether a text has a name as a word."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", text) is not None


def _restore_trusted(system: System, trusted: Sequence[str]) -> None:
    for name in _names("/"):
        if LIBRARIES.fullmatch(name) and not system.is_given(name):
            remove(f"/{name}")
    for path in trusted:
        remove(f"/{path}")
    kept = [
        line
        for line in system.tree
        if any(line[0] == path or line[0].startswith(f"{path}/") for path in trusted)
    ]
    for line in kept:
        solid(os.path.dirname(f"/{line[0]}"))
    furnish(kept)


def _homes() -> list[str]:
    return ["root", *(f"home/{name}" for name in _names("/home"))]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _same(line: Sequence[Any]) -> bool:
    """Whether an entry is as it was made; a folder's content is not looked at."""
    path, kind, _, content = line
    place = f"/{path}"
    try:
        if kind == "symlink":
            return os.readlink(place) == content
        if kind == "folder":
            return os.path.isdir(place) and not os.path.islink(place)
        if os.path.islink(place) or not os.path.isfile(place):
            return False
        with open(place, "rb") as file:
            return file.read(len(content) + 1) == content.encode()
    except OSError:
        return False
