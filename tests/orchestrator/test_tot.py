"""tot: beams, votes, draws and ways back, in mazes whose right paths are known."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from services.contracts.action import ActionRequest, Candidate
from services.contracts.context import Context
from services.contracts.episode import Budget, Episode, State
from services.contracts.event import EventType
from services.contracts.session import SessionState
from services.contracts.verdict import PathQuestion, ValueQuestion
from services.kit.failures import OutageError
from services.orchestrator.durable.replay import replay_episode
from services.orchestrator.durable.world import RecordedWorld
from services.orchestrator.environments import Timed
from services.orchestrator.ports import BudgetExhaustedError
from services.orchestrator.search import METHODS
from services.orchestrator.search.tot.judging import VOTERS
from services.orchestrator.settings import Branches
from services.orchestrator.store.fold import Fold
from services.orchestrator.twins import ScriptedEnvironment
from tests.orchestrator.conftest import Bench, KilledError, shape
from tests.orchestrator.test_replay import kill_at

WAYS = [Branches.LOCAL, Branches.SPREAD]
EXIT, PIT = "exit", "pit"
TRAP = {
    "hall": {"left": "lit room", "right": "dark room"},
    "lit room": {"on": "cellar"},
    "cellar": {"down": PIT},
    "dark room": {"on": "yard"},
    "yard": {"out": EXIT},
}
"""The lit room looks better than the dark one, and leads into a pit."""
LOOKS = {"lit room": 0.8, "dark room": 0.6, "cellar": 0.3, "yard": 0.7, EXIT: 1.0, PIT: 0.25}


class Maze(ScriptedEnvironment):
    """Rooms with doors. `exit` ends with success, `pit` without; other actions than doors are refused."""

    rooms: dict[str, dict[str, str]]
    fork_delay = 0.0
    forking = 0
    most_forking = 0

    def locate(self, actions: list[str]) -> tuple[str, bool]:
        """Return the room after actions, and whether the last one was valid."""
        room, valid = next(iter(self.rooms)), True
        for action in actions:
            doors = self.rooms.get(room, {})
            room, valid = doors.get(action, room), action in doors
        return room, valid

    async def step(self, session: str, action: str, key: str, epoch: int) -> Timed:
        timed = await super().step(session, action, key, epoch)
        _, valid = self.locate(self.corridors[session].actions[: timed.state.step_count])
        return Timed(timed.state.model_copy(update={"valid": valid}), timed.seconds)

    async def fork(self, session: str, at_step: int, key: str, epoch: int | None) -> Timed:
        self.forking += 1
        self.most_forking = max(self.most_forking, self.forking)
        await asyncio.sleep(self.fork_delay)
        self.forking -= 1
        return await super().fork(session, at_step, key, epoch)

    def _state(self, session: str) -> SessionState:
        room, _ = self.locate(self.corridors[session].actions)
        doors = ", ".join(self.rooms.get(room, {}))
        changes = {
            "observation": f"You are in the {room}. Doors: {doors}.",
            "done": room in (EXIT, PIT),
            "reward": float(room == EXIT),
        }
        return super()._state(session).model_copy(update=changes)


def room_of(context: Context) -> str:
    """The room that a path has come to."""
    shown = context.turns[-1].observation if context.turns else context.observation
    return re.findall(r"in the (.*)\. Doors", shown)[0]


def enter(
    bench: Bench,
    rooms: dict[str, dict[str, str]] = TRAP,
    looks: Callable[[str], float] = lambda room: LOOKS.get(room, 0.5),
) -> Maze:
    """Let episodes take place in a maze, with an actor that proposes its doors and a judge of its rooms."""
    maze = Maze()
    maze.rooms = rooms

    def act(request: ActionRequest) -> list[Candidate]:
        doors = [door for door in rooms[room_of(request.context)] if door not in request.avoid]
        return [Candidate(action=door, thought="so", well_formed=True) for door in doors][: request.n]

    bench.environment = maze
    bench.roles.act_by = act
    bench.roles.value_by = lambda context: looks(room_of(context))
    bench.roles.good_by = lambda context: 0.9 if room_of(context) == EXIT else 0.1
    return maze


async def play(bench: Bench, num_branch: int = 2, num_path: int = 1, **options: Any) -> Episode:
    """Play an episode whose parameters are those that are no fields of the request.

    An end may be a pit, unless `only_good_ends`.
    """
    fields = {"max_steps": 6, "seed": 0, "feedback": "judge", "budget": Budget(), "path_threshold": 0.5}
    request = {name: options.pop(name, default) for name, default in fields.items()}
    spec = {"done_means_success": options.pop("only_good_ends", request["feedback"] == "done")}
    episode = await bench.run(
        "tot", spec=spec, num_branch=num_branch, num_path=num_path, params=options, **request
    )
    assert episode.state is State.COMPLETED, episode.failure
    assert bench.environment.corridors == {}, "every session is closed"
    return episode


async def outcome(bench: Bench, **options: Any) -> tuple[bool, int, str]:
    """Play an episode: its success, steps and end."""
    result = (await play(bench, **options)).result
    assert result is not None
    return result.success, result.steps, result.ended


@pytest.mark.parametrize("generate", ["sample", "propose"])
async def test_a_beam_gets_past_a_trap_that_takes_the_greedy_search_in(bench: Bench, generate: str) -> None:
    enter(bench)
    assert await outcome(bench, num_branch=1, generate=generate) == (False, 3, "done")
    assert await outcome(bench, num_branch=2, generate=generate, num_path=2) == (True, 3, "done")


async def test_the_committed_end_is_the_one_that_the_judge_finds_good(bench: Bench) -> None:
    enter(bench)
    episode = await play(bench, num_branch=2, num_path=2)
    assert episode.result is not None
    assert episode.result.good_enough is True
    assert episode.result.branch == "0"
    tree = Fold(await bench.events(episode.id)).tree(episode.id)
    [root] = [branch for branch in tree.branches if branch.id == "0"]
    assert root.committed
    last = next(node for node in root.nodes if node.action == "out")
    nodes = {node.id: node for branch in tree.branches for node in branch.nodes}
    path = [last]
    while path[0].parent:
        path.insert(0, nodes[path[0].parent])
    assert [node.action for node in path] == ["right", "on", "out"]
    assert not last.taken_back


async def test_ends_leave_the_beam_and_the_search_goes_on_until_enough_were_found(bench: Bench) -> None:
    rooms = {"hall": {"jump": PIT, "on": "yard"}, "yard": {"out": EXIT}}
    enter(bench, rooms)
    assert await outcome(bench, num_path=1) == (False, 1, "done")
    assert await outcome(bench, num_path=2) == (True, 2, "done")


async def test_without_a_good_end_the_best_of_all_is_committed(bench: Bench) -> None:
    enter(bench, {"hall": {"jump": PIT, "on": "yard"}, "yard": {"fall": PIT}})
    episode = await play(bench, num_path=2)
    assert episode.result is not None
    assert (episode.result.good_enough, episode.result.steps) == (False, 1)


async def test_an_end_that_is_known_to_be_a_success_needs_no_judge(bench: Bench) -> None:
    enter(bench, {"hall": {"on": "yard"}, "yard": {"out": EXIT}})
    asked: list[Context] = []
    bench.roles.good_by = lambda context: asked.append(context) or 0.0
    episode = await play(bench, num_path=5, feedback="done")
    assert episode.result is not None
    assert (episode.result.success, episode.result.good_enough) == (True, True)
    assert asked == []


async def test_a_known_success_ends_the_search(bench: Bench) -> None:
    enter(bench, {"hall": {"out": EXIT, "on": "yard"}, "yard": {"on": "lane"}, "lane": {"fall": PIT}})
    assert await outcome(bench, num_path=5, feedback="done") == (True, 1, "done")
    assert bench.roles.calls == ["actor"]
    bench.roles.calls.clear()
    bench.roles.good_by = lambda context: 0.4
    assert await outcome(bench, num_path=5, feedback="judge") == (True, 1, "done")
    assert bench.roles.calls.count("actor") == 3


async def test_equal_states_are_kept_in_the_order_of_the_proposals(bench: Bench) -> None:
    rooms = {"hall": {"a": "first", "b": "second", "c": "third"}, "third": {"out": EXIT}}
    rooms |= {"first": {"on": "end of first"}, "second": {"on": "end of second"}}
    enter(bench, rooms | {"end of first": {}, "end of second": {}}, looks=lambda room: 0.5)
    assert await outcome(bench, num_branch=2, max_steps=2) == (False, 2, "max_steps")
    assert await outcome(bench, num_branch=3, max_steps=2) == (True, 2, "done")


@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("strategy", ["bfs", "dfs"])
async def test_a_judge_that_finds_all_equal_leaves_the_first_path(
    bench: Bench, constant: float, strategy: str
) -> None:
    enter(bench, looks=lambda room: constant)
    bench.roles.good_by = lambda context: constant
    for num_branch in (1, 2):
        assert await outcome(bench, num_branch=num_branch, strategy=strategy) == (False, 3, "done")


async def test_what_was_refused_or_shows_nothing_new_is_dropped_without_the_judge(bench: Bench) -> None:
    rooms = {"hall": {"wait": "hall", "on": "yard"}, "yard": {"out": EXIT}}
    enter(bench, rooms)
    valued: list[str] = []

    def act(request: ActionRequest) -> list[Candidate]:
        actions = ["fly", "wait", "on"] if room_of(request.context) == "hall" else ["fly", "out"]
        return [Candidate(action=action, well_formed=True) for action in actions]

    bench.roles.act_by = act
    bench.roles.value_by = lambda context: valued.append(context.turns[-1].action) or 0.5
    assert await outcome(bench, max_steps=3, expand=3) == (True, 2, "done")
    assert "fly" not in valued
    assert valued.count("wait") == 1, "the second time it shows what the path has seen"


async def test_where_all_candidates_are_refused_the_actor_sees_it_and_goes_on(bench: Bench) -> None:
    for strategy in ("bfs", "dfs"):
        enter(bench, {"hall": {"out": EXIT}})

        def act(request: ActionRequest) -> list[Candidate]:
            action = "out" if request.context.turns else "fly"
            return [Candidate(action=action, well_formed=True)]

        bench.roles.act_by = act
        assert await outcome(bench, strategy=strategy) == (True, 2, "done")


async def test_an_actor_without_a_well_formed_answer_ends_the_search(bench: Bench) -> None:
    enter(bench)
    bench.roles.act_by = lambda request: [Candidate(action="", well_formed=False)]
    assert await outcome(bench) == (False, 0, "dead_end")
    assert bench.roles.calls.count("actor") == 3


async def test_repetitions_that_are_allowed_are_valued_like_any_other(bench: Bench) -> None:
    rooms = {"hall": {"wait": "hall", "on": "yard"}, "yard": {"out": EXIT}}
    valued: list[list[str]] = []
    for repeats in ("allow", "avoid"):
        enter(bench, rooms, looks=lambda room: 0.9 if room == "hall" else 0.5)
        bench.roles.act_by = lambda request: [
            Candidate(action=action, well_formed=True) for action in rooms[room_of(request.context)]
        ]
        look, seen = bench.roles.value_by, list[str]()
        bench.roles.value_by = lambda context, look=look, seen=seen: (
            seen.append(" ".join(turn.action for turn in context.turns)) or look(context)
        )
        await play(bench, num_branch=1, repeats=repeats, max_steps=3)
        valued.append(seen)
    assert "wait wait" in valued[0]
    assert "wait wait" not in valued[1]


# Ends


async def test_an_end_that_is_good_enough_ends_the_search_before_any_further_call(bench: Bench) -> None:
    enter(bench, {"hall": {"out": EXIT, "on": "yard", "up": "loft"}, "yard": {"on": "lane"}, "loft": {}})
    episode = await play(bench, num_path=5, evaluate="vote", num_branch=1)
    assert episode.result is not None
    assert (episode.result.success, episode.result.good_enough) == (True, True)
    assert bench.roles.calls == ["actor", "judge"]
    bench.roles.calls.clear()
    assert await outcome(bench, num_path=5, path_threshold=0.95, max_steps=2) == (True, 1, "done")
    assert bench.roles.calls.count("actor") > 1


async def test_the_last_end_that_is_wanted_ends_the_search_without_a_vote(bench: Bench) -> None:
    enter(bench, {"hall": {"jump": PIT, "on": "yard", "up": "loft"}, "yard": {"out": EXIT}, "loft": {}})
    bench.roles.best_by = lambda question: pytest.fail("nothing is left to vote on")
    assert await outcome(bench, num_path=1, num_branch=1, evaluate="vote") == (False, 1, "done")
    assert bench.environment.opened == 4, "the start, and a fork for each door before the end is known"


async def test_an_end_that_is_weighed_costs_no_value(bench: Bench) -> None:
    enter(bench, {"hall": {"jump": PIT, "on": "yard"}, "yard": {"out": EXIT}})
    valued: list[str] = []
    bench.roles.value_by = lambda context: valued.append(room_of(context)) or 0.5
    await play(bench, num_path=2)
    assert valued == ["yard"]


@pytest.mark.parametrize("num_branch", [1, 2])
async def test_an_end_that_would_show_a_hidden_success_has_no_advantage(
    bench: Bench, num_branch: int
) -> None:
    """`done` means success, and the judge, that alone may decide, thinks little of it."""
    rooms = {"hall": {"out": EXIT, "on": "yard"}, "yard": {"on": "lane"}, "lane": {"on": "road"}}
    enter(bench, rooms, looks=lambda room: {"yard": 0.6, "lane": 0.7, "road": 0.8}.get(room, 0.5))
    bench.roles.good_by = lambda context: 0.2
    options: dict[str, Any] = {"num_branch": num_branch, "max_steps": 3, "num_path": 1}
    assert await outcome(bench, **options) == (True, 1, "done")
    assert await outcome(bench, only_good_ends=True, **options) == (False, 3, "max_steps")
    bench.roles.good_by = lambda context: 0.9 if room_of(context) == EXIT else 0.1
    assert await outcome(bench, only_good_ends=True, **options) == (True, 1, "done")


async def test_a_hidden_end_takes_a_place_in_the_beam(bench: Bench) -> None:
    """The judge's P of an end is above that of the other state, for which a beam of one has no place then."""
    rooms = {"hall": {"out": EXIT, "on": "yard"}, "yard": {"on": "lane"}, "lane": {}}
    enter(bench, rooms, looks=lambda room: 0.3)
    bench.roles.good_by = lambda context: 0.4
    assert await outcome(bench, num_branch=1, num_path=5, only_good_ends=True) == (True, 1, "done")
    assert bench.roles.calls.count("actor") == 1


