"""Languages of actions: the valid actions of a state as a regular expression, which engines hold answers to.

A language is plain: literals, classes, alternatives, groups and repetition. Look-arounds, references to
groups and lazy quantifiers are not known to all engines.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter

MAX_LANGUAGE = 20_000
"""The longest language, characters."""


def _check_pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"this is not a regular expression: {error}") from error
    return text


Language = Annotated[str, Field(max_length=MAX_LANGUAGE), AfterValidator(_check_pattern)]
"""A regular expression that the whole of an action matches; empty: unknown."""
LANGUAGE: TypeAdapter[str] = TypeAdapter(Language)
"""Checks a language."""
