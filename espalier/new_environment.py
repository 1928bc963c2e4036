"""`espalier new-environment NAME`: a package of an environment that works, with its test."""

import importlib.util
import keyword
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from envs.registry import load_environments

TEMPLATE = Path(__file__).with_name("environment_template")
FIRST_PORT = 8301
"""Ports of environments from other packages begin here."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


class NewEnvironmentError(ValueError):
    """Raised when an environment cannot be written; the message has the reason."""


def write_environment(name: str, into: Path, port: int | None = None) -> Path:
    """Write the package of a new environment and return its folder.

    Args:
        name: The environment's name and its package's.
        into: Where the folder is made.
        port: Where its server listens; by default the first that no environment has.

    Raises:
        NewEnvironmentError: The name, the port or the folder is taken, or the name cannot be a package's.
    """
    _check_name(name)
    ports = {entry.port: entry.name for entry in load_environments().values()}
    if port is None:
        port = next(free for free in range(FIRST_PORT, FIRST_PORT + len(ports) + 1) if free not in ports)
    elif port in ports:
        raise NewEnvironmentError(f"{ports[port]} has port {port}")
    folder = into / name
    if folder.exists():
        raise NewEnvironmentError(f"{folder} exists")
    title = "".join(part.capitalize() for part in name.split("_"))
    # What is rendered is Python, TOML and Markdown: nothing to escape for HTML.
    templates = Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATE), undefined=StrictUndefined, keep_trailing_newline=True
    )
    for template in templates.list_templates(extensions=["jinja"]):
        path = folder / template.removesuffix(".jinja").replace("package", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = templates.get_template(template).render(name=name, title=title, port=port)
        path.write_text(text, encoding="utf-8")
    return folder


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise NewEnvironmentError(
            f"{name!r} cannot be an environment's name: take small letters, digits and underscores, "
            "a letter first"
        )
    if name in load_environments():
        raise NewEnvironmentError(f"there is an environment {name!r}")
    if importlib.util.find_spec(name) is not None:
        raise NewEnvironmentError(f"there is a Python package {name!r}; take another name")
