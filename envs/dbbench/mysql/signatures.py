"""The functions that an agent may call: how many arguments each takes, and the type of what it gives.

The table is what README.md lists. A function of MySQL's that is not in it is refused by name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from envs.dbbench.mysql.decimals import MORE
from envs.dbbench.mysql.kinds import (
    BINARY,
    DATE,
    DATETIME,
    DOUBLE,
    INT,
    TEXT,
    UINT,
    Base,
    Kind,
    decimal,
    double,
    unify,
)

Result = Kind | Callable[[Sequence[Kind]], Kind]
MOST = 100
"""The most arguments of a function."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A function."""

    target: str
    """What it is called as, behind `MY_`."""
    least: int
    most: int
    result: Result
    numbers: frozenset[int] = frozenset()
    """Which arguments are numbers, from 0; -1 for all."""

    def kind(self, kinds: Sequence[Kind]) -> Kind:
        """The type of a call."""
        return self.result if isinstance(self.result, Kind) else self.result(kinds)

    def is_number(self, place: int) -> bool:
        """Whether an argument is taken as a number."""
        return -1 in self.numbers or place in self.numbers


def _first(kinds: Sequence[Kind]) -> Kind:
    return kinds[0] if kinds[0].numeric else DOUBLE


def _step(kinds: Sequence[Kind]) -> Kind:
    return INT if kinds[0].exact else double(0)


def _extreme(kinds: Sequence[Kind]) -> Kind:
    kind = unify(kinds)
    return DOUBLE if kind == TEXT and any(one.numeric for one in kinds) else kind


def _average(kinds: Sequence[Kind]) -> Kind:
    if kinds[0].exact:
        return decimal(kinds[0].scale + MORE)
    return double(kinds[0].scale + MORE) if kinds[0].base is Base.DOUBLE else DOUBLE


def _sum(kinds: Sequence[Kind]) -> Kind:
    return decimal(kinds[0].scale) if kinds[0].exact else _first(kinds)


def _joined(kinds: Sequence[Kind]) -> Kind:
    return BINARY if BINARY in kinds else TEXT


ALL = frozenset((-1,))
FIRST, SECOND = frozenset((0,)), frozenset((1,))


def _same(
    names: str, least: int, most: int, result: Result, numbers: frozenset[int] = frozenset()
) -> dict[str, Signature]:
    return {name: Signature(name, least, most, result, numbers) for name in names.split()}


