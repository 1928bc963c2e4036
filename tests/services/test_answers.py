"""Answers as models write them: every form is read whole or marked as malformed, in linear time."""

import random
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.alfworld import actions as alfworld
from envs.dbbench import actions as dbbench
from envs.mind2web import actions as mind2web
from envs.os_interaction import actions as os_interaction
from envs.webshop import actions as webshop
from services.actor.actor import render_grammar
from services.actor.api import create as create_actor
from services.contracts.action import Form
from services.contracts.context import Turn
from services.kit.settings import RoleSettings
from services.prompting import Renderer, load_profile, parse_action, parse_plan
from services.scripted.api import create_app as create_model
from services.scripted.model import ScriptedModel
from services.scripted.regex import sample
from tests.services.actor_calls import propose
from tests.support import served

FORMS = {
    "plain": "THOUGHT: because\nACTION: {}",
    "bold, colon inside": "**Thought:** because\n**Action:** {}",
    "bold, colon outside": "**Thought**: because\n\n**Action**: {}",
    "bold line": "**Thought: because**\n**Action: {}**",
    "headings": "## Thought\nbecause\n\n## Action\n{}",
    "headings with colons": "### Thought:\nbecause\n### Action:\n{}",
    "numbered": "Thought 1: because\nAction 1: {}",
    "full-width colons": "Thought\uff1abecause\nAction\uff1a{}",
    "bullets": "- Thought: because\n- Action: {}",
    "backticks": "Thought: because\nAction: `{}`",
    "quotes": 'Thought: because\nAction: "{}"',
    "curly quotes": "Thought: because\nAction: \u201c{}\u201d",
    "AgentBench's labels": "Think: because\n\nAct: {}",
    "one line": "THOUGHT: because ACTION: {}",
    "fenced answer": "```\nThought: because\nAction: {}\n```",
    "fenced action": "Thought: because\nAction:\n```\n{}\n```",
    "JSON": '{{"thought": "because", "action": "{}"}}',
    "fenced JSON": '```json\n{{"thought": "because", "action": "{}"}}\n```',
    "JSON action": 'Thought: because\nAction: {{"action": "{}"}}',
    "a draft in a think block": "<think>\nACTION: draft\n</think>\n\nTHOUGHT: because\nACTION: {}",
    "the thought in a think block": "<think>because</think>\nACTION: {}",
    "a think block that the template opened": "because\n</think>\n\nACTION: {}",
    "lines of Windows": "THOUGHT: because\r\nACTION: {}\r\n",
    "a made-up observation": "THOUGHT: because\nACTION: {}\nOBSERVATION: done\nACTION: more",
}
MANY_LINES = (
    "sql: UPDATE `Members` SET Age='10'\nWHERE Name='Bo'",
    "cat > f <<EOF\none\n\ntwo\nEOF",
    "SELECT a\n  FROM t\n-- the rest\n WHERE b",
)
README_FORMS = {
    "alfworld": ["go to desk 1", "take mug 1 from desk 1", "put mug 1 in/on desk 1", "examine mug 1."],
    "webshop": ["search[action camera 4k]", "click[Next >]", "click[< Prev]", "click[Buy Now]."],
    "mind2web": [
        "C CLICK",
        "B TYPE desk lamp",
        "D SELECT <None>",
        "A",
        "Answer: C.\nAction: SELECT\nValue: Queen",
    ],
    "os_interaction": [
        "bash: echo a > f",
        "bash: grep '<action>' f",
        "answer[Action & Adventure]",
        "answer(42)",
        "finish",
        "bash\n```bash\nls\n\nwc -l f\n```",
    ],
    "dbbench": [
        "sql: SELECT `Action` FROM `t` WHERE a <> 1",
        "sql: UPDATE t SET a = 1\nWHERE b = 2",
        "sql(SELECT 1)",
        "SELECT 1",
        "Operation\n```sql\nSELECT 1\nFROM t\n```",
        'answer: ["9"]',
        'answer(["9"])',
        'answer["9"]',
        'Final Answer: ["9"]',
        'Answer\nFinal Answer: ["9"]',
    ],
}
ENVIRONMENTS = {
    "alfworld": alfworld.command,
    "webshop": webshop.parse,
    "mind2web": mind2web.parse,
    "os_interaction": os_interaction.parse,
    "dbbench": dbbench.parse,
}
HARD = [
    "```" + " " * 20_000 + "a",
    " " * 20_000 + "a",
    "THOUGHT: a\nACTION: ```" + "\n" * 20_000 + "x",
    "`" * 20_000,
    "```\n" * 5_000,
    "````a\n" * 2_500 + "```\n" * 1_250,
    "1. a" + " " * 20_000 + "b",
    "ACTION:" * 2_900,
    "ACTION:\n" * 2_500,
    "<think>" * 2_900,
    "</think>" * 2_500,
    "</think>\n" * 2_200,
    "a </think> b\n" * 1_500,
    "</think> " + " " * 19_000,
    "{" * 20_000,
    '{"action":' * 2_000,
    "*" * 20_000,
    "action" + " " * 20_000,
    "Answer: C\n" * 2_000,
    "THOUGHT: ACTION: " * 1_200,
    "ACTION: " + "search[" * 2_800,
    "ACTION: bash ```" + " " * 20_000 + "a",
    "ACTION: answer" + "(" * 20_000,
    "ACTION: A" + " " * 20_000 + "x",
    "ACTION: put a in " * 1_200,
]


