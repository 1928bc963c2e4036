"""Mind2Web over real HTTP, generated and recorded."""

import json
import os
import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from envs.mind2web.actions import LETTERS, Answer, parse
from envs.mind2web.environment import Mind2webEnvironment
from envs.mind2web.expert import ByWords, Expert, Lookup, UnknownStepError, choices
from envs.mind2web.generator import TRAIN, VALID, Generator
from envs.mind2web.official import SCORES, RecordsError, attributes_of, read
from envs.mind2web.page import Page
from envs.mind2web.record import Record
from envs.mind2web.rounds import Rounds
from envs.mind2web.scoring import f1, judge
from envs.mind2web.server import create
from envs.mind2web.settings import Mind2webSettings
from envs.serving.server import serve
from envs.serving.tasks import UNSEEN
from tests.conftest import DATA
from tests.support import running


@dataclass
class Mind2web:
    http: httpx.Client
    environment: Mind2webEnvironment

    def create(self, task: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/sessions", json={"task_id": task} | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def step(self, session: str, action: str) -> dict[str, Any]:
        answer = self.http.post(f"/v1/sessions/{session}/steps", json={"action": action})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tasks(self, split: str, limit: int = 1000) -> list[str]:
        page = self.http.get("/v1/tasks", params={"split": split, "limit": limit}).json()
        return [task["id"] for task in page["tasks"]]

    def play(self, task: str, player: type[Expert] | type[ByWords]) -> dict[str, Any]:
        state = self.create(task)
        policy = player(state["observation"], state["instruction"]).play()
        action = next(policy)
        while not (state := self.step(state["session_id"], action))["done"]:
            action = policy.send(state["observation"])
        return state

    def by_reference(self, task: str, seed: int, change: Callable[[str], str] = str) -> dict[str, Any]:
        """Pick the right element wherever it is shown, and do what the record did."""
        record = self.environment._tasks.find(task)
        right = next(item for item in record.candidates if item.id in record.right)
        state = self.create(task, seed=seed)
        rounds = Rounds.begin(record, seed)
        while not state["done"]:
            action = "A"
            if right.id in rounds.shown:
                action = f"{LETTERS[rounds.shown.index(right.id) + 1]} {change(record.wanted)}"
            state = self.step(state["session_id"], action)
            assert state["valid"]
            answer = parse(action)
            assert answer is not None
            rounds = rounds.answer(answer) or rounds
        return state


@pytest.fixture(scope="module")
def mind2web() -> Iterator[Mind2web]:
    """A server without any data."""
    settings = Mind2webSettings(mind2web_data=None, mind2web_generated=500, max_sessions=2000)
    environment = Mind2webEnvironment(settings)
    with running(serve(environment, settings)) as http:
        yield Mind2web(http, environment)


@pytest.fixture(scope="module")
def recorded() -> Iterator[Mind2web]:
    """A server with the records at hand."""
    folder = DATA / "mind2web"
    if not (folder / "steps.jsonl").is_file():
        pytest.skip("no Mind2Web data: set ESPALIER_TEST_DATA to the folder that holds mind2web/")
    settings = Mind2webSettings(mind2web_data=folder, mind2web_generated=0, max_sessions=2000)
    environment = Mind2webEnvironment(settings)
    with running(serve(environment, settings)) as http:
        yield Mind2web(http, environment)


def test_metadata_says_what_it_is(mind2web: Mind2web) -> None:
    metadata = mind2web.http.get("/metadata").json()
    assert metadata["splits"] == [TRAIN, VALID, UNSEEN]
    assert (metadata["fork"], metadata["done_means"], metadata["terminal_action"]) == (
        "native",
        "end",
        "none",
    )
    assert metadata["max_steps"] == 10
    assert mind2web.http.get("/schema").json()["action_language"] == metadata["actions"]
    assert mind2web.http.get("/readyz").status_code == 200
    assert mind2web.http.post("/v1/sessions", json={"task": {"instruction": "x"}}).status_code == 422
    for task in ("generated_train/-1", "generated_train/500", "generated_train/x", "steps/0", "x"):
        assert mind2web.http.get(f"/v1/tasks/{task}").status_code == 404


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("A", Answer("A")),
        ("a.", Answer("A")),
        ("A. None of the above", None),
        ("B CLICK", Answer("B", "CLICK")),
        ("c. click", Answer("C", "CLICK")),
        ("D TYPE  San   Diego ", Answer("D", "TYPE", "San Diego")),
        ("D) SELECT: Price: low to high", Answer("D", "SELECT", "Price: low to high")),
        ("Answer: C.\nAction: SELECT\nValue: Queen", Answer("C", "SELECT", "Queen")),
        ("Thought: it is C.\nAnswer: B.\nAction: CLICK", Answer("B", "CLICK")),
        ("Answer: A.", Answer("A")),
        ("B", None),
        ("G CLICK", None),
        ("CLICK", None),
        ("Answer: C.", None),
        ("", None),
    ],
)
def test_answers_are_read(text: str, answer: Answer | None) -> None:
    assert parse(text) == answer


