"""A matrix of runs: its file, its checks, its cells on a whole stack with a scripted model."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.cli import main
from espalier.client import Espalier
from evaluation.matrix_file import MatrixError, read_matrix
from evaluation.yaml_lines import YamlError, find_line, parse_yaml
from services.contracts.episode import Episode
from tests.integration.conftest import Stack
from tests.support import free_port

MATRIX = """\
defaults: {concurrency: 4, limit: 3, seed: 5, max_steps: 2}
cells:
  - env: twin
    splits: [corridors]
    methods:
      - react
      - name: tmbr
        num_branch: 1
        num_path: 1
        params: {margin: 0.1}
        label: tmbr margin 0.1
    seeds: [0, 1]
"""


def write(folder: Path, text: str = MATRIX) -> Path:
    path = folder / "matrix.yaml"
    path.write_text(text)
    return path


def test_every_combination_is_a_cell_with_a_readable_name(tmp_path: Path) -> None:
    cells = read_matrix(write(tmp_path))
    assert [cell.name for cell in cells] == [
        "twin-corridors-react-seed0",
        "twin-corridors-react-seed1",
        "twin-corridors-tmbr-tmbr_margin_0.1-seed0",
        "twin-corridors-tmbr-tmbr_margin_0.1-seed1",
    ]
    last = cells[-1]
    assert (last.column, last.split, last.limit, last.concurrency) == ("tmbr margin 0.1", "corridors", 3, 4)
    assert last.body.model_dump(exclude_unset=True, mode="json") == {
        "environment": "twin",
        "task_id": "",
        "method": "tmbr",
        "num_branch": 1,
        "num_path": 1,
        "max_steps": 2,
        "seed": 1,
        "feedback": "judge",
        "params": {"margin": 0.1},
    }


def test_names_alone_are_lists_of_one_and_adapters_lose_their_digests(tmp_path: Path) -> None:
    text = """\
defaults: {seed: 7, feedback: done}
cells:
  - env: [a, b]
    splits: valid
    methods: io
    adapters: ["agent@01234567", {name: agent@89abcdef, label: new}]
