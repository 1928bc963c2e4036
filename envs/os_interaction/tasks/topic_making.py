"""Generated tasks that make something new: files, folders, and scripts that are graded by running them."""

import shlex
from collections.abc import Mapping

from envs.os_interaction.tasks.forms import change_folder
from envs.os_interaction.tasks.table import Script
from envs.os_interaction.tasks.templates import NOUNS, Draw, Made, Template, script, write


def _bare(draw: Draw) -> tuple[dict[str, str], str]:
    """Draw a folder with nothing in it, and names for what is to come."""
    folder, names = draw.folder(), draw.subjects(4)
    places = {"folder": folder, "one": names[0], "two": names[1], "three": names[2], "noun": draw.one(NOUNS)}
    return places | {"times": str(draw.number(3, 20))}, f"mkdir -p {folder}"


def _program(name: str, runs: Mapping[str, str], body: str, why: str, *wordings: str) -> Template:
    """Return a kind of script to write; it is graded by what it prints.

    Args:
        name: The kind's.
        runs: What it must print, by its arguments; `@` in them is a folder with the file `data`.
        body: The script's text after its first line.
        why: The reason for it.
        wordings: How it is asked.
    """

    def make(draw: Draw) -> Made:
        folder = draw.folder()
        file = f"{folder}/{draw.one(NOUNS)}.sh"
        lines = [
            f"rm -rf {SPARE}; mkdir -p {SPARE}; {write(f'{SPARE}/data', DATA)}",
            f"[ -x {file} ] || exit 1",
        ]
        lines += [
            f'[ "$(timeout 3 {file} {given.replace("@", SPARE)})" = {shlex.quote(printed)} ] || exit 1'
            for given, printed in runs.items()
        ]
        return Made({"file": file}, f"mkdir -p {folder}", check=[Script(script(*lines))])

    solution = f"cat > <file> <<'EOF'\n#!/bin/bash\n{body}\nEOF\nchmod +x <file>"
    return Template(name, wordings, make, solution, why, does=True)