@pytest.mark.parametrize("hides", [True, False])
@pytest.mark.parametrize("strategy", ["bfs", "dfs"])
async def test_whether_a_hidden_end_was_reached_decides_nothing_where_a_part_breaks(
    bench: Bench, strategy: str, *, hides: bool
) -> None:
    bench.set(outage_grace=0.0)
    enter(bench, {"hall": {"on": "yard"}, "yard": {"on": "lane"}, "lane": {"out": EXIT}})
    act = bench.roles.act_by

    def tire(request: ActionRequest) -> list[Candidate]:
        if len(request.context.turns) == 2:
            raise OutageError("actor", "scripted to be away")
        return act(request)

    bench.roles.act_by = tire
    options: dict[str, Any] = {"params": {"strategy": strategy}, "spec": {"done_means_success": hides}}
    episode = await bench.run("tot", **options)
    assert episode.state is (State.COMPLETED if hides else State.FAILED)
    assert episode.result is None or episode.result.steps == 2


# Proposals, votes and draws


async def test_proposals_avoid_those_before(bench: Bench) -> None:
    enter(bench, {"hall": {"a": PIT, "b": PIT, "c": EXIT}})
    requests: list[ActionRequest] = []
    act = bench.roles.act_by

    def one(request: ActionRequest) -> list[Candidate]:
        requests.append(request)
        return act(request)[:1]

    bench.roles.act_by = one
    assert (await outcome(bench, generate="propose", expand=3))[0]
    assert [request.avoid for request in requests] == [[], ["a"], ["a", "b"]]
    assert [request.temperature for request in requests] == [0.0, 1.0, 1.0]
    assert len({request.seed for request in requests}) == 3


