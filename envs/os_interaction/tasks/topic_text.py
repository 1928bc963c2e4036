"""Generated tasks about the contents of files."""

import shlex
from collections import Counter

from envs.os_interaction.tasks.table import Script
from envs.os_interaction.tasks.templates import NOUNS, PEOPLE, SUBJECTS, Draw, Made, Template, script, write

LEVELS = ("ERROR", "WARN", "INFO", "DEBUG")
STATUSES = ("200", "301", "404", "500", "503")
KEYS = ("port", "host", "timeout", "retries", "level", "owner", "region", "workers")


def _file(draw: Draw, extension: str) -> tuple[str, str]:
    """A folder, and a file in it."""
    folder = draw.folder()
    return folder, f"{folder}/{draw.one(NOUNS)}.{extension}"


def _text(folder: str, path: str, lines: list[str]) -> str:
    return script(f"mkdir -p {folder}", write(path, "\n".join(lines) + "\n"))


def _lines(draw: Draw, count: int, words: int = 4) -> list[str]:
    return [" ".join(draw.many(NOUNS, words)) for _ in range(count)]


def _level(draw: Draw) -> Made:
    folder, path = _file(draw, "log")
    lines = [
        f"10:{n:02} {draw.one(LEVELS)} {draw.one(NOUNS)} {draw.one(NOUNS)}"
        for n in range(draw.number(10, 30))
    ]
    level = draw.one([line.split()[1] for line in lines])
    return Made(
        {"file": path, "word": level},
        _text(folder, path, lines),
        str(sum(level in line.split() for line in lines)),
    )


def _total(draw: Draw) -> Made:
    folder, path = _file(draw, "csv")
    rows = [(draw.number(1, 30), draw.number(5, 500)) for _ in range(draw.number(4, 12))]
    lines = ["item,count,price", *(f"{draw.one(NOUNS)},{count},{price}" for count, price in rows)]
    column = draw.one(("count", "price"))
    total = sum(row[column == "price"] for row in rows)
    return Made({"file": path, "column": column}, _text(folder, path, lines), str(total))


def _frequent(draw: Draw) -> Made:
    folder, path = _file(draw, "log")
    people = draw.people(4)
    rows = [draw.one(people) for _ in range(draw.number(8, 16))]
    best = people[0]
    rows += [best] * (max(Counter(rows).values()) + 1)
    draw.chance.shuffle(rows)
    lines = [f"{person} {draw.one(('login', 'logout', 'upload', 'delete'))}" for person in rows]
    return Made({"file": path}, _text(folder, path, lines), best)


def _nth(draw: Draw) -> Made:
    folder, path = _file(draw, "txt")
    lines = _lines(draw, draw.number(8, 20), 3)
    at = draw.number(2, len(lines) - 1)
    return Made({"file": path, "line": str(at)}, _text(folder, path, lines), lines[at - 1])


def _replace(draw: Draw) -> Made:
    folder, path = _file(draw, "txt")
    old, new = draw.subjects(2)
    lines = [f"{line} {draw.one((old, 'plain'))} {draw.one(NOUNS)} {old}" for line in _lines(draw, 5, 2)]
    wanted = "\n".join(line.replace(old, new) for line in lines)
    check = f'[ "$(cat {path})" = {shlex.quote(wanted)} ]'
    return Made({"file": path, "old": old, "new": new}, _text(folder, path, lines), check=[Script(check)])


def _distinct(draw: Draw) -> Made:
    folder, path = _file(draw, "txt")
    pool = draw.many(SUBJECTS, draw.number(3, 9))
    lines = [draw.one(pool) for _ in range(draw.number(10, 24))]
    return Made({"file": path}, _text(folder, path, lines), str(len(set(lines))))


def _sort(draw: Draw) -> Made:
    folder, path = _file(draw, "txt")
    target = f"{folder}/{draw.subjects(1)[0]}.sorted"
    lines = draw.many(SUBJECTS, draw.number(5, 12))
    check = f'[ "$(cat {target})" = {shlex.quote(chr(10).join(sorted(lines)))} ]'
    return Made({"file": path, "target": target}, _text(folder, path, lines), check=[Script(check)])


def _value(draw: Draw) -> Made:
    folder, path = _file(draw, "conf")
    keys = draw.many(KEYS, 5)
    values = [draw.one((str(draw.number(1, 9000)), draw.one(SUBJECTS))) for _ in keys]
    lines = [f"{key}={value}" for key, value in zip(keys, values, strict=True)]
    lines.insert(0, f"#{keys[0]}=none")
    at = draw.number(0, 4)
    return Made({"file": path, "key": keys[at]}, _text(folder, path, lines), values[at])


def _words(draw: Draw) -> Made:
    folder, path = _file(draw, "txt")
    lines = [" ".join(draw.many(NOUNS, draw.number(1, 7))) for _ in range(draw.number(3, 9))]
    return Made({"file": path}, _text(folder, path, lines), str(sum(len(line.split()) for line in lines)))


def _status(draw: Draw) -> Made:
    folder, path = _file(draw, "log")
    lines = [
        f"10.0.0.{draw.number(1, 200)} GET /{draw.one(NOUNS)} {draw.one(STATUSES)}"
        for _ in range(draw.number(8, 25))
    ]
    status = draw.one([line.split()[-1] for line in lines])
    count = sum(line.split()[-1] == status for line in lines)
    return Made({"file": path, "status": status}, _text(folder, path, lines), str(count))


