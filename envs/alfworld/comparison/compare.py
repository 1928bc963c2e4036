"""The proof that the native engine shows what TextWorld shows: both play the same games, step by step.

    python -m envs.alfworld.comparison.compare --data ALFWORLD_DATA --games 150 --steps 60 --out FOUND.jsonl

Compared at every step: the text, the admissible commands, and whether the goal is reached. Commands are
the game's walkthrough, two experts', schemes, random admissible ones and random others; before each, a
copy of the native game is played on, so that a copy that shares anything is found. A game is a line in
the file, and is not played again when the run is taken up.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from envs.alfworld.comparison.moves import Moves
from envs.alfworld.comparison.reference import Reference
from envs.alfworld.expert import Expert, Prior
from envs.alfworld.generator import SPLITS, Generator, walkthrough
from envs.alfworld.native.engine import Game, read_generated, read_official
from envs.alfworld.native.problem import Problem, stated_task
from envs.alfworld.scoring import first_observation

HAND_CODED = 100
"""The most commands of alfworld's hand-coded expert."""
FRESH = 25
"""Games of one process: TextWorld leaks."""


@dataclass(frozen=True)
class Source:
    """A game to compare: an official file, or a generated house."""

    id: str
    path: str = ""
    split: str = ""
    number: int = 0


@dataclass
class Report:
    """What the comparison of one game found."""

    game: str
    kind: str = ""
    steps: int = 0
    """Commands that both engines took, and whose answers were compared."""
    won: int = 0
    """Sessions in which the goal was reached."""
    native: float = 0.0
    """Seconds that the native engine took for the steps, its admissible commands included."""
    textworld: float = 0.0
    """Seconds that TextWorld took for the same."""
    load_native: float = 0.0
    """Seconds to read the game once."""
    load_textworld: float = 0.0
    fork: float = 0.0
    """Seconds for all copies, one a step."""
    sessions: dict[str, int] = field(default_factory=dict[str, int])
    """The steps by session."""
    verbs: dict[str, int] = field(default_factory=dict[str, int])
    """How often an action of a verb was possible; `nothing` where none was."""
    differences: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class Comparison:
    """Plays one game on both engines."""

    def __init__(
        self, reference: Reference, source: Source, data: dict[str, Any], problem: Problem, report: Report
    ) -> None:
        self._reference = reference
        self._source = source
        self._problem = problem
        self._report = report
        self._walkthrough: list[str] = data["walkthrough"]
        self._rng = random.Random(report.game)  # noqa: S311
        self._moves = Moves(self._rng)
        self._game = Game.begin(problem)
        self._shown = ""
        self._session = ""

    def play(self, steps: int) -> None:
        """The walkthrough, two experts (alfworld's own on official games), schemes, and random commands.

        Args:
            steps: How many commands in all; more where the first sessions take more.
        """
        self._begin("walkthrough")
        for command in self._walkthrough:
            self._step(command)
            if self._rng.random() < 0.3:
                self._step(self._moves.probe(self._game))
        self._begin("expert")
        for command in self._expert():
            self._step(command)
        if self._source.path:
            self._begin("hand-coded expert")
            for command in self._reference.expert(Path(self._source.path), HAND_CODED):
                self._step(command)
        middle = (self._report.steps + steps) // 2
        self._begin("schemes")
        while self._report.steps < middle:
            for command in self._moves.scheme(self._game):
                self._step(command)
            self._step(self._moves.anything(self._game))
        self._begin("random")
        while self._report.steps < steps:
            self._step(self._moves.anything(self._game))

    def _begin(self, session: str) -> None:
        self._session = session
        self._game = Game.begin(self._problem)
        self._shown = self._reference.reset()
        self._compare("", self._game.opening)

    def _step(self, command: str) -> None:
        begun = time.perf_counter()
        twin = self._game.copy()
        self._report.fork += time.perf_counter() - begun
        twin.step(self._rng.choice(twin.admissible_commands))
        begun = time.perf_counter()
        text = self._game.step(command)
        self._report.native += time.perf_counter() - begun
        begun = time.perf_counter()
        self._shown = self._reference.step(command)
        self._report.textworld += time.perf_counter() - begun
        self._report.steps += 1
        self._report.sessions[self._session] = self._report.sessions.get(self._session, 0) + 1
        verb = command.split(maxsplit=1)[0] if command and text != "Nothing happens." else "nothing"
        self._report.verbs[verb] = self._report.verbs.get(verb, 0) + 1
        won = self._compare(command, text)
        self._report.won += won and verb != "nothing"

    def _compare(self, command: str, text: str) -> bool:
        begun = time.perf_counter()
        found = {"text": text, "won": self._game.won, "admissible": self._game.admissible_commands}
        self._report.native += time.perf_counter() - begun
        wanted = {
            "text": self._shown,
            "won": self._reference.won,
            "admissible": self._reference.admissible_commands,
        }
        for what, shown in wanted.items():
            if shown != found[what]:
                self._report.differences.append(
                    {
                        "session": self._session,
                        "command": command,
                        "what": what,
                        "textworld": shown,
                        "native": found[what],
                    }
                )
        return found["won"]

    def _expert(self) -> Iterator[str]:
        shown = first_observation(self._shown)
        instruction = self._problem.task
        policy = Expert(shown, instruction, Prior.load()).play()
        command = next(policy, None)
        for _ in range(50):
            if command is None or self._game.won:
                return
            yield command
            try:
                command = policy.send(self._shown)
            except StopIteration:
                return


