"""Planner, judge and actor over real HTTP, with a scripted engine behind them."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from string import ascii_uppercase
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.actor.api import create as create_actor
from services.contracts.context import MAX_LESSON
from services.judge.api import create as create_judge
from services.judge.reflecting import parse_lesson
from services.kit.settings import RoleSettings
from services.planner.api import create as create_planner
from services.scripted.api import create_app as create_model
from services.scripted.call import Answer, ChatCall
from services.scripted.faults import Fault
from services.scripted.model import Logged, ScriptedModel
from tests.support import free_port, served

KNOWN = "actor@aaaaaaaa"
CONTEXT: dict[str, Any] = {
    "environment": {"name": "house", "description": "A house.", "actions": "go, take"},
    "task": "put a mug on a shelf",
    "observation": "You are in a room.",
}
FACTORIES = {"planner": create_planner, "judge": create_judge, "actor": create_actor}


class Roles:
    """A scripted engine and the three role services on it."""

    def __init__(self, model: ScriptedModel, urls: dict[str, str]) -> None:
        self.model = model
        self.urls = urls

    def post(self, path: str, **body: Any) -> httpx.Response:
        role = {"plans": "planner", "verdicts": "judge", "reflections": "judge"}.get(
            path.split("/")[2], "actor"
        )
        return httpx.post(f"{self.urls[role]}{path}", json=body, timeout=20)

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.post(path, **{"context": CONTEXT, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def chats(self) -> list[Logged]:
        return [logged for logged in self.model.log if logged.path == "/v1/chat/completions"]


Start = Callable[..., Roles]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with ExitStack() as running:

        def start(model: ScriptedModel, *wanted: str, **options: Any) -> Roles:
            engine = running.enter_context(served(create_model(model)))
            settings = RoleSettings(model_url=engine, **options)
            apps = {role: FACTORIES[role](settings) for role in wanted or FACTORIES}
            return Roles(model, {role: running.enter_context(served(app)) for role, app in apps.items()})

        yield start


@pytest.fixture(scope="module")
def shared(start: Start) -> Roles:
    return start(ScriptedModel(), plan_tokens=64, reflection_tokens=48)


@pytest.fixture
def roles(shared: Roles) -> Roles:
    shared.model.log.clear()
    shared.model.faults.clear()
    shared.model.adapters = {KNOWN: "/adapters/a"}
    return shared


def say(roles: Roles, *texts: str | Answer) -> None:
    roles.model.script = lambda call: texts


# The planner


def test_a_plan_is_read_from_the_model(roles: Roles) -> None:
    say(roles, "1. find a mug\n2. take it\n3. put it down")
    plan = roles.ask("/v1/plans", num_subtasks=3)
    assert plan["subtasks"] == ["find a mug", "take it", "put it down"]
    assert (plan["origin"], plan["usage"]["calls"], len(roles.chats)) == ("model", 1, 1)
    assert roles.chats[0].call.constraint is None
    assert roles.chats[0].call.temperature == 0
    assert plan["profile"].startswith("paper@")


def test_a_malformed_plan_is_asked_for_again_under_a_grammar(roles: Roles) -> None:
    say(roles, "First I find a mug.")
    plan = roles.ask("/v1/plans", num_subtasks=2)
    constraints = [chat.call.constraint for chat in roles.chats]
    assert constraints[0] is None
    assert constraints[1] is not None
    assert constraints[1][0] == "regex"
    assert (plan["origin"], len(plan["subtasks"]), plan["usage"]["calls"]) == ("grammar", 2, 2)
    assert plan["usage"]["prompt_tokens"] == sum(chat.usage.prompt_tokens for chat in roles.chats)


def test_where_no_plan_comes_the_task_is_one_subtask_and_that_is_said(start: Start) -> None:
    terse = start(ScriptedModel(lambda call: "no"), "planner", plan_tokens=16)
    plan = terse.ask("/v1/plans", num_subtasks=16)
    assert (plan["origin"], plan["subtasks"]) == ("fallback", [CONTEXT["task"]])
    assert len(terse.chats) == 2


# The judge


def test_a_subtask_verdict_is_the_share_of_yes(roles: Roles) -> None:
    say(roles, Answer("No", first={"Yes": 0.2, "No": 0.6, "Maybe": 0.2}))
    verdict = roles.ask("/v1/verdicts/subtask", subtask="find a mug")
    assert verdict["p_yes"] == pytest.approx(0.25)
    assert [chat.call.max_tokens for chat in roles.chats] == [1]
    assert "find a mug" in roles.chats[0].call.question


@pytest.mark.parametrize("n", [1, 3, 16])
def test_selection_scores_every_option_in_one_call(roles: Roles, n: int) -> None:
    odds = {letter: (place + 1) / 200 for place, letter in enumerate(ascii_uppercase[:n])}
    say(roles, Answer(ascii_uppercase[n - 1], first=odds))
    options = [{"action": f"go {number}"} for number in range(1, n + 1)]
    choice = roles.ask("/v1/verdicts/selection", options=options)
    total = sum(odds.values())
    assert choice["scores"] == pytest.approx([share / total for share in odds.values()])
    assert sum(choice["scores"]) == pytest.approx(1)
    assert (choice["index"], len(roles.chats)) == (n - 1, 1)


def test_a_judge_that_names_no_option_leaves_them_equal(roles: Roles) -> None:
    say(roles, Answer("Hm", first={"Hm": 0.9}))
    choice = roles.ask("/v1/verdicts/selection", options=[{"action": "look"}, {"action": "wait"}])
    assert choice["scores"] == pytest.approx([0.5, 0.5])
    assert choice["index"] == 0


def test_one_path_is_weighed_and_several_are_compared(roles: Roles) -> None:
    paths = [
        {**CONTEXT, "turns": [{"action": action, "observation": "You see it."}]}
        for action in ("look", "wait")
    ]
    say(roles, Answer("Yes", first={"Yes": 0.6, "No": 0.2}))
    one = httpx.post(f"{roles.urls['judge']}/v1/verdicts/path", json={"paths": paths[:1]}).json()
    assert (one["scores"], one["best"]) == ([pytest.approx(0.75)], 0)
    assert "ACTION: look" in roles.chats[0].call.text

    say(roles, Answer("B", first={"A": 0.1, "B": 0.3}))
    several = httpx.post(f"{roles.urls['judge']}/v1/verdicts/path", json={"paths": paths}).json()
    assert several["scores"] == pytest.approx([0.25, 0.75])
    assert several["best"] == 1
    assert len(roles.chats) == 2
    assert all(action in roles.chats[1].call.question for action in ("A. look", "B. wait"))


def test_every_state_is_valued_by_itself(roles: Roles) -> None:
    odds = {"You see a mug.": 0.8, "Nothing happens.": 0.1}

    def script(call: ChatCall) -> tuple[Answer]:
        yes = next((odds[seen] for seen in odds if seen in call.text), 0.5)
        return (Answer("Yes", first={"Yes": yes, "No": 1 - yes}),)

    roles.model.script = script
    reached = [
        {"action": "look", "thought": "so", "observation": "You see a mug."},
        {"action": "jump", "observation": "Nothing happens."},
        {"action": "wait"},
    ]
    values = roles.ask("/v1/verdicts/value", reached=reached)
    assert values["scores"] == pytest.approx([0.8, 0.1, 0.5])
    assert (values["usage"]["calls"], len(roles.chats)) == (3, 3)
    assert {chat.call.max_tokens for chat in roles.chats} == {1}
    assert "ACTION: wait" in max((chat.call.text for chat in roles.chats), key=lambda text: "wait" in text)


@pytest.mark.parametrize("status", [400, 429, 503])
def test_an_engine_that_fails_a_value_fails_the_question_as_any_other(start: Start, status: int) -> None:
    roles = start(ScriptedModel(), "judge")
    roles.model.faults.add(Fault(status), times=100)
    reached = [{"action": "look"}, {"action": "wait"}]
    found = roles.post("/v1/verdicts/value", context=CONTEXT, reached=reached)
    one = roles.post("/v1/verdicts/subtask", context=CONTEXT, subtask="a")
    assert found.status_code == one.status_code
    assert found.json()["type"] == one.json()["type"]
    assert found.status_code != 500


def test_without_an_action_the_state_of_the_context_is_valued(roles: Roles) -> None:
    say(roles, Answer("No", first={"Yes": 0.3, "No": 0.6}))
    values = roles.ask("/v1/verdicts/value")
    assert values["scores"] == pytest.approx([1 / 3])
    assert "in the end" in roles.chats[0].call.question


def test_a_reflection_is_one_line_of_one_greedy_answer(roles: Roles) -> None:
    say(roles, "<think>Where is it?</think>\nI took a cup.\n\nTake a mug  instead.\n")
    turns = [{"action": "take cup 1", "observation": "You have cup 1."}]
    tried = [{"actions": ["wait"], "lesson": "do not wait"}]
    lesson = roles.ask("/v1/reflections", context={**CONTEXT, "turns": turns, "tried": tried}, seed=7)
    assert lesson["text"] == "I took a cup. Take a mug instead."
    assert (lesson["usage"]["calls"], len(roles.chats)) == (1, 1)
    assert lesson["profile"].startswith("paper@")
    [chat] = roles.chats
    assert (chat.call.max_tokens, chat.call.temperature, chat.call.n) == (48, 0, 1)
    assert "You have cup 1." in chat.call.text
    assert "1. do not wait" in chat.call.text
    assert "not good enough" in chat.call.question


def test_a_lesson_has_a_bounded_length() -> None:
    assert len(parse_lesson("why " * 5_000)) == MAX_LESSON - 1
    assert parse_lesson(" \n ") == ""


# The actor


def test_candidates_come_of_one_call_distinct_and_counted(roles: Roles) -> None:
    go, look = "THOUGHT: on\nACTION: go north", "THOUGHT: see\nACTION: look"
    say(roles, go, look, "THOUGHT: oh\nACTION: GO  north", "north!")
    actions = roles.ask("/v1/actions", n=4)
    found = [
        (item["action"].lower().split(), item["count"], item["well_formed"]) for item in actions["candidates"]
    ]
    assert found == [(["go", "north"], 2, True), (["look"], 1, True), (["north!"], 1, False)]
    assert [chat.call.n for chat in roles.chats] == [4]
    assert roles.chats[0].call.temperature == RoleSettings().temperature
    assert all(item["logprob"] < 0 for item in actions["candidates"])
    assert actions["usage"]["calls"] == 1


def test_candidates_that_are_to_be_avoided_come_last(roles: Roles) -> None:
    say(roles, *["THOUGHT: on\nACTION: Go  north"] * 2, "THOUGHT: see\nACTION: look", "north!")
    found = roles.ask("/v1/actions", n=4, avoid=["go north"])["candidates"]
    assert [(item["action"], item["count"]) for item in found] == [
        ("look", 1),
        ("Go  north", 2),
        ("north!", 1),
    ]


def test_one_candidate_is_greedy_unless_told_otherwise(roles: Roles) -> None:
    say(roles, "THOUGHT: on\nACTION: look")
    roles.ask("/v1/actions")
    roles.ask("/v1/actions", temperature=0.3)
    assert [chat.call.temperature for chat in roles.chats] == [0, 0.3]


def test_a_well_formed_answer_stands_for_its_malformed_equal(roles: Roles) -> None:
    say(roles, "ACTION: look", "THOUGHT: see\nACTION: look")
    [candidate] = roles.ask("/v1/actions", n=2)["candidates"]
    assert (candidate["well_formed"], candidate["thought"], candidate["count"]) == (True, "see", 2)


@pytest.mark.parametrize("form", ["io", "cot", "react"])
def test_a_grammar_makes_any_model_well_formed(roles: Roles, form: str) -> None:
    say(roles, "I do not know what to do")
    free = roles.ask("/v1/actions", form=form)
    held = roles.ask("/v1/actions", form=form, grammar=True)
    assert [item["well_formed"] for item in free["candidates"] + held["candidates"]] == [False, True]
    constraints = [chat.call.constraint for chat in roles.chats]
    assert constraints[0] is None
    assert constraints[1] is not None
    assert constraints[1][0] == "regex"


@pytest.mark.parametrize("form", ["io", "cot", "react"])
def test_a_language_makes_every_action_one_of_it(roles: Roles, form: str) -> None:
    say(roles, "I do not know what to do")
    language = r"look|take (?:mug|cup) [12]"
    found = roles.ask("/v1/actions", form=form, n=8, grammar=True, language=language)["candidates"]
    assert all(item["well_formed"] and re.fullmatch(language, item["action"]) for item in found)
    say(roles, "THOUGHT: on\nACTION: jump")
    [free] = roles.ask("/v1/actions", language=language)["candidates"]
    assert free["action"] == "jump", "without a grammar the language holds nobody"


@pytest.mark.parametrize("n", [1, 4])
def test_a_language_that_the_engine_refuses_leaves_the_form(roles: Roles, n: int) -> None:
    say(roles, "I do not know what to do")
    found = roles.ask("/v1/actions", n=n, grammar=True, language="(?!)")["candidates"]
    assert all(item["well_formed"] for item in found)
    constraint = roles.chats[-1].call.constraint
    assert constraint is not None
    assert "(?!)" not in str(constraint[1])


@pytest.mark.parametrize("language", ["(", "[z-a]", "*", "a" * 20_001])
def test_a_language_that_is_no_pattern_is_refused(roles: Roles, language: str) -> None:
    answer = roles.post("/v1/actions", context=CONTEXT, grammar=True, language=language)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.language"
    assert roles.chats == []


def test_an_answer_ends_before_the_observation_that_a_model_makes_up(roles: Roles) -> None:
    say(roles, "THOUGHT: on\nACTION: look\nOBSERVATION: gold\nACTION: take gold")
    [candidate] = roles.ask("/v1/actions")["candidates"]
    assert candidate["text"] == "THOUGHT: on\nACTION: look"


# Adapters


def test_an_adapter_that_is_not_served_is_refused_with_those_that_are(roles: Roles) -> None:
    for path, extra in [
        ("/v1/actions", {}),
        ("/v1/plans", {}),
        ("/v1/verdicts/subtask", {"subtask": "find a mug"}),
        ("/v1/reflections", {}),
    ]:
        answer = roles.post(path, context=CONTEXT, adapter="actor@bbbbbbbb", **extra)
        problem = answer.json()
        assert (answer.status_code, problem["type"].rpartition("#")[2]) == (422, "adapter-not-served")
        assert problem["allowed"] == [KNOWN]
        assert KNOWN in problem["detail"]
    assert roles.chats == []


def test_an_adapter_is_loaded_and_then_used(roles: Roles) -> None:
    say(roles, "THOUGHT: on\nACTION: look")
    url, new = f"{roles.urls['actor']}/v1/adapters", {"name": "actor@bbbbbbbb", "path": "/adapters/b"}
    assert [item["name"] for item in httpx.get(url).json()["adapters"]] == [KNOWN]
    for _ in range(2):  # loading again changes nothing
        loaded = httpx.post(url, json=new)
        assert loaded.status_code == 201, loaded.text
        assert [item["name"] for item in loaded.json()["adapters"]] == [KNOWN, new["name"]]
    found = roles.ask("/v1/actions", adapter=new["name"])
    assert (found["adapter"], roles.chats[-1].call.adapter) == (new["name"], new["name"])
    assert roles.ask("/v1/actions")["adapter"] is None


def test_an_adapter_that_the_engine_cannot_load_is_told(roles: Roles) -> None:
    roles.model.faults.add(Fault(400, "/v1/load_lora_adapter", "no such folder"))
    body = {"name": "actor@cccccccc", "path": "/nowhere"}
    answer = httpx.post(f"{roles.urls['actor']}/v1/adapters", json=body)
    assert answer.status_code == 422
    assert "no such folder" in answer.json()["detail"]


def test_a_merged_adapter_is_named_and_used_without_being_asked_for(start: Start) -> None:
    merged = start(ScriptedModel(lambda call: "ACTION: look"), "actor", merged_adapter=KNOWN)
    listed = httpx.get(f"{merged.urls['actor']}/v1/adapters").json()
    assert listed["adapters"] == [{"name": KNOWN, "merged": True, "draining": False}]
    assert listed["runtime"] is False
    assert merged.ask("/v1/actions")["adapter"] == KNOWN
    assert merged.ask("/v1/actions", adapter=KNOWN)["adapter"] == KNOWN
    assert [chat.call.adapter for chat in merged.chats] == [None, None]
    refused = merged.post("/v1/actions", context=CONTEXT, adapter="actor@bbbbbbbb")
    assert refused.json()["allowed"] == [KNOWN]


def local(*ports: int) -> str:
    return ",".join(f"http://127.0.0.1:{port}" for port in ports)


@pytest.mark.parametrize("role", ["planner", "judge", "actor"])
def test_an_engine_that_no_setting_names_gets_neither_key_nor_prompt(start: Start, role: str) -> None:
    roles = start(ScriptedModel(), role, merged_adapter=KNOWN, model_key=SecretStr("secret"))
    stranger = ScriptedModel()
    with served(create_model(stranger)) as engine:
        for url in (engine, f"http://127.0.0.1:{free_port()}", "http://169.254.169.254"):
            body = {"name": "actor@bbbbbbbb", "engine": url}
            answer = httpx.post(f"{roles.urls[role]}/v1/adapters", json=body, timeout=20)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.engine")
            assert "ESPALIER_ENGINES" in answer.json()["detail"]
    assert not stranger.log


def test_changing_adapters_takes_an_administrators_key(start: Start) -> None:
    keys = {"api_keys": SecretStr("client"), "admin_keys": SecretStr("admin")}
    for given, statuses in ((keys, (401, 403, 201)), ({"api_keys": SecretStr("client")}, (401, 403, 401))):
        url = f"{start(ScriptedModel(), 'actor', **given).urls['actor']}/v1/adapters"
        body = {"name": "actor@bbbbbbbb", "path": "/adapters/b"}
        for key, status in zip(("wrong", "client", "admin"), statuses, strict=True):
            headers = {"authorization": f"Bearer {key}"}
            assert httpx.post(url, json=body, headers=headers).status_code == status
            expected = {201: 200}.get(status, status)
            assert httpx.delete(f"{url}/{body['name']}", headers=headers).status_code == expected
        assert httpx.get(url, headers={"authorization": "Bearer client"}).status_code == 200


ASKED = {
    "planner": ("/v1/plans", {}),
    "judge": ("/v1/verdicts/subtask", {"subtask": "find a mug"}),
    "actor": ("/v1/actions", {}),
}


@pytest.mark.parametrize("role", ASKED)
def test_another_engine_takes_over_and_the_one_before_keeps_its_own(start: Start, role: str) -> None:
    engine_port = free_port()
    before = start(ScriptedModel(), role, merged_adapter=KNOWN, engines=local(engine_port))
    url, (path, extra), new = f"{before.urls[role]}/v1/adapters", ASKED[role], "actor@bbbbbbbb"
    other = ScriptedModel()
    with served(create_model(other), engine_port) as engine:
        for _ in range(2):  # again changes nothing
            listed = httpx.post(url, json={"name": new, "engine": engine})
            assert listed.status_code == 201, listed.text
            assert listed.json()["adapters"] == [
                {"name": new, "merged": True, "draining": False},
                {"name": KNOWN, "merged": True, "draining": True},
            ]
        assert before.ask(path, **extra)["adapter"] == new
        assert before.ask(path, adapter=new, **extra)["adapter"] == new
        asked = len(other.log)
        assert before.chats == []
        assert before.ask(path, adapter=KNOWN, **extra)["adapter"] == KNOWN
        assert len(other.log) == asked
        assert before.chats
        assert httpx.delete(f"{url}/{new}").status_code == 409
        left = httpx.delete(f"{url}/{KNOWN}").json()
        assert [item["name"] for item in left["adapters"]] == [new]
        refused = before.post(path, context=CONTEXT, adapter=KNOWN, **extra)
        assert refused.json()["allowed"] == [new]


def test_it_can_go_back_to_an_engine_that_drains(start: Start) -> None:
    ports = free_port(), free_port()
    roles = start(ScriptedModel(), "actor", merged_adapter=KNOWN, engines=local(*ports))
    url, new = f"{roles.urls['actor']}/v1/adapters", "actor@bbbbbbbb"
    with (
        served(create_model(ScriptedModel()), ports[0]) as engine,
        served(create_model(roles.model), ports[1]) as first,
    ):
        httpx.post(url, json={"name": new, "engine": engine})
        listed = httpx.post(url, json={"name": KNOWN, "engine": first}).json()["adapters"]
        assert [(item["name"], item["draining"]) for item in listed] == [(KNOWN, False), (new, True)]
        assert roles.ask("/v1/actions")["adapter"] == KNOWN
        moved = httpx.post(url, json={"name": KNOWN, "engine": engine})
        assert moved.status_code == 409


def test_only_so_many_engines_drain(start: Start) -> None:
    port = free_port()
    roles = start(ScriptedModel(), "actor", merged_adapter=KNOWN, engines=local(port))
    url = f"{roles.urls['actor']}/v1/adapters"
    with served(create_model(ScriptedModel()), port) as engine:
        answers = [httpx.post(url, json={"name": f"actor@{n:08x}", "engine": engine}) for n in range(5)]
    assert [answer.status_code for answer in answers] == [201] * 4 + [409]
    assert "drain already" in answers[-1].json()["detail"]


def test_a_role_that_starts_anew_knows_the_engines_that_drain(start: Start) -> None:
    with served(create_model(ScriptedModel())) as engine:
        old = "actor@bbbbbbbb"
        roles = start(ScriptedModel(), "actor", merged_adapter=KNOWN, draining_engines={old: engine})
        assert roles.ask("/v1/actions")["adapter"] == KNOWN
        assert roles.ask("/v1/actions", adapter=old)["adapter"] == old
        assert len(roles.chats) == 1


def test_an_engine_that_cannot_take_over_is_refused(start: Start, roles: Roles) -> None:
    port, away = free_port(), free_port()
    merged = start(ScriptedModel(), "actor", merged_adapter=KNOWN, engines=local(port, away))
    url, new = f"{merged.urls['actor']}/v1/adapters", "actor@bbbbbbbb"
    with served(create_model(ScriptedModel(name="Llama-2-7b")), port) as other:
        for engine, found in [
            (other, "serves Llama-2-7b"),
            (local(away), "does not answer"),
            ("ftp://engine", "engine"),
            (f"{other}/v1", "engine"),
        ]:
            answer = httpx.post(url, json={"name": new, "engine": engine}, timeout=30)
            assert answer.status_code == 422, answer.text
            assert found in answer.json()["detail"]
        both = {"name": new, "engine": other, "path": "/adapters/b"}
        for body in (both, {"name": new}):
            assert "either path or engine" in httpx.post(url, json=body).json()["detail"]
        runtime = start(ScriptedModel(), "actor", engines=other).urls["actor"]
        assert httpx.post(f"{runtime}/v1/adapters", json={"name": new, "engine": other}).status_code == 409
    assert [item["name"] for item in httpx.get(url).json()["adapters"]] == [KNOWN]


# The window


@pytest.fixture(scope="module")
def narrow(start: Start) -> Roles:
    return start(ScriptedModel(lambda call: "ACTION: look", max_model_len=600), "actor", action_tokens=16)


def test_a_full_window_loses_its_oldest_turns_and_says_which(narrow: Roles) -> None:
    turns = [{"action": f"go {n}", "observation": f"<{n}> " + "You see much. " * 5} for n in range(40)]
    window = narrow.ask("/v1/actions", context={**CONTEXT, "turns": turns})["window"]
    sent = narrow.chats[-1]
    assert 0 < window["first_turn"] == window["cut"] < 40
    assert sent.usage.prompt_tokens == window["prompt_tokens"] <= window["limit"] == 600 - 16
    assert f"<{window['first_turn']}>" in sent.call.text
    assert f"<{window['first_turn'] - 1}>" not in sent.call.text
    assert "<39>" in sent.call.last
    assert CONTEXT["task"] in sent.call.text

    again = {**CONTEXT, "turns": turns, "first_turn": window["first_turn"]}
    assert narrow.ask("/v1/actions", context=again)["window"]["cut"] == 0


def test_a_prompt_that_cannot_be_cut_is_refused(narrow: Roles) -> None:
    asked = len(narrow.chats)
    answer = narrow.post("/v1/actions", context={**CONTEXT, "task": "walk on " * 700})
    problem = answer.json()
    assert (answer.status_code, problem["type"].rpartition("#")[2]) == (422, "context-too-long")
    assert "600" in problem["detail"]
    assert len(narrow.chats) == asked


# The engine


def test_an_engine_that_is_away_is_an_outage() -> None:
    away = RoleSettings(model_url=f"http://127.0.0.1:{free_port()}")
    with served(create_actor(away)) as url:
        answer = httpx.post(f"{url}/v1/actions", json={"context": CONTEXT}, timeout=20)
        ready = httpx.get(f"{url}/readyz", timeout=20)
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["type"].endswith("#unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert ready.status_code == 503
    assert "127.0.0.1" in ready.json()["dependencies"]["model"]


@pytest.mark.parametrize("fault", [Fault(503), Fault(0), Fault(429)])
def test_an_engine_that_stumbles_once_is_asked_again(roles: Roles, fault: Fault) -> None:
    say(roles, "THOUGHT: on\nACTION: look")
    roles.model.faults.add(fault)
    assert roles.ask("/v1/actions")["candidates"][0]["action"] == "look"


def test_what_the_engine_refuses_is_not_asked_again(roles: Roles) -> None:
    roles.model.faults.add(Fault(400, message="logprobs are off"), times=2)
    answer = roles.post("/v1/actions", context=CONTEXT)
    assert (answer.status_code, answer.json()["type"].rpartition("#")[2]) == (502, "upstream")
    assert "logprobs are off" in answer.json()["detail"]
    assert roles.model.faults.take("/v1/chat/completions") is not None


def test_seeds_go_only_to_engines_that_are_said_to_stand_them(roles: Roles, start: Start) -> None:
    def script(_call: ChatCall) -> str:
        return "THOUGHT: on\nACTION: look"

    roles.model.script = script
    seeded = start(ScriptedModel(script), "actor", model_seeds=True)
    roles.ask("/v1/actions", seed=7)
    seeded.ask("/v1/actions", seed=7)
    assert (roles.chats[-1].call.seed, seeded.chats[-1].call.seed) == (None, 7)


def test_tokens_are_counted(roles: Roles) -> None:
    say(roles, "THOUGHT: on\nACTION: look")
    sent = [roles.ask("/v1/actions")["usage"] for _ in range(2)]
    assert sent[1]["cached_tokens"] > 0
    metrics = httpx.get(f"{roles.urls['actor']}/metrics").text
    assert 'espalier_model_calls_total{outcome="ok",role="actor"}' in metrics
    assert 'espalier_cached_tokens_total{role="actor"}' in metrics
