"""What the OpenEnv part reads from its environment variables."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from envs.serving.settings import EnvironmentSettings


class OpenEnvSettings(EnvironmentSettings):
    """Settings of one OpenEnv server that is played through this stack."""

    model_config = SettingsConfigDict(populate_by_name=True)

    openenv_url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://\S+$")
    """The OpenEnv server."""
    openenv_name: str = Field(default="openenv", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    """The environment's name here."""
    openenv_instruction: str = ""
    """What is to be done there; by default the server's description."""
    openenv_actions: str = ""
    """The action language, as a model reads it; by default drawn from the server's schema."""
    openenv_action_field: str = ""
    """The field of an action that takes the text; by default the one text field that the schema has."""
    openenv_tasks: int = Field(default=100, ge=1, le=1_000_000)
    """How many tasks there are: task `seeds/<n>` is a reset with seed n."""
    openenv_max_steps: int = Field(default=30, ge=1, le=500)
    """Steps of a path."""
    openenv_done_means: Literal["success", "end"] = "end"
    """What `done` means there."""
    openenv_timeout: float = Field(default=20.0, gt=0)
    """For connecting and for one answer, seconds."""
