"""The sentences that generated questions are made of; the expert reads them, so the two agree.

`[a|b]` is a choice and `{column}` a place: `{conds_with}` and its like are conditions in a style,
`{pairs_to}` columns with values in a style, `{key}` the name of a row, `{tell}` a sentence of the topic.
A word and a colon at the start state what the column of the answer must be.
"""

_SMALLER, _LARGER = "[smaller|less|lower|fewer]", "[larger|greater|higher|more|bigger]"
WITH = {
    "=": ("{a}{column} of {value}", "{a}{column} [listed as|equal to] {value}"),
    "<": (f"{{a}}{{column}} {_SMALLER} than {{value}}", "{a}{column} [under|below] {value}"),
    ">": (f"{{a}}{{column}} {_LARGER} than {{value}}", "{a}{column} [over|above] {value}"),
    "<=": ("{a}{column} of [at most|no more than] {value}",),
    ">=": ("{a}{column} of [at least|no less than] {value}",),
}
WHERE = {
    "=": (
        "{the}{column} [is|was|equals] {value}",
        "{the}{column} [is|was|equals] '{value}'",
        "'{column}' [is|equals] '{value}'",
        "the value of {column} is {value}",
    ),
    "<": (f"{{the}}{{column}} [is|was] {_SMALLER} than {{value}}", "{the}{column} is [under|below] {value}"),
    ">": (f"{{the}}{{column}} [is|was] {_LARGER} than {{value}}", "{the}{column} is [over|above] {value}"),
    "<=": ("{the}{column} is at most {value}",),
    ">=": ("{the}{column} is at least {value}",),
}
MOD = {
    "=": ("with {a}{column} of {value}", "whose {column} [is|was] {value}", "with {value} as the {column}"),
    "<": (
        f"with {{a}}{{column}} {_SMALLER} than {{value}}",
        "with [fewer than|less than|under] {value} {column}",
    ),
    ">": (f"with {{a}}{{column}} {_LARGER} than {{value}}", "with [more than|over] {value} {column}"),
    "<=": ("with at most {value} {column}",),
    ">=": ("with at least {value} {column}",),
}
CONDITIONS = {"with": WITH, "where": WHERE, "mod": MOD}
PAIRS = {
    "to": (
        "{the}{column} to '{value}'",
        "'{column}' to '{value}'",
        "{the}{column} to {value}",
        "the value of '{column}' to '{value}'",
        "`{column}` to '{value}'",
    ),
    "as": ("{the}{column} as '{value}'", "'{column}' as '{value}'", "{the}{column} as {value}"),
    "eq": ("{column} = '{value}'", "'{column}' = '{value}'", "{column}: {value}", "{column}='{value}'"),
    "is": (
        "{the}{column} is '{value}'",
        "'{column}' is '{value}'",
        "{the}{column} is {value}",
        "its {column} is {value}",
    ),
    "of": ("{a}{column} of {value}", "{a}{column} of '{value}'"),
    "bare": ("{column} '{value}'", "{column} {value}", "{the}{column} '{value}'", "'{column}' '{value}'"),
    "for": ("'{value}' for '{column}'", "'{value}' for {column}", "{value} for {the}{column}"),
    "count": ("{value} {column}",),
}

