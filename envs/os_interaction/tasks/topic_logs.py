"""Generated tasks about logs: of a web server, of a program, of logins."""

from envs.os_interaction.tasks.templates import NOUNS, PEOPLE, Draw, ask_of_files

NUMBER, TEXT = "check/integer-match.py", "check/string-match.py"
LEVELS = ("ERROR", "WARNING", "INFO", "DEBUG", "CRITICAL")
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE")
STATUSES = ("200", "200", "200", "301", "403", "404", "500", "502")
COMPONENTS = ("db", "auth", "cache", "mail", "api", "queue")


def _days(draw: Draw, count: int) -> list[str]:
    """Return dates in order, several lines a day."""
    return sorted(f"2024-{draw.number(3, 4):02}-{draw.number(1, 6):02}" for _ in range(count))


def _access(draw: Draw) -> list[str]:
    """Return lines of a web server: address, time, request, status, bytes."""
    count = draw.number(12, 30)
    hosts = [f"10.{draw.number(0, 9)}.{draw.number(0, 9)}.{draw.number(1, 99)}" for _ in range(5)]
    return [
        f"{draw.one(hosts)} - - [{day}T{draw.number(0, 23):02}:{draw.number(0, 59):02}] "
        f'"{draw.one(METHODS)} /{draw.one(NOUNS)}/{draw.number(1, 4)} HTTP/1.1" '
        f"{draw.one(STATUSES)} {draw.number(90, 9000)}"
        for day in _days(draw, count)
    ]


def _program(draw: Draw) -> list[str]:
    """Return lines of a program: date, time, level, component, words."""
    return [
        f"{day} {draw.number(0, 23):02}:{draw.number(0, 59):02}:{draw.number(0, 59):02} {draw.one(LEVELS)} "
        f"[{draw.one(COMPONENTS)}] {draw.one(NOUNS)} {draw.one(('done', 'failed', 'retried', 'skipped'))}"
        for day in _days(draw, draw.number(12, 30))
    ]


def _logins(draw: Draw) -> list[str]:
    """Return lines of logins: date, user, outcome, seconds."""
    count = draw.number(12, 30)
    people = draw.many(PEOPLE, 5)
    return [
        f"{day} user={draw.one(people)} result={draw.one(('ok', 'ok', 'denied'))} took={draw.number(1, 90)}"
        for day in _days(draw, count)
    ]


