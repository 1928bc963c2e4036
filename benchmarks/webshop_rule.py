"""WebShop by a rule, beside which an agent's reward is to be read: `python -m benchmarks.webshop_rule`.

Searches for the instruction's words, opens the first result, chooses what is wanted and buys.
"""

from collections.abc import Generator

from benchmarks.rules import play_with, run_rule
from envs.webshop.environment import WebshopEnvironment
from envs.webshop.expert import FirstHit
from envs.webshop.settings import WebshopSettings


def buy_first_hit(observation: str, instruction: str) -> Generator[str, str, None]:
    """Return the rule as a player."""
    return FirstHit(observation, instruction).play()


if __name__ == "__main__":
    rewards = play_with(lambda: WebshopEnvironment(WebshopSettings()), buy_first_hit)
    run_rule(__doc__, rewards, split="held_out", limit=40)
