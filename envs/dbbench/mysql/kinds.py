"""The types of expressions, as MySQL gives them: what a comparison, a CASE or a UNION makes of its parts.

SQLite has no DECIMAL and no DATE. `decimals.py` stores decimals; moments are ISO texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

NOT_FIXED = 31
"""The scale of a DOUBLE that is shown with all its digits."""
MOST_DECIMALS = 30
"""The largest scale of a DECIMAL (MySQL; 38 in MariaDB)."""


class Base(StrEnum):
    """A type without its scale."""

    NULL = "null"
    INT = "int"
    UINT = "uint"
    DECIMAL = "decimal"
    DOUBLE = "double"
    TEXT = "text"
    BINARY = "binary"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True)
class Kind:
    """A type."""

    base: Base
    scale: int = 0
    """Decimals of a DECIMAL, or of a DOUBLE that is shown with so many (the result of ROUND, FLOOR ...)."""

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.base in (Base.INT, Base.UINT, Base.DECIMAL, Base.DOUBLE)

    @property
    def exact(self) -> bool:
        """Whether its values are integers or decimals."""
        return self.base in (Base.INT, Base.UINT, Base.DECIMAL)

    @property
    def whole(self) -> bool:
        """Whether its values are integers."""
        return self.base in (Base.INT, Base.UINT)

    @property
    def texts(self) -> bool:
        """Whether its values are texts or binary strings."""
        return self.base in (Base.TEXT, Base.BINARY)

    @property
    def moment(self) -> bool:
        """Whether its values are dates or times."""
        return self.base in (Base.DATE, Base.TIME, Base.DATETIME)


NULL, INT, UINT = Kind(Base.NULL), Kind(Base.INT), Kind(Base.UINT)
DOUBLE, TEXT, BINARY = Kind(Base.DOUBLE, NOT_FIXED), Kind(Base.TEXT), Kind(Base.BINARY)
DATE, TIME, DATETIME = Kind(Base.DATE), Kind(Base.TIME), Kind(Base.DATETIME)


def decimal(scale: int) -> Kind:
    """A DECIMAL with so many decimals."""
    return Kind(Base.DECIMAL, max(0, min(scale, MOST_DECIMALS)))


def double(scale: int) -> Kind:
    """A DOUBLE that is shown with so many decimals."""
    return Kind(Base.DOUBLE, max(0, min(scale, NOT_FIXED)))


def unify(kinds: Sequence[Kind]) -> Kind:
    """The type of a CASE, an IF, a COALESCE or a column of a UNION whose parts have these types."""
    found = {kind for kind in kinds if kind.base is not Base.NULL}
    if not found:
        return NULL
    if len(found) == 1:
        return next(iter(found))
    bases = {kind.base for kind in found}
    if bases <= {Base.INT, Base.UINT, Base.DECIMAL}:
        return decimal(max(kind.scale for kind in found))
    if all(kind.numeric for kind in found):
        return double(max(kind.scale for kind in found))
    if bases == {Base.DATE, Base.DATETIME}:
        return DATETIME
    return BINARY if Base.BINARY in bases else TEXT
