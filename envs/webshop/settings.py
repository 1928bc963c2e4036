"""What the WebShop server reads from its environment variables."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from envs.serving.settings import EnvironmentSettings


class WebshopSettings(EnvironmentSettings):
    """Settings of the WebShop server."""

    model_config = SettingsConfigDict(populate_by_name=True)

    webshop_data: Path | None = None
    """The official data (README.md names the files). Without it only the generated shop is open."""
    webshop_generated: int = Field(default=1000, ge=0, le=20_000)
    """How many products the generated shop has; 0 for none."""
    webshop_seed: int = Field(default=0, ge=0)
    """The seed of the generated shop."""
    webshop_attributes: bool = True
    """Whether product pages have the button `Attributes` (WebShop's `show_attrs`)."""
    webshop_page_chars: int = Field(default=6000, ge=200)
    """Descriptions, features and reviews are cut after this many characters."""
