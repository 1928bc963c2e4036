"""AgentBench's records: its data folder, its flat files, and a client's own task in the same form."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envs.os_interaction.scoring import CHECKS, LONGEST_PATTERN
from envs.os_interaction.tasks.table import Check, Example, Match, Named, OsTask, Programs, Script

LANGUAGES = frozenset(("bash", "python", "c", "c++"))
LONGEST_SCRIPT = 120_000
"""Linux's limit of one argument, less a little, bytes."""
SEPARATORS = ("&&", ";", "\n")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


class RecordError(ValueError):
    """Raised when a record cannot be played; the message has the reason."""


class MissingFileError(RecordError):
    """Raised when a record names a script that is missing."""


@dataclass
class Official:
    """What a data folder has."""

    splits: dict[str, dict[str, OsTask]] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    """Records left out, a split, for want of a script that they name."""
    broken: Counter[str] = field(default_factory=Counter)
    """Records left out, a split, for another reason."""


def read_official(folder: Path) -> Official:
    """The tasks of a folder: AgentBench's repository, its `data`, its `os_interaction`, or flat files.

    Splits: `dev`, `std` (the test records), and one for each flat file by its name.

    Raises:
        RecordError: It holds no OS tasks, or a file is not JSON.
    """
    found = Official()
    root = next(
        (
            place
            for place in (folder / "data" / "os_interaction", folder / "os_interaction")
            if place.is_dir()
        ),
        folder,
    )
    for split, prefix, file, scripts in _files(root):
        tasks = found.splits.setdefault(split, {})
        for number, record in enumerate(_records(file)):
            try:
                tasks[f"{prefix}{number}"] = task(record, scripts)
            except MissingFileError:
                found.missing[split] += 1
            except RecordError:
                found.broken[split] += 1
    if not found.splits:
        raise RecordError(
            f"no OS tasks in {folder}: it needs os_interaction/data/dev.json or os_interaction/*.json"
        )
    return found


def task(record: Any, scripts: Path | None) -> OsTask:
    """A record as a task.

    Args:
        record: In AgentBench's form.
        scripts: Where the files lie that it names; None where it may name none.

    Raises:
        RecordError: It is not in that form, or a script is missing.
    """
    if not isinstance(record, dict) or not isinstance(record.get("description"), str):
        raise RecordError("a task is an object with a `description`")
    create = record.get("create")
    create = create if isinstance(create, dict) else {}
    evaluation = record.get("evaluation")
    if not isinstance(evaluation, dict):
        raise RecordError("`evaluation` is an object with `match`, `check` or `programs`")
    init = create.get("init") or ()
    prepared = tuple(_script(one, scripts) for one in (init if isinstance(init, list | tuple) else (init,)))
    start, example = record.get("start"), evaluation.get("example", record.get("example"))
    chain = evaluation.get("check") or ()
    chain = chain if isinstance(chain, list | tuple) else (chain,)
    check = tuple(_check(one, scripts) for one in chain)
    match, programs = _match(evaluation.get("match")), _programs(evaluation.get("programs"))
    if match is None and not check and programs is None:
        raise RecordError("`evaluation` has none of `match`, `check` and `programs`")
    if example is None and any(isinstance(one, Example) for one in check):
        raise RecordError("`check` has a null, which stands for the `example`, and there is none")
    labels, explanation = record.get("labels"), record.get("explanation")
    return OsTask(
        instruction=record["description"],
        init=prepared,
        start=_script(start, scripts) if start else None,
        match=match,
        check=check,
        programs=programs,
        example=_script(example, scripts) if example else None,
        explanation=explanation if isinstance(explanation, str) else "",
        user=_switched_user(prepared[-1].code) if prepared else "root",
        kind=", ".join(str(label) for label in labels) if isinstance(labels, list) else "",
    )


