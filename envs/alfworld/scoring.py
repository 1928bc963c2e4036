"""How the benchmark scores: an episode is a success or not."""

import re

SUCCESS = 1.0
NOTHING = "Nothing happens."
BANNER = "-= Welcome to TextWorld, ALFRED! =-"
TASK = re.compile(r"Your task is to: (?P<task>.+)")


def reward(won: bool) -> float:
    """1 for a reached goal, else 0 (ALFWorld's success rate is its mean)."""
    return SUCCESS if won else 0.0


def valid(observation: str) -> bool:
    """Whether the action was understood and possible."""
    return observation.strip() != NOTHING


def first_observation(text: str) -> str:
    """The first observation without the engine's banner."""
    return text.replace(BANNER, "", 1).strip()


def instruction(text: str) -> str:
    """The task as the first observation states it; empty where it states none."""
    found = TASK.search(text)
    return found["task"].strip() if found else ""