def _column(draw: Draw) -> Made:
    folder, path = _file(draw, "csv")
    target = f"{folder}/{draw.subjects(1)[0]}.txt"
    rows = [(draw.one(PEOPLE), draw.one(SUBJECTS), str(draw.number(1, 99))) for _ in range(draw.number(4, 9))]
    at = draw.number(1, 3)
    wanted = "\n".join(row[at - 1] for row in rows)
    check = f'[ "$(cat {target})" = {shlex.quote(wanted)} ]'
    return Made(
        {"file": path, "column": str(at), "target": target},
        _text(folder, path, [",".join(row) for row in rows]),
        check=[Script(check)],
    )


def _best(draw: Draw) -> Made:
    folder, path = _file(draw, "csv")
    people = draw.people(draw.number(4, 8))
    scores = draw.chance.sample(range(1, 1000), len(people))
    lines = [f"{person},{score}" for person, score in zip(people, scores, strict=True)]
    return Made({"file": path}, _text(folder, path, lines), max(zip(scores, people, strict=True))[1])


TEMPLATES = (
    Template(
        "level",
        (
            "How many lines of <file> have the level <word> ?",
            "Count the <word> lines in the log <file>",
            "In <file> each line has a level. Tell me how many lines are of level <word> (only the number).",
        ),
        _level,
        "grep -cw <word> <file>",
        "grep -c counts the lines with the word, and -w takes it as a whole word.",
        "head -n 3 <file>",
    ),
    Template(
        "total",
        (
            "What is the sum of the column <column> in <file> ?",
            "Add up all values of the column <column> of the CSV file <file> and answer with the total.",
            "The file <file> is a table with a header. What do the numbers under <column> add up to?",
        ),
        _total,
        'awk -F, \'NR == 1 {for (i = 1; i <= NF; i++) if ($i == "<column>") c = i} '
        "NR > 1 {s += $c} END {print s}' <file>",
        "The header tells which column it is; awk adds up that column in the other rows.",
        "head -n 2 <file>",
    ),
    Template(
        "frequent",
        (
            "Who appears most often at the beginning of a line in <file> ? Answer with the name.",
            "Each line of <file> begins with a name. Which name is the most frequent?",
            "Which user has the most entries in <file> (first word of a line)?",
        ),
        _frequent,
        "cut -d' ' -f1 <file> | sort | uniq -c | sort -rn | head -n 1 | awk '{print $2}'",
        "uniq -c counts each name once the names are sorted, and sort -rn puts the highest count first.",
        "head -n 3 <file>",
    ),
    Template(
        "nth",
        (
            "What is line <line> of the file <file> ?",
            "Tell me the text of line number <line> in <file>",
            "Read <file> and answer with its line <line> (lines are counted from 1).",
        ),
        _nth,
        "sed -n '<line>p' <file>",
        "sed -n with p prints just this line.",
    ),
    Template(
        "replace",
        (
            "Replace every <old> in <file> by <new>",
            "In the file <file> change the word <old> to <new> wherever it stands.",
            "Edit <file> so that each occurrence of <old> becomes <new>",
        ),
        _replace,
        "sed -i 's/<old>/<new>/g' <file>",
        "sed -i changes the file itself, and g takes all occurrences of a line.",
        "cat <file>",
        does=True,
    ),
    Template(
        "distinct",
        (
            "How many different lines does <file> have?",
            "Count the distinct lines of <file>",
            "If duplicate lines count once, how many lines are in <file> ?",
        ),
        _distinct,
        "sort -u <file> | wc -l",
        "sort -u keeps each different line once.",
    ),
    Template(
        "sort",
        (
            "Sort the lines of <file> alphabetically and write them to <target>",
            "Write the lines of <file> in alphabetical order into the new file <target>",
            "I need a file <target> with the lines of <file> sorted from a to z.",
        ),
        _sort,
        "sort <file> > <target>",
        "sort orders the lines, and the output goes to the new file.",
        does=True,
    ),
    Template(
        "value",
        (
            "What is the value of <key> in <file> ?",
            "Look up <key> in the configuration <file> and tell me its value.",
            "To what is <key> set in the file <file> ?",
        ),
        _value,
        "grep '^<key>=' <file> | cut -d= -f2",
        "The line begins with the key, and the value follows. A line with # does not count.",
        "cat <file>",
    ),
    Template(
        "words",
        (
            "How many words are in <file> ?",
            "Count the words of the file <file>",
            "Give me the number of words in <file> (words are separated by blanks).",
        ),
        _words,
        "wc -w < <file>",
        "wc -w counts words; reading from standard input leaves the name out.",
    ),
    Template(
        "status",
        (
            "How many requests in <file> ended with status <status> ?",
            "Count the lines of the access log <file> whose last field is <status>",
            "The status is the last word of each line in <file> . How often is it <status> ?",
        ),
        _status,
        "awk '$NF == <status>' <file> | wc -l",
        "awk's $NF is the last field, so that other numbers in a line do not count.",
        "head -n 3 <file>",
    ),
    Template(
        "column",
        (
            "Write column <column> of the CSV file <file> into <target> , one value a line.",
            "Take field <column> of each line of <file> (separated by commas) and save it as <target>",
            "Create <target> from <file> : it shall hold just the values of column <column> in their order.",
        ),
        _column,
        "cut -d, -f<column> <file> > <target>",
        "cut takes one field of each line, with the comma between them.",
        "head -n 2 <file>",
        does=True,
    ),
    Template(
        "best",
        (
            "Who has the highest score in <file> ? Answer with the name.",
            "Each line of <file> is a name, a comma and a score. Whose score is the highest?",
            "Find the winner, the one with the most points, in <file> and tell me the name.",
        ),
        _best,
        "sort -t, -k2 -rn <file> | head -n 1 | cut -d, -f1",
        "Sorting by the second field as a number, highest first, puts the winner on top.",
        "head -n 2 <file>",
    ),
)
