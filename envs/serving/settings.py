"""What an environment's process reads from its environment variables."""

from pydantic import Field

from services.kit.settings import Settings


class EnvironmentSettings(Settings):
    """Settings of every environment server, `ESPALIER_*`."""

    max_sessions: int = Field(default=256, ge=1)
    """Live sessions; more are answered 429."""
    max_session_steps: int = Field(default=500, ge=1)
    """Steps of one session; more are answered 409: to wait would not help."""
    session_idle_ttl: float = Field(default=900.0, gt=0)
    """A session that nobody touches for this long expires, seconds."""
    session_ttl: float = Field(default=7200.0, gt=0)
    """A session expires this long after it was made, seconds."""
    action_timeout: float = Field(default=30.0, gt=0)
    """One action's deadline, seconds; then 504, and the action counts as not taken."""
    start_timeout: float = Field(default=90.0, gt=0)
    """The deadline for starting an instance, seconds."""
    remembered_sessions: int = Field(default=10_000, ge=0)
    """How many closed and expired session ids are remembered, to answer 410 rather than 404."""
    drain_seconds: float = Field(default=5.0, ge=0)
    """How long the server goes on after SIGTERM while sessions are live, seconds."""
