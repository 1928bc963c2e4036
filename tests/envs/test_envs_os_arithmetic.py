"""Which arguments of a check in bash must be whole numbers or single words."""

import pytest

from envs.os_interaction.arithmetic import ALL, find_unsafe_word, find_uses
from envs.os_interaction.tasks.table import Script

COMPUTED: list[tuple[str, set[int]]] = [
    ("[[ $1 -eq 5 ]]", {1}),
    ("[[ 5 -lt ${1} && -f /x ]]", {1}),
    ('[ "$1" -eq 5 ]', set()),
    ("(( $1 == 5 ))", {1}),
    ('[[ "$1" == 5 ]]', set()),
    ('n=$(echo "$1" | tr -d " "); [[ $n -eq $2 ]]', {1, 2}),
    ("a=$1\nb=${a%.}\nif [[ b -ne 3 ]]; then exit 1; fi", {1}),
    ("n=$(wc -l /f | awk '{print $1}'); [[ $n -eq 5 ]]", set()),
    ('x=3; [ "$1" = y ]; [[ $x -eq 3 ]]', set()),
    ('size() { [[ $(stat -c %s "$1") -eq $2 ]]; }; size /srv/f 10', set()),
    ('same() { (( $1 == 3 )); }\nsame "$1"', {1}),
    ('outer() { inner "$1"; }\ninner() { let "x = $1"; }\nouter "$2"', {2}),
    ('read n <<< "$1"; [[ n -eq 3 ]]', {1}),
    ('echo "$1" | while read n; do (( n > 3 )); done', {1}),
    ("x=$(( $1 + 1 )); [ $x = 3 ]", {1}),
    ("let x=$1", {1}),
    ("declare -i n; n=$1", {1}),
    ("a[$1]=3", {1}),
    ('echo "${x:$1}"', {1}),
    ('for a in "$@"; do [[ $a -gt 1 ]]; done', {ALL}),
    ('[ -f "$1" ] && [[ $(ls | wc -l) -eq 5 ]]', set()),
    ("# don't\n[[ $1 -eq 5 ]]", {1}),
    ("echo '[[ $1 -eq 5 ]]'", set()),
    ("[[ -v $1 ]] && [ -v $1 ]", {1}),
    ("\n".join(f"f{n}() {{ true; }}" for n in range(60)), {ALL}),
]


@pytest.mark.parametrize(("code", "positions"), COMPUTED)
def test_arguments_that_are_computed_with(code: str, positions: set[int]) -> None:
    assert set(find_uses(code).computed) == positions


@pytest.mark.parametrize(
    ("code", "positions"),
    [
        ("[ $1 = x ]", {1}),
        ('[ "$1" = x ]', set()),
        ('[ "$1" = $2 ]', {2}),
        ("if ! test $1 -eq 5; then exit 1; fi", {1}),
        ("y=$1; [ ! $y = n ]", {1}),
        ("[[ $1 == x ]]", set()),
    ],
)
def test_arguments_that_are_tested_without_quotes(code: str, positions: set[int]) -> None:
    assert set(find_uses(code).split) == positions


def test_words_that_are_not_safe() -> None:
    script = Script("[[ $1 -eq $2 ]]")
    for word in ("x[$(id)]", "x", "", "1 + 1", "`id`", "5.0", "RANDOM", "0x5", "$2"):
        assert find_unsafe_word(script, [word, "5\n"]), word
    assert find_unsafe_word(script, ["5", "a[$(cat /srv/f)]\n"])
    assert find_unsafe_word(script, [" 5 ", "-5\n"]) is None
    assert find_unsafe_word(Script("print(5)", "python"), ["x"]) is None
    assert find_unsafe_word(Script("[ $1 = x ]"), ["x -o x"])
    assert find_unsafe_word(Script("[ $1 = x ]"), ["x"]) is None
