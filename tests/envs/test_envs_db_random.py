"""Random statements, from a seed, and how one that shows a difference is made smaller."""
# ruff: noqa: E501 - forms stand one a line

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from envs.dbbench.engines.port import Table

HOLE = "§"
"""Where a part stands in a form."""
TABLES = (
    Table.of(
        "t x",
        ["Name", "Area (km²)", "Population", "Rank", "Note", "Date", "n"],
        [
            ["Giza", "85,153", "6,272,571", "1", "", "August 15, 2000", "5"],
            ["giza", "6,500", "10", "2", "x", "May 1, 2001", "10"],
            ["Ünal", "12.5", "9", "3", None, "2001-03-04", "9"],
            ["unal", "7%", "100", "21=", "abc", "2004-12-31", "abc"],
            ["O'Neil", "£8.5m", "-3", "T5", "A_b%", "1 May 2002", "-2.5"],
            ["Zoë \\n", "3.14", "1e3", "10", "Ab", "", "0"],
            ["ABC", "abc", "0", " 7", "ab", "None", "00"],
            [None, None, "42", "4", "50%", "2000-02-29 10:11:12", "9"],
        ],
    ),
    Table.of(
        "u",
        ["id", "name", "score", "day"],
        [
            ["1", "Giza", "12", "2001-03-04"],
            ["2", "Unal", "7.5", "2000-02-29"],
            ["3", None, "3", "1999-12-31"],
            ["4", "Bo", "12", None],
            ["5", "Bo", "-1", "2001-03-05"],
        ],
    ),
)
COLUMNS = {
    "t": ("t.Name", "t.`Area (km²)`", "t.Population", "t.`Rank`", "t.Note", "t.`Date`", "t.n"),
    "u": ("u.id", "u.name", "u.score", "u.day"),
}
TEXTS = (
    "'a'",
    "'Giza'",
    "'unal'",
    "''",
    "'10'",
    "'9'",
    "'-2.5'",
    "'1e1'",
    "'abc'",
    "'2001-03-04'",
    "'x y'",
    "'é'",
    "'5abc'",
    "' 7'",
)
PATTERNS = (
    "'%a%'",
    "'a_b'",
    "'%'",
    "'_'",
    "'1%'",
    "'%\\\\%'",
    "'A\\\\_b%'",
    "'%z%'",
    "''",
    "'%5%'",
    "'gi__'",
)
REGEXPS = (
    "'^a'",
    "'[0-9]+'",
    "'a|b'",
    "'^[[:digit:]]+$'",
    "'z{1,2}'",
    "'.b?'",
    "'[^a-z]'",
    "'(gi)z'",
    "'\\\\d$'",
    "'\\\\.'",
    "'^$'",
    "'[[:space:]]'",
)
WHOLES = ("0", "1", "2", "3", "5", "10", "100", "-1", "-7")
EXACTS = ("0.5", "2.50", "1.005", "10.0", "-3.75", "0.1", "99.999")
DOUBLES = ("1e1", "2.5e0", "1.5e-3", "-4e2")
# In MariaDB a remainder of zero keeps a sign, and a constant that is no date equals anything: not drawn.
DAYS = (
    "'2001-03-04'",
    "'2000-02-29'",
    "'2024-01-01 12:34:56'",
    "'1999-12-31'",
    "'2001-01-31'",
    "NULL",
)


@dataclass(frozen=True)
class Part:
    """A piece of a statement: a form with holes, and what stands in them."""

    sort: str
    form: str
    parts: tuple["Part", ...] = ()

    def __str__(self) -> str:
        pieces = self.form.split(HOLE)
        inner = [str(part) for part in self.parts]
        return "".join(a + b for a, b in zip(pieces, [*inner, ""], strict=True))

    @property
    def size(self) -> int:
        """How many pieces it has."""
        return 1 + sum(part.size for part in self.parts)


