"""OS by a blind rule, beside which an agent's rate is to be read: `python -m benchmarks.os_interaction_rule`.

Answers 0, whatever the task is.
"""

from collections.abc import Generator

from benchmarks.rules import play_with, run_rule
from envs.os_interaction.environment import OsEnvironment
from envs.os_interaction.settings import OsSettings


def answer_zero(observation: str, instruction: str) -> Generator[str, str, None]:
    """Yield the rule's only action."""
    yield "answer(0)"


if __name__ == "__main__":
    run_rule(__doc__, play_with(lambda: OsEnvironment(OsSettings()), answer_zero), split="dev")