async def test_each_state_of_a_beam_samples_with_seeds_of_its_own(bench: Bench) -> None:
    enter(bench)
    seeds: Counter[int | None] = Counter()
    act = bench.roles.act_by
    bench.roles.act_by = lambda request: seeds.update([request.seed]) or act(request)
    await play(bench, num_branch=2, num_path=2)
    assert len(seeds) == 5
    assert set(seeds.values()) == {1}


async def test_a_vote_is_held_among_all_states_of_a_depth(bench: Bench) -> None:
    enter(bench)
    questions: list[list[str]] = []

    def best(question: PathQuestion) -> int:
        rooms = [room_of(path) for path in question.paths]
        questions.append(rooms)
        return rooms.index("dark room") if "dark room" in rooms else 0

    bench.roles.best_by = best
    bench.roles.value_by = lambda context: pytest.fail("a vote needs no values")
    assert await outcome(bench, num_branch=1, evaluate="vote") == (True, 3, "done")
    assert questions == [["lit room", "dark room"]]


async def test_a_vote_of_many_is_held_in_rounds(bench: Bench) -> None:
    doors = {f"door {number}": f"room {number}" for number in range(16)}
    rooms: dict[str, dict[str, str]] = {"hall": {"left": "west", "right": "east"}}
    rooms |= {"west": doors, "east": {door: f"{room} east" for door, room in doors.items()}}
    rooms |= {room: {"on": PIT} for side in ("west", "east") for room in rooms[side].values()}
    rooms["room 11 east"] = {"on": EXIT}
    enter(bench, rooms)
    sizes: list[int] = []

    def best(question: PathQuestion) -> int:
        sizes.append(len(question.paths))
        names = [room_of(path) for path in question.paths]
        return names.index("room 11 east") if "room 11 east" in names else 0

    bench.roles.best_by = best
    success, _, _ = await outcome(bench, num_branch=2, evaluate="vote", expand=16)
    assert success
    assert sizes[:3] == [VOTERS, VOTERS, 4]


