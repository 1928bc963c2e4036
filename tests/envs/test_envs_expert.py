"""The scripted expert: it reads every official sentence, and it wins by what it sees."""

import pytest

from envs.alfworld.expert import Expert, Goal, Prior, names
from envs.alfworld.goals import KINDS, Kind
from envs.alfworld.houses import LAMP


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_sentence_is_read(kind: Kind, which: int) -> None:
    look = kind.name == "look_at_obj_in_light"
    goal = Goal.parse(kind.sentence(which, "Mug", LAMP if look else "CoffeeMachine"))
    assert goal.thing == "mug"
    assert goal.light == ("desklamp" if look else "")
    assert goal.target == ("" if look else "coffeemachine")
    assert goal.verb == kind.verb
    assert goal.count == kind.count


def test_other_sentences_are_refused() -> None:
    with pytest.raises(ValueError, match="make me a sandwich"):
        Goal.parse("make me a sandwich")


def test_names_are_read_from_observations() -> None:
    text = "You arrive at desk 1. On the desk 1, you see a alarmclock 2, a cd 1, and a desklamp 1."
    assert names(text) == ["alarmclock 2", "cd 1", "desklamp 1"]
    assert names("The drawer 1 is open. In it, you see nothing.") == []
    assert names("Nothing happens.") == []


def test_it_searches_takes_treats_and_places() -> None:
    room = "Looking quickly around you, you see a cabinet 1, a fridge 1, and a shelf 1."
    policy = Expert(room, "cool some apple and put it in cabinet.", Prior.load()).play()
    script = [
        ("go to fridge 1", "You arrive at fridge 1. The fridge 1 is closed."),
        ("open fridge 1", "You open the fridge 1. The fridge 1 is open. In it, you see a apple 2."),
        ("take apple 2 from fridge 1", "You pick up the apple 2 from the fridge 1."),
        ("cool apple 2 with fridge 1", "You cool the apple 2 using the fridge 1."),
        ("go to cabinet 1", "Nothing happens."),
        ("examine cabinet 1", "The cabinet 1 is closed."),
        ("open cabinet 1", "You open the cabinet 1. The cabinet 1 is open. In it, you see nothing."),
        ("move apple 2 to cabinet 1", "You move the apple 2 to the cabinet 1."),
    ]
    action = next(policy)
    for number, (expected, shown) in enumerate(script):
        assert action == expected
        if number + 1 < len(script):
            action = policy.send(shown)
    with pytest.raises(StopIteration):
        policy.send(script[-1][1])


def test_it_gives_up_where_nothing_is_left() -> None:
    policy = Expert("you see a shelf 1.", "put a mug in shelf.", Prior.load()).play()
    assert next(policy) == "go to shelf 1"
    with pytest.raises(StopIteration):
        policy.send("You arrive at shelf 1. On the shelf 1, you see nothing.")
