"""AgentBench's verdicts on an answer: `match`, and the checks that its data names by file.

Source: AgentBench, `src/server/tasks/os_interaction/task.py` and `data/os_interaction/scripts/*/check/*.py`.
The README lists what differs.
"""

import re
from collections.abc import Callable, Mapping

SUCCESS = 1.0
LONGEST_PATTERN = 2000
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_SIZE = re.compile(r"(?P<number>[0-9]{1,30}(?:\.[0-9]{1,10})?)\s*(?P<unit>[a-z]*)", re.IGNORECASE)
_UNITS = {"": 0, "b": 0, "byte": 0, "bytes": 0} | {
    form: power
    for power, letter in enumerate("kmgtp", start=1)
    for form in (letter, f"{letter}b", f"{letter}ib")
}


def matches(answer: str | None, expected: str | None, pattern: str | None, strip: bool) -> bool:
    """Whether an answer is the expected one, or one in which a pattern is found; `finish` is neither.

    Args:
        answer: The agent's answer; None for `finish`.
        expected: The answer, if it is known.
        pattern: Else a regular expression.
        strip: Whether blanks around the answer do not count.
    """
    if answer is None:
        return False
    answer = answer.strip() if strip else answer
    if expected is not None:
        return answer == (expected.strip() if strip else expected)
    return pattern is not None and re.search(pattern, answer) is not None


def integer_match(answer: str, expected: str) -> bool:
    """Two integers."""
    one, other = answer.strip(), expected.strip()
    return bool(_INTEGER.fullmatch(one) and _INTEGER.fullmatch(other)) and int(one) == int(other)


def string_match(answer: str, expected: str) -> bool:
    """Two texts, without blanks around them and whatever ends their lines."""
    return _lines(answer) == _lines(expected)


def containing(answer: str, expected: str) -> bool:
    """The answer contains what is expected."""
    return bool(_lines(expected)) and _lines(expected) in _lines(answer)


def inside(answer: str, expected: str) -> bool:
    """What is expected contains the answer."""
    return bool(_lines(answer)) and _lines(answer) in _lines(expected)


def size_match(answer: str, expected: str) -> bool:
    """Two sizes with units, 1024 of one in the next."""
    sizes = [_size(answer), _size(expected)]
    return sizes[0] is not None and sizes[0] == sizes[1]


CHECKS: Mapping[str, Callable[[str, str], bool]] = {
    "check/integer-match.py": integer_match,
    "check/string-match.py": string_match,
    "check/containing.py": containing,
    "check/in.py": inside,
    "check/size-match.py": size_match,
}
"""By the names of AgentBench's files."""


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _size(text: str) -> float | None:
    """Bytes; None where it is no size."""
    found = _SIZE.fullmatch(text.strip())
    power = _UNITS.get(found["unit"].lower()) if found else None
    return None if found is None or power is None else float(found["number"]) * 1024**power
