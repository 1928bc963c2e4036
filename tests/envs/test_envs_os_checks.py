"""Checks are not swayed by what an agent left, its programs or its answer; these see nothing expected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.envs.test_envs_os import Os, served_os

SECRET = "7391"
PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def machine() -> Iterator[Os]:
    """A server without any data."""
    yield from served_os(os_command_timeout=5.0, os_check_timeout=5.0, os_generated=10)


SPY = """#!/usr/bin/python3
import glob, os, re
seen = set()
for place in glob.glob("/proc/[0-9]*"):
    for name in ("cmdline", "environ", "comm", "stack", "wchan", "auxv"):
        try:
            seen |= set(re.findall(rb"\\d{4}", open(f"{place}/{name}", "rb").read()))
        except OSError: pass
    try:
        for line in open(f"{place}/maps"):
            low, high = [int(word, 16) for word in line.split()[0].split("-")]
            with open(f"{place}/mem", "rb") as memory:
                memory.seek(low)
                seen |= set(re.findall(rb"(?<!\\d)73\\d\\d(?!\\d)", memory.read(min(high - low, 1 << 22))))
    except (OSError, ValueError, OverflowError): pass
    for number in glob.glob(f"{place}/fd/*"):
        try:
            if place.endswith(f"/{os.getpid()}"): continue
            handle = os.open(number, os.O_RDONLY | os.O_NONBLOCK)
            seen |= set(re.findall(rb"\\d{4}", os.read(handle, 65536)))
        except OSError: pass
for folder, _, files in os.walk("/run"):
    for name in files:
        try: seen |= set(re.findall(rb"(?<!\\d)73\\d\\d(?!\\d)", open(f"{folder}/{name}", "rb").read()))
        except OSError: pass
own = {str(os.getpid()).encode()}
print("".join(sorted(word.decode() for word in seen - own if word.startswith(b"73"))))
"""
RUNS: dict[str, tuple[str, str]] = {
    "bash": ("bash", '[ "$(/opt/tool)" = "$2" ]'),
    "bash, in a subshell": ("bash", 'x=$(cd /tmp && /opt/tool | cat); test "$x" = "$2"'),
    "bash, with the value in the script": ("bash", f'[ "$(/opt/tool)" = {SECRET} ]'),
    "bash, exported to nobody": ("bash", f'want={SECRET}; [ "$(/opt/tool)" = "$want" ]'),
    "bash, by input": ("bash", 'diff <(/opt/tool) <(echo "$2")'),
    "python": (
        "python",
        "import subprocess, sys\nout = subprocess.run(['/opt/tool'], capture_output=True, text=True).stdout\n"
        "sys.exit(out.strip() != sys.argv[2].strip())",
    ),
    "python, with the value in the script": (
        "python",
        f"import subprocess, sys\nwant = {SECRET}\n"
        "out = subprocess.run(['/opt/tool'], capture_output=True).stdout\n"
        "sys.exit(out.strip() != str(want).encode())",
    ),
    "c": (
        "c",
        "#include <stdio.h>\n#include <string.h>\nint main(int n, char **a) { char b[99] = {0}; "
        'FILE *p = popen("/opt/tool", "r"); fgets(b, 98, p); return strncmp(b, a[2], 4); }',
    ),
    "c++": (
        "c++",
        "#include <cstdio>\n#include <string>\nint main(int, char **) { char b[99] = {0}; "
        f'FILE *p = popen("/opt/tool", "r"); fgets(b, 98, p); return std::string(b, 4) != "{SECRET}"; }}',
    ),
}


def write(path: str, text: str) -> str:
    """A script that writes a program."""
    return f"mkdir -p {path.rpartition('/')[0]}\ncat > {path} <<'END'\n{text}\nEND\nchmod 755 {path}"


@pytest.mark.parametrize("name", list(RUNS))
def test_a_program_under_test_does_not_find_what_is_expected(machine: Os, name: str) -> None:
    language, code = RUNS[name]
    if language in ("c", "c++") and not Path("/usr/bin/gcc").exists():
        pytest.skip("no gcc on this machine")
    check = [None, {"language": language, "code": code}]
    data: dict[str, Any] = {"evaluation": {"check": check, "example": f"printf {SECRET}"}}
    spied = machine.judged(data, write("/opt/tool", SPY), "finish")
    assert (spied["reward"], spied["done"]) == (0.0, True), spied["info"]
    honest = machine.judged(data, write("/opt/tool", f"#!/bin/sh\necho {SECRET}"), "finish")
    assert honest["reward"] == 1.0, honest["info"]


def test_the_spy_sees_what_is_on_a_command_line(machine: Os) -> None:
    """The spy works: it finds a value that a program of the agent's own has on its command line."""
    session = machine.start()
    machine.run(session, write("/opt/tool", SPY))
    assert SECRET in machine.run(session, f"bash -c 'sleep 300; :' {SECRET} & sleep 0.3; /opt/tool")
    machine.close(session)


