"""Generated tasks about columns: filtered, added up, grouped, compared between two files."""

from envs.os_interaction.tasks.forms import NUMBER, TEXT
from envs.os_interaction.tasks.templates import NOUNS, SUBJECTS, Draw, ask_of_files

CATEGORIES = ("tools", "books", "food", "toys")
FRUIT = (
    "apple",
    "pear",
    "plum",
    "fig",
    "lemon",
    "mango",
    "grape",
    "melon",
    "cherry",
    "peach",
    "lime",
    "kiwi",
)


def _orders(draw: Draw) -> list[str]:
    """Return a CSV file with a header: id, item, category, quantity, price."""
    count = draw.number(9, 18)
    prices = draw.chance.sample(range(5, 400), count)
    rows = [
        f"{100 + at},{draw.one(NOUNS)},{CATEGORIES[at % 4] if at < 4 else draw.one(CATEGORIES)},"
        f"{draw.number(1, 12)},{prices[at]}"
        for at in range(count)
    ]
    return ["id,item,category,quantity,price", *rows]


def _measures(draw: Draw) -> list[str]:
    """Return lines of three columns with blanks between: a name, two numbers; an odd number of lines."""
    count = draw.number(4, 9) * 2 + 1
    values = draw.chance.sample(range(1, 500), count)
    names = draw.many(SUBJECTS, count)
    return [f"{names[at]} {values[at]} {draw.number(1, 99)}" for at in range(count)]


def _fruit(draw: Draw) -> list[str]:
    """Return different fruit."""
    return draw.many(FRUIT, draw.number(5, 9))


def _ten(draw: Draw) -> list[str]:
    """Return ten lines, each one of two that are alike."""
    return [f"{at} {draw.one(('red', 'blue'))}" for at in range(1, 11)]


