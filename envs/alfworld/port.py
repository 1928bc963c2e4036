"""The port of an engine: what plays ALFWorld's games. `native/` and `textworld/` are the two."""

from typing import Any, Protocol

from services.contracts.session import Fork


class Engine(Protocol):
    """Games under way, by handle. All coroutines may be cancelled at any await."""

    @property
    def name(self) -> str:
        """The engine and its version, for `/metadata`."""
        ...

    @property
    def forks(self) -> Fork:
        """How a game under way is copied."""
        ...

    async def open(self) -> None:
        """Get ready to play."""
        ...

    async def close(self) -> None:
        """Let everything go."""
        ...

    def trouble(self) -> str | None:
        """Why no game can be started; None where one can."""
        ...

    async def start(self, key: str, game: dict[str, Any]) -> tuple[str, str]:
        """Load a game.

        Args:
            key: Names the game; equal keys are equal games.
            game: `{path}` of an official one, or `{split, number}` of a generated one.

        Returns:
            The instance's handle and the engine's first text.

        Raises:
            BadTaskError: This engine does not play such a game.
            EngineUnavailableError: No game can be started now.
            InstanceLostError: The game could not be loaded.
        """
        ...

    async def step(self, handle: str, command: str) -> tuple[str, bool]:
        """Take one action; the engine's text, and whether the goal is reached.

        Raises:
            InstanceLostError: The instance is gone.
        """
        ...

    async def fork(self, handle: str) -> str:
        """Return the handle of a copy; called only where `forks` is native.

        Raises:
            InstanceLostError: The instance is gone.
        """
        ...

    async def end(self, handle: str) -> None:
        """Let an instance go; a handle that is not known is no error."""
        ...
