"""WebShop over real HTTP, generated and official."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import pytest

from envs.serving.server import serve
from envs.serving.tasks import UNSEEN
from envs.webshop.actions import Action, fold
from envs.webshop.environment import WebshopEnvironment
from envs.webshop.expert import Expert, FirstFit, FirstHit, clickables
from envs.webshop.generator import Generator
from envs.webshop.goals import goals_of
from envs.webshop.scoring import judge
from envs.webshop.server import create
from envs.webshop.settings import WebshopSettings
from envs.webshop.shop import Visit
from envs.webshop.tasks import GENERATED_TRAIN, GENERATED_VALID, HELD_OUT, TRAIN
from services.contracts.task import Task
from tests.conftest import DATA
from tests.support import running

SEED = 3
FILES = ("documents_1k.jsonl.xz", "items_ins_v2_1000.json")


@dataclass
class Webshop:
    http: httpx.Client
    environment: WebshopEnvironment

    def create(self, task: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/sessions", json={"task_id": task} | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def step(self, session: str, action: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post(f"/v1/sessions/{session}/steps", json={"action": action} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tasks(self, split: str) -> list[str]:
        page = self.http.get("/v1/tasks", params={"split": split, "limit": 1000}).json()
        return [task["id"] for task in page["tasks"]]

    def buy_as_asked(self, task: str) -> dict[str, Any]:
        """Find the goal's own product through search and pages, choose its options, buy it."""
        goal = self.environment._tasks.find(task).goal
        session = self.create(task)["session_id"]
        state = self.step(session, f"search[{goal.title}]")
        while goal.asin.lower() not in clickables(state["observation"]):
            state = self.step(session, "click[Next >]")
            assert state["valid"], (task, "its title does not find it")
        for button in (goal.asin, *goal.options, "Buy Now"):
            state = self.step(session, f"click[{button}]")
            assert state["valid"], (task, button)
        assert self.http.delete(f"/v1/sessions/{session}").status_code == 204
        return state

    def play(self, task: str, player: Callable[[str, str], Expert | FirstFit | FirstHit]) -> dict[str, Any]:
        state = self.create(task)
        policy = player(state["observation"], state["instruction"]).play()
        action = next(policy, None)
        while action is not None:
            state = self.step(state["session_id"], action)
            assert state["valid"], (task, action)
            try:
                action = policy.send(state["observation"])
            except StopIteration:
                break
        return state


@pytest.fixture(scope="module")
def webshop() -> Iterator[Webshop]:
    """A server without any data."""
    settings = WebshopSettings(webshop_data=None, webshop_generated=400, max_sessions=2000)
    environment = WebshopEnvironment(settings)
    with running(serve(environment, settings)) as http:
        yield Webshop(http, environment)


@pytest.fixture(scope="module")
def official() -> Iterator[Webshop]:
    """A server with the official small set."""
    folder = DATA / "webshop"
    if not all((folder / name).is_file() for name in FILES):
        pytest.skip("no WebShop data: set ESPALIER_TEST_DATA to the folder that holds webshop/")
    settings = WebshopSettings(webshop_data=folder, webshop_generated=0, max_sessions=2000)
    environment = WebshopEnvironment(settings)
    with running(serve(environment, settings)) as http:
        yield Webshop(http, environment)


def test_metadata_says_what_it_is(webshop: Webshop) -> None:
    metadata = webshop.http.get("/metadata").json()
    assert metadata["splits"] == [GENERATED_TRAIN, GENERATED_VALID, UNSEEN]
    assert (metadata["fork"], metadata["done_means"]) == ("native", "end")
    assert (metadata["terminal_action"], metadata["terminal_example"]) == ("required", "click[Buy Now]")
    assert metadata["max_steps"] == 20
    assert len(f"{metadata['description']} {metadata['actions']}".split()) < 110
    assert webshop.http.get("/schema").json()["action_language"] == metadata["actions"]
    assert webshop.http.get("/readyz").status_code == 200
    assert webshop.http.post("/v1/sessions", json={"task": {"instruction": "x"}}).status_code == 422


def test_the_splits_do_not_overlap(webshop: Webshop) -> None:
    sides = [
        {webshop.environment._tasks.find(task).goal.asin for task in webshop.tasks(split)}
        for split in (GENERATED_TRAIN, GENERATED_VALID, UNSEEN)
    ]
    assert all(sides)
    assert len(set.union(*sides)) == sum(map(len, sides))
    for task in ("generated_train/-1", "generated_train/999999", "generated_train/x", "nowhere/0", "x"):
        assert webshop.http.get(f"/v1/tasks/{task}").status_code == 404


def test_generated_goals_bought_as_asked_give_one(webshop: Webshop) -> None:
    for split in (GENERATED_TRAIN, GENERATED_VALID):
        for task in random.Random(SEED).sample(webshop.tasks(split), 8):
            state = webshop.buy_as_asked(task)
            assert (state["reward"], state["done"]) == (1.0, True), task
            assert state["info"]["r_type"] == 1.0


def test_official_goals_bought_as_asked_give_one(official: Webshop) -> None:
    assert official.http.get("/metadata").json()["splits"][:2] == [TRAIN, HELD_OUT]
    for split in (TRAIN, HELD_OUT):
        for task in random.Random(SEED).sample(official.tasks(split), 15):
            state = official.buy_as_asked(task)
            assert (state["reward"], state["done"]) == (1.0, True), task


