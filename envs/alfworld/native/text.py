"""What the native engine reads and shows: commands, and the texts of ALFWorld's `alfred.twl2`."""

import re
from collections.abc import Callable, Mapping, Sequence

from envs.alfworld.native.problem import Problem
from envs.alfworld.native.state import Act, State
from envs.alfworld.scoring import BANNER

HELP = """\
Available commands:
  look:                             look around your current location
  inventory:                        check your current inventory
  go to (receptacle):               move to a receptacle
  open (receptacle):                open a receptacle
  close (receptacle):               close a receptacle
  take (object) from (receptacle):  take an object from a receptacle
  move (object) to (receptacle):  place an object in or on a receptacle
  examine (something):              examine a receptacle or an object
  use (object):                     use an object
  heat (object) with (receptacle):  heat an object using a receptacle
  clean (object) with (receptacle): clean an object using a receptacle
  cool (object) with (receptacle):  cool an object using a receptacle
  slice (object) with (object):     slice an object using a sharp object
"""
FORMS: Mapping[str, str] = {
    "help": "help",
    "inventory": "inventory",
    "look": "look",
    "go": "go to {0}",
    "open": "open {0}",
    "close": "close {0}",
    "take": "take {0} from {1}",
    "move": "move {0} to {1}",
    "use": "use {0}",
    "heat": "heat {0} with {1}",
    "cool": "cool {0} with {1}",
    "clean": "clean {0} with {1}",
    "slice": "slice {0} with {1}",
    "examine": "examine {0}",
}
"""The command of an action, with the names of its arguments."""
BETWEEN: Mapping[str, str] = {
    "take": " from ",
    "move": " to ",
    **dict.fromkeys(("heat", "cool", "clean", "slice"), " with "),
}
"""What stands between the two names of a command."""
ONE = frozenset({"open", "close", "use", "examine"})
ALONE = frozenset({"help", "inventory", "look"})
SPLIT = re.compile(r"(?P<verb>go to|\S+) (?P<rest>.+)", re.DOTALL)


def read(problem: Problem, command: str) -> Act | None:
    """The action that a command names; None where it names none of this game."""
    if command in ALONE:
        return Act(command)
    found = SPLIT.fullmatch(command)
    if found is None:
        return None
    verb, rest = found["verb"], found["rest"]
    ids = problem.ids
    if verb == "go to" or verb in ONE:
        first = ids.get(rest)
        return None if first is None else Act("go" if verb == "go to" else verb, first)
    if verb not in BETWEEN:
        return None
    left, _, right = rest.partition(BETWEEN[verb])
    first, second = ids.get(left), ids.get(right)
    return None if first is None or second is None else Act(verb, first, second)


def command(problem: Problem, act: Act) -> str:
    """The command of an action."""
    names = problem.names
    return FORMS[act.verb].format(names.get(act.first), names.get(act.second))


def opening(state: State) -> str:
    """The first text of a game."""
    first = look(state) if state.near() else _room(list(state.problem.place_of), state)
    return f"{BANNER}\n\n{first}\n\nYour task is to: {state.problem.task}"


def describe_act(state: State, act: Act) -> str:
    """Return the text of an action, once its effects are in the state."""
    return SAYS[act.verb](state, act)


def look(state: State) -> str:
    """Where the agent stands, and what it has shifted here from one receptacle to another."""
    near = state.near()
    if not near:
        return _room([], state)
    shifted = [
        item
        for item, place in sorted(state.facts["objectatlocation"])
        if place == state.here
        for receptacle in near
        if (item, receptacle) in state.removed
    ]
    facing = _listed([state.problem.names[receptacle] for receptacle in near])
    return f"You are facing the {facing}. Next to it, you see {_things(state, shifted)}."


def _room(receptacles: Sequence[str], state: State) -> str:
    seen = _things(state, receptacles)
    return f"You are in the middle of a room. Looking quickly around you, you see {seen}."


def _examined(state: State, act: Act) -> str:
    if act.first in state.problem.receptacles:
        return _receptacle(state, act.first)
    return _object(state, act.first)


def _receptacle(state: State, receptacle: str) -> str:
    name = state.problem.names[receptacle]
    if state.shut(receptacle):
        return f"The {name} is closed."
    seen = _things(state, state.inside(receptacle))
    if state.problem.able("openable", receptacle):
        return f"The {name} is open. In it, you see {seen}."
    return f"On the {name}, you see {seen}."


def _object(state: State, item: str) -> str:
    name, able = state.problem.names[item], state.problem.able
    if able("isreceptacleobject", item):
        inner = state.problem.static.get("inreceptacleobject", ())
        held = sorted(each for each, outer in inner if outer == item and each != item)
        return f"This is a normal {name}. In it, you see {_things(state, held)}."
    clean, hot, cool, cut = (state.has(p, item) for p in ("isclean", "ishot", "iscool", "issliced"))
    if cut and (clean or hot or cool):
        warmth = "hot" if hot else "cool" if cool else ""
        words = [word for word in (warmth, "clean" if clean else "") if word]
        return f"This is a {' and '.join(words)} sliced {name}."
    if hot or cool or clean:
        if clean and (hot or cool):
            return f"This is a {'hot' if hot else 'cool'} and clean {name}."
        return f"This is a {'hot' if hot else 'clean' if clean else 'cold'} {name}."
    if able("toggleable", item) and state.has("istoggled", item):
        return f"This {name} is on."
    if able("sliceable", item) and cut:
        return f"This is a sliced {name}."
    return f"There's nothing special about {name}."


def _inventory(state: State, act: Act) -> str:
    if not state.has("holdsany", state.problem.agent):
        return "You are not carrying anything."
    return f"You are carrying: {_things(state, state.held())}."


def _arrived(state: State, act: Act) -> str:
    return f"You arrive at {state.problem.names[act.first]}. {_receptacle(state, act.first)}"


def _opened(state: State, act: Act) -> str:
    return f"You open the {state.problem.names[act.first]}. {_receptacle(state, act.first)}"


def _used(state: State, act: Act) -> str:
    # Toggled once, a thing stays toggled for the grammar: no text has it turned off.
    return f"You turn on the {state.problem.names[act.first]}."


def _template(form: str) -> Callable[[State, Act], str]:
    def fill(state: State, act: Act) -> str:
        names = state.problem.names
        return form.format(names.get(act.first), names.get(act.second))

    return fill


def _things(state: State, idents: Sequence[str]) -> str:
    return _listed([f"a {state.problem.names[ident]}" for ident in idents]) or "nothing"


def _listed(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])}, and {words[-1]}"


SAYS: Mapping[str, Callable[[State, Act], str]] = {
    "help": lambda state, act: HELP,
    "inventory": _inventory,
    "look": lambda state, act: look(state),
    "go": _arrived,
    "open": _opened,
    "close": _template("You close the {0}."),
    "take": _template("You pick up the {0} from the {1}."),
    "move": _template("You move the {0} to the {1}."),
    "use": _used,
    "heat": _template("You heat the {0} using the {1}."),
    "cool": _template("You cool the {0} using the {1}."),
    "clean": _template("You clean the {0} using the {1}."),
    "slice": _template("You sliced the {0} with the {1}."),
    "examine": _examined,
}
