"""Generated tasks about texts: words, letters, patterns, lines that match or come again."""

from envs.os_interaction.tasks.forms import NUMBER, TEXT
from envs.os_interaction.tasks.templates import NOUNS, PEOPLE, SUBJECTS, Draw, ask_of_files

WORDS = (*NOUNS[:8], *SUBJECTS[:6])
"""Few, so that they come again."""


def _prose(draw: Draw) -> list[str]:
    """Return lines of words with capitals, some lines twice."""
    lines = [
        " ".join(
            draw.one((word, word, word.capitalize(), word.upper(), f"{word}s"))
            for word in draw.many(WORDS, 6)
        )
        for _ in range(draw.number(8, 16))
    ]
    lines = [line[: draw.number(20, len(line))].strip() for line in lines]
    lines += [draw.one(lines) for _ in range(draw.number(2, 4))]
    draw.chance.shuffle(lines)
    return lines


def _marked(draw: Draw) -> list[str]:
    """Return lines of which some stand between two markers."""
    lines = _prose(draw)
    start = draw.number(1, 4)
    end = draw.number(start + 2, len(lines) - 1)
    return [*lines[:start], "BEGIN", *lines[start:end], "END", *lines[end:]]


def _contacts(draw: Draw) -> list[str]:
    """Return lines with mail addresses, IP addresses and dates, some twice."""
    made: list[str] = []
    for _ in range(draw.number(10, 20)):
        parts = [draw.one(NOUNS), draw.one(WORDS)]
        mail = f"{draw.one(PEOPLE[:9])}@{draw.one(('mail.example', 'corp.example', 'uni.example'))}"
        parts += [mail] if draw.number(0, 1) else []
        parts += [f"10.0.{draw.number(0, 2)}.{draw.number(1, 20)}"] if draw.number(0, 1) else []
        parts += [f"2024-{draw.number(1, 12):02}-{draw.number(1, 28):02}"] if draw.number(0, 2) else []
        draw.chance.shuffle(parts)
        made.append(" ".join(parts))
    return [*made, "ask vera@mail.example from 10.0.1.7 on 2024-05-17"]