@pytest.mark.parametrize(
    ("evaluate", "expected"), [("value", (False, 1, "dead_end")), ("vote", (False, 2, "max_steps"))]
)
async def test_shares_of_a_vote_are_not_compared_between_depths(
    bench: Bench, evaluate: str, expected: tuple[bool, int, str]
) -> None:
    rooms = {"hall": {"a": "first", "b": "second", "c": "third"}, "second": {"on": "end of second"}}
    rooms |= {"first": {}, "third": {}, "end of second": {}}
    enter(bench, rooms, looks=lambda room: {"first": 0.9, "second": 0.6}.get(room, 0.1))
    assert await outcome(bench, evaluate=evaluate, max_steps=2) == expected


@pytest.mark.parametrize("worth", [1.0, 0.0])
async def test_states_are_drawn_by_their_values(bench: Bench, worth: float) -> None:
    rooms = {"hall": {"a": "first", "b": "second"}, "first": {"on": PIT}, "second": {"on": EXIT}}
    enter(bench, rooms, looks=lambda room: worth if room == "second" else 0.25)
    found = [await outcome(bench, num_branch=1, select="sample", seed=seed) for seed in range(20)]
    won = sum(success for success, _, _ in found)
    assert 10 <= won < 20 if worth else won == 0
    assert sum([(await outcome(bench, num_branch=1, seed=seed))[0] for seed in range(3)]) == 3 * bool(worth)


