"""Generated tasks about permissions."""

from envs.os_interaction.tasks.table import Check, Script
from envs.os_interaction.tasks.templates import EXTENSIONS, Draw, Made, Template, script, write

MODES = (
    "600",
    "640",
    "644",
    "660",
    "664",
    "700",
    "740",
    "750",
    "755",
    "400",
    "440",
    "444",
    "500",
    "550",
    "711",
    "770",
)


def _modes(modes: dict[str, str]) -> list[Check]:
    """A check that files have modes."""
    lines = [f'[ "$(stat -c %a {path})" = {mode} ] || exit 1' for path, mode in modes.items()]
    return [Script(script(*lines))]


def _folder(draw: Draw, names: list[str], modes: list[str]) -> tuple[str, dict[str, str], str]:
    """A folder, the modes of its files, and the script that makes it."""
    folder = draw.folder()
    paths = {f"{folder}/{name}": mode for name, mode in zip(names, modes, strict=True)}
    made = [f"touch {path} && chmod {mode} {path}" for path, mode in paths.items()]
    return folder, paths, script(f"mkdir -p {folder}", *made)


def _set(draw: Draw) -> Made:
    names = draw.files(3)
    folder, paths, init = _folder(draw, names, ["644"] * 3)
    path = f"{folder}/{names[0]}"
    mode = draw.one([mode for mode in MODES if mode != "644"])
    return Made({"file": path, "mode": mode}, init, check=_modes(paths | {path: mode}))


def _which(draw: Draw) -> Made:
    names = draw.files(3)
    modes = draw.many(MODES, 3)
    folder, _, init = _folder(draw, names, modes)
    return Made({"file": f"{folder}/{names[0]}"}, init, modes[0])


def _runnable(draw: Draw) -> Made:
    names = draw.files(draw.number(5, 9))
    count = draw.number(1, len(names) - 1)
    modes = [
        draw.one(("755", "700", "750")) if at < count else draw.one(("644", "600"))
        for at in range(len(names))
    ]
    folder, _, init = _folder(draw, names, modes)
    return Made({"folder": folder}, init, str(count))


def _scripts(draw: Draw) -> Made:
    names = draw.files(draw.number(4, 6))
    cut = draw.number(1, len(names) - 1)
    full = [f"{name}.{'sh' if at < cut else 'txt'}" for at, name in enumerate(names)]
    folder, paths, init = _folder(draw, full, ["644"] * len(full))
    after = {path: "744" if path.endswith(".sh") else "644" for path in paths}
    return Made({"folder": folder}, init, check=_modes(after))


def _open(draw: Draw) -> Made:
    names = draw.files(draw.number(4, 7))
    modes = ["666", *(draw.one(("644", "664", "600", "755")) for _ in names[1:])]
    folder, _, init = _folder(draw, names, modes)
    return Made({"folder": folder}, init, names[0])


def _close(draw: Draw) -> Made:
    names = draw.files(4)
    modes = [draw.one(("666", "664", "777", "646")) for _ in names]
    folder, paths, init = _folder(draw, names, modes)
    after = {
        path: "".join(str(int(digit) & keep) for digit, keep in zip(mode, (7, 5, 5), strict=True))
        for path, mode in paths.items()
    }
    return Made({"folder": folder}, init, check=_modes(after))


def _setuid(draw: Draw) -> Made:
    names = draw.files(draw.number(4, 7))
    modes = ["4755", *(draw.one(("755", "700", "750")) for _ in names[1:])]
    folder, _, init = _folder(draw, names, modes)
    return Made({"folder": folder}, init, names[0])


def _locked(draw: Draw) -> Made:
    folder, name = draw.folder(), draw.files(1)[0]
    path, word = f"{folder}/{name}", "-".join(draw.subjects(2))
    init = script(f"mkdir -p {folder}", write(path, f"#!/bin/bash\necho {word}\n"), f"chmod 000 {path}")
    return Made({"file": path}, init, word)


def _private(draw: Draw) -> Made:
    folder = draw.folder()
    check = _modes({folder: "700"})
    return Made({"folder": folder}, script(f"mkdir -p {folder}", f"chmod 755 {folder}"), check=check)