def test_the_expert_solves_generated_steps(mind2web: Mind2web) -> None:
    tasks = mind2web.tasks(VALID)[:60]
    expert, plain = ([mind2web.play(task, player) for task in tasks] for player in (Expert, ByWords))
    assert sum(state["reward"] for state in expert) / len(tasks) > 0.9
    assert sum(state["reward"] for state in plain) / len(tasks) < 0.5
    assert all(state["step_count"] <= 10 for state in [*expert, *plain])


def test_the_splits_do_not_overlap(mind2web: Mind2web) -> None:
    generator = Generator()
    train, valid = (
        {generator.record(split, number).task for number in range(400)} for split in (TRAIN, VALID)
    )
    assert len(train) > 200
    assert not train & valid
    assert generator.record(TRAIN, 7) == Generator().record(TRAIN, 7)


def test_generated_steps_are_of_many_kinds() -> None:
    generator = Generator()
    records = [generator.record(TRAIN, number) for number in range(400)]
    assert len({record.website for record in records}) > 350
    assert {record.operation for record in records} == {"CLICK", "TYPE", "SELECT"}
    tags = {element.tag for record in records for element in record.candidates if element.id in record.right}
    assert tags > {"a", "button", "input", "select", "label", "li", "td", "span", "div"}
    for record in records:
        lines = [record.line(element, 80) for element in record.candidates]
        right = [
            line for line, element in zip(lines, record.candidates, strict=True) if element.id in record.right
        ]
        assert len(right) == 1
        assert lines.count(right[0]) == 1, record.id
        assert len({element.id for element in record.candidates}) == len(record.candidates)
        if record.operation == "TYPE":
            assert record.value in record.task, record.id


def test_the_expert_thinks_in_words_of_the_task(mind2web: Mind2web) -> None:
    state = mind2web.create(f"{TRAIN}/3")
    expert = Expert(state["observation"], state["instruction"])
    action = next(expert.play())
    assert expert.thought.startswith("Next: ")
    assert expert.thought.endswith(
        "Not here." if action == "A" else f"{action[0]} <{_tag(state, action[0])}>."
    )
    with pytest.raises(UnknownStepError):
        Lookup(farthest=20).find("Website: nowhere", "a task that no one asked for")


def _tag(state: dict[str, Any], letter: str) -> str:
    return next(choice.tag for choice in choices(state["observation"]) if choice.letter == letter)


def test_every_record_is_solved_by_its_reference(recorded: Mind2web) -> None:
    tasks = recorded.tasks("steps")
    assert len(tasks) == 119
    for task in tasks:
        state = recorded.by_reference(task, seed=5)
        assert (state["reward"], state["info"]["action_f1"], state["info"]["element_acc"]) == (1, 1, 1), task
    for task in tasks[:10]:
        other = recorded.by_reference(
            task, seed=6, change=lambda wanted: f"{wanted} x".replace("CLICK x", "TYPE x")
        )
        assert (other["reward"], other["info"]["element_acc"]) == (0, 1), task
        assert other["info"]["action_f1"] < 1


