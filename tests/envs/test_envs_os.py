"""The OS environment over real HTTP: sessions, forks, rebuilding, tasks of a client's own, the experts."""

import concurrent.futures
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from envs.os_interaction.environment import OsEnvironment
from envs.os_interaction.expert import Expert, Reference
from envs.os_interaction.server import create
from envs.os_interaction.settings import OsSettings
from envs.os_interaction.tasks.generator import TOPICS
from envs.os_interaction.tasks.table import GENERATED_TRAIN, GENERATED_UNSEEN, GENERATED_VALID
from envs.serving.server import serve
from tests.conftest import DATA
from tests.support import eventually, running

ALWAYS = {"evaluation": {"check": {"code": "true"}}}
SPLITS = (GENERATED_TRAIN, GENERATED_VALID, GENERATED_UNSEEN)
EMPTY = "The output of the OS is empty."


@dataclass
class Os:
    """A served environment, and what tests do with it."""

    http: httpx.Client
    environment: OsEnvironment

    def start(self, **data: Any) -> str:
        task = {"instruction": "Do it.", "data": ALWAYS | data}
        answer = self.http.post("/v1/sessions", json={"task": task})
        assert answer.status_code == 201, answer.text
        return answer.json()["session_id"]

    def create(self, task: str) -> dict[str, Any]:
        answer = self.http.post("/v1/sessions", json={"task_id": task})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def step(self, session: str, action: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post(f"/v1/sessions/{session}/steps", json={"action": action} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def run(self, session: str, script: str) -> str:
        """What a script prints."""
        return self.step(session, script)["observation"].removeprefix("The output of the OS:\n\n")

    def fork(self, session: str, **fields: Any) -> str:
        answer = self.http.post(f"/v1/sessions/{session}/forks", json=fields)
        assert answer.status_code == 201, answer.text
        return answer.json()["session_id"]

    def close(self, session: str) -> None:
        assert self.http.delete(f"/v1/sessions/{session}").status_code == 204

    def judged(self, data: dict[str, Any], *actions: str) -> dict[str, Any]:
        """The last state of a task of our own after some actions."""
        session = self.start(**data)
        states = [self.step(session, action) for action in actions]
        self.close(session)
        return states[-1]

    def play(self, task: str, *, looks: bool = True) -> dict[str, Any]:
        """The expert's session on a task."""
        example = self.environment._tasks.find(task).example
        state = self.create(task)
        session = state["session_id"]
        expert = Expert(
            state["observation"],
            state["instruction"],
            Reference(example.code) if example else None,
            looks=looks,
        )
        moves = expert.play()
        move = next(moves, None)
        while move is not None:
            assert len(move.thought.split()) > 3
            state = self.step(session, move.action)
            assert state["valid"], (task, move.action)
            try:
                move = moves.send(state["observation"])
            except StopIteration:
                break
        self.close(session)
        return state

    def tasks(self, split: str) -> list[dict[str, Any]]:
        return self.http.get("/v1/tasks", params={"split": split, "limit": 1000}).json()["tasks"]

    def sandboxes(self) -> set[str]:
        """The handles of those that live; of a session that another test closed, perhaps for a moment yet."""
        return set(self.environment._instances.handles())


def served_os(**fields: Any) -> Iterator[Os]:
    """A server; the test is skipped where this machine cannot make sandboxes."""
    settings = OsSettings(**({"agentbench_data": None, "max_sessions": 100} | fields))
    environment = OsEnvironment(settings)
    with running(serve(environment, settings)) as http:
        ready = http.get("/readyz")
        if ready.status_code != 200:
            pytest.skip(ready.text)
        yield Os(http, environment)


@pytest.fixture(scope="module")
def machine() -> Iterator[Os]:
    """A server without any data."""
    yield from served_os(os_command_timeout=2.0)


@pytest.fixture
def patient() -> Iterator[Os]:
    """A server whose commands have their usual time: some tasks are to watch for a while."""
    yield from served_os()


@pytest.fixture(scope="module")
def official() -> Iterator[Os]:
    """A server with AgentBench's records."""
    if not (DATA / "os_interaction" / "dev.json").is_file():
        pytest.skip("no AgentBench data: set ESPALIER_TEST_DATA to the folder that holds os_interaction/")
    yield from served_os(agentbench_data=DATA, os_generated=0)


def test_metadata_says_what_it_is(machine: Os) -> None:
    metadata = machine.http.get("/metadata").json()
    assert metadata["splits"] == [GENERATED_TRAIN, GENERATED_VALID, GENERATED_UNSEEN]
    assert (metadata["fork"], metadata["done_means"], metadata["max_steps"]) == ("native", "end", 8)
    assert (metadata["terminal_action"], metadata["terminal_example"]) == ("required", "answer(TEXT)")
    assert metadata["takes_tasks"]
    assert len(f"{metadata['description']} {metadata['actions']}".split()) < 120
    assert machine.http.get("/schema").json()["action_language"] == metadata["actions"]


def test_folder_and_variables_stay(machine: Os) -> None:
    session = machine.start()
    assert machine.run(session, "bash: cd /tmp; x=5; f() { echo $((x + 1)); }; umask 077") == EMPTY
    assert machine.run(session, "pwd; f; umask") == "/tmp\n6\n0077"
    assert machine.run(session, "```bash\necho a\necho b\n```") == "a\nb"
    state = machine.step(session, "Think: look around\n\nAct: bash\n\n```bash\nls -d /etc\n```")
    assert state["observation"] == "The output of the OS:\n\n/etc"
    assert state["info"]["status"] == 0
    machine.close(session)


def test_what_is_no_action_changes_nothing(machine: Os) -> None:
    session = machine.start()
    for action in ("", "bash:", "bash", "Think: hm\nAct: bash"):
        state = machine.step(session, action)
        assert (state["valid"], state["done"], state["reward"]) == (False, False, 0.0), action
    machine.close(session)


def test_a_task_of_a_clients_own(machine: Os) -> None:
    data: dict[str, Any] = {
        "create": {"init": "mkdir /srv/x; echo 12 > /srv/x/n"},
        "evaluation": {
            "check": [None, {"file": "check/integer-match.py"}],
            "example": {"code": "cat /srv/x/n"},
        },
    }
    assert machine.judged(data, "cat /srv/x/n", "answer(12)")["reward"] == 1.0
    wrong = machine.judged(data, "Think: I know it.\nAct: answer(13)")
    assert (wrong["reward"], wrong["done"]) == (0.0, True)
    assert "12" not in wrong["observation"]
    assert machine.judged(data, "finish")["reward"] == 0.0


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"evaluation": {}},
        {"evaluation": {"match": 3}},
        {"evaluation": {"match": {"regex": "("}}},
        {"evaluation": {"check": [None]}},
        {"evaluation": {"check": {"file": "check/0.sh"}}},
        {"evaluation": {"check": {"code": "true", "language": "perl"}}},
        {"evaluation": {"match": "1"}, "extra": 1},
        {"evaluation": {"programs": {"ended": "x"}}},
        {"evaluation": {"match": "1"}, "create": {"init": "x" * 200_000}},
        {"evaluation": {"match": "1"}, "create": {"init": {"code": "int x;", "language": "c"}}},
    ],
)
def test_a_task_that_cannot_be_played_is_told(machine: Os, data: dict[str, Any]) -> None:
    answer = machine.http.post("/v1/sessions", json={"task": {"instruction": "x", "data": data}})
    assert answer.status_code == 422, answer.text


