"""How people word a change of a table. Places: {table}, {pairs}, {names}, {values}, {key}, {where}, {count}.

`{pairs}` is a list of columns with values in one of the styles of `PAIRS`, which a wording names before a
bar; `{names}` and `{values}` are two lists in the same order; `{key}` is the value that names a row, without
its column; `{where}` is one or two conditions in a style of `WHERES`.
"""

PAIRS = {
    "as": ("{column} as '{value}'", "{column} as {value}"),
    "is": (
        "the {column} is '{value}'",
        "{column} is '{value}'",
        "the {column} is {value}",
        "{column} is {value}",
    ),
    "equals": ("{column} = '{value}'", "{column} = {value}", "{column}: '{value}'", "{column}: {value}"),
    "to": (
        "{column} to '{value}'",
        "the {column} to '{value}'",
        "the {column} to {value}",
        "{column} to {value}",
    ),
    "for": (
        "'{value}' for {column}",
        "{value} for {column}",
        "'{value}' as {column}",
        "{value} as the {column}",
    ),
    "with": ("{column} '{value}'", "a {column} of '{value}'", "{column} {value}", "a {column} of {value}"),
    "column": ("for column '{column}' is '{value}'", "of the column {column} is {value}"),
    "becomes": ("{column} becomes '{value}'", "the {column} becomes {value}"),
}
"""Styles of a column with its value."""
WHERES = {
    "where": (
        "the {column} is '{value}'",
        "the {column} is {value}",
        "{column} is '{value}'",
        "{column} = '{value}'",
    ),
    "for": ("the {column} '{value}'", "the {column} {value}", "{column} '{value}'"),
    "with": ("{column} '{value}'", "the {column} {value}", "a {column} of {value}"),
}
"""Styles of a condition."""
INSERT = (
    "as|Insert a new row into the '{table}' table with the following values: {pairs}.",
    "as|Insert into the table {table} a record that has {pairs}.",
    "column|Insert into table '{table}' with {count} columns {names}. The value {pairs}.",
    "lists|Insert into the '{table}' table the values for {names}, which are {values}, respectively.",
    "lists|Insert {values} into the columns {names} of the table {table}.",
    "lists|Insert a row into {table} ({names}) with the values ({values}).",
    "lists|The values of {names} are {values}, respectively; add them to the {table} table as one row.",
    "for|Insert data into the table named {table}, with values {pairs}.",
    "for|Add a row to {table} with {pairs}.",
    "for|Record {pairs} in the {table} table.",
    "for|Please enter {pairs} into {table}.",
    "with|Insert a new entry into the table '{table}' with {pairs}.",
    "with|Add a new {table} record with {pairs}.",
    "with|Create an entry in {table} that has {pairs}.",
    "with|A new record with {pairs} was added to the {table} table.",
    "with|The {table} table is being updated with a new row: {pairs}.",
    "equals|Add a new record to {table}: {pairs}.",
    "equals|Insert the following into {table}: {pairs}.",
    "equals|The following row was inserted into the '{table}' table: {pairs}.",
    "equals|New row for {table} - {pairs}.",
    "is|Insert a row into the table {table} where {pairs}.",
    "is|There is a new entry for the table {table}: {pairs}.",
    "is|Add one more row to {table}. In it {pairs}.",
    "is|Please extend the table '{table}' by a row in which {pairs}.",
    "key is|{key} is to be added to the {table} table: {pairs}.",
    "key with|Add {key} to the table '{table}' with {pairs}.",
    "key with|Insert {key} into {table}, with {pairs}.",
    "key equals|Insert data for {key} into the {table} table. {pairs}.",
    "key is|The data of {key} is inserted into the {table} table; {pairs}.",
    "key with|{key}, with {pairs}, was inserted into the {table} table.",
)
UPDATE = (
    "to where|Update the table '{table}' by setting {pairs} where {where}.",
    "to where|In the {table} table, set {pairs} where {where}.",
    "to where|Change {pairs} in the {table} table where {where}.",
    "to where|Update {pairs} in {table} where {where}.",
    "to for|Set {pairs} for {where} in the {table} table.",
    "to for|Update {pairs} for {where} in {table}.",
    "to for|Change {pairs} for {where} in the table {table}.",
    "to with|Set {pairs} for the row with {where} in the {table} table.",
    "to with|Modify the entry with {where} of the {table} table by changing {pairs}.",
    "becomes where|In the table {table}, where {where}, {pairs}.",
    "becomes with|Modify the row of {table} with {where}: {pairs}.",
    "equals where|Update the row of {table} where {where} so that {pairs}.",
    "equals where|UPDATE {table}: {pairs} where {where}.",
    "is where|Please correct {table}: where {where}, {pairs}.",
    "is with|The table {table} is being updated: for the record with {where}, {pairs}.",
    "is for|Update {table} so that for {where} {pairs}.",
    "as where|Update {table} with {pairs} where {where}.",
    "to key|Set {pairs} for {key} in the {table} table.",
    "to key|Change {pairs} for {key} in the {table} table.",
    "to key|Update {pairs} for {key} in {table}.",
    "with key|Update the record of {key} in the {table} table with {pairs}.",
    "with key|Update {key} in {table} with {pairs}.",
    "is key|The {table} table is being updated to reflect that for {key} {pairs}.",
    "of key|Change the {column} of {key} in the {table} table to '{value}'.",
    "of key|Update the {column} of {key} to {value} in the {table} table.",
    "of key|Set the {column} value to {value} for {key} in the {table} table.",
    "of key|Update {key}'s {column} to '{value}' in {table}.",
    "of key|{key} now has {value} as {column}; update the table {table}.",
    "of key|Correct the {column} of {key} in {table}: it is {value}.",
    "of key|The {column} of {key} in the {table} table has changed to {value}.",
)
DELETE = (
    "where|Delete the rows of {table} where {where}.",
    "where|Remove from the table '{table}' every record where {where}.",
    "with|Delete the entry with {where} from the {table} table.",
    "with|Remove the row with {where} from {table}.",
    "for|Delete the record for {where} in the {table} table.",
    "key|Delete {key} from the {table} table.",
    "key|Remove the record of {key} from {table}.",
)
JOINS = ((", ", " and "), (", ", ", and "), (", ", ", "), ("; ", "; "))
"""Between the items of a list, and before the last."""
