"""Which models play the roles: environment variables `ESPALIER_*`, or the options that stand for them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

Role = Literal["question_generator", "action_maker", "environment_agent"]


class RoleSetupError(ValueError):
    """Raised when a role's model has no name, refuses our key or is not served; the message has the fix."""


def is_address(url: str) -> bool:
    """Whether it is the address of an HTTP server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@dataclass(frozen=True)
class Address:
    """Where a role's model is."""

    url: str
    model: str = ""
    """The model's name; empty: the first that the server lists."""
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
    """Calls of a role at most until its answer has the form."""
    role_timeout: float = Field(default=120.0, gt=0)
    """One answer's deadline, seconds."""
    role_retry_for: float = Field(default=30.0, ge=0)
    """How long a server that is away or full is tried again, seconds."""

    @classmethod
    def read(cls, **options: Any) -> Self:
        """The settings: options that were given, else the environment's.

        Raises:
            RoleSetupError: A variable is out of range.
        """
        try:
            settings = cls()
        except ValidationError as error:
            first = error.errors()[0]
            raise RoleSetupError(f"ESPALIER_{str(first['loc'][0]).upper()}: {first['msg']}") from None
        return settings.model_copy(update={name: value for name, value in options.items() if value})

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
        if not is_address(url):
            raise RoleSetupError(f"{url!r} is no address of a model, such as http://127.0.0.1:8100/v1")
        return Address(url, model, key.get_secret_value())
