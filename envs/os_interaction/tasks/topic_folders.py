"""Generated tasks about what a folder holds: counted and found by kind, name, size, age, permission."""

from collections.abc import Callable

from envs.os_interaction.tasks.table import Check, Example, Named
from envs.os_interaction.tasks.templates import EXTENSIONS, ROOTS, Draw, Made, Template, script

NUMBER, SIZE, TEXT = "check/integer-match.py", "check/size-match.py", "check/string-match.py"
ENDS = ("", " Answer with the number only.", " Tell me just the integer.", " Only the number, please.")


def _tree(draw: Draw) -> tuple[str, str]:
    """A folder with files and folders of every kind, and the script that makes it."""
    folder = draw.folder()
    inner = [f"{folder}/{name}" for name in draw.subjects(draw.number(2, 4))]
    inner += [
        f"{inner[0]}/{draw.one(('old', 'new', 'tmp'))}",
        f"{folder}/.{draw.one(('cache', 'git', 'config'))}",
    ]
    lines = [f"mkdir -p {' '.join(inner)}"]
    for name in draw.files(draw.number(7, 14)):
        place, dot = draw.one((folder, folder, *inner)), draw.one(("", "", "", "."))
        path = f"{place}/{dot}{name}.{draw.one(EXTENSIONS)}"
        size = int(draw.one(("0", "0", "10", "700", "1500", "4000", "9000")))
        lines.append(f"head -c {size} /dev/zero > {path}" if size else f"touch {path}")
        age = draw.one(("", "3 hours ago", "2 days ago", "5 days ago", "20 days ago", "400 days ago"))
        if age:
            lines.append(f"touch -d '{age}' {path}")
        lines.append(f"chmod {draw.one(('644', '600', '755', '444', '700'))} {path}")
    for at in range(draw.number(0, 3)):
        lines.append(f"ln -s {inner[0]} {folder}/link{at}")
    return folder, script(*lines)


def _made(check: str, **choices: tuple[str, ...]) -> Callable[[Draw], Made]:
    def make(draw: Draw) -> Made:
        folder, init = _tree(draw)
        found: list[Check] = [Example(), Named(check)]
        return Made(
            {"folder": folder} | {name: draw.one(ones) for name, ones in choices.items()}, init, check=found
        )

    return make


def _counts(
    name: str, solution: str, why: str, wordings: tuple[str, ...], **choices: tuple[str, ...]
) -> Template:
    wording = tuple(f"{wording}{end}" for wording in wordings for end in ENDS)
    return Template(name, wording, _made(NUMBER, **choices), f"{solution} | wc -l", why)


def _run(draw: Draw) -> Made:
    folder, (name, word) = draw.folder(), draw.subjects(2)
    path = f"{folder}/{name}"
    text, mode = f"{word}-{draw.number(10, 999)}", draw.one(("000", "444", "600"))
    init = script(
        f"mkdir -p {folder}",
        f"echo 'echo {text}' > {path}",
        f"chmod {mode} {path}",
    )
    return Made({"file": path}, init, text)


def _every(draw: Draw) -> Made:
    folder, name, word = draw.one(ROOTS), draw.files(1)[0], draw.subjects(1)[0]
    file = f"{folder}/{name}.log"
    seconds = draw.number(1, 3)
    loop = f"while true; do printf {word} >> {file}; sleep {seconds}; done"
    return Made(
        {"file": file, "word": word},
        f"mkdir -p {folder}",
        str(seconds),
        start=f"({loop}) &",
    )


