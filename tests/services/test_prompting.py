"""Profiles, the renderer, the parser and the window, without a server."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.action import ActionRequest, Form
from services.contracts.context import Brief, Context, TriedPath, Turn
from services.contracts.plan import PlanRequest
from services.contracts.verdict import Option, PathQuestion, SelectionQuestion, SubtaskQuestion
from services.planner.planner import plan_grammar
from services.prompting import ParsedAction, Renderer, fit, load_profile, parse_action, parse_plan
from services.prompting.profile import PROFILES
from services.prompting.window import WindowOverflowError

Chat = list[dict[str, str]]
RENDERER = Renderer(load_profile("paper"))
BRIEF = Brief(name="house", description="A house.", actions="go, take", terminal_action="submit[answer]")
TEXT = st.text(alphabet="abz {}%<>\n0", max_size=60)
TURN = st.builds(Turn, action=TEXT, observation=TEXT, thought=TEXT)
TURNS = st.lists(TURN, max_size=12)


def context(turns: list[Turn] | None = None, **fields: Any) -> Context:
    found = {"environment": BRIEF, "task": "put a mug on a shelf", "observation": "A room.", **fields}
    return Context(turns=turns or [], **found)


def questions(found: Context) -> list[str]:
    """What each role asks of one and the same context."""
    options = [Option(action="go north"), Option(action="go south")]
    return [
        RENDERER.planner(PlanRequest(context=found)),
        *(RENDERER.actor(ActionRequest(context=found, form=form, subtask="find a mug")) for form in Form),
        RENDERER.subtask(SubtaskQuestion(context=found, subtask="find a mug")),
        RENDERER.selection(SelectionQuestion(context=found, subtask="find a mug", options=options)),
        RENDERER.path(found),
        RENDERER.paths(PathQuestion(paths=[found, found])),
    ]


def without(question: str, messages: Chat) -> Chat:
    """The prompt before its question was added."""
    last = messages[-1]
    assert last["content"].endswith(f"\n\n{question}")
    return [*messages[:-1], {**last, "content": last["content"].removesuffix(f"\n\n{question}")}]


# The renderer


@given(turns=TURNS.filter(bool), tried=st.booleans(), plan=st.booleans())
def test_the_prompt_of_a_step_begins_as_the_one_before_it(turns: list[Turn], tried: bool, plan: bool) -> None:
    fields = {
        "tried": [TriedPath(actions=["go north", "take mug"])] if tried else [],
        "plan": ["find a mug", "put it down"] if plan else [],
    }
    prompts = [
        without("Question?", RENDERER.messages(context(turns[:steps], **fields), "Question?"))
        for steps in range(len(turns) + 1)
    ]
    for before, after in itertools.pairwise(prompts):
        assert after[: len(before)] == before


@given(turns=TURNS)
def test_all_roles_share_everything_but_the_question(turns: list[Turn]) -> None:
    found = context(turns, plan=["find a mug"])
    asked = questions(found)
    assert len(set(asked)) == len(asked)
    shared = [without(question, RENDERER.messages(found, question)) for question in asked]
    assert all(prompt == shared[0] for prompt in shared)


def test_the_head_tells_what_was_tried_before_the_plan() -> None:
    found = context(tried=[TriedPath(actions=["look", "go north"])], plan=["find a mug", "bring it"])
    head = RENDERER.messages(found, "Question?")[1]["content"]
    places = [
        head.index(part) for part in ("A house.", found.task, "A room.", "1. look -> go north", "2. bring")
    ]
    assert places == sorted(places)


def test_lessons_stand_behind_the_paths_that_taught_them() -> None:
    tried = [
        TriedPath(actions=["look"], lesson="go north first"),
        TriedPath(actions=["go north"]),
        TriedPath(actions=["wait"], lesson="{{ do }} not wait"),
    ]
    head = RENDERER.messages(context(tried=tried, plan=["find a mug"]), "Question?")[1]["content"]
    begin, end = head.index("Do not repeat a path"), head.index("1. find a mug")
    assert head[begin:end].split("\n\n")[1] == (
        "Lessons of these paths:\n1. go north first\n3. {{ do }} not wait"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "paper",
            "Observed that the answer is not the best choice for task: put a mug on a shelf These paths were "
            "tried and were not good enough:\n1. look -> wait\n2. go north\nNote that actions should be "
            "adjusted appropriately according to the history. Do not repeat a path that was tried.",
        ),
        (
            "compact",
            "Tried, not good enough:\n1. look -> wait\n2. go north\nAdjust the actions; do not repeat a "
            "tried path.",
        ),
    ],
)
def test_without_lessons_a_prompt_is_what_it_was(name: str, expected: str) -> None:
    renderer = Renderer(load_profile(name))
    tried = [TriedPath(actions=["look", "wait"]), TriedPath(actions=["go north"])]
    alone = renderer.messages(context(), "Question?")[1]["content"].removesuffix("\n\nQuestion?")
    assert renderer.messages(context(tried=tried), "Question?")[1]["content"] == (
        f"{alone}\n\n{expected}\n\nQuestion?"
    )


def test_prompts_that_profiles_share_are_no_part_of_their_digests() -> None:
    assert load_profile("paper").id == "paper@63092c289cd2"
    assert load_profile("compact").id == "compact@22a07cd0f92f"


def test_what_a_task_says_is_text_and_never_a_template() -> None:
    found = context([Turn(action="{{ 1 + 1 }}", observation="{% raw %}")], task="{{ environment.name }}")
    said = "\n".join(message["content"] for message in RENDERER.messages(found, "Question?"))
    assert "{{ environment.name }}" in said
    assert "{{ 1 + 1 }}" in said
    assert "{% raw %}" in said


def test_the_actor_is_told_to_submit_only_when_it_is_due() -> None:
    due = RENDERER.actor(ActionRequest(context=context(), submit=True))
    assert "submit[answer]" in due
    assert "submit[answer]" not in RENDERER.actor(ActionRequest(context=context(), subtask="find a mug"))


def test_thoughts_are_kept_only_where_the_turn_has_one() -> None:
    assert (
        RENDERER.turn(Turn(action="look", observation="", thought="why not"))
        == "THOUGHT: why not\nACTION: look"
    )
    assert RENDERER.turn(Turn(action="look", observation="")) == "ACTION: look"


# The parser


@pytest.mark.parametrize(
    ("text", "form", "action", "thought", "well_formed"),
    [
        ("THOUGHT: to see\nACTION: look", Form.REACT, "look", "to see", True),
        ("thought : to see\n  Action:look  ", Form.REACT, "look", "to see", True),
        ("THOUGHT: one\ntwo\nACTION: look", Form.COT, "look", "one\ntwo", True),
        ("ACTION: look", Form.IO, "look", "", True),
        ("ACTION: look", Form.REACT, "look", "", False),
        ("I will look.\nACTION: look", Form.REACT, "look", "I will look.", False),
        ("THOUGHT:\nACTION: look", Form.REACT, "look", "", False),
        ("go to desk 1", Form.IO, "go to desk 1", "", False),
        ("THOUGHT: hm", Form.REACT, "THOUGHT: hm", "", False),
        ("ACTION:", Form.IO, "", "", False),
        ("", Form.IO, "", "", False),
        # echoes of the template
        ("ACTION: <action>", Form.IO, "<action>", "", False),
        ("THOUGHT: <why this action>\nACTION: look", Form.REACT, "look", "<why this action>", False),
        # lines that the model made up after its action
        ("THOUGHT: a\nACTION: look\nOBSERVATION: gold\nACTION: take gold", Form.REACT, "look", "a", True),
        # fenced blocks
        ("ACTION: ```bash\nls -l\nwc -l\n```\nand so on", Form.IO, "ls -l\nwc -l", "", True),
        ("ACTION:\n```\nSELECT 1;\n```", Form.IO, "SELECT 1;", "", True),
        (
            "ACTION: Operation\n```sql\nSELECT 1;\n```\nso",
            Form.IO,
            "Operation\n```sql\nSELECT 1;\n```",
            "",
            True,
        ),
        ("ACTION: bash\n\n```bash\nls\nwc\n```", Form.IO, "bash\n```bash\nls\nwc\n```", "", True),
        ("ACTION: go to desk 1\nThen:\n```\nls\n```", Form.IO, "go to desk 1\nThen:\n```\nls\n```", "", True),
        # what looks like a placeholder and is none
        ("ACTION: echo <a> > b", Form.IO, "echo <a> > b", "", True),
    ],
)
def test_answers_are_read(text: str, form: Form, action: str, thought: str, well_formed: bool) -> None:
    parsed = parse_action(text, form)
    assert (parsed.action, parsed.thought, parsed.well_formed) == (action, thought, well_formed)


@pytest.mark.parametrize(
    "action", ["look", "ls -l\nwc -l", "SELECT a\n  FROM t\n\n WHERE b", "Operation\n```sql\nSELECT 1\n```"]
)
@pytest.mark.parametrize("profile", ["paper", "compact"])
def test_actions_of_several_lines_are_read_back(profile: str, action: str) -> None:
    said = Renderer(load_profile(profile)).turn(Turn(action=action, observation="", thought="So."))
    assert parse_action(said, Form.REACT) == ParsedAction(action, "So.", well_formed=True)


@given(text=st.text(max_size=300), form=st.sampled_from(Form))
def test_whatever_a_model_says_is_read(text: str, form: Form) -> None:
    parsed = parse_action(text, form)
    assert parsed.action or not parsed.well_formed
    assert len(parse_plan(text, 3) or [1, 2, 3]) == 3


@given(action=st.from_regex(r"[a-z]+( [a-z0-9]+){0,4}", fullmatch=True), form=st.sampled_from(Form))
def test_what_the_transcript_keeps_is_read_back(action: str, form: Form) -> None:
    thought = "" if form is Form.IO else "so it is"
    text = RENDERER.turn(Turn(action=action, observation="", thought=thought))
    assert parse_action(text, form).well_formed
    assert parse_action(text, form).action == action


@pytest.mark.parametrize(
    ("text", "k", "plan"),
    [
        ("1. find it\n2. take it", 2, ["find it", "take it"]),
        ('Here is the plan:\n\n1) find it\nSubtask 2: "take it"\n', 2, ["find it", "take it"]),
        ("1. find it", 2, None),
        ("1. find it\n2. take it\n3. eat it", 2, None),
        ("2. take it\n1. find it", 2, None),
        ("1. <subtask 1>\n2. <subtask 2>", 2, None),
        ("find it, then take it", 1, None),
        ("", 1, None),
    ],
)
def test_plans_are_read(text: str, k: int, plan: list[str] | None) -> None:
    assert parse_plan(text, k) == plan


@settings(max_examples=30)
@given(data=st.data(), k=st.integers(1, 16))
def test_what_the_plan_grammar_allows_is_a_plan(data: st.DataObject, k: int) -> None:
    text = data.draw(st.from_regex(plan_grammar(k).replace("[^\\n<>]", "[a-z][a-z ]"), fullmatch=True))
    plan = parse_plan(text, k)
    assert plan is not None
    assert len(plan) == k


# Profiles


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROFILES / "paper", tmp_path / "mine"))


def test_a_profile_is_known_by_its_bytes(copied: Path) -> None:
    original = load_profile("paper")
    assert load_profile(str(copied)).id == original.id == f"paper@{original.digest}"
    with (copied / "judge_path.txt").open("a") as prompt:
        prompt.write(" ")
    assert load_profile(str(copied)).digest != original.digest


def test_moving_text_between_files_changes_the_digest(copied: Path) -> None:
    before = load_profile(str(copied)).digest
    (copied / "planner.txt").write_text("x" + (copied / "planner.txt").read_text())
    after = load_profile(str(copied)).digest
    turn = (copied / "turn.txt").read_text()
    (copied / "turn.txt").write_text(turn + "x")
    (copied / "planner.txt").write_text((copied / "planner.txt").read_text()[1:])
    assert len({before, after, load_profile(str(copied)).digest}) == 3


def test_a_missing_file_is_told(copied: Path) -> None:
    (copied / "turn.txt").unlink()
    with pytest.raises(ValueError, match=r"lacks turn\.txt"):
        load_profile(str(copied))


def test_an_unknown_profile_is_told_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'poetry'; there are: .*paper"):
        load_profile("poetry")


# The window


async def count(messages: Chat) -> int:
    """A tokenizer of three bytes a token, and some for each message."""
    return sum(len(message["content"].encode()) // 3 + 4 for message in messages)


def numbered(sizes: list[int]) -> list[Turn]:
    return [Turn(action=f"go {n}", observation=f"<{n}> " + "o" * size) for n, size in enumerate(sizes)]


SIZES = st.lists(st.integers(0, 400), min_size=1, max_size=25)


@given(sizes=SIZES, room=st.integers(0, 3000))
async def test_a_prompt_never_exceeds_the_window_and_keeps_its_ends(sizes: list[int], room: int) -> None:
    found = context(numbered(sizes))
    smallest = await count(RENDERER.messages(found, "Question?", len(sizes) - 1))
    limit = smallest + room
    messages, window = await fit(RENDERER, found, "Question?", limit=limit, count=count)
    assert await count(messages) <= window.prompt_tokens <= limit
    assert messages[:2] == RENDERER.messages(found, "Question?")[:2]
    assert messages[2:] == RENDERER.messages(found, "Question?")[2 + 2 * window.first_turn :]
    assert f"<{len(sizes) - 1}>" in messages[-1]["content"]
    assert window.cut == window.first_turn
    if window.cut:
        alone = window.first_turn == len(sizes) - 1
        assert window.prompt_tokens <= limit * 0.6 or alone


@given(sizes=SIZES, missing=st.integers(1, 50))
async def test_what_cannot_fit_is_told(sizes: list[int], missing: int) -> None:
    found = context(numbered(sizes))
    smallest = await count(RENDERER.messages(found, "Question?", len(sizes) - 1))
    with pytest.raises(WindowOverflowError, match=str(smallest)):
        await fit(RENDERER, found, "Question?", limit=smallest - missing, count=count)


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(0, 60), min_size=45, max_size=60))
async def test_after_a_cut_the_prompt_grows_without_another_until_it_is_full(sizes: list[int]) -> None:
    head = await count(RENDERER.messages(context(), "Question?"))
    limit = head + 500
    turns = numbered(sizes)
    first, cuts = 0, 0
    for steps in range(len(turns) + 1):
        found = context(turns[:steps], first_turn=first)
        full = await count(RENDERER.messages(found, "Question?", first)) > limit
        messages, window = await fit(RENDERER, found, "Question?", limit=limit, count=count)
        assert (window.cut > 0) == full
        assert window.first_turn == first + window.cut
        assert messages == RENDERER.messages(found, "Question?", window.first_turn)
        first = window.first_turn
        cuts += full
    assert 0 < cuts < len(turns) / 4, "a cut makes room for many steps"


async def test_a_short_prompt_is_not_counted() -> None:
    async def never(_messages: Chat) -> int:
        raise AssertionError("a prompt whose bytes fit needs no counting")

    _, window = await fit(RENDERER, context(), "Question?", limit=4000, count=never)
    assert window.prompt_tokens <= 4000