GREET = '[ "$(/opt/tool)" = hello ] && '
TOOL = write("/opt/tool", "#!/bin/sh\nTAMPER\necho hello")
TAMPERS: dict[str, tuple[str, str]] = {
    "the loader": (
        "cp /usr/lib/x86_64-linux-gnu/libc.so.6 /tmp/x.so; echo /tmp/x.so > /etc/ld.so.preload",
        "[ ! -e /etc/ld.so.preload ] && false",
    ),
    "a program found first": (
        "printf '#!/bin/sh\\nexit 0\\n' > /usr/local/bin/cmp; chmod 755 /usr/local/bin/cmp",
        "PATH=/usr/local/bin:$PATH cmp /srv/a /srv/b",
    ),
    "the shell's other name": (
        "rm /bin; ln -s /tmp /bin; cp /usr/bin/true /tmp/cmp",
        "/bin/cmp /srv/a /srv/b",
    ),
    "users": ("echo root:x:0:0::/:/opt/tool > /etc/passwd", "! grep -q ':/root:' /etc/passwd"),
    "python": (
        "mkdir -p /usr/lib/python3; echo 'import os; os._exit(0)' > /usr/.checker/python/sitecustomize.py",
        "python3 -c 'import sys; sys.exit(1)'",
    ),
}


@pytest.mark.parametrize("name", list(TAMPERS))
def test_a_program_under_test_does_not_change_what_the_check_goes_on_with(machine: Os, name: str) -> None:
    tamper, rest = TAMPERS[name]
    init = "echo a > /srv/a; echo b > /srv/b"
    data = {"create": {"init": init}, "evaluation": {"check": {"code": GREET + rest}}}
    state = machine.judged(data, TOOL.replace("TAMPER", f"{{ {tamper}; }} 2>/dev/null"), "finish")
    assert state["reward"] == 0.0, state["info"]


SWAPS = [
    f"mv {place} /swapped; mkdir -p {place}; cp -r /swapped/. {place}; "
    f"for f in /usr/.checker {place}/.checker {place}/checker {place}/bin {place}; do "
    "mkdir -p $f; rm -f $f/bash; cp /usr/bin/true $f/bash; done"
    for place in ("/usr", "/run", "/dev", "/etc", "/bin", "/usr/.checker")
]


@pytest.mark.parametrize("language", ["bash", "python", "c"])
@pytest.mark.parametrize("swap", SWAPS)
def test_a_program_under_test_does_not_change_the_check_after_it(
    machine: Os, swap: str, language: str
) -> None:
    if language == "c" and not Path("/usr/bin/gcc").exists():
        pytest.skip("no gcc on this machine")
    code = {
        "bash": "exit 1",
        "python": "import subprocess, sys; sys.exit(subprocess.call(['/bin/sh', '-c', 'exit 1']))",
        "c": "int main(void) { return 1; }",
    }
    chain = [{"code": GREET + "true"}, {"language": language, "code": code[language]}]
    swapping = TOOL.replace("TAMPER", f"{{ {swap}; }} >/tmp/log 2>&1")
    assert machine.judged({"evaluation": {"check": chain}}, swapping, "finish")["reward"] == 0.0


