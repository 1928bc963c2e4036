"""Methods: what an orchestrator can play."""

from typing import Any

from services.contracts.base import Message
from services.contracts.episode import Feedback


class MethodInfo(Message):
    """An entry of `GET /v1/methods`."""

    name: str
    version: str
    uses: list[str]
    """Which of num_branch, num_path, num_subtasks and the thresholds it uses."""
    feedback: list[Feedback]
    """What it can make use of."""
    params: dict[str, Any]
    """Its own parameters by name, each as a JSON schema."""
