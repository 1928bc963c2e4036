"""AgentBench's database tasks behind the session server."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envs.dbbench import actions, scoring
from envs.dbbench.engines.mysql_engine import MysqlEngine
from envs.dbbench.engines.port import Engine
from envs.dbbench.engines.shown import CUT
from envs.dbbench.engines.sqlite_engine import SqliteEngine
from envs.dbbench.grammar import render_grammar
from envs.dbbench.settings import DbSettings, EngineKind
from envs.dbbench.tasks.questions import Question, RecordError, from_inline, read_official
from envs.dbbench.tasks.table import make_table
from envs.dbbench.tasks.wiki.sources import SourceError
from envs.serving.environment import BadTaskError, Frame, Opening
from envs.serving.instances import Instances
from envs.serving.tasks import TaskTable
from services.contracts.session import DoneMeans, Fork, Metadata, TerminalAction
from services.contracts.task import InlineTask, Task

MAX_STEPS = 15
"""AgentBench's limit of rounds for databases."""
SUBMITTED = "The answer was submitted."


@dataclass(frozen=True, slots=True)
class _Instance:
    question: Question
    label: tuple[str | None, ...]


class DbEnvironment:
    """A database a session, and the question that it is to answer.

    Args:
        settings: What the server reads from its environment variables.
        engine: What runs SQL; by default the one in the settings.
    """

    def __init__(self, settings: DbSettings, engine: Engine | None = None) -> None:
        self._settings = settings
        self._tasks = make_table({}, settings.dbbench_generated, settings.dbbench_seed)
        self._trouble: str | None = None
        self._instances: Instances[_Instance] = Instances("database")
        self.engine: Engine = engine or _engine(settings)

    @property
    def metadata(self) -> Metadata:
        """What the database tasks are and how they are played."""
        return Metadata(
            name="dbbench",
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
            engine=self.engine.name,
        )

    async def open(self) -> None:
        """Read the official records and the sources, where there are any, and start the engine."""
        try:
            self._tasks = await asyncio.to_thread(self._read_tasks)
        except (RecordError, SourceError, OSError) as error:
            self._trouble = str(error)
        await self.engine.open()

    async def close(self) -> None:
        """Stop the engine; its databases go with it."""
        self._instances.clear()
        await self.engine.close()

    async def ready(self) -> str | None:
        """None where sessions can be started; else what is wrong with the data or the engine."""
        return self._trouble or await self.engine.trouble()

    def count(self, split: str) -> int:
        """How many tasks a split has."""
        return self._tasks.count(split)

    async def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position."""
        return await asyncio.to_thread(self._tasks.page, split, start, stop)

    async def task(self, task_id: str) -> Task:
        """One task."""
        return self._tasks.task(task_id)

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Make the tables. There is no chance in them: the seed changes nothing."""
        question = from_inline(task) if isinstance(task, InlineTask) else self._tasks.find(task.id)
        label = await self._label(question, inline=isinstance(task, InlineTask))
        handle = await self.engine.create(question.tables)
        self._instances.put(handle, _Instance(question, label))
        return Opening(handle, Frame(question.shown), question.text)

    async def step(self, handle: str, action: str) -> Frame:
        """Run one statement, or take the answer."""
        instance = self._instances.get(handle)
        parsed = actions.parse(action)
        if parsed is None:
            return Frame(actions.HELP, valid=False)
        if parsed.verb == actions.EMPTY:
            return Frame(actions.EMPTY_ANSWER, valid=False)
        if parsed.verb == actions.ANSWER:
            return await self._judged(handle, instance, parsed.text)
        outcome = await self.engine.run(handle, parsed.text)
        return Frame(outcome.text, valid=outcome.ok)

    async def fork(self, handle: str) -> str:
        """A copy of the database as it is now."""
        instance = self._instances.get(handle)
        copy = await self.engine.fork(handle)
        self._instances.put(copy, instance)
        return copy

    async def end(self, handle: str) -> None:
        """Drop the database."""
        self._instances.pop(handle)
        await self.engine.end(handle)

    def grammar(self, handle: str) -> str:
        """Return the language of a database's actions, of its tables' and columns' names."""
        return render_grammar(self._instances.get(handle).question.tables)

    def normalise(self, observation: str) -> str:
        """Two runs show the same text."""
        return observation.strip()

    def _read_tasks(self) -> TaskTable[Question]:
        settings = self._settings
        official = read_official(settings.agentbench_data) if settings.agentbench_data else {}
        return make_table(
            official,
            settings.dbbench_generated,
            settings.dbbench_seed,
            settings.dbbench_sources,
            settings.dbbench_sourced,
        )

    async def _judged(self, handle: str, instance: _Instance, answer: str) -> Frame:
        question = instance.question
        info: dict[str, Any] = {"kind": question.kind, "answer": answer}
        if question.changes:
            expected = question.checksums or await self._expected(question)
            cut = scoring.LONGEST_HASH if question.checksums else None
            found = await self._checksums(handle, question, cut)
            info |= {"checksums": found, "expected": expected}
            right, end = found == expected, str(found)
        else:
            info["label"] = instance.label
            right, end = scoring.correct(answer, instance.label), " ".join(answer.lower().split())
        return Frame(SUBMITTED, reward=float(right), done=True, outcome=end, info=info)

    async def _label(self, question: Question, *, inline: bool) -> tuple[str | None, ...]:
        """What an answer is compared with; a client's statement is tried before the session starts.

        Raises:
            BadTaskError: It does not run, or its answer is too long to be compared.
        """
        if not inline or not question.sql or (question.label and not question.changes):
            return question.label or ()
        handle = await self.engine.create(question.tables)
        try:
            outcome = await self.engine.run(handle, question.sql)
        finally:
            await self.engine.end(handle)
        if not outcome.ok or outcome.text.endswith(CUT):
            raise BadTaskError(f"data.sql does not answer: {outcome.text[:300]}")
        return () if question.changes else tuple(scoring.answers(outcome.text))

    async def _expected(self, question: Question) -> tuple[str, ...]:
        """The checksums after the gold statement, on a fresh copy."""
        handle = await self.engine.create(question.tables)
        try:
            await self.engine.run(handle, question.sql)
            return await self._checksums(handle, question, None)
        finally:
            await self.engine.end(handle)

    async def _checksums(self, handle: str, question: Question, cut: int | None) -> tuple[str, ...]:
        found: list[str] = []
        for table in question.tables:
            rows = await self.engine.contents(handle, table)
            found.append("" if rows is None else await asyncio.to_thread(scoring.digest, rows, cut))
        return tuple(sorted(found))


def _engine(settings: DbSettings) -> Engine:
    return MysqlEngine(settings) if settings.dbbench_engine is EngineKind.MYSQL else SqliteEngine(settings)
