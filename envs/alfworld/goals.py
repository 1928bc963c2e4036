"""The six task types: their goal in PDDL and the sentences that state it.

Goals and sentences have the form of the official games (ALFWorld's `goal_library`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One task type."""

    name: str
    rooms: dict[str, int]
    """Where it is played, with weights."""
    sentences: tuple[str, str]
    ability: str = ""
    """What the object must be able to undergo."""
    state: str = ""
    """The predicate that the goal requires of the object."""
    station: str = ""
    """The receptacle type that brings the state about."""
    verb: str = ""
    count: int = 1

    def sentence(self, which: int, thing: str, target: str) -> str:
        """The instruction as the official games phrase it."""
        return self.sentences[which].format(o=thing.lower(), r=target.lower())

    def goal(self, thing: str, target: str) -> str:
        """The PDDL goal."""
        if self.name == "look_at_obj_in_light":
            return _LOOK.format(o=thing, r=target)
        if self.count == 2:
            return _TWO.format(o=thing, r=target)
        extra = f"({self.ability} ?o) ({self.state} ?o) " if self.state else ""
        return _PLACE.format(o=thing, r=target, extra=extra)


_PLACE = """(:goal (and (exists (?r - receptacle) (exists (?o - object) (and
    {extra}(inReceptacle ?o ?r) (objectType ?o {o}Type) (receptacleType ?r {r}Type))))))"""

_TWO = """(:goal (and (exists (?r - receptacle) (exists (?o1 - object) (and
    (objectType ?o1 {o}Type) (receptacleType ?r {r}Type) (inReceptacle ?o1 ?r)
    (exists (?o2 - object) (and (not (= ?o1 ?o2)) (objectType ?o2 {o}Type) (receptacleType ?r {r}Type)
    (inReceptacle ?o2 ?r))))))))"""

_LOOK = """(:goal (and
    (exists (?ot - object ?r - receptacle ?a - agent ?l - location) (and
        (objectType ?ot {r}Type) (toggleable ?ot) (isToggled ?ot)
        (receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?ot ?r)))
    (exists (?o - object ?a - agent) (and (objectType ?o {o}Type) (holds ?a ?o)))))"""

KINDS = (
    Kind(
        "pick_and_place_simple",
        {"bathroom": 3, "bedroom": 3, "living_room": 3, "kitchen": 1},
        ("put a {o} in {r}.", "put some {o} on {r}."),
    ),
    Kind(
        "look_at_obj_in_light",
        {"bedroom": 5, "living_room": 1},
        ("look at {o} under the {r}.", "examine the {o} with the {r}."),
    ),
    Kind(
        "pick_clean_then_place_in_recep",
        {"kitchen": 3, "bathroom": 1},
        ("put a clean {o} in {r}.", "clean some {o} and put it in {r}."),
        ability="cleanable",
        state="isClean",
        station="SinkBasin",
        verb="clean",
    ),
    Kind(
        "pick_heat_then_place_in_recep",
        {"kitchen": 1},
        ("put a hot {o} in {r}.", "heat some {o} and put it in {r}."),
        ability="heatable",
        state="isHot",
        station="Microwave",
        verb="heat",
    ),
    Kind(
        "pick_cool_then_place_in_recep",
        {"kitchen": 1},
        ("put a cool {o} in {r}.", "cool some {o} and put it in {r}."),
        ability="coolable",
        state="isCool",
        station="Fridge",
        verb="cool",
    ),
    Kind(
        "pick_two_obj_and_place",
        {"bedroom": 2, "bathroom": 2, "living_room": 2, "kitchen": 1},
        ("put two {o} in {r}.", "find two {o} and put them in {r}."),
        count=2,
    ),
)
"""In the order of ALFWorld's own numbering of task types."""
