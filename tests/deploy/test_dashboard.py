"""The Grafana dashboard: well-formed, and built on metrics that are there."""

import itertools
import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from envs.serving.metrics import SessionMetrics
from services.kit.metrics import Metrics, ModelMetrics
from services.orchestrator.worker.metrics import EpisodeMetrics
from services.scripted.model_metrics import ModelMetrics as EngineMetrics
from tests.deploy.composing import DASHBOARD, ROOT, dashboard_queries


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text())


def _exported() -> set[str]:
    """The names of all series that the parts and the engine export."""
    part = Metrics("test")
    ModelMetrics(part, "actor")
    EpisodeMetrics(part.registry)
    SessionMetrics(part.registry, "alfworld", lambda: 0.0)
    names: set[str] = set()
    registries: list[CollectorRegistry] = [part.registry, EngineMetrics("toy").registry]
    for family in itertools.chain.from_iterable(registry.collect() for registry in registries):
        names.add(family.name)
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names.update(family.name + suffix for suffix in suffixes)
    return names


def test_queries_ask_for_metrics_that_are_exported(dashboard: dict[str, Any]) -> None:
    queries = dashboard_queries(dashboard)
    assert len(queries) > 20
    named = {
        name
        for panel in queries.values()
        for query in panel
        for name in re.findall(r"\b(?:espalier_\w+|vllm:\w+)", query)
    }
    assert named <= _exported(), named - _exported()
    assert len(named) > 25


def test_variables_are_all_filled_in(dashboard: dict[str, Any]) -> None:
    assert not [query for panel in dashboard_queries(dashboard).values() for query in panel if "$" in query]
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["environment", "method"]


def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
        for cell in cells:
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]


def test_it_is_provisioned_with_its_data_source(dashboard: dict[str, Any]) -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    used = {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel}
    assert used == {source["uid"]}
    (provider,) = yaml.safe_load((provisioning / "dashboards/espalier.yml").read_text())["providers"]
    mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounts
