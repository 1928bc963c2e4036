"""Judges the end of a task, out of the agent's reach.

No script of a check runs where the agent was. What it left is copied into a sandbox of the checker's own,
whose system folders are made anew; the example runs on a copy made before the agent came, so that an answer
cannot be made true by changing what it is about. Scripts, answers and expected values are never on a command
line. What cannot be judged because of what the agent left is wrong; only what the host cannot do is an error.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from envs.os_interaction import arithmetic, scoring
from envs.os_interaction.sandbox.answers import Result, Running
from envs.os_interaction.sandbox.inside.checks import (
    BASH_LOADER,
    C_LOADER,
    HIDDEN_BASH,
    PROGRAM,
    PYTHON_LOADER,
)
from envs.os_interaction.sandbox.nursery import Nursery
from envs.os_interaction.sandbox.sandbox import (
    About,
    Kind,
    Layer,
    RefusedError,
    Sandbox,
    Start,
    trusted_environ,
)
from envs.os_interaction.tasks.table import Example, Named, OsTask, Script
from envs.serving.environment import EngineUnavailableError

BASH, PYTHON = "/usr/bin/bash", "/usr/bin/python3"
COMPILERS = {"c": "/usr/bin/gcc", "c++": "/usr/bin/g++"}
COMPILE = """[ -x "$1" ] || exit 127
cd /; d=${PROGRAM%/*}; rm -rf "$d"; mkdir -m 700 "$d" || exit 1
printf %s "$2" > "$d/code" && printf %s "$3" > "$d/start.c" || exit 1
"$1" -o "$PROGRAM" -x "$4" "$d/code" -x c "$d/start.c" -x none -Wl,--wrap=main; s=$?
rm -f "$d/code" "$d/start.c"; exit $s"""
HOME_PATHS = re.compile(r"(?<![\w.$}*?~/-])(?:~|\$HOME|\$\{HOME\})/([\w./+-]+)")
FILES = re.compile(r"(?<![\w./$~-])[\w-]{1,255}\.[a-z]{1,8}(?![\w/.])")
PATHS = re.compile(r"(?<![\w.$}*?~-])/[\w./+-]+")
"""What a script names: paths at home, files of the current folder, absolute paths."""
SEARCH = "import re, sys; sys.exit(0 if re.search(sys.argv[1], sys.argv[2]) else 1)"
SETTLE, SETTLE_TRIES = 0.1, 5
"""A program that was signalled to end may take a moment, seconds and times."""
SHOWN = 200
"""So much of what was expected is shown to people, characters."""


@dataclass(frozen=True)
class Before:
    """How a task stood when the agent came."""

    layer: Layer | None
    """The files; None where no check needs them."""
    programs: Sequence[Running] = ()
    """What the task's `start` had started."""
    changed: Sequence[str] = ()
    """Paths in the system's folders that the task's preparation had made or changed."""


@dataclass(frozen=True)
class Verdict:
    """Whether a task was done, and why not."""

    success: bool
    why: str = ""
    expected: str | None = None

    @property
    def reward(self) -> float:
        """1 or 0 (AgentBench's success rate is its mean)."""
        return scoring.SUCCESS if self.success else 0.0


@dataclass
class Grader:
    """Judges tasks.

    Args:
        how: What a sandbox holds, and its limits.
        seconds: The deadline of one script.
        nursery: Where sandboxes' processes come from.
    """

    how: Start
    seconds: float
    nursery: Nursery = field(default_factory=Nursery)

    async def judge(self, task: OsTask, answer: str | None, sandbox: Sandbox, first: Before) -> Verdict:
        """Whether a task is done now.

        Raises:
            InstanceLostError: A sandbox is gone.
            EngineUnavailableError: No sandbox can be made, or a check's compiler is not installed.
        """
        try:
            return await self._judged(task, answer, sandbox, first)
        except RefusedError as error:
            return Verdict(False, f"what was left cannot be checked: {error}"[:SHOWN])

    async def _judged(self, task: OsTask, answer: str | None, sandbox: Sandbox, first: Before) -> Verdict:
        if task.match is not None:
            verdict = await self._match(task, answer)
            if not verdict.success:
                return verdict
        if task.programs is not None:
            why = await _settled(task, first.programs, sandbox)
            if why:
                return Verdict(False, why)
        return await self._chain(task, answer, sandbox, first) if task.check else Verdict(True)

    async def _match(self, task: OsTask, answer: str | None) -> Verdict:
        match = task.match
        assert match is not None
        if match.regex is not None and answer is not None:
            # A pattern can take for ever: it gets a deadline like any other script.
            text = answer.strip() if match.strip else answer
            async with _Checker(self) as checker:
                argv = [PYTHON, "-I", "-S", "-c", SEARCH, match.regex, text]
                found = (await checker.once(argv)).status == 0
        else:
            found = scoring.matches(answer, match.answer, match.regex, match.strip)
        return Verdict(found, "" if found else "the answer does not match", match.answer or match.regex)

    async def _chain(self, task: OsTask, answer: str | None, sandbox: Sandbox, first: Before) -> Verdict:
        arguments = [str(answer)]
        expected: str | None = None
        async with _Checker(self, sandbox, about=_about(task, first)) as left:
            for number, check in enumerate(task.check, start=1):
                if isinstance(check, Named):
                    if not scoring.CHECKS[check.name](
                        arguments[0], arguments[1] if len(arguments) > 1 else ""
                    ):
                        return Verdict(False, f"{check.name} fails", expected)
                    arguments.append("")
                    continue
                if isinstance(check, Example):
                    result = await self._example(task, arguments, first, left)
                    expected = result.output[:SHOWN] if expected is None else expected
                else:
                    if why := arithmetic.find_unsafe_word(check, arguments):
                        return Verdict(False, f"check {number} computes with {why}", expected)
                    result = await left.script(check, arguments)
                if result.ended != "exit" or result.status != 0:
                    why = f"check {number} ended with {result.ended} {result.status}: {result.errors[:SHOWN]}"
                    return Verdict(False, why, expected)
                arguments.append(result.output)
        return Verdict(True, expected=expected)

    async def _example(self, task: OsTask, words: list[str], first: Before, left: "_Checker") -> Result:
        """What the example prints where the agent has not been.

        It runs on what the agent left only where it cannot be about anything else: it fails and prints
        nothing on the untouched machine, and a path that it names is missing.
        """
        assert task.example is not None
        if first.layer is not None:
            async with _Checker(self, layer=first.layer, start=task.start) as before:
                result = await before.script(task.example, words)
                if result.status == 0 or result.output.strip() or not await before.lacks(task.example):
                    return result
        return await left.script(task.example, words)


class _Checker:
    """A sandbox for checks, made when it is first needed.

    Args:
        grader: Whose it is.
        of: A sandbox that it is a copy of, with the system's folders made anew.
        layer: Else an untouched machine.
        start: A script that starts programs in the background.
        about: What the task is about.
    """

    def __init__(
        self,
        grader: Grader,
        of: Sandbox | None = None,
        layer: Layer | None = None,
        start: Script | None = None,
        about: About | None = None,
    ) -> None:
        self._grader = grader
        self._of = of
        self._layer = layer
        self._start = start
        self._about = about or About()
        self._sandbox: Sandbox | None = None

    async def __aenter__(self) -> "_Checker":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sandbox is not None:
            await self._sandbox.close()

    async def script(self, script: Script, words: Sequence[str]) -> Result:
        """Run a script as AgentBench calls it."""
        words = [word.replace("\0", "") for word in words]
        code = script.code.replace("\0", "")
        if self._of is None:
            return await self._untouched(script.language, code, words)
        if script.language == "python":
            argv = [PYTHON, "-I", "-S", "-c", PYTHON_LOADER]
            return await self._check(argv, [code, *words], "python")
        if script.language == "bash":
            return await self._bash([code, *words])
        made = await self._bash(self._compile(script.language, code))
        return made if self._failed(made, script.language) else await self._check([PROGRAM], words, "program")

    @staticmethod
    def _compile(language: str, code: str) -> list[str]:
        """A script that compiles a check, with its arguments."""
        return [f"PROGRAM={PROGRAM}\n{COMPILE}", COMPILERS[language], code, C_LOADER, language]

    @staticmethod
    def _failed(made: Result, language: str) -> bool:
        if made.status == 127:
            raise EngineUnavailableError(f"A check is written in {language}: install gcc and g++.")
        return made.status != 0

    async def once(self, argv: Sequence[str]) -> Result:
        """Run a program by itself, with a checker's environment."""
        return await self._run(argv, None)

    async def lacks(self, script: Script) -> bool:
        """Return whether a path that a script names is missing."""
        test = 'for path; do [ -e "$path" ] || [ -L "$path" ] || exit 3; done'
        paths = [path for path in PATHS.findall(script.code) if not path.endswith("/")]
        paths += [f"/root/{name}" for name in HOME_PATHS.findall(script.code) + FILES.findall(script.code)]
        return (await self.once([BASH, "-c", test, "--", *paths])).status == 3

    async def _untouched(self, language: str, code: str, words: Sequence[str]) -> Result:
        if language == "python":
            return await self.once([PYTHON, "-I", "-S", "-c", code, *words])
        if language == "bash":
            return await self.once([BASH, "-c", code, "--", *words])
        script, *arguments = self._compile(language, code)
        made = await self.once([BASH, "-c", script, "--", *arguments])
        return made if self._failed(made, language) else await self._check([PROGRAM], words, "program", False)

    async def _bash(self, words: Sequence[str]) -> Result:
        return await self._check([HIDDEN_BASH, "-c", BASH_LOADER, "--"], words, "bash")

    async def _check(
        self, argv: Sequence[str], words: Sequence[str], language: str, alone: bool = True
    ) -> Result:
        return await self._run(argv, {"words": list(words), "language": language, "alone": alone})

    async def _run(self, argv: Sequence[str], check: dict[str, Any] | None) -> Result:
        if self._sandbox is None:
            self._sandbox = await self._made()
        return await self._sandbox.once(argv, self._grader.seconds, trusted_environ(), check=check)

    async def _made(self) -> Sandbox:
        layer = await self._of.pack() if self._of is not None else self._layer
        # What is made anew is newer than it was, and checks count files by date: not where no agent has been.
        kind = Kind.CHECKER if self._of is not None else Kind.EXAMPLE
        grader = self._grader
        sandbox = await Sandbox.start(grader.how, layer, kind, grader.nursery, self._about)
        try:
            if self._start is not None:
                await sandbox.launch([BASH, "-c", self._start.code])
        except BaseException:
            sandbox.kill()
            raise
        return sandbox


def _about(task: OsTask, first: Before) -> About:
    """What a task is about, for its checker."""
    prepared = [*task.init, *([task.start] if task.start else [])]
    checked = [check for check in task.check if isinstance(check, Script)]
    checked += [task.example] if task.example else []
    return About(
        task.instruction,
        "\n".join(script.code for script in prepared),
        "\n".join(script.code for script in checked),
        first.changed,
    )


async def _settled(task: OsTask, before: Sequence[Running], sandbox: Sandbox) -> str:
    """Why programs are not as they should be, a moment after the last signal; empty where they are."""
    why = ""
    for _ in range(SETTLE_TRIES):
        why = _programs(task, before, await sandbox.programs())
        if not why:
            return ""
        await asyncio.sleep(SETTLE)
    return why


def _programs(task: OsTask, before: Sequence[Running], now: Sequence[Running]) -> str:
    """Why programs are not as they should be; empty where they are."""
    wanted = task.programs
    assert wanted is not None
    alive = {(one.pid, one.born): one for one in now}
    for word in wanted.running:
        ours = [one for one in before if word in one.command]
        if not ours or any((one.pid, one.born) not in alive for one in ours):
            return f"a program {word!r} does not run any more"
        if any(alive[one.pid, one.born].stopped for one in ours):
            return f"a program {word!r} stands still"
    for word in wanted.ended:
        if any((one.pid, one.born) in alive for one in before if word in one.command):
            return f"a program {word!r} still runs"
        if any(word in one.command for one in now):
            return f"a program {word!r} runs again"
    return ""