def test_the_order_is_drawn_from_the_seed(recorded: Mind2web) -> None:
    tasks = recorded.tasks("steps")
    firsts = {recorded.create(tasks[0], seed=seed)["observation"] for seed in range(6)}
    assert len(firsts) > 3
    assert (
        recorded.create(tasks[0], seed=3)["observation"] == recorded.create(tasks[0], seed=3)["observation"]
    )
    # The right candidate stands first in the records; shuffled, it stands anywhere.
    places = [
        _order(Rounds.begin(record, 0)).index(next(iter(record.right & set(_order(Rounds.begin(record, 0))))))
        for record in map(recorded.environment._tasks.find, tasks)
    ]
    assert 10 < sum(places) / len(places) < 19


def _order(rounds: Rounds) -> list[str]:
    return [*rounds.shown, *rounds.waiting]


def _record(count: int, right: int = 0) -> Record:
    record = Generator().record(TRAIN, 0)
    elements = record.candidates[:count]
    return Record("t/0", "t", "site", "task", (), "CLICK", "", frozenset({elements[right].id}), elements)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 10, 30])
def test_rounds_end_and_show_every_candidate(count: int) -> None:
    for seed in range(30):
        draw = random.Random(seed)
        rounds = Rounds.begin(_record(count), seed)
        seen: set[str] = set()
        taken = 0
        while not rounds.over:
            seen |= set(rounds.shown)
            letter = draw.choice(LETTERS[: len(rounds.shown) + 1])
            rounds = rounds.answer(Answer(letter, "CLICK")) or pytest.fail("a letter that was shown")
            taken += 1
        assert len(seen) == count
        assert taken <= max(1, (count + 2) // 4 + 1)


def test_a_letter_that_is_not_shown_changes_nothing(mind2web: Mind2web) -> None:
    assert Rounds.begin(_record(2), 0).answer(Answer("D", "CLICK")) is None
    first = mind2web.create(f"{TRAIN}/0")
    state = mind2web.step(first["session_id"], "I think it is B")
    assert (state["valid"], state["done"], state["reward"]) == (False, False, 0)
    assert state["observation"].endswith(first["observation"].partition("\n\n")[2])


def test_no_pick_is_no_success() -> None:
    rounds = Rounds.begin(_record(5), 0).answer(Answer("A"))
    assert rounds is not None
    assert (rounds.over, rounds.pick) == (True, "")
    assert judge(rounds.record, rounds.pick, rounds.did).reward == 0


def test_forks_are_independent(mind2web: Mind2web) -> None:
    parent = mind2web.create(f"{VALID}/1")
    mind2web.step(parent["session_id"], "A")
    fork = mind2web.http.post(f"/v1/sessions/{parent['session_id']}/forks", json={}).json()
    ahead = mind2web.step(fork["session_id"], "B CLICK")
    assert mind2web.http.get(f"/v1/sessions/{parent['session_id']}").json()["step_count"] == 1
    assert mind2web.step(parent["session_id"], "B CLICK")["observation"] == ahead["observation"]


def test_the_end_does_not_tell_the_score(mind2web: Mind2web) -> None:
    said = {mind2web.play(task, ByWords)["observation"] for task in mind2web.tasks(VALID)[:20]}
    assert said == {"The choice is made."}


def test_f1_is_over_words() -> None:
    assert f1("TYPE san diego", "TYPE san diego") == 1
    assert f1("CLICK", "TYPE san diego") == 0
    assert f1("TYPE san", "TYPE san diego") == pytest.approx(0.8)
    assert f1("", "") == 1


def test_a_page_that_is_cut_off_is_read() -> None:
    page = Page(
        '<html backend_node_id="1"><body backend_node_id="2"></p><div backend_node_id="3">'
        '<button backend_node_id="4" aria_label="Go"/><text backend_node_id="5">Near &amp; far</text>'
        "<a backend_node"
    )
    assert page.nodes["3"].text() == "Near & far"
    assert page.nodes["4"].attributes["aria_label"] == "Go"
    assert "<button aria-label=Go>" in page.excerpt(["4"], 500)
    assert page.excerpt(["4", "99"], 5) == "<butt"
    assert Page("").nodes == {}
    deep = Page("<div backend_node_id='1'>" * 3000 + "x")
    assert deep.root.text() == "x"


def test_attributes_that_are_cut_off_are_read() -> None:
    assert attributes_of('class="a b" type="submit"') == {"class": "a b", "type": "submit"}
    assert attributes_of('id="q" class="a very long clas')["id"] == "q"
    assert attributes_of("") == {}


def _visit() -> dict[str, Any]:
    def node(number: int) -> dict[str, Any]:
        found = {"backend_node_id": str(number), "class": f"c{number}", "bounding_box_rect": "1,2,3,4"}
        return {"backend_node_id": str(number), "tag": "a", "attributes": json.dumps(found)}

    action = {
        "action_uid": "u1",
        "operation": {"op": "TYPE", "original_op": "TYPE", "value": "san  diego"},
        "pos_candidates": [node(7)],
        "neg_candidates": [node(number) for number in range(100, 160)],
        "cleaned_html": '<html backend_node_id="1"><a backend_node_id="7"><text>Here</text></a></html>',
    }
    return {
        "annotation_id": "v1",
        "website": "ikea",
        "confirmed_task": "Find it.",
        "action_reprs": ["[a]  x -> CLICK", "[input]  y -> TYPE: san diego"],
        "actions": [action, {**action, "action_uid": "u2", "operation": {"op": "CLICK"}}],
    }


def _lay(folder: Path, visits: object) -> Path:
    (folder / "data" / "test_task").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "test_task" / "test_task_0.json").write_text(json.dumps(visits))
    return folder


