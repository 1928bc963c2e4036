"""`espalier up`: prepares what is needed, starts the stack, keeps it going until it is stopped."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from rich.console import Console

from espalier.stack.adapters import prepare_served
from espalier.stack.embedded import SetupError, remove_broken_code
from espalier.stack.parts import plan_parts
from espalier.stack.private import make_private
from espalier.stack.settings import StackSettings
from espalier.stack.supervisor import POLL, READY, PartError, Supervisor, alive, read_state, readiness
from espalier.stack.swap import Swapper


def state_file(settings: StackSettings) -> Path:
    """Return the file that describes the running stack."""
    return settings.folder / "run" / "stack.json"


@contextlib.asynccontextmanager
async def running_stack(settings: StackSettings, console: Console) -> AsyncIterator[Supervisor]:
    """A stack that is up inside the block and gone after it.

    Raises:
        SetupError, PartError: It could not be brought up.
    """
    model = None
    if not settings.has_engine:
        if broken := remove_broken_code(settings.folder / "cache"):
            console.print(
                f"  [dim]cache[/]  removed {len(broken)} objects that were not compiled to their end"
            )
        model = prepare_served(settings, lambda stage: console.print(f"  [dim]model[/]  {stage}"))

    def report(part: str, news: str) -> None:
        console.print(f"  [bold]{part:<13}[/] {news}", highlight=False)

    supervisor = Supervisor(plan_parts(settings, model), settings.logs, state_file(settings), report)
    swapping: asyncio.Task[None] | None = None
    try:
        await supervisor.start()
        if model is not None:
            swapping = asyncio.create_task(Swapper(settings, supervisor, model).serve())
        yield supervisor
    finally:
        if swapping is not None:
            swapping.cancel()
            await asyncio.wait([swapping])
        await supervisor.stop()


async def stay_up(settings: StackSettings, console: Console) -> int:
    """Run the stack in the foreground; the exit code."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        async with running_stack(settings, console) as supervisor:
            console.print(f"[green]up[/]; episodes at {settings.url('orchestrator')}, Ctrl-C stops it")
            await supervisor.watch()
    except asyncio.CancelledError:
        return 0
    except (SetupError, PartError, OSError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return 1
    return 0


def detach(settings: StackSettings, console: Console) -> int:
    """Start the stack in the background and wait until it is ready; the exit code."""
    log = settings.logs / "up.log"
    make_private(log.parent)
    counts = ["--workers", str(settings.workers), "--engines", str(settings.engine_replicas)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "espalier", "up", *counts],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    printed = 0
    while True:
        lines = log.read_text(errors="replace").split("\n")[:-1]
        for line in lines[printed:]:
            console.print(line, markup=False, highlight=False)
        printed = len(lines)
        if any(line.startswith("up;") for line in lines):
            return 0
        if process.poll() is not None:
            return process.returncode or 1
        time.sleep(POLL)


def is_up(settings: StackSettings) -> bool:
    """Whether a supervisor of this home's stack is alive."""
    known = read_state(state_file(settings))
    return known is not None and alive(known["pid"], known["created"])


def part_states(settings: StackSettings) -> list[tuple[str, int, int, str]]:
    """Name, pid, port and state of each part of the running stack."""
    known = read_state(state_file(settings)) or {"parts": []}
    return [
        (part["name"], part["pid"], part["port"], _state_of(part["port"], part["ready"]))
        for part in known["parts"]
        if alive(part["pid"], part["created"])
    ]


def _state_of(port: int, path: str) -> str:
    if not path:
        return READY
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5.0, trust_env=False)
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    state = readiness(answer)
    return state if state == READY else f"not ready ({state})"
