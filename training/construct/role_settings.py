"""Which models play the roles: environment variables `ESPALIER_*`, or the options that stand for them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Role = Literal["question_generator", "action_maker", "environment_agent"]


class RoleSetupError(ValueError):
    """A role's model is not named, does not know our key, or is not served; the message says what to set."""


@dataclass(frozen=True)
class Address:
    """Where a role's model is."""

    url: str
    model: str = ""
    """The name to ask for; empty: the first that the server lists."""
    key: str = field(default="", repr=False)


class ConstructSettings(BaseSettings):
    """What `espalier construct roleplay` and `in-context` read from their environment."""

    model_config = SettingsConfigDict(env_prefix="ESPALIER_", extra="ignore", frozen=True)

    role_url: str = ""
    """An OpenAI-compatible server that plays every role without one of its own. An address without a path
    is completed by `/v1`."""
    role_key: SecretStr = SecretStr("")
    """Its bearer token."""
    role_model: str = ""
    """The model's name; by default the first that the server lists."""
    question_generator_url: str = ""
    question_generator_key: SecretStr = SecretStr("")
    question_generator_model: str = ""
    action_maker_url: str = ""
    action_maker_key: SecretStr = SecretStr("")
    action_maker_model: str = ""
    environment_agent_url: str = ""
    environment_agent_key: SecretStr = SecretStr("")
    environment_agent_model: str = ""
    role_prompts: Path | None = None
    """A folder whose files `<role>.txt` replace the shipped prompts."""
    role_tokens: int = Field(default=400, ge=16, le=100_000)
    """Longest answer of a role, tokens; one that is cut there is not used."""
    role_temperature: float = Field(default=0.8, ge=0, le=2)
    role_tries: int = Field(default=2, ge=1, le=10)
    """How often a role is asked until its answer has the form."""
    role_timeout: float = Field(default=120.0, gt=0)
    """One answer's deadline, seconds."""
    role_retry_for: float = Field(default=30.0, ge=0)
    """How long a server that is not there, or is full, is tried again, seconds."""

    def address(self, role: Role) -> Address:
        """Where a role's model is.

        A role with a server of its own is never sent the key that was given for another server.

        Raises:
            RoleSetupError: None is named.
        """
        url, own = getattr(self, f"{role}_url"), bool(getattr(self, f"{role}_url"))
        key: SecretStr = getattr(self, f"{role}_key")
        model = getattr(self, f"{role}_model")
        if not own:
            url = self.role_url
            key = key if key.get_secret_value() else self.role_key
            model = model or self.role_model
        if not url:
            option = f"--{role.replace('_', '-')}-url"
            raise RoleSetupError(
                f"no model plays the {role.replace('_', ' ')}: set ESPALIER_ROLE_URL, "
                f"ESPALIER_{role.upper()}_URL, --role-url or {option}"
            )
        if not url.startswith(("http://", "https://")):
            raise RoleSetupError(f"{url!r} is no address of a model: it begins with http:// or https://")
        return Address(url, model, key.get_secret_value())