def test_a_fork_has_files_and_shell_and_goes_its_own_way(machine: Os) -> None:
    parent = machine.start()
    script = "cd /srv; x='a b'; declare -A m=([k]=v); f() { echo f$x; }; alias q=ls; set -u; echo one > file"
    machine.run(parent, script)
    machine.run(parent, "ln -s file link; ln file hard; mkfifo pipe; truncate -s 40M sparse; chmod 4751 file")
    machine.run(parent, "touch -d 2001-02-03 old; mkdir -p d/e; touch d/.h; sleep 300 &")
    fork = machine.fork(parent)
    look = 'pwd; f; echo ${m[k]}; stat -c "%n %a %s %h %F %Y" file link hard pipe sparse; find . | sort'
    assert machine.run(fork, look) == machine.run(parent, look)
    assert machine.run(fork, "pgrep -c sleep") == "0"
    machine.run(fork, "echo two > file; rm link")
    assert machine.run(parent, "cat file; readlink link; pgrep -c sleep") == "one\nfile\n1"
    machine.close(parent)
    assert machine.run(fork, "cat hard") == "two"
    machine.close(fork)


def test_a_fork_says_what_it_lacks_and_runs_the_tasks_own_programs(machine: Os) -> None:
    start = "bash -c 'while :; do date > /tmp/beat; sleep 0.2; done' &\nsleep 9999 &\nsleep 8888 &"
    parent = machine.start(start=start)
    machine.run(parent, "sleep 7777 & pkill -f 9999; until pgrep -f 7777; do sleep 0.05; done")
    fork = machine.fork(parent)
    wait = "until pgrep -f 8888 >/dev/null; do sleep 0.05; done"
    found = machine.step(fork, f"{wait}; pgrep -fa sleep | cut -d' ' -f2- | grep -v '0[.]2' | sort")
    assert found["observation"].endswith("\n\nsleep 8888")
    assert found["info"]["not_copied"].startswith("running programs: sleep 7777")
    machine.run(fork, "rm -f /tmp/beat")
    eventually(lambda: machine.run(fork, "ls /tmp/beat") == "/tmp/beat")
    machine.close(parent)
    machine.close(fork)


