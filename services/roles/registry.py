"""The roles, one entry each: what serves them, where, and what of them the rest of the stack lists."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Role:
    """One role of the method, served by a service of its own."""

    name: str
    port: int
    """Where it listens by default."""

    @property
    def factory(self) -> str:
        """Where its app is made, as uvicorn takes it."""
        return f"services.{self.name}.api:create"


ROLES = MappingProxyType(
    {role.name: role for role in (Role("planner", 8001), Role("judge", 8002), Role("actor", 8003))}
)
"""The roles by name, in the order in which they are started."""
