"""A stack that has played episodes, watched by a real Prometheus."""

import contextlib
import math
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import yaml

from envs.serving.server import serve as serve_environment
from envs.serving.settings import EnvironmentSettings
from envs.serving.twin import TwinEnvironment
from espalier.client import Espalier
from services.actor.api import create as create_actor
from services.contracts.episode import EpisodeCreate, State
from services.contracts.session import Fork, Metadata
from services.judge.api import create as create_judge
from services.kit.settings import RoleSettings
from services.orchestrator.api import create as create_orchestrator
from services.orchestrator.settings import OrchestratorSettings
from services.planner.api import create as create_planner
from services.scripted.api import create_app as create_model
from services.scripted.model import ScriptedModel
from tests.deploy.composing import PROMETHEUS
from tests.integration.conftest import Stack, act
from tests.support import eventually, free_port, served

METHODS = ("react", "tmbr", "lats")
"""Between them they plan, judge, value, fork and backtrack."""
ADAPTER = "agent@0123456789ab"


_PLAY = act("THOUGHT: on\nACTION: north")


def _doubt(call: Any) -> list[Any]:
    """The script of a judge that finds no path good enough, so that paths are begun anew."""
    return ["No"] * call.n if "This path has ended" in call.last else _PLAY(call)


class _Maze(TwinEnvironment):
    """A second environment."""

    @property
    def metadata(self) -> Metadata:
        return super().metadata.model_copy(update={"name": "maze"})


class Watch:
    """A Prometheus and the stack that it scrapes."""

    def __init__(self, prometheus: httpx.Client, api: Espalier, parts: list[str]) -> None:
        self._prometheus = prometheus
        self._api = api
        self._parts = parts
        self._played = 0

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of an instant query whose values are numbers."""
        answer = self._prometheus.get("/api/v1/query", params={"query": query})
        assert answer.status_code == 200, f"{query}: {answer.text}"
        return [one for one in answer.json()["data"]["result"] if not math.isnan(float(one["value"][1]))]

    def ask_range(self, query: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series of a query over a time."""
        params = {"query": query, "start": start, "end": end, "step": step}
        answer = self._prometheus.get("/api/v1/query_range", params=params)
        assert answer.status_code == 200, f"{query}: {answer.text}"
        return answer.json()["data"]["result"]

    def check_ready(self) -> None:
        """Check the readiness of the parts, as a container engine does every few seconds."""
        for url in self._parts:
            assert httpx.get(f"{url}/readyz", timeout=30).status_code == 200, url

    def play(self) -> None:
        """Play an episode of each environment and method, and wait until Prometheus has seen them."""
        self.check_ready()
        made = [
            self._api.create(
                EpisodeCreate(
                    environment=environment,
                    task_id="corridors/2",
                    method=method,
                    max_steps=4,
                    seed=1,
                    adapter=ADAPTER if environment == "maze" else None,
                )
            ).id
            for environment in ("twin", "maze")
            for method in METHODS
        ]
        ended = [self._api.wait(episode) for episode in made]
        assert {episode.state for episode in ended} == {State.COMPLETED}, ended
        self._played += len(made)
        eventually(lambda: self.ask(f"sum(espalier_episodes_total) >= {self._played}"))


@contextlib.contextmanager
def watched(valkey: str, folder: Path) -> Iterator[Watch]:
    """A stack with two environments and an adapter, and a Prometheus that scrapes it every second.

    Args:
        valkey: Redis's address.
        folder: For logs and Prometheus's files.
    """
    with ExitStack() as running:
        model = ScriptedModel(_doubt)
        engine = running.enter_context(served(create_model(model)))
        roles = RoleSettings(model_url=engine)
        parts = {
            "planner": running.enter_context(served(create_planner(roles))),
            "judge": running.enter_context(served(create_judge(roles))),
            "actor": running.enter_context(served(create_actor(roles))),
        }
        twins = {"twin": TwinEnvironment(fork=Fork.NATIVE), "maze": _Maze()}
        environments = {
            name: running.enter_context(served(serve_environment(twin, EnvironmentSettings())))
            for name, twin in twins.items()
        }
        settings: dict[str, Any] = {f"{role}_url": url for role, url in parts.items()}
        settings |= {"redis_url": valkey, "environments": environments}
        api = running.enter_context(served(create_orchestrator(OrchestratorSettings(**settings))))
        variables = {f"ESPALIER_{role.upper()}_URL": url for role, url in parts.items()}
        variables |= {
            "ESPALIER_HOME": str(folder),
            "ESPALIER_REDIS_URL": valkey,
            "ESPALIER_ENVIRONMENTS": str(environments).replace("'", '"'),
            "ESPALIER_SWEEP": "0.5",
        }
        stack = Stack(api, environments["twin"], model, twins["twin"], variables, folder)
        running.callback(stack.stop_workers)
        _, worker = stack.start_worker()
        targets = {
            "espalier": [api, *parts.values(), *environments.values()],
            "worker": [worker],
            "engine": [engine],
            "router": [],  # the roles call the engine itself
        }
        prometheus = running.enter_context(scraping(targets, folder))
        loaded = httpx.post(
            f"{parts['actor']}/v1/adapters", json={"name": ADAPTER, "path": "/adapters/agent"}
        )
        assert loaded.status_code == 201, loaded.text
        yield Watch(prometheus, running.enter_context(Espalier(api)), [*targets["espalier"], worker])


@contextlib.contextmanager
def scraping(targets: dict[str, list[str]], folder: Path) -> Iterator[httpx.Client]:
    """A client of a real Prometheus with the shipped rules and jobs, whose targets are others.

    Args:
        targets: Addresses by job.
        folder: For its files.
    """
    port = free_port()
    configuration = yaml.safe_load(PROMETHEUS.read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(PROMETHEUS.parent / name) for name in configuration["rule_files"]]
    jobs = {**targets, "prometheus": [f"http://127.0.0.1:{port}"]}
    assert {job["job_name"] for job in configuration["scrape_configs"]} == set(jobs)
    configuration["scrape_configs"] = [
        {
            "job_name": name,
            "honor_labels": True,
            "static_configs": [{"targets": [url.removeprefix("http://") for url in urls]}],
        }
        for name, urls in jobs.items()
    ]
    total = sum(map(len, jobs.values()))
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

            def up() -> bool:
                assert process.poll() is None, (folder / "prometheus.log").read_text()[-2000:]
                with contextlib.suppress(httpx.TransportError):
                    answer = client.get("/api/v1/query", params={"query": f"sum(up) == {total}"})
                    return answer.status_code == 200 and bool(answer.json()["data"]["result"])
                return False

            eventually(up)
            yield client
    finally:
        process.terminate()
        process.wait(30)