def test_a_fork_at_an_earlier_step_is_replayed(machine: Os) -> None:
    parent = machine.start()
    for n in range(3):
        machine.run(parent, f"echo {n} >> /tmp/f; ls -la /tmp; date; echo $$; sleep 100 & echo $!")
    fork = machine.fork(parent, at_step=2)
    assert machine.run(fork, "cat /tmp/f") == "0\n1"
    machine.close(parent)
    machine.close(fork)


def test_a_lost_sandbox_is_rebuilt(machine: Os) -> None:
    session = machine.start(create={"init": "echo begin > /srv/f"})
    machine.run(session, "cd /srv; echo more >> f; x=3; ps aux; ls -lt --full-time /; date +%s.%N")
    last = max(machine.environment._instances.handles(), key=lambda handle: int(handle.rpartition("-")[2]))
    machine.environment._instances.get(last).sandbox.kill()
    assert machine.run(session, "pwd; cat f; echo $x") == "/srv\nbegin\nmore\n3"
    metrics = machine.http.get("/metrics").text
    assert any("rebuilt" in line and line.endswith(" 1.0") for line in metrics.splitlines())
    machine.close(session)


def test_programs_live_between_rounds_and_die_with_the_session(machine: Os) -> None:
    before = machine.sandboxes()
    session = machine.start()
    own = machine.sandboxes() - before
    assert len(own) == 1
    word = f"3{os.getpid()}"
    machine.run(session, f"sleep {word} & (while :; do echo x >> /tmp/beat; sleep 0.1; done) &")

    def beats() -> int:
        return int(machine.run(session, "cat /tmp/beat 2>/dev/null | wc -l"))

    eventually(beats)
    first = beats()
    eventually(lambda: beats() > first)
    assert on_host(f"sleep\0{word}")
    machine.close(session)
    eventually(lambda: not on_host(f"sleep\0{word}"), 10)
    assert not machine.sandboxes() & own