@pytest.mark.parametrize("action", ["go to desk 1", "click[Next >]", "echo a > f", "search[action camera]"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_action_and_the_thought(form: str, action: str) -> None:
    parsed = parse_action(form.format(action), Form.REACT)
    assert (parsed.action, parsed.thought, parsed.well_formed) == (action, "because", True)


@pytest.mark.parametrize("action", MANY_LINES)
@pytest.mark.parametrize(
    "form", ["plain", "bold, colon outside", "numbered", "fenced action", "AgentBench's labels"]
)
def test_an_action_of_several_lines_is_never_cut(form: str, action: str) -> None:
    parsed = parse_action(FORMS[form].format(action), Form.REACT)
    assert (parsed.action, parsed.well_formed) == (action, True)


@pytest.mark.parametrize(
    "text",
    [
        "THOUGHT: a\nACTION: ```sql\nUPDATE t SET a = 1",
        "THOUGHT: a\nACTION: bash\n```bash\nrm -r a",
        "<think>\nACTION: look",
        "THOUGHT: a\nACTION: " + "x" * 20_001,
        'ACTION: {"action": "search", "action_input": "mug"}\nTHOUGHT: a',
    ],
)
def test_what_may_be_cut_is_malformed(text: str) -> None:
    assert not parse_action(text, Form.REACT).well_formed


PREFIXES = [
    "```sql\nUPDATE t\nSET a=1\n```\nWHERE x=1",
    "```UPDATE t SET a=1```\nWHERE id=2",
    "```bash\ncat > r.md <<'EOF'\nfoo\n```\nEOF",
    "Operation\n```sql\nUPDATE t SET a=1\n```\nWHERE b=1",
    "Operation\n```sql\nUPDATE t SET a='\n```\n' WHERE id=1",
    "UPDATE t SET\n  act: 1\n WHERE id=2",
    "cat > c.yml <<E\non: push\nsteps:\n  - action: deploy\nE",
    "UPDATE t SET note='\nACTION: do it' WHERE id=1",
    "UPDATE t SET note='\nAction: do it' WHERE id=1",
    "cat > f <<EOF\nTHOUGHT: hi\nEOF",
    "cat > f <<EOF\nThought: hi\nEOF",
    "go\n**Observation:** I see\n**Action:** z",
    "```sql```",
]


@pytest.mark.parametrize("action", PREFIXES)
def test_a_part_of_an_action_is_never_taken_for_the_whole(action: str) -> None:
    parsed = parse_action(f"THOUGHT: x\nACTION: {action}", Form.REACT)
    assert not parsed.well_formed or parsed.action == action


def test_a_first_line_that_is_no_language_belongs_to_a_block() -> None:
    parsed = parse_action("THOUGHT: x\nACTION: ```DELETE\nFROM t\n```", Form.REACT)
    assert (parsed.action, parsed.well_formed) == ("DELETE\nFROM t", True)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<think>a</think>\n<think>\nTHOUGHT: d\nACTION: draft\n</think>\nTHOUGHT: x\nACTION: real", "real"),
        ("THOUGHT: d\nACTION: draft\n</thinking>\nTHOUGHT: x\nACTION: real", "real"),
        ('THOUGHT: d\nACTION: draft\n</think>\n{"thought": "x", "action": "real"}', "real"),
        ('Okay. <think>THOUGHT: d\nACTION: draft\n</think>\n{"thought": "x", "action": "real"}', "real"),
        ("[THINK]\nTHOUGHT: d\nACTION: draft\n[/THINK]\nTHOUGHT: x\nACTION: real", "real"),
        ("THOUGHT: d\nACTION: draft</think>ACTION: real", "real"),
        ("THOUGHT: x\nACTION: echo '</think>'", "echo '</think>'"),
        ("Okay.\n<think>\nTHOUGHT: d\nACTION: draft", None),
        ("<think>\nTHOUGHT: d\nACTION: draft", None),
        ('Thought: the page says "Action: buy".\nI click it. Action: click[buy]', None),
        ("Thought: Use Action: then go. ACTION: look", None),
        ('{"thought": "x", "action": "a", "action": "b"}', None),
        ('{"thought": "x", "action": "\\ud800"}', None),
    ],
)
def test_drafts_and_mentions_are_not_executed(text: str, action: str | None) -> None:
    parsed = parse_action(text, Form.REACT)
    assert (parsed.action if parsed.well_formed else None) == action


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ('1. Say "hi"\n2. go', ['Say "hi"', "go"]),
        ('1. "go"\n2. **stop**', ["go", "stop"]),
        ("1. find\n   the cup\n2. take it", None),
    ],
)
def test_plans_are_read_whole_or_not_at_all(text: str, plan: list[str] | None) -> None:
    assert parse_plan(text, 2) == plan


