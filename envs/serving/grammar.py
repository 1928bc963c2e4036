"""The languages of environments: which actions are valid now, as a regular expression.

An environment may have a method `grammar`; without it, its sessions have no language. The patterns are plain
(`services.contracts.language`). The helpers write the same text for the same names: an engine keeps what it
has compiled by the text.
"""

import re
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import structlog
from pydantic import ValidationError

from envs.serving.environment import Environment, InstanceLostError
from services.contracts.language import LANGUAGE

SIGNS = re.compile(r"[\\^$.|?*+()\[\]{}]")
"""What means something in a pattern. `re.escape` escapes more than some engines read."""
log = structlog.get_logger()


@runtime_checkable
class HasGrammar(Protocol):
    """An environment that knows the language of the valid actions."""

    def grammar(self, handle: str) -> str:
        """Return the language of an instance's valid actions; empty: unknown.

        It names only what the agent has been shown: a name that it has not seen would be a hint.

        Raises:
            InstanceLostError: The instance is gone.
        """
        ...


def read_grammar(environment: Environment, handle: str | None) -> str:
    """Return the language of an instance's valid actions; empty where there is none that can be used."""
    if handle is None or not isinstance(environment, HasGrammar):
        return ""
    try:
        return LANGUAGE.validate_python(environment.grammar(handle))
    except InstanceLostError:
        return ""
    except ValidationError as error:
        log.warning("The language of a session cannot be used", reason=error.errors()[0]["msg"])
        return ""


def escape(text: str) -> str:
    """Return a text as a pattern that matches it alone."""
    return SIGNS.sub(r"\\\g<0>", text)


def any_of(texts: Iterable[str]) -> str:
    """Return a pattern that matches each of some texts and nothing else."""
    return group(escape(text) for text in sorted(set(texts)))


def group(patterns: Iterable[str]) -> str:
    """Return a pattern that matches what any of some patterns matches."""
    return f"(?:{'|'.join(patterns)})"
