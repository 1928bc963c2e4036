"""Settings that every process shares: environment variables `ESPALIER_*`.

A part that needs more subclasses `Settings`; `docs/settings.md` lists them all.
"""

import ipaddress
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit.keys import find_first_key, parse_keys


class Settings(BaseSettings):
    """What every service process reads from its environment."""

    model_config = SettingsConfigDict(env_prefix="ESPALIER_", extra="ignore", frozen=True)

    home: Path = Path(".espalier")
    """Where generated files go: caches, models, state, logs."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    api_keys: SecretStr = SecretStr("")
    """Bearer tokens that are accepted, `key` or `name=key`, separated by commas. Needed off loopback."""
    api_key: SecretStr = SecretStr("")
    """The bearer token that this process sends to others; by default the first of `api_keys`."""
    admin_keys: SecretStr = SecretStr("")
    """Bearer tokens that may also change adapters, separated by commas; with none, keys change nothing."""
    log_level: str = "info"
    max_body_bytes: int = Field(default=4_000_000, ge=1_000)
    """Larger request bodies are refused with 413."""
    body_timeout: float = Field(default=30.0, gt=0)
    """A request whose body does not arrive in this time is answered 408, seconds."""
    root_path: str = Field(default="", pattern=r"^(/[\w.~-]+)*$")
    """The path below which a proxy serves this part."""
    trusted_proxies: str = "127.0.0.1"
    """Addresses of proxies whose `X-Forwarded-*` headers are believed, separated by commas."""
    cors_origins: str = ""
    """Origins whose pages may call this part from a browser, separated by commas; by default none."""
    allowed_hosts: str = ""
    """Host names that requests may carry besides this part's own addresses, separated by commas; `*`: any."""
    use_proxy: bool = False
    """Whether calls to other parts, engines and environments honour `HTTP_PROXY` and its like."""
    request_timeout: float = Field(default=300.0, gt=0)
    """A request that takes longer is answered 504, seconds."""
    otlp_endpoint: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """The collector of traces (OTLP over HTTP), such as `http://127.0.0.1:4318`; empty: no traces."""
    trace_ratio: float = Field(default=1.0, ge=0, le=1)
    """The share of traces that are recorded, where a request does not bring the decision with it."""

    @field_validator("api_keys", "admin_keys")
    @classmethod
    def _some_key(cls, value: SecretStr) -> SecretStr:
        given = value.get_secret_value()
        if given and not given.replace(",", "").strip():
            raise ValueError("a list of keys holds commas and blanks and no key; leave it empty for none")
        parse_keys(given)
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.lower() not in {"debug", "info", "warning", "error"}:
            raise ValueError("log_level is one of debug, info, warning, error")
        return value.lower()

    def accepted_keys(self) -> frozenset[str]:
        """The bearer tokens that callers may use, those of administrators too; empty where auth is off."""
        return frozenset(self.tenants())

    def tenants(self) -> dict[str, str]:
        """The tenant of each accepted bearer token."""
        return parse_keys(self.admin_keys.get_secret_value()) | parse_keys(self.api_keys.get_secret_value())

    def accepted_admin_keys(self) -> frozenset[str]:
        """The bearer tokens that may change adapters."""
        return frozenset(parse_keys(self.admin_keys.get_secret_value()))

    def admin_key(self) -> str:
        """The bearer token to change adapters with; the one for everything else where none is set."""
        return find_first_key(self.admin_keys.get_secret_value()) or self.own_key()

    def own_key(self) -> str:
        """The bearer token to send to other parts; empty where none is set."""
        return self.api_key.get_secret_value() or find_first_key(self.api_keys.get_secret_value())

    def on_loopback(self) -> bool:
        """Whether the process listens on this machine only."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def split_addresses(text: str) -> list[str]:
    """Return the addresses of a list that is separated by commas, each without a slash at its end."""
    return [url.strip().rstrip("/") for url in text.split(",") if url.strip()]


class RoleSettings(Settings):
    """What planner, judge and actor read."""

    model_url: str = "http://127.0.0.1:8100"
    """An OpenAI-compatible vLLM, without `/v1`."""
    planner_model_url: str = ""
    judge_model_url: str = ""
    actor_model_url: str = ""
    model_name: str = ""
    """The model of requests; by default the first base model that the engine lists."""
    model_context: int | None = Field(default=None, ge=64)
    """The engine's context, tokens; None: what it reports, or 4,096 where it reports none."""
    model_key: SecretStr = SecretStr("")
    """Bearer token for the engine."""
    engines: str = ""
    """Addresses of engines that `POST /v1/adapters` may name, separated by commas."""
    model_concurrency: int = Field(default=64, ge=1)
    """Requests in flight to the engine; more wait."""
    model_waiting: int = Field(default=1024, ge=0)
    """Requests that may wait for a place; more are answered 429."""
    model_timeout: float = Field(default=240.0, gt=0)
    """One model call's deadline, seconds."""
    model_seeds: bool | None = None
    """Whether seeds are sent to the engine; None: what the engine is known to stand."""
    merged_adapter: str = ""
    """The adapter that is merged into the engine's weights, `name@digest`."""
    draining_engines: dict[str, str] = Field(default_factory=dict[str, str], max_length=4)
    """Engines before this one that episodes are still pinned to, by their merged adapters, as JSON."""
    prompt_profile: str = "paper"
    temperature: float = Field(default=0.8, ge=0, le=2)
    """Of sampling when several candidates are requested."""
    action_tokens: int = Field(default=256, ge=8)
    """Longest answer of the actor, tokens."""
    plan_tokens: int = Field(default=200, ge=16)
    """Longest answer of the planner, tokens."""
    reflection_tokens: int = Field(default=200, ge=16)
    """Longest lesson of the judge, tokens."""

    def known_engines(self, role: str) -> frozenset[str]:
        """The engines that a role may be sent to: prompts and the engine's key go nowhere else."""
        named = [self.engines, *self.draining_engines.values(), self.model_url_of(role)]
        return frozenset(split_addresses(",".join(named)))

    def model_url_of(self, role: str) -> str:
        """The engine of a role: its own, or the one that all share."""
        return (getattr(self, f"{role}_model_url", "") or self.model_url).rstrip("/")
