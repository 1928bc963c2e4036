"""Generated tasks about the system: its facts, all of its users and groups, what is installed."""

from collections.abc import Callable

from envs.os_interaction.tasks.table import Check, Example, Named
from envs.os_interaction.tasks.templates import Draw, Made, Template, script

NUMBER, TEXT = "check/integer-match.py", "check/string-match.py"
_PROGRAMS = """git curl wget vim nano gcc make python3 perl ruby node java go docker nginx mysql
psql redis-cli tar zip unzip rsync ssh tmux screen htop awk sed jq php cargo cmake ffmpeg sqlite3
telnet lsof strace bc gawk"""
PROGRAMS = tuple(_PROGRAMS.split())
EVERYWHERE = (
    "bash",
    "ls",
    "cat",
    "grep",
    "sort",
    "cut",
    "find",
    "sed",
    "tar",
    "head",
    "tail",
    "wc",
    "id",
    "date",
    "tr",
)
PAIRS = (
    ("yes", "no"),
    ("present", "absent"),
    ("found", "missing"),
    ("true", "false"),
    ("available", "unavailable"),
)


def _fact_question(check: str) -> list[Check]:
    """The answer is what the solution prints on the machine as it was."""
    return [Example(), Named(check)]


def _people(draw: Draw, *, groups: bool = False) -> str:
    """A script that adds some users, and some groups with members among them."""
    people, lines = draw.people(draw.number(2, 6)), list[str]()
    for at, name in enumerate(people):
        number = 1001 + at
        shell = draw.one(("/bin/bash", "/bin/sh", "/usr/sbin/nologin"))
        lines.append(f"echo '{name}:x:{number}:{number}::/home/{name}:{shell}' >> /etc/passwd")
        lines.append(f"echo '{name}:x:{number}:' >> /etc/group; mkdir -p /home/{name}")
    for at, group in enumerate(draw.subjects(draw.number(2, 5)) if groups else ()):
        members = ",".join(draw.many(people, draw.number(1, len(people))))
        lines.append(f"echo '{group}:x:{2100 + at * 7}:{members}' >> /etc/group")
    return script(*lines)


def _system(check: str) -> Callable[[Draw], Made]:
    def make(draw: Draw) -> Made:
        subject = draw.subjects(1)[0]
        note = f"echo {draw.number(1, 9999)} > /root/{subject}{draw.number(1, 99)}.txt"
        return Made({}, note, check=_fact_question(check))

    return make


def _all_people(draw: Draw) -> Made:
    return Made({}, _people(draw, groups=True), check=_fact_question(NUMBER))


def _bound(draw: Draw) -> Made:
    bound = str(draw.one(("5", "20", "30", "40", "80", "100", "500", "1000", "1003", "2000", "2105")))
    return Made({"bound": bound}, _people(draw, groups=True), check=_fact_question(NUMBER))


def _memberships(draw: Draw) -> Made:
    return Made({"least": str(draw.number(2, 5))}, _people(draw, groups=True), check=_fact_question(NUMBER))


def _installed(draw: Draw) -> Made:
    yes, no = draw.chance.choice(PAIRS)
    places = {"program": draw.one(PROGRAMS), "yes": yes, "no": no}
    return Made(places, _people(draw), check=_fact_question(TEXT))


def _where(draw: Draw) -> Made:
    program = draw.one(EVERYWHERE)
    return Made({"program": program}, _people(draw), check=_fact_question(TEXT))


def _environment(draw: Draw) -> Made:
    variable = draw.one(("HOME", "USER", "SHELL", "LANG", "TERM", "LOGNAME", "HOSTNAME"))
    return Made({"variable": variable}, _people(draw), check=_fact_question(TEXT))


ONLY = (
    "",
    " Answer with the number only.",
    " Just give me the integer.",
    " Tell me only the number.",
    " (an integer)",
)


def _word_list(*wordings: str, ends: tuple[str, ...] = ONLY) -> tuple[str, ...]:
    """Wordings with several endings."""
    return tuple(f"{wording}{end}" for wording in wordings for end in ends)


