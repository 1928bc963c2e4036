"""An actor that stumbles on purpose: some of the expert's moves become mistakes that small models make.

With `corrected` it makes data of recovery without a model (noise injection: Laskey and others, 2017).
"""

import random

from envs.alfworld.expert import kind, names
from services.contracts.action import ActionRequest, Actions, Candidate
from services.contracts.context import Context
from training.construct.experts import Guide, Move, UnknownEnvironmentError, play_moves

SHARE = 0.3
"""Of the moves, so many are mistakes."""


class Stumbler:
    """ALFWorld's expert, unsteady.

    Args:
        guide: Makes the expert.
    """

    def __init__(self, guide: Guide) -> None:
        self._guide = guide

    async def act(self, request: ActionRequest) -> Actions:
        """The next move, right or wrong by the request's seed."""
        context = request.context
        draw = random.Random(request.seed)  # noqa: S311
        expert = self._guide(context.observation, context.task, None)
        for turn in context.turns:
            expert.follow(turn.action, turn.observation)
        move = next(play_moves(expert), Move("I look around.", "look"))
        wrong = mistakes(context, move.thought) if draw.random() < SHARE else []
        thought, action = draw.choice(wrong) if wrong else (move.thought, move.action)
        return Actions(candidates=[Candidate(action=action, thought=thought, well_formed=True)])


def make_stumbler(environment: str, guide: Guide) -> Stumbler:
    """Return an actor that stumbles.

    Raises:
        UnknownEnvironmentError: The mistakes of players are known for ALFWorld alone.
    """
    if environment != "alfworld":
        raise UnknownEnvironmentError(
            f"no expert of {environment!r} stumbles on purpose: name the actor that plays with --actor"
        )
    return Stumbler(guide)


def mistakes(context: Context, thought: str) -> list[tuple[str, str]]:
    """What a hasty player might do here: thoughts and actions, some likelier by standing there twice.

    Args:
        context: An ALFWorld game so far.
        thought: What the expert thinks now.
    """
    places = names(context.observation.partition("Your task is to")[0])
    been = [turn.action.removeprefix("go to ") for turn in context.turns if turn.action.startswith("go to ")]
    made: list[tuple[str, str]] = []
    if been:
        here = been[-1]
        made += [
            (thought, context.turns[-1].action),
            (thought, f"go to {been[0]}"),
            (thought, f"go to {here}"),
        ]
        made += [(thought, f"go to {place}") for place in been[-3:-1]]
        if thought.startswith(("I need a", "I need another")):
            thing = thought.rstrip(".").rpartition(" ")[2]
            made += [(f"Here is a {thing}.", f"take {thing} 1 from {here}")] * 2
        if thought.startswith("I have it. I need a"):
            made += [(f"Here is a {thought.rstrip('.').rpartition(' ')[2]}.", "use desklamp 1")] * 2
        numbers = [int(name.rpartition(" ")[2]) for name in [*places, here] if kind(name) == kind(here)]
        beyond = max(numbers) + 1
        made.append((thought, f"go to {kind(here)} {beyond}"))
    return made
