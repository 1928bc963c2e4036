"""A prompt profile: a folder of prompt files, known by its digest."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from services.prompting.parser import PLACEHOLDERS

PROFILES = Path(__file__).parent / "profiles"
PURPOSES = (
    "system",
    "head",
    "tried",
    "plan",
    "turn",
    "observation",
    "planner",
    "actor_io",
    "actor_cot",
    "actor_react",
    "judge_subtask",
    "judge_selection",
    "judge_path",
    "judge_paths",
)
"""The files that a profile must hold, one a purpose."""
SHARED = ("judge_value", "judge_reflect", "lessons")
"""The files that a profile may hold. One that it lacks is read from `profiles/shared`, and its digest has no
part of it."""


@dataclass(frozen=True)
class Profile:
    """The prompts of one profile."""

    name: str
    digest: str
    """The first twelve hexadecimal digits of a SHA-256 over all files."""
    prompts: dict[str, str]
    """Jinja templates by purpose."""
    stop: tuple[str, ...] = ()
    """Texts that end an actor's answer."""

    @property
    def placeholders(self) -> frozenset[str]:
        """What the actor's templates leave to be filled in, in lower case.

        Each `<...>` of a template, and each whole text after a label that has one: an answer that equals one
        is an echo of the template.
        """
        found = set(PLACEHOLDERS)
        for purpose in ("actor_io", "actor_cot", "actor_react"):
            for line in self.prompts[purpose].lower().split("\n"):
                holes = re.findall(r"<[^<>\n]{1,100}>", line)
                found.update(holes)
                if holes:
                    found.add(line.partition(":")[2].strip())
        return frozenset(found)

    @property
    def id(self) -> str:
        """`name@digest`, as answers and records name it."""
        return f"{self.name}@{self.digest}"


def load_profile(name_or_path: str) -> Profile:
    """Read a profile by the name of a shipped one or by a folder's path.

    Raises:
        ValueError: There is no such profile, or a file of it is missing.
    """
    folder = PROFILES / name_or_path
    if not folder.is_dir():
        folder = Path(name_or_path)
    if not (folder / "profile.json").is_file():
        known = sorted(path.parent.name for path in PROFILES.glob("*/profile.json"))
        raise ValueError(
            f"no prompt profile {name_or_path!r}; there are: {', '.join(known)}, or a folder's path"
        )
    missing = [purpose for purpose in PURPOSES if not (folder / f"{purpose}.txt").is_file()]
    if missing:
        raise ValueError(
            f"prompt profile {name_or_path!r} lacks {', '.join(f'{item}.txt' for item in missing)}"
        )
    about = (folder / "profile.json").read_text()
    own = (*PURPOSES, *(purpose for purpose in SHARED if (folder / f"{purpose}.txt").is_file()))
    prompts = {purpose: (folder / f"{purpose}.txt").read_text() for purpose in own}
    digest = hashlib.sha256(about.encode())
    for purpose in own:
        digest.update(f"\0{purpose}\0{prompts[purpose]}".encode())
    for purpose in SHARED:
        prompts.setdefault(purpose, (PROFILES / "shared" / f"{purpose}.txt").read_text())
    described = json.loads(about)
    return Profile(
        name=described["name"],
        digest=digest.hexdigest()[:12],
        prompts=prompts,
        stop=tuple(described.get("stop", ())),
    )