SPARE = "/tmp/.expected"  # noqa: S108
DATA = "4 red\n10 blue\n1 red\n"
TEMPLATES = (
    change_folder(
        "numbered",
        _bare,
        "for i in $(seq 1 <times>); do echo $i > <folder>/<noun>$i.txt; done",
        "seq gives the numbers, and each goes into a file of its own.",
        "Create <times> files in <folder> , <noun>1.txt to <noun><times>.txt , each with its number as "
        "content.",
        "In <folder> , make files named <noun>N.txt for N from 1 to <times> ; file N contains the line N.",
        "Generate <noun>1.txt up to <noun><times>.txt in <folder> where every file holds just its own "
        "number.",
        "Write numbers 1 to <times> into separate files <noun>NUMBER.txt inside <folder>",
    ),
    change_folder(
        "structure",
        _bare,
        "mkdir -p <folder>/<one>/<two> <folder>/<one>/<three>",
        "mkdir -p makes the folders above as well.",
        "Create the directory <one> in <folder> , with the subdirectories <two> and <three> in it.",
        "Set up this structure: <folder>/<one>/<two> and <folder>/<one>/<three> (directories).",
        "Inside <folder> I need a folder <one> that holds two folders, <two> and <three>",
        "Make the nested directories <one>/<two> and <one>/<three> below <folder>",
    ),
    change_folder(
        "sequence",
        _bare,
        "seq 1 <times> > <folder>/<noun>",
        "seq prints one number a line.",
        "Write the numbers from 1 to <times> , one per line, to <folder>/<noun>",
        "Create a file <noun> in <folder> with <times> lines: 1, 2, 3 and so on.",
        "Fill the new file <folder>/<noun> with the integers 1 through <times> , each on its own line.",
        "Generate <folder>/<noun> that counts up from 1 to <times> line by line.",
    ),
    change_folder(
        "system_facts",
        _bare,
        "<program> > <folder>/<noun>",
        "The command's output goes into the file with >.",
        "Save the output of the command <program> in <folder>/<noun>",
        "Run <program> and redirect what it prints to the file <folder>/<noun>",
        "Store what <program> prints in a file <noun> in <folder>",
        "Write a file <folder>/<noun> that contains the standard output of <program>",
        program=("nproc", "uname", "whoami", "arch", "id", "groups"),
    ),
    _program(
        "adds",
        {"3 4": "7", "10 -2": "8"},
        "echo $(($1 + $2))",
        "$1 and $2 are the arguments, and $((...)) adds them.",
        "Write an executable bash script <file> that prints the sum of its two arguments.",
        "Create <file> , a shell script to be run as <file> A B, which prints A plus B. Make it executable.",
        "I need a small calculator: <file> takes two integers and echoes their sum. Set the x bit.",
        "Script <file> (executable): print $1 + $2",
    ),
    _program(
        "multiplies",
        {"3 4": "12", "7 -2": "-14"},
        "echo $(($1 * $2))",
        "$1 and $2 are the arguments, and $((...)) multiplies them.",
        "Write an executable bash script <file> that prints the product of its two arguments.",
        "Create the shell script <file> , executable, which multiplies two given integers and prints the "
        "result.",
        "Make <file> a runnable script: with arguments A and B it prints A times B.",
        "Script <file> (executable): print $1 times $2",
    ),
    _program(
        "greets",
        {"Kim": "Hello, Kim!", "Ada": "Hello, Ada!"},
        'echo "Hello, $1!"',
        "$1 is the first argument; double quotes keep the text together.",
        "Write a bash script <file> that prints Hello, NAME! where NAME is its first argument; make it "
        "executable.",
        "Create an executable <file> : run with the argument Kim it prints Hello, Kim!",
        "Make a runnable greeting script <file> whose output is Hello, followed by a space, its argument "
        "and !",
        "The script <file> shall greet: for argument X it prints the line Hello, X! and it must be "
        "executable.",
    ),
    _program(
        "reverses",
        {"abc": "cba", "linux": "xunil"},
        'echo "$1" | rev',
        "rev turns a line round.",
        "Write an executable bash script <file> that prints its first argument reversed.",
        "Create <file> , a runnable script which prints the text given as argument backwards.",
        "With argument abc, the script <file> must print cba. Write it (for any text) and make it "
        "executable.",
        "Script <file> (executable): reverse the string $1 and print it",
    ),
    _program(
        "shouts",
        {"abc": "ABC", "Linux": "LINUX"},
        'echo "${1^^}"',
        "${1^^} is the first argument in capitals.",
        "Write an executable bash script <file> that prints its first argument in upper case.",
        "Create <file> , a runnable script which converts its argument to capital letters and prints it.",
        "With argument abc, the script <file> must print ABC. Write it and set the x permission.",
        "Script <file> (executable): print $1 in uppercase",
    ),
    _program(
        "counts_arguments",
        {"a b c": "3", "": "0", "x": "1"},
        "echo $#",
        "$# is the number of arguments.",
        "Write an executable bash script <file> that prints how many arguments it was given.",
        "Create <file> , a runnable script which prints the number of its command line arguments.",
        "When I call <file> a b c, it should print 3. Write that script (any number of arguments), "
        "executable.",
        "Script <file> (executable): print the argument count",
    ),
    _program(
        "even_or_odd",
        {"4": "even", "7": "odd", "0": "even"},
        "if (($1 % 2 == 0)); then echo even; else echo odd; fi",
        "$1 % 2 is the remainder by two; it is 0 for even numbers.",
        "Write an executable bash script <file> that prints even or odd for the integer given as its "
        "argument.",
        "Create <file> , a runnable script: it takes a number and prints the word even if it is even, "
        "else odd.",
        "Is a number even or odd? Make <file> an executable script that prints that one word for its "
        "argument.",
        "Script <file> (executable): print even or odd depending on $1",
    ),
    _program(
        "larger",
        {"4 9": "9", "12 3": "12", "5 5": "5"},
        "echo $(($1 > $2 ? $1 : $2))",
        "The condition in $((...)) takes the larger one.",
        "Write an executable bash script <file> that prints the larger of its two integer arguments.",
        "Create <file> , a runnable script which is given two integers and prints the maximum.",
        "With arguments 4 and 9 the script <file> must print 9. Write it for any two integers; make it "
        "executable.",
        "Script <file> (executable): print max of $1 and $2",
    ),
    _program(
        "factorial",
        {"5": "120", "1": "1", "7": "5040"},
        "r=1\nfor ((i = 2; i <= $1; i++)); do r=$((r * i)); done\necho $r",
        "The loop multiplies all numbers up to the argument.",
        "Write an executable bash script <file> that prints the factorial of its argument.",
        "Create <file> , a runnable script which computes N! for the given N and prints it.",
        "With argument 5 the script <file> must print 120, the factorial. Write it and make it executable.",
        "Script <file> (executable): print the factorial of $1",
    ),
    _program(
        "counts_to",
        {"3": "1\n2\n3", "1": "1"},
        'seq 1 "$1"',
        "seq prints the numbers one a line.",
        "Write an executable bash script <file> that prints the numbers from 1 to its argument, one per "
        "line.",
        "Create <file> , a runnable script which counts from 1 up to the number given, a line each.",
        "Called with 3, the script <file> prints 1, 2 and 3 on lines of their own. Write it, executable, "
        "for any N.",
        "Script <file> (executable): list 1..$1 line by line",
    ),
    _program(
        "exists",
        {"@/data": "yes", "@/nothing": "no"},
        'if [ -e "$1" ]; then echo yes; else echo no; fi',
        "[ -e ] is true where the path exists.",
        "Write an executable bash script <file> that prints yes if the path in its argument exists, else no.",
        "Create <file> , a runnable script which prints yes or no: does the file named by the argument "
        "exist?",
        "Make <file> executable: given a path it prints yes where there is something at that path, no "
        "otherwise.",
        "Script <file> (executable): test whether path $1 exists; print yes or no",
    ),
    _program(
        "counts_lines",
        {"@/data": "3", "/dev/null": "0"},
        'wc -l < "$1"',
        "wc -l < file prints the number without the name.",
        "Write an executable bash script <file> that prints the number of lines of the file named by its "
        "argument.",
        "Create <file> , a runnable script: its argument is a path, its output the line count of that "
        "file alone.",
        "I want to call <file> PATH and get just the number of lines of PATH. Write it and chmod +x it.",
        "Script <file> (executable): print only the line count of the file $1",
    ),
    _program(
        "adds_lines",
        {"@/data": "15"},
        "awk '{s += $1} END {print s + 0}' \"$1\"",
        "awk adds up the first field of each line of the file.",
        "Write an executable bash script <file> that adds up the first column of the file named by its "
        "argument.",
        "Create <file> , runnable, which takes a path and prints the sum of the numbers in the first "
        "field of its lines.",
        "The script <file> shall get a data file as argument and print the total of the first column; "
        "executable.",
        "Script <file> (executable): print the sum of column 1 (blank separated) of the file $1",
    ),
    _program(
        "matches",
        {"red @/data": "2", "green @/data": "0"},
        'grep -c "$1" "$2" || true',
        "grep -c prints the number of lines; it fails where it is 0, which must not end in an error.",
        "Write an executable bash script <file> that prints how many lines of its second argument (a file) "
        "contain its first argument.",
        "Create <file> , a runnable script called as <file> TEXT PATH: print the number of lines in PATH "
        "with TEXT.",
        "Make an executable <file> which takes a text and a file and prints the count of matching lines "
        "(0 if none).",
        "Script <file> (executable): count the lines with text $1 in file $2",
    ),
)