class Statements:
    """Draws statements.

    Args:
        seed: What they are drawn from.
    """

    def __init__(self, seed: str) -> None:
        self._draw = random.Random(seed)
        self._tables = ("t",)

    def statement(self) -> Part:
        """One statement."""
        self._tables = ("t",)
        makers: dict[Callable[[], Part], int] = {
            self._select: 8,
            self._grouped: 4,
            self._joined: 3,
            self._union: 2,
            self._window: 3,
            self._insert: 2,
            self._update: 3,
            self._delete: 2,
            self._nested: 2,
            self._flat: 3,
            self._shaped: 3,
        }
        return self._draw.choices(list(makers), list(makers.values()))[0]()

    def _flat(self) -> Part:
        """Operators beside each other without parentheses: how strongly they hold is what counts."""
        if self._draw.random() < 0.5:
            leaves = ("1", "2", "7", "3.5", "t.n", "t.n + 0", "-2", "5")
            signs = ("+", "-", "*", "/", "DIV", "&", "|", "<<", "^")
        else:
            leaves = (
                "t.n",
                "1",
                "t.Name LIKE 'g%'",
                "t.Note IS NULL",
                "NOT t.n",
                "t.n IN (5, 9)",
                "0",
                "t.n = 9",
                "NULL",
                "t.n BETWEEN 5 AND 9",
            )
            signs = ("AND", "OR", "XOR", "=", "<>", "<", "<=>", ">=", "&&", "||")
        count = self._draw.choice((2, 3, 4, 5))
        parts = tuple(Part("flat", self._pick(*leaves)) for _ in range(count))
        form = HOLE + "".join(f" {self._pick(*signs)} {HOLE}" for _ in parts[1:])
        return self._make("statement", "SELECT t.Population, § FROM `t x` AS t", Part("any", form, parts))

    def _shaped(self) -> Part:
        """Statements of a fixed shape with drawn parts."""
        text, number, truth = self.text(1), self.number(1), self.truth(1)
        column = self._column()
        choices: list[Callable[[], Part]] = [
            lambda: self._make("statement", "SELECT COUNT(DISTINCT §, §) FROM `t x` AS t", column, text),
            lambda: self._make(
                "statement",
                "SELECT GROUP_CONCAT(DISTINCT § ORDER BY 1 * t.n DESC, t.Population SEPARATOR '|') FROM `t x` AS t WHERE t.n = 9",
                Part("text", "t.Population"),
            ),
            lambda: self._make(
                "statement",
                "SELECT t.Population, (SELECT COUNT(*) FROM u AS v WHERE v.score > §) FROM `t x` AS t",
                number,
            ),
            lambda: self._make(
                "statement",
                "SELECT t.Population FROM `t x` AS t WHERE EXISTS (SELECT 1 FROM u AS v WHERE v.name = t.Name AND §)",
                truth,
            ),
            lambda: self._make(
                "statement",
                "SELECT t.Name FROM `t x` AS t WHERE (t.Name, t.n) IN (SELECT v.name, § FROM u AS v)",
                Part("text", self._pick("v.score", "'5'", "t.n")),
            ),
            lambda: self._make(
                "statement",
                "WITH x (p, q) AS (SELECT §, § FROM `t x` AS t) SELECT x.p, x.q FROM x",
                text,
                number,
            ),
            lambda: self._make(
                "statement",
                "WITH RECURSIVE x (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM x WHERE k < §) SELECT COUNT(*), SUM(k) FROM x",
                Part("number", self._pick("1", "5", "10")),
            ),
            lambda: self._make(
                "statement",
                "SELECT a.name, b.name FROM u AS a, u AS b WHERE a.id < b.id AND a.score § b.score",
                Part("sign", self._pick("=", "<", "<=>", "<>")),
            ),
            lambda: self._make(
                "statement",
                f"SELECT u.name, w.n FROM u {self._pick('LEFT ', '', 'RIGHT ')}JOIN (SELECT t.Name AS name, § AS n FROM `t x` AS t) AS w ON u.name = w.name",
                number,
            ),
            lambda: self._make(
                "statement",
                f"SELECT COUNT(*) FROM u AS a {self._pick('NATURAL JOIN', 'NATURAL LEFT JOIN')} u AS b",
            ),
            lambda: self._make(
                "statement", "SELECT name, a.score, b.id FROM u AS a JOIN u AS b USING (name)"
            ),
            lambda: self._make(
                "statement",
                f"SELECT § AS k FROM `t x` AS t UNION {self._pick('', 'ALL ')}SELECT v.score FROM u AS v ORDER BY {self._pick('1', 'k', 'k DESC')}",
                self._draw.choice((text, number)),
            ),
            lambda: self._make(
                "statement",
                "(SELECT v.score FROM u AS v ORDER BY v.id LIMIT 2) UNION ALL (SELECT § FROM `t x` AS t)",
                text,
            ),
            lambda: self._make(
                "statement",
                "UPDATE u SET score = §, day = score WHERE id IN ('1', '4')",
                Part(
                    "number",
                    self._pick(
                        "score + 1",
                        "score * 1.5",
                        "NULL",
                        "7 / 2",
                        "'x'",
                        "UPPER(name)",
                        "id = 1",
                        "NOT id",
                        "id IS NULL",
                        "id BETWEEN 1 AND 2",
                    ),
                ),
            ),
            lambda: self._make(
                "statement",
                "UPDATE u SET name = § ORDER BY id + 0 DESC LIMIT 2",
                Part("text", self._pick("'n'", "CONCAT(name, '!')", "LOWER(name)")),
            ),
            lambda: self._make(
                "statement",
                "DELETE FROM u WHERE § ORDER BY id + 0 LIMIT 2",
                Part(
                    "truth",
                    self._pick(
                        "score > 1",
                        "name IS NOT NULL",
                        "name NOT LIKE 'b%'",
                        "day NOT BETWEEN '2000' AND '2001-03-04'",
                        "id NOT IN (1, 2)",
                        "NOT EXISTS (SELECT 1 FROM `t x` AS t WHERE t.Name = u.name)",
                    ),
                ),
            ),
            lambda: self._make(
                "statement",
                f"INSERT INTO u {self._pick('SET id = §', '(id) VALUES (§), (DEFAULT), (NULL)', '(id) VALUES (§) ON DUPLICATE KEY UPDATE id = 1', '(id) SELECT §')}",
                Part(
                    "any",
                    self._pick(
                        "1",
                        "'x'",
                        "1.50",
                        "2e1",
                        "7 / 2",
                        "1 = 1",
                        "CONCAT('a', 1.0)",
                        "x'41'",
                        "-5",
                        "1 + 1.0",
                        "ROUND(2.567, 2)",
                        "NOW()",
                        "DATE('2001-01-01')",
                    ),
                ),
            ),
            lambda: self._make(
                "statement",
                "SELECT t.Name, COUNT(*) AS c, SUM(§) FROM `t x` AS t GROUP BY t.Name HAVING c > 1 OR SUM(t.n) > 4 ORDER BY c DESC, 1",
                number,
            ),
            lambda: self._make(
                "statement",
                "SELECT LENGTH(t.Name) AS k, MAX(§), MIN(§) FROM `t x` AS t GROUP BY 1 ORDER BY 1 DESC",
                number,
                text,
            ),
            lambda: self._make(
                "statement",
                f"SELECT t.Population, {self._pick('FIRST_VALUE(§)', 'LAST_VALUE(§)', 'NTH_VALUE(§, 2)', 'LEAD(§)', 'LAG(§, 2)', 'MAX(§)', 'SUM(§)')} OVER w FROM `t x` AS t WINDOW w AS (ORDER BY t.Population, t.Name, t.n)",
                self._draw.choice((text, number)),
            ),
            lambda: self._make(
                "statement",
                "SELECT t.Population, ROUND(PERCENT_RANK() OVER (ORDER BY LENGTH(§)), 5), ROUND(CUME_DIST() OVER (ORDER BY LENGTH(t.Name)), 5) FROM `t x` AS t",
                column,
            ),
            lambda: self._make(
                "statement",
                "SELECT § REGEXP §, § NOT REGEXP §",
                Part("text", self._pick("'abc'", "'a1'", "''", "'A.b'", "NULL", "'x y'", "'(a)'")),
                Part(
                    "text",
                    self._pick(
                        *REGEXPS,
                        "'\\\\('",
                        "'[a-c]+$'",
                        "'[[:alnum:]_]+'",
                        "'a{2}'",
                        "'a.?c'",
                        "'^(a|b)*$'",
                        "'[.]'",
                        "'[^[:alpha:]]'",
                        "'\\\\w\\\\W'",
                        "'x*'",
                        "'(?:ab)+'",
                    ),
                ),
                Part("text", self._pick("'abc'", "'a-b'", "5", "'10'")),
                Part("text", self._pick(*REGEXPS)),
            ),
            lambda: self._make(
                "statement",
                f"SELECT REGEXP_{self._pick('REPLACE', 'REPLACE')}(§, §, 'x'), REGEXP_INSTR(§, 'b')",
                Part("text", self._pick("'abcabc'", "'a1b2'", "NULL")),
                Part("text", self._pick("'[a-b]'", "'\\d'", "'c'", "'z'")),
                Part("text", self._pick("'abc'", "'xyz'", "''")),
            ),
            lambda: self._make(
                "statement",
                "SELECT CONV(§, 10, §), CONV('ff', 16, 2), FROM_DAYS(§), MAKEDATE(2001, §)",
                Part("number", self._pick("255", "'12'", "-1", "NULL")),
                Part("number", self._pick("2", "16", "36")),
                Part("number", self._pick("730000", "731000.6")),
                Part("number", self._pick("1", "366", "0")),
            ),
            lambda: self._make(
                "statement",
                "SELECT CHAR(65, § USING utf8mb4), ASCII('é'), HEX('é'), SPACE(§), BIT_COUNT(§), SHA2('a', §), x'4142', PI(), DEGREES(1), ATAN2(1, §), LOG(2, §)",
                *(Part("number", self._pick("66", "2", "3", "0", "256", "1")) for _ in range(6)),
            ),
        ]
        return self._draw.choice(choices)()

    def _pick(self, *choices: str) -> str:
        return self._draw.choice(choices)

    def _column(self) -> Part:
        return Part("text", self._pick(*COLUMNS[self._draw.choice(self._tables)]))

    def _make(self, sort: str, form: str, *parts: Part) -> Part:
        return Part(sort, form, parts)

    def any(self, depth: int) -> Part:
        """An expression of any type."""
        make = self._draw.choices(
            (self.text, self.number, self.truth, self.day, self.mixed), (5, 5, 2, 2, 3)
        )[0]
        return make(depth)

    def text(self, depth: int) -> Part:
        """A text."""
        if depth <= 0 or self._draw.random() < 0.25:
            return self._column() if self._draw.random() < 0.7 else Part("text", self._pick(*TEXTS, "NULL"))
        text, number = (lambda: self.text(depth - 1)), (lambda: self.number(depth - 1))
        small = Part("number", self._pick("0", "1", "2", "3", "-1", "-2", "5"))
        choices: list[Callable[[], Part]] = [
            lambda: self._make(
                "text",
                f"{self._pick('UPPER', 'LOWER', 'REVERSE', 'TRIM', 'LTRIM', 'RTRIM', 'UCASE', 'LCASE')}(§)",
                text(),
            ),
            lambda: self._make("text", "CONCAT(§, §)", self.any(depth - 1), text()),
            lambda: self._make("text", "CONCAT(§)", number()),
            lambda: self._make(
                "text",
                "CONCAT_WS(§, §, §)",
                Part("text", self._pick("'-'", "','", "''")),
                text(),
                self.any(depth - 1),
            ),
            lambda: self._make("text", f"{self._pick('LEFT', 'RIGHT')}(§, §)", text(), small),
            lambda: self._make(
                "text",
                f"{self._pick('SUBSTRING', 'SUBSTR', 'MID')}(§, §, §)",
                text(),
                small,
                Part("number", self._pick("1", "2", "3", "0")),
            ),
            lambda: self._make("text", "SUBSTRING(§ FROM §)", text(), small),
            lambda: self._make(
                "text",
                "SUBSTRING_INDEX(§, §, §)",
                text(),
                Part("text", self._pick("','", "' '", "'a'", "''")),
                small,
            ),
            lambda: self._make(
                "text",
                "REPLACE(§, §, §)",
                text(),
                Part("text", self._pick("','", "'a'", "''", "'A'")),
                Part("text", self._pick("''", "'é'", "'aa'")),
            ),
            lambda: self._make(
                "text",
                f"{self._pick('LPAD', 'RPAD')}(§, §, §)",
                text(),
                Part("number", self._pick("0", "3", "8", "-1")),
                Part("text", self._pick("'*'", "'ab'", "''")),
            ),
            lambda: self._make(
                "text",
                f"TRIM({self._pick('LEADING', 'TRAILING', 'BOTH')} § FROM §)",
                Part("text", self._pick("'0'", "'a'", "' '")),
                text(),
            ),
            lambda: self._make("text", "REPEAT(§, §)", text(), small),
            lambda: self._make("text", "INSERT(§, §, §, §)", text(), small, small, text()),
            lambda: self._make(
                "text", f"CONCAT(CAST(§ AS {self._pick('CHAR', 'CHAR(4)', 'CHAR(1)')}))", self.any(depth - 1)
            ),
            lambda: self._make("text", "HEX(§)", number()),
            lambda: self._make("text", f"{self._pick('MD5', 'SHA1', 'QUOTE')}(§)", text()),
            lambda: self._make("text", "FORMAT(§, §)", number(), Part("number", self._pick("0", "1", "2"))),
            lambda: self._make("text", "ELT(§, §, §)", small, text(), text()),
            lambda: self._make("text", f"{self._pick('BIN', 'OCT')}(§)", number()),
            lambda: self._make(
                "text",
                "DATE_FORMAT(§, §)",
                self.day(depth - 1),
                Part("text", self._pick("'%Y-%m-%d'", "'%W %e %M %y'", "'%H:%i:%s %p'", "'%D %b %j'")),
            ),
            lambda: self._make(
                "text", f"CONCAT({self._pick('DAYNAME', 'MONTHNAME')}(§))", self.day(depth - 1)
            ),
            lambda: self._make("text", "§ COLLATE utf8mb4_bin", text()),
        ]
        return self._draw.choice(choices)()

    def number(self, depth: int) -> Part:
        """A number."""
        if depth <= 0 or self._draw.random() < 0.2:
            return Part("number", self._pick(*WHOLES, *WHOLES, *EXACTS, *DOUBLES, "NULL"))
        text, number = (lambda: self.text(depth - 1)), (lambda: self.number(depth - 1))
        digits = Part("number", self._pick("0", "1", "2", "-1"))
        choices: list[Callable[[], Part]] = [
            lambda: self._make("number", "§ + 0", self._column()),
            lambda: self._make(
                "number", f"(§ {self._pick('+', '-', '*', '/', 'DIV')} §)", number(), number()
            ),
            lambda: self._make(
                "number", f"(ABS(§) {self._pick('+', '-', '*', '/', 'DIV', '%', 'MOD')} §)", text(), number()
            ),
            lambda: self._make(
                "number",
                f"(§ {self._pick('&', '|', '^', '<<', '>>')} §)",
                number(),
                Part("number", self._pick("0", "1", "3", "7", "2.5")),
            ),
            lambda: self._make("number", "-§", self._column()),
            lambda: self._make("number", "-(§)", number()),
            lambda: self._make(
                "number",
                f"{self._pick('ABS', 'SIGN', 'FLOOR', 'CEIL', 'CEILING', 'ROUND')}(§)",
                self._draw.choice((number, text))(),
            ),
            lambda: self._make("number", f"{self._pick('ROUND', 'TRUNCATE')}(§, §)", number(), digits),
            lambda: self._make("number", f"{self._pick('LENGTH', 'CHAR_LENGTH', 'ORD', 'CRC32')}(§)", text()),
            lambda: self._make(
                "number", f"{self._pick('LOCATE', 'INSTR', 'STRCMP', 'FIND_IN_SET')}(§, §)", text(), text()
            ),
            lambda: self._make("number", "POSITION(§ IN §)", text(), text()),
            lambda: self._make("number", "FIELD(§, §, §)", self.any(depth - 1), self.any(depth - 1), text()),
            lambda: self._make(
                "number",
                f"CAST(§ AS {self._pick('SIGNED', 'DECIMAL(10,2)', 'DECIMAL', 'DECIMAL(5,1)', 'DOUBLE')})",
                self._draw.choice((number, text))(),
            ),
            lambda: self._make("number", "MOD(ABS(§), §)", number(), number()),
            lambda: self._make(
                "number",
                f"{self._pick('SQRT', 'EXP', 'LN', 'LOG10', 'SIN', 'RADIANS')}(§)",
                Part("number", self._pick("1", "2.5", "0", "-1")),
            ),
            lambda: self._make("number", f"{self._pick('POW', 'POWER')}(§, 2)", number()),
            lambda: self._make(
                "number",
                f"{self._pick('YEAR', 'MONTH', 'DAY', 'QUARTER', 'WEEKDAY', 'DAYOFWEEK', 'DAYOFYEAR', 'HOUR', 'MINUTE', 'SECOND', 'TO_DAYS')}(§)",
                self.day(depth - 1),
            ),
            lambda: self._make(
                "number",
                f"EXTRACT({self._pick('YEAR', 'MONTH', 'DAY', 'HOUR')} FROM DATE(§))",
                self.day(depth - 1),
            ),
            lambda: self._make("number", "DATEDIFF(§, §)", self.day(depth - 1), self.day(depth - 1)),
            lambda: self._make(
                "number",
                f"TIMESTAMPDIFF({self._pick('DAY', 'MONTH', 'YEAR', 'HOUR', 'QUARTER')}, §, §)",
                self.day(depth - 1),
                self.day(depth - 1),
            ),
            lambda: self._make("number", f"{self._pick('GREATEST', 'LEAST')}(§, §)", number(), number()),
            lambda: self._make("number", "~§ & 255", Part("number", self._pick("0", "1", "5"))),
        ]
        return self._draw.choice(choices)()

    def day(self, depth: int) -> Part:
        """A date."""
        if depth <= 0 or self._draw.random() < 0.4:
            return Part("day", self._pick(*DAYS, *(("u.day",) if "u" in self._tables else ("t.`Date`",))))
        inner = self.day(depth - 1)
        step = Part("number", self._pick("1", "-1", "31", "400"))
        unit = self._pick("DAY", "MONTH", "YEAR", "WEEK", "HOUR", "QUARTER", "MINUTE")
        return self._draw.choice(
            (
                self._make("day", "DATE(§)", inner),
                self._make("day", "LAST_DAY(§)", inner),
                self._make("day", f"DATE_ADD(§, INTERVAL § {unit})", inner, step),
                self._make("day", f"DATE_SUB(§, INTERVAL § {unit})", inner, step),
                self._make("day", f"§ + INTERVAL § {unit}", inner, step),
                self._make("day", "CAST(§ AS DATE)", inner),
                Part("day", self._pick("NOW()", "CURDATE()", "CURRENT_TIMESTAMP", "SYSDATE()")),
                self._make(
                    "day", "STR_TO_DATE(§, '%M %d, %Y')", Part("text", self._pick("'May 1, 2001'", "'x'"))
                ),
            )
        )

    def mixed(self, depth: int) -> Part:
        """An expression whose type depends on its parts."""
        if depth <= 0:
            return self.text(0)
        one, other = self.any(depth - 1), self.any(depth - 1)
        return self._draw.choice(
            (
                self._make("any", "IF(§, §, §)", self.truth(depth - 1), one, other),
                self._make("any", "IFNULL(§, §)", one, other),
                self._make("any", "NULLIF(§, §)", one, other),
                self._make("any", "COALESCE(§, §, §)", one, other, self.text(depth - 1)),
                self._make("any", "CASE WHEN § THEN § ELSE § END", self.truth(depth - 1), one, other),
                self._make("any", "CASE § WHEN § THEN § END", self.text(depth - 1), self.any(depth - 1), one),
                self._make("any", "CASE WHEN § THEN § END", self.truth(depth - 1), one),
                self._make("any", "GREATEST(§, §)", self.text(depth - 1), self.text(depth - 1)),
            )
        )

    def truth(self, depth: int) -> Part:
        """A condition."""
        text, number = (lambda: self.text(depth - 1)), (lambda: self.number(depth - 1))
        negated = self._pick("", "NOT ")
        if depth <= 0:
            sign = self._pick("=", "<", ">", "<>", "<=", ">=", "<=>")
            return self._make(
                "truth", f"§ {sign} §", self._column(), self._draw.choice((self.text, self.number))(0)
            )
        either = lambda: self.any(depth - 1)  # noqa: E731
        choices: list[Callable[[], Part]] = [
            lambda: self._make(
                "truth", f"§ {self._pick('=', '<', '>', '<>', '!=', '<=', '>=', '<=>')} §", either(), either()
            ),
            lambda: self._make("truth", f"§ {self._pick('=', '<', '>')} §", self._column(), number()),
            lambda: self._make(
                "truth",
                f"§ {negated}LIKE §",
                self._draw.choice((text, number))(),
                Part("text", self._pick(*PATTERNS)),
            ),
            lambda: self._make(
                "truth",
                f"§ {negated}LIKE § ESCAPE '!'",
                text(),
                Part("text", self._pick("'%!_%'", "'a!%'", "'%!%'", "'_!!'")),
            ),
            lambda: self._make(
                "truth",
                f"§ {negated}{self._pick('REGEXP', 'RLIKE')} §",
                text(),
                Part("text", self._pick(*REGEXPS)),
            ),
            lambda: self._make("truth", f"§ {negated}BETWEEN § AND §", text(), text(), text()),
            lambda: self._make(
                "truth",
                f"§ {negated}BETWEEN § AND §",
                self._draw.choice((text, number))(),
                number(),
                number(),
            ),
            lambda: self._make("truth", f"§ {negated}IN (§, §)", text(), text(), text()),
            lambda: self._make("truth", f"§ {negated}IN (§, §, §)", either(), number(), text(), text()),
            lambda: self._make(
                "truth",
                f"§ IS {negated}{self._pick('NULL', 'TRUE', 'FALSE', 'UNKNOWN')}",
                self._draw.choice((text, number, lambda: self.truth(depth - 1)))(),
            ),
            lambda: self._make(
                "truth",
                f"(§ {self._pick('AND', 'OR', 'XOR', '&&', '||')} §)",
                self.truth(depth - 1),
                self.truth(depth - 1),
            ),
            lambda: self._make(
                "truth",
                f"{self._pick('NOT ', '!')}(§)",
                self._draw.choice((self.truth, self.text))(depth - 1),
            ),
            lambda: self._make("truth", "ISNULL(§)", either()),
            lambda: self._make("truth", f"{negated}EXISTS (SELECT 1 FROM u AS v WHERE v.name = §)", text()),
            lambda: self._make(
                "truth",
                f"§ {negated}IN (SELECT v.{self._pick('name', 'score', 'id')} FROM u AS v)",
                self._draw.choice((text, number))(),
            ),
            lambda: self._make(
                "truth",
                f"§ {self._pick('=', '<', '>', '<>')} {self._pick('ANY', 'ALL', 'SOME')} (SELECT v.score{self._pick('', ' + 0')} FROM u AS v)",
                self._draw.choice((text, number))(),
            ),
            lambda: self._make("truth", "IF((§, §) = (§, §), 1, 0)", text(), number(), text(), number()),
        ]
        return self._draw.choice(choices)()

    def _where(self, depth: int) -> Part:
        if self._draw.random() < 0.35:
            return Part("clause", "")
        return self._make("clause", " WHERE §", self.truth(depth))

    def _listed(self, items: list[Part]) -> Part:
        return Part("items", ", ".join([HOLE] * len(items)), tuple(items))

    def _ends(self, count: int) -> str:
        if self._draw.random() < 0.5:
            return ""
        direction = self._pick("", " DESC", " ASC")
        keys = ", ".join(f"{place}{direction}" for place in range(1, count + 1))
        return f" ORDER BY {keys}" + self._pick("", "", " LIMIT 3", " LIMIT 2 OFFSET 1", " LIMIT 1, 2")

    def _select(self) -> Part:
        items = [self.any(3) for _ in range(self._draw.choice((1, 1, 2, 3)))]
        unique = self._pick("", "", "", "DISTINCT ")
        ends = self._ends(len(items))
        # MariaDB takes an OFFSET of a DISTINCT constant for none.
        ends = ends.partition(" LIMIT")[0] if unique else ends
        form = f"SELECT {unique}§ FROM `t x` AS t§{ends}"
        return self._make("statement", form, self._listed(items), self._where(2))

    def _aggregate(self) -> Part:
        # MariaDB's MIN of dates takes what is no date for a zero.
        inner = self._draw.choice((self.text, self.number))(2)
        return self._draw.choice(
            (
                Part("number", "COUNT(*)"),
                self._make("number", f"{self._pick('COUNT', 'SUM', 'AVG', 'MIN', 'MAX')}(§)", inner),
                self._make("number", f"{self._pick('SUM', 'AVG', 'MIN', 'MAX')}(§)", self.number(2)),
                self._make("number", f"{self._pick('COUNT', 'SUM')}(DISTINCT §)", inner),
                self._make(
                    "number",
                    "GROUP_CONCAT(§ ORDER BY 1 * t.n, t.Population SEPARATOR ';')",
                    Part("text", "t.Population"),
                ),
                self._make(
                    "number", f"{self._pick('STD', 'VARIANCE', 'STDDEV_SAMP', 'VAR_POP')}(§)", self.number(1)
                ),
                self._make(
                    "number",
                    f"(§ {self._pick('+', '*', '/', '-')} §)",
                    self._make("number", f"{self._pick('COUNT', 'SUM', 'AVG')}(§)", self.number(1)),
                    Part("number", self._pick(*WHOLES, *EXACTS)),
                ),
                self._make("number", "ROUND(AVG(§), 2)", self.number(2)),
            )
        )

    def _grouped(self) -> Part:
        items = [self._aggregate() for _ in range(self._draw.choice((1, 2, 3)))]
        if self._draw.random() < 0.4:
            return self._make("statement", "SELECT § FROM `t x` AS t§", self._listed(items), self._where(2))
        key = self._draw.choice((self._column, lambda: self.text(1), lambda: self.number(1)))()
        having = self._pick("", "", " HAVING COUNT(*) > 1", " HAVING c IS NOT NULL", " HAVING k <> 'x'")
        form = f"SELECT § AS k, §, COUNT(*) AS c FROM `t x` AS t§ GROUP BY k{having}"
        return self._make("statement", form, key, self._listed(items), self._where(1))

    def _joined(self) -> Part:
        self._tables = ("t", "u")
        kind = self._pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "INNER JOIN", "CROSS JOIN")
        items = [self.any(2) for _ in range(self._draw.choice((1, 2)))]
        on = self._draw.choice(
            (Part("truth", "t.Name = u.name"), Part("truth", "t.n > u.score"), self.truth(1))
        )
        form = f"SELECT § FROM `t x` AS t {kind} u ON §§{self._ends(len(items))}"
        return self._make("statement", form, self._listed(items), on, self._where(1))

    def _union(self) -> Part:
        word = self._pick("UNION", "UNION ALL", "UNION", "INTERSECT", "EXCEPT")
        one, other = self.any(2), self.any(2)
        form = f"SELECT § AS a FROM `t x` AS t§ {word} SELECT § FROM `t x` AS t§"
        return self._make("statement", form, one, self._where(1), other, self._where(1))

    def _window(self) -> Part:
        over = self._pick(
            "ORDER BY t.n + 0, t.Name, t.Population",
            "PARTITION BY LENGTH(t.Name) ORDER BY t.Population, t.Name, t.n",
            "ORDER BY t.Population DESC, t.Name, t.n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
            "PARTITION BY t.Name",
        )
        if "ORDER" in over and "ROWS" not in over:
            ranked = Part(
                "number",
                self._pick("ROW_NUMBER()", "RANK()", "DENSE_RANK()", "NTILE(3)", "LAG(t.n)", "LEAD(t.n, 2)"),
            )
        else:
            ranked = Part("number", "COUNT(*)")
        # MariaDB cuts a windowed AVG of a short literal to the literal's width: AVG is of texts here.
        name = self._pick("SUM", "AVG", "COUNT", "MIN", "MAX")
        summed = self._make("number", f"{name}(§)", self.text(1) if name == "AVG" else self.number(2))
        called = self._draw.choice((ranked, summed))
        form = f"SELECT t.Population, § OVER ({over}) FROM `t x` AS t§"
        return self._make("statement", form, called, self._where(1))

    def _nested(self) -> Part:
        inner = self.any(2)
        while any(word in str(inner) for word in ("GREATEST", "LEAST", "INTERVAL", "AS CHAR")):
            # These have another value as a number than as a text, also through a query around them.
            inner = self.any(2)
        outer = self._pick("x.a", "x.a + 0", "CONCAT(x.a)", "COUNT(x.a)", "MAX(x.a)", "x.a * 2", "SUM(x.a)")
        unique = self._pick("", "DISTINCT ")
        form = self._pick(
            f"SELECT {outer} FROM (SELECT {unique}§ AS a FROM `t x` AS t§) AS x",
            f"WITH x AS (SELECT {unique}§ AS a FROM `t x` AS t§) SELECT {outer} FROM x",
            "SELECT (SELECT MAX(v.score) FROM u AS v WHERE v.name = t.Name), § FROM `t x` AS t§",
        )
        return self._make("statement", form, inner, self._where(1))

    def _insert(self) -> Part:
        if self._draw.random() < 0.5:
            form = "INSERT INTO u (name, score) SELECT §, § FROM `t x` AS t§"
            return self._make("statement", form, self.any(2), self.any(2), self._where(1))
        self._tables = ()
        values = [self._constant() for _ in range(4)]
        return self._make(
            "statement", f"{self._pick('INSERT', 'REPLACE')} INTO u VALUES (§)", self._listed(values)
        )

    def _constant(self) -> Part:
        literals = (*TEXTS, *WHOLES, *EXACTS, *DOUBLES, "NULL", "TRUE", "DEFAULT")
        return self._draw.choice(
            (
                Part("any", self._pick(*literals)),
                self._make(
                    "any",
                    f"§ {self._pick('+', '*', '/', '-')} §",
                    Part("number", self._pick(*WHOLES, *EXACTS)),
                    Part("number", self._pick(*WHOLES, *EXACTS)),
                ),
                self._make(
                    "any",
                    "CONCAT(§, §)",
                    Part("text", self._pick(*TEXTS)),
                    Part("number", self._pick(*EXACTS)),
                ),
                self._make("any", "ROUND(§, 1)", Part("number", self._pick(*EXACTS))),
            )
        )

    def _update(self) -> Part:
        column = self._pick("Name", "Note", "n", "Population")
        form = f"UPDATE `t x` AS t SET t.{column} = §§"
        return self._make("statement", form, self.any(2), self._where(2))

    def _delete(self) -> Part:
        self._tables = ()
        text = str(self._where_plain())
        return Part("statement", f"DELETE FROM `t x`{text}")

    def _where_plain(self) -> str:
        self._tables = ("t",)
        return str(self._where(2)).replace("t.", "")


