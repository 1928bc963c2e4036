"""Generated tasks about tables and words: CSV files, lists of numbers, prose."""

from envs.os_interaction.tasks.templates import NOUNS, PEOPLE, SUBJECTS, Draw, ask_of_files

NUMBER, TEXT = "check/integer-match.py", "check/string-match.py"
CITIES = ("Oslo", "Lima", "Rome", "Cairo", "Quito", "Seoul")


def _staff(draw: Draw) -> list[str]:
    """Return a CSV file with a header: name, city, age, salary."""
    return [
        "name,city,age,salary",
        *(
            f"{person},{draw.one(CITIES)},{draw.number(19, 66)},{draw.number(20, 90) * 100}"
            for person in draw.many(PEOPLE, draw.number(8, 16))
        ),
    ]


def _numbers(draw: Draw) -> list[str]:
    return [str(draw.number(-20, 200)) for _ in range(draw.number(10, 25))]


def _prose(draw: Draw) -> list[str]:
    """Return lines of words, some empty, some twice, some commented out."""
    lines = [" ".join(draw.one((*NOUNS, *SUBJECTS)) for _ in range(draw.number(2, 8))) for _ in range(12)]
    lines += [draw.one(lines) for _ in range(3)]
    lines += ["" for _ in range(draw.number(1, 4))] + [
        f"# {draw.one(NOUNS)}" for _ in range(draw.number(1, 4))
    ]
    draw.chance.shuffle(lines)
    return lines


