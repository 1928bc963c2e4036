"""Generated tasks that need no files: arithmetic, bases, dates, and what can be done to a text."""

from collections.abc import Mapping
from datetime import date, timedelta

from envs.os_interaction.tasks.forms import NUMBER, TEXT, compute
from envs.os_interaction.tasks.templates import Draw


def _one(draw: Draw) -> Mapping[str, str]:
    return {"bound": str(draw.number(20, 900))}


def _small(draw: Draw) -> Mapping[str, str]:
    return {"bound": str(draw.number(30, 300)), "least": str(draw.number(3, 19))}


def _large(draw: Draw) -> Mapping[str, str]:
    return {"bound": str(draw.number(1000, 99999))}


def _pair(draw: Draw) -> Mapping[str, str]:
    factor = draw.number(2, 30)
    return {"bound": str(factor * draw.number(5, 40)), "least": str(factor * draw.number(2, 30))}


def _power(draw: Draw) -> Mapping[str, str]:
    return {"bound": str(draw.number(2, 40)), "least": str(draw.number(3, 11))}


def _hex(draw: Draw) -> Mapping[str, str]:
    return {"bound": f"{draw.number(256, 65535):x}"}


def _bits(draw: Draw) -> Mapping[str, str]:
    return {"bound": f"{draw.number(32, 2000):b}"}


def _day(draw: Draw) -> Mapping[str, str]:
    first = date(2021, 1, 1) + timedelta(days=draw.number(0, 1800))
    last = first + timedelta(days=draw.number(5, 700))
    return {"bound": first.isoformat(), "until": last.isoformat(), "least": str(draw.number(5, 200))}


def _text(draw: Draw) -> Mapping[str, str]:
    words = draw.subjects(draw.number(2, 4))
    made = draw.one(("-", "_", ".")).join(word if draw.number(0, 2) else word.capitalize() for word in words)
    return {"text": made, "letter": draw.one("aeioulnr")}


