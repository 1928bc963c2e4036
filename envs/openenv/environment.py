"""An OpenEnv server behind the session server: keys, epochs, lifetimes and forks that it has not itself.

OpenEnv keeps one episode a connection and has no fork: a fork is a new connection in which the session server
takes the same actions again.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import httpx

from envs.openenv import schema
from envs.openenv.connection import Answer, Connection, RefusedActionError
from envs.openenv.settings import OpenEnvSettings
from envs.serving.environment import BadTaskError, Frame, InstanceLostError, Opening, UnknownTaskError
from services.contracts.session import DoneMeans, Fork, Metadata, TerminalAction
from services.contracts.task import InlineTask, Task

SPLIT = "seeds"
NUMBER = re.compile(r"(0|[1-9]\d{0,8})")
NO_ACTION = "That is no action here."


class OpenEnvEnvironment:
    """Plays an OpenEnv server over its own WebSocket."""

    def __init__(self, settings: OpenEnvSettings) -> None:
        self._settings = settings
        self._about: dict[str, Any] = {}
        self._actions: dict[str, Any] = {}
        self._connections: dict[str, Connection] = {}
        self._handles = itertools.count(1)

    @property
    def metadata(self) -> Metadata:
        """The server's description of itself, as far as it was read."""
        settings = self._settings
        return Metadata(
            name=settings.openenv_name,
            version=str(self._about.get("version") or "1"),
            fork=Fork.REPLAY,
            done_means=DoneMeans(settings.openenv_done_means),
            terminal_action=TerminalAction.NONE,
            splits=[SPLIT],
            max_steps=settings.openenv_max_steps,
            description=str(self._about.get("description") or ""),
            actions=settings.openenv_actions or schema.language_of(self._actions, self._field),
            engine=f"openenv: {self._about.get('name') or settings.openenv_url}",
        )

    async def open(self) -> None:
        """Read the server's description; `ready` reads that of a server that is away now."""
        await self.ready()

    async def close(self) -> None:
        """Leave every episode."""
        for handle in list(self._connections):
            await self.end(handle)

    async def ready(self) -> str | None:
        """Return None where the server answers; else its error, or that of the connection."""
        url = self._settings.openenv_url
        try:
            async with httpx.AsyncClient(
                base_url=url, timeout=self._settings.openenv_timeout, trust_env=self._settings.use_proxy
            ) as http:
                (await http.get("/health")).raise_for_status()
                if not self._actions:
                    self._about = _object(await http.get("/metadata"))
                    schema = _object(await http.get("/schema"))
                    self._actions = schema.get("action") or {}
        except httpx.HTTPError as error:
            return f"the OpenEnv server at {url} does not answer: {error!r}"
        return None

    def count(self, split: str) -> int:
        """How many seeds are offered."""
        return self._settings.openenv_tasks if split == SPLIT else 0

    async def page(self, split: str, start: int, stop: int) -> Sequence[Task]:
        """Tasks by position: a seed each."""
        return [self._task(number) for number in range(start, min(stop, self.count(split)))]

    async def task(self, task_id: str) -> Task:
        """One seed."""
        split, _, number = task_id.partition("/")
        if split != SPLIT or not NUMBER.fullmatch(number) or int(number) >= self.count(split):
            raise UnknownTaskError(task_id)
        return self._task(int(number))

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Connect and reset with the task's seed; the session's own seed changes nothing."""
        if isinstance(task, InlineTask):
            raise BadTaskError("OpenEnv servers take no inline tasks: a task is a seed")
        await self.ready()
        connection = await Connection.open(self._settings.openenv_url, self._settings.openenv_timeout)
        try:
            first = await connection.reset(int(task.id.partition("/")[2]))
        except BaseException:
            await connection.close()
            raise
        handle = f"episode-{next(self._handles)}"
        self._connections[handle] = connection
        return Opening(handle, _frame(first), self._instruction)

    async def step(self, handle: str, action: str) -> Frame:
        """Take one action; what the server refuses changes nothing and shows its words."""
        connection = self._connections.get(handle)
        if connection is None:
            raise InstanceLostError(handle)
        made = schema.action_of(action, self._field)
        if made is None:
            return Frame(f"{NO_ACTION} {self.metadata.actions}", valid=False)
        try:
            return _frame(await connection.step(made))
        except RefusedActionError as error:
            return Frame(f"{NO_ACTION} {error}", valid=False)

    async def fork(self, handle: str) -> str:
        """Never called: forks are by replay."""
        raise InstanceLostError(handle)

    async def end(self, handle: str) -> None:
        """Leave an episode."""
        connection = self._connections.pop(handle, None)
        if connection is not None:
            await connection.close()

    def normalise(self, observation: str) -> str:
        """As it is: what differs between two runs is not known."""
        return observation

    @property
    def _field(self) -> str:
        return self._settings.openenv_action_field or schema.text_field(self._actions)

    @property
    def _instruction(self) -> str:
        instruction = self._settings.openenv_instruction or self._about.get("description")
        return str(instruction or f"Play {self._settings.openenv_name}.")

    def _task(self, number: int) -> Task:
        return Task(id=f"{SPLIT}/{number}", split=SPLIT, instruction=self._instruction)


def _object(response: httpx.Response) -> dict[str, Any]:
    """A JSON object, or an empty one: a server may lack the page."""
    try:
        value = response.json() if response.is_success else {}
    except ValueError:
        value = {}
    return value if isinstance(value, dict) else {}


def _frame(answer: Answer) -> Frame:
    raw = answer.reward or 0.0
    return Frame(
        schema.text_of(answer.observation),
        reward=min(1.0, max(0.0, raw)),
        done=answer.done,
        info={"reward": answer.reward},
    )