SIGNATURES: dict[str, Signature] = {
    **_same("ACOS ASIN COS COT DEGREES EXP LN LOG10 LOG2 RADIANS SIN SQRT TAN", 1, 1, DOUBLE, ALL),
    **_same("ATAN LOG", 1, 2, DOUBLE, ALL),
    **_same("POW", 2, 2, DOUBLE, ALL),
    **_same("PI", 0, 0, double(6)),
    **_same("ABS", 1, 1, _first, ALL),
    **_same("CEIL FLOOR", 1, 1, _step, ALL),
    **_same("SIGN BIT_COUNT", 1, 1, INT, ALL),
    **_same("GREATEST LEAST", 2, MOST, _extreme),
    **_same("FORMAT", 2, 2, TEXT, ALL),
    **_same("BIN OCT", 1, 1, TEXT, ALL),
    **_same("ASCII CHAR_LENGTH LENGTH ORD", 1, 1, INT),
    **_same("CONCAT", 1, MOST, _joined),
    **_same("CONCAT_WS", 2, MOST, TEXT),
    **_same("CONV", 3, 3, TEXT),
    **_same("CRC32", 1, 1, UINT),
    **_same("ELT", 2, MOST, lambda kinds: _joined(kinds[1:]), FIRST),
    **_same("FIELD", 2, MOST, INT),
    **_same("FIND_IN_SET INSTR STRCMP", 2, 2, INT),
    **_same("HEX MD5 SHA1", 1, 1, TEXT),
    **_same("INSERT", 4, 4, TEXT),
    **_same("LEFT RIGHT REPEAT", 2, 2, TEXT, SECOND),
    **_same("LOCATE", 2, 3, INT),
    **_same("LOWER UPPER LTRIM RTRIM REVERSE QUOTE", 1, 1, TEXT),
    **_same("LPAD RPAD", 2, 3, TEXT, SECOND),
    **_same("REPLACE", 3, 3, TEXT),
    **_same("SHA2", 2, 2, TEXT, SECOND),
    **_same("SPACE", 1, 1, TEXT, ALL),
    **_same("SUBSTRING_INDEX", 3, 3, TEXT),
    **_same("REGEXP_LIKE", 2, 3, INT),
    **_same("REGEXP_INSTR", 2, 4, INT),
    **_same("REGEXP_SUBSTR", 2, 5, TEXT),
    **_same("REGEXP_REPLACE", 3, 3, TEXT),
    **_same("CURDATE", 0, 0, DATE),
    **_same("NOW", 0, 0, DATETIME),
    **_same("DATE LAST_DAY", 1, 1, DATE),
    **_same("DATEDIFF", 2, 2, INT),
    **_same("DATE_FORMAT", 2, 2, TEXT),
    **_same("DAY DAYOFWEEK DAYOFYEAR HOUR MINUTE MONTH QUARTER SECOND TO_DAYS WEEKDAY YEAR", 1, 1, INT),
    **_same("DAYNAME MONTHNAME", 1, 1, TEXT),
    **_same("FROM_DAYS", 1, 1, DATE, ALL),
    **_same("MAKEDATE", 2, 2, DATE, ALL),
    **_same("UNIX_TIMESTAMP", 0, 0, INT),
}
SIGNATURES |= {
    alias: SIGNATURES[name]
    for alias, name in {
        "ATAN2": "ATAN",
        "CEILING": "CEIL",
        "CHARACTER_LENGTH": "CHAR_LENGTH",
        "CURRENT_DATE": "CURDATE",
        "UTC_DATE": "CURDATE",
        "DAYOFMONTH": "DAY",
        "LCASE": "LOWER",
        "OCTET_LENGTH": "LENGTH",
        "POWER": "POW",
        "SHA": "SHA1",
        "UCASE": "UPPER",
        **dict.fromkeys(
            ("LOCALTIME", "LOCALTIMESTAMP", "SYSDATE", "UTC_TIMESTAMP", "CURRENT_TIMESTAMP"), "NOW"
        ),
    }.items()
}
SPREADS = ("STD", "STDDEV", "STDDEV_POP", "STDDEV_SAMP", "VARIANCE", "VAR_POP", "VAR_SAMP")
AGGREGATES: dict[str, Result] = {
    "COUNT": INT,
    "SUM": _sum,
    "AVG": _average,
    "MIN": lambda kinds: kinds[0],
    "MAX": lambda kinds: kinds[0],
    "ANY_VALUE": lambda kinds: kinds[0],
    **dict.fromkeys(SPREADS, _average),
}
"""The aggregates; GROUP_CONCAT has words among its arguments and a rule of its own."""
RANKS: dict[str, tuple[int, int, Result]] = {
    "ROW_NUMBER": (0, 0, INT),
    "RANK": (0, 0, INT),
    "DENSE_RANK": (0, 0, INT),
    "PERCENT_RANK": (0, 0, DOUBLE),
    "CUME_DIST": (0, 0, DOUBLE),
    "NTILE": (1, 1, INT),
    "LAG": (1, 3, lambda kinds: unify((kinds[0], *kinds[2:]))),
    "LEAD": (1, 3, lambda kinds: unify((kinds[0], *kinds[2:]))),
    "FIRST_VALUE": (1, 1, lambda kinds: kinds[0]),
    "LAST_VALUE": (1, 1, lambda kinds: kinds[0]),
    "NTH_VALUE": (2, 2, lambda kinds: kinds[0]),
}
"""Windows that SQLite has under the same names."""
_KNOWN = """
ADDTIME AES_DECRYPT AES_ENCRYPT BENCHMARK BIT_AND BIT_OR BIT_XOR CHARSET COERCIBILITY COLLATION
COMPRESS CONNECTION_ID CONVERT_TZ CURRENT_ROLE CURRENT_TIME CURRENT_USER CURTIME DEFAULT EXPORT_SET
EXTRACTVALUE FORMAT_BYTES FOUND_ROWS FROM_BASE64 FROM_UNIXTIME GET_FORMAT GET_LOCK GROUPING INET6_ATON
INET6_NTOA INET_ATON INET_NTOA INTERVAL IS_FREE_LOCK IS_IPV4 IS_IPV6 IS_UUID JSON_ARRAY JSON_ARRAYAGG
JSON_CONTAINS JSON_EXTRACT JSON_KEYS JSON_LENGTH JSON_OBJECT JSON_OBJECTAGG JSON_QUOTE JSON_SEARCH
JSON_SET JSON_TYPE JSON_UNQUOTE JSON_VALID JSON_VALUE LAST_INSERT_ID LOAD_FILE MAKETIME MAKE_SET MATCH
MICROSECOND NAME_CONST PERIOD_ADD PERIOD_DIFF RAND RANDOM_BYTES RELEASE_LOCK ROW ROW_COUNT SEC_TO_TIME
SESSION_USER SLEEP SOUNDEX ST_ASTEXT SUBTIME SYSTEM_USER TIME TIMEDIFF TIMESTAMP TIMESTAMPADD TIME_FORMAT
TIME_TO_SEC TO_BASE64 TO_SECONDS UNCOMPRESS UNHEX UPDATEXML USER UTC_TIME UUID UUID_SHORT VALUES VERSION
WEEK WEEKOFYEAR WEIGHT_STRING YEARWEEK
"""
REFUSED = frozenset(_KNOWN.split())
"""Functions of MySQL's that this engine has not; any other name is no function."""
