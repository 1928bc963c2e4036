"""Merged weights are swapped while episodes run: a stack of real parts, with scripted engines."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from typer.testing import CliRunner

from espalier import tuning
from espalier.client import Actor, Espalier, EspalierError, Role
from espalier.serve import PORTS
from espalier.stack.adapters import ServedModel
from espalier.stack.embedded import MODEL
from espalier.stack.parts import Part, plan_parts
from espalier.stack.ports import port_holder
from espalier.stack.settings import StackSettings
from espalier.stack.supervisor import Supervisor
from espalier.stack.swap import (
    KEPT,
    ROLES,
    Progress,
    Swap,
    Swapper,
    SwapRequest,
    SwapState,
    progress_folder,
    read_swap,
    request_file,
    write,
)
from espalier.stack.up import part_states, state_file
from services.actor.api import create as create_actor
from services.contracts.card import Card
from services.contracts.episode import EpisodeCreate, State
from services.judge.api import create as create_judge
from services.kit.settings import RoleSettings
from services.planner.api import create as create_planner
from services.prompting import load_profile
from services.scripted.api import create_app as create_model
from services.scripted.model import ScriptedModel
from tests.espalier.test_adapters import make
from tests.support import eventually, served

FACTORIES = {"planner": create_planner, "judge": create_judge, "actor": create_actor}
Plan = Callable[[StackSettings, ServedModel, int], Part]


def scripted(settings: StackSettings, _: ServedModel, number: int, **environment: str) -> Part:
    """An engine that answers by a script, each answer a while later."""
    port = settings.port("engine") + number
    command = [sys.executable, "-m", "espalier", "serve", "scripted-model", "--port", str(port)]
    found = {"ESPALIER_SCRIPTED_LATENCY": "0.3", "ESPALIER_SCRIPTED_MODEL": MODEL, **environment}
    return Part("engine" if number == 0 else "engine-2", command, port, "/health", 60, found)


@dataclass
class Site:
    """A stack's settings, and two adapters of one kind."""

    settings: StackSettings
    cards: list[Card] = field(default_factory=list[Card])
    folders: list[Path] = field(default_factory=list[Path])

    def model(self, number: int) -> ServedModel:
        return ServedModel(self.folders[number], self.cards[number])

    def prepare(self, settings: StackSettings, _: Callable[[str], None]) -> ServedModel:
        """What is merged: the folder itself, as scripted engines look at no weights."""
        return self.model([str(folder) for folder in self.folders].index(settings.adapter))

    def push(self, number: int, *words: str) -> Any:
        return CliRunner().invoke(tuning.adapters, ["push", str(self.folders[number]), *words])

    def push_apart(self, number: int, *words: str) -> "subprocess.CompletedProcess[str]":
        """Push in a process of its own: two runners in one process take each other's output."""
        command = [sys.executable, "-m", "espalier", "adapters", "push", str(self.folders[number]), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    def parts(self) -> dict[str, int]:
        """The pids of the parts that run."""
        return {name: pid for name, pid, *_ in part_states(self.settings)}

    def listed(self, role: str = "actor") -> list[tuple[str, bool]]:
        """The adapters of a role, and whether they drain; none while it is being started again."""
        with suppress(EspalierError), Role(self.settings.url(role)) as one:
            return [(adapter.name, adapter.draining) for adapter in one.adapters().adapters]
        return []

    def all_list(self, *expected: tuple[str, bool]) -> bool:
        return all(self.listed(role) == list(expected) for role in ROLES)

    @asynccontextmanager
    async def up(self, plan: Plan = scripted) -> AsyncIterator[Supervisor]:
        """The stack, watched, its second engine made by a plan."""
        model = self.model(0)
        parts = [
            scripted(self.settings, model, 0) if part.name == "engine" else part
            for part in plan_parts(self.settings, model)
        ]
        settings = self.settings
        supervisor = Supervisor(parts, settings.logs, state_file(settings), lambda *_: None)
        tasks: list[asyncio.Task[None]] = []
        try:
            await supervisor.start()
            swapper = Swapper(settings, supervisor, model, prepare=self.prepare, plan=plan)
            tasks += [asyncio.create_task(supervisor.watch()), asyncio.create_task(swapper.serve())]
            yield supervisor
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await supervisor.stop()


def free_offset() -> int:
    """An offset at which all ports of a stack are free: below 32768, from where connections get theirs."""
    wanted = [*PORTS.values(), PORTS["engine"] + 1, 6379]
    offsets = range(10_000 + os.getpid() % 100 * 100, 24_000, 131)
    return next(at for at in offsets if all(port_holder(port + at) is None for port in wanted))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    offset = free_offset()
    for name, value in {"HOME": tmp_path / "home", "PORT_OFFSET": offset}.items():
        monkeypatch.setenv(f"ESPALIER_{name}", str(value))
    for name in ("MODEL_URL", "MERGED_ADAPTER", "PROMPT_PROFILE", "ADAPTER", "URL"):
        monkeypatch.delenv(f"ESPALIER_{name}", raising=False)
    made = Site(StackSettings(start_environments=["alfworld"]))
    for number in range(2):
        folder = tmp_path / f"adapter-{number}"
        made.cards.append(make(folder, bytes([number]), profile=load_profile("compact").id))
        made.folders.append(folder)
    return made


async def test_episodes_keep_their_weights_and_new_ones_get_the_new(site: Site) -> None:
    old, new = (card.name for card in site.cards)
    slow = EpisodeCreate(environment="alfworld", task_id="generated_valid/2", method="react", max_steps=20)
    async with site.up():
        with Espalier(site.settings.url("orchestrator")) as episodes:
            first = await asyncio.to_thread(episodes.create, slow)
            assert first.adapter == old
            await asyncio.to_thread(eventually, lambda: episodes.get(first.id).state is State.RUNNING)
            whole = asyncio.create_task(asyncio.to_thread(site.push_apart, 1, "--retire"))
            await asyncio.to_thread(eventually, lambda: site.all_list((new, False), (old, True)))
            done = await asyncio.to_thread(site.push, 1)
            assert done.exit_code == 0, done.output
            assert "served already" in done.output
            second = await asyncio.to_thread(episodes.create, slow.model_copy(update={"max_steps": 2}))
            assert second.adapter == new
            with pytest.raises(EspalierError, match="not served"):
                await asyncio.to_thread(episodes.create, slow.model_copy(update={"adapter": old}))
            refused = await asyncio.to_thread(site.push, 0)
            assert "still has episodes" in refused.output
            for episode in (first, second):
                ended = await asyncio.to_thread(episodes.wait, episode.id)
                assert ended.state is State.COMPLETED
                assert ended.adapter == episode.adapter
        pushed = await whole
        assert pushed.returncode == 0, pushed.stderr
        assert f"new episodes use {new}" in pushed.stdout + pushed.stderr
        assert "engine has stopped" in pushed.stdout + pushed.stderr
        assert site.all_list((new, False))
        await asyncio.to_thread(eventually, lambda: port_holder(site.settings.port("engine")) is None)
        await asyncio.to_thread(eventually, lambda: "engine" not in site.parts())
        assert "engine-2" in site.parts()

        actor = site.parts()["actor"]
        psutil.Process(actor).kill()
        await asyncio.to_thread(eventually, lambda: not psutil.pid_exists(actor))
        await asyncio.to_thread(eventually, lambda: site.listed() == [(new, False)])

        back = await asyncio.to_thread(site.push, 0, "--retire")
        assert back.exit_code == 0, back.output
        assert "engine-2 has stopped" in back.output
        assert site.all_list((old, False))
        again = await asyncio.to_thread(site.push, 0)
        assert "served already" in again.output
    assert port_holder(site.settings.port("engine")) is None


def dies(settings: StackSettings, _: ServedModel, number: int) -> Part:
    port = settings.port("engine") + number
    command = [sys.executable, "-c", "raise SystemExit('no memory for weights')"]
    return Part("engine-2", command, port, "/health", 60)


def another_base(settings: StackSettings, model: ServedModel, number: int) -> Part:
    return scripted(settings, model, number, ESPALIER_SCRIPTED_MODEL="Llama-2-7b")


@pytest.mark.parametrize(
    ("plan", "found"), [(dies, "no memory for weights"), (another_base, "serves Llama-2-7b")]
)
async def test_a_swap_that_fails_changes_nothing(site: Site, plan: Plan, found: str) -> None:
    def second(settings: StackSettings, model: ServedModel, number: int) -> Part:
        return (plan if number else scripted)(settings, model, number)

    async with site.up(second):
        failed = await asyncio.to_thread(site.push, 1)
        assert failed.exit_code == 1
        assert found in failed.output
        assert site.all_list((site.cards[0].name, False))
        assert port_holder(site.settings.port("engine") + 1) is None
        assert "engine" in site.parts()
        with Actor(site.settings.url("actor")) as actor:
            assert actor.adapters().adapters[0].name == site.cards[0].name
        told_of = list(progress_folder(site.settings).glob("*.json"))
        assert [Swap.model_validate_json(one.read_text()).state for one in told_of] == [SwapState.FAILED]
        assert not request_file(site.settings).exists()


@pytest.fixture
def roles(site: Site) -> Iterator[None]:
    """Role services at the stack's ports, the judge's engine one of another base."""
    with ExitStack() as running:
        first, _, other = (
            running.enter_context(
                served(create_model(ScriptedModel(name=name)), site.settings.port("engine") + place)
            )
            for place, name in enumerate((MODEL, MODEL, "Llama-2-7b"))
        )
        for role, create in FACTORIES.items():
            url = other if role == "judge" else first
            engines = [f"http://127.0.0.1:{site.settings.port('engine') + place}" for place in (0, 1)]
            settings = RoleSettings(
                model_url=url,
                engines=",".join(engines),
                merged_adapter=site.cards[0].name,
                prompt_profile="compact",
            )
            running.enter_context(served(create(settings), site.settings.port(role)))
        yield


@pytest.mark.usefixtures("roles")
def test_where_one_role_refuses_all_go_back(site: Site) -> None:
    old, new = (scripted(site.settings, site.model(number), number) for number in range(2))
    supervisor = Supervisor([], site.settings.logs, state_file(site.settings), lambda *_: None)
    swapper = Swapper(site.settings, supervisor, site.model(0))
    with pytest.raises(EspalierError, match="is wanted"):
        swapper._switch_roles(site.cards[1].name, new, site.cards[0].name, old)
    assert site.all_list((site.cards[0].name, False))


async def test_what_cannot_follow_is_refused(site: Site, tmp_path: Path) -> None:
    other = make(tmp_path / "other", profile="paper@0123456789ab")
    supervisor = Supervisor([], site.settings.logs, state_file(site.settings), lambda *_: None)
    swapper = Swapper(site.settings, supervisor, site.model(0))
    serving = asyncio.create_task(swapper.serve())
    try:
        for adapter, found in [
            (str(tmp_path / "other"), f"learned from prompts of {other.profile}"),
            ("none", "Only a merged adapter"),
            (str(tmp_path / "nowhere"), "ESPALIER_ADAPTER names"),
        ]:
            request = SwapRequest(id=uuid4().hex, adapter=adapter)
            write(request_file(site.settings), request)

            def failed(number: str = request.id) -> bool:
                swap = read_swap(site.settings, number)
                return swap is not None and swap.state is SwapState.FAILED

            await asyncio.to_thread(eventually, failed)
            swap = read_swap(site.settings, request.id)
            assert swap is not None
            assert found in swap.error
        for number in range(2 * KEPT):
            Progress(progress_folder(site.settings), f"{number:032x}")
        assert len(list(progress_folder(site.settings).iterdir())) == KEPT
        request_file(site.settings).write_text("no message")
        await asyncio.to_thread(eventually, lambda: not request_file(site.settings).exists())
        assert not serving.done()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