COUNT = (
    "How many {things} [have|had] {conds_with}?",
    "How many {things} [are there |there are |]with {conds_with}?",
    "What is the [total |]number of {things} [with|that have|having] {conds_with}?",
    "[what|What] is the total number of [entries|rows|records] with {conds_with}?",
    "How many {things} [are there|were there] [when|where|if] {conds_where}?",
    "How many [times|entries|rows] [are|were] there [when|where] {conds_where}?",
    "[Count|Count up] the {things} [when|where] {conds_where}[.|]",
    "[When|If|Where] {conds_where}, how many {things} are there?",
    "How many {things} {conds_mod} are [there|listed|in the table]?",
    "What is the total number of {things} {conds_mod}?",
    "how many {things} {conds_mod}[?|]",
    "Count the {things} {conds_mod}[.|]",
    "Name the [total |]number of {things} [for|with] {conds_with}",
    "What is the total number of {column} [with|that have] {conds_with}?",
    "What is the total number of {column} [when|where] {conds_where}?",
    "Name the total number of {column} for {conds_cut}",
    "How many {column} [are listed|are there|were there] [when|where|if] {conds_where}?",
    "[Give|Tell me] the count of {things} {conds_mod}[.|]",
)
DISTINCT = (
    "How many [different|distinct|unique] {column} [are there|are listed|are in the table]?",
    "[What is|Tell me] the number of [different|distinct] {column}[?|]",
    "How many different {column} do the {things} have?",
)
AGGREGATES = {
    "SUM": (
        "What is the [sum|total sum] of [the |]{column} [with|that has|for those with] {conds_with}?",
        "[When|If|Where] {conds_where}, what [is|was] the total {column}?",
        "What [is|was] the [combined|total] {column} of all {things} where {conds_where}?",
        "What [is|was] the [combined|total|summed] {column} [of|for] the {things} {conds_mod}?",
        "Add up the {column} of the {things} {conds_mod}[.|]",
        "what is the sum of {column} [when|where|for all rows where] {conds_where}?",
        "How much {column} [is|was] there in total [when|where] {conds_where}?",
        "With {conds_with}, what is the sum of the {column}?",
    ),
    "AVG": (
        "What is the average {column} [with|that has|for those with|having] {conds_with}?",
        "What [is|was] the [average|mean] {column}[,|] when {conds_where}?",
        "[what|What] was the mean {column} of the {things} where {conds_where}?",
        "[On average, what|What on average] [is|was] the {column} of the {things} {conds_mod}?",
        "What is the average {column} of the {things} {conds_mod}?",
        "[When|If] {conds_where}, what is the average {column}?",
        "Name the average {column} for {conds_cut}",
    ),
    "MIN": (
        "What is the [lowest|smallest|least|minimum] {column} [with|that has|having] {conds_with}?",
        "What [was|is] the [lowest|smallest|minimum] {column} [where|when] {conds_where}?",
        "[Name|Tell me] the [least|lowest|smallest] {column} [with|for] {conds_with}",
        "Which {column} is the [lowest|smallest] one that has {conds_with}?",
        "What's the [smallest|lowest|minimum] {column} [of|for|among] the {things} {conds_mod}?",
        "[When|If] {conds_where}, what is the [lowest|smallest|least] {column}?",
        "year: What is the earliest {column} [with|that has] {conds_with}?",
        "year: What was the [earliest|first] {column} [where|when] {conds_where}?",
    ),
    "MAX": (
        "Which {column} is the [highest|largest|biggest] one that has {conds_with}?",
        "What's the [biggest|highest|largest|most] {column} [where|when] {conds_where}?",
        "What is the [highest|largest|maximum|biggest|top] {column} [with|that has|having] {conds_with}?",
        "[Name|Tell me] the [most|highest|largest] {column} [with|for] {conds_with}",
        "What [is|was] the [greatest|highest|maximum] {column} [of|for|among] the {things} {conds_mod}?",
        "[When|If] {conds_where}, what is the [highest|largest] {column}?",
        "year: What is the latest {column} [with|that has] {conds_with}?",
        "year: What was the [latest|last] {column} [where|when] {conds_where}?",
    ),
}
ROWS = (
    "Which {column} [has|had|is that with] {conds_with}?",
    "Which {column} that has {conds_with}?",
    "Which {column} is the one [that has|with] {conds_with}?",
    "[What|what] {column} [has|had|has got] {conds_with}?",
    "What [is|was] the {column} [with|that has|having|has|for] {conds_with}?",
    "What's the {column} [that has|with|having] {conds_with}?",
    "{conds_cut} [has|had|belongs to] [what|which] {column}?",
    "With {conds_with}, what [is|was] the {column}?",
    "Name the {column} [for|with|that has] {conds_cut}",
    "I want [the|to know the] {column} [for|with] {conds_with}[.|]",
    "[Tell|Give|Show] me the {column} [that has|with|for] {conds_with}[.|]",
    "[Can you tell|Could you tell] me the {column} that has {conds_with}?",
    "Name the {column} [when|where|if] {conds_where}[.|]",
    "What [is|was] the {column} [when|where|if] {conds_where}?",
    "[When|If|Where] {conds_where}, what [is|was] the {column}?",
    "[When|If] {conds_where}, [name|give|tell me] the {column}[.|]",
    "List the {column} of [every row|all {things}] where {conds_where}.",
    "[What|Which] {column} [goes with|is listed for] the {thing} where {conds_where}?",
    "Which {column} [is|are] listed [when|where] {conds_where}?",
    "What [is|was] the {column} of the {thing} {conds_mod}?",
    "[What|Which] {column} [does|did] the {thing} {conds_mod} have?",
    "[which|Which] {column} belongs to the {thing} {conds_mod}?",
    "[List|Give|Show] the {column} of [the|all] {things} {conds_mod}[.|]",
    "Tell me the {column} of the {thing} {conds_mod}[.|]",
    "person: Who [is|was] the {column} of the {thing} {conds_mod}?",
    "person: Who [is|was] the {column} [when|where] {conds_where}?",
    "person: [Who|who] [is|was] [listed as|named as|] the {column} with {conds_with}?",
    "date: On what {column} [is|was] the {thing} {conds_mod}?",
    "date: What day [is|was] the {column} of the {thing} {conds_mod}?",
    "key: Which {thing} [has|had] {conds_with}?",
    "key: [Which|What] {thing} [is|was] the only one {conds_mod}?",
    "key: Which {things} have {conds_with}?",
    "key: [Name|List] [the|all the] {things} {conds_mod}[.|]",
    "key: [Which|what] {things} are {conds_mod}?",
    "key: [Which|What] is the {thing} {conds_mod}?",
)
TWO = (
    "What are the {column} and [the |]{column2} of {key}?",
    "[Give|Tell me|Show] the {column} and [the |]{column2} of the {thing} {conds_mod}[.|]",
    "What [is|was] the {column} and {column2} [when|where] {conds_where}?",
    "Name the {column} and {column2} for {conds_cut}",
    "[List|Show] {column} and {column2} for [the {thing} |]{key}[.|]",
)
LOOK_UP = (
    "What [is|was] the {column} of {key}?",
    "what {column} [does|did] {key} have?",
    "[What|Which] {column} is [listed|given|shown] for {key}?",
    "Tell me the {column} [for|of] {key}[.|]",
    "Name the {column} for {key}",
    "What's {key}'s {column}?",
    "[what|What] is the {column} for {key} with {conds_with}?",
    "number: [how|How] many {column} [does|did] {key} [have|get]?",
    "number: [how|How] many {column} are [listed|recorded] for {key}?",
    "person: [who|Who] [is|was] the {column} of {key}?",
    "date: [when|When] was the {column} of {key}?",
    "{key}: what is the {column}?",
    "I'd like to know the {column} of {key}[.|]",
    "For {key}, what is the {column}?",
    "For the {thing} {key}, what [is|was] the {column}?",
)
RANK = {
    "DESC": (
        "Which {key_column} has the [highest|largest|biggest|greatest] {number}?",
        "Of all the {things}, which {key_column} has the [largest|highest|most] {number}?",
        "[what|which] {key_column} has the most {number}?",
        "[Which|what] {thing} [has|had] the [highest|largest|most|biggest|greatest] {number}?",
        "[What|which] {thing} is [first|number one|the top one] by {number}?",
        "[What|Which] is the {thing} with the [highest|largest|most] {number}?",
        "Name the {thing} with the [highest|most|largest|greatest] {number}[.|]",
        "Of the {things} {conds_mod}, which [one |]had the [largest|highest|most] {number}?",
        "Which {thing} [leads|tops] the [list|table] in {number}?",
        "[who|which] has the most {number}?",
        "which {thing}'s {number} is the [largest|highest|biggest]?",
    ),
    "ASC": (
        "Which {key_column} has the [lowest|smallest|least] {number}?",
        "Of all the {things}, which {key_column} has the [smallest|lowest|least] {number}?",
        "[what|which] {key_column} has the least {number}?",
        "[Which|what] {thing} [has|had] the [lowest|smallest|least|fewest] {number}?",
        "[What|Which] is the {thing} with the [lowest|smallest|fewest] {number}?",
        "Name the {thing} with the [lowest|least|fewest|smallest] {number}[.|]",
        "Of the {things} {conds_mod}, which [one |]had the [smallest|lowest|least] {number}?",
        "Which {thing} is last [in|by] {number}?",
        "which {thing}'s {number} is the [smallest|lowest]?",
    ),
}
TOP = {
    ("DESC", 3): (
        "[Name|List] the [three|3|top three] {things} with the [highest|most|largest] {number}[.|]",
    ),
    ("DESC", 2): ("[Which|What] two {things} have the [highest|most|largest] {number}?",),
    ("ASC", 3): ("[Name|List] the [three|3] {things} with the [lowest|smallest|fewest] {number}[.|]",),
    ("ASC", 2): ("[Which|What] two {things} have the [lowest|smallest|fewest] {number}?",),
}
FREQUENT = (
    "[Which|What] {column} [appears|occurs|is listed|comes up] [most often|the most|most frequently]?",
    "[Which|What] {column} has the most {things}?",
    "[what|which] is the most common {column}[ among the {things}|]?",
    "Most of the {things} have [which|what] {column}?",
)
AFTER = (
    "[Which|What] {thing} [comes|came|is listed|is] [right |directly |]after {key}?",
    "[who|which|what] [came|comes] after {key}?",
    "What is the next {thing} after {key}?",
)
BEFORE = (
    "[Which|What] {thing} [comes|came|is listed|is] [right |directly |]before {key}?",
    "[who|which|what] [came|comes] before {key}?",
    "What is the previous {thing} before {key}?",
)
EITHER = {
    "DESC": (
        "[Which|What] {thing} has [the higher|a higher|the larger|more] {number}, {key} or {key2}?",
        "[who|which] [had|has] more {number}, {key} or {key2}?",
        "Is the {number} of {key} or of {key2} higher?",
    ),
    "ASC": (
        "[Which|What] {thing} has [the lower|a lower|the smaller|less|fewer] {number}, {key} or {key2}?",
        "[who|which] [had|has] [less|fewer] {number}, {key} or {key2}?",
        "Is the {number} of {key} or of {key2} lower?",
    ),
}
GAP = (
    "What is the difference [in|of the] {number} between {key} and {key2}?",
    "[how|How] much [is|was] the difference in {number} between {key} and {key2}?",
    "By how much does the {number} of {key} differ from that of {key2}?",
)
INSERT = (
    "[Insert|Add] a new [record|row|entry] into the '{table}' table with {pairs_bare}.",
    "Insert a new [record|row] into the '{table}' table with [the following|these] values: {pairs_eq}.",
    "Insert a [new |]row into the {table} table [with|having] {pairs_as}.",
    "Add a [row|record|new entry] to the {table} table: {pairs_eq}[.|]",
    "[Record|Store] new data in the {table} table, where {pairs_is}.",
    "[Insert|Put] into '{table}' [the values |]{pairs_for}.",
    "Insert data into the table [named |called |]{table}, with values {pairs_for}.",
    "Insert the values {values} into the columns {names} of the '{table}' table[, respectively|].",
    "Insert into the '{table}' table the values for {names}, [which|these] are {values}, respectively.",
    "[Insert|Add] into table '{table}' a row with the columns {names} and the values {values}.",
    "In the {table} table, [add|create] [an entry|a record|a {thing}] with {pairs_of}.",
    "Add [a|another|a new] {thing} [to|into] the {table} table with {pairs_of}.",
    "[Create|Register|Enter] a new {thing} in '{table}' with {pairs_bare}.",
    "A new {thing} [is|was] added to the {table} table: {pairs_is}.",
    "A record [was|has been] inserted into the '{table}' table with the following values: {pairs_eq}.",
    "[The|This] new {thing} for the {table} table: {pairs_eq}[.|]",
    "Put a new {thing} into the [table '{table}'|'{table}' table]. {pairs_eq}[.|]",
    "Insert '{first}' into '{table}' with values {pairs_for}.",
    "Insert {first} into the {table} table with {pairs_of}.",
    "The {table} table is [being updated|extended] with [a new|another] {thing}: {pairs_bare}.",
)
TELL = "{tell}"
TELLS = (
    *([TELL] * 6),
    "{tell} [Insert|Add|Put] this into the {table} table.",
    "{tell} This [was|is to be|should be] [inserted|recorded|added] [in|into] the '{table}' table.",
    "{tell} [Record|Note] it in {table}.",
    "[Insert|Add|Record] into the {table} table: {tell}",
    "The {table} table [gets|needs|has] a new [row|record|entry]: {tell}",
    "Add [a|this] {thing} to '{table}': {tell}",
    "Insert the following into '{table}': {tell}",
    "[New|New data] for {table}: {tell}",
)
UPDATE = (
    "Update the '{table}' table: set {pairs_to} for the row [whose|where] {conds_where}.",
    "Update the '{table}' table [by setting|to set] {pairs_to} where {conds_where}.",
    "[Change|Set] {pairs_to} where {conds_where} in the [{table}|'{table}'] table.",
    "Update the {table} table to set {pairs_as} where {conds_where}.",
    "[In|In the] '{table}' table, [update|change|set] {pairs_to} where {conds_where}[.|]",
    "In the `{table}` table, [update|change|set] {pairs_to} for the {thing} {conds_mod}.",
    "[Update|Modify] the {things} in {table} {conds_mod} so that {pairs_is}.",
    "The entry of the {table} table where {conds_where} was updated so that {pairs_is}.",
    "For the {thing} {conds_mod}, [set|change|update] {pairs_to}[ in the {table} table|].",
    "When {conds_where}, the {table} table [must|should] have {pairs_eq}.",
    "[Update|Change] the row with {conds_with} in the '{table}' table: {pairs_eq}.",
    "Where {conds_where}, update the {table} table to [set|have] {pairs_as}.",
    "Set {pairs_to} for [the entry|the row|all rows] with {conds_with} in the '{table}' table.",
    "Change the {column} of {key} [in|listed in] the {table} table to {value}.",
    "[Update|Change|Set] the {column} of {key} to '{value}'[ in the {table} table|].",
    "[Change|Update] the {column} of {key} in [the |]{table} to '{value}'.",
    "Set the {column} [value |]to {value} for the {thing} [named|called] {key} in the {table} table.",
    "The {column} of {key} [has been|was|is now|should be] [changed|updated|set] to {value}[ in {table}|].",
    "The '{column}' [column|field] of the '{table}' table was [updated|changed|set] to '{value}' for {key}.",
    "The '{column}' of '{table}' was updated to '{value}' for {things} {conds_mod}.",
    "Change the value of '{column}' to '{value}' in the '{table}' table [for the row |]where {conds_where}.",
    "[Alter|Modify|Change] the '{column}' [value|field] to '{value}' [where|for the record where] "
    "{conds_where} in the '{table}' table.",
    "The {table} [table|data] for {key} [has been|was|is being] updated with {pairs_of}.",
    "Update [the record of |the entry of |]{key} in the {table} [table |]with {pairs_of}.",
    "The [row|record|entry] of {key} has been updated with {pairs_of}[ in {table}|].",
    "The {table} table [is|was] [being |]updated to [show|reflect] that {key} has {pairs_of}.",
    "[Update|Change] the [results|figures|data] of {key} [in {table} |]to {pairs_count}.",
    "The [statistics|figures|numbers] for {key} have been updated with {pairs_count}.",
    "Update {table}: {key} now has {pairs_count}.",
    "[Replace|Correct] the {column} of the {thing} {conds_mod} with '{value}'[ in the {table} table|].",
    "Update the {column} [column |]to '{value}' for the {thing} {conds_mod}[ in {table}|].",
    "[Please correct|Correct] the {table} table: the {column} of {key} is {value}.",
    "It turned out that the {column} of {key} was {value}; update the {table} table.",
)
DELETE = (
    "Delete the rows from the '{table}' table where {conds_where}.",
    "Remove all {things} {conds_mod} from the {table} table.",
    "Delete every [entry|row|record] with {conds_with} from {table}.",
    "[Delete|Remove] the {thing} {conds_mod} from {table}.",
    "The {things} {conds_mod} [must|should] be [deleted|removed] from the '{table}' table.",
)
