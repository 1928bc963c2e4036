"""The language of a round's answers: the letters of its choices, and what can be done with an element."""

from envs.mind2web.actions import LETTERS

VALUE = r"[^\n ][^\n]*"
"""What is typed or selected."""


def render_grammar(count: int) -> str:
    """Return the language of a round of so many choices, without `A`."""
    letters = LETTERS[1 : count + 1]
    return f"(?:A|[{letters}] (?:CLICK|(?:TYPE|SELECT) {VALUE}))" if letters else "A"
