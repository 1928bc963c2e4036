"""TextWorld as a comparison of engines plays it: one game at a time, with its admissible commands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Reference:
    """TextWorld with one game loaded.

    Args:
        cache: Where the cut library is kept.
        quick: Derive a command of the grammar once a game. Commands name things and need facts that
            never change, so that they are the same at every step.
    """

    def __init__(self, cache: Path, quick: bool) -> None:
        import textworld
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
        from textworld.envs.pddl import PddlEnv

        from envs.alfworld.textworld import shortcuts

        shortcuts.install(cache)
        self._infos = textworld.EnvInfos(won=True)
        self._engine: Any = AlfredDemangler(PddlEnv(self._infos), shuffle=False)
        self._quick = quick
        self._state: Any = None

    def load(self, game: dict[str, Any]) -> None:
        """Load a game's data."""
        self._engine.load(game)
        if self._quick:
            _remember_commands(self._engine.unwrapped._logic.grammar)

    def reset(self) -> str:
        """Start the game again; its first text."""
        self._state = self._engine.reset()
        return self._state["feedback"]

    def step(self, command: str) -> str:
        """Take one action; its text."""
        self._state, _, _ = self._engine.step(command)
        return self._state["feedback"]

    def expert(self, path: Path, commands: int) -> Iterator[str]:
        """Start again, and play as alfworld's hand-coded expert does, step by step, until it gives up.

        Args:
            path: The official game's file; its trajectory beside it holds the task.
            commands: The most commands.
        """
        from alfworld.agents.expert import HandCodedAgentFailed, HandCodedAgentTimeout, HandCodedTWAgent

        self._infos.facts = True
        try:
            agent: Any = HandCodedTWAgent(max_steps=commands)
            agent.reset(str(path))
            agent.observe(self.reset())
            command = "look"
            for _ in range(commands):
                yield command
                command = agent.act(self._state, 0, self.won, command)
                if command not in self.admissible_commands:
                    command = "look"
                if self.won:
                    return
        except (HandCodedAgentTimeout, HandCodedAgentFailed):
            return
        finally:
            self._infos.facts = False

    @property
    def admissible_commands(self) -> list[str]:
        """Every command that is possible now."""
        return self._state["admissible_commands"]

    @property
    def won(self) -> bool:
        """Whether the goal is reached."""
        return bool(self._state["won"])


def _remember_commands(grammar: Any) -> None:
    derive = grammar.derive
    kept: dict[tuple[str, frozenset[tuple[str, str]]], str] = {}

    def remembered(start: str, context: Any) -> str:
        if start.startswith("#"):
            return derive(start, context)
        key = start, frozenset((holder.name, what.name) for holder, what in context["mapping"].items())
        if key not in kept:
            kept[key] = derive(start, context)
        return kept[key]

    grammar.derive = remembered
