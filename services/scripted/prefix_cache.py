"""What an engine's prefix cache would have served: full blocks of tokens that were seen before."""

from collections import OrderedDict
from collections.abc import Sequence

BLOCK = 16
CAPACITY = 65_536


class PrefixCache:
    """Blocks by the hash of all tokens up to their end; the least recently used leave first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def admit(self, salt: str, tokens: Sequence[int]) -> int:
        """Count the leading tokens that are cached, then cache the prompt.

        Args:
            salt: What else the key holds: an adapter's name and path.
            tokens: The prompt. Its last token is never served from the cache, since an engine
                must compute at least one.

        Returns:
            The number of cached tokens, a multiple of the block size.
        """
        key = hash(salt)
        cached = 0
        leading = True
        for end in range(BLOCK, len(tokens) + 1, BLOCK):
            key = hash((key, *tokens[end - BLOCK : end]))
            leading = leading and key in self._blocks
            if leading and end < len(tokens):
                cached = end
            self._blocks[key] = None
            self._blocks.move_to_end(key)
        while len(self._blocks) > self.capacity:
            self._blocks.popitem(last=False)
        return cached

    def usage(self) -> float:
        """The share of the capacity in use."""
        return len(self._blocks) / self.capacity