def test_an_action_that_ends_with_the_limit_of_tokens_is_malformed() -> None:
    text = "THOUGHT: a\nACTION: sql: DELETE FROM t"
    assert not parse_action(text, Form.REACT, truncated=True).well_formed
    assert parse_action(f"{text}\nOBSERVATION: [(1", Form.REACT, truncated=True).well_formed


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_a_line_feed_ends_a_line(separator: str) -> None:
    action = f"echo a{separator}b"
    assert parse_action(f"THOUGHT: c{separator}d\nACTION: {action}", Form.REACT).action == action
    assert parse_plan(f"1. a{separator}b\n2. c", 2) == [f"a{separator}b", "c"]


@given(
    lines=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30), min_size=1, max_size=6
    ),
    form=st.sampled_from(Form),
)
def test_no_prefix_of_an_action_is_ever_well_formed(lines: list[str], form: Form) -> None:
    action = "\n".join(lines).strip()
    turn = Turn(action=action, observation="", thought="so")
    parsed = parse_action(Renderer(load_profile("paper")).turn(turn), form)
    if parsed.well_formed and parsed.action != action:
        assert len(parsed.action) < len(action)
        assert parsed.action.strip() in action.strip("`\"'*\u201c\u201d\u2018\u2019\u00ab\u00bb\u300c\u300d ")
        assert "\n" not in action


@given(st.text(alphabet="`*_#\n :<>[]{}\"'aAcCtTiIoOnN1.-", max_size=200))
def test_parsers_never_raise(text: str) -> None:
    for form in Form:
        parse_action(text, form)
    parse_plan(text, 3)
    for parse in ENVIRONMENTS.values():
        parse(text)


@pytest.mark.parametrize("text", HARD, ids=range(len(HARD)))
def test_parsers_take_linear_time(text: str) -> None:
    began = time.process_time()
    for given_text in (text, text.removeprefix("ACTION: ")):
        parse_action(given_text, Form.REACT)
        parse_plan(given_text, 3)
        for parse in ENVIRONMENTS.values():
            parse(given_text)
    assert time.process_time() - began < 20


@pytest.fixture(scope="module")
def actor() -> Iterator[tuple[ScriptedModel, str]]:
    model = ScriptedModel()
    with (
        served(create_model(model)) as engine,
        served(create_actor(RoleSettings(model_url=engine, action_tokens=400))) as url,
    ):
        yield model, url


@pytest.mark.parametrize(
    ("environment", "action"),
    [(name, action) for name, several in README_FORMS.items() for action in several],
)
def test_every_form_of_a_readme_passes_through_the_actor(
    actor: tuple[ScriptedModel, str], environment: str, action: str
) -> None:
    model, url = actor
    model.script = lambda call: f"THOUGHT: because\nACTION: {action}"
    candidate = propose(url)["candidates"][0]
    parse = ENVIRONMENTS[environment]
    assert candidate["well_formed"]
    assert candidate["action"] == action
    assert parse(candidate["action"]) is not None


@pytest.mark.parametrize("text", ["C CLICK", "Thought: t\n\nAnswer: C.\nAction: SELECT\nValue: Queen"])
def test_agentbench_forms_without_our_labels(actor: tuple[ScriptedModel, str], text: str) -> None:
    model, url = actor
    model.script = lambda call: text
    candidate = propose(url)["candidates"][0]
    assert candidate["well_formed"] == text.startswith("Thought")
    assert mind2web.parse(candidate["action"]) is not None


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("seed", range(20))
def test_what_the_grammar_allows_is_well_formed(form: Form, seed: int) -> None:
    text = sample(render_grammar(form), random.Random(seed))
    parsed = parse_action(text, form)
    assert parsed.well_formed, text


@pytest.mark.parametrize("action", ["click[Next >]", "echo a > f", "sql: SELECT 1 WHERE 2 <> 3"])
def test_the_grammar_can_express_every_character_of_an_action(action: str) -> None:
    for form in Form:
        grammar = render_grammar(form)
        thought = "" if form is Form.IO else "THOUGHT: a < b\n"
        assert re.fullmatch(grammar, f"{thought}ACTION: {action}")
        assert re.fullmatch(grammar, f"{thought}ACTION: \n```bash\nls\n\nwc < f\n```")
        assert re.fullmatch(grammar, f"{thought}ACTION: Operation\n```sql\nSELECT 1\n```")
        assert not re.fullmatch(grammar, f"{thought}ACTION: <action>")


@pytest.mark.parametrize(
    "text", ["ACTION: <action>", "THOUGHT: <why this action>\nACTION: look", "THOUGHT: a\nACTION: <ACTION>"]
)
def test_an_echo_of_the_template_is_malformed(text: str) -> None:
    assert not parse_action(text, Form.REACT).well_formed
    assert not parse_action(text, Form.REACT, placeholders=load_profile("compact").placeholders).well_formed
