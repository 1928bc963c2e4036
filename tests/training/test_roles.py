"""One role's model, over real HTTP: what it answers is read, asked again, or told."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from fastapi import Response
from pydantic import SecretStr

from tests.support import free_port
from tests.training.support import Chat, Reply, RoleServer, Script, move
from training.construct.acting import read_move
from training.construct.role_settings import Address, ConstructSettings, RoleSetupError, is_address
from training.construct.roles import RoleAwayError, RoleError, RoleModel
from training.construct.templates import NAMES, PromptError, Prompts

QUESTION: Chat = [{"role": "user", "content": "You are the action maker: go on."}]
SETTINGS = ConstructSettings(role_timeout=30, role_retry_for=0, role_tries=2)
RAMBLES = "Well, first of all, let me think about it."


def in_turn(*replies: str | Reply) -> Script:
    """Says one thing after the other, and the last one from then on."""
    left: Iterator[str | Reply] = iter(replies)
    last = replies[-1]
    return lambda role, chat: next(left, last)


async def ask(server: RoleServer, settings: ConstructSettings = SETTINGS, *, path: str = "") -> str:
    address = Address(f"{server.url}{path}")
    model = RoleModel("action_maker", address, settings, 4)
    try:
        answer = await model.complete(QUESTION, read_move)
        return f"{answer.thought} | {answer.action}"
    finally:
        await model.close()


@pytest.mark.parametrize(
    ("replies", "answer", "times"),
    [
        ([move("look", "why not")], "why not | look", 1),
        ([f"<think>ACTION: no\n\nhm</think>\n\n{move('look', 'so')}"], "so | look", 1),
        (["THOUGHT: so\nACTION: look\nOBSERVATION: I see\nACTION: go"], "so | look", 1),
        (["THOUGHT: so\nACTION:\n```bash\nls\npwd\n```"], "so | ls\npwd", 1),
        ([RAMBLES, move("look", "so")], "so | look", 2),
        (["I'm sorry, but I cannot help.", move("look", "so")], "so | look", 2),
        ([Reply(refusal="I will not"), move("look", "so")], "so | look", 2),
        ([Reply(move("look"), finish="length"), move("look", "so")], "so | look", 2),
        ([Reply(""), move("look", "so")], "so | look", 2),
    ],
)
async def test_an_answer_of_the_form_is_read(
    roles: RoleServer, replies: Sequence[str | Reply], answer: str, times: int
) -> None:
    roles.script = in_turn(*replies)
    assert (await ask(roles), len(roles.asked)) == (answer, times)


GARBLED = Response(b"not gzip", headers={"content-encoding": "gzip"}, media_type="application/json")


@pytest.mark.parametrize(
    ("reply", "reason", "times"),
    [
        (RAMBLES, "rambles", 2),
        ("THOUGHT: <why this action>\nACTION: <one action>", "rambles", 2),
        ("ACTION: look", "rambles", 2),
        ("I\u2019m sorry, but I can\u2019t.", "refuses", 2),
        ("**As an AI** I do not act.", "refuses", 2),
        (Reply(None, refusal="No."), "refuses", 2),
        (Reply(move("look"), finish="length"), "rambles", 2),
        (Reply(""), "is empty", 2),
        (Reply(None), "is empty", 2),
        (Reply("<think>for ever</think>"), "is empty", 2),
        (Reply("broken", status=500), "answers 500", 1),
        (Reply("too long", status=400), "answers 400", 1),
        (Reply(raw=Response(b"<html>", media_type="text/html")), "answers no completion", 1),
        (Reply(raw=Response(b'{"choices": []}')), "answers no completion", 1),
        (
            Reply(raw=Response(b'{"choices": [{"message": {"content": "\\ud800"}}]}')),
            "answers no completion",
            1,
        ),
        (Reply(raw=Response(b"\xff\xfe\x00")), "answers no completion", 1),
        (Reply(raw=GARBLED), "answers no completion", 1),
        (Reply(raw=Response(status_code=307, headers={"location": "/elsewhere"})), "answers 307", 1),
    ],
)
async def test_an_answer_without_the_form_spoils_one_conversation(
    roles: RoleServer, reply: str | Reply, reason: str, times: int
) -> None:
    roles.script = in_turn(reply)
    with pytest.raises(RoleError) as found:
        await ask(roles)
    assert (found.value.role, found.value.reason, len(roles.asked)) == ("action_maker", reason, times)
    assert len(found.value.detail) <= 300


async def test_silence_spoils_one_conversation(roles: RoleServer) -> None:
    roles.script = in_turn(Reply(never=True))
    with pytest.raises(RoleError) as found:
        await ask(roles, SETTINGS.model_copy(update={"role_timeout": 0.3}))
    assert (found.value.reason, found.value.detail) == ("times out", "no answer within 0.3 s")


async def test_tries_are_counted(roles: RoleServer) -> None:
    roles.script = in_turn(RAMBLES)
    with pytest.raises(RoleError):
        await ask(roles, SETTINGS.model_copy(update={"role_tries": 5}))
    assert len(roles.asked) == 5


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_server_that_is_full_is_tried_again(roles: RoleServer, status: int) -> None:
    roles.script = in_turn(Reply("full", status=status), move("look", "so"))
    patient = SETTINGS.model_copy(update={"role_retry_for": 20})
    assert (await ask(roles, patient), len(roles.asked)) == ("so | look", 2)
    roles.script = in_turn(Reply("full", status=status))
    with pytest.raises(RoleAwayError, match=f"action_maker at .* answers {status}"):
        await ask(roles)


async def test_a_server_that_is_away_is_told() -> None:
    nobody = RoleServer(in_turn(""), f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RoleAwayError, match="does not answer"):
        await ask(nobody)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_an_unknown_key_or_model_is_told_at_once(roles: RoleServer, status: int) -> None:
    roles.script = in_turn(Reply("who are you?", status=status))
    with pytest.raises(RoleSetupError, match=f"answers {status}.*who are you"):
        await ask(roles)
    assert len(roles.asked) == 1


async def test_the_first_model_is_asked_where_none_is_named(roles: RoleServer) -> None:
    roles.script = in_turn(move("look"))
    roles.models = ["first", "second"]
    await ask(roles)
    assert roles.bodies[0]["model"] == "first"
    roles.models = []
    with pytest.raises(RoleSetupError, match="ESPALIER_ROLE_MODEL"):
        await ask(roles)


async def test_what_is_sent(roles: RoleServer) -> None:
    roles.script = in_turn(move("look"))
    address = Address(f"{roles.url}/v1/", "named", "secret")
    settings = SETTINGS.model_copy(update={"role_tokens": 77, "role_temperature": 0.25})
    model = RoleModel("action_maker", address, settings, 1)
    await model.complete(QUESTION, read_move)
    await model.close()
    sent = {"model": "named", "messages": QUESTION, "n": 1, "temperature": 0.25, "max_tokens": 77}
    assert (roles.bodies, roles.keys) == ([sent], ["Bearer secret"])
    assert "secret" not in repr(address)


async def test_a_server_that_knows_the_newer_limit_alone(roles: RoleServer) -> None:
    def script(role: str, chat: Chat) -> str | Reply:
        if "max_tokens" in roles.bodies[-1]:
            return Reply("use max_completion_tokens instead", status=400)
        return move("look", "so")

    roles.script = script
    assert await ask(roles) == "so | look"
    assert roles.bodies[-1]["max_completion_tokens"] == 400
    roles.script = in_turn(Reply("neither max_tokens nor max_completion_tokens", status=400))
    with pytest.raises(RoleError, match="answers 400"):
        await ask(roles)


# Which model plays which role


def settings_of(**given: str) -> ConstructSettings:
    keys = {name: SecretStr(value) for name, value in given.items() if name.endswith("_key")}
    return ConstructSettings().model_copy(update=given | keys)


def test_one_server_plays_every_role() -> None:
    settings = settings_of(role_url="http://one", role_model="m", role_key="k")
    assert settings.address("environment_agent") == Address("http://one", "m", "k")


def test_a_role_with_its_own_server_gets_no_other_key() -> None:
    settings = settings_of(role_url="http://one", role_model="m", role_key="k", action_maker_url="http://two")
    assert settings.address("action_maker") == Address("http://two", "", "")
    assert settings.address("question_generator") == Address("http://one", "m", "k")


def test_a_role_can_have_its_own_model_on_the_same_server() -> None:
    settings = settings_of(role_url="http://one", role_model="m", role_key="k", action_maker_model="large")
    assert settings.address("action_maker") == Address("http://one", "large", "k")


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPALIER_ROLE_URL", "http://one")
    monkeypatch.setenv("ESPALIER_ACTION_MAKER_URL", "http://two")
    monkeypatch.setenv("ESPALIER_ACTION_MAKER_KEY", "k2")
    monkeypatch.setenv("ESPALIER_ROLE_TRIES", "3")
    settings = ConstructSettings.read(role_url="", role_model="given")
    assert settings.address("action_maker") == Address("http://two", "", "k2")
    assert settings.address("environment_agent") == Address("http://one", "given", "")
    assert settings.role_tries == 3


@pytest.mark.parametrize(
    ("name", "value"), [("ROLE_TOKENS", "many"), ("ROLE_TRIES", "0"), ("ROLE_TIMEOUT", "-1")]
)
def test_a_variable_out_of_range_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ESPALIER_{name}", value)
    with pytest.raises(RoleSetupError, match=f"^ESPALIER_{name}: "):
        ConstructSettings.read()


def test_without_a_model_the_variables_are_named() -> None:
    with pytest.raises(RoleSetupError) as found:
        ConstructSettings().address("question_generator")
    for name in ("ESPALIER_ROLE_URL", "ESPALIER_QUESTION_GENERATOR_URL", "--question-generator-url"):
        assert name in str(found.value)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://127.0.0.1:8100", True),
        ("https://models.example.org/v1", True),
        ("http://[::1]:80/v1", True),
        ("127.0.0.1:8100", False),
        ("ftp://127.0.0.1", False),
        ("http://", False),
        ("http://:8100", False),
        ("http://host:port", False),
        ("http://host:99999", False),
        ("http://[::1", False),
    ],
)
def test_an_address_is_one(url: str, good: bool) -> None:
    assert is_address(url) == good


# Prompts


def test_every_role_has_a_prompt() -> None:
    brief = {"description": "A house.", "actions": "go to R", "task": "put it", "observation": "You see it."}
    prompts = Prompts()
    said = {
        "action_maker": prompts.render("action_maker", **brief),
        "in_context": prompts.render("in_context", examples=[], **brief),
        "environment_agent": prompts.render("environment_agent", room="A room.", task="put it", actions="go"),
        "question_generator": prompts.render("question_generator", room="A room.", kind="put", **brief),
    }
    assert set(said) == set(NAMES)
    for text in said.values():
        assert "put" in text
        assert "{{" not in text
        assert "{%" not in text


def test_a_folder_replaces_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "action_maker.txt").write_text("Do {{ task }} & <more>.\n")
    prompts = Prompts(tmp_path)
    assert prompts.render("action_maker", task="it") == "Do it & <more>."
    assert "question generator" in prompts.render(
        "question_generator", room="r", kind="k", actions="a", task="", description=""
    )


def absent(folder: Path) -> None:
    folder.rmdir()


def broken(folder: Path) -> None:
    (folder / "action_maker.txt").write_text("{{ task")


def not_text(folder: Path) -> None:
    (folder / "action_maker.txt").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(absent, "no such folder"), (broken, "action_maker.txt"), (not_text, "action_maker.txt")],
)
def test_a_folder_that_cannot_be_used_is_told(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    spoil(folder)
    with pytest.raises(PromptError, match=says):
        Prompts(folder)


@pytest.mark.parametrize("text", ["{{ secret }}", "{{ ''.__class__.__mro__ }}", "{{ task.x.y }}"])
def test_a_prompt_that_asks_for_more_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "action_maker.txt").write_text(text)
    with pytest.raises(PromptError, match=r"the prompt action_maker\.txt"):
        Prompts(tmp_path).render("action_maker", task="it")
