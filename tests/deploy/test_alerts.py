"""The alert rules: each fires on a bad series, stays quiet on a good one, and has a runbook."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from services.kit.problems import DOCUMENTATION
from tests.deploy.composing import ALERTS, ROOT, RUNBOOKS

CASES = ALERTS.with_name("alerts_test.yml")
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
NAMES = [rule["alert"] for rule in RULES]


def test_promtool_runs_the_cases() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed here (Debian: prometheus)")
    done = subprocess.run(["promtool", "test", "rules", CASES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", NAMES)
def test_an_alert_has_a_case_that_fires_and_one_that_does_not(alert: str) -> None:
    found = {
        bool(case["exp_alerts"])
        for test in yaml.safe_load(CASES.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == alert
    }
    assert found == {True, False}


def test_every_alert_leads_to_its_runbook() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert re.findall(r"^## (\w+)$", RUNBOOKS.read_text(), re.MULTILINE) == NAMES
    pages = DOCUMENTATION.rpartition("/")[0]
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"{pages}/{RUNBOOKS.name}#{rule['alert'].lower()}"
        assert {"summary", "description"} < rule["annotations"].keys()
        assert rule["labels"]["severity"] in ("page", "ticket")


@pytest.mark.parametrize("alert", NAMES)
def test_a_runbook_says_what_it_means_how_to_look_and_what_to_do(alert: str) -> None:
    entry = RUNBOOKS.read_text().partition(f"\n## {alert}\n")[2].partition("\n## ")[0]
    parts = re.findall(r"^\*\*(.*?)\.\*\*", entry, re.MULTILINE)
    assert parts == ["What it means", "How to look", "What to do"]
    assert "\n$ " in entry.partition("**What to do.**")[0]


def test_commands_of_runbooks_name_services_that_are_there() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    commands = re.findall(r"^\$ docker-compose (.*)$", RUNBOOKS.read_text(), re.MULTILINE)
    named = {
        found.group(1)
        for command in commands
        if (found := re.search(r"(?:logs(?: --\S+)*|exec|restart|--scale) ([\w-]+)", command))
    }
    assert len(named) > 4
    assert named <= services.keys()
