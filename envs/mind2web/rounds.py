"""The multiple choice: five candidates a round, the pick comes again, until one is left (AgentBench).

A state is a value that never changes: an answer makes the next one, and its copy is the state itself.
"""

import random
from dataclasses import dataclass, replace

from envs.mind2web.actions import LETTERS, Answer
from envs.mind2web.record import Record

PER_ROUND = len(LETTERS) - 1


@dataclass(frozen=True)
class Rounds:
    """Where a choice stands."""

    record: Record
    shown: tuple[str, ...]
    """Ids of the candidates of this round."""
    waiting: tuple[str, ...]
    """Ids that come later; picks stand at the end."""
    number: int = 1
    pick: str = ""
    """The last candidate that was picked; empty: none yet."""
    did: str = ""
    """What was to be done with it: operation and value."""
    over: bool = False

    @classmethod
    def begin(cls, record: Record, seed: int) -> "Rounds":
        """The first round; candidates in an order drawn from the seed."""
        ids = [element.id for element in record.candidates]
        random.Random(f"mind2web/{record.id}/{seed}").shuffle(ids)  # noqa: S311
        return cls(record, tuple(ids[:PER_ROUND]), tuple(ids[PER_ROUND:]), over=not ids)

    def answer(self, answer: Answer) -> "Rounds | None":
        """The state after an answer; None where its letter is not among the choices."""
        pick, did, waiting = self.pick, self.did, self.waiting
        if answer.letter != "A":
            position = LETTERS.index(answer.letter) - 1
            if position >= len(self.shown):
                return None
            pick, did = self.shown[position], answer.did
            waiting = (*waiting, pick)
        # One that was picked before has nothing left to be compared with; one never seen has to be shown.
        if not waiting or (len(waiting) == 1 and waiting[0] == pick):
            return replace(self, shown=(), waiting=(), pick=pick, did=did, over=True)
        return replace(
            self,
            shown=waiting[:PER_ROUND],
            waiting=waiting[PER_ROUND:],
            number=self.number + 1,
            pick=pick,
            did=did,
        )