TEMPLATES = (
    _counts(
        "all_files",
        "find <folder> -type f",
        "find -type f lists files at every depth.",
        (
            "How many files are there in <folder> and all its subfolders?",
            "Count all regular files below <folder> (recursively).",
            "What is the total number of files anywhere under <folder> ?",
        ),
    ),
    _counts(
        "here_files",
        "find <folder> -maxdepth 1 -type f",
        "-maxdepth 1 stays out of subfolders.",
        (
            "How many files are directly in <folder> (no subfolders)?",
            "Count the regular files in <folder>, hidden ones too, but not those in subfolders.",
            "How many files does <folder> itself hold, leaving out folders below it?",
        ),
    ),
    _counts(
        "all_folders",
        "find <folder> -mindepth 1 -type d",
        "-type d lists folders; -mindepth 1 leaves out <folder> itself.",
        (
            "How many subdirectories does <folder> have, at any depth?",
            "Count the folders below <folder> recursively, without <folder> itself.",
            "How many directories are inside <folder> in all (hidden ones count, <folder> does not)?",
        ),
    ),
    _counts(
        "with_itself",
        "find <folder> -type d",
        "find -type d lists <folder> and all folders below it.",
        (
            "How many directories does the tree <folder> have, <folder> included?",
            "Recursively count the directories of <folder>, itself as well.",
            "Counting <folder> too, how many directories are in that tree?",
        ),
    ),
    _counts(
        "plain_folders",
        "find <folder> -mindepth 1 -maxdepth 1 -type d -not -name '.*'",
        "Folders whose names do not begin with a dot, one level deep.",
        (
            "How many directories that are not hidden are directly in <folder> ?",
            "Count the visible folders in <folder>, one level only.",
            "Leaving out hidden ones, how many directories does <folder> hold at its top?",
        ),
    ),
    _counts(
        "hidden_all",
        "find <folder> -type f -name '.*'",
        "Hidden names begin with a dot.",
        (
            "How many hidden files are in <folder> including its subdirectories?",
            "Recursively count the hidden files of <folder>",
            "How many files whose name begins with a dot exist anywhere below <folder> ?",
        ),
    ),
    _counts(
        "empty_files",
        "find <folder> -type f -size 0",
        "-size 0 takes files without content.",
        (
            "How many empty files are below <folder> ?",
            "Count the files of zero bytes in <folder> and its subfolders.",
            "How many files in <folder> (recursively) have nothing in them?",
        ),
    ),
    _counts(
        "recent",
        "find <folder> -type f -mtime -<days>",
        "-mtime -<days> takes files changed less than <days> days ago.",
        (
            "How many files below <folder> were changed in the last <days> days?",
            "Count the files in <folder> (recursively) that were modified less than <days> days ago.",
            "In the past <days> days, how many files under <folder> were modified?",
        ),
        days=("3", "4", "7", "10", "30", "90"),
    ),
    _counts(
        "today",
        "find <folder> -type f -mtime -1",
        "-mtime -1 means within the last day.",
        (
            "How many files under <folder> were modified during the past day?",
            "Count the files anywhere in <folder> that changed within one day.",
            "How many files of <folder>, subfolders too, are newer than 24 hours?",
        ),
    ),
    _counts(
        "minutes",
        "find <folder> -type f -mmin -<minutes>",
        "-mmin counts in minutes.",
        (
            "How many files below <folder> were modified in the last <minutes> minutes?",
            "Count files in <folder> (at any depth) changed less than <minutes> minutes ago.",
            "Number of files under <folder> touched within <minutes> minutes?",
        ),
        minutes=("5", "30", "60", "240", "600"),
    ),
    _counts(
        "old",
        "find <folder> -type f -mtime +<days>",
        "+<days> takes files that are older.",
        (
            "How many files below <folder> are older than <days> days?",
            "Count the files under <folder> last modified more than <days> days ago.",
            "Number of files in <folder> (recursively) not changed for over <days> days?",
        ),
        days=("3", "6", "10", "100", "365"),
    ),
    _counts(
        "large",
        "find <folder> -type f -size +<bytes>c",
        "The c after the number means bytes.",
        (
            "How many files below <folder> are larger than <bytes> bytes?",
            "Count the files in <folder> and its subfolders of more than <bytes> bytes.",
            "Number of files under <folder> whose size is above <bytes> bytes?",
        ),
        bytes=("5", "100", "800", "2000", "5000"),
    ),
    _counts(
        "starts",
        "ls -1 <folder> | grep '^<letter>'",
        "ls shows a name a line, and ^ is the start of a name.",
        (
            "How many entries of <folder> have a name that starts with <letter> ?",
            "Count what in <folder> begins with the letter <letter> (not recursive).",
            "Number of names in <folder> beginning with <letter> ?",
        ),
        letter=tuple("abdilnprs"),
    ),
    _counts(
        "alphabetic",
        "ls -1 <folder> | grep '^[[:alpha:]]'",
        "[[:alpha:]] is any letter; hidden names begin with a dot.",
        (
            "How many entries in <folder> have names that begin with a letter?",
            "Count the names in <folder> that start with any letter of the alphabet.",
            "Number of things in <folder> whose first character is a letter?",
        ),
    ),
    _counts(
        "digit",
        "find <folder> -type f -name '*[0-9].*'",
        "[0-9] is any digit.",
        (
            "How many files below <folder> have a digit right before their extension?",
            "Count the files in <folder> (recursively) with a number just before the dot of the extension.",
            "Number of files under <folder> whose name ends in a digit, not counting the extension?",
        ),
    ),
    _counts(
        "links",
        "find <folder> -type l",
        "-type l takes symbolic links.",
        (
            "How many symbolic links are in <folder> and below?",
            "Count the symlinks under <folder>",
            "What number of links (symbolic ones) does <folder> hold?",
        ),
    ),
    _counts(
        "mode",
        "find <folder> -type f -perm <mode>",
        "-perm takes files with exactly these permissions.",
        (
            "How many files below <folder> have the permissions <mode> ?",
            "Count the files in <folder> (recursively) whose mode is exactly <mode>",
            "Number of files under <folder> with mode <mode> ?",
        ),
        mode=("644", "600", "755", "444", "700"),
    ),
    _counts(
        "executable",
        "find <folder> -type f -perm -u+x",
        "-perm -u+x takes files that the owner may execute.",
        (
            "How many files below <folder> may be executed by their owner?",
            "Count the executable files (for the owner) under <folder>",
            "Number of files in <folder>, at any depth, with the owner's x bit?",
        ),
    ),
    _counts(
        "not_ending",
        "find <folder> -type f -not -name '*.<ext>'",
        "-not turns the test of the name round.",
        (
            "How many files below <folder> do not end in .<ext> ?",
            "Count all files under <folder> but those with the extension .<ext>",
            "Number of files in <folder> (recursively) without the ending .<ext> ?",
        ),
        ext=tuple(EXTENSIONS),
    ),
    _counts(
        "kinds",
        "find <folder> -type f | sed 's/.*\\.//' | sort -u",
        "What follows the last dot is the extension; sort -u leaves each once.",
        (
            "How many different file extensions are there below <folder> ?",
            "Count the distinct extensions of the files under <folder>",
            "Number of unique file endings in <folder> and its subfolders?",
        ),
    ),
    Template(
        "usage",
        (
            "How much disk space does <folder> take with all that is in it? Answer in a human-readable form.",
            "What is the disk usage of <folder> ? (human-readable, such as 12K)",
            "Tell me the total size of <folder> and its contents in human-readable units.",
            "How big is the directory <folder> on disk? Use units like K or M.",
        ),
        _made(SIZE),
        "du -sh <folder> | cut -f1",
        "du -s sums up a folder, and -h writes units.",
    ),
    Template(
        "last",
        (
            "Which file below <folder> was modified last? Give its full path.",
            "Find the most recently changed file under <folder> and answer with its path.",
            "What is the path of the newest file anywhere in <folder> ?",
        ),
        _made(TEXT),
        "find <folder> -type f -printf '%T@ %p\\n' | sort -n | tail -n 1 | cut -d' ' -f2",
        "find prints times and paths; sorted by time, the newest is last.",
    ),
    Template(
        "run",
        (
            "What does the script <file> print when it is run?",
            "Tell me what I would see if I ran <file>",
            "Run <file> and tell me its output.",
            "I want to execute <file> - what is printed?",
        ),
        _run,
        "chmod u+rx <file>; bash <file>",
        "It may not be readable, so I set the permissions and run it.",
        "ls -l <file>",
    ),
    Template(
        "every",
        (
            "A program appends <word> to <file> every 1, 2 or 3 seconds. Which? Just the number.",
            "The word <word> is written into <file> every 1, 2 or 3 seconds. How many seconds?",
            "Find how often <word> is added to <file> : every 1, 2 or 3 seconds? Just the number.",
        ),
        _every,
        "touch <file>; a=$(grep -o <word> <file> | wc -l); sleep 6; b=$(grep -o <word> <file> | wc -l); "
        "echo $((6 / (b - a)))",
        "Count the words now and six seconds later; six over the difference is the interval.",
    ),
)
