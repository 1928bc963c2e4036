"""Mind2Web's figures of one step, as AgentBench has them (`src/server/tasks/mind2web/task.py`).

The reward is step success: the right element, and operation and value word for word. Element accuracy and
operation F1 stand beside it.
"""

from dataclasses import dataclass
from typing import Any

from envs.mind2web.record import Record


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is worth."""

    element: bool
    """Whether the element is one of the right ones."""
    operation_f1: float
    """Over the words of operation and value, 0 to 1."""

    @property
    def reward(self) -> float:
        """1 for a step that succeeds, else 0."""
        return float(self.element and self.operation_f1 >= 1.0)

    def info(self) -> dict[str, Any]:
        """The parts, under AgentBench's names."""
        return {"element_acc": float(self.element), "action_f1": self.operation_f1, "step_sr": self.reward}


def judge(record: Record, element: str, did: str) -> Verdict:
    """Score an answer.

    Args:
        record: The step.
        element: The id of the element that was picked; empty for none.
        did: The operation and its value, `TYPE san diego`.
    """
    if not record.right or not element:
        return Verdict(element=False, operation_f1=0.0)
    return Verdict(element in record.right, f1(did, record.wanted))


def f1(given: str, wanted: str) -> float:
    """F1 over two texts' sets of words; 1 where both are empty."""
    left, right = set(given.split()), set(wanted.split())
    if not left and not right:
        return 1.0
    both = len(left & right)
    return 2 * both / (len(left) + len(right)) if both else 0.0
