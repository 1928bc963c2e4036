"""What the router reads from its environment variables."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from services.kit.settings import Settings, split_addresses


class RouterSettings(Settings):
    """Settings of the router, `ESPALIER_*`."""

    router_engines: Annotated[list[str], NoDecode] = Field(default_factory=list[str], max_length=64)
    """Addresses of engines, separated by commas; a host name stands for every address that it resolves to."""
    router_port: int = Field(default=8151, ge=1, le=65535)
    """Where it takes the roles' requests."""
    router_metrics_port: int = Field(default=8152, ge=1, le=65535)
    """Where vllm-router shows its own figures to Prometheus, on the same host."""
    router_policy: Literal["consistent_hash", "cache_aware", "round_robin", "random"] = "consistent_hash"
    """How an engine is chosen; by default an episode, which `X-Session-ID` names, stays with one."""
    router_look: float = Field(default=1.0, gt=0, le=60)
    """Between two looks at the engines, seconds."""
    router_grace: float = Field(default=30.0, ge=0, le=3600)
    """How long a replica may lack an adapter that others serve before it is brought up to date, seconds."""
    model_key: SecretStr = SecretStr("")
    """Bearer token for the engines; requests need it too."""

    @field_validator("router_engines", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_addresses(value) if isinstance(value, str) else value

    @field_validator("router_engines")
    @classmethod
    def _are_addresses(cls, value: list[str]) -> list[str]:
        for url in value:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
                raise ValueError(f"{url!r} is not an address such as http://engine:8100")
        return value