# Depth first


async def test_depth_first_leaves_out_what_is_worth_little_and_goes_back(bench: Bench) -> None:
    enter(bench, looks=lambda room: {"cellar": 0.1}.get(room, LOOKS[room]))
    episode = await play(bench, strategy="dfs")
    assert episode.result is not None
    assert (episode.result.success, episode.result.steps) == (True, 3)
    [back] = await bench.data(episode.id, EventType.BACKTRACKED)
    assert back.to_step == 0
    assert await outcome(bench, strategy="dfs", prune=0.05) == (False, 3, "done")


async def test_depth_first_goes_back_from_an_end_that_is_not_good_enough(bench: Bench) -> None:
    maze = enter(bench)
    assert await outcome(bench, strategy="dfs", num_path=1) == (False, 3, "done")
    assert await outcome(bench, strategy="dfs", num_path=2) == (True, 3, "done")
    bench.roles.good_by = lambda context: 0.9 if room_of(context) == PIT else 0.1
    steps = maze.steps
    assert await outcome(bench, strategy="dfs", num_path=2) == (False, 3, "done")
    assert maze.steps - steps == 4, "a good end ends the search"


async def test_depth_first_goes_back_to_the_nearest_sibling_first(bench: Bench) -> None:
    rooms = {
        "hall": {"a": "west", "b": "east"},
        "west": {"a": "attic", "b": "loft"},
        "attic": {"on": PIT},
        "loft": {"on": PIT},
        "east": {"on": EXIT},
    }
    enter(bench, rooms)
    episode = await play(bench, strategy="dfs", num_path=3)
    assert episode.result is not None
    assert (episode.result.success, episode.result.steps) == (True, 2)
    backs = await bench.data(episode.id, EventType.BACKTRACKED)
    assert [back.to_step for back in backs] == [1, 0]


