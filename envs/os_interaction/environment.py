"""AgentBench's OS task behind the session server: bash in a sandbox."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from envs.os_interaction import actions, text
from envs.os_interaction.actions import Bash, Invalid, Submit
from envs.os_interaction.grading import BASH, PYTHON, Before, Grader
from envs.os_interaction.grammar import GRAMMAR
from envs.os_interaction.sandbox.answers import Result, Running
from envs.os_interaction.sandbox.base import Base
from envs.os_interaction.sandbox.cgroups import Groups
from envs.os_interaction.sandbox.limits import MIB, Limits
from envs.os_interaction.sandbox.nursery import Nursery
from envs.os_interaction.sandbox.sandbox import Layer, RefusedError, Sandbox, Start
from envs.os_interaction.settings import OsSettings
from envs.os_interaction.tasks import official
from envs.os_interaction.tasks.reading import read_tasks
from envs.os_interaction.tasks.table import Example, OsTask, Script, make_table
from envs.serving.environment import BadTaskError, EngineUnavailableError, Frame, InstanceLostError, Opening
from envs.serving.instances import Instances
from envs.serving.tasks import TaskTable
from services.contracts.session import DoneMeans, Fork, Metadata, TerminalAction
from services.contracts.task import InlineTask, Task

MAX_STEPS = 8
"""AgentBench's limit of rounds for OS."""
FIRST = "You are in {folder} on a Linux machine."
BROKEN = "[The command could not be run.]"
SUBMITTED = "The task has ended."
SETTLE, SETTLE_TRIES = 0.05, 20
"""What programs in the background have to begin, seconds and times."""
INLINE_KEYS = frozenset(("create", "start", "evaluation", "labels"))
log = structlog.get_logger()


@dataclass
class _Instance:
    task: OsTask
    sandbox: Sandbox
    before: Before
    notes: dict[str, Any] = field(default_factory=dict)
    """For people: shown once, with the next step."""


