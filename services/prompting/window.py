"""Fits a prompt into a model's context.

The task, the plan and the newest turns stay. When the prompt is full, the oldest turns leave in one
block, down to a share of the room, and the prompt grows again from there: so its prefix changes
seldom, and the engine's cache is worth its memory.
"""

from collections.abc import Awaitable, Callable

from services.contracts.context import Context
from services.contracts.window import Window
from services.prompting.renderer import Chat, Renderer

KEEP = 0.6
"""The share of the room that a full prompt is cut down to."""
OVERHEAD = 16
"""Tokens a message that a chat template may add, an upper bound."""

Count = Callable[[Chat], Awaitable[int]]


class WindowOverflowError(ValueError):
    """The prompt does not fit even with its last turn alone."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"the prompt takes {tokens} tokens without any older turn, and {limit} fit")


async def fit(
    renderer: Renderer, context: Context, question: str, *, limit: int, count: Count
) -> tuple[Chat, Window]:
    """Render a prompt that fits.

    Args:
        renderer: Renders with the profile.
        context: The path so far; turns before its `first_turn` are out already.
        question: The role's question.
        limit: Prompt tokens that there is room for.
        count: Counts a prompt's tokens as the engine does.

    Raises:
        WindowOverflowError: Nothing more can be left out.
    """
    last = max(0, len(context.turns) - 1)
    first = min(context.first_turn, last)
    messages = renderer.messages(context, question, first)
    bound = _bound(messages)
    if bound <= limit:
        return messages, Window(limit=limit, prompt_tokens=bound, first_turn=first)
    tokens = await count(messages)
    began = first
    if tokens > limit:
        goal = int(limit * KEEP)
        while tokens > goal and first < last:
            first = _next_first(renderer, context, first, last, excess=tokens - goal, tokens=tokens)
            messages = renderer.messages(context, question, first)
            tokens = await count(messages)
        if tokens > limit:
            raise WindowOverflowError(tokens, limit)
    return messages, Window(limit=limit, prompt_tokens=tokens, first_turn=first, cut=first - began)


def _bound(messages: Chat) -> int:
    """At most so many tokens: a byte-level tokenizer never makes more tokens than bytes."""
    return sum(len(message["content"].encode()) + OVERHEAD for message in messages)


def _next_first(
    renderer: Renderer, context: Context, first: int, last: int, *, excess: int, tokens: int
) -> int:
    """The turn to start from so that about `excess` tokens go; at least one turn goes."""
    sizes = [len(renderer.turn(turn)) + len(turn.observation) for turn in context.turns[first : last + 1]]
    per_token = max(1.0, sum(sizes) / max(1, tokens))
    gone = 0
    for offset, size in enumerate(sizes):
        gone += size
        if gone / per_token >= excess:
            return min(first + offset + 1, last)
    return last