async def test_depth_first_goes_back_to_the_next_best_sibling(bench: Bench) -> None:
    rooms = {"hall": {"a": "poor", "b": "fair", "c": "good"}, "good": {"on": PIT}}
    looks = {"poor": 0.4, "fair": 0.6, "good": 0.8}
    enter(bench, rooms | {"poor": {"on": PIT}, "fair": {"on": EXIT}}, looks=lambda room: looks.get(room, 0.5))
    assert await outcome(bench, strategy="dfs", num_path=2) == (True, 2, "done")


async def test_depth_first_compares_siblings_by_a_vote(bench: Bench) -> None:
    enter(bench)
    bench.roles.best_by = lambda question: len(question.paths) - 1
    assert await outcome(bench, strategy="dfs", evaluate="vote") == (True, 3, "done")


async def test_depth_first_expands_as_many_states_as_its_paths_have_steps(bench: Bench) -> None:
    rooms = {f"{level}": {"a": f"{level + 1}", "b": f"{level + 1}"} for level in range(40)}
    enter(bench, rooms, looks=lambda room: 0.1 if int(room) % 4 == 3 else 0.5)
    assert (await outcome(bench, strategy="dfs", num_path=2, max_steps=20))[0] is False
    assert bench.roles.calls.count("actor") <= 40


# Judges that err, slow forks


def make_tree(seed: int, depth: int) -> tuple[dict[str, dict[str, str]], set[str]]:
    """A tree of rooms with one exit among its leaves, and the rooms on the way there."""
    source = random.Random(seed)
    rooms: dict[str, dict[str, str]] = {}
    right = {"r", EXIT}
    way = "r"

    def grow(room: str) -> None:
        for door in "ab":
            if len(room) <= depth:
                rooms.setdefault(room, {})[door] = room + door
                grow(room + door)

    grow("r")
    for _ in range(depth):
        way += source.choice("ab")
        right.add(way)
    rooms = {
        room: {door: to if len(to) <= depth else (EXIT if to == way else PIT) for door, to in doors.items()}
        for room, doors in rooms.items()
    }
    return rooms, right


async def search_tree(bench: Bench, seed: int, num_branch: int) -> bool:
    """Search a tree with a judge that is wrong about a quarter of the rooms, and return the success."""
    rooms, right = make_tree(seed, depth=4)
    source = random.Random(seed)
    wrong = {room: source.random() < 0.25 for room in sorted({*rooms, EXIT, PIT})}
    enter(bench, rooms, looks=lambda room: 0.9 if (room in right) != wrong[room] else 0.1)
    return (await outcome(bench, num_branch=num_branch, num_path=16))[0]


async def test_a_wider_beam_bears_a_judge_that_errs(bench: Bench) -> None:
    won: Counter[int] = Counter()
    for num_branch in (1, 4):
        won[num_branch] = sum([await search_tree(bench, seed, num_branch) for seed in range(15)])
    assert won[4] >= won[1] + 3
    assert won[4] >= 12


