"""One request as a script sees it, and what a script answers."""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """One answer of the model."""

    text: str
    first: Mapping[str, float] = field(default_factory=dict[str, float])
    """Probabilities of the first token, by its text: what a judge reads. The rest is left over
    for all other tokens. By default the answer's own first token has most of it."""


@dataclass(frozen=True)
class Message:
    """One message of a chat."""

    role: str
    content: str


@dataclass(frozen=True)
class ChatCall:
    """A chat request."""

    model: str
    messages: tuple[Message, ...]
    n: int = 1
    temperature: float = 1.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    constraint: "tuple[str, object] | None" = None
    """The kind of structured output and its value."""
    adapter: str | None = None
    """The adapter of the request; None for the base model."""
    priority: int = 0
    """Lower values come first."""
    session: str = ""
    """What `X-Session-ID` names; empty: none."""

    @property
    def last(self) -> str:
        """The last message."""
        return self.messages[-1].content if self.messages else ""

    @property
    def question(self) -> str:
        """The last paragraph of the last message: in Espalier's prompts, the role's question."""
        return self.last.rsplit("\n\n", 1)[-1]

    @property
    def text(self) -> str:
        """All messages, a line between them."""
        return "\n".join(message.content for message in self.messages)

    def random(self, *salt: object) -> random.Random:
        """Random numbers that depend on the request and its seed alone."""
        parts = (self.model, self.seed, *((m.role, m.content) for m in self.messages), *salt)
        digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
        return random.Random(digest)  # noqa: S311 -- repeatable is the point


Script = Callable[[ChatCall], "str | Answer | Sequence[str | Answer]"]
"""Answers a request: one text for all `n` choices, or one for each (in turn, where there are fewer).
It must depend on the call alone."""


def answers(script: Script, call: ChatCall) -> list[Answer]:
    """What a script answers to a call: exactly `call.n` answers.

    Raises:
        ValueError: The script has no answer.
    """
    answered = script(call)
    several = [answered] if isinstance(answered, str | Answer) else list(answered)
    if not several:
        raise ValueError("the script has no answer to this request")
    chosen = [several[index % len(several)] for index in range(call.n)]
    return [Answer(item) if isinstance(item, str) else item for item in chosen]