OPENSSL = """openssl_conf = a
[a]
engines = b
[b]
c = d
[d]
dynamic_path = /tmp/evil.so
init = 1
"""
LEFT: dict[str, tuple[str, str]] = {
    "the settings of a library": (
        f"mkdir -p /etc/ssl; cat > /etc/ssl/openssl.cnf <<'END'\n{OPENSSL}\nEND",
        "! grep -qs evil /etc/ssl/openssl.cnf && ! grep -qs evil /usr/lib/ssl/openssl.cnf && false",
    ),
    "how users log in": (
        "echo 'auth sufficient pam_permit.so' > /etc/pam.d/su; echo 'session required pam_exec.so /tmp/x' "
        "| tee /etc/pam.d/su /etc/pam.d/su-l /etc/pam.d/runuser /etc/pam.d/common-session",
        "grep -rqs pam_exec /etc/pam.d",
    ),
    "settings that were not there": (
        "echo x > /etc/inputrc; echo x > /etc/gitconfig",
        "ls /etc | grep -q config",
    ),
    "headers": ("echo x > /usr/local/include/stdio.h", "ls /usr/local/inc* | grep -q ."),
    "libraries": (
        "mkdir -p /usr/local/lib; echo x > /usr/local/lib/libc.so",
        "ls /usr/local/li* | grep -q libc",
    ),
    "a module at home": (
        "printf 'import os; os._exit(0)' | tee /root/json.py /root/random.py > /root/re.py",
        "python3 -c 'import json, random, re, sys; sys.exit(1)'",
    ),
    "a module beside a program": (
        "mkdir -p /srv/app; echo 'import os; os._exit(0)' > /srv/app/json.py",
        "cd /srv/app && python3 -c 'import json, sys; sys.exit(1)'",
    ),
    "a module beside what is run": (
        "echo 'import os; os._exit(0)' > /tmp/json.py",
        "echo 'import json, sys; sys.exit(1)' > /tmp/check.py; python3 /tmp/check.py",
    ),
    "an environment of Python's": (
        "printf 'home = /tmp\\n' | tee /usr/pyvenv.cfg > /pyvenv.cfg",
        "[ -e /usr/pyvenv.cfg ] || [ -e /pyvenv.cfg ]",
    ),
    "modules of a user": (
        "p=$(python3 -m site --user-site); mkdir -p $p; echo 'import os; os._exit(0)' > $p/x.pth",
        "python3 -c 'import sys; sys.exit(1)'",
    ),
    "start files": (
        "for f in bash_profile bashrc profile inputrc gitconfig; do echo 'exit 0' > /root/.$f; done",
        "bash -lc 'exit 1'",
    ),
    "start files of the system": (
        "echo 'exit 0' | tee -a /etc/profile /etc/bash.bashrc > /etc/profile.d/x.sh",
        "bash -lc 'exit 1'",
    ),
    "awk's other names": (
        "printf '#!/bin/sh\\nexit 0\\n' > /opt/a; chmod 755 /opt/a; ln -sf /opt/a /etc/alternatives/awk",
        "awk 'BEGIN {exit 1}'",
    ),
    "libraries beside the system's": ("mkdir -p /lib32 /usr/lib32; echo > /lib32/x", "[ -e /lib32/x ]"),
    "a folder of the checker's": (
        "cd /usr; mkdir -p .checker/python; "
        "echo 'import os; os._exit(0)' > .checker/python/sitecustomize.py; "
        "cp /usr/bin/true .checker/bash; chmod 777 -R .checker",
        "python3 -c 'import sys; sys.exit(1)'",
    ),
    "the checker's folder as a link": (
        "rm -rf /run; ln -s /tmp /run; cd /tmp; mkdir -p check-program; cp /usr/bin/true check-program/check",
        "false",
    ),
}


@pytest.mark.parametrize("name", list(LEFT))
def test_a_check_is_not_affected_by_what_was_left(machine: Os, name: str) -> None:
    """Each check passes where it meets what the agent left, and fails where it does not."""
    left, check = LEFT[name]
    state = machine.judged({"evaluation": {"check": {"code": check}}}, left, "finish")
    assert (state["reward"], state["done"]) == (0.0, True), state["info"]


def test_a_header_that_was_left_is_not_read(machine: Os) -> None:
    if not Path("/usr/bin/gcc").exists():
        pytest.skip("no gcc on this machine")
    code = '#include <stdio.h>\nint main(void) { puts("x"); return 3; }'
    data = {"evaluation": {"check": {"language": "c", "code": code}}}
    left = write(
        "/usr/local/include/stdio.h", "#define main(x) main(x) { return 0; } int other(x)\nint puts();"
    )
    assert machine.judged(data, left, "finish")["reward"] == 0.0