def _same(draw: Draw) -> Made:
    names = [f"{name}.{draw.one(EXTENSIONS)}" for name in draw.files(3)]
    modes = [draw.one(("640", "750", "600", "755")), "644", "604"]
    _, paths, init = _folder(draw, names, modes)
    one, other = list(paths)[:2]
    return Made({"one": one, "other": other}, init, check=_modes(paths | {other: modes[0]}))


TEMPLATES = (
    Template(
        "set",
        (
            "Give the file <file> the permissions <mode>",
            "Change the mode of <file> to <mode> (octal).",
            "Set the permissions of <file> so that stat shows the octal mode <mode>",
        ),
        _set,
        "chmod <mode> <file>",
        "chmod takes the octal mode as it is.",
        "ls -l <file>",
        does=True,
    ),
    Template(
        "which",
        (
            "What are the permissions of <file> in octal, such as 644?",
            "Tell me the octal mode of <file> (three digits).",
            "Which octal permissions does the file <file> have?",
        ),
        _which,
        "stat -c %a <file>",
        "stat -c %a prints the mode in octal.",
    ),
    Template(
        "runnable",
        (
            "How many files in <folder> can be executed by their owner?",
            "Count the files in <folder> that have the execute permission for the owner.",
            "In <folder> some files are executable for their owner. How many?",
        ),
        _runnable,
        "find <folder> -type f -perm -u+x | wc -l",
        "-perm -u+x finds the files whose owner may execute them.",
        "ls -l <folder>",
    ),
    Template(
        "scripts",
        (
            "Make all .sh files in <folder> executable for their owner, and change nothing else.",
            "Give the owner the execute permission on every .sh file in <folder> . Leave the rest alone.",
            "The scripts (*.sh) in <folder> should be executable by their owner only. Change just that.",
        ),
        _scripts,
        "chmod u+x <folder>/*.sh",
        "u+x adds the permission for the owner and keeps the rest.",
        "ls -l <folder>",
        does=True,
    ),
    Template(
        "open",
        (
            "Which file in <folder> can be written by everybody? Answer with its name only.",
            "One file in <folder> is writable for all users. What is its name?",
            "Find the world-writable file in <folder> and tell me its name.",
        ),
        _open,
        "find <folder> -type f -perm -o+w -printf '%f\\n'",
        "-perm -o+w finds what others may write, and %f prints the name alone.",
        "ls -l <folder>",
    ),
    Template(
        "close",
        (
            "Take the write permission from group and others on all files in <folder> , nothing else.",
            "Nobody but the owner should be able to write the files in <folder> . Leave the rest alone.",
            "Remove write access for group and others from each file in <folder>",
        ),
        _close,
        "chmod go-w <folder>/*",
        "go-w takes just the write permission from group and others.",
        "ls -l <folder>",
        does=True,
    ),
    Template(
        "setuid",
        (
            "Which file in <folder> has the setuid bit? Answer with its name only.",
            "One file in <folder> is setuid. What is its name?",
            "Look for the setuid bit among the files in <folder> and name the file that has it.",
        ),
        _setuid,
        "find <folder> -type f -perm -4000 -printf '%f\\n'",
        "The setuid bit is 4000, and %f prints the name alone.",
        "ls -l <folder>",
    ),
    Template(
        "locked",
        (
            "What would the script <file> print if it could be run?",
            "The script <file> has no permissions at all. What does it print when it is executed?",
            "Find out the output of <file> , although it may not be executed at the moment.",
        ),
        _locked,
        "bash <file>",
        "Root may read the file, and bash runs it without the execute permission.",
        "ls -l <file>",
    ),
    Template(
        "private",
        (
            "Make the folder <folder> accessible for its owner only, who keeps all permissions.",
            "Only the owner should be able to read, write and enter <folder> . Set its permissions so.",
            "Set <folder> to mode rwx------",
        ),
        _private,
        "chmod 700 <folder>",
        "700 is everything for the owner and nothing for the others.",
        "ls -ld <folder>",
        does=True,
    ),
    Template(
        "same",
        (
            "Give <other> the same permissions as <one>",
            "Copy the permissions of <one> to <other> (not the content).",
            "The mode of <other> should be that of <one> , please change it.",
        ),
        _same,
        "chmod --reference=<one> <other>",
        "--reference takes the mode from another file.",
        "ls -l <one> <other>",
        does=True,
    ),
)
