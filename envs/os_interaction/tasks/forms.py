"""Forms that many kinds of generated tasks share: questions about a folder, changes in it, computations.

A change is graded by what it leaves: the check makes the folder once more elsewhere, runs the solution there,
and compares the two folders. So any way that ends in the same files is right.
"""

from collections.abc import Callable, Mapping

from envs.os_interaction.tasks.table import Example, Named, Script
from envs.os_interaction.tasks.templates import Draw, Made, Template, filled, script

NUMBER, TEXT = "check/integer-match.py", "check/string-match.py"
COPY = "/tmp/.expected/copy"  # noqa: S108
"""Where a check makes a folder once more."""
DESCRIBE = r"""describe() {
cd "$1" || exit 1
find . -mindepth 1 -printf "%P %y@MODE@\n" | LC_ALL=C sort
find . -type l -printf "%P %l\n" | LC_ALL=C sort
find . -type f | LC_ALL=C sort | while read -r one; do
echo "file $one"
case $one in
*.tar.gz) tar -tzf "$one" | sed 's#^\./##; s#/$##; /^$/d' | LC_ALL=C sort ;;
*.gz) zcat "$one" ;;
*) sed -e '$a\' "$one" ;;
esac
done
}"""
"""A function of bash that prints what a folder holds: names, types, link targets, contents, packed names."""
Tree = Callable[[Draw], tuple[Mapping[str, str], str]]
"""Draws the places of a wording, `folder` among them, and the script that makes the folder."""


def ask_in_folder(
    name: str,
    tree: Tree,
    check: str,
    solution: str,
    why: str,
    *wordings: str,
    look: str = "",
    **choices: tuple[str, ...],
) -> Template:
    """Return a kind of question about a folder; what the solution prints is the answer.

    Args:
        name: The kind's.
        tree: Makes the folder.
        check: The benchmark's check that compares the answers.
        solution: A script with the tree's places and those of `choices`.
        why: The reason for it.
        wordings: How it is asked.
        look: A script for a first step.
        choices: What other places are drawn from.
    """

    def make(draw: Draw) -> Made:
        places, init = tree(draw)
        drawn = {place: draw.one(values) for place, values in choices.items()}
        return Made({**places, **drawn}, init, check=[Example(), Named(check)])

    return Template(name, wordings, make, solution, why, look)


def change_folder(
    name: str,
    tree: Tree,
    solution: str,
    why: str,
    *wordings: str,
    look: str = "",
    modes: bool = False,
    **choices: tuple[str, ...],
) -> Template:
    """Return a kind of change in a folder; what the solution leaves is what is expected.

    Args:
        name: The kind's.
        tree: Makes the folder.
        solution: A script with the tree's places and those of `choices`; it writes in the folder only.
        why: The reason for it.
        wordings: How it is asked.
        look: A script for a first step.
        modes: Whether the permissions must be equal too.
        choices: What other places are drawn from.
    """

    def make(draw: Draw) -> Made:
        places, init = tree(draw)
        places = {**places, **{place: draw.one(values) for place, values in choices.items()}}
        return Made(places, init, check=[_compare(places["folder"], init, filled(solution, places), modes)])

    return Template(name, wordings, make, solution, why, look, does=True)


def compute(
    name: str, drawn: Callable[[Draw], Mapping[str, str]], check: str, solution: str, why: str, *wordings: str
) -> Template:
    """Return a kind of question that needs no files; what the solution prints is the answer.

    Args:
        name: The kind's.
        drawn: Draws the places.
        check: The benchmark's check that compares the answers.
        solution: A script with the places.
        why: The reason for it.
        wordings: How it is asked.
    """

    def make(draw: Draw) -> Made:
        return Made(drawn(draw), "", check=[Example(), Named(check)])

    return Template(name, wordings, make, solution, why)


def _compare(folder: str, init: str, solution: str, modes: bool) -> Script:
    """Return a check that a folder is as the solution leaves it."""
    expected = script(init, solution).replace(folder, COPY)
    return Script(
        script(
            f"rm -rf {COPY}; mkdir -p {COPY}",
            f"( {expected}\n) > /dev/null 2>&1",
            DESCRIBE.replace("@MODE@", " %m" if modes else ""),
            f"wanted=$(describe {COPY} | sed 's#{COPY}#{folder}#g')",
            f"found=$(describe {folder})",
            '[ -n "$wanted" ] && [ "$found" = "$wanted" ]',
        )
    )
