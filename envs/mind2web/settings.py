"""What the Mind2Web server reads from its environment variables."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from envs.serving.settings import EnvironmentSettings


class Mind2webSettings(EnvironmentSettings):
    """Settings of the Mind2Web server."""

    model_config = SettingsConfigDict(populate_by_name=True)

    mind2web_data: Path | None = None
    """The official data (README.md names the files). Without it only generated steps are there."""
    mind2web_generated: int = Field(default=5000, ge=0, le=100_000)
    """Visits in each generated split; 0 for none."""
    mind2web_top_k: int = Field(default=10, ge=1, le=1000)
    """Candidates that are kept where they are ranked (AgentBench: 10)."""
    mind2web_candidates: int = Field(default=30, ge=2, le=1000)
    """Candidates that are kept where they are not ranked, the right ones among them."""
    mind2web_page_chars: int = Field(default=0, ge=0, le=20_000)
    """Characters of the page around the candidates that are shown beside the choices; 0 for none."""
