"""One engine process: TextWorld games by handle, with requests and replies in JSON lines.

Standard input carries requests, standard output answers, one at a time; the argument is a folder for
caches. Of what serves, only this module imports the engine. It ends when its standard input does, so
that it never outlives the server.
"""

import json
import os
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TextIO

import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
from textworld.envs.pddl import PddlEnv

from envs.alfworld.generator import Generator
from envs.alfworld.textworld import shortcuts

PARKED = 8
"""Engines without a session that are kept for the next."""


@dataclass
class _Feedback:
    text: str
    won: bool


class Games:
    """The live games of this process."""

    def __init__(self) -> None:
        data = files("alfworld") / "data"
        self._domain = (data / "alfred.pddl").read_text()
        self._grammar = (data / "alfred.twl2").read_text()
        self._generator = Generator()
        self._live: dict[str, AlfredDemangler] = {}
        self._parked: list[AlfredDemangler] = []

    def start(self, handle: str, game: dict[str, Any]) -> _Feedback:
        """Load a game: `{path}` of an official one, or `{split, number}` of a generated one."""
        engine = self._parked.pop() if self._parked else self._engine()
        engine.load(self._read(game))
        state = engine.reset()
        self._live[handle] = engine
        return _Feedback(state["feedback"], bool(state["won"]))

    def step(self, handle: str, command: str) -> _Feedback:
        """Take one action."""
        state, _, done = self._live[handle].step(command)
        return _Feedback(state["feedback"], bool(done))

    def end(self, handle: str) -> None:
        """Let a game go; its engine is kept for the next."""
        engine = self._live.pop(handle, None)
        if engine is not None and len(self._parked) < PARKED:
            self._parked.append(engine)

    def _engine(self) -> AlfredDemangler:
        return AlfredDemangler(PddlEnv(textworld.EnvInfos(won=True)), shuffle=False)

    def _read(self, game: dict[str, Any]) -> Any:
        if "path" in game:
            return game["path"]
        house = self._generator.house(game["split"], game["number"])
        return json.loads(self._generator.game(house, self._domain, self._grammar))


def answer(games: Games, request: dict[str, Any]) -> dict[str, Any]:
    """Carry out a request: `start`, `step` or `end`."""
    handle = request["handle"]
    try:
        match request["op"]:
            case "start":
                feedback = games.start(handle, request["game"])
            case "step":
                feedback = games.step(handle, request["command"])
            case _:
                games.end(handle)
                feedback = _Feedback("", False)
    except KeyError as error:
        return {"id": request["id"], "lost": str(error)}
    except Exception as error:  # the engine's own; the game is in no known state
        games.end(handle)
        return {"id": request["id"], "error": f"{type(error).__name__}: {error}"}
    return {"id": request["id"], "text": feedback.text, "won": feedback.won}


def resident() -> int:
    """This process's resident memory, MiB; 0 where the system does not report it."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
    except OSError:
        return 0


def serve(requests: TextIO, answers: TextIO, cache: Path) -> None:
    """Answer until the requests end."""
    shortcuts.install(cache)
    games = Games()
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in requests:
        reply = answer(games, json.loads(line))
        print(json.dumps(reply | {"mib": resident()}), file=answers, flush=True)


def main() -> None:
    """Keep standard output for answers; whatever the engine prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
