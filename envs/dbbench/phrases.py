"""The sentences that generated questions are made of; the expert reads them, so the two agree.

`{conds}` are conditions, `{column}` a column, `{key}` the name of a row, `{pairs}` columns with their values.
"""

WITH, WHERE = "with", "where"
"""Conditions stand as nouns (`a Class of D`) or as clauses (`Class is D`)."""

EQUAL = {WITH: ("{a} {column} of {value}",), WHERE: ("{column} is {value}", "the {column} equals {value}")}
LESS = {
    WITH: ("{a} {column} smaller than {value}", "{a} {column} under {value}"),
    WHERE: ("{column} is less than {value}", "the {column} is smaller than {value}"),
}
MORE = {
    WITH: ("{a} {column} larger than {value}", "{a} {column} over {value}"),
    WHERE: ("{column} is greater than {value}", "the {column} is higher than {value}"),
}
RELATIONS = {"=": EQUAL, "<": LESS, ">": MORE}

COUNT = (
    (WITH, "How many {things} have {conds}?"),
    (WITH, "What is the total number of {things} with {conds}?"),
    (WITH, "what is the total number of entries with {conds}?"),
    (WHERE, "How many {things} are there where {conds}?"),
    (WHERE, "Count the {things} when {conds}."),
)
AGGREGATES = {
    "SUM": (
        (WITH, "What is the sum of {column} with {conds}?"),
        (WHERE, "When {conds}, what is the total {column}?"),
        (WHERE, "What is the combined {column} of all {things} where {conds}?"),
    ),
    "AVG": (
        (WITH, "What is the average {column} with {conds}?"),
        (WHERE, "What is the average {column}, when {conds}?"),
        (WHERE, "what was the mean {column} of the {things} where {conds}?"),
    ),
    "MIN": (
        (WITH, "What is the lowest {column} with {conds}?"),
        (WHERE, "What was the smallest {column} where {conds}?"),
        (WITH, "Name the least {column} with {conds}"),
    ),
    "MAX": (
        (WITH, "Which {column} is the highest one that has {conds}?"),
        (WHERE, "What's the biggest {column} where {conds}?"),
        (WITH, "Name the most {column} with {conds}"),
    ),
}
COMPARE = (
    (WITH, "Which {column} has {conds}?"),
    (WHERE, "What is the {column} where {conds}?"),
    (WITH, "What {column} has {conds}?"),
    (WHERE, "List the {column} of every row where {conds}."),
)
RANK = {
    "DESC": (
        "Which {column} has the highest {number}?",
        "Of all the {things}, which {column} has the largest {number}?",
        "what {column} has the most {number}?",
    ),
    "ASC": (
        "Which {column} has the lowest {number}?",
        "Of all the {things}, which {column} has the smallest {number}?",
        "what {column} has the least {number}?",
    ),
}
LOOK_UP = (
    "What is the {column} of {key}?",
    "what {column} does {key} have?",
    "Tell me the {column} for {key}.",
    "Name the {column} for {key}",
)
INSERT = (
    ("{column} '{value}'", "Insert a new record into the '{table}' table with {pairs}."),
    (
        "{column} as '{value}'",
        "Insert a new row into the '{table}' table with the following values: {pairs}.",
    ),
    ("{column} = '{value}'", "Add a row to the {table} table: {pairs}."),
    ("the {column} is '{value}'", "Record new data in the {table} table, where {pairs}."),
)
UPDATE = (
    (
        "'{column}' to '{value}'",
        "Update the '{table}' table: set {pairs} for the row whose '{where}' is '{key}'.",
    ),
    ("the {column} to '{value}'", "Change {pairs} where the {where} is '{key}' in the {table} table."),
    ("{column} as '{value}'", "Update the {table} table to set {pairs} where {where} equals '{key}'."),
    (
        "its {column} is '{value}'",
        "The entry of the {table} table with {where} '{key}' was updated so that {pairs}.",
    ),
)
DELETE = (
    (WHERE, "Delete the rows from the '{table}' table where {conds}."),
    (WITH, "Remove all {things} with {conds} from the {table} table."),
    (WITH, "Delete every entry with {conds} from {table}."),
)
