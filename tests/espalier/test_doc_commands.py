"""The commands of the pages for operators do what the pages describe."""

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from services.kit.keys import find_first_key

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("runbooks.md", "deployment.md")
KEYS = (
    "plain",
    "bm90IGEgbmFtZQ==",
    "one=",
    "ci=6f1c",
    "ci=6f1c,research=a03b,95ce",
    "ci=cGFkZGVk==,other",
    " ,ci=6f1c , plain",
    "first,ci=6f1c",
)
"""Lists of keys in every form that is accepted."""


def read_commands(page: str) -> list[str]:
    """Return the commands of a page's consoles, each with its further lines."""
    blocks = re.findall(r"^```console\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    found = [
        match for block in blocks for match in re.findall(r"^\$ .*(?:\n(?!\$ ).+)*", block, re.MULTILINE)
    ]
    return [re.sub(r"^[$>] ", "", command, flags=re.MULTILINE) for command in found]


def pick(page: str, part: str) -> str:
    [command] = [command for command in read_commands(page) if part in command]
    return command


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_shell(page: str) -> None:
    commands = read_commands(page)
    assert len(commands) > 5
    for command in commands:
        checked = subprocess.run(
            ["bash", "-n"], check=False, input=command, capture_output=True, text=True, timeout=30
        )
        assert (checked.returncode, checked.stderr) == (0, ""), command


@pytest.mark.parametrize("keys", KEYS)
def test_commands_send_the_first_key(tmp_path: Path, keys: str) -> None:
    (tmp_path / ".env").write_text(f"ESPALIER_API_KEYS='{keys}'\n")
    stub = 'curl() { printf "%s\\n" "$@"; }'
    runbooks = [pick("runbooks.md", "source .env"), pick("runbooks.md", "api() {"), "api /readyz"]
    deployment = [pick("deployment.md", "source .env"), pick("deployment.md", "/v1/environments")]
    for commands in (runbooks, deployment):
        ran = subprocess.run(
            ["bash", "-c", "\n".join([stub, *commands])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert f"Authorization: Bearer {find_first_key(keys)}" in ran.stdout.splitlines()


@pytest.mark.parametrize("keys", KEYS)
def test_the_command_inside_a_server_sends_the_first_key(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    sent: list[dict[str, str]] = []

    def get(url: str, headers: dict[str, str]) -> httpx.Response:
        sent.append(headers)
        return httpx.Response(200, text="[]", request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.delenv("ESPALIER_API_KEY", raising=False)
    monkeypatch.setenv("ESPALIER_API_KEYS", keys)
    [_, code, _] = pick("runbooks.md", "/v1/sessions").split("'")
    exec(code, {})
    assert sent == [{"Authorization": f"Bearer {find_first_key(keys)}"}]
