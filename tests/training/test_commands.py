"""`espalier construct …` as a user types it."""

import json
from pathlib import Path

import pytest

from tests.support import free_port
from tests.training.conftest import SPLIT, Construct
from tests.training.support import SOLVED, Reply, RoleServer, record
from training.construct.cards import card_file
from training.construct.record import append_records, read_records
from training.construct.rejections import rejected_file

COMMANDS = ("experts", "roleplay", "in-context", "filter", "review", "show")
NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(construct: Construct, command: str) -> None:
    found = construct(command, "--help")
    assert found.exit_code == 0
    assert "Usage: " in found.stdout


def test_the_help_names_every_command(construct: Construct) -> None:
    found = construct("--help")
    assert all(f" {name} " in found.stdout for name in COMMANDS)


def test_from_an_expert_to_what_is_accepted(
    construct: Construct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way, with a server of its own that the command starts and stops."""
    monkeypatch.setenv("ESPALIER_ALFWORLD_GENERATED", "50")
    raw, good, accepted = (tmp_path / "data" / f"{name}.jsonl" for name in ("raw", "good", "accepted"))
    found = construct(
        "experts", "--env", "alfworld", "--split", SPLIT, "--limit", 2, "--derived", 1, "--out", raw
    )
    assert found.exit_code == 0, found.stderr
    assert "2 of 2 kept" in found.stdout
    found = construct("filter", raw, "--out", good)
    assert found.exit_code == 0, found.stderr
    count = len(list(read_records(raw)))
    assert found.stdout.splitlines()[-1] == f"{good}: {count} of {count} kept"
    assert "replay" in found.stdout
    found = construct("review", good, "--out", accepted, keys="a\nr\na\nq\n")
    assert found.exit_code == 0, found.stderr
    assert f"2 accepted, 1 rejected, {count - 3} left" in found.stdout
    assert [one.provenance.filters[-1] for one in read_records(accepted)] == ["review", "review"]
    found = construct("show", accepted)
    rows = [line.split() for line in found.stdout.splitlines()[1:]]
    assert (found.exit_code, {row[0] for row in rows}, sum(int(row[3]) for row in rows)) == (
        0,
        {"alfworld"},
        2,
    )
    assert construct("show", accepted, "--number", 1).exit_code == 0
    assert all(card_file(path).is_file() for path in (raw, good, accepted))


def test_rooms_are_imagined(construct: Construct, roles: RoleServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("roleplay", "--imagined", "--limit", 3, "--out", out, "--role-url", roles.url)
    found = construct(*words)
    assert (found.exit_code, found.stdout) == (0, f"{out}: 3 kept, 0 rejected, 0 failed, 0 were there\n")
    assert construct(*words).stdout == f"{out}: 0 kept, 0 rejected, 0 failed, 3 were there\n"


def test_rejections_are_counted(construct: Construct, roles: RoleServer, tmp_path: Path) -> None:
    roles.script = lambda role, chat: "Sorry, no."
    found = construct(
        "roleplay", "--imagined", "--limit", 3, "--out", tmp_path / "out", "--role-url", roles.url
    )
    assert found.exit_code == 0
    assert "0 kept, 3 rejected (3 question_generator: refuses), 0 failed" in found.stdout
    assert len(rejected_file(tmp_path / "out").read_text().splitlines()) == 3


def test_a_corridor_is_played_and_imitated(
    construct: Construct, roles: RoleServer, corridor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPALIER_ROLE_URL", f"{roles.url}/v1")
    monkeypatch.setenv("ESPALIER_ROLE_KEY", "secret")
    played, imitated, good = (tmp_path / name for name in ("played", "imitated", "good"))
    common = ("--env", "twin", "--split", "corridors", "--url", corridor, "--limit", 3)
    found = construct("roleplay", *common, "--reword", "--out", played)
    assert (found.exit_code, "3 kept" in found.stdout) == (0, True), found.stderr
    found = construct(
        "in-context", *common, "--seed", 5, "--examples", played, "--shots", 1, "--out", imitated
    )
    assert (found.exit_code, "3 kept" in found.stdout) == (0, True), found.stderr
    assert set(roles.keys) == {"Bearer secret"}
    found = construct("filter", imitated, "--out", good, "--skip", "loops", "--url", f"twin={corridor}")
    assert found.exit_code == 0, found.stderr
    assert "loops" not in found.stdout


def test_a_filter_tells_what_it_rejected(construct: Construct, tmp_path: Path) -> None:
    raw, good = tmp_path / "raw", tmp_path / "good"
    append_records(raw, [record(*SOLVED), record(*SOLVED, reward=0.5)])
    with raw.open("a") as lines:
        lines.write("nothing\n")
    found = construct("filter", raw, "--out", good, "--no-replay")
    rows = {line.split()[0]: line.split()[-2:] for line in found.stdout.splitlines()}
    assert rows["success"] == ["1", "1"]
    assert rows["malformed"] == ["0", "1"]
    assert found.stdout.splitlines()[-1] == f"{good}: 1 of 3 kept"
    assert construct("filter", raw, "--out", good, "--no-replay", "--least", 0.5).exit_code == 0
    assert [one.reward for one in read_records(good)] == [1.0], "the other is a duplicate then"


# What is wrong


def wrong(tmp_path: Path) -> dict[str, str]:
    """Names for what tests type: files that are there, and one that is not."""
    poem, good, empty = (tmp_path / name for name in ("poem.txt", "good.jsonl", "empty"))
    poem.write_text("A rose is a rose\n")
    append_records(good, [record(*SOLVED)])
    empty.mkdir()
    return {
        "POEM": str(poem),
        "GOOD": str(good),
        "FOLDER": str(empty),
        "MISSING": str(tmp_path / "missing"),
        "OUT": str(tmp_path / "out"),
    }


ROLEPLAY = "roleplay --env alfworld --split s --out OUT"
IMAGINED = "roleplay --imagined --limit 1 --out OUT"
IN_CONTEXT = "in-context --env alfworld --split s --out OUT --examples GOOD"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "experts --env kitchen --split s --out OUT",
            "there is no expert for 'kitchen'; there are: alfworld",
        ),
        (f"experts --env alfworld --split s --out OUT --url {NOBODY}", "does not answer"),
        ("experts --env alfworld --split s --out OUT --url nowhere", "'nowhere' is no address"),
        (f"experts --env alfworld --split s --out POEM --url {NOBODY}", "poem.txt, line 1"),
        ("show MISSING", "No such file"),
        ("show POEM", "poem.txt, line 1"),
        ("show FOLDER", "Is a directory"),
        ("show GOOD --number 7", "has no record 7"),
        ("review MISSING", "No such file"),
        ("review POEM", "poem.txt, line 1"),
        ("review GOOD --out GOOD", "give another --out"),
        ("filter MISSING --out OUT", "No such file"),
        ("filter GOOD --out GOOD --no-replay", "give another --out"),
        (f"filter GOOD --out OUT --url alfworld={NOBODY}", "does not answer"),
        ("filter GOOD --out OUT --url alfworld=nowhere", "'nowhere' is no address"),
        (ROLEPLAY, "no model plays the action maker: set ESPALIER_ROLE_URL"),
        (f"{ROLEPLAY} --action-maker-url {NOBODY} --reword", "no model plays the question generator"),
        (f"{ROLEPLAY} --role-url nowhere", "'nowhere' is no address of a model"),
        (f"{ROLEPLAY} --role-url {NOBODY} --url {NOBODY}", "does not answer"),
        (
            f"roleplay --env planner --split s --out OUT --role-url {NOBODY}",
            "there is no environment 'planner'",
        ),
        (f"{IMAGINED} --role-url {NOBODY} --prompts MISSING", "no such folder of prompts"),
        (f"{IMAGINED} --role-url {NOBODY} --prompts POEM", "no such folder of prompts"),
        (f"roleplay --imagined --limit 1 --out POEM --role-url {NOBODY}", "poem.txt, line 1"),
        (IN_CONTEXT, "no model plays the action maker"),
        (f"{IN_CONTEXT} --role-url {NOBODY} --url {NOBODY}", "does not answer"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(construct: Construct, tmp_path: Path, words: str, says: str) -> None:
    names = wrong(tmp_path)
    before = {path: Path(path).read_bytes() for path in (names["POEM"], names["GOOD"])}
    found = construct(*(names.get(word, word) for word in words.split()))
    assert found.exit_code == 1
    assert isinstance(found.exception, SystemExit)
    [line] = found.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert {path: Path(path).read_bytes() for path in before} == before
    assert not Path(names["OUT"]).exists()


@pytest.mark.parametrize(
    "words",
    [
        "experts --env alfworld",
        "experts --env alfworld --split s --out OUT --limit 0",
        "experts --env alfworld --split s --out OUT --least 2",
        "roleplay --out OUT",
        "roleplay --out OUT --env alfworld",
        "roleplay --out OUT --imagined --env alfworld --split s",
        "roleplay --out OUT --imagined --split s",
        "roleplay --out OUT --imagined --reword",
        "in-context --env alfworld --split s --out OUT",
        "filter GOOD",
        "filter GOOD --out OUT --skip magic",
        "filter GOOD --out OUT --url http://127.0.0.1:1",
        "filter GOOD --out OUT --url alfworld=",
        "show",
        "review",
    ],
)
def test_misuse_is_2(construct: Construct, tmp_path: Path, words: str) -> None:
    names = wrong(tmp_path)
    found = construct(*(names.get(word, word) for word in words.split()))
    assert found.exit_code == 2, found.stdout
    assert not Path(names["OUT"]).exists()


def test_a_model_that_stays_away_stops_the_run(
    construct: Construct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPALIER_ROLE_RETRY_FOR", "0")
    url = f"http://127.0.0.1:{free_port()}"
    found = construct("roleplay", "--imagined", "--limit", 9, "--out", tmp_path / "out", "--role-url", url)
    assert found.exit_code == 1
    last = found.stderr.splitlines()[-1]
    assert last.startswith("error: stopped: the model of the question_generator")
    assert last.endswith("the same command goes on from here")
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_not_known_is_told(construct: Construct, roles: RoleServer, tmp_path: Path) -> None:
    roles.script = lambda role, chat: Reply("who are you?", status=401)
    found = construct(
        "roleplay", "--imagined", "--limit", 3, "--out", tmp_path / "out", "--role-url", roles.url
    )
    assert found.exit_code == 1
    [line] = found.stderr.splitlines()
    assert "answers 401" in line


def test_a_setting_out_of_range_is_named(
    construct: Construct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPALIER_ROLE_TOKENS", "many")
    found = construct("roleplay", "--imagined", "--out", tmp_path / "out", "--role-url", NOBODY)
    assert found.exit_code == 1
    assert found.stderr.startswith("error: ESPALIER_ROLE_TOKENS: ")


def test_cards_are_json(construct: Construct, tmp_path: Path) -> None:
    raw, good = tmp_path / "raw", tmp_path / "good"
    append_records(raw, [record(*SOLVED)])
    construct("filter", raw, "--out", good, "--no-replay")
    assert json.loads(card_file(good).read_text())["records"] == 1
