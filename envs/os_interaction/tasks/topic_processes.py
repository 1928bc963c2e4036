"""Generated tasks about running programs."""

from envs.os_interaction.tasks.table import Programs
from envs.os_interaction.tasks.templates import Draw, Made, Template, script, write

IDLE = "#!/bin/bash\nwhile true; do sleep 1; done\n"
VARIABLES = ("MODE", "TOKEN", "REGION", "STAGE", "COLOR", "OWNER")


def _installed(draw: Draw, count: int) -> tuple[str, list[str], str]:
    """A folder, names of programs that do nothing for ever, and the script that writes them."""
    folder = draw.folder()
    names = [f"{name}.sh" for name in draw.subjects(count)]
    return folder, names, script(f"mkdir -p {folder}", *(write(f"{folder}/{name}", IDLE) for name in names))


def _writer(draw: Draw) -> Made:
    folder, names = draw.folder(), draw.files(draw.number(3, 6))
    target = f"{folder}/{names[0]}.log"
    loop = f"#!/bin/bash\nwhile true; do echo tick >> {target}; sleep 0.4; done\n"
    init = script(
        f"mkdir -p {folder} /opt/run",
        f"touch {' '.join(f'{folder}/{name}.log' for name in names)}",
        write("/opt/run/ticker.sh", loop),
    )
    return Made({"folder": folder}, init, f"{names[0]}.log", start="bash /opt/run/ticker.sh &")


def _copies(draw: Draw) -> Made:
    folder, names, init = _installed(draw, 3)
    counts = [draw.number(2, 5), draw.number(0, 2), 1]
    start = [
        f"bash {folder}/{name} &" for name, count in zip(names, counts, strict=True) for _ in range(count)
    ]
    return Made({"name": names[0]}, init, str(counts[0]), start=script(*start))


def _stop(draw: Draw) -> Made:
    folder, names, init = _installed(draw, 3)
    start = script(*(f"bash {folder}/{name} &" for name in names))
    programs = Programs(running=(names[1], names[2]), ended=(names[0],))
    return Made({"name": names[0]}, init, start=start, programs=programs)


def _argument(draw: Draw) -> Made:
    folder, names, init = _installed(draw, 2)
    option = draw.one(("port", "limit", "workers", "depth"))
    value = str(draw.number(10, 9999))
    start = script(
        f"bash {folder}/{names[0]} --{option} {value} --quiet &",
        f"bash {folder}/{names[1]} --{option} {draw.number(10, 9999)} &",
    )
    return Made({"name": names[0], "option": option}, init, value, start=start)


def _variable(draw: Draw) -> Made:
    folder, names, init = _installed(draw, 2)
    variable, values = draw.one(VARIABLES), draw.subjects(2)
    start = script(
        *(f"{variable}={value} bash {folder}/{name} &" for name, value in zip(names, values, strict=True))
    )
    return Made({"name": names[0], "variable": variable}, init, values[0], start=start)


def _folder(draw: Draw) -> Made:
    folder, names, init = _installed(draw, 2)
    places = [draw.folder(), draw.folder()]
    lines = [init, *(f"mkdir -p {place}" for place in places)]
    start = [
        f"(cd {place} && exec bash {folder}/{name}) &" for name, place in zip(names, places, strict=True)
    ]
    return Made({"name": names[0]}, script(*lines), places[0], start=script(*start))


def _opened(draw: Draw) -> Made:
    folder, names, init = _installed(draw, 2)
    logs = [f"{draw.folder()}.out" for _ in names]
    lines = [init, *(f"mkdir -p $(dirname {log})" for log in logs)]
    start = [f"bash {folder}/{name} > {log} &" for name, log in zip(names, logs, strict=True)]
    return Made({"name": names[0]}, script(*lines), logs[0], start=script(*start))


TEMPLATES = (
    Template(
        "writer",
        (
            "A program writes to a file in <folder> again and again. Which file? Answer with its name only.",
            "Something in the background keeps appending to a file in <folder> - tell me the file's name.",
            "Which file in <folder> is being written to all the time? Give the name without the folder.",
        ),
        _writer,
        "touch /tmp/mark; sleep 1.5; find <folder> -type f -newer /tmp/mark -printf '%f\\n'",
        "After a moment, only the file that is written to is newer than a mark that I set now.",
        "ls -l <folder>",
    ),
    Template(
        "copies",
        (
            "How many processes run the script <name> at the moment?",
            "The script <name> was started several times. Count its running processes.",
            "Count the processes whose command line has <name> in it.",
        ),
        _copies,
        "pgrep -fc <name>",
        "pgrep -f looks at whole command lines, and -c counts.",
        "ps -eo args",
    ),
    Template(
        "stop",
        (
            "Stop the running script <name> and leave all other programs running.",
            "The program <name> must not run any more. End it, but nothing else.",
            "Kill the process of <name> only.",
        ),
        _stop,
        "pkill -f <name>",
        "pkill -f ends just the process with this name in its command line.",
        "pgrep -fa sh",
        does=True,
    ),
    Template(
        "argument",
        (
            "With which value of --<option> does the script <name> run?",
            "Look at the running process of <name> and tell me the value after --<option>",
            "The script <name> was started with the option --<option> and a number. What number?",
        ),
        _argument,
        "ps -eo args | grep '[/]<name>' | sed 's/.*--<option> \\([0-9]*\\).*/\\1/'",
        "ps shows the arguments of each process; sed takes the number after the option.",
    ),
    Template(
        "variable",
        (
            "What is the environment variable <variable> of the running script <name> set to?",
            "The process of <name> has a variable <variable> in its environment. Tell me its value.",
            "Find the value of <variable> in the environment of the process that runs <name>",
        ),
        _variable,
        "tr '\\0' '\\n' < /proc/$(pgrep -f <name> | head -n 1)/environ | grep '^<variable>=' | cut -d= -f2",
        "The environment of a process is in /proc, with a zero byte after each variable.",
    ),
    Template(
        "folder",
        (
            "In which working directory does the script <name> run? Answer with the full path.",
            "What is the current directory of the process that runs <name> ?",
            "Find the working directory of the running program <name>",
        ),
        _folder,
        "readlink /proc/$(pgrep -f <name> | head -n 1)/cwd",
        "The link cwd in /proc shows a process's working directory.",
    ),
    Template(
        "opened",
        (
            "Into which file does the output of the running script <name> go? Answer with the full path.",
            "The standard output of the process of <name> is sent to a file. What is its path?",
            "Where is what <name> prints being saved? Give the full path of the file.",
        ),
        _opened,
        "readlink /proc/$(pgrep -f <name> | head -n 1)/fd/1",
        "The link fd/1 in /proc shows where the standard output goes.",
    ),
)