TEMPLATES = (
    compute(
        "sum_to",
        _one,
        NUMBER,
        "echo $((<bound> * (<bound> + 1) / 2))",
        "The sum of 1 to n is n(n+1)/2.",
        "What is the sum of all integers from 1 to <bound> ? Use the shell.",
        "Add up the numbers 1, 2, 3, ... up to <bound> and answer with the total.",
        "Compute 1 + 2 + ... + <bound> in bash.",
        "Sum of the first <bound> positive integers?",
    ),
    compute(
        "multiples",
        _small,
        NUMBER,
        "s=0; for ((i = <least>; i <= <bound>; i += <least>)); do s=$((s + i)); done; echo $s",
        "The loop goes through the multiples and adds them up.",
        "What is the sum of all multiples of <least> from 1 to <bound> ?",
        "Add up the positive numbers up to <bound> (inclusive) that are divisible by <least>",
        "With a shell loop, sum each number between 1 and <bound> that <least> divides.",
        "Sum of the multiples of <least> not above <bound> ?",
    ),
    compute(
        "divisible",
        _small,
        NUMBER,
        "seq 1 <bound> | awk '$1 % <least> == 0' | wc -l",
        "seq prints the numbers, and awk keeps those without a remainder.",
        "How many integers from 1 to <bound> are divisible by <least> ?",
        "Count the numbers between 1 and <bound> that are multiples of <least>",
        "Of 1 to <bound> , how many numbers leave no remainder when divided by <least> ?",
        "Number of multiples of <least> in the range 1..<bound> ?",
    ),
    compute(
        "primes",
        _one,
        NUMBER,
        "seq 2 <bound> | factor | awk 'NF == 2' | wc -l",
        "factor prints a number and its prime factors; a prime has one only.",
        "How many prime numbers are there up to <bound> ?",
        "Count the primes not larger than <bound>",
        "Find the number of primes between 1 and <bound> with a shell command.",
        "Number of prime numbers <= <bound> ?",
    ),
    compute(
        "largest_factor",
        _large,
        NUMBER,
        "factor <bound> | awk '{print $NF}'",
        "factor prints the prime factors in order, so the last is the largest.",
        "What is the largest prime factor of <bound> ?",
        "Factorise <bound> and answer with its greatest prime factor.",
        "Which is the biggest prime that divides <bound> ?",
        "Largest prime divisor of the number <bound> ?",
    ),
    compute(
        "common_divisor",
        _pair,
        NUMBER,
        "a=<bound>; b=<least>; while [ $b -ne 0 ]; do t=$((a % b)); a=$b; b=$t; done; echo $a",
        "Euclid: the pair becomes the smaller number and the remainder until that is 0.",
        "What is the greatest common divisor of <bound> and <least> ?",
        "Compute gcd( <bound> , <least> ) in bash.",
        "Find the largest integer that divides both <bound> and <least>",
        "GCD of the numbers <bound> and <least> ?",
    ),
    compute(
        "power",
        _power,
        NUMBER,
        "echo $((<bound> ** <least>))",
        "** is the power in bash arithmetic.",
        "What is <bound> to the power of <least> ?",
        "Compute <bound> raised to <least> with shell arithmetic.",
        "Calculate <bound> ** <least> in bash and give the result.",
        "The value of <bound> ^ <least> (power)?",
    ),
    compute(
        "digits",
        _large,
        NUMBER,
        "echo <bound> | grep -o . | paste -sd+ | awk -F+ '{for (i = 1; i <= NF; i++) s += $i} END {print s}'",
        "grep -o . puts each digit on its own line; joined, awk adds them up.",
        "What is the sum of the digits of <bound> ?",
        "Add up the decimal digits of the number <bound>",
        "Compute the digit sum (cross sum) of <bound>",
        "Digit sum of <bound> , please?",
    ),
    compute(
        "to_hex",
        _large,
        TEXT,
        "printf '%x\\n' <bound>",
        "%x of printf writes a number in base 16.",
        "What is the decimal number <bound> in hexadecimal? Lower case, without 0x.",
        "Convert <bound> to hex (small letters, no prefix).",
        "Write the number <bound> in base 16, in lower case and without any prefix.",
        "Hexadecimal form of decimal <bound> , plain lower-case digits?",
    ),
    compute(
        "from_hex",
        _hex,
        NUMBER,
        "echo $((16#<bound>))",
        "16#... reads a number in base 16.",
        "What is the hexadecimal number <bound> in decimal?",
        "Convert hex <bound> to a decimal number.",
        "A memory dump shows the value 0x<bound> ; which decimal number is that?",
        "Decimal value of hexadecimal <bound> ?",
    ),
    compute(
        "from_binary",
        _bits,
        NUMBER,
        "echo $((2#<bound>))",
        "2#... reads a number in base 2.",
        "What is the binary number <bound> in decimal?",
        "Convert binary <bound> to a decimal number.",
        "The bits <bound> are set in a register. Which decimal number is that?",
        "Decimal value of the base-2 number <bound> ?",
    ),
    compute(
        "to_binary",
        _large,
        TEXT,
        "n=<bound>; r=; while [ $n -gt 0 ]; do r=$((n % 2))$r; n=$((n / 2)); done; echo $r",
        "The remainders by two, from the last to the first, are the bits.",
        "What is the decimal number <bound> in binary, without leading zeros?",
        "Convert <bound> to base 2 (no prefix, no leading zeros).",
        "Write the number <bound> as a binary number.",
        "Binary digits of decimal <bound> ?",
    ),
    compute(
        "to_octal",
        _large,
        TEXT,
        "printf '%o\\n' <bound>",
        "%o of printf writes a number in base 8.",
        "What is the decimal number <bound> in octal, without a leading 0?",
        "Convert <bound> to base 8 (plain digits).",
        "Write the decimal <bound> as an octal number, no prefix.",
        "Octal form of decimal <bound> ?",
    ),
    compute(
        "later",
        _day,
        TEXT,
        "date -d '<bound> + <least> days' +%F",
        "date -d computes with dates, and %F is the form YYYY-MM-DD.",
        "Which date is <least> days after <bound> ? Answer as YYYY-MM-DD.",
        "A contract starts on <bound> and lasts <least> days more. On which date (YYYY-MM-DD) does it end?",
        "Add <least> days to the date <bound> and give the result as YYYY-MM-DD.",
        "Date <bound> plus <least> days, in the form YYYY-MM-DD?",
    ),
    compute(
        "days_between",
        _day,
        NUMBER,
        "echo $((($(date -ud <until> +%s) - $(date -ud <bound> +%s)) / 86400))",
        "%s is the time in seconds; the difference by 86400 is in days, and -u has no summer time.",
        "How many days are there from <bound> to <until> ?",
        "Compute the number of days between the dates <bound> and <until>",
        "The project began on <bound> and ended on <until> . How many days after its beginning was that?",
        "Days from the date <bound> until the date <until> ?",
    ),
    compute(
        "weekday",
        _day,
        TEXT,
        "LC_ALL=C date -d <bound> +%A",
        "%A is the name of the day.",
        "On which day of the week was or is <bound> ? English name in full.",
        "What weekday is the date <bound> ? Answer like Monday.",
        "Find the English name of the weekday of <bound> with the date command.",
        "Day of the week of <bound> (such as Tuesday)?",
    ),
    compute(
        "day_of_year",
        _day,
        NUMBER,
        "date -d <bound> +%-j",
        "%j is the day of the year; - leaves out leading zeros.",
        "Which day of the year (1 to 366) is <bound> ?",
        "Counting January 1 as 1, what is the number of the day <bound> within its year?",
        "Give the ordinal day within the year of the date <bound> , without leading zeros.",
        "Day-of-year number of <bound> ?",
    ),
    compute(
        "reversed",
        _text,
        TEXT,
        "echo '<text>' | rev",
        "rev turns a line round.",
        "What is the text <text> reversed?",
        "Write <text> backwards, letter by letter.",
        "Use the shell to reverse the string <text>",
        "Reverse of the string <text> ?",
    ),
    compute(
        "length",
        _text,
        NUMBER,
        "t='<text>'; echo ${#t}",
        "${#t} is the number of characters.",
        "How many characters does the text <text> have?",
        "What is the length of the string <text> ?",
        "Count the characters of <text> (just this string, no line end).",
        "String length of <text> ?",
    ),
    compute(
        "letter_times",
        _text,
        NUMBER,
        "echo '<text>' | grep -o '<letter>' | wc -l",
        "grep -o prints each occurrence on its own line.",
        "How many times does the letter <letter> (lower case) occur in the text <text> ?",
        "Count the letter <letter> in the string <text> , lower case only.",
        "How often is there a small <letter> in the string <text> ?",
        "Occurrences of lower-case <letter> in <text> ?",
    ),
    compute(
        "shouted",
        _text,
        TEXT,
        "echo '<text>' | tr a-z A-Z",
        "tr exchanges each small letter for its capital.",
        "What is the text <text> in capital letters?",
        "Convert the string <text> to upper case.",
        "Print <text> with all letters in capitals and answer with that.",
        "Upper-case form of <text> ?",
    ),
    compute(
        "md5",
        _text,
        TEXT,
        "printf %s '<text>' | md5sum | cut -c1-8",
        "printf %s adds no line end; cut takes the first eight characters of the sum.",
        "What are the first 8 characters of the MD5 sum of the text <text> (no newline at its end)?",
        "Compute the md5 of the string <text> , without a trailing newline, and give its first eight hex "
        "digits.",
        "Hash <text> with MD5 (just these characters, no line end). Answer with hex digits 1 to 8.",
        "First 8 hex digits of md5( <text> ) without a newline?",
    ),
    compute(
        "base64",
        _text,
        TEXT,
        "printf %s '<text>' | base64",
        "printf %s adds no line end, which would be encoded too.",
        "What is the text <text> in base64 (no newline at its end)?",
        "Encode the string <text> , without a trailing newline, as base64.",
        "I need <text> base64-encoded; do not include a line end in the input.",
        "Base64 of the string <text> , newline excluded?",
    ),
    compute(
        "swapped",
        _text,
        TEXT,
        "echo '<text>' | sed 's/<letter>/*/g'",
        "sed's g replaces each occurrence.",
        "What is the text <text> with each lower-case <letter> replaced by * ?",
        "Replace all <letter> by * in the string <text> and answer with the result.",
        "Mask the text <text> : every small <letter> becomes *",
        "Result of changing each <letter> to * in <text> ?",
    ),
)