KEPT: dict[str, tuple[str, dict[str, Any], str]] = {
    "a program that the task names": (
        "Make a command `greet` that prints hello.",
        {"check": {"code": '[ "$(greet)" = hello ]'}},
        "printf '#!/bin/sh\\necho hello\\n' > /usr/local/bin/greet; chmod 755 /usr/local/bin/greet",
    ),
    "a file of the system that the task names": (
        "Set the message in /etc/app.conf.",
        {"check": {"code": "grep -q x /etc/app.conf"}},
        "echo x > /etc/app.conf",
    ),
    "a file that the check names": (
        "Do it.",
        {"check": {"code": "grep -q x /etc/motd"}},
        "echo x > /etc/motd",
    ),
    "a folder that the task names": (
        "Put any file with the ending .conf into /etc/app.",
        {"check": {"code": "ls /etc/app/*.conf"}},
        "mkdir /etc/app; touch /etc/app/a.conf",
    ),
    "a name in a folder": (
        "In /etc there must be a file settings.ini.",
        {"check": {"code": "cd /etc && [ -f settings.ini ]"}},
        "touch /etc/settings.ini",
    ),
    "a start file that the task names": (
        "Set X=1 in ~/.bashrc.",
        {"check": {"code": "grep -q X=1 /root/.bashrc"}},
        "echo X=1 >> ~/.bashrc",
    ),
    "users": ("Add bob.", {"check": {"code": "id bob && [ -d /home/bob ]"}}, "useradd -m bob"),
    "hosts": (
        "Let db be 10.0.0.1.",
        {"check": {"code": "getent hosts db"}},
        "echo 10.0.0.1 db >> /etc/hosts",
    ),
    "a file in /usr": ("Copy it to /usr/x.log.", {"check": {"code": "cat /usr/x.log"}}, "echo > /usr/x.log"),
    "a program of two files": (
        "Write /opt/tool.",
        {"check": {"code": '[ "$(/opt/tool)" = hello ]'}},
        "printf 'WORD = \"hello\"\\n' > /opt/words.py; "
        "printf '#!/usr/bin/python3\\nimport words\\nprint(words.WORD)\\n' > /opt/tool; chmod 755 /opt/tool",
    ),
}


@pytest.mark.parametrize("name", list(KEPT))
def test_what_the_task_is_about_is_checked(machine: Os, name: str) -> None:
    instruction, evaluation, solution = KEPT[name]
    task = {"instruction": instruction, "data": {"evaluation": evaluation}}
    rewards: list[float] = []
    for actions in ([f"bash: {solution}", "finish"], ["finish"]):
        created = machine.http.post("/v1/sessions", json={"task": task})
        session = created.json()["session_id"]
        states = [machine.step(session, action) for action in actions]
        machine.close(session)
        rewards.append(states[-1]["reward"])
    assert rewards == [1.0, 0.0]


def test_what_the_preparation_made_is_the_tasks(machine: Os) -> None:
    """Names that a script makes up are known by what is there when the agent comes."""
    init = (
        "for n in 1 2 3; do echo > /etc/part$((n * 7)).cfg; mkdir -p /usr/local/lib/a$n; done; touch ~/.vimrc"
    )
    check = "! ls /etc/part*.cfg 2>/dev/null && ! ls -d /usr/local/lib/a? 2>/dev/null && ! ls -d ~/.vim??"
    data = {"create": {"init": init}, "evaluation": {"check": {"code": check}}}
    assert machine.judged(data, "true", "finish")["reward"] == 0.0
    assert machine.judged(data, "rm -r /etc/part*.cfg /usr/local/lib/a?", "finish")["reward"] == 0.0
    assert machine.judged(data, "rm -r /etc/part*.cfg /usr/local/lib/a? ~/.vimrc", "finish")["reward"] == 1.0


ARITHMETIC = [
    ("[[ $1 -eq $2 ]]", "x[$(kill -9 $$)]"),
    ("[[ $1 -eq $2 ]]", "a[b=$2]+b"),
    ("[[ $1 -eq $2 ]]", "a[b=$(echo $2)]+b"),
    ("want=$2; (( want == $1 ))", "want"),
    ("want=$2; got=$1; [[ $got -eq $want ]]", "want"),
    ('want=$2; read got <<< "$1"; (( got == want ))', "want"),
    ("[ $1 -eq 2 ]", "1 -eq 1 -o 5"),
    ("[ $1 = x ]", "x -o x"),
    ("[[ $1 -eq 0 ]]", "none"),
]


