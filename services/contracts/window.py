"""How a prompt was fitted into a model's context."""

from services.contracts.base import Message


class Window(Message):
    """The window of one model call.

    When the window is full, the oldest turns leave in one block and it grows again from there, so
    that the prompt's prefix stays the same for many calls. A caller sends `first_turn` back.
    """

    limit: int
    """Prompt tokens that the model has room for, its answer subtracted."""
    prompt_tokens: int
    """Prompt tokens used; an upper bound where the text was too short to need counting."""
    first_turn: int = 0
    """The first turn that is in the prompt."""
    cut: int = 0
    """Turns that left the window in this very call."""