def test_official_files_are_read(tmp_path: Path) -> None:
    records = read(_lay(tmp_path, [_visit()]), top_k=10, candidates=30)["test_task"]
    assert [record.id for record in records] == ["test_task/v1-0", "test_task/v1-1"]
    first, second = records
    assert (first.wanted, second.wanted, second.previous) == ("TYPE san diego", "CLICK", ("[a]  x -> CLICK",))
    assert len(first.candidates) == 30
    assert first.line(first.candidates[0], 80) == "<a class=c7> Here"
    assert "bounding_box_rect" not in first.candidates[0].attributes


def test_ranks_choose_the_candidates(tmp_path: Path) -> None:
    ranks = {"v1_u1": {"7": 3} | {str(number): number - 96 for number in range(100, 160)}}
    ranks["v1_u2"] = {"7": 40} | {str(number): number - 100 for number in range(100, 160)}
    _lay(tmp_path, [_visit()])
    (tmp_path / SCORES).write_bytes(pickle.dumps({"scores": {}, "ranks": ranks}))
    first, second = read(tmp_path, top_k=10, candidates=30)["test_task"]
    assert sorted(int(item.id) for item in first.candidates) == [7, *range(100, 106)]
    assert second.right == frozenset()
    assert len(second.candidates) == 10


class _Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_a_hostile_pickle_is_refused(tmp_path: Path) -> None:
    _lay(tmp_path, [_visit()])
    mark = tmp_path / "ran"
    (tmp_path / SCORES).write_bytes(pickle.dumps({"ranks": _Hostile(mark)}))
    with pytest.raises(RecordsError, match="not loaded"):
        read(tmp_path, top_k=10, candidates=30)
    assert not mark.exists()


@pytest.mark.parametrize(
    "visits", [{"no": "list"}, [{"annotation_id": "x"}], "text", [_visit() | {"actions": [{}]}]]
)
def test_files_of_another_kind_are_named(tmp_path: Path, visits: object) -> None:
    with pytest.raises(RecordsError, match=r"test_task_0\.json"):
        read(_lay(tmp_path, visits), top_k=10, candidates=30)


def test_a_folder_without_data_makes_the_server_unready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPALIER_MIND2WEB_DATA", str(tmp_path))
    monkeypatch.setenv("ESPALIER_MIND2WEB_GENERATED", "20")
    monkeypatch.setenv("ESPALIER_MIND2WEB_PAGE_CHARS", "400")
    with running(create()) as http:
        assert http.get("/readyz").status_code == 503
        assert "steps.jsonl" in http.get("/readyz").text
        assert http.get("/v1/tasks", params={"split": TRAIN}).json()["total"] == 20
        shown = http.post("/v1/sessions", json={"task_id": f"{TRAIN}/1"}).json()["observation"]
        assert "\n\nPage:\n" in shown
