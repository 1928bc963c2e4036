"""Metrics: labels are bounded, whatever clients and operators choose."""

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from services.contracts.episode import Episode, EpisodeCreate, State
from services.kit.app import create_app
from services.kit.metrics import (
    ADAPTERS,
    BASE,
    OTHER,
    READY_SECONDS,
    BoundedLabel,
    Metrics,
    ModelMetrics,
)
from services.kit.settings import Settings
from services.orchestrator.store.fold import Fold
from services.orchestrator.worker.metrics import ENVIRONMENTS, EpisodeMetrics
from tests.support import served


def labels(registry: CollectorRegistry, name: str, label: str) -> dict[str, float]:
    """The values of a series by one of its labels."""
    return {
        sample.labels[label]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_a_label_shows_so_many_values_and_the_rest_as_other() -> None:
    label = BoundedLabel(2, ["known"])
    assert [label.fold(value) for value in ("a", "b", "known", "a")] == ["a", OTHER, "known", "a"]


def test_methods_that_clients_make_up_share_a_series() -> None:
    app: FastAPI = create_app("part", settings=Settings())
    with served(app) as url:
        for method in ("GET", "PROPFIND", "PURGE", "MKCOL"):
            httpx.request(method, f"{url}/healthz")
        text = httpx.get(f"{url}/metrics").text
    found = {
        sample.labels["method"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "espalier_http_requests_total"
    }
    assert found == {"GET", OTHER}
    assert "_created" not in text


def test_a_readiness_that_nobody_checks_is_not_shown() -> None:
    now = 0.0
    metrics = Metrics("worker", lambda: now)
    metrics.show_ready({"redis": False})
    now = READY_SECONDS
    assert b'espalier_ready{dependency="redis",part="worker"} 0.0' in metrics.exposition()[0]
    now += 1
    assert b"espalier_ready{" not in metrics.exposition()[0]
    metrics.show_ready({"redis": True})
    assert b'espalier_ready{dependency="redis",part="worker"} 1.0' in metrics.exposition()[0]


def test_adapters_beyond_the_bound_share_a_series() -> None:
    metrics = Metrics("actor")
    model = ModelMetrics(metrics, "actor")
    for number in range(3 * ADAPTERS):
        model.count_answer(f"agent@{number:012}")
    model.count_answer(None)
    found = labels(metrics.registry, "espalier_adapter_answers_total", "adapter")
    assert len(found) == ADAPTERS + 1
    assert found[BASE] == 1
    assert sum(found.values()) == 3 * ADAPTERS + 1


def test_a_change_of_adapters_is_counted_by_its_outcome() -> None:
    metrics = Metrics("actor")
    model = ModelMetrics(metrics, "actor")
    with model.count_change("load"):
        pass
    with pytest.raises(RuntimeError), model.count_change("load"):
        raise RuntimeError
    loads = {
        sample.labels["outcome"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "espalier_adapter_changes_total" and sample.labels["change"] == "load"
    }
    assert loads == {"ok": 1, "error": 1}


def test_episodes_of_unknown_environments_and_methods_share_a_series() -> None:
    registry = CollectorRegistry()
    metrics = EpisodeMetrics(registry, ["alfworld"])
    for number in range(2 * ENVIRONMENTS):
        request = EpisodeCreate(environment=f"made-up-{number}", task_id="t", method=f"method-{number}")
        metrics.count(
            Episode(id="ep", state=State.FAILED, request=request, created_at=1.0, ended_at=3.0), Fold()
        )
    environments = labels(registry, "espalier_episode_seconds_count", "environment")
    assert len(environments) == ENVIRONMENTS  # the configured one has no episode
    assert OTHER in environments
    assert set(labels(registry, "espalier_episode_seconds_count", "method")) == {OTHER}


def test_live_episodes_are_shown_for_the_adapters_that_have_most() -> None:
    registry = CollectorRegistry()
    metrics = EpisodeMetrics(registry)
    metrics.show_adapters(5, {"gone": 5})
    metrics.show_adapters(1000, {f"agent@{number}": number + 1 for number in range(ADAPTERS + 10)})
    found = labels(registry, "espalier_adapter_episodes", "adapter")
    assert len(found) == ADAPTERS + 2
    assert found[OTHER] == sum(range(1, 11))
    assert sum(found.values()) == 1000
    assert "gone" not in found
