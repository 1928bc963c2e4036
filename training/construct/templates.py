"""The prompts of the roles: Jinja files, one a role; a folder of one's own may replace any of them."""

from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

SHIPPED = Path(__file__).parent / "prompts"
NAMES = ("question_generator", "action_maker", "environment_agent", "in_context")


class PromptError(ValueError):
    """Raised when a prompt file cannot be read or rendered; the message has the file and the reason."""


class Prompts:
    """The prompts that the roles are given.

    Args:
        folder: Its files `<role>.txt` replace the shipped ones; a role without a file keeps its own.

    Raises:
        PromptError: The folder is missing, or a file is not a template.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise PromptError(f"{folder}: there is no such folder of prompts")
        jinja = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
        )
        self._templates = {name: jinja.from_string("") for name in NAMES}
        for name in NAMES:
            own = folder / f"{name}.txt" if folder else None
            path = own if own and own.is_file() else SHIPPED / f"{name}.txt"
            try:
                self._templates[name] = jinja.from_string(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeError, TemplateError) as error:
                raise PromptError(f"{path}: {error}") from error

    def render(self, name: str, **values: Any) -> str:
        """A role's prompt.

        Raises:
            PromptError: The file has a place that nothing fills.
        """
        try:
            return self._templates[name].render(**values).strip()
        except TemplateError as error:
            raise PromptError(f"the prompt {name}.txt: {error}") from error
