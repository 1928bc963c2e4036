"""Repetitions: actions that had no effect, and are not taken again while nothing changes.

- An action that the environment refused is a repetition until the environment accepts a step. A step that
  shows what the accepted step before it showed to the same action has changed nothing, and does not count.
- An accepted action that shows an observation that it showed before on the path is a repetition until a step
  shows something new.
"""

from enum import StrEnum

from services.orchestrator.identity import normalise_action


class Repeats(StrEnum):
    """What becomes of candidates that are repetitions."""

    AVOID = "avoid"
    """The next candidate is taken; where all are repetitions, the actor gets one more request."""
    ALLOW = "allow"
    """They are taken like any other."""


class Repetitions:
    """The repetitions of one path, as far as it has been walked."""

    def __init__(self) -> None:
        self._refused: dict[str, str] = {}
        """Actions as they were taken, by their normalised texts."""
        self._looping: dict[str, str] = {}
        """The same."""
        self._shown: set[tuple[str, str]] = set()
        """Every accepted action of the path with what it showed."""
        self._last: tuple[str, str] | None = None
        """The last of them."""

    @property
    def actions(self) -> list[str]:
        """The actions that are not to be taken now."""
        return list({**self._looping, **self._refused}.values())

    def has(self, action: str) -> bool:
        """Return whether an action is a repetition now."""
        name = normalise_action(action)
        return name in self._refused or name in self._looping

    def shows_again(self, action: str, observation: str) -> bool:
        """Return whether an accepted action has shown the same before on the path."""
        return (normalise_action(action), observation) in self._shown

    def add(self, action: str, observation: str, *, valid: bool) -> None:
        """Take in a step: its action, what it showed, and whether the environment accepted it."""
        name = normalise_action(action)
        if not valid:
            self._refused[name] = action
            return
        shown = name, observation
        if shown != self._last:
            self._refused.clear()
        if shown in self._shown:
            self._looping[name] = action
        else:
            self._looping.clear()
        self._shown.add(shown)
        self._last = shown