HEAD = "head -n 3 <file>"
SUM = "<file> has the columns id,item,category,quantity,price. "
TEMPLATES = (
    ask_of_files(
        "sum_where",
        _orders,
        "csv",
        NUMBER,
        "awk -F, '$3 == \"<category>\" {s += $5} END {print s + 0}' <file>",
        "The category is the third field, the price the fifth; awk adds up the prices of these rows.",
        "What is the sum of the prices of all <category> in <file> ? The third column is the category.",
        SUM + "Add up the price of the rows with the category <category>",
        "Total of the column price in the CSV file <file> for rows whose category is <category> ?",
        "In the orders <file> , how much do the rows of category <category> cost together (sum of price)?",
        look=HEAD,
        category=CATEGORIES,
    ),
    ask_of_files(
        "revenue",
        _orders,
        "csv",
        NUMBER,
        "awk -F, 'NR > 1 {s += $4 * $5} END {print s}' <file>",
        "Quantity is the fourth field and price the fifth; awk adds up their products without the header.",
        "What is the sum of quantity times price over all rows of <file> ?",
        SUM + "What is the total value (quantity times price, summed)?",
        "Compute the total revenue in the CSV <file> : multiply quantity by price in each row and add up.",
        "Total of quantity x price in <file> (columns 4 and 5, header in line 1)?",
        look=HEAD,
    ),
    ask_of_files(
        "mean_price",
        _orders,
        "csv",
        TEXT,
        "awk -F, 'NR > 1 {s += $5; n++} END {printf \"%.2f\\n\", s / n}' <file>",
        "awk adds up the fifth field without the header; printf rounds to two decimals.",
        "What is the average price in <file> , with two decimals?",
        SUM + "Give the mean price rounded to two decimals.",
        "Compute the arithmetic mean of the price column of <file> in the form 12.34",
        "Mean of column 5 of the CSV <file> (skip the header), two digits after the point?",
        look=HEAD,
    ),
    ask_of_files(
        "cheapest",
        _orders,
        "csv",
        TEXT,
        "tail -n +2 <file> | sort -t, -k5,5n | head -n 1 | cut -d, -f1",
        "Sorted by the fifth field as a number without the header, the lowest price comes first.",
        "What is the id of the row with the lowest price in <file> ?",
        SUM + "Which id has the smallest price?",
        "Find the cheapest entry of the CSV <file> by its price column and answer with its id.",
        "Id (first column) of the minimum of price (fifth column) in <file> ?",
        look=HEAD,
    ),
    ask_of_files(
        "second",
        _orders,
        "csv",
        TEXT,
        "tail -n +2 <file> | sort -t, -k5,5nr | sed -n 2p | cut -d, -f5",
        "Sorted by price from high to low without the header, the second line is the answer.",
        "What is the second highest price in <file> ?",
        SUM + "Answer with the second largest price.",
        "The top price in the CSV <file> is a mistake. What is the next one below it in column price?",
        "Second-largest value of the price column of <file> ?",
        look=HEAD,
    ),
    ask_of_files(
        "two_conditions",
        _orders,
        "csv",
        NUMBER,
        "awk -F, 'NR > 1 && $4 >= <least> && $5 < <bound>' <file> | wc -l",
        "Quantity is the fourth field and price the fifth; && asks for both conditions.",
        "How many rows of <file> have a quantity of at least <least> and a price below <bound> ?",
        SUM + "Count the rows with quantity >= <least> and price < <bound>",
        "In the CSV <file> , how many orders are for <least> or more pieces at a price under <bound> ?",
        "Number of rows in <file> where column 4 is <least> or more and column 5 is less than <bound> ?",
        look=HEAD,
        least=("2", "3", "4", "6"),
        bound=("100", "150", "250", "300"),
    ),
    ask_of_files(
        "top_group",
        _orders,
        "csv",
        TEXT,
        "awk -F, 'NR > 1 {s[$3] += $4} END {for (c in s) print s[c], c}' <file> | sort -k1,1nr -k2"
        " | head -n 1 | cut -d' ' -f2",
        "awk adds the quantities up for each category; sorted from high to low, the first is the answer.",
        "Which category of <file> has the largest total quantity? Ties: the first by name.",
        SUM + "Group by category and sum quantity: which category leads (alphabetically first if equal)?",
        "Name the category in the CSV <file> with the highest sum of quantity, of equals the first by name.",
        "Best-selling category by total of column 4 in <file> (tie: sorts first)?",
        look=HEAD,
    ),
    ask_of_files(
        "most_rows",
        _orders,
        "csv",
        TEXT,
        "tail -n +2 <file> | cut -d, -f3 | sort | uniq -c | sort -k1,1nr -k2 | head -n 1 | awk '{print $2}'",
        "cut takes the category, uniq -c counts each, and the highest count comes first.",
        "Which category occurs in the most rows of <file> ? Ties: the first by name.",
        SUM + "Which category is the most frequent one (alphabetically first if equal)?",
        "Name the category that is listed most often in the CSV <file> , of equals the first by name.",
        "Most common value of column 3 in <file> , without the header (tie: sorts first)?",
        look=HEAD,
    ),
    ask_of_files(
        "fields",
        _orders,
        "csv",
        NUMBER,
        "head -n 1 <file> | tr ',' '\\n' | wc -l",
        "The header has one name for each column; tr puts each on its own line.",
        "How many columns does the CSV file <file> have?",
        "Count the comma-separated fields in the header of <file>",
        "Before I import <file> (comma-separated) I must know the number of its columns. What is it?",
        "Number of fields per row in the CSV <file> ?",
        look=HEAD,
    ),
    ask_of_files(
        "median",
        _measures,
        "dat",
        NUMBER,
        "awk '{print $2}' <file> | sort -n | awk '{v[NR] = $1} END {print v[(NR + 1) / 2]}'",
        "Sorted as numbers, the middle line is the median, since their number is odd.",
        "What is the median of the second column of <file> ? Its number of lines is odd.",
        "Sort the numbers of column 2 in <file> ; which is the middle one?",
        "Median of the second field in the data file <file> (odd number of lines)?",
        "Of the values in the second column of <file> half are below and half above one of them. Which?",
        look=HEAD,
    ),
    ask_of_files(
        "range",
        _measures,
        "dat",
        NUMBER,
        "awk '{print $2}' <file> | sort -n | sed -n '1p;$p' | paste -sd' ' | awk '{print $2 - $1}'",
        "Sorted as numbers, the first is the smallest and the last the largest.",
        "What is the difference between the largest and the smallest value in the second column of <file> ?",
        "Compute maximum minus minimum of column 2 of <file>",
        "Range (max - min) of the second field in <file> ?",
        "How far apart are the lowest and the highest number of the second column in <file> ?",
        look=HEAD,
    ),
    ask_of_files(
        "name_of_max",
        _measures,
        "dat",
        TEXT,
        "sort -k2,2nr <file> | head -n 1 | awk '{print $1}'",
        "Sorted by the second column from high to low, the first line has the name.",
        "Which name (first column) has the largest value in the second column of <file> ?",
        "In <file> , who comes first if lines are sorted by column 2 from high to low? Name only.",
        "Name with the maximum second field in <file> ?",
        "Find the line of <file> with the highest number in its second column; answer with its first column.",
        look=HEAD,
    ),
    ask_of_files(
        "third_smallest",
        _measures,
        "dat",
        NUMBER,
        "awk '{print $2}' <file> | sort -n | sed -n 3p",
        "Sorted as numbers, the third line is the answer.",
        "What is the third smallest number in the second column of <file> ?",
        "Sort column 2 of <file> numerically, ascending. Which value is on the third line?",
        "Third-lowest value of the second field in <file> ?",
        "If the lines of <file> are ordered by their second column as numbers, what is there in the third?",
        look=HEAD,
    ),
    ask_of_files(
        "above",
        _measures,
        "dat",
        TEXT,
        "awk '$2 > <bound> {print $1}' <file> | sort | paste -sd,",
        "awk prints the names of these lines; sort orders them and paste joins them by commas.",
        "Which names in <file> have a second column above <bound> ? Sorted, joined by commas without blanks.",
        "List the first field of each line of <file> with column 2 > <bound> , sorted and "
        "comma-separated (a,b,c).",
        "Names with a value over <bound> (column 2) in <file> , in alphabetical order, as a,b,c?",
        "From <file> take the lines whose second number exceeds <bound> ; give the sorted names, comma "
        "between them.",
        look=HEAD,
        bound=("200", "250", "280", "300"),
    ),
    ask_of_files(
        "products",
        _measures,
        "dat",
        NUMBER,
        "awk '$2 > $3' <file> | wc -l",
        "awk prints the lines whose second field is larger than the third.",
        "In how many lines of <file> is the second column larger than the third?",
        "Count the lines of <file> with column 2 > column 3.",
        "Number of lines in the data <file> where the second field exceeds the third?",
        "Compare columns 2 and 3 of <file> line by line: how often is the former the greater?",
        look=HEAD,
    ),
    ask_of_files(
        "column_sum",
        _measures,
        "dat",
        NUMBER,
        "awk '{s += $3} END {print s}' <file>",
        "awk adds up the third field.",
        "What is the sum of the third column of <file> ?",
        "Add up the numbers in column 3 of <file>",
        "Total of the third field (blank-separated) in the data file <file> ?",
        "What do the values in the last of the three columns of <file> add up to?",
        look=HEAD,
    ),
    ask_of_files(
        "in_both",
        _fruit,
        "lst",
        NUMBER,
        "sort <file> > /tmp/a; sort <other> > /tmp/b; comm -12 /tmp/a /tmp/b | wc -l",
        "comm -12 prints what two sorted files have in common.",
        "How many lines do <file> and <other> have in common?",
        "Count the entries that are in both lists, <file> and <other>",
        "Number of lines of <file> that are in <other> as well?",
        "Compare the lists <file> and <other> : how many items do they share?",
        look="head <file> <other>",
    ),
    ask_of_files(
        "only_in_first",
        _fruit,
        "lst",
        NUMBER,
        "grep -vxFf <other> <file> | wc -l",
        "-f takes the lines of the other file as texts, -x whole lines, and -v those that are not there.",
        "How many lines of <file> are missing in <other> ?",
        "Count the entries that only <file> has, compared with <other>",
        "Number of items listed in <file> but not in <other> ?",
        "Which part of <file> is not in <other> ? Give the number of such lines.",
        look="head <file> <other>",
    ),
    ask_of_files(
        "in_either",
        _fruit,
        "lst",
        NUMBER,
        "sort -u <file> <other> | wc -l",
        "sort -u merges both files and keeps equal lines once.",
        "How many distinct lines do <file> and <other> have together?",
        "Merge the lists <file> and <other> without duplicates. How many entries result?",
        "Size of the union of the lines of <file> and <other> ?",
        "Taking the items of <file> and <other> together, each counted once: how many are there?",
        look="head <file> <other>",
    ),
    ask_of_files(
        "differing",
        _ten,
        "lst",
        NUMBER,
        "paste -d'|' <file> <other> | awk -F'|' '$1 != $2' | wc -l",
        "paste puts the lines side by side, and awk takes those that differ.",
        "<file> and <other> have ten lines each. In how many lines do they differ?",
        "Compare <file> with <other> line by line. How many lines are different?",
        "Number of positions where the lines of <file> and <other> are not the same?",
        "Two versions, <file> and <other> , of the same length: how many lines were changed?",
        look="diff <file> <other> | head -n 5",
    ),
)