"""
    cells = read_matrix(write(tmp_path, text))
    assert [cell.name for cell in cells] == [
        "a-valid-io-agent-seed7",
        "a-valid-io-new-seed7",
        "b-valid-io-agent-seed7",
        "b-valid-io-new-seed7",
    ]
    assert [cell.column for cell in cells[:2]] == ["io agent", "io new"]
    assert [cell.body.adapter for cell in cells[:2]] == ["agent@01234567", "agent@89abcdef"]
    assert cells[0].body.feedback == "done"


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ("    seeds: [0, 1]", "    sedes: [0, 1]", 12, "unknown field 'sedes'; the fields here are: limit"),
        ("num_branch: 1", "num_branches: 1", 8, "unknown field 'num_branches'"),
        ("num_branch: 1", "num_branch: 99", 8, "less than or equal to 16"),
        ("num_branch: 1", "num_branch: two", 8, "integer"),
        ("concurrency: 4", "concurrency: 0", 1, "defaults.concurrency"),
        ("concurrency: 4", "speed: 4", 1, "unknown field 'speed'"),
        ("    splits: [corridors]\n", "", 3, "splits is missing"),
        ("[corridors]", "[corridors, corridors]", 6, "two cells have the name twin-corridors-react-seed0"),
        ("[0, 1]", "[0, -1]", 12, "greater than or equal to 0"),
        ("[0, 1]", str(list(range(251))), 2, "502 cells, 500 at most"),
        ("    seeds", "    env: other\n    seeds", 12, "'env' is there twice"),
        ("[corridors]", "[corridors", 5, "not YAML"),
        ("[corridors]", "!!python/name:os.system x", 4, "not YAML"),
        ("[corridors]", "[2024-99-99]", 4, "not a value"),
        ("max_steps: 2", "feedback: god", 6, "feedback"),
        (MATRIX, "", 1, "Input should be a valid"),
        (MATRIX, "- cells", 1, "Input should be a valid"),
        (MATRIX, "&a [*a]", 1, "nested deeper"),
    ],
)
def test_a_broken_file_is_one_line_that_names_the_line(
    tmp_path: Path, before: str, after: str, line: int, says: str
) -> None:
    assert before in MATRIX
    path = write(tmp_path, MATRIX.replace(before, after))
    with pytest.raises(MatrixError) as error:
        read_matrix(path)
    text = str(error.value)
    assert text.startswith(f"{path}:{line}: ")
    assert says in text
    assert "\n" not in text


def test_aliases_that_multiply_are_refused() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for name, before in zip("bcdefgh", "abcdefg", strict=True):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    with pytest.raises(YamlError, match="more than 100000 values"):
        parse_yaml(bomb)


@given(st.text(max_size=60))
def test_any_text_is_data_or_one_error(text: str) -> None:
    try:
        _, lines = parse_yaml(text)
        line = find_line(lines, ("no", "such", 1))
    except YamlError as error:
        line = error.line
    assert line >= 1


class Outcome:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err.replace("\n", " ")


class Command:
    """Types `espalier` commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *words: str | Path) -> Outcome:
        self._monkeypatch.setattr(sys, "argv", ["espalier", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else int(code is not None), printed.out, printed.err)


@pytest.fixture
def espalier(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    monkeypatch.setenv("ESPALIER_URL", stack.url)
    monkeypatch.setenv("ESPALIER_ACTOR_URL", stack.worker_environment["ESPALIER_ACTOR_URL"])
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "1000")
    return Command(monkeypatch, capsys)


def total(stack: Stack) -> int:
    with Espalier(stack.url) as client:
        return len(client.list(limit=200).episodes)


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_matrix_runs_its_cells_and_goes_on_after_an_interruption(
    espalier: Command, stack: Stack, worker: str, tmp_path: Path
) -> None:
    path, out = write(tmp_path), tmp_path / "results"
    first = espalier("eval", path, "--out", out)
    assert first.code == 0, first.err
    assert "cell 1 of 4, 3 left after it: twin-corridors-react-seed0" in first.err
    names = {cell.name for cell in read_matrix(path)}
    assert {folder.name for folder in out.iterdir()} == names
    assert first.out.count("| twin | corridors | react |") == 2
    tasks: set[tuple[str, ...]] = set()
    for name in names:
        lines = (out / name / "episodes.jsonl").read_text().splitlines()
        episodes = [Episode.model_validate_json(line) for line in lines]
        tasks.add(tuple(sorted(episode.request.task_id or "" for episode in episodes)))
        assert {episode.request.seed for episode in episodes} == {int(name[-1])}
    assert tasks == {("corridors/0", "corridors/1", "corridors/2")}, "the same tasks for every method"
    about = json.loads((out / "twin-corridors-tmbr-tmbr_margin_0.1-seed1" / "cell.json").read_text())
    assert about["column"] == "tmbr margin 0.1"

    # As a kill leaves it: the second cell has one line and a torn one, the third never began.
    cut = out / "twin-corridors-react-seed1" / "episodes.jsonl"
    lines = cut.read_text().splitlines()
    cut.write_text(f"{lines[0]}\n{lines[1][:40]}\n")
    (cut.parent / "summary.json").unlink()
    absent = out / "twin-corridors-tmbr-tmbr_margin_0.1-seed0"
    for file in absent.iterdir():
        file.unlink()
    absent.rmdir()
    before = total(stack)
    again = espalier("eval", path, "--out", out)
    assert again.code == 0, again.err
    assert total(stack) == before + 3, "only the cell whose folder is gone runs again"
    assert (cut.parent / "summary.json").is_file()
    assert {row for row in again.out.splitlines() if "react" in row} == {
        row for row in first.out.splitlines() if "react" in row
    }

    kept, before = read_files(out), total(stack)
    changed = write(tmp_path, MATRIX.replace("margin: 0.1}", "margin: 0.2}"))
    refused = espalier("eval", changed, "--out", out)
    assert refused.code == 1
    assert f"{changed}:7: " in refused.err
    assert "params.margin: 0.1 there, 0.2 now" in refused.err
    assert (read_files(out), total(stack)) == (kept, before)


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ("env: twin", "env: nowhere", 3, "unknown env 'nowhere'"),
        ("[corridors]", "[corridors, halls]", 4, "unknown split 'halls'"),
        ("name: tmbr", "name: magic", 7, "unknown method 'magic'"),
        ("margin: 0.1}", "marge: 0.1}", 7, "unknown parameter 'marge'"),
        ("margin: 0.1}", "scorer: dice}", 7, "scorer"),
        ("- react", "- {name: react, num_branch: 3}", 6, "react does not use num_branch"),
        ("    seeds", "    adapters: [agent@00000000]\n    seeds", 12, "unknown adapter 'agent@00000000'"),
    ],
)
def test_what_the_stack_lacks_fails_before_the_first_episode(
    espalier: Command, stack: Stack, tmp_path: Path, before: str, after: str, line: int, says: str
) -> None:
    assert before in MATRIX
    path, count = write(tmp_path, MATRIX.replace(before, after)), total(stack)
    found = espalier("eval", path, "--out", tmp_path / "results")
    assert found.code == 1
    assert found.err.startswith(f"error: {path}:{line}: ")
    assert says in found.err
    assert total(stack) == count
    assert not (tmp_path / "results").exists()


def test_without_a_stack_a_matrix_says_so(espalier: Command, tmp_path: Path) -> None:
    found = espalier(
        "eval", write(tmp_path), "--out", tmp_path / "r", "--url", f"http://127.0.0.1:{free_port()}"
    )
    assert (found.code, "is the stack up" in found.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--out", "r"), "--env, --split, --method"),
        (("--out", "r", "--env", "twin", "--split", "corridors"), "give --method"),
        (("matrix.yaml", "--out", "r", "--num-branch", "2"), "leave out --num-branch"),
        (("matrix.yaml", "--out", "r", "--seed", "0"), "leave out --seed"),
    ],
)
def test_options_are_of_a_run_or_in_the_file(espalier: Command, words: tuple[str, ...], says: str) -> None:
    found = espalier("eval", *words)
    assert (found.code, says in found.err) == (2, True), found.err


def test_a_file_that_is_not_there_is_told(espalier: Command, tmp_path: Path) -> None:
    found = espalier("eval", tmp_path / "none.yaml", "--out", tmp_path / "r")
    assert (found.code, "cannot be read" in found.err) == (1, True)