async def test_forks_of_several_states_are_made_at_the_same_time(bench: Bench) -> None:
    bench.set(branches=Branches.LOCAL)
    doors = [str(number) for number in range(4)]
    rooms = {"hall": {door: f"room {door}" for door in doors}}
    rooms |= {f"room {door}": dict.fromkeys(doors, PIT) for door in doors}
    rooms["room 2"]["3"] = EXIT
    maze = enter(bench, rooms)
    bench.roles.value_by = bench.roles.good_by
    maze.fork_delay = 0.02
    assert await outcome(bench, num_branch=4, expand=4) == (True, 2, "done")
    assert maze.most_forking >= 3


# Budgets, parts that break, placement


OPTIONS: dict[str, dict[str, Any]] = {
    "bfs": {"num_branch": 2, "num_path": 2},
    "wide": {"num_branch": 4, "num_path": 2, "generate": "propose", "select": "sample"},
    "vote": {"num_branch": 2, "num_path": 2, "evaluate": "vote"},
    "dfs": {"num_path": 2, "strategy": "dfs"},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OPTIONS)
async def test_any_budget_ends_with_the_best_there_is_and_is_never_exceeded(
    bench: Bench, name: str, way: Branches
) -> None:
    bench.set(branches=way)
    enter(bench)
    whole = await play(bench, **OPTIONS[name])
    assert whole.result is not None
    assert whole.result.success
    assert whole.figures is not None
    before = False
    for calls in range(1, whole.figures.usage.calls + 4):
        found = await play(bench, **OPTIONS[name], budget=Budget(model_calls=calls))
        assert found.result is not None
        assert found.figures is not None
        assert found.figures.usage.calls <= calls
        assert found.result.success >= before, f"{calls} calls lose what fewer calls had found"
        before = found.result.success
        assert found.result.ended in ("budget", "done")
        if calls > 2:
            assert found.result.steps > 0
    assert before


def stop_forks(monkeypatch: pytest.MonkeyPatch, after: int, error: Exception) -> list[str]:
    """Let forks fail after so many, and return the sessions that were asked for then."""
    fork, made, failed = RecordedWorld.fork, [0], list[str]()

    async def limited(self: RecordedWorld, session: str, at_step: int | None = None) -> Any:
        if made[0] == after:
            failed.append(session)
            raise error
        made[0] += 1
        return await fork(self, session, at_step)

    monkeypatch.setattr(RecordedWorld, "fork", limited)
    return failed


