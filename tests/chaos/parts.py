"""The two parts of a chaos run that are scripted: the engine and the environment, each a process.

    python -m tests.chaos.parts engine|environment --port PORT

Both answer by the request alone, so that a disturbed run can be compared with an undisturbed one.
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from envs.serving.environment import Frame, Opening
from envs.serving.server import serve
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from services.contracts.task import InlineTask, Task
from services.kit.server import server_options
from services.kit.settings import Settings
from services.scripted.api import create_app
from services.scripted.call import Answer, ChatCall
from services.scripted.model import ScriptedModel
from services.scripted.scripts import play_roles

MOVES = ("north", "north", "north", "north", "south", "look")
"""What the actor draws from: it comes to the end of a corridor, and not straight."""


def play_corridor(call: ChatCall) -> list[Answer]:
    """Return the default script's answers, with moves in a corridor for the actor."""
    answers = play_roles(call)
    if "ACTION:" not in answers[0].text:
        return answers
    moves = [call.random("move", choice).choice(MOVES) for choice in range(call.n)]
    return [
        Answer(f"{answer.text.rpartition('ACTION:')[0]}ACTION: {move}")
        for answer, move in zip(answers, moves, strict=True)
    ]


class CountedEnvironment(TwinEnvironment):
    """Corridors that write down every step that is taken, by instance.

    Observations hold no process id: prompts of a disturbed run are those of an undisturbed one.

    Args:
        record: The file to append to; a JSON object a line.
        latency: Time of a step, seconds.
    """

    def __init__(self, record: Path | None, latency: float) -> None:
        super().__init__(latency=latency, tasks=1000)
        self._file = None if record is None else record.open("a", buffering=1)

    async def start(self, task: Task | InlineTask, seed: int) -> Opening:
        """Start an instance and write it down."""
        opening = await super().start(task, seed)
        self._write(handle=opening.handle, task=task.id if isinstance(task, Task) else "", seed=seed)
        return Opening(opening.handle, self._plain(opening.frame), opening.instruction)

    async def step(self, handle: str, action: str) -> Frame:
        """Take a step and write it down."""
        frame = await super().step(handle, action)
        self._write(handle=handle, action=action)
        return self._plain(frame)

    def _plain(self, frame: Frame) -> Frame:
        return dataclasses.replace(frame, observation=self.normalise(frame.observation))

    def _write(self, **data: object) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"process": os.getpid(), **data}) + "\n")


def create_engine() -> FastAPI:
    """Return the scripted engine; `CHAOS_ENGINE_LATENCY` is what a request takes, seconds."""
    latency = float(os.environ.get("CHAOS_ENGINE_LATENCY", "0"))
    return create_app(ScriptedModel(play_corridor, latency=latency))


def create_environment() -> FastAPI:
    """Return the counted environment; `CHAOS_RECORD` is its file, `CHAOS_STEP_LATENCY` a step's time."""
    record = os.environ.get("CHAOS_RECORD")
    latency = float(os.environ.get("CHAOS_STEP_LATENCY", "0"))
    return serve(CountedEnvironment(Path(record) if record else None, latency), EnvironmentSettings())


def main() -> None:
    """Serve a part until it is stopped."""
    parser = argparse.ArgumentParser(description="A scripted part of a chaos run.")
    parser.add_argument("part", choices=["engine", "environment"])
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    app = create_engine() if chosen.part == "engine" else create_environment()
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, **server_options(Settings()))


if __name__ == "__main__":
    main()