@pytest.mark.parametrize(("code", "answer"), ARITHMETIC)
def test_an_answer_is_not_computed(machine: Os, code: str, answer: str) -> None:
    data = {"evaluation": {"check": [None, {"code": code}], "example": f"echo {SECRET}"}}
    assert machine.judged(data, f"answer({answer})")["reward"] == 0.0
    if "$2" in code:
        assert machine.judged(data, f"answer({SECRET})")["reward"] == 1.0


UNTOUCHED: list[tuple[str, str, str, str]] = [
    # A search that finds nothing ends with an error; what it printed counts all the same.
    ("touch /srv/f", "grep -c x /srv/f", "echo x > /srv/f", "1"),
    # It prints nothing where nothing is to be found: then no answer is right.
    ("echo a > /srv/f", "grep -o x /srv/f", "echo x > /srv/f", "x"),
    ("mkdir /srv/d", "cd /srv/d && cat * 2>/dev/null", "echo x > /srv/d/f", "x"),
    (
        "echo 'a 1' > /root/list.txt",
        "awk '$1 == \"b\" {print $2; exit 1}' list.txt",
        "echo 'b 7' > list.txt",
        "7",
    ),
]


@pytest.mark.parametrize(("init", "example", "attack", "answer"), UNTOUCHED)
def test_an_example_runs_where_the_agent_has_not_been(
    machine: Os, init: str, example: str, attack: str, answer: str
) -> None:
    check = [None, {"file": "check/string-match.py"}]
    data = {"create": {"init": init}, "evaluation": {"check": check, "example": example}}
    assert machine.judged(data, attack, f"answer({answer})")["reward"] == 0.0


BROKEN = [
    "mv /usr /elsewhere",
    "mv /usr /elsewhere; mkdir -p /usr/bin; cp /elsewhere/bin/true /usr/bin/bash",
    "mv /dev /elsewhere",
    "mv /dev /elsewhere; mkdir /dev; mkdir /dev/null",
    "rm -f /lib /lib64 /bin /sbin",
    "rm -rf --no-preserve-root / 2>/dev/null; true",
    "chmod 000 /; chmod 000 /root /tmp /etc /run",
    "mv /etc /root/etc; mv /var /root/; mv /run /root/; mv /tmp /root",
    "mkdir /new; for d in /*; do mv $d /new; done 2>/dev/null; true",
    "for d in etc run tmp root usr; do rm -rf /$d 2>/dev/null; mkfifo /$d; done 2>/dev/null; true",
    "for d in etc run tmp root usr; do rm -rf /$d 2>/dev/null; ln -s /$d /$d; done 2>/dev/null; true",
    "kill -STOP -1; kill -STOP $$",
    "cat /dev/zero > /fill 2>/dev/null; rm -rf /usr; true",
    "exec 0<&- 1>&- 2>&- 8<&-",
    "cd /tmp; for i in $(seq 250); do mkdir -p $(printf 'd%.0s' $(seq 200)); cd d*; done",
    "cd /tmp; : > $'\\xff\\n\\x01'; ln -s $'\\xfe' $'l\\xfd'; ln $'\\xff\\n\\x01' $'h\\xfc'",
    "ulimit -v 1 -f 0 -n 3; true",
    "trap '' CHLD; trap 'exit 3' DEBUG",
    "while :; do (sleep 300 &) || break; done 2>/dev/null",
]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_an_agent_breaks_is_its_score(machine: Os, broken: str) -> None:
    """Every later action and the end are answered; the end is a verdict."""
    init = "touch /srv/f; chmod 640 /srv/f; useradd -m bob"
    check = '[ "$(stat -c %a /srv/f)" = 600 ] && id bob'
    for chain in ([{"code": check}], [None, {"code": check}]):
        evaluation = {"check": chain, "example": "cat /srv/f; echo x"}
        session = machine.start(create={"init": init}, start="sleep 500 &", evaluation=evaluation)
        machine.step(session, f"bash: {broken}")
        machine.step(session, "bash: echo still")
        forked = machine.http.post(f"/v1/sessions/{session}/forks", json={})
        assert forked.status_code == 201, forked.text
        for one in (forked.json()["session_id"], session):
            state = machine.step(one, "finish")
            assert (state["reward"], state["done"]) == (0.0, True), state["info"]
            machine.close(one)
