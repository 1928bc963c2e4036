"""A game served by OpenEnv's own server: count to the target. Run in OpenEnv's environment with a port.

The seed is the target's last digit and the pace at which the counter starts.
"""

# pyright: reportMissingImports=false
import sys
from typing import Any

import uvicorn
from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app

TARGET = 3


class Say(Action):
    """A word."""

    word: str


class Shown(Observation):
    """Where the count stands."""

    text: str = ""


class Counter(Environment[Say, Shown, State]):
    """`up` counts; at the target it is done."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self._state = State()
        self._count = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None, **more: Any) -> Shown:
        self._state = State(episode_id=episode_id, step_count=0)
        self._count = 0
        self._goal = TARGET + (seed or 0) % 3
        return Shown(text=f"0 of {self._goal}", done=False, reward=0.0)

    def step(self, action: Say, timeout_s: float | None = None, **more: Any) -> Shown:
        self._state.step_count += 1
        if action.word == "crash":
            raise RuntimeError("the counter fell down")
        self._count += action.word == "up"
        done = self._count >= self._goal
        return Shown(text=f"{self._count} of {self._goal}", done=done, reward=float(done) * 7)

    @property
    def state(self) -> State:
        return self._state


if __name__ == "__main__":
    app = create_fastapi_app(Counter, Say, Shown, max_concurrent_envs=8)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
