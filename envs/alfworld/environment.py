"""ALFWorld behind the session server."""

import asyncio
from collections.abc import Sequence

from envs.alfworld import actions, scoring
from envs.alfworld.grammar import Seen, render_grammar
from envs.alfworld.native.engine import NativeEngine
from envs.alfworld.port import Engine
from envs.alfworld.settings import AlfworldSettings, EngineKind
from envs.alfworld.tasks import OfficialGames, make_table
from envs.alfworld.textworld.engine import EngineLimits, EnginePool
from envs.serving.environment import BadTaskError, Frame, InstanceLostError, Opening
from envs.serving.instances import Instances
from services.contracts.session import DoneMeans, Metadata, TerminalAction
from services.contracts.task import InlineTask, Task

MAX_STEPS = 35
"""AgentBench's limit of steps for ALFWorld."""


class AlfworldEnvironment:
    """ALFWorld's text games.

    Args:
        settings: What the server reads from its environment variables.
        engine: What plays the games; by default the one in the settings.
    """

    def __init__(self, settings: AlfworldSettings, engine: EngineKind | None = None) -> None:
        self._settings = settings
        self._tasks = make_table(None, settings.alfworld_generated)
        self.engine = _engine(settings, engine or settings.alfworld_engine)
        self._seen: Instances[Seen] = Instances("seen")
        """What the agent of each game has seen, by the engine's handles."""

    @property
    def metadata(self) -> Metadata:
        """What ALFWorld is and how it is played."""
        return Metadata(
            name="alfworld",
            version="1",
            fork=self.engine.forks,
            done_means=DoneMeans.SUCCESS,
            terminal_action=TerminalAction.NONE,
            splits=self._tasks.splits(),
            max_steps=MAX_STEPS,
            description=actions.DESCRIPTION,
            actions=actions.LANGUAGE,
            engine=self.engine.name,
        )

    async def open(self) -> None:
        """Index the official games, where there are any, and start the engine."""
        data = self._settings.alfworld_data
        if data is not None and data.is_dir():
            official = OfficialGames(data, self._settings.home)
            await asyncio.to_thread(official.scan)
            self._tasks = make_table(official, self._settings.alfworld_generated)
        await self.engine.open()

    async def close(self) -> None:
        """Stop the engine."""
        self._seen.clear()
        await self.engine.close()

    async def ready(self) -> str | None:
        """None where games can be started."""
        return self.engine.trouble()

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
        """Load a game. The engine has no chance in it: the seed changes nothing."""
        if isinstance(task, InlineTask):
            raise BadTaskError("ALFWorld takes no inline tasks")
        handle, text = await self.engine.start(task.id, self._tasks.find(task.id))
        frame = Frame(scoring.first_observation(text))
        self._seen.put(handle, Seen.begin(frame.observation))
        return Opening(handle, frame, scoring.instruction(text) or task.instruction)

    async def step(self, handle: str, action: str) -> Frame:
        """Take one action."""
        try:
            text, won = await self.engine.step(handle, actions.command(action))
        except InstanceLostError:
            self._seen.pop(handle)
            raise
        observation = text.strip()
        self._seen.put(handle, self._seen.get(handle).after(observation))
        return Frame(observation, reward=scoring.reward(won), done=won, valid=scoring.valid(observation))

    async def fork(self, handle: str) -> str:
        """Copy a game under way, where the engine can."""
        try:
            copy = await self.engine.fork(handle)
        except InstanceLostError:
            self._seen.pop(handle)
            raise
        self._seen.put(copy, self._seen.get(handle))
        return copy

    async def end(self, handle: str) -> None:
        """Let a game go."""
        self._seen.pop(handle)
        await self.engine.end(handle)

    def grammar(self, handle: str) -> str:
        """Return the language of a game's actions, of the names that its agent has seen."""
        return render_grammar(self._seen.get(handle))

    def normalise(self, observation: str) -> str:
        """Two runs show the same text; only blanks at the ends do not count."""
        return observation.strip()


def _engine(settings: AlfworldSettings, kind: EngineKind) -> Engine:
    if kind is EngineKind.NATIVE:
        return NativeEngine()
    return EnginePool(
        settings.home.absolute(),
        EngineLimits(
            workers=settings.alfworld_workers,
            episodes=settings.alfworld_worker_episodes,
            memory=settings.alfworld_worker_memory,
            call_timeout=settings.alfworld_call_timeout,
        ),
    )
