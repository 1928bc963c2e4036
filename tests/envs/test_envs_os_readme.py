"""The README's table of attacks names tests that are there."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "envs" / "os_interaction" / "README.md"


def test_each_attack_of_the_table_is_a_test() -> None:
    table = README.read_text().partition("## Attacks\n")[2].partition("\n## ")[0]
    rows = [line for line in table.split("\n") if line.startswith("| ") and not line.startswith("| tried")]
    sources = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_envs_os*.py"))
    tests = set(re.findall(r"^(?:async )?def (test_\w+)", sources, re.MULTILINE))
    assert len(rows) >= 15
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= tests, row