def _switched_user(code: str) -> str:
    """The user that a script's last command goes on as (`su - jack`); `root` where it is another command."""
    code = code.rstrip().removesuffix(";")
    start = max(code.rfind(mark) + len(mark) if mark in code else 0 for mark in SEPARATORS)
    words = code[start:].split()
    switched = start > 0 and len(words) == 3 and words[0] == "su" and words[1] in ("-", "-l", "--login")
    return words[2] if switched and USER.fullmatch(words[2]) else "root"


def _files(root: Path) -> Iterator[tuple[str, str, Path, Path]]:
    """Splits, prefixes of their tasks' names, files of records, and folders of scripts."""
    data = root / "data"
    if (data / "dev.json").is_file():
        yield "dev", "", data / "dev.json", root / "scripts" / "dev"
    for folder in sorted(data.iterdir()) if data.is_dir() else ():
        if folder.is_dir() and folder.name.isdigit():
            for file in sorted([*folder.glob("*.json"), *folder.glob("*.jsonl")]):
                yield "std", f"{folder.name}-{file.stem}-", file, root / "scripts" / folder.name
    for file in sorted([*root.glob("*.json"), *root.glob("*.jsonl")]):
        yield file.stem, "", file, root / "scripts" / file.stem


def _records(file: Path) -> list[Any]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".jsonl":
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        records = json.loads(text)
    except (OSError, ValueError) as error:
        raise RecordError(f"{file}: {error}") from error
    return records if isinstance(records, list) else [records]


def _script(given: Any, scripts: Path | None) -> Script:
    script = _read_script(given, scripts)
    if len(script.code.encode(errors="replace")) > LONGEST_SCRIPT:
        raise RecordError(f"a script has at most {LONGEST_SCRIPT} bytes")
    return script


def _read_script(given: Any, scripts: Path | None) -> Script:
    if isinstance(given, str):
        return Script(given)
    if not isinstance(given, dict):
        raise RecordError("a script is a text, or an object with `code` or `file`")
    language = given.get("language", "bash")
    if language not in LANGUAGES:
        raise RecordError(f"a script's `language` is one of {', '.join(sorted(LANGUAGES))}")
    if isinstance(given.get("file"), str):
        return Script(_file(given["file"], scripts), language)
    if isinstance(given.get("code"), str):
        return Script(given["code"], language)
    raise RecordError("a script is a text, or an object with `code` or `file`")


def _file(name: str, scripts: Path | None) -> str:
    if scripts is None:
        raise RecordError("a task of your own names no `file`: give its `code`")
    place = (scripts / name).resolve()
    if not place.is_relative_to(scripts.resolve()) or not place.is_file():
        raise MissingFileError(name)
    return place.read_text(encoding="utf-8")


def _check(given: Any, scripts: Path | None) -> Check:
    if given is None:
        return Example()
    if isinstance(given, dict) and given.get("file") in CHECKS:
        return Named(given["file"])
    return _script(given, scripts)


def _match(given: Any) -> Match | None:
    if given is None:
        return None
    if isinstance(given, str):
        return Match(answer=given)
    if not isinstance(given, dict):
        raise RecordError("`match` is a text, or an object with `answer` or `regex`")
    strip = bool(given.get("strip", True))
    if isinstance(given.get("answer"), str):
        return Match(answer=given["answer"], strip=strip)
    if isinstance(given.get("regex"), str):
        if len(given["regex"]) > LONGEST_PATTERN:
            raise RecordError(f"a `regex` has at most {LONGEST_PATTERN} characters")
        try:
            re.compile(given["regex"])
        except re.error as error:
            raise RecordError(f"`regex`: {error}") from error
        return Match(regex=given["regex"], strip=strip)
    raise RecordError("`match` is a text, or an object with `answer` or `regex`")


def _programs(given: Any) -> Programs | None:
    if given is None:
        return None
    lists: list[tuple[str, ...]] = []
    for name in ("running", "ended"):
        words = given.get(name, []) if isinstance(given, dict) else None
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            raise RecordError("`programs` has lists of words, `running` and `ended`")
        lists.append(tuple(words))
    return Programs(*lists)
