"""The budget of one branch: a share of its parent's, subtracted when the branch is opened."""

import time
from dataclasses import dataclass, field

from services.contracts.event_data import Share, Spent
from services.contracts.usage import Usage


@dataclass
class Ledger:
    """What a branch may spend, has spent, and has given to branches below it."""

    share: Share
    deadline: float | None
    """Unix seconds."""
    calls: int = 0
    tokens: int = 0
    lent: dict[str, Share] = field(default_factory=dict[str, Share])
    """Shares of branches below that have not closed."""

    def add(self, usage: Usage) -> None:
        """Count a call's cost."""
        self._add(count_spent(usage))

    def find_exhausted(self, calls: int = 1) -> str:
        """Return which limit leaves no room for so many model calls; empty where none does."""
        left = self.left()
        if left.calls is not None and left.calls < calls:
            return "model_calls"
        if left.tokens is not None and left.tokens <= 0:
            return "tokens"
        return "seconds" if self.late() else ""

    def late(self) -> bool:
        """Return whether the time is over."""
        return self.deadline is not None and time.time() >= self.deadline

    def left(self) -> Share:
        """Return what is left: the share without what was spent and what is lent."""
        return Share(
            calls=_subtract(self.share.calls, self.calls, [share.calls for share in self.lent.values()]),
            tokens=_subtract(self.share.tokens, self.tokens, [share.tokens for share in self.lent.values()]),
        )

    def divide(self, parts: int) -> Share:
        """Return one part in so many of what is left."""
        left = self.left()
        return Share(
            calls=None if left.calls is None else max(0, left.calls) // parts,
            tokens=None if left.tokens is None else max(0, left.tokens) // parts,
        )

    def lend(self, branch: str, share: Share) -> None:
        """Give a share to a branch below."""
        self.lent[branch] = share

    def settle(self, branch: str, spent: Spent) -> None:
        """Take back what a branch that closed has left of its share."""
        if self.lent.pop(branch, None) is not None:
            self._add(spent)

    def spent(self) -> Spent:
        """Return what was spent."""
        return Spent(calls=self.calls, tokens=self.tokens)

    def _add(self, spent: Spent) -> None:
        self.calls += spent.calls
        self.tokens += spent.tokens


def count_spent(usage: Usage) -> Spent:
    """Return what model calls take from a budget."""
    return Spent(calls=usage.calls, tokens=usage.prompt_tokens + usage.completion_tokens)


def _subtract(limit: int | None, spent: int, lent: list[int | None]) -> int | None:
    return None if limit is None else limit - spent - sum(share or 0 for share in lent)
