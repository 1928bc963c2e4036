"""Judges the end of a task, out of the agent's reach.

No script of a check runs where the agent was. What it left is copied into a sandbox of the checker's own,
where programs are found and loaded from the host alone; the example runs on a copy made before the agent
came, so that an answer cannot be made true by changing what it is about.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from envs.os_interaction import scoring
from envs.os_interaction.nursery import Nursery
from envs.os_interaction.sandbox import Kind, Layer, Result, Running, Sandbox, Start, trusted_environ
from envs.os_interaction.tasks import Example, Named, OsTask, Script
from envs.serving.environment import EngineUnavailableError

BASH, PYTHON = "/usr/bin/bash", "/usr/bin/python3"
COMPILERS = {"c": "/usr/bin/gcc", "c++": "/usr/bin/g++"}
SUFFIXES = {"c": "c", "c++": "cpp"}
SEARCH = "import re, sys; sys.exit(0 if re.search(sys.argv[1], sys.argv[2]) else 1)"
SETTLE, SETTLE_TRIES = 0.1, 5
"""A program that was told to end may take a moment, seconds and times."""
SHOWN = 200
"""So much of what was expected is told to people, characters."""


@dataclass(frozen=True)
class Before:
    """How a task stood when the agent came."""

    layer: Layer | None
    """The files; None where no check needs them."""
    programs: Sequence[Running] = ()
    """What the task's `start` had started."""


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
            told = answer.strip() if match.strip else answer
            async with _Checker(self) as checker:
                argv = [PYTHON, "-I", "-S", "-c", SEARCH, match.regex, told]
                found = (await checker.once(argv)).status == 0
        else:
            found = scoring.matches(answer, match.answer, match.regex, match.strip)
        return Verdict(found, "" if found else "the answer does not match", match.answer or match.regex)

    async def _chain(self, task: OsTask, answer: str | None, sandbox: Sandbox, first: Before) -> Verdict:
        told = [str(answer)]
        expected: str | None = None
        async with _Checker(self, sandbox) as left:
            for number, check in enumerate(task.check, start=1):
                if isinstance(check, Named):
                    if not scoring.CHECKS[check.name](told[0], told[1] if len(told) > 1 else ""):
                        return Verdict(False, f"{check.name} says no", expected)
                    told.append("")
                    continue
                if isinstance(check, Example):
                    result = await self._example(task, told, first, left)
                    expected = result.output[:SHOWN] if expected is None else expected
                else:
                    result = await left.script(check, told)
                if result.ended != "exit" or result.status != 0:
                    why = f"check {number} ended with {result.ended} {result.status}: {result.errors[:SHOWN]}"
                    return Verdict(False, why, expected)
                told.append(result.output)
        return Verdict(True, expected=expected)

    async def _example(self, task: OsTask, told: list[str], first: Before, left: "_Checker") -> Result:
        """What the example prints where the agent has not been; where it needs what the agent did, there."""
        assert task.example is not None
        if first.layer is not None:
            async with _Checker(self, layer=first.layer, start=task.start) as before:
                result = await before.script(task.example, told)
            if result.status == 0 and result.output.strip():
                return result
        return await left.script(task.example, told)


class _Checker:
    """A sandbox for checks, made when it is first needed: a copy of another one, or empty."""

    def __init__(
        self,
        grader: Grader,
        of: Sandbox | None = None,
        layer: Layer | None = None,
        start: Script | None = None,
    ) -> None:
        self._grader = grader
        self._of = of
        self._layer = layer
        self._start = start
        self._sandbox: Sandbox | None = None

    async def __aenter__(self) -> "_Checker":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sandbox is not None:
            await self._sandbox.close()

    async def script(self, script: Script, told: Sequence[str]) -> Result:
        """Run a script as AgentBench calls it."""
        told = [word.replace("\0", "") for word in told]
        if script.language == "python":
            return await self.once([PYTHON, "-I", "-S", "-c", script.code, *told])
        if script.language == "bash":
            return await self.once([BASH, "-c", script.code, "--", *told])
        return await self._compiled(script, told)

    async def once(self, argv: Sequence[str]) -> Result:
        """Run a program by itself, with a checker's environment."""
        if self._sandbox is None:
            self._sandbox = await self._made()
        return await self._sandbox.once(argv, self._grader.seconds, trusted_environ())

    async def _made(self) -> Sandbox:
        layer = await self._of.pack() if self._of is not None else self._layer
        # What is put back is newer than it was, and checks count files by date: not where no agent has been.
        kind = Kind.CHECKER if self._layer is None else Kind.EXAMPLE
        sandbox = await Sandbox.start(self._grader.how, layer, kind, self._grader.nursery)
        if self._start is not None:
            await sandbox.launch([BASH, "-c", self._start.code])
        return sandbox

    async def _compiled(self, script: Script, told: Sequence[str]) -> Result:
        compiler, source = COMPILERS[script.language], f"/run/check.{SUFFIXES[script.language]}"
        write = (
            f'[ -x {compiler} ] || exit 127; printf %s "$1" > {source} && {compiler} -o /run/check {source}'
        )
        made = await self.once([BASH, "-c", write, "--", script.code])
        if made.status == 127:
            raise EngineUnavailableError(f"A check is written in {script.language}: install gcc and g++.")
        return made if made.status else await self.once(["/run/check", *told])


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