class Comparer:
    """Compares games, one after the other, in this process.

    Args:
        cache: A folder for the engine's caches.
        quick: See `Reference`.
    """

    def __init__(self, cache: Path, quick: bool) -> None:
        from importlib.resources import files

        logic = files("alfworld") / "data"
        self._logic = (logic / "alfred.pddl").read_text(), (logic / "alfred.twl2").read_text()
        self._reference = Reference(cache, quick)
        self._generator = Generator()

    def compare(self, source: Source, steps: int) -> Report:
        """Play one game on both engines."""
        begun = time.perf_counter()
        problem = self._problem(source)
        report = Report(source.id, load_native=time.perf_counter() - begun)
        data, report.kind = self._data(source)
        begun = time.perf_counter()
        self._reference.load(data)
        report.load_textworld = time.perf_counter() - begun
        Comparison(self._reference, source, data, problem, report).play(steps)
        return report

    def _problem(self, source: Source) -> Problem:
        if source.path:
            return read_official(Path(source.path))
        return read_generated(self._generator, source.split, source.number)

    def _data(self, source: Source) -> tuple[dict[str, Any], str]:
        if source.path:
            path = Path(source.path)
            data = json.loads(path.read_text())
            assert stated_task(data["grammar"])
            return data, json.loads(path.with_name("traj_data.json").read_text())["task_type"]
        house = self._generator.house(source.split, source.number)
        data = json.loads(self._generator.game(house, *self._logic))
        assert data["walkthrough"] == walkthrough(house)
        return data, house.kind.name


def sources(data: Path | None, games: int, generated: int, seed: int) -> list[Source]:
    """Games, the same for the same arguments: official ones of every split and kind, and generated ones."""
    rng = random.Random(seed)  # noqa: S311
    chosen: list[Source] = []
    if data is not None:
        root = data / "json_2.1.1" if (data / "json_2.1.1").is_dir() else data
        groups: dict[tuple[str, str], list[Path]] = {}
        for path in sorted(root.rglob("game.tw-pddl")):
            split, task = path.relative_to(root).parts[:2]
            groups.setdefault((split, task.partition("-")[0]), []).append(path)
        for paths in groups.values():
            rng.shuffle(paths)
        # By turns from each split and kind: a run that is cut short has seen all of them.
        longest = max(map(len, groups.values()), default=0)
        turns = [paths[n] for n in range(longest) for paths in groups.values() if n < len(paths)]
        chosen += [
            Source(path.parent.relative_to(root).as_posix(), str(path)) for path in turns[: games or None]
        ]
    for _ in range(generated):
        split, number = rng.choice(SPLITS), rng.randrange(10_000)
        chosen.insert(rng.randrange(len(chosen) + 1), Source(f"{split}/{number}", "", split, number))
    return list({source.id: source for source in chosen}.values())


