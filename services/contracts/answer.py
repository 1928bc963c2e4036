"""What the answers of all roles have: what they cost and who gave them."""

from services.contracts.base import Message
from services.contracts.usage import Usage
from services.contracts.window import Window


class RoleAnswer(Message):
    """An answer of the planner, the judge or the actor."""

    usage: Usage = Usage()
    window: Window | None = None
    model: str = ""
    adapter: str | None = None
    profile: str = ""
    """The prompt profile's name and digest."""