HEAD = "head -n 2 <file>"
TEMPLATES = (
    ask_of_files(
        "rows",
        _staff,
        "csv",
        NUMBER,
        "tail -n +2 <file> | wc -l",
        "The first line is the header, so I count from the second on.",
        "How many rows of data does the CSV file <file> have, not counting the header?",
        "Count the records in <file> (the first line holds the column names).",
        "<file> is a table with a header line. How many entries are in it?",
        look=HEAD,
    ),
    ask_of_files(
        "in_city",
        _staff,
        "csv",
        NUMBER,
        "awk -F, '$2 == \"<city>\"' <file> | wc -l",
        "The city is the second field of the CSV file.",
        "How many people in <file> live in <city> ? The columns are name,city,age,salary.",
        "Count the rows of the CSV file <file> whose second column is <city>",
        "According to <file> , what is the number of persons from <city> ?",
        look=HEAD,
        city=CITIES,
    ),
    ask_of_files(
        "older",
        _staff,
        "csv",
        NUMBER,
        "awk -F, 'NR > 1 && $3 > <bound>' <file> | wc -l",
        "The age is the third field; the header is left out.",
        "How many people in <file> are older than <bound> ?",
        "Count the rows of <file> with an age (third column) above <bound>",
        "In the CSV file <file> the third column is the age. How many are over <bound> ?",
        look=HEAD,
        bound=("25", "30", "40", "50"),
    ),
    ask_of_files(
        "richest",
        _staff,
        "csv",
        TEXT,
        "tail -n +2 <file> | sort -t, -k4,4nr -k1,1 | head -n 1 | cut -d, -f1",
        "Without the header, sorted by the fourth field as a number, the highest comes first; then by name.",
        "Who has the highest salary in <file> ? If several do, the first by name. Answer with the name.",
        "Find the name with the largest value in the salary column of <file> (ties: alphabetically first).",
        "The fourth column of <file> is the salary. Whose is the highest? Of equals the first by name.",
        look=HEAD,
    ),
    ask_of_files(
        "mean_age",
        _staff,
        "csv",
        NUMBER,
        "awk -F, 'NR > 1 {s += $3; n++} END {print int(s / n)}' <file>",
        "awk adds up the third field without the header, divides, and int cuts the fraction off.",
        "What is the average age in <file> , rounded down?",
        "Compute the mean of the age column of <file> and cut off the decimals.",
        "How old are the people in <file> on average? Give the integer part only.",
        look=HEAD,
    ),
    ask_of_files(
        "cities",
        _staff,
        "csv",
        NUMBER,
        "tail -n +2 <file> | cut -d, -f2 | sort -u | wc -l",
        "The city is the second field; the header is left out, and each city is kept once.",
        "How many different cities occur in <file> ?",
        "Count the unique values of the column city in the CSV file <file>",
        "From how many distinct cities are the people listed in <file> ?",
        look=HEAD,
    ),
    ask_of_files(
        "sum",
        _numbers,
        "txt",
        NUMBER,
        "awk '{s += $1} END {print s}' <file>",
        "There is one number a line; awk adds them up.",
        "<file> has one number per line. What is their sum?",
        "Add up all the numbers in <file> and tell me the result.",
        "Calculate the total of the numbers listed in <file>",
    ),
    ask_of_files(
        "maximum",
        _numbers,
        "txt",
        NUMBER,
        "sort -n <file> | tail -n 1",
        "sort -n orders numbers, and the last one is the largest.",
        "What is the largest number in <file> ?",
        "Find the maximum of the numbers in <file> (one a line).",
        "Which number in <file> is the greatest?",
    ),
    ask_of_files(
        "even",
        _numbers,
        "txt",
        NUMBER,
        "awk '$1 % 2 == 0' <file> | wc -l",
        "A number is even where the rest of a division by two is zero.",
        "How many even numbers are in <file> ?",
        "Count the numbers in <file> that can be divided by 2.",
        "<file> has one number a line. How many of them are even?",
    ),
    ask_of_files(
        "negative",
        _numbers,
        "txt",
        NUMBER,
        "awk '$1 < 0' <file> | wc -l",
        "awk compares the first field with zero.",
        "How many numbers in <file> are below zero?",
        "Count the negative numbers of <file>",
        "How many lines of <file> hold a number less than 0?",
    ),
    ask_of_files(
        "empty_lines",
        _prose,
        "txt",
        NUMBER,
        "grep -c '^$' <file>",
        "An empty line has its end right after its start.",
        "How many lines of <file> are empty?",
        "Count the blank lines in <file>",
        "What is the number of empty lines in the text file <file> ?",
    ),
    ask_of_files(
        "full_lines",
        _prose,
        "txt",
        NUMBER,
        "grep -v '^#' <file> | grep -vc '^$'",
        "I leave out the lines that begin with #, and then count those that are not empty.",
        "How many lines of <file> are neither empty nor comments (lines that start with #)?",
        "Count the lines in <file> , ignoring blank lines and lines beginning with '#'.",
        "Leaving out empty lines and those that start with #, how many lines has <file> ?",
    ),
    ask_of_files(
        "duplicates",
        _prose,
        "txt",
        NUMBER,
        "sort <file> | grep -v '^$' | uniq -d | wc -l",
        "Sorted, equal lines stand together, and uniq -d prints each that occurs more than once.",
        "How many different non-empty lines occur more than once in <file> ?",
        "Count the distinct lines of <file> that are repeated, leaving out empty ones.",
        "Which number of distinct, non-empty lines in <file> has duplicates?",
    ),
    ask_of_files(
        "longest",
        _prose,
        "txt",
        NUMBER,
        "awk '{ if (length($0) > n) n = length($0) } END {print n}' <file>",
        "awk keeps the greatest length that it has seen.",
        "How many characters does the longest line of <file> have?",
        "What is the length of the longest line in <file> ?",
        "Find the longest line of <file> and tell me how many characters it has.",
    ),
    ask_of_files(
        "word_times",
        _prose,
        "txt",
        NUMBER,
        "grep -ow '<word>' <file> | wc -l",
        "grep -o prints every occurrence on a line of its own, and -w takes whole words.",
        "How many times does the word <word> occur in <file> ?",
        "Count all occurrences of the word <word> in <file> , not only the lines.",
        "How often does <word> appear in the text <file> ?",
        word=(*NOUNS[:6], *SUBJECTS[:6]),
    ),
    ask_of_files(
        "vocabulary",
        _prose,
        "txt",
        NUMBER,
        "tr -s ' ' '\\n' < <file> | grep -v '^#*$' | sort -u | wc -l",
        "Each word goes on a line of its own, without blanks and signs, and each is kept once.",
        "How many different words does <file> have? A lone # is no word.",
        "Count the distinct words (separated by blanks) of <file> , leaving out #.",
        "Give me the size of the vocabulary of <file> : unique words, without the sign #.",
    ),
    ask_of_files(
        "common",
        _prose,
        "txt",
        NUMBER,
        "comm -12 <(grep -v '^$' <file> | sort -u) <(grep -v '^$' <other> | sort -u) | wc -l",
        "comm -12 prints the lines that two sorted files share.",
        "How many different non-empty lines are in both <file> and <other> ?",
        "Count the lines that the files <file> and <other> have in common, each once and without empty ones.",
        "Compare <file> with <other> : how many distinct non-empty lines occur in each of them?",
    ),
    ask_of_files(
        "all_words",
        _prose,
        "txt",
        NUMBER,
        "cat <folder>/*.txt | wc -w",
        "cat joins the files, so that wc -w gives one number.",
        "How many words do all .txt files in <folder> have together?",
        "Count the total number of words across all text files in the directory <folder>",
        "In <folder> there are several .txt files. What is their combined word count?",
    ),
)
