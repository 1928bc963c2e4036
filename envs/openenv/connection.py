"""One WebSocket to an OpenEnv server: it keeps one episode, which goes with it."""

import json
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from envs.serving.environment import EngineUnavailableError, InstanceLostError

MAX_MESSAGE = 4_000_000
"""Bytes of one answer; a longer one ends the connection."""
REFUSALS = frozenset(("VALIDATION_ERROR", "EXECUTION_ERROR", "INVALID_JSON"))
"""Error codes after which the episode goes on."""


class RefusedActionError(Exception):
    """The server did not take an action; the message is its own."""


@dataclass(frozen=True)
class Answer:
    """What a server answers to `reset` and `step`."""

    observation: dict[str, Any] = field(default_factory=dict[str, Any])
    reward: float | None = None
    done: bool = False


class Connection:
    """A connection with its episode.

    Args:
        socket: The open WebSocket.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, url: str, timeout: float) -> "Connection":
        """Connect.

        Raises:
            EngineUnavailableError: The server is away.
        """
        address = url.rstrip("/").replace("http", "ws", 1) + "/ws"
        try:
            return cls(await connect(address, open_timeout=timeout, close_timeout=2, max_size=MAX_MESSAGE))
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            raise EngineUnavailableError(f"the OpenEnv server at {url} is not reached: {error!r}") from error

    async def reset(self, seed: int) -> Answer:
        """Begin an episode.

        Raises:
            EngineUnavailableError: The server has no room or cannot begin.
            InstanceLostError: The connection broke.
        """
        try:
            return await self._call({"type": "reset", "data": {"seed": seed}})
        except RefusedActionError as error:
            raise EngineUnavailableError(f"the OpenEnv server does not begin an episode: {error}") from error

    async def step(self, action: dict[str, Any]) -> Answer:
        """Take one action.

        Raises:
            RefusedActionError: It was not taken; the episode goes on.
            InstanceLostError: The connection broke, or the server lost the episode.
        """
        return await self._call({"type": "step", "data": action})

    async def close(self) -> None:
        """Leave; the server lets the episode go."""
        await self._socket.close()

    async def _call(self, message: dict[str, Any]) -> Answer:
        try:
            await self._socket.send(json.dumps(message))
            received = json.loads(await self._socket.recv())
            kind, data = received["type"], received["data"]
            if kind == "error":
                refused = RefusedActionError(str(data.get("message", "no words")))
                raise refused if data.get("code") in REFUSALS else InstanceLostError(str(data))
            reward = data.get("reward")
            return Answer(
                dict(data["observation"]), None if reward is None else float(reward), bool(data.get("done"))
            )
        except (WebSocketException, OSError) as error:
            raise InstanceLostError(f"the connection to the OpenEnv server broke: {error!r}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InstanceLostError(f"the OpenEnv server answered out of form: {error!r}") from error