HEAD = "head -n 5 <file>"
TEMPLATES = (
    ask_of_files(
        "longest_line",
        _prose,
        "txt",
        NUMBER,
        "awk '{print length($0)}' <file> | sort -n | tail -n 1",
        "length($0) is the number of characters of a line; sorted as numbers, the largest is last.",
        "How many characters has the longest line of <file> ?",
        "What is the length of the longest line in <file> (without the line end)?",
        "Our form allows lines up to a width. How wide is the widest line in <file> ?",
        "Maximum line length in <file> ?",
    ),
    ask_of_files(
        "marked",
        _marked,
        "txt",
        NUMBER,
        "sed -n '/^BEGIN$/,/^END$/p' <file> | sed '1d;$d' | wc -l",
        "The first sed takes the lines from BEGIN to END, the second drops these two.",
        "How many lines stand between the line BEGIN and the line END in <file> , without these two?",
        "Count the lines of <file> after BEGIN and before END (markers excluded).",
        "In <file> a section is enclosed by the lines BEGIN and END. How many lines does it hold?",
        "Lines strictly between BEGIN and END in <file> ?",
        look="grep -n -e BEGIN -e END <file>",
    ),
    ask_of_files(
        "any_case",
        _prose,
        "txt",
        NUMBER,
        "grep -i '<word>' <file> | wc -l",
        "grep -i takes capitals and small letters alike.",
        "How many lines of <file> contain <word> , ignoring case?",
        "Count the lines with <word> in <file> ; capitals do not matter.",
        "Case-insensitively, how many lines in <file> mention <word> ?",
        "Number of lines in <file> with <word> in any mix of upper and lower case?",
        word=WORDS,
    ),
    ask_of_files(
        "whole_word",
        _prose,
        "txt",
        NUMBER,
        "grep -w '<word>' <file> | wc -l",
        "grep -w takes whole words only.",
        "How many lines of <file> have <word> as a whole word? Mind the case.",
        "Count lines in <file> in which <word> stands as a word of its own (case-sensitive, not inside "
        "longer words).",
        "Number of lines in <file> with exactly the word <word> , so not <word>s?",
        "Lines of <file> that match the complete word <word> : how many?",
        word=WORDS,
    ),
    ask_of_files(
        "either",
        _prose,
        "txt",
        NUMBER,
        "grep -E '<word>|<second>' <file> | wc -l",
        "grep -E reads | as or.",
        "How many lines of <file> contain <word> or <second> (or both)?",
        "Count the lines in <file> that have at least one of the texts <word> and <second>",
        "Either <word> or <second> : in how many lines of <file> do they occur?",
        "Number of lines in <file> matching <word> or else <second> ?",
        word=WORDS[:7],
        second=WORDS[7:],
    ),
    ask_of_files(
        "both",
        _prose,
        "txt",
        NUMBER,
        "grep '<word>' <file> | grep '<second>' | wc -l",
        "The second grep filters what the first one lets through.",
        "How many lines of <file> contain both <word> and <second> ?",
        "Count the lines in <file> with <word> and <second> together on the line.",
        "In how many lines of <file> do <word> and <second> appear at the same time?",
        "Number of lines in <file> that have <word> as well as <second> ?",
        word=WORDS[:7],
        second=WORDS[7:],
    ),
    ask_of_files(
        "but_not",
        _prose,
        "txt",
        NUMBER,
        "grep '<word>' <file> | grep -v '<second>' | wc -l",
        "grep -v drops the lines that have the second text.",
        "How many lines of <file> contain <word> but not <second> ?",
        "Count the lines in <file> that have <word> and lack <second>",
        "Lines of <file> with <word> , leaving out those with <second> : how many?",
        "Number of lines in <file> matching <word> except where <second> is there too?",
        word=WORDS[:7],
        second=WORDS[7:],
    ),
    ask_of_files(
        "without",
        _prose,
        "txt",
        NUMBER,
        "grep -v '<word>' <file> | wc -l",
        "grep -v takes the lines that do not match.",
        "How many lines of <file> do not contain <word> ?",
        "Count the lines in <file> that lack the text <word>",
        "Number of lines in <file> where <word> is absent?",
        "Leaving out all lines with <word> , how many lines does <file> have?",
        word=WORDS,
    ),
    ask_of_files(
        "begins",
        _prose,
        "txt",
        NUMBER,
        "grep '^[<letter>]' <file> | wc -l",
        "^ is the start of a line.",
        "How many lines of <file> begin with the letter <letter> (lower case)?",
        "Count the lines in <file> whose first character is a small <letter>",
        "Number of lines in <file> that start with <letter> ?",
        "Lines in <file> starting with lower-case <letter> : what is the count?",
        letter=tuple("abdilnpr"),
    ),
    ask_of_files(
        "finishes",
        _prose,
        "txt",
        NUMBER,
        "grep '[<letter>]$' <file> | wc -l",
        "$ is the end of a line.",
        "How many lines of <file> end with the letter <letter> (lower case)?",
        "Count the lines in <file> whose last character is a small <letter>",
        "Number of lines in <file> that finish with <letter> ?",
        "Lines in <file> ending in lower-case <letter> : what is the count?",
        letter=tuple("adeklnrst"),
    ),
    ask_of_files(
        "mails",
        _contacts,
        "txt",
        NUMBER,
        "grep -oE '[[:alnum:]._-]+@[[:alnum:].-]+' <file> | sort -u | wc -l",
        "grep -o prints each address by itself; sort -u keeps each once.",
        "How many different e-mail addresses occur in <file> ?",
        "Extract the mail addresses from <file> and count the distinct ones.",
        "We want to write to everybody named in <file> . How many unique email addresses does it have?",
        "Number of distinct e-mail addresses in <file> , please.",
        look=HEAD,
    ),
    ask_of_files(
        "addresses",
        _contacts,
        "txt",
        NUMBER,
        "grep -oE '[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+' <file> | sort -u | wc -l",
        "grep -o prints each IP address by itself; sort -u keeps each once.",
        "How many different IPv4 addresses are mentioned in <file> ?",
        "IP addresses can stand anywhere in the lines of <file> . Count the distinct ones.",
        "Find all IPv4 addresses in the notes <file> . How many unique ones are there?",
        "Number of distinct IPs anywhere in the text <file> ?",
        look=HEAD,
    ),
    ask_of_files(
        "latest_date",
        _contacts,
        "txt",
        TEXT,
        "grep -oE '[0-9]{4}-[0-9]{2}-[0-9]{2}' <file> | sort | tail -n 1",
        "grep -o prints each date by itself; in this form the latest sorts last.",
        "What is the latest date (YYYY-MM-DD) in <file> ?",
        "Dates are scattered over <file> . Which is the most recent one? Keep its form.",
        "Find the last date, in time, that <file> mentions, such as 2024-05-17",
        "Latest YYYY-MM-DD date anywhere in <file> ?",
        look=HEAD,
    ),
    ask_of_files(
        "of_domain",
        _contacts,
        "txt",
        NUMBER,
        "grep -o '@<domain>' <file> | wc -l",
        "grep -o prints each occurrence on a line of its own, and wc counts them.",
        "How many times does an address at <domain> appear in <file> ?",
        "Count the occurrences of mail addresses that end in @<domain> in <file>",
        "Addresses of <domain> in <file> , repeated ones counted each time: how many?",
        "Number of occurrences of @<domain> in <file> ?",
        domain=("mail.example", "corp.example", "uni.example"),
    ),
    ask_of_files(
        "only_once",
        _prose,
        "txt",
        NUMBER,
        "sort <file> | uniq -u | wc -l",
        "uniq -u keeps lines that come exactly once; it needs sorted lines.",
        "How many lines of <file> occur exactly once?",
        "Count the lines in <file> that have no duplicate.",
        "Number of lines in <file> that are not repeated anywhere in it?",
        "Lines which appear one time only in <file> : how many are there?",
    ),
    ask_of_files(
        "top_word",
        _prose,
        "txt",
        TEXT,
        "tr -s ' ' '\\n' < <file> | tr A-Z a-z | sort | uniq -c | sort -k1,1nr -k2 | head -n 1 | awk "
        "'{print $2}'",
        "One word a line in small letters; uniq -c counts each, and the highest count comes first.",
        "Which word is the most frequent in <file> , ignoring case? Lower case; ties: the first in "
        "sorted order.",
        "Find the most common word of <file> regardless of capitals (of equals the first by sorting), in "
        "lower case.",
        "Word statistics of <file> : which word, lower-cased, comes most often? If tied, the first "
        "alphabetically.",
        "Top word in <file> , case-insensitive, printed in small letters, alphabetical order on ties?",
    ),
    ask_of_files(
        "vowels",
        _prose,
        "txt",
        NUMBER,
        "grep -oi '[aeiou]' <file> | wc -l",
        "grep -o prints each vowel on a line of its own, and -i takes capitals too.",
        "How many vowels (a, e, i, o, u, of either case) does <file> have?",
        "Count all vowels in <file> , upper and lower case.",
        "Number of the letters a, e, i, o and u in the text <file> ? Capitals count too.",
        "A puzzle: how often do vowels occur in <file> altogether, regardless of case?",
    ),
    ask_of_files(
        "capital_letters",
        _prose,
        "txt",
        NUMBER,
        "grep -o '[A-Z]' <file> | wc -l",
        "grep -o prints each capital letter on a line of its own.",
        "How many capital letters are there in <file> ?",
        "Count the upper-case characters of <file>",
        "Number of uppercase letters in the text <file> ?",
        "How often is a letter in <file> a capital one?",
    ),
    ask_of_files(
        "first_match",
        _marked,
        "txt",
        NUMBER,
        "grep -n '<marker>' <file> | head -n 1 | cut -d: -f1",
        "grep -n puts the line number in front.",
        "On which line number of <file> does <marker> first appear?",
        "Give the number of the first line in <file> that has <marker>",
        "I want to jump to <marker> in <file> . Which line is it on?",
        "Line number of the first <marker> in <file> ?",
        marker=("BEGIN", "END"),
    ),
    ask_of_files(
        "characters",
        _prose,
        "txt",
        NUMBER,
        "cat <folder>/*.txt | wc -m",
        "cat joins the files, and wc -m counts characters.",
        "How many characters, line ends included, do the .txt files in <folder> have in total?",
        "Count the characters of all *.txt in <folder> together (newlines count).",
        "Total number of characters over the text files (.txt) of <folder> ?",
        "If I join all .txt files of <folder> , how many characters is the result long?",
    ),
    ask_of_files(
        "all_lines",
        _prose,
        "txt",
        NUMBER,
        "cat <folder>/*.txt | wc -l",
        "cat joins the files, and wc -l counts the lines of all.",
        "How many lines do the .txt files directly in <folder> have in total?",
        "Count the lines of all *.txt files in <folder> together. One number.",
        "Total line count over the text files (.txt) of <folder> ?",
        "Summed over every .txt in <folder> , what is the number of lines?",
    ),
    ask_of_files(
        "longest_of_two",
        _prose,
        "txt",
        TEXT,
        "wc -c <folder>/*.txt | grep -v total | sort -k1,1nr -k2 | head -n 1 | awk '{print $2}'",
        "wc -c counts bytes of each file; without the total, the largest comes first.",
        "Which .txt file of <folder> has the most characters? Full path.",
        "Compare the .txt files in <folder> by length in bytes: what is the path of the longest?",
        "Path of the *.txt in <folder> with the greatest byte count?",
        "Among the text files (.txt) of <folder> , which is the longest one? Answer with its full path.",
    ),
)