HEAD = "head -n 2 <file>"
TEMPLATES = (
    ask_of_files(
        "addresses",
        _access,
        "log",
        NUMBER,
        "awk '{print $1}' <file> | sort -u | wc -l",
        "The address is the first field; sort -u keeps each once.",
        "How many different IP addresses appear in the web server log <file> ?",
        "Each line of <file> starts with an IP address. Count the unique ones.",
        "Find out from how many distinct clients the requests in <file> came. Only the number.",
        "Determine the number of unique IP addresses in <file> and give me that count.",
        look=HEAD,
    ),
    ask_of_files(
        "busiest",
        _access,
        "log",
        TEXT,
        "awk '{print $1}' <file> | sort | uniq -c | sort -k1,1nr -k2 | head -n 1 | awk '{print $2}'",
        "uniq -c counts each address, and the highest count comes first; of equal ones the first by name.",
        "Which IP address made the most requests in <file> ? Of equal ones take the first in sorted order.",
        "Name the most frequent client address in <file> (the alphabetically first if several are equal).",
        "From the access log <file> find the IP with the most lines; ties go to the smallest as text.",
        look=HEAD,
    ),
    ask_of_files(
        "method",
        _access,
        "log",
        NUMBER,
        "grep '\"<method> ' <file> | wc -l",
        "The method stands after the first quotation mark, so I count the lines with it there.",
        "How many <method> requests does <file> record?",
        "Count the lines of <file> whose HTTP method is <method>",
        "In the access log <file> , what is the number of <method> requests?",
        look=HEAD,
        method=("GET", "POST", "PUT", "DELETE"),
    ),
    ask_of_files(
        "failures",
        _access,
        "log",
        NUMBER,
        "awk '$(NF-1) >= 400' <file> | wc -l",
        "The status is the last field but one, and failed requests have 400 or more.",
        "How many requests in <file> failed, that is, have a status of 400 or above?",
        "Count the requests with a 4xx or 5xx status code in <file>",
        "The status code is the second to last field in <file> . How many lines have a code of at least 400?",
        look=HEAD,
    ),
    ask_of_files(
        "traffic",
        _access,
        "log",
        NUMBER,
        "awk '{s += $NF} END {print s}' <file>",
        "The last field is the number of bytes; awk adds them up.",
        "How many bytes were sent in total according to <file> ? The size is the last field of a line.",
        "Sum up the last column of the access log <file>",
        "What is the total of the response sizes (last field) in <file> ?",
        look=HEAD,
    ),
    ask_of_files(
        "levels",
        _program,
        "log",
        NUMBER,
        "cat <folder>/*.log | grep ' <level> ' | wc -l",
        "cat joins all logs of the folder, and wc -l counts the lines that grep finds with the level.",
        "How many <level> entries are in all .log files of <folder> together?",
        'Count the lines with the level "<level>" across all log files in the directory <folder>',
        "The directory <folder> holds several .log files. How many <level> lines do they have in sum?",
        "Go through every log in <folder> and tell me how often <level> is logged, as one number.",
        level=LEVELS,
    ),
    ask_of_files(
        "days",
        _program,
        "log",
        NUMBER,
        "cut -d' ' -f1 <file> | sort -u | wc -l",
        "The date is the first field; sort -u keeps each date once.",
        "On how many different days was something written to <file> ?",
        "Each line in <file> begins with a date (YYYY-MM-DD). How many unique dates are there?",
        "Count the distinct dates at the beginning of the lines of <file>",
        look=HEAD,
    ),
    ask_of_files(
        "latest",
        _program,
        "log",
        NUMBER,
        "last=$(cut -d' ' -f1 <file> | sort | tail -n 1); grep -c \"^$last\" <file>",
        "The latest date is the last one when they are sorted; then I count the lines that begin with it.",
        "How many entries does <file> have on its most recent day?",
        "Find the latest date in <file> and count the lines of that date.",
        "Lines of <file> start with a date. Tell me how many lines belong to the newest date.",
        look=HEAD,
    ),
    ask_of_files(
        "between",
        _program,
        "log",
        NUMBER,
        'awk \'$1 >= "2024-03-0<from>" && $1 <= "2024-03-0<until>"\' <file> | wc -l',
        "Dates in this form can be compared as texts.",
        "How many lines of <file> are dated from 2024-03-0<from> to 2024-03-0<until> , both days included?",
        "Count the entries between 2024-03-0<from> and 2024-03-0<until> (inclusive) in <file>",
        "Lines of <file> begin with dates. How many lie within 2024-03-0<from> and 2024-03-0<until> ?",
        look=HEAD,
        **{"from": ("1", "2", "3"), "until": ("4", "5", "6")},
    ),
    ask_of_files(
        "component",
        _program,
        "log",
        NUMBER,
        "grep ' <level> ' <file> | grep '\\[<component>\\]' | wc -l",
        "First the lines of the level, then those of the component, whose brackets are escaped.",
        "How many <level> lines of <file> are from the component [<component>] ?",
        "Count the lines in <file> that have level <level> and come from [<component>]",
        "In <file> , how often did [<component>] log at level <level> ?",
        look=HEAD,
        level=LEVELS,
        component=COMPONENTS,
    ),
    ask_of_files(
        "without",
        _program,
        "log",
        NUMBER,
        "grep -v '<word>' <file> | wc -l",
        "grep -v takes the lines without the word, and -c counts them.",
        "How many lines of <file> do not contain the word <word> ?",
        "Count the lines in <file> without <word>",
        "Excluding lines with <word> , how many lines does <file> have?",
        word=("done", "failed", "retried", "skipped"),
    ),
    ask_of_files(
        "ignoring_case",
        _program,
        "log",
        NUMBER,
        "grep -i 'error' <folder>/*.log | wc -l",
        "grep -i takes upper and lower case alike.",
        'How many lines in the .log files of <folder> contain the word "error", in whatever case?',
        "Count all lines containing 'error' (case-insensitive) in the logs under <folder>",
        "Search the logs in <folder> for error, ignoring case, and give the number of matching lines.",
    ),
    ask_of_files(
        "denied",
        _logins,
        "log",
        NUMBER,
        "grep 'result=denied' <file> | grep -o 'user=[a-z]*' | sort -u | wc -l",
        "From the denied lines I take the user, and sort -u keeps each once.",
        "How many different users were denied in <file> ?",
        "Count the unique users with result=denied in <file>",
        "In <file> some logins have result=denied. From how many distinct users are these?",
        look=HEAD,
    ),
    ask_of_files(
        "slowest",
        _logins,
        "log",
        NUMBER,
        "grep -o 'took=[0-9]*' <file> | cut -d= -f2 | sort -n | tail -n 1",
        "I take the numbers after took=, sort them as numbers, and the last is the largest.",
        "What is the largest value of took in <file> ?",
        "Each line of <file> ends with took=SECONDS. What was the longest time?",
        "Find the maximum of the took= values in <file> . Answer with the number.",
        look=HEAD,
    ),
    ask_of_files(
        "average",
        _logins,
        "log",
        NUMBER,
        "grep -o 'took=[0-9]*' <file> | cut -d= -f2 | awk '{s += $1} END {print int(s / NR)}'",
        "awk adds the numbers up and divides by how many there are; int cuts the fraction off.",
        "What is the average of the took values in <file> , rounded down to an integer?",
        "Compute the mean of the numbers after took= in <file> and cut off the fraction.",
        "How many seconds do logins in <file> take on average (field took=)? Give the integer part.",
        look=HEAD,
    ),
    ask_of_files(
        "matching_files",
        _logins,
        "log",
        NUMBER,
        "grep -l 'user=<user>' <folder>/*.log | wc -l",
        "grep -l prints each file that has a match once.",
        "How many of the .log files in <folder> mention user=<user> ?",
        "Count the files ending in .log in <folder> that contain user=<user>",
        "In how many log files of the directory <folder> does user=<user> occur?",
        user=PEOPLE,
    ),
)