def test_official_splits_part_the_products(official: Webshop) -> None:
    sides = [
        {task.id.partition("/")[2].partition("-")[0] for task in _all(official, split)}
        for split in (TRAIN, HELD_OUT)
    ]
    assert not sides[0] & sides[1]
    for asins, held in zip(sides, (False, True), strict=True):
        assert asins
        assert all((int(sha256(asin.encode()).hexdigest(), 16) % 4 == 0) is held for asin in asins)


def test_every_official_goal_can_be_bought_for_one(official: Webshop) -> None:
    """Each product's first goal through search and pages; every goal by its reward."""
    found: set[str] = set()
    for task in [*_all(official, TRAIN), *_all(official, HELD_OUT)]:
        errand = official.environment._tasks.find(task.id)
        shop, goal = errand.shop, errand.goal
        assert judge(shop.products[goal.asin], goal.options, goal).reward == 1.0, task
        if goal.asin not in found:
            found.add(goal.asin)
            visit = shop.act(Visit(goal), Action("search", fold(goal.title)))
            assert visit is not None
            while goal.asin.lower() not in shop.page(visit).clickables:
                visit = shop.act(visit, Action("click", "next >"))
                assert visit is not None, task
            for button in (goal.asin, *goal.options, "Buy Now"):
                visit = shop.act(visit, Action("click", fold(button)))
                assert visit is not None, (task, button)
            assert visit.verdict is not None
            assert visit.verdict.reward == 1.0, task
    assert len(found) > 100


def _all(webshop: Webshop, split: str) -> Sequence[Task]:
    return webshop.environment._tasks.page(split, 0, webshop.environment.count(split))


def test_the_experts_beat_the_first_hit(webshop: Webshop) -> None:
    tasks = webshop.tasks(GENERATED_VALID)[:25]
    means: list[float] = []
    for player in (Expert, FirstFit, FirstHit):
        states = [webshop.play(task, player) for task in tasks]
        assert all(state["done"] and state["step_count"] <= 20 for state in states)
        means.append(sum(state["reward"] for state in states) / len(states))
    assert min(means[:2]) > 0.85
    assert min(means[:2]) > means[2] + 0.05


def test_the_last_page_does_not_tell_the_score(webshop: Webshop) -> None:
    state = webshop.play(webshop.tasks(GENERATED_TRAIN)[0], FirstHit)
    assert state["observation"] == "Thank you for shopping with us!"
    assert state["done"]
    assert {"r_type", "r_att", "r_price", "asin", "goal_asin"} <= set(state["info"])
    again = webshop.http.post(f"/v1/sessions/{state['session_id']}/steps", json={"action": "search[x]"})
    assert again.status_code == 409


def test_observations_have_agentbench_form(webshop: Webshop) -> None:
    state = webshop.create(webshop.tasks(GENERATED_TRAIN)[0])
    text, _, available = state["observation"].partition("\n\nAvailable Actions:\n")
    assert text == f"WebShop [SEP] Instruction: [SEP] {state['instruction']} [SEP] Search"
    assert json.loads(available) == {"has_search_bar": True, "clickables": []}
    state = webshop.step(state["session_id"], "search[table]")
    text, _, available = state["observation"].partition("\n\nAvailable Actions:\n")
    assert text.startswith(
        f"Instruction: [SEP] {state['instruction']} [SEP] Back to Search [SEP] Page 1 (Total"
    )
    assert json.loads(available)["has_search_bar"] is False


@pytest.mark.parametrize(
    "action", ["", "buy", "click[]", "click[buy now]", "search[", "click[search]", "[x]"]
)
def test_what_is_not_possible_changes_nothing(webshop: Webshop, action: str) -> None:
    first = webshop.create(webshop.tasks(GENERATED_TRAIN)[1])
    state = webshop.step(first["session_id"], action)
    assert (state["valid"], state["reward"], state["done"]) == (False, 0.0, False)
    assert state["observation"] == first["observation"]


def test_forks_are_independent(webshop: Webshop) -> None:
    parent = webshop.create(webshop.tasks(GENERATED_TRAIN)[2])["session_id"]
    before = webshop.step(parent, "search[shirt]")
    product = next(button for button in clickables(before["observation"]) if button.startswith("b0"))
    fork = webshop.http.post(f"/v1/sessions/{parent}/forks", json={}).json()
    assert fork["observation"] == before["observation"]
    opened = webshop.step(fork["session_id"], f"click[{product}]")
    assert webshop.http.get(f"/v1/sessions/{parent}").json()["observation"] == before["observation"]
    assert webshop.step(parent, f"click[{product}]")["observation"] == opened["observation"]
    assert webshop.step(fork["session_id"], "click[Buy Now]")["done"]
    assert webshop.http.delete(f"/v1/sessions/{fork['session_id']}").status_code == 204
    early = webshop.http.post(f"/v1/sessions/{parent}/forks", json={"at_step": 1}).json()
    assert early["observation"] == before["observation"]
    assert webshop.step(parent, "click[< Prev]")["observation"] == before["observation"]


def test_the_server_reads_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ESPALIER_WEBSHOP_DATA", raising=False)
    monkeypatch.setenv("ESPALIER_WEBSHOP_GENERATED", "30")
    monkeypatch.setenv("ESPALIER_WEBSHOP_SEED", "7")
    with running(create()) as http:
        here = http.get("/v1/tasks", params={"split": GENERATED_TRAIN, "limit": 1}).json()["tasks"][0]
        assert http.get("/metadata").json()["name"] == "webshop"
    products = Generator(7).products(30)
    assert here["instruction"] in {goal.instruction for goal in goals_of(products)}
