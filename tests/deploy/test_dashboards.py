"""The Grafana dashboards: well-formed, built on metrics that are there, and every panel shows a real run."""

import importlib.util
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from envs.serving.metrics import SessionMetrics
from services.kit.metrics import Metrics, ModelMetrics
from services.orchestrator.worker.metrics import EpisodeMetrics
from services.scripted.model_metrics import ModelMetrics as EngineMetrics
from tests.deploy.composing import ALERTS, ROOT, RUNBOOKS, dashboard_queries, fill, load_dashboards
from tests.deploy.watching import ADAPTER, METHODS, Watch, watched
from tests.support import eventually

VLLM = set(Path(__file__).with_name("vllm_metrics.txt").read_text().split())
"""Every metric of vLLM 0.32."""
ONLY_VLLM = {"Preemptions a minute", "Prefill and decode time, 95%"}
"""Panels on what the scripted engine does not model: their metrics are checked by name alone."""
DASHBOARDS = load_dashboards()
PANELS = [
    (name, panel) for name, board in DASHBOARDS.items() for panel in board["panels"] if panel["type"] != "row"
]


def _registries() -> list[CollectorRegistry]:
    """One registry of each kind: of a part with everything that parts count, and of the engine."""
    part = Metrics("test")
    ModelMetrics(part, "actor")
    EpisodeMetrics(part.registry)
    SessionMetrics(part.registry, "alfworld", lambda: 0.0, 1)
    return [part.registry, EngineMetrics("toy").registry]


def _exported() -> set[str]:
    """The names of all series that the parts, the engines, Prometheus and its rules make."""
    names = {f"{name}{suffix}" for name in VLLM for suffix in ("", "_total", "_bucket", "_sum", "_count")}
    for family in itertools.chain.from_iterable(registry.collect() for registry in _registries()):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names.update(family.name + suffix for suffix in suffixes)
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return names | {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def _runbook_queries() -> list[str]:
    return re.findall(r"^\$ ask '(.*)'$", RUNBOOKS.read_text(), re.MULTILINE)


def test_metrics_that_are_named_are_exported() -> None:
    texts = [
        query
        for board in DASHBOARDS.values()
        for panel in dashboard_queries(board).values()
        for query in panel
    ]
    assert len(texts) > 80
    texts += [ALERTS.read_text(), ALERTS.with_name("alerts_test.yml").read_text(), *_runbook_queries()]
    texts += [
        variable["definition"] for board in DASHBOARDS.values() for variable in board["templating"]["list"]
    ]
    named = {name for text in texts for name in re.findall(r"\b(?:espalier[_:]|vllm:)[\w:]+", text)}
    assert named - _exported() == set()
    assert len(named) > 60


def test_the_list_of_vllms_metrics_is_vllms() -> None:
    assert {family.name for family in EngineMetrics("toy").registry.collect()} <= VLLM
    installed = importlib.util.find_spec("vllm")
    if installed is None or installed.origin is None:
        pytest.skip("vLLM is not installed here")
    text = Path(installed.origin).with_name("v1").joinpath("metrics/loggers.py").read_text()
    assert set(re.findall(r'name=\(?\s*"(vllm:\w+)"', text)) == VLLM


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_well_formed(name: str) -> None:
    board = DASHBOARDS[name]
    assert board["uid"] == f"espalier-{name}"
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    shown = [panel for panel in panels if panel["type"] != "row"]
    assert len({panel["title"] for panel in shown}) == len(shown)
    for panel in shown:
        assert re.fullmatch(r"[A-Z].*[^.]\.", panel["description"]), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        ):
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]
    variables = {f"${variable['name']}" for variable in board["templating"]["list"]}
    used = {
        name for panel in shown for one in panel["targets"] for name in re.findall(r"\$[a-z]\w*", one["expr"])
    }
    assert used == variables


def test_dashboards_are_provisioned_with_their_data_source() -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for _, panel in PANELS} == {source["uid"]}
    (provider,) = yaml.safe_load((provisioning / "dashboards/espalier.yml").read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    folder = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in grafana["volumes"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == folder
    assert home.stem in DASHBOARDS


@pytest.fixture(scope="module")
def watch(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """A stack that has played, and a Prometheus that has seen the counters rise."""
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed here (Debian: prometheus)")
    with watched(valkey, tmp_path_factory.mktemp("watch")) as made:
        made.play()
        made.play()
        yield made


def test_every_panel_shows_a_real_run(watch: Watch) -> None:
    missing: dict[str, str] = {}

    def all_answer() -> bool:
        missing.clear()
        watch.check_ready()
        for name, panel in PANELS:
            if panel["title"] not in ONLY_VLLM:
                for target in panel["targets"]:
                    if not watch.ask(fill(target["expr"])):
                        missing[f"{name}: {panel['title']}"] = target["expr"]
        return not missing

    try:
        eventually(all_answer, 60)
    except AssertionError:
        pytest.fail(f"panels without data: {missing}")


def test_series_have_the_labels_that_legends_name(watch: Watch) -> None:
    for name, panel in PANELS:
        for target in panel["targets"]:
            labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            for series in watch.ask(fill(target["expr"])):
                assert labels <= series["metric"].keys(), (name, panel["title"], series["metric"])


def test_queries_of_runbooks_are_valid(watch: Watch) -> None:
    queries = _runbook_queries()
    assert len(queries) > 20
    for query in queries:
        watch.ask(query)


def test_a_run_shows_what_its_environments_and_methods_did(watch: Watch) -> None:
    def labels(query: str) -> set[tuple[str, ...]]:
        return {tuple(one["metric"].values()) for one in watch.ask(query)}

    where = set(itertools.product(("twin", "maze"), METHODS))
    assert labels("sum by (environment, method) (espalier_episodes_total) > 0") == where
    assert labels("sum by (question) (espalier_p_yes_count) > 0") == {("subtask",), ("path",), ("value",)}
    adapters = 'sum by (adapter) (espalier_adapter_answers_total{role="actor"}) > 0'
    assert labels(adapters) == {("base",), (ADAPTER,)}
    assert watch.ask('espalier_adapter_changes_total{role="actor",change="load",outcome="ok"} == 1')
    assert watch.ask('espalier_redis_bytes{kind="used"} > 0')
    for name in ("forks", "backtracks", "successes", "branches", "episode_tokens"):
        assert watch.ask(f"sum(espalier_{name}_total) > 0"), name
    assert watch.ask("sum(espalier_sessions_opened_total) > sum(espalier_session_forks_total) > 0")
    assert not watch.ask('{__name__=~"(espalier_|vllm:).*_created"}'), "creation times are off"


def test_no_registry_has_series_of_creation_times() -> None:
    samples = [
        sample.name
        for registry in _registries()
        for family in registry.collect()
        for sample in family.samples
    ]
    assert not [name for name in samples if name.endswith("_created")]
