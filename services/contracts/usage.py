"""What a model call cost."""

from services.contracts.base import Message


class Usage(Message):
    """Tokens and time of one or several model calls."""

    calls: int = 0
    """Requests to the engine."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that the engine's prefix cache served."""
    completion_tokens: int = 0
    seconds: float = 0.0
    """Wall time of the requests to the engine, summed, seconds."""

    def __add__(self, other: "Usage") -> "Usage":
        """The two costs together."""
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            seconds=self.seconds + other.seconds,
        )
