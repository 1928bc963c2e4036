"""MySQL's regular expressions: what is translated means the same, and what is not is refused by MySQL's number."""
# ruff: noqa: E501 - patterns stand one a line

import pytest

from envs.dbbench.engines.port import Table
from envs.dbbench.engines.sqlite_session import Bounds, build, run

BOUNDS = Bounds(5.0, 2**22, 10_000)
DATABASE = build([Table.of("t", ["a"], [["x"]])], BOUNDS)


def shown(expression: str) -> str:
    return run(DATABASE, {"t": ("a",)}, f"SELECT {expression}", BOUNDS).text


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'abc' REGEXP '^[[:alpha:]]+$'", 1),
        ("'ab1' REGEXP '^[[:alpha:]]+$'", 0),
        ("'ünal' REGEXP '^[[:alpha:]]+$'", 1),
        ("'a-1' REGEXP '^[[:alnum:]_-]+$'", 1),
        ("'12' REGEXP '^[[:digit:]]{2}$'", 1),
        ("'a b' REGEXP '[[:space:]]'", 1),
        ("'a,b' REGEXP '[[:punct:]]'", 1),
        ("'fF' REGEXP '^[[:xdigit:]]+$'", 1),
        ("'xyz' REGEXP '[^[:alpha:]]'", 0),
        ("'ABC' REGEXP 'abc'", 1),
        ("'ABC' REGEXP 'abc' COLLATE utf8mb4_bin", 0),
        ("'ABC' COLLATE utf8mb4_bin RLIKE 'abc'", 0),
        ("REGEXP_LIKE('ABC', 'abc', 'c')", 0),
        ("REGEXP_LIKE('ABC', 'abc', 'ci')", 1),
        ("REGEXP_LIKE('a\\nb', 'a.b')", 0),
        ("REGEXP_LIKE('a\\nb', 'a.b', 'n')", 1),
        ("REGEXP_LIKE('a\\nb', '^b', 'm')", 1),
        ("'a.b' REGEXP 'a\\\\.b'", 1),
        ("'axb' REGEXP 'a\\\\.b'", 0),
        ("'a\\tb' REGEXP 'a\\\\tb'", 1),
        ("'foo bar' REGEXP '\\\\bbar\\\\b'", 1),
        ("'abab' REGEXP '^(ab)\\\\1$'", 1),
        ("'a]' REGEXP '[]]'", 1),
        ("'^' REGEXP '[\\\\^]'", 1),
        ("'-' REGEXP '[a-]'", 1),
        ("'b' REGEXP '[a-c]'", 1),
        ("'aaa' REGEXP '^a{2,3}?$'", 1),
        ("NULL REGEXP 'a'", None),
        ("'a' REGEXP NULL", None),
        ("5 REGEXP '5'", 1),
        ("'a' NOT REGEXP 'b'", 1),
        ("REGEXP_INSTR('xabc', 'B')", 3),
        ("REGEXP_INSTR('abab', 'b', 3)", 4),
        ("REGEXP_INSTR('abab', 'b', 1, 2)", 4),
        ("REGEXP_SUBSTR('abc def', '[a-z]+', 1, 2)", "def"),
        ("REGEXP_SUBSTR('abc', 'z')", None),
        ("REGEXP_REPLACE('abc', '(b)', '[$1]')", "a[b]c"),
        ("REGEXP_REPLACE('abcB', 'b', 'x')", "axcx"),
    ],
)
def test_what_is_translated(expression: str, value: object) -> None:
    assert shown(expression) == f"[({value!r},)]"


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("'a' REGEXP BINARY 'A'", 3995),
        ("BINARY 'a' REGEXP 'A'", 3995),
        ("'a' REGEXP CAST('A' AS BINARY)", 3995),
        ("'a' REGEXP ''", 3685),
        ("'a' REGEXP '[[:<:]]a'", 3685),
        ("'a' REGEXP '[[:nothing:]]'", 3685),
        ("'a' REGEXP '*a'", 3688),
        ("'a' REGEXP 'a\\\\'", 3689),
        ("'a' REGEXP '\\\\y'", 3689),
        ("'a' REGEXP '(?<=x)a'", 3690),
        ("'a' REGEXP '(?i)a'", 3690),
        ("'a' REGEXP '[a&&b]'", 3690),
        ("'a' REGEXP '[[:^alpha:]]'", 3690),
        ("'a' REGEXP '('", 3691),
        ("'a' REGEXP 'a)'", 3691),
        ("'a' REGEXP 'a{x}'", 3692),
        ("'a' REGEXP 'a{3,2}'", 3693),
        ("'a' REGEXP '(a)\\\\2'", 3694),
        ("'a' REGEXP '[a'", 3696),
        ("'a' REGEXP '[b-a]'", 3697),
        ("REGEXP_LIKE('a', 'a', 'x')", 1210),
        ("REGEXP_SUBSTR('a', 'a', 9)", 3686),
    ],
)
def test_what_is_refused(expression: str, code: int) -> None:
    assert shown(expression).startswith(f"Error {code}: "), shown(expression)
