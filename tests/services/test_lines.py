"""Only a line feed ends a line: `str.splitlines` also splits at U+2028, U+0085 and others, inside values."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("services", "envs", "espalier", "evaluation", "training", "deploy")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_splits_text_at_more_than_line_feeds(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "splitlines"]
    assert not calls, f"{path}:{calls[0].lineno}: use .split('\\n')"