@pytest.mark.parametrize("after", range(12))
@pytest.mark.parametrize("name", OPTIONS)
async def test_a_budget_that_leaves_no_room_for_a_fork_loses_nothing(
    bench: Bench, name: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.set(branches=Branches.LOCAL)
    enter(bench)
    failed = stop_forks(monkeypatch, after, BudgetExhaustedError("seconds"))
    episode = await play(bench, **OPTIONS[name])
    assert episode.result is not None
    assert episode.result.ended in (("done", "budget") if failed else ("done",))
    assert episode.result.steps > 0 or after == 0


async def test_an_end_outlasts_a_fork_that_fails_on_the_way_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.set(branches=Branches.LOCAL)
    enter(bench)
    failed = stop_forks(monkeypatch, 4, BudgetExhaustedError("seconds"))
    assert await outcome(bench, strategy="dfs", num_path=2) == (False, 3, "done")
    assert len(failed) == 1


async def test_a_judge_that_is_away_for_a_vote_leaves_the_first_states(bench: Bench) -> None:
    bench.set(outage_grace=0.0)
    enter(bench)
    bench.roles.away = {"judge"}
    assert await outcome(bench, num_branch=1, evaluate="vote") == (False, 3, "done")


async def test_a_budget_that_ends_without_an_end_commits_the_state_of_the_highest_value(bench: Bench) -> None:
    enter(bench, looks=lambda room: {"yard": 0.9}.get(room, LOOKS.get(room, 0.5)))
    episode = await play(bench, budget=Budget(model_calls=7))
    assert episode.result is not None
    assert (episode.result.ended, episode.result.steps) == ("budget", 2)
    [*_, compared] = await bench.data(episode.id, EventType.CANDIDATES_COMPARED)
    assert (compared.outcomes[0].action, compared.outcomes[0].value) == ("on", 0.9)


async def test_a_state_that_there_was_no_budget_to_value_counts_as_much_as_its_parent(bench: Bench) -> None:
    enter(bench, {"hall": {"on": "yard"}, "yard": {"on": "lane"}, "lane": {"out": EXIT}})
    assert await outcome(bench, budget=Budget(model_calls=3)) == (False, 2, "budget")


@pytest.mark.parametrize("way", WAYS)
async def test_where_no_branch_can_be_opened_the_root_expands_all(bench: Bench, way: Branches) -> None:
    bench.set(branches=way, max_branches=1)
    enter(bench)
    assert await outcome(bench, num_branch=2, num_path=2) == (True, 3, "done")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("broken", "rooms"), [(ActionRequest, {"pit"}), (ValueQuestion, {"pit", "exit"})], ids=["actor", "judge"]
)
@pytest.mark.parametrize("room", ["dark room", "lit room"])
async def test_a_part_that_breaks_for_one_state_leaves_the_others(
    bench: Bench, way: Branches, broken: type[Any], rooms: set[str], room: str
) -> None:
    bench.set(branches=way, outage_grace=0.0)
    enter(bench)
    query, ends = bench.roles.query, set[str]()

    async def breaking(question: Any, request: Any) -> Any:
        if isinstance(request, broken) and room_of(request.context) == room:
            raise OutageError("actor", "scripted to be away")
        return await query(question, request)

    good = bench.roles.good_by
    bench.roles.good_by = lambda context: ends.add(room_of(context)) or good(context)
    bench.roles.query = breaking  # pyright: ignore[reportAttributeAccessIssue]
    await play(bench, num_branch=2, num_path=2)
    if broken is ActionRequest and room == "lit room":
        rooms = {"exit"}
    assert ends == rooms


async def test_an_end_outlasts_a_part_that_breaks_after_it(bench: Bench) -> None:
    bench.set(outage_grace=0.0)
    enter(bench, {"hall": {"out": EXIT, "on": "yard"}, "yard": {"fall": PIT}})
    good = bench.roles.good_by
    bench.roles.good_by = lambda context: bench.roles.away.add("actor") or good(context)
    assert await outcome(bench, num_path=3) == (True, 1, "done")


async def test_a_part_that_is_away_from_the_start_fails_the_episode(bench: Bench) -> None:
    bench.set(outage_grace=0.0)
    enter(bench)
    bench.roles.away = {"actor"}
    episode = await bench.run("tot")
    assert episode.failure is not None
    assert episode.failure.reason == "actor"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OPTIONS)
async def test_killed_anywhere_and_anywhere_placed_it_is_the_same(
    bench: Bench, name: str, way: Branches
) -> None:
    bench.set(branches=Branches.LOCAL)
    enter(bench)
    whole = await play(bench, **OPTIONS[name])
    expected = shape(await bench.store.events(whole.id))
    calls = len(bench.roles.calls)
    bench.set(branches=way)
    options = dict(OPTIONS[name])
    fields = {key: options.pop(key) for key in ("num_branch", "num_path") if key in options}
    for fatal in range(1, calls + 1):
        revive = kill_at(bench, fatal)
        spec = {"done_means_success": False}
        episode, _ = await bench.create("tot", spec, max_steps=6, params=options, **fields)
        workers = [bench.worker("one"), bench.worker("two")]
        with pytest.raises(KilledError):
            await bench.finish(episode, *workers)
        revive()
        found = await bench.finish(episode, *workers)
        assert found.result == whole.result, f"killed at call {fatal}"
        assert shape(await bench.store.events(episode)) == expected, f"killed at call {fatal}"
    assert bench.environment.corridors == {}
    record = await bench.store.record(whole.id)
    assert record is not None
    replay = await replay_episode(whole, record, await bench.store.events(whole.id))
    assert replay.identical, replay.detail


def test_it_uses_the_fields_that_it_names() -> None:
    assert METHODS["tot"].uses == {"num_branch", "num_path", "path_threshold"}