def _fact(name: str, check: str, solution: str, why: str, *wordings: str) -> Template:
    ends = ONLY if check == NUMBER else ("", " Answer with it and nothing else.", " Tell me just that.")
    return Template(name, _word_list(*wordings, ends=ends), _system(check), solution, why)


FACTS = (
    _fact(
        "cpus", NUMBER, "nproc", "nproc prints the number of CPUs.",
        "How many CPUs does this machine have?", "Count the processors of this computer.",
        "Number of CPU cores that are available here?", "How many cores do I have?",
        "Find out the number of processing units.", "Tell me how many CPU cores there are.",
    ),
    _fact(
        "threads", NUMBER, "cat /proc/sys/kernel/threads-max", "The kernel's limit stands in threads-max.",
        "What is the maximum number of threads that the kernel allows?",
        "How many threads may there be at most?",
        "Find the system-wide limit of threads.", "Tell me the kernel's threads limit.",
        "What is the upper limit of threads on this machine?",
    ),
    _fact(
        "pids", NUMBER, "cat /proc/sys/kernel/pid_max", "The largest process id stands in pid_max.",
        "What is the largest process id that the kernel gives?", "What is the limit of process ids here?",
        "Tell me the maximum PID of this system.", "How high can a PID get on this machine?",
    ),
    _fact(
        "open", NUMBER, "ulimit -n", "ulimit -n prints the limit of open files.",
        "How many files may a process have open at most here?",
        "What is the limit of open files of my shell?",
        "Tell me the maximum number of open file descriptors.", "What is my open files limit?",
    ),
    _fact(
        "memory", NUMBER, "awk '/^MemTotal/ {print $2}' /proc/meminfo", "MemTotal in /proc/meminfo is in kB.",
        "How much memory does this machine have in total, in kB?", "Tell me the total RAM in kilobytes.",
        "What is the size of the main memory in kB?", "Find the total amount of memory (kB).",
    ),
    _fact(
        "page", NUMBER, "getconf PAGE_SIZE", "getconf knows the size of a page.",
        "What is the size of a memory page in bytes?", "How many bytes has a page of memory here?",
        "Tell me the page size of this system.", "What is the kernel's page size?",
    ),
    _fact(
        "kernel", TEXT, "uname -r", "uname -r prints the kernel's release.",
        "Which kernel release is running?", "What version of the Linux kernel is this?",
        "Tell me the release of the running kernel.", "Find the kernel version.",
    ),
    _fact(
        "machine", TEXT, "uname -m", "uname -m prints the architecture.",
        "What is the architecture of this machine?", "Which hardware architecture is it?",
        "Is this x86_64 or something else? Give the machine's architecture.", "Tell me the CPU architecture.",
    ),
    _fact(
        "host", TEXT, "hostname", "hostname prints the name of the machine.",
        "What is the hostname of this machine?", "What is this computer called on the network?",
        "Tell me the host name.", "What is the name of my machine?",
    ),
    _fact(
        "whoami", TEXT, "whoami", "whoami prints the name of the user.",
        "As which user am I logged in?", "What is my user name?", "Tell me who I am on this machine.",
        "Which user is running this shell?",
    ),
    _fact(
        "pwd", TEXT, "pwd", "pwd prints the current directory.",
        "What is the current directory?", "In which directory am I?", "Tell me my working directory.",
        "Which folder am I in now?",
    ),
)  # fmt: skip
TEMPLATES = (
    *FACTS,
    Template(
        "users",
        _word_list(
            "How many users are there on this system?",
            "Count all user accounts of this machine.",
            "What is the number of accounts in the passwd database?",
            "How many accounts exist here, system accounts too?",
            "Tell me the number of users.",
        ),
        _all_people,
        "getent passwd | wc -l",
        "getent passwd prints a line an account.",
    ),
    Template(
        "groups",
        _word_list(
            "How many groups exist on this machine?",
            "Count all groups.",
            "What is the number of groups in the group database?",
            "Tell me how many user groups there are here.",
        ),
        _all_people,
        "getent group | wc -l",
        "getent group prints a line a group.",
    ),
    Template(
        "no_login",
        _word_list(
            "How many accounts have a login shell that is nologin?",
            "Count the users who cannot log in because their shell is nologin.",
            "Number of accounts whose shell is /usr/sbin/nologin?",
        ),
        _all_people,
        "getent passwd | grep -c '/usr/sbin/nologin$'",
        "The shell is at the end of each line of the passwd database.",
    ),
    Template(
        "homes",
        _word_list(
            "How many users have a home directory below /home ?",
            "Count the accounts whose home is in /home",
            "Number of users with a home under /home ?",
        ),
        _all_people,
        "getent passwd | cut -d: -f6 | grep -c '^/home/'",
        "The home directory is the sixth field.",
    ),
    Template(
        "empty_groups",
        _word_list(
            "How many groups have no members listed in the group database?",
            "Count the groups whose list of members is empty.",
            "Number of groups without a listed member?",
        ),
        _all_people,
        "getent group | awk -F: '$4 == \"\"' | wc -l",
        "The fourth field of a group has its members.",
    ),
    Template(
        "group_above",
        _word_list(
            "How many groups have a group id above <bound> ?",
            "Count the groups with a gid greater than <bound>",
            "Number of groups whose numeric id is over <bound> ?",
        ),
        _bound,
        "getent group | awk -F: '$3 > <bound>' | wc -l",
        "The third field of a group is its number.",
    ),
    Template(
        "group_below",
        _word_list(
            "How many groups have a group id of at most <bound> ?",
            "Count the groups with a gid not above <bound>",
            "Number of groups whose numeric id is <bound> or less?",
        ),
        _bound,
        "getent group | awk -F: '$3 <= <bound>' | wc -l",
        "The third field of a group is its number; at most is <=.",
    ),
    Template(
        "user_above",
        _word_list(
            "How many users have a user id of at least <bound> ?",
            "Count the accounts with a uid not below <bound>",
            "Number of users whose numeric id is <bound> or more?",
        ),
        _bound,
        "getent passwd | awk -F: '$3 >= <bound>' | wc -l",
        "The third field of an account is its user id; at least is >=.",
    ),
    Template(
        "user_below",
        _word_list(
            "How many users have a user id below <bound> ?",
            "Count the accounts with a uid smaller than <bound>",
            "Number of users whose uid is less than <bound> ?",
        ),
        _bound,
        "getent passwd | awk -F: '$3 < <bound>' | wc -l",
        "The third field of an account is its user id.",
    ),
    Template(
        "memberships",
        _word_list(
            "How many users are in <least> or more groups?",
            "Count the users that are members of <least> groups or more.",
            "Number of accounts that have a minimum of <least> groups?",
        ),
        _memberships,
        "for u in $(getent passwd | cut -d: -f1); do id -Gn $u | wc -w; done | awk '$1 >= <least>' | wc -l",
        "id -Gn lists a user's groups; count them for every user, and then the users.",
    ),
    Template(
        "installed",
        (
            "Is the program <program> installed? Answer '<yes>' if it is and '<no>' if not.",
            "Check whether <program> is on this machine: say '<yes>' or, if it is not there, '<no>'",
            "Can I run <program> here? Reply with '<yes>' or '<no>'",
            "Find out if <program> is there. If so, answer '<yes>'. Otherwise answer '<no>'.",
            "Do I have the command <program> ? ('<yes>' when it exists, '<no>' when it does not)",
            "Look for the command <program> and return '<yes>' if it exists, or else '<no>'.",
        ),
        _installed,
        "command -v <program> > /dev/null && echo <yes> || echo <no>",
        "command -v finds a program if it is installed.",
    ),
    Template(
        "which",
        (
            "Where is the program <program> ? Give the full path.",
            "Which file is run when I type <program> ? Answer with its path.",
            "What is the full path of the command <program> ?",
            "Tell me the location of the <program> executable.",
        ),
        _where,
        "command -v <program>",
        "command -v prints the path of a program.",
    ),
    Template(
        "environment",
        (
            "What is the environment variable <variable> set to?",
            "Print the value of <variable>",
            "Tell me the value of the variable <variable> in my shell.",
            "Which value does $<variable> have?",
        ),
        _environment,
        "echo $<variable>",
        "echo prints what the variable holds.",
    ),
)
