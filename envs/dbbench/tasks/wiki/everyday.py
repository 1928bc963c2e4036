"""How people word a change or a question in everyday sentences, with context and few names of columns.

The places are those of `wordings.py`, and also: {old}, the value before a change; {row}, a row's values in
the table's order; {lead}, the first values of a row; {subject}, the key with or without its noun; {story},
the other values of a row; {want}, the column of an answer; {number}, a column of numbers; {rows}, what rows
are called.
"""

INSERT = (
    "lists|With {values} as {names}, add a new row to {table}.",
    "lists|Use {values} for {names} in a new record of {table}.",
    "lists|{values} are the {names} of a new entry; put it into the {table} table.",
    "with|We forgot one entry of {table}. Please add it, with {pairs}.",
    "is|The table {table} is not complete. Add the missing row: {pairs}.",
    "key with|{key} is missing from {table}. Add it with {pairs}.",
    "key is|Please register {key} in {table}: {pairs}.",
)
"""Every column is named, as in `wordings.INSERT`."""
ROWS = (
    "Add {row} to the table {table}.",
    "A new row was added to {table}: {row}.",
    "Insert {row} into {table}.",
    "Insert into {table} the values ({row}).",
    "New row for the {table} table: {row}.",
    "Please put this row into {table}: {row}.",
    "The values of the new row of {table}, in the order of its columns, are {row}.",
    "The {table} table needs one more row: {row}.",
    "Add one more record to {table} ({row}).",
    "Row to insert into the {table} table - {row}.",
    "A row is missing in {table}. From left to right it has {row}.",
    "Append {row} to {table}.",
    "{row} should be added as a new row to the {table} table.",
)
"""Every value, in the table's order, and no column's name."""
LEADS = (
    "Add {lead} to {table}, with {pairs}.",
    "Insert a row for {lead} into the {table} table, with {pairs}.",
    "New in {table}: {lead}, with {pairs}.",
    "{lead} should be added to {table}, with {pairs}.",
    "Please extend {table} by {lead}; the row has {pairs}.",
)
"""The first two values in the table's order, the others beside their columns' names."""
STORIES = (
    "Add {subject} to {table}: {story}.",
    "Add {subject} {story} to the {table} table.",
    "A new entry in {table} is {subject}, {story}.",
    "{subject} {story} is not yet in {table}. Add it.",
    "Insert {subject} into the {table} table, {story}.",
    "The {table} table has to have a record of {subject} {story}.",
    "Please note in {table}: {subject}, {story}.",
    "We have a new row for {table}: {subject} {story}.",
    "Enter {subject} into {table}, {story}.",
)
"""A narrated row, in which a preposition or a unit stands for many a column's name."""
UPDATE = (
    "of key|Due to a correction, the {column} of {key} should be {value} in the {table} table.",
    "of key|The {column} of {key} has changed to {value}; update it in {table}.",
    "of key|There is a mistake in {table}: the {column} of {key} is really {value}. Fix it.",
    "of key|{key} should have {value} as {column} in {table}. Please correct this.",
    "of key|After a review, {key} now has the {column} '{value}'. Bring the {table} table up to date.",
    "of key|Someone entered the wrong {column} for {key} in {table}. Make it {value}.",
    "of key|We learned that the {column} of {key} is {value}. Change it in the {table} table.",
    "of key|For {key}, replace the {column} in {table} with {value}.",
    "of key|Make {value} the new {column} of {key} in {table}.",
    "of key|In {table}, the {column} of {key} must read {value}.",
    "of key old|Change the {column} of {key} from {old} to {value} in the {table} table.",
    "of key old|The {column} of {key} is not {old} but {value}; correct {table}.",
    "of key old|In {table}, {key} had the {column} {old}. It is now {value}, so update it.",
    "of where|The {column} has to be {value} in {table} where {where}.",
    "of where|Where {where}, the {column} in the {table} table should be {value} from now on.",
    "of with|Change the {column} to {value} for all rows of {table} with {where}.",
    "of for|It turned out that the {column} is {value} for {where}. Update {table}.",
    "to where|Because of an error, set {pairs} in {table} where {where}.",
    "to with|For the row with {where} in {table}, please change {pairs}.",
    "to key|The record of {key} in {table} is out of date. Set {pairs}.",
    "is key|New information on {key} in {table}: {pairs}. Update the row.",
    "equals key|Edit the entry for {key} in the {table} table ({pairs}).",
)
DELETE = (
    "key|{key} should no longer be in the {table} table. Remove it.",
    "key|Take {key} off the table {table}.",
    "where|Rows of {table} where {where} are wrong and have to be deleted.",
    "with|Clean up {table}: drop the row with {where}.",
)
LOOK_UP = (
    "key|What is the {want} of {key}?",
    "key|Tell me the {want} of {key}.",
    "key|What {want} does {key} have?",
    "key|I would like to know the {want} for {key}.",
    "key|Could you give me {key}'s {want}?",
    "key|Look up the {want} of {key} in the {table} table.",
    "key|What does {table} say about the {want} of {key}?",
    "is|What is the {want} when {where}?",
    "is|Find the {want} where {where}.",
    "is|If {where}, what is the {want}?",
    "having|Which {want} has {where}?",
    "having|Give me the {want} of the entry with {where}.",
)
LIST = (
    "is|List the {want} of all {rows} where {where}.",
    "is|Show every {want} for which {where}.",
    "is|What are all the {want} values if {where}?",
    "having|Which {want} entries have {where}?",
    "having|Tell me the {want} of each row that has {where}.",
    "having|Give the {want} of all {rows} with {where}.",
)
COUNT = (
    "having|How many {rows} have {where}?",
    "having|Count the {rows} with {where}.",
    "having|What is the number of {rows} with {where}?",
    "having|In {table}, how many {rows} are there with {where}?",
    "is|For how many {rows} is it true that {where}?",
    "is|How many {rows} are listed where {where}?",
)
DISTINCT = (
    "How many different {want} values are there in {table}?",
    "Count the distinct {want} entries.",
    "What is the number of unique {want} values in the {table} table?",
)
AGGREGATE = {
    "SUM": (
        "What is the total {number}{of}?",
        "Add up the {number}{of}.",
        "Tell me the sum of the {number}{of}.",
    ),
    "AVG": (
        "What is the average {number}{of}?",
        "On average, what is the {number}{of}?",
        "Calculate the mean {number}{of}.",
    ),
    "MIN": (
        "What is the lowest {number}{of}?",
        "Tell me the minimum {number}{of}.",
        "What is the smallest {number}{of}?",
    ),
    "MAX": (
        "What is the highest {number}{of}?",
        "Tell me the maximum {number}{of}.",
        "What is the largest {number}{of}?",
    ),
}
OF = {
    "": (" in {table}", " of all {rows}", " over the whole {table} table"),
    "having": (" of the {rows} with {where}", " among {rows} that have {where}"),
    "is": (" where {where}", " when {where}"),
}
"""After a number that is reckoned: for all rows, or for those that meet conditions."""
RANKING = {
    "DESC": (
        "Which {want} has the highest {number}?",
        "What {want} has the most {number}?",
        "Tell me the {want} with the largest {number}.",
        "Who or what ({want}) comes first in {table} by {number}, from high to low?",
    ),
    "ASC": (
        "Which {want} has the lowest {number}?",
        "What {want} has the least {number}?",
        "Tell me the {want} with the smallest {number}.",
    ),
}
RANKINGS = {
    "DESC": (
        "Which {count} {want} entries have the highest {number}?",
        "List the top {count} by {number}: their {want}.",
    ),
    "ASC": (
        "Which {count} {want} entries have the lowest {number}?",
        "Give the {want} of the {count} with the least {number}.",
    ),
}
"""Several rows."""
HAVING = {
    "=": ("a {column} of {value}", "{column} '{value}'", "{value} as {column}"),
    ">": ("a {column} of more than {value}", "a {column} above {value}", "a {column} greater than {value}"),
    "<": ("a {column} of less than {value}", "a {column} below {value}", "a {column} smaller than {value}"),
    ">=": ("a {column} of at least {value}", "a {column} of {value} or more"),
    "<=": ("a {column} of at most {value}", "a {column} of {value} or less"),
}
IS = {
    "=": ("the {column} is {value}", "the {column} is '{value}'", "{column} is {value}"),
    ">": ("the {column} is more than {value}", "{column} is above {value}", "the {column} exceeds {value}"),
    "<": ("the {column} is less than {value}", "{column} is below {value}", "the {column} is under {value}"),
    ">=": ("the {column} is at least {value}", "{column} is {value} or more"),
    "<=": ("the {column} is at most {value}", "{column} is {value} or less"),
}
"""Styles of a condition, by its relation."""