class OsEnvironment:
    """Bash sessions, each in a sandbox of its own.

    Args:
        settings: What the server reads from its environment variables.
    """

    def __init__(self, settings: OsSettings) -> None:
        self._settings = settings
        self._tasks = make_table({})
        self._data_trouble: str | None = None
        self._trouble: str | None = "the server is not open yet"
        self._left_out = ""
        self._limits = Limits.of(settings)
        self._how = Start(Base.read(), self._limits)
        self._nursery = Nursery(settings.os_spares, limits=self._limits)
        self._grader = Grader(self._how, settings.os_check_timeout, self._nursery)
        self._instances: Instances[_Instance] = Instances("machine")

    @property
    def metadata(self) -> Metadata:
        """What the environment is and how it is played."""
        return Metadata(
            name="os_interaction",
            version="1",
            fork=Fork.NATIVE,
            done_means=DoneMeans.END,
            terminal_action=TerminalAction.REQUIRED,
            terminal_example=actions.TERMINAL,
            splits=self._tasks.splits(),
            takes_tasks=True,
            max_steps=MAX_STEPS,
            description=actions.DESCRIPTION,
            actions=actions.LANGUAGE,
            engine=f"Linux namespaces, {self._nursery.groups.describe()}{self._left_out}",
        )

    async def open(self) -> None:
        """Index the tasks, and try whether sandboxes can be made."""
        self._nursery.groups = await asyncio.to_thread(Groups.find, self._settings.os_cgroup)
        if not self._nursery.groups.bases:
            log.warning("Sandboxes have no control groups", reason=self._nursery.groups.trouble)
        self._tasks = await asyncio.to_thread(self._read_tasks)
        await self._probe()

    async def close(self) -> None:
        """End every sandbox."""
        ending = [instance.sandbox.close() for instance in self._instances.clear()]
        await asyncio.gather(*ending, self._nursery.close(), return_exceptions=True)

    async def ready(self) -> str | None:
        """None where sandboxes can be made; else what to do."""
        if self._trouble is not None:
            await self._probe()
        return self._trouble or self._data_trouble

    def count(self, split: str) -> int:
        """How many tasks a split has."""
        return self._tasks.count(split)

    async def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position."""
        return self._tasks.page(split, start, stop)

    async def task(self, task_id: str) -> Task:
        """One task."""
        return self._tasks.task(task_id)

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Make a machine and prepare it. There is no chance in it: the seed changes nothing."""
        whole = _inline(task) if isinstance(task, InlineTask) else self._tasks.find(task.id)
        sandbox = await Sandbox.start(self._how, nursery=self._nursery)
        try:
            before, notes = await self._prepare(whole, sandbox)
        except BaseException as error:
            sandbox.kill()
            if isinstance(error, RefusedError):
                raise BadTaskError(f"`create` leaves a machine that cannot be used: {error}") from error
            raise
        folder = "/root" if whole.user == "root" else f"/home/{whole.user}"
        frame = Frame(FIRST.format(folder=folder), info=notes)
        return Opening(self._instances.add(_Instance(whole, sandbox, before)), frame, whole.instruction)

    async def step(self, handle: str, action: str) -> Frame:
        """Run a script, or take the answer and judge the task."""
        instance = self._instances.get(handle)
        parsed = actions.parse(action)
        info, instance.notes = instance.notes, {}
        if isinstance(parsed, Invalid):
            return Frame(parsed.why, valid=False, info=info)
        if isinstance(parsed, Submit):
            return await self._submit(instance, parsed, info)
        return await self._bash(instance, parsed, info)

    async def fork(self, handle: str) -> str:
        """Copy the files and the shell's state. Running programs are not copied: `start` is run again."""
        parent = self._instances.get(handle)
        try:
            return await self._copied(parent)
        except RefusedError as error:
            raise InstanceLostError(f"no copy can be made: {error}") from error

    async def _copied(self, parent: _Instance) -> str:
        layer = await parent.sandbox.pack()
        alive = {(one.pid, one.born) for one in await parent.sandbox.programs()}
        sandbox = await Sandbox.start(self._how, layer, nursery=self._nursery)
        try:
            programs = await self._launched(parent.task, sandbox)
            before = Before(parent.before.layer, programs, parent.before.changed)
            ended = [one.command for one in parent.before.programs if (one.pid, one.born) not in alive]
            for one in before.programs:
                if one.command in ended:
                    await sandbox.end_program(one)
        except BaseException:
            sandbox.kill()
            raise
        return self._instances.add(_Instance(parent.task, sandbox, before, _not_copied(layer, before)))

    async def end(self, handle: str) -> None:
        """End a sandbox with all that runs in it."""
        instance = self._instances.pop(handle)
        if instance is not None:
            await instance.sandbox.close()

    def grammar(self, handle: str) -> str:
        """Return the language of the actions: the same in every state."""
        return GRAMMAR

    def normalise(self, observation: str) -> str:
        """An observation without process ids, times and the order of lines."""
        return text.normalised(observation)

    async def _bash(self, instance: _Instance, action: Bash, info: dict[str, Any]) -> Frame:
        try:
            result = await instance.sandbox.run(action.script, self._limits.seconds)
        except RefusedError as error:
            return Frame(text.shown("", [BROKEN]), info=info | {"status": None, "ended": str(error)})
        observation = text.shown(result.output, self._notes(result))
        return Frame(observation, info=info | {"status": result.status, "ended": result.ended})

    async def _submit(self, instance: _Instance, action: Submit, info: dict[str, Any]) -> Frame:
        verdict = await self._grader.judge(instance.task, action.answer, instance.sandbox, instance.before)
        notes = {
            "answer": action.answer,
            "success": verdict.success,
            "why": verdict.why,
            "expected": verdict.expected,
        }
        outcome = (action.answer or "").strip()
        return Frame(SUBMITTED, verdict.reward, done=True, outcome=outcome, info=info | notes)

    async def _prepare(self, task: OsTask, sandbox: Sandbox) -> tuple[Before, dict[str, Any]]:
        notes: dict[str, Any] = {}
        for number, script in enumerate(task.init, start=1):
            result = await sandbox.once(_command(script), self._settings.os_check_timeout)
            if result.ended != "exit" or result.status:
                notes[f"init_{number}"] = f"{result.ended} {result.status}: {result.errors[:200]}"
        if task.user != "root":
            home = f"/home/{task.user}"
            known = f"export HOME={home} USER={task.user} LOGNAME={task.user}; cd"
            await sandbox.run(known, self._limits.seconds)
        needed = any(isinstance(check, Example) for check in task.check)
        layer = await sandbox.pack() if needed else None
        scripts = any(isinstance(check, Script) for check in task.check)
        changed = await sandbox.changes() if scripts and task.init else []
        return Before(layer, await self._launched(task, sandbox), changed), notes

    async def _launched(self, task: OsTask, sandbox: Sandbox) -> Sequence[Running]:
        """The programs that the task's `start` starts."""
        if task.start is None:
            return ()
        known = {(one.pid, one.born) for one in await sandbox.programs()}
        argv = _command(task.start)
        await sandbox.launch(argv)
        # A program that is still its parent's copy has the parent's name: a busy machine takes its time.
        name, found = " ".join(argv).strip(), list[Running]()
        for _ in range(SETTLE_TRIES):
            await asyncio.sleep(SETTLE)
            found = [one for one in await sandbox.programs() if (one.pid, one.born) not in known]
            if all(one.command not in ("", name) for one in found):
                break
        return found

    def _notes(self, result: Result) -> list[str]:
        """Return what the agent sees beside what was printed."""
        limits, notes = self._limits, list[str]()
        words = {
            "deadline": f"[The command did not end within {limits.seconds:g} seconds and was stopped.]",
            "output": "[The command printed too much and was stopped.]",
            "memory": f"[All programs were stopped: they used over {limits.memory // MIB} MB of memory.]",
            "cpu": f"[All programs were stopped: they used over {limits.cpu} seconds of CPU time.]",
            "shell": f"[The shell ended with status {result.status}.]",
        }
        if result.spent and result.spent != result.ended:
            notes.append(words[result.spent])
        if result.ended in words:
            notes.append(words[result.ended])
        if result.restarted:
            notes.append("[A new shell was started.]")
        return notes

    async def _probe(self) -> None:
        try:
            sandbox = await Sandbox.start(self._how, nursery=self._nursery)
        except EngineUnavailableError as error:
            self._trouble = str(error)
            return
        try:
            missing = [
                name for name in (BASH, PYTHON) if (await sandbox.once([name, "--version"], 10.0)).status != 0
            ]
            self._trouble = (
                f"{' and '.join(missing)} not found: install bash and python3" if missing else None
            )
        except InstanceLostError as error:
            self._trouble = f"a sandbox was lost while it was tried: {error}"
        finally:
            await sandbox.close()

    def _read_tasks(self) -> TaskTable[OsTask]:
        found = read_tasks(self._settings)
        self._data_trouble, self._left_out = found.trouble or None, found.left_out
        if self._left_out:
            log.warning("Records were left out", records=self._left_out)
        return found.table


def _command(script: Script) -> list[str]:
    if script.language == "python":
        return [PYTHON, "-c", script.code]
    if script.language != "bash":
        raise BadTaskError(f"a script in {script.language} can check a task, but not prepare it")
    return [BASH, "-c", script.code]


def _inline(task: InlineTask) -> OsTask:
    unknown = sorted(set(task.data) - INLINE_KEYS)
    if unknown:
        raise BadTaskError(f"data has {', '.join(unknown)}: it has create, start and evaluation")
    try:
        return official.task({"description": task.instruction} | task.data, None)
    except official.RecordError as error:
        raise BadTaskError(str(error)) from error


def _not_copied(layer: Layer, before: Before) -> dict[str, Any]:
    """What a copy lacks, for people."""
    again = {one.command for one in before.programs}
    notes: dict[str, Any] = {}
    if lost := [command for command in layer.running if command not in again]:
        notes["not_copied"] = f"running programs: {'; '.join(lost)[:500]}"
    if layer.state is None:
        notes["shell_not_copied"] = "the shell did not answer with its variables"
    return notes
