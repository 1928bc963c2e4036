"""Text of models and environments, made safe for a terminal."""

import unicodedata

_KEPT = "\n\t"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that a terminal acts on or does not show: controls, formats, surrogates, separators."""


def plain(text: str) -> str:
    r"""Return a text in which everything invisible is written out, such as `\\x1b` for an escape.

    Otherwise what an agent prints could move the cursor, rewrite lines, set the title, or turn text around.
    """
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in _HIDDEN
        else character.encode("unicode_escape", "backslashreplace").decode()
        for character in text
    )