def on_host(command: str) -> bool:
    """Whether a program runs, in whatever namespace, whose command line has a word."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if command in (entry / "cmdline").read_text(errors="replace"):
                    return True
            except OSError:
                continue
    return False


def test_a_command_has_a_deadline(machine: Os) -> None:
    session = machine.start()
    machine.run(session, "sleep 500 & x=kept")
    found = machine.run(session, "echo before; sleep 60")
    assert found == "before\n[The command did not end within 2 seconds and was stopped.]"
    assert machine.run(session, "echo $x; pgrep -fc 'sleep 500'; pgrep -fc 'sleep 60'") == "kept\n1\n0"
    found = machine.run(session, "while :; do :; done")
    assert found.endswith("[A new shell was started.]")
    assert machine.run(session, "echo works") == "works"
    machine.close(session)


def test_memory_of_all_programs_has_a_cap() -> None:
    """And what is ended for it is gone before the answer, though its memory takes long to give back."""
    for machine in served_os(os_command_timeout=20.0, os_memory=500, os_generated=0):
        session = machine.start()
        hog = "python3 -c 'import time; x = bytearray(250000000); time.sleep(30)'"
        script = f"for i in 1 2 3; do {hog} & done; wait"
        found = machine.run(session, script)
        assert found == (
            "[All programs were stopped: they used over 500 MB of memory.]\n[A new shell was started.]"
        )
        assert machine.run(session, "echo works; pgrep -c python3") == "works\n0"
        machine.close(session)


def test_a_shell_that_ends_is_replaced(machine: Os) -> None:
    session = machine.start()
    machine.run(session, "echo kept > /tmp/f")
    found = machine.run(session, "echo bye; exit 7")
    assert found == "bye\n[The shell ended with status 7.]\n[A new shell was started.]"
    assert machine.run(session, "cat /tmp/f") == "kept"
    machine.close(session)


def test_generated_tasks_are_solved_by_the_expert(patient: Os) -> None:
    """A task of each kind; the splits have the same kinds, but for those that are kept out of training."""
    kinds: dict[str, str] = {}
    splits: dict[str, set[str]] = {}
    for split in SPLITS:
        for task in patient.tasks(split):
            splits.setdefault(split, set()).add(task["kind"])
            kinds.setdefault(task["kind"], task["id"])
    chosen = list(kinds.values())
    assert splits[GENERATED_TRAIN] == splits[GENERATED_VALID]
    assert not splits[GENERATED_TRAIN] & splits[GENERATED_UNSEEN]
    assert sum(map(len, TOPICS.values())) == len(splits[GENERATED_TRAIN] | splits[GENERATED_UNSEEN])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        states = list(pool.map(patient.play, chosen))
    lost = [(task, state["info"]) for task, state in zip(chosen, states, strict=True) if state["reward"] != 1]
    assert not lost
    assert all(state["step_count"] <= 8 and state["done"] for state in states)


def test_generated_tasks_are_not_solved_by_doing_nothing(machine: Os) -> None:
    tasks = [task["id"] for task in machine.tasks(GENERATED_VALID)][::12]

    def idle(task: str) -> float:
        session = machine.create(task)["session_id"]
        state = machine.step(session, "finish")
        machine.close(session)
        assert state["done"]
        return state["reward"]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(idle, tasks))


def test_the_dev_tasks_are_solved_with_their_examples(official: Os) -> None:
    metadata = official.http.get("/metadata").json()
    known = ["dev", "training", "training_learned", "training_unseen", "development", "reported"]
    assert metadata["splits"] == known
    assert "3 of 26 records of dev left out" in metadata["engine"]
    tasks = [task["id"] for task in official.tasks("dev")]
    assert len(tasks) == 23
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        states = list(pool.map(official.play, tasks))
    lost = [(task, state["info"]) for task, state in zip(tasks, states, strict=True) if state["reward"] != 1]
    assert not lost


def test_some_training_tasks_are_solved_with_their_examples(official: Os) -> None:
    tasks = [task["id"] for task in official.tasks("training")]
    assert len(tasks) == 1000
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        states = list(pool.map(official.play, tasks[::50]))
    assert all(state["reward"] == 1.0 for state in states)


def test_the_server_reads_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ESPALIER_AGENTBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("ESPALIER_OS_GENERATED", "3")
    monkeypatch.setenv("ESPALIER_OS_SEED", "7")
    with running(create()) as http:
        assert len(http.get("/v1/tasks", params={"split": GENERATED_TRAIN}).json()["tasks"]) == 3
        answer = http.get("/readyz")
        assert answer.status_code == 503
        assert "os_interaction" in answer.text
