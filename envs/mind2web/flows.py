"""The generated sites' tasks: what is asked, and the steps that do it, out of `sites.json`."""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SITES = Path(__file__).with_name("sites.json")
SLOT = re.compile(r"{(\w+)}")

ROLES = {
    "button": "button",
    "link": "link",
    "type": "textbox",
    "select": "combobox",
    "check": "checkbox",
    "radio": "radio",
    "option": "option",
    "suggestion": "option",
    "date": "gridcell",
    "open": "button",
    "result": "link",
}
"""How Mind2Web names what was acted on, by a step's kind."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a flow."""

    kind: str
    """One of `ROLES`."""
    label: str
    """What the element says."""
    value: str = ""
    """What is typed or selected."""

    @property
    def operation(self) -> str:
        """CLICK, TYPE or SELECT."""
        return {"type": "TYPE", "select": "SELECT"}.get(self.kind, "CLICK")

    @property
    def told(self) -> str:
        """The step as an action before, in Mind2Web's words."""
        value = f": {self.value}" if self.value else ""
        return f"[{ROLES[self.kind]}]  {self.label} -> {self.operation}{value}"


@dataclass(frozen=True)
class Flow:
    """A task with words filled in, and its steps in order."""

    site: str
    task: str
    steps: tuple[Step, ...]


class Flows:
    """All flows that the sites have."""

    def __init__(self) -> None:
        data: dict[str, Any] = json.loads(SITES.read_text(encoding="utf-8"))
        self.words: dict[str, list[str]] = {
            name: data[name] for name in ("layouts", "frames", "prefixes", "chrome", "pictures")
        }
        self.pools: dict[str, list[str]] = data["pools"]
        self._forms: list[tuple[str, str, list[str]]] = [
            (site["name"], flow["task"], flow["steps"]) for site in data["sites"] for flow in site["flows"]
        ]

    def draw(self, draw: random.Random) -> Flow:
        """A flow with its words drawn."""
        site, task, steps = draw.choice(self._forms)
        words = {slot: draw.choice(self.pools[slot]) for slot in dict.fromkeys(SLOT.findall(task))}
        return _filled(site, task, steps, words)

    def read(self, instruction: str) -> Flow | None:
        """The flow whose task an instruction is; None where it is none of them."""
        for site, task, steps in self._forms:
            names: set[str] = set()
            pattern = ""
            for position, part in enumerate(SLOT.split(task)):
                if position % 2 == 0:
                    pattern += re.escape(part)
                elif part in names:
                    pattern += f"(?P={part})"
                else:
                    names.add(part)
                    pattern += f"(?P<{part}>{'|'.join(map(re.escape, self.pools[part]))})"
            found = re.fullmatch(pattern, instruction)
            if found:
                return _filled(site, task, steps, found.groupdict())
        return None

    def siblings(self, site: str) -> list[str]:
        """Every step form of a site: what else stands on its pages."""
        return [step for name, _, steps in self._forms if name == site for step in steps]


def _filled(site: str, task: str, steps: list[str], words: dict[str, str]) -> Flow:
    return Flow(site, task.format(**words), tuple(parse_step(step.format(**words)) for step in steps))


def parse_step(text: str) -> Step:
    """A step out of its form `kind|label|value`."""
    kind, label, *value = text.split("|")
    return Step(kind, label, value[0] if value else "")
