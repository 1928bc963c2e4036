"""What the scripted engine reads from its environment variables."""

from pydantic import Field, SecretStr

from services.kit.settings import Settings
from services.scripted.model import DEFAULT_MODEL
from services.scripted.prefix_cache import CAPACITY


class ScriptedSettings(Settings):
    """Settings of the scripted engine, `ESPALIER_*`."""

    model_key: SecretStr = SecretStr("")
    """The bearer token that `/v1` requires. Needed off loopback."""
    scripted_model: str = DEFAULT_MODEL
    """The base model's name."""
    scripted_context: int = Field(default=8192, ge=64)
    """The context, tokens."""
    scripted_cache: int = Field(default=CAPACITY, ge=1)
    """Blocks of 16 tokens that the prefix cache holds."""
    scripted_latency: float = Field(default=0.0, ge=0)
    """Seconds that every request takes."""
    scripted_token_latency: float = Field(default=0.0, ge=0)
    """Seconds that each token adds."""
