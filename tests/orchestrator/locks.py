"""A lock: an environment that only one sequence of actions opens, and the roles that play it."""

from collections.abc import Callable

from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import Context
from services.contracts.session import SessionState
from services.orchestrator.environments import Timed
from services.orchestrator.twins import ScriptedEnvironment

ACTIONS = {"l": "left", "r": "right"}


class Lock(ScriptedEnvironment):
    """The end comes after as many steps as the key has; it is success if they were the key.

    Actions other than `left` and `right` are refused, and count as steps.
    """

    key = "lrl"
    most_open = 0

    def _state(self, session: str) -> SessionState:
        self.most_open = max(self.most_open, len(self.corridors))
        actions = self.corridors[session].actions
        state = super()._state(session)
        reward = float(spell(actions) == self.key)
        return state.model_copy(
            update={
                "observation": f"Turned {spell(actions) or 'nothing'}.",
                "done": len(actions) >= len(self.key),
                "reward": reward,
            }
        )

    async def step(self, session: str, action: str, key: str, epoch: int) -> Timed:
        timed = await super().step(session, action, key, epoch)
        valid = action in ACTIONS.values()
        return Timed(timed.state.model_copy(update={"valid": valid}), timed.seconds)


def spell(actions: list[str]) -> str:
    """Return actions as letters."""
    return "".join(action[0] for action in actions)


def follow(context: Context) -> str:
    """Return a path's actions as letters."""
    return spell([turn.action for turn in context.turns])


def propose(*letters: str) -> Callable[[ActionRequest], list[Candidate]]:
    """Return an actor that takes the first letter greedily and samples all of them."""

    def act(request: ActionRequest) -> list[Candidate]:
        chosen = letters[: request.n]
        return [Candidate(action=ACTIONS.get(one, one), thought="so", well_formed=True) for one in chosen]

    return act
