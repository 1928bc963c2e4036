"""Verdicts of the OS environment: what is right and wrong, and what an agent cannot forge."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envs.os_interaction import actions, scoring, text
from envs.os_interaction.actions import Bash, Invalid, Submit
from envs.os_interaction.tasks.generator import TOPICS, Generator
from envs.os_interaction.tasks.official import RecordError, read_official, task
from envs.os_interaction.tasks.table import GENERATED_TRAIN, GENERATED_VALID, Example, Named, Script
from envs.os_interaction.tasks.templates import filled
from tests.envs.test_envs_os import Os, served_os


@pytest.fixture(scope="module")
def machine() -> Iterator[Os]:
    """A server without any data."""
    yield from served_os(os_command_timeout=2.0, os_check_timeout=2.0, os_generated=10)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("bash: ls /etc", Bash("ls /etc")),
        ("ls /etc", Bash("ls /etc")),
        ("BASH: ls\nls -a", Bash("ls\nls -a")),
        ("bash\nls", Bash("ls")),
        ("bash: `ls`", Bash("ls")),
        ("```bash\nls\n```", Bash("ls")),
        ("```\nls\n```", Bash("ls")),
        ("bash ```bash\nls\n```", Bash("ls")),
        ("bash: ```ls```", Bash("ls")),
        ("bash -c 'echo 1'", Bash("bash -c 'echo 1'")),
        ("bash x.sh", Bash("bash x.sh")),
        ("Think: a\n\nAct: bash\n\n```bash\nls\n\npwd\n```", Bash("ls\n\npwd")),
        ("Think: a\nAct: bash\n```bash\nls\n```\nand\n```bash\npwd\n```", Bash("ls\n\npwd")),
        ("Think: a\nAct: bash: ls", Bash("ls")),
        ("Act: finish", Submit(None)),
        ("Think: done.\n\nAct: finish", Submit(None)),
        ("finish", Submit(None)),
        ("Finish.", Submit(None)),
        ("finish()", Submit(None)),
        ("answer(42)", Submit("42")),
        ("answer( a (b) c )", Submit("a (b) c")),
        ("answer(a\nb)", Submit("a\nb")),
        ("answer()", Invalid(actions.EMPTY_ANSWER)),
        ("answer( )", Invalid(actions.EMPTY_ANSWER)),
        ("Answer", Invalid(actions.EMPTY_ANSWER)),
        ("answer:", Invalid(actions.EMPTY_ANSWER)),
        ("answer: ", Invalid(actions.EMPTY_ANSWER)),
        ("Act: answer()", Invalid(actions.EMPTY_ANSWER)),
        ("Think: x\nAction: Answer\n", Invalid(actions.EMPTY_ANSWER)),
        ("Act: answer\n42", Submit("42")),
        ("answer\n42", Submit("42")),
        ("answer(42).", Submit("42")),
        ("answer (f(x))", Submit("f(x)")),
        ("answer(a) and (b)", Submit("a) and (b")),
        ("Act: answer(220)\n\nThat is all.", Submit("220")),
        ("answered=1", Bash("answered=1")),
        ("```shutdown```", Bash("shutdown")),
        ("```sh ls```", Bash("ls")),
        ("```bash\necho '```'\nls\n```", Bash("echo '```'\nls")),
        ("```bash\nls```", Bash("ls")),
        ("```bash\nrm -r a\nrm -r b", Invalid(actions.OPEN_FENCE)),
        ("Act: bash\n```bash\ncat > x <<E\naction: go\nE\n```", Bash("cat > x <<E\naction: go\nE")),
        ("Think: ```no```\nAct: bash\n```\nls\n```", Bash("ls")),
        ("Act\uff1a finish", Submit(None)),
        ("finish ( ) .", Submit(None)),
        ("finish the task", Bash("finish the task")),
        ("bashful", Bash("bashful")),
        ("a\u2028b", Bash("a\u2028b")),
        ("answer(a\u2028b\x85c)", Submit("a\u2028b\x85c")),
        ("answer: 42", Submit("42")),
        ("Think: x (y)\n\nAct: answer(220)", Submit("220")),
        ("Think: x\nAct: bash\nAct: answer(1)", Submit("1")),
        ("echo 'answer(1)'", Bash("echo 'answer(1)'")),
        ("", Invalid(actions.NO_SCRIPT)),
        ("bash", Invalid(actions.NO_SCRIPT)),
        ("bash:", Invalid(actions.NO_SCRIPT)),
        ("```bash\n```", Invalid(actions.NO_SCRIPT)),
        ("``` ```", Invalid(actions.NO_SCRIPT)),
        ("Think: hm", Invalid(actions.NO_SCRIPT)),
        ("Think: x\nAct: bash", Invalid(actions.NO_SCRIPT)),
    ],
)
def test_actions_are_read(written: str, meant: Any) -> None:
    assert actions.parse(written) == meant


@pytest.mark.parametrize(
    ("check", "answer", "expected", "right"),
    [
        ("integer-match", " 6", "6\n", True),
        ("integer-match", "-06", "-6", True),
        ("integer-match", "6.0", "6", False),
        ("integer-match", "", "", False),
        ("integer-match", "None", "6", False),
        ("integer-match", "1_0", "10", False),
        ("integer-match", "9" * 5000, "9", False),
        ("string-match", "a\r\nb ", "a\nb\n", True),
        ("string-match", "A", "a", False),
        ("containing", "it is x.", "x\n", True),
        ("containing", "x", "xy", False),
        ("containing", "anything", "", False),
        ("in", "x", "a x b", True),
        ("in", "", "a", False),
        ("in", "a x b", "x", False),
        ("size-match", "4K", "4096", True),
        ("size-match", "4.0K", "4.0K\n", True),
        ("size-match", "4 KB", "4K", True),
        ("size-match", "1.5MiB", "1536k", True),
        ("size-match", "4M", "4K", False),
        ("size-match", "four", "four", False),
    ],
)
def test_named_checks(check: str, answer: str, expected: str, right: bool) -> None:
    assert scoring.CHECKS[f"check/{check}.py"](answer, expected) is right


def test_matches() -> None:
    assert scoring.matches(" 1 ", "1", None, True)
    assert not scoring.matches(" 1 ", "1", None, False)
    assert not scoring.matches(None, "None", None, True)
    assert scoring.matches("port 80", None, "[0-9]+", True)
    assert not scoring.matches("port", None, "[0-9]+", True)


def test_observations_are_cut_as_agentbench_cuts() -> None:
    assert text.shown("x" * 800, []) == text.SHOWN + "x" * 800
    long = text.shown("x" * 801, ["[note]"])
    assert long == text.SHOWN + "x" * 780 + "\n[truncated because the output is too long]\n[note]"
    assert text.shown("\n\n", []) == text.EMPTY
    assert text.clean("a\x1b[31mb\x1b[0m\rc\x1b]0;t\x07d\x9b1me") == "ab\ncde"
    assert text.clean("bash: line 12: x: command not found") == "bash: x: command not found"


def test_what_may_differ_is_not_compared() -> None:
    same = text.normalised
    assert same("[1] 77") == same("[1] 5")
    assert same("a\nb") == same("b\na\n")
    assert same("-rw-r--r-- 1 root root 3 Nov 25 19:36 f") == same("-rw-r--r-- 1 root root 3 Dec  1 03:00 f")
    assert same("2026-11-25 19:36:01.5 +0000") == same("2027-01-02 01:00:00.1 +0000")
    assert same("  PID TTY  TIME CMD\n 12 ? 00:00 x") == same("PID TTY TIME CMD\n 7 ? 00:01 x")
    assert same("PID STAT COMMAND\n 3 SNs bash") == same("PID STAT COMMAND\n 9 R+ bash")
    assert same("12 files") != same("13 files")
    assert same("a") != same("b")


def test_generated_splits_have_nothing_in_common() -> None:
    generator = Generator(0)
    sides = [list(generator.tasks(split, 600).values()) for split in (GENERATED_TRAIN, GENERATED_VALID)]
    for side in sides:
        assert len({(task.instruction, task.init, task.start) for task in side}) == 600
    assert not {task.instruction for task in sides[0]} & {task.instruction for task in sides[1]}
    assert {task.kind.partition("/")[0] for task in sides[0]} == set(TOPICS)
    assert list(Generator(0).tasks(GENERATED_TRAIN, 20).values()) == sides[0][:20]
    assert list(Generator(1).tasks(GENERATED_TRAIN, 20).values()) != sides[0][:20]
    assert all(len(templates) >= 7 for templates in TOPICS.values())
    assert all(len(template.wordings) >= 3 for templates in TOPICS.values() for template in templates)


def test_an_instruction_is_read_by_its_own_template_only() -> None:
    templates = [(f"{topic}/{one.name}", one) for topic, many in TOPICS.items() for one in many]
    for whole in Generator(5).tasks(GENERATED_VALID, 450).values():
        outcome = [(kind, one, one.read(whole.instruction)) for kind, one in templates]
        reading = [(kind, one, places) for kind, one, places in outcome if places is not None]
        assert [kind for kind, _, _ in reading] == [whole.kind], whole.instruction
        assert whole.example == Script(filled(reading[0][1].solution, reading[0][2]))


def test_agentbenchs_folder_is_read(tmp_path: Path) -> None:
    root = tmp_path / "data" / "os_interaction"
    for folder in ("data/1", "scripts/1/check", "scripts/dev/check"):
        (root / folder).mkdir(parents=True)
    dev = '[{"description": "a", "create": [null], "evaluation": {"check": {"file": "check/0.sh"}}},'
    dev += '{"description": "b", "evaluation": {"check": {"file": "check/1.sh"}}}, {"description": 1},'
    dev += '{"description": "c", "evaluation": {"check": {"file": "../../../secret"}}}]'
    (root / "data" / "dev.json").write_text(dev)
    (root / "scripts" / "dev" / "check" / "0.sh").write_text("exit 0")
    (tmp_path / "secret").write_text("x")
    one = '{"description": "c", "create": {"init": ["a", {"file": "check/i.sh"}]}, "start": "b", '
    one += '"evaluation": {"check": [null, {"file": "check/integer-match.py"}], "example": "nproc"}}'
    (root / "data" / "1" / "stock.json").write_text(one)
    (root / "scripts" / "1" / "check" / "i.sh").write_text("true")
    for place in (tmp_path, tmp_path / "data", root):
        found = read_official(place)
        assert list(found.splits) == ["dev", "std"]
        assert found.splits["dev"]["0"].check == (Script("exit 0"),)
        std = found.splits["std"]["1-stock-0"]
        assert std.check == (Example(), Named("check/integer-match.py"))
        assert [script.code for script in std.init] == ["a", "true"]
        assert (found.missing["dev"], found.broken["dev"]) == (2, 1)
    with pytest.raises(RecordError):
        read_official(tmp_path / "data" / "os_interaction" / "scripts")


def test_a_record_that_goes_on_as_another_user() -> None:
    record = {
        "description": "x",
        "create": {"init": "useradd -m jack && su - jack"},
        "evaluation": {"match": "1"},
    }
    assert task(record, None).user == "jack"
    record["create"] = {"init": "su - jack -c id"}
    assert task(record, None).user == "root"


CHAINS: list[tuple[dict[str, Any], str, float]] = [
    ({"match": {"regex": "^[0-9]+$"}}, "answer(12)", 1.0),
    ({"match": {"regex": "^[0-9]+$"}}, "answer(x)", 0.0),
    ({"match": {"regex": "^(a+)+$"}}, f"answer({'a' * 60}b)", 0.0),
    ({"match": "x"}, "answer( x )", 1.0),
    ({"match": {"answer": "x", "strip": False}}, "answer(x)", 1.0),
    (
        {
            "check": [
                {"code": '[ "$1" = 5 ] && echo six'},
                {"code": 'case "$1 $2" in "5 six"*) ;; *) false ;; esac'},
            ]
        },
        "answer(5)",
        1.0,
    ),
    ({"check": [{"code": "false"}, {"code": "true"}]}, "answer(5)", 0.0),
    ({"check": {"code": "sleep 60"}}, "answer(5)", 0.0),
    ({"check": {"language": "python", "code": "import sys; sys.exit(sys.argv[1] != '5')"}}, "answer(5)", 1.0),
    ({"check": {"language": "python", "code": "import sys; sys.exit(sys.argv[1] != '5')"}}, "answer(6)", 0.0),
    ({"check": [None, {"file": "check/string-match.py"}], "example": "echo a >&2; echo b"}, "answer(b)", 1.0),
    ({"check": [None, {"file": "check/in.py"}], "example": "cat /srv/n"}, "answer(4)", 1.0),
    ({"check": {"code": "[ $1 = None ]"}}, "finish", 1.0),
    ({"programs": {"running": ["9876"]}}, "finish", 1.0),
    ({"programs": {"ended": ["9876"]}}, "finish", 0.0),
]


@pytest.mark.parametrize(("evaluation", "action", "reward"), CHAINS)
def test_chains(machine: Os, evaluation: dict[str, Any], action: str, reward: float) -> None:
    data = {"create": {"init": "echo 142 > /srv/n"}, "start": "sleep 9876 &", "evaluation": evaluation}
    state = machine.judged(data, action)
    assert state["done"]
    assert state["reward"] == reward, state["info"]


def test_a_check_in_c(machine: Os) -> None:
    if not Path("/usr/bin/gcc").exists():
        pytest.skip("no gcc on this machine")
    code = '#include <string.h>\nint main(int n, char **a) { return strcmp(a[1], "5"); }'
    data = {"evaluation": {"check": {"language": "c", "code": code}}}
    assert machine.judged(data, "answer(5)")["reward"] == 1.0
    assert machine.judged(data, "answer(6)")["reward"] == 0.0


def test_an_answer_is_not_made_true_by_changing_what_it_is_about(machine: Os) -> None:
    data = {
        "create": {"init": "mkdir /srv/d; touch /srv/d/{1..5}"},
        "evaluation": {"check": [None, {"file": "check/integer-match.py"}], "example": "ls /srv/d | wc -l"},
    }
    assert machine.judged(data, "rm /srv/d/*", "answer(0)")["reward"] == 0.0
    assert machine.judged(data, "ls /srv/d | wc -l", "answer(5)")["reward"] == 1.0


def test_an_example_that_needs_what_the_agent_did(machine: Os) -> None:
    data = {"evaluation": {"check": [None, {"file": "check/string-match.py"}], "example": "cat /srv/made"}}
    assert machine.judged(data, "echo yes > /srv/made", "answer(yes)")["reward"] == 1.0
    assert machine.judged(data, "true", "answer(yes)")["reward"] == 0.0


def test_programs_are_known_by_more_than_their_names(machine: Os) -> None:
    data = {
        "start": "sleep 9876 &\nsleep 5432 &",
        "evaluation": {"programs": {"running": ["9876"], "ended": ["5432"]}},
    }
    assert machine.judged(data, "pkill -f 5432", "finish")["reward"] == 1.0
    for forged in (
        "pkill sleep; sleep 9876 & sleep 0.5",
        "pkill -f 5432; pkill -STOP -f 9876",
        "pkill -f 5432; sleep 5432 & sleep 0.5",
        "pkill -STOP -f 5432",
        "true",
    ):
        assert machine.judged(data, forged, "finish")["reward"] == 0.0, forged


FAKE = "printf '#!/usr/bin/python3\\nprint(640)\\n' > {0}; chmod 755 {0}"
YES = "printf '#!/bin/sh\\nexit 0\\n' > /tmp/awk; chmod 755 /tmp/awk"
MODES = {
    "stat": '[ "$(stat -c %a /srv/f)" = 640 ]',
    "/bin/stat": '[ "$(/bin/stat -c %a /srv/f)" = 640 ]',
    "awk": "stat -c %a /srv/f | awk '{exit $1 != 640}'",
    "python3": "python3 -c 'import os, re, sys; sys.exit(os.lstat(\"/srv/f\").st_mode & 0o777 != 0o640)'",
}
"""Checks in bash that a file has mode 640, each by another program."""
FORGERIES: dict[str, tuple[str, str]] = {
    "a program found first": ("stat", FAKE.format("/usr/local/bin/stat")),
    "a program found first by sbin": ("stat", FAKE.format("/usr/local/sbin/stat")),
    "a function for the shell": ("stat", "stat() { echo 640; }; export -f stat"),
    "an alias": ("stat", "alias stat='echo 640'; echo \"alias stat='echo 640'\" >> /root/.bashrc"),
    "start files": (
        "stat",
        "for f in /etc/profile /etc/bash.bashrc /root/.bashrc /root/.profile /root/.bash_profile; "
        "do echo 'stat() { echo 640; }' > $f; done; export BASH_ENV=/etc/profile ENV=/etc/profile",
    ),
    "the environment of the system": ("stat", "echo 'BASH_ENV=/root/.bashrc' > /etc/environment"),
    "all programs from elsewhere": (
        "/bin/stat",
        f"mkdir /evil; {FAKE.format('/evil/stat')}; rm /bin; ln -s /evil /bin; rm /sbin; ln -s /evil /sbin",
    ),
    "usr moved away": (
        "/bin/stat",
        f"mkdir -p /evil/bin; {FAKE.format('/evil/bin/stat')}; mv /usr /old; ln -s /evil /usr",
    ),
    "another loader": (
        "stat",
        "cp /usr/bin/true /tmp/t; rm /lib64; mkdir /lib64; cat /tmp/t > /lib64/ld-linux-x86-64.so.2",
    ),
    "libraries from elsewhere": ("stat", "echo /tmp > /etc/ld.so.conf; echo /tmp/x.so > /etc/ld.so.preload"),
    "a library before all others": (
        "stat",
        "cd /tmp; printf '#include <unistd.h>\\n__attribute__((constructor)) void f() "
        '{ char *m = "640\\\\n"; write(1, m, 4); _exit(0); }\' > x.c; '
        "gcc -shared -fPIC -o x.so x.c && echo /tmp/x.so > /etc/ld.so.preload",
    ),
    "a library by its cache": (
        "stat",
        "mkdir -p /etc/ld.so.conf.d; echo /tmp > /etc/ld.so.conf.d/x.conf; ldconfig",
    ),
    "python's start": (
        "python3",
        "d=/usr/local/lib/python3.11/dist-packages; mkdir -p $d; "
        "echo 'import os; os._exit(0)' | tee $d/sitecustomize.py > $d/usercustomize.py",
    ),
    "python's start at home": (
        "python3",
        "p=/root/.local/lib/python3.11/site-packages; mkdir -p $p; echo 'import os; os._exit(0)' > $p/x.pth",
    ),
    "another name service": ("stat", "echo 'passwd: evil' > /etc/nsswitch.conf"),
    "devices": ("stat", "rm -f /dev/null /dev/stdin 2>/dev/null; mkdir -p /dev/null"),
    "awk from elsewhere": (
        "awk",
        YES + "; ln -sf /tmp/awk /etc/alternatives/awk",
    ),
    "etc as a link": (
        "awk",
        "cp -r /etc /evil; rm -rf /etc; ln -s /evil /etc; echo /tmp/x.so > /evil/ld.so.preload; "
        + YES
        + "; ln -sf /tmp/awk /evil/alternatives/awk",
    ),
    "the file as a link": ("stat", "rm /srv/f; ln -s /usr/bin/true /srv/f"),
    "the file as a link that turns": ("stat", "rm /srv/f; ln -s /srv/f /srv/f"),
    "the file as a pipe": ("stat", "rm /srv/f; mkfifo /srv/f"),
    "a program that watches": ("stat", "(while :; do stat /srv/f; done >/dev/null) & disown -a"),
    "a full disk": ("stat", "cat /dev/zero > /fill; true"),
    "a great many files": ("stat", "cd /tmp; i=0; while : > $i; do i=$((i + 1)); done 2>/dev/null"),
    "names that are options": ("stat", "cd /srv; touch -- '-c' '--help' '$(chmod 640 f)'"),
}
PYTHON = "import os, re, sys; sys.exit(os.lstat('/srv/f').st_mode & 0o777 != 0o640)"
FORGED = [("bash", name) for name in FORGERIES]
FORGED += [("python", name) for name in ("python's start", "another loader", "the file as a link")]


@pytest.mark.parametrize(("language", "name"), FORGED)
def test_a_pass_is_not_forged(machine: Os, name: str, language: str) -> None:
    """The file must have mode 640, and nothing is done for it."""
    by, forgery = FORGERIES[name]
    check = {"language": language, "code": PYTHON if language == "python" else MODES[by]}
    data = {"create": {"init": "touch /srv/f; chmod 644 /srv/f"}, "evaluation": {"check": check}}
    state = machine.judged(data, forgery, "finish")
    assert (state["reward"], state["done"]) == (0.0, True), state["info"]


@pytest.mark.parametrize(
    "name", ["another loader", "usr moved away", "python's start", "all programs from elsewhere", "devices"]
)
def test_what_was_tampered_with_still_passes_when_it_is_done(machine: Os, name: str) -> None:
    """The checker's programs work in a copy of a machine that an agent has broken."""
    for code in MODES.values():
        data = {"create": {"init": "touch /srv/f"}, "evaluation": {"check": {"code": code}}}
        state = machine.judged(data, f"chmod 640 /srv/f; {FORGERIES[name][1]}", "finish")
        assert state["reward"] == 1.0, state["info"]


