"""What models and environments print reaches the terminal as text, and as nothing else."""

import io

import pytest
from rich.console import Console

from espalier.plain import plain
from espalier.view import EpisodeView
from services.contracts.event import EVENTS, EventType

ATTACKS = [
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\r\x08\x7f",
    "a\u202eb",
    "a\u200bb\u2066c\ufeff",
    "a\u2028b",
    "a\ud800b",
    "\U000e0041",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_nothing_invisible_is_left(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert "\\" in shown


@pytest.mark.parametrize("text", ["go to desk 1", "a\tb\nc", "Z\u00fcrich \u4f60\u597d \U0001f600 [x]"])
def test_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("text", ATTACKS)
def test_an_episode_is_drawn_without_what_a_terminal_acts_on(text: str) -> None:
    view = EpisodeView(f"task {text}")
    session = {"session": "s0", "session_id": "c1"}
    step = {**session, "n": 1, "action": text, "valid": True, "observation": text}
    for kind, data in [
        (EventType.BRANCH_OPENED, {"opened": text, "body": text}),
        (EventType.SESSION_OPENED, {**session, "observation": text}),
        (EventType.PLAN_MADE, {"subtasks": [text], "origin": "model"}),
        (EventType.STEP_TAKEN, step),
        (EventType.SUBTASK_DONE, {"index": 0, "subtask": text, "steps": 1}),
        (EventType.CALL_FAILED, {"reason": "actor", "detail": text}),
        (EventType.CANDIDATES_COMPARED, {"outcomes": [{"session": "s0", "action": text}], "chosen": 0}),
        (EventType.FELL_BACK, {"what": text, "detail": text}),
    ]:
        view.add(EVENTS.validate_python({"type": kind, "at": 0.0, "branch": "0", "data": data}))
    out = io.StringIO()
    Console(file=out, force_terminal=False, width=200).print(view.tree)
    drawn = out.getvalue()
    assert all(character.isprintable() or character == "\n" for character in drawn)


@pytest.mark.parametrize("text", ["do otherwise \x1b[2J", ""])
def test_a_lesson_is_drawn_where_there_is_one(text: str) -> None:
    view = EpisodeView("task")
    event = {"type": EventType.REFLECTION_MADE, "at": 0.0, "branch": "0", "data": {"text": text}}
    view.add(EVENTS.validate_python(event))
    out = io.StringIO()
    Console(file=out, force_terminal=False, width=200).print(view.tree)
    assert ("lesson: do otherwise \\x1b" in out.getvalue()) == bool(text)
    assert "\x1b" not in out.getvalue()
