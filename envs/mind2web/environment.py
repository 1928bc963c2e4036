"""Mind2Web behind the session server."""

import asyncio
import itertools
import math
from collections.abc import Sequence

from envs.mind2web import actions, official, view
from envs.mind2web.record import Record
from envs.mind2web.rounds import PER_ROUND, Rounds
from envs.mind2web.scoring import judge
from envs.mind2web.settings import Mind2webSettings
from envs.mind2web.tasks import Mind2webTasks
from envs.serving.environment import BadTaskError, Frame, InstanceLostError, Opening
from services.contracts.session import DoneMeans, Fork, Metadata, TerminalAction
from services.contracts.task import InlineTask, Task

SLACK = 2
"""Steps beyond the rounds of the longest choice: an answer that was not understood costs one."""


class Mind2webEnvironment:
    """Mind2Web in memory. A step takes well under a millisecond, so that it runs where it is asked for."""

    def __init__(self, settings: Mind2webSettings) -> None:
        self._settings = settings
        self._tasks = Mind2webTasks({}, settings.mind2web_generated)
        self._trouble: str | None = "the records are not read yet"
        self._instances: dict[str, Rounds] = {}
        self._handles = itertools.count(1)

    @property
    def metadata(self) -> Metadata:
        """What Mind2Web is and how it is played."""
        rounds = math.ceil((self._tasks.most_candidates() - 1) / (PER_ROUND - 1))
        return Metadata(
            name="mind2web",
            version="1",
            fork=Fork.NATIVE,
            done_means=DoneMeans.END,
            terminal_action=TerminalAction.NONE,
            splits=self._tasks.splits(),
            max_steps=rounds + SLACK,
            description=actions.DESCRIPTION,
            actions=actions.LANGUAGE,
            engine="offline",
        )

    async def open(self) -> None:
        """Read the recorded steps, where there are any."""
        self._trouble = None
        folder = self._settings.mind2web_data
        recorded: dict[str, list[Record]] = {}
        if folder is not None:
            try:
                recorded = await asyncio.to_thread(
                    official.read, folder, self._settings.mind2web_top_k, self._settings.mind2web_candidates
                )
            except official.RecordsError as error:
                self._trouble = str(error)
        self._tasks = Mind2webTasks(recorded, self._settings.mind2web_generated)

    async def close(self) -> None:
        """Forget every choice."""
        self._instances.clear()

    async def ready(self) -> str | None:
        """None where choices can be started; else what is wrong with the data."""
        return self._trouble

    def count(self, split: str) -> int:
        """How many tasks a split has."""
        return self._tasks.count(split)

    async def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position."""
        return self._tasks.page(split, start, stop)

    async def task(self, task_id: str) -> Task:
        """One task."""
        return self._tasks.get(task_id)

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Show the first choices; the order of the candidates is drawn from the seed."""
        if isinstance(task, InlineTask):
            raise BadTaskError("Mind2Web takes no inline tasks: a step needs its page and its reference")
        record = self._tasks.record(task.id)
        rounds = Rounds.begin(record, seed)
        if rounds.over:
            raise BadTaskError(f"{task.id} has no candidates")
        text = f"{view.start(record)}\n\n{view.choices(rounds, self._settings.mind2web_page_chars)}"
        return Opening(self._add(rounds), Frame(text), record.task)

    async def step(self, handle: str, action: str) -> Frame:
        """Take one answer; one that is not understood changes nothing."""
        rounds = self._get(handle)
        answer = actions.parse(action)
        following = rounds.answer(answer) if answer else None
        if following is None:
            return Frame(f"{view.NOTE}\n\n{self._shown(rounds)}", valid=False)
        self._instances[handle] = following
        if not following.over:
            return Frame(self._shown(following))
        verdict = judge(following.record, following.pick, following.did)
        info = verdict.info() | {
            "pick": following.pick,
            "did": following.did,
            "wanted": following.record.wanted,
        }
        return Frame("The choice is made.", verdict.reward, done=True, info=info)

    async def fork(self, handle: str) -> str:
        """The handle of a copy. A choice is a value: nothing needs to be copied."""
        return self._add(self._get(handle))

    async def end(self, handle: str) -> None:
        """Let a choice go."""
        self._instances.pop(handle, None)

    def normalise(self, observation: str) -> str:
        """Two runs show the same text."""
        return observation.strip()

    def _shown(self, rounds: Rounds) -> str:
        return view.choices(rounds, self._settings.mind2web_page_chars)

    def _add(self, rounds: Rounds) -> str:
        handle = f"choice-{next(self._handles)}"
        self._instances[handle] = rounds
        return handle

    def _get(self, handle: str) -> Rounds:
        try:
            return self._instances[handle]
        except KeyError:
            raise InstanceLostError(handle) from None