def _compare(chosen: list[Source], steps: int, cache: Path, quick: bool) -> list[Report]:
    comparer = Comparer(cache, quick)
    return [comparer.compare(source, steps) for source in chosen]


def run(chosen: list[Source], steps: int, cache: Path, quick: bool, budget: int) -> Iterator[Report]:
    """Compare games, some at a time, each lot in a process of its own.

    Args:
        chosen: The games.
        steps: Commands a game.
        cache: A folder for the engine's caches.
        quick: See `Reference`.
        budget: Stop after this many steps in all; 0 for no limit.
    """
    left = budget or sys.maxsize
    with concurrent.futures.ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        for first in range(0, len(chosen), FRESH):
            lot = chosen[first : first + FRESH]
            for report in pool.submit(_compare, lot, steps, cache, quick).result():
                yield report
                left -= report.steps
            if left <= 0:
                return


def summary(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over games."""
    steps = sum(report["steps"] for report in reports)
    official = [report for report in reports if not report["game"].startswith("generated")]
    verbs, sessions = Counter[str](), Counter[str]()
    for report in reports:
        verbs.update(report["verbs"])
        sessions.update(report["sessions"])

    def total(name: str) -> float:
        return sum(report[name] for report in reports)

    return {
        "games": len(reports),
        "official": len(official),
        "splits": Counter(report["game"].partition("/")[0] for report in reports),
        "kinds": Counter(report["kind"] for report in official),
        "steps": steps,
        "official_steps": sum(report["steps"] for report in official),
        "differences": sum(len(report["differences"]) for report in reports),
        "steps_per_s": {name: round(steps / max(total(name), 1e-9), 1) for name in ("native", "textworld")},
        "load_ms": {
            name: round(1000 * total(f"load_{name}") / max(len(reports), 1), 2)
            for name in ("native", "textworld")
        },
        "fork_us": round(1e6 * total("fork") / max(steps, 1), 2),
        "won": sum(report["won"] for report in reports),
        "sessions": sessions,
        "verbs": verbs,
    }


def main() -> int:
    """Compare, print what was found, and fail where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m envs.alfworld.comparison.compare", description=__doc__)
    parser.add_argument("--data", type=Path, help="the official data; without it only generated games")
    parser.add_argument("--games", type=int, default=0, help="official games; 0 for all")
    parser.add_argument("--generated", type=int, default=20, help="generated games")
    parser.add_argument("--steps", type=int, default=60, help="commands a game")
    parser.add_argument("--budget", type=int, default=0, help="commands in all; 0 for no limit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(".espalier/cache"))
    parser.add_argument("--out", type=Path, help="a line a game; games in it are not played again")
    parser.add_argument("--plain", action="store_true", help="derive every command at every step: slower")
    options = parser.parse_args()
    chosen = sources(options.data, options.games, options.generated, options.seed)
    known: list[dict[str, Any]] = []
    if options.out is not None and options.out.exists():
        known = [json.loads(line) for line in options.out.read_text().split("\n") if line]
    done = {report["game"] for report in known}
    fresh: list[dict[str, Any]] = []
    left = [source for source in chosen if source.id not in done]
    for report in run(left, options.steps, options.cache, not options.plain, options.budget):
        fresh.append(asdict(report))
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            with options.out.open("a") as lines:
                lines.write(json.dumps(fresh[-1]) + "\n")
        for difference in report.differences[:3]:
            print(json.dumps({"game": report.game} | difference), file=sys.stderr)
    found = summary([*known, *fresh])
    print(json.dumps(found))
    return 1 if found["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