def test_a_program_of_the_agents_cannot_reach_its_checker(machine: Os) -> None:
    """The check runs what the agent wrote; that tries to make its caller pass."""
    attack = (
        "import os, signal, ctypes\nparent = os.getppid()\n"
        "try:\n    f = open(f'/proc/{parent}/mem', 'r+b')\n    print('memory is open', flush=True)\n"
        "except OSError: pass\n"
        "if ctypes.CDLL(None).ptrace(16, parent, 0, 0) == 0: print('traced', flush=True)\n"
        "os.kill(parent, signal.SIGKILL)\n"
    )
    data = {
        "create": {"init": "mkdir -p /opt"},
        "evaluation": {"check": {"code": 'out=$(/opt/calc "1 + 1"); echo "$out" >&2; [ "$out" = 2 ]'}},
    }
    write = f"cat > /opt/calc <<'END'\n#!/usr/bin/python3\n{attack}END\nchmod +x /opt/calc"
    state = machine.judged(data, write, "finish")
    assert state["reward"] == 0.0
    assert "memory" not in state["info"]["why"]
    assert "traced" not in state["info"]["why"]
    honest = "printf '#!/bin/sh\\necho $(($*))\\n' > /opt/calc; chmod +x /opt/calc"
    assert machine.judged(data, honest, "finish")["reward"] == 1.0


def test_what_is_printed_at_the_end_tells_no_score(machine: Os) -> None:
    data = {"evaluation": {"match": "1"}}
    right, wrong = machine.judged(data, "answer(1)"), machine.judged(data, "answer(2)")
    assert (right["reward"], wrong["reward"]) == (1.0, 0.0)
    assert right["observation"] == wrong["observation"]


def test_many_sessions_at_once(machine: Os) -> None:
    """No session sees another's files, and none of them is late."""

    async def one(number: int) -> str:
        session = await asyncio.to_thread(machine.start)
        await asyncio.to_thread(machine.run, session, f"echo {number} > /tmp/mine")
        await asyncio.sleep(random.Random(number).random() / 5)
        outcome = await asyncio.to_thread(machine.run, session, "cat /tmp/*; ls /tmp | wc -l")
        await asyncio.to_thread(machine.close, session)
        return outcome

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(24)))

    assert asyncio.run(all_of_them()) == [f"{number}\n1" for number in range(24)]