def shrink(statement: Part, differs: Callable[[Part], bool], tries: int = 400) -> Part:
    """A smaller statement that still differs, as far as so many tries go."""
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for candidate in sorted(_smaller(statement), key=lambda part: part.size):
            if candidate.size > statement.size or tries <= 0:
                break
            tries -= 1
            if differs(candidate):
                statement, smaller = candidate, True
                break
    return statement


def _smaller(part: Part) -> Iterator[Part]:
    for place, inner in enumerate(part.parts):
        for less in _instead(inner):
            yield Part(part.sort, part.form, (*part.parts[:place], less, *part.parts[place + 1 :]))
        for less in _smaller(inner):
            yield Part(part.sort, part.form, (*part.parts[:place], less, *part.parts[place + 1 :]))


def _instead(part: Part) -> Iterator[Part]:
    """What can stand where a part stands."""
    if part.sort == "clause" and part.form:
        yield Part("clause", "")
    elif part.sort == "items":
        for place in range(len(part.parts) if len(part.parts) > 1 else 0):
            rest = part.parts[:place] + part.parts[place + 1 :]
            yield Part("items", ", ".join([HOLE] * len(rest)), rest)
    elif part.parts:
        yield from part.parts
        yield {"number": Part("number", "1"), "truth": Part("truth", "1 = 1")}.get(
            part.sort, Part("text", "'a'")
        )


def test_statements_repeat_and_shrink() -> None:
    one, other = Statements("a"), Statements("a")
    drawn = [str(one.statement()) for _ in range(300)]
    assert drawn == [str(other.statement()) for _ in range(300)]
    assert len(set(drawn)) > 250
    found = next(
        part
        for part in (one.statement() for _ in range(2000))
        if "REVERSE(" in str(part) and part.size > 6 and str(part).startswith("SELECT")
    )
    least = shrink(found, lambda part: "REVERSE(" in str(part))
    assert "REVERSE(" in str(least)
    assert least.size < found.size
