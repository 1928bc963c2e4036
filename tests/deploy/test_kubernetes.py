"""The manifests as Kustomize renders them, overlay by overlay: by the schemas and by what the code has."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from espalier.serve import PORTS
from services.orchestrator.settings import OrchestratorSettings
from services.router.settings import RouterSettings
from services.scripted.settings import ScriptedSettings
from tests.deploy.composing import ROOT, Compose
from tests.deploy.kustomizing import (
    ENGINE_PORT,
    ENGINES,
    KUBERNETES,
    PARTS,
    ROUTERS,
    SANDBOX,
    SECRETS,
    Manifest,
    container_of,
    environment_of,
    pod_of,
    resolve,
    select,
    workloads,
)
from tests.deploy.parts import ENVIRONMENTS, ROLES, read_settings
from tests.deploy.test_dashboards import _exported as exported_series

VERSIONS = ("1.34", "1.37")
"""The oldest release of Kubernetes that has every field switched on, and the newest one."""
SECRET_VARIABLES = {"VLLM_API_KEY", "HF_TOKEN"}


@pytest.fixture(scope="module")
def services(env_file: Path) -> dict[str, Any]:
    """What compose runs."""
    return Compose(env_file, profiles=["cpu", "gpu", "scripted"]).rendered()


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Target(Strict):
    apiVersion: Literal["apps/v1"]  # noqa: N815 (KEDA's name)
    kind: Literal["Deployment", "StatefulSet"]
    name: str


class PrometheusQuery(Strict):
    serverAddress: str = Field(pattern=r"^https?://")  # noqa: N815
    query: str
    threshold: str = Field(pattern=r"^\d+(\.\d+)?$")
    ignoreNullValues: Literal["true", "false"]  # noqa: N815


class Trigger(Strict):
    type: Literal["prometheus"]
    metadata: PrometheusQuery


class Advanced(Strict):
    horizontalPodAutoscalerConfig: dict[Literal["behavior"], dict[str, Any]]  # noqa: N815


class ScaledObjectSpec(Strict):
    """KEDA 2's `ScaledObject`, as far as the manifests use it."""

    scaleTargetRef: Target  # noqa: N815
    minReplicaCount: int = Field(ge=1)  # noqa: N815
    maxReplicaCount: int  # noqa: N815
    advanced: Advanced
    triggers: list[Trigger] = Field(min_length=1)


def scaled(manifests: list[Manifest]) -> dict[str, ScaledObjectSpec]:
    """The ScaledObjects by name."""
    found = select(manifests, "ScaledObject")
    assert {each["apiVersion"] for each in found.values()} <= {"keda.sh/v1alpha1"}
    return {name: ScaledObjectSpec.model_validate(each["spec"]) for name, each in found.items()}


@pytest.fixture(scope="module")
def schemas() -> Iterator[None]:
    """Read each schema once: the definitions of a release are a megabyte."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents)
        )
        yield


@pytest.mark.usefixtures("schemas")
@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_what_kubernetes_takes(stacks: dict[str, list[Manifest]], version: str) -> None:
    found = [each for stack in stacks.values() for each in stack if each["kind"] != "ScaledObject"]
    distinct = {json.dumps(manifest, sort_keys=True): manifest for manifest in found}
    for manifest in distinct.values():
        kubernetes_validate.validate(manifest, version, strict=True)
    wrong = {**found[0], "surprise": 1}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_every_manifest_has_a_name_and_a_namespace_of_its_own(stack: list[Manifest]) -> None:
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in stack]
    assert len(set(names)) == len(names)
    namespaces = select(stack, "Namespace").keys()
    assert {namespace for kind, namespace, _ in names if kind != "Namespace"} == namespaces


@pytest.mark.usefixtures("schemas")
def test_scaled_objects_are_what_keda_takes(stack: list[Manifest], variant: str) -> None:
    objects = scaled(stack)
    assert bool(objects) == (variant in ("cpu", "gpu"))
    running = workloads(stack)
    autoscalers = select(stack, "HorizontalPodAutoscaler")
    scaler = next(iter(autoscalers.values()))
    for name, spec in objects.items():
        target = running[spec.scaleTargetRef.name]
        assert target["kind"] == spec.scaleTargetRef.kind
        assert spec.minReplicaCount <= spec.maxReplicaCount
        behavior = spec.advanced.horizontalPodAutoscalerConfig["behavior"]
        for version in VERSIONS:
            with_it = {**scaler, "spec": {**scaler["spec"], "behavior": behavior}}
            kubernetes_validate.validate(with_it, version, strict=True)
        namespace = target["metadata"]["namespace"]
        assert select(stack, "ScaledObject")[name]["metadata"]["namespace"] == namespace
        for trigger in spec.triggers:
            assert f'namespace="{namespace}"' in trigger.metadata.query
            named = set(re.findall(r"\b(?:espalier_\w+|vllm:\w+)", trigger.metadata.query))
            assert named
            assert named <= exported_series()
            pods = re.findall(r'pod=~"([^"]+)"', trigger.metadata.query)
            assert all(re.fullmatch(pattern, f"{spec.scaleTargetRef.name}-0") for pattern in pods)


def test_everything_scales_by_one_hand_alone(stack: list[Manifest], variant: str) -> None:
    objects, autoscalers = scaled(stack), select(stack, "HorizontalPodAutoscaler")
    by_processor = [spec["spec"]["scaleTargetRef"]["name"] for spec in autoscalers.values()]
    by_metric = [spec.scaleTargetRef.name for spec in objects.values()]
    assert len({*by_processor, *by_metric}) == len(by_processor) + len(by_metric)
    assert {*ROLES, "orchestrator", "worker"} <= {*by_processor, *by_metric}
    if objects:
        environments = {name.replace("_", "-") for name in ENVIRONMENTS}
        assert set(by_metric) == {"worker"} | environments | ENGINES[variant]
        jobs = int(objects["worker"].triggers[0].metadata.threshold)
        assert jobs == OrchestratorSettings.model_fields["worker_concurrency"].default
    for name, workload in workloads(stack).items():
        if name in {*by_processor, *by_metric}:
            assert "replicas" not in workload["spec"], f"{name}: to apply it again would undo the scaling"


def test_a_workload_a_part(stack: list[Manifest], variant: str) -> None:
    redis = set() if variant == "external-redis" else {"redis"}
    assert workloads(stack).keys() == PARTS[variant].keys() | ENGINES[variant] | redis
    kinds = {name: workload["kind"] for name, workload in workloads(stack).items()}
    replicated = {*ROLES, "orchestrator", "worker"} | ROUTERS[variant]
    assert {name for name, kind in kinds.items() if kind == "Deployment"} == replicated
    services = select(stack, "Service")
    for name, part in PARTS[variant].items():
        container = container_of(workloads(stack)[name])
        assert container["args"] == [part]
        http, *others = container["ports"]
        assert http == {"name": "http", "containerPort": PORTS[part]}
        annotations = workloads(stack)[name]["spec"]["template"]["metadata"]["annotations"]
        assert annotations == {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORTS[part])}
        if name in ROUTERS[variant]:
            assert others == [{"name": "model", "containerPort": ENGINE_PORT}]
            continue
        assert not others
        (port,) = services[name]["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (PORTS[part], "http")
        labels = workloads(stack)[name]["spec"]["template"]["metadata"]["labels"]
        assert services[name]["spec"]["selector"].items() <= labels.items()


def test_images_are_those_of_compose(stack: list[Manifest], variant: str, services: dict[str, Any]) -> None:
    parts = PARTS[variant]
    images = {service["image"] for service in services.values()}
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    for name, workload in workloads(stack).items():
        image = container_of(workload)["image"]
        assert image in images, name
        if image.startswith("espalier/"):
            target = image.removeprefix("espalier/").partition(":")[0]
            assert re.search(rf"^FROM \S+ AS {target}$", text, re.MULTILINE), image
            assert name not in parts or services[parts[name]]["image"] == image
        user = services.get(parts.get(name, name), {}).get("user", "10001:10001")
        if re.fullmatch(r"\d+:\d+", user):
            context = pod_of(workload)["securityContext"]
            assert user == f"{context['runAsUser']}:{context['runAsGroup']}", name


def test_settings_are_ones_that_the_parts_read_and_take(stack: list[Manifest], variant: str) -> None:
    for name, part in PARTS[variant].items():
        given = environment_of(stack, workloads(stack)[name])
        given.pop("REDIS_PASSWORD", None)
        read = read_settings(part, given)
        assert read.accepted_keys() >= {SECRETS["espalier"]["ESPALIER_API_KEYS"]}  # pyright: ignore[reportAttributeAccessIssue]


def test_parts_are_where_the_others_look(stack: list[Manifest], variant: str) -> None:
    services, running = select(stack, "Service"), workloads(stack)
    for name in ("orchestrator", "worker"):
        given = environment_of(stack, running[name])
        given.pop("REDIS_PASSWORD", None)
        read = read_settings(name, given)
        assert isinstance(read, OrchestratorSettings)
        for role, port in ROLES.items():
            assert given[f"ESPALIER_{role.upper()}_URL"] == f"http://{role}:{port}"
        assert read.environments.keys() == ENVIRONMENTS.keys()
        for environment, entry in ENVIRONMENTS.items():
            workload = environment.replace("_", "-")
            service = services[workload]
            assert service["spec"]["clusterIP"] == "None"
            assert service["spec"]["publishNotReadyAddresses"] is True
            assert running[workload]["spec"]["serviceName"] == workload
            where = f"{workload}.{service['metadata']['namespace']}:{entry.port}"
            addresses = read.servers(environment)
            assert addresses == [f"http://{workload}-{n}.{where}" for n in range(len(addresses))]
            if spec := scaled(stack).get(workload):
                assert spec.maxReplicaCount == len(addresses)
        url = read.redis_url.get_secret_value()
        if variant == "external-redis":
            assert url == SECRETS["espalier-redis"]["url"]
        else:
            assert url == f"redis://:{SECRETS['espalier']['ESPALIER_REDIS_PASSWORD']}@redis:6379/0"
            assert services["redis"]["spec"]["ports"][0]["port"] == 6379
    for role in ROLES:
        assert (
            environment_of(stack, running[role])["ESPALIER_MODEL_URL"] == f"http://{role}-model:{ENGINE_PORT}"
        )


def served_by(stack: list[Manifest], service: str) -> str:
    """The name of the one workload whose pods a Service selects."""
    found = select(stack, "Service")[service]
    (name,) = (
        name
        for name, workload in workloads(stack).items()
        if workload["metadata"]["namespace"] == found["metadata"]["namespace"]
        and found["spec"]["selector"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    )
    return name


def test_a_router_answers_for_each_role(stack: list[Manifest], variant: str) -> None:
    answering: dict[str, str] = {}
    for role in ROLES:
        service = select(stack, "Service")[f"{role}-model"]
        (port,) = service["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (ENGINE_PORT, "model")
        assert "clusterIP" not in service["spec"]
        answering[role] = served_by(stack, f"{role}-model")
    assert set(answering.values()) == ROUTERS[variant]
    if len(ROUTERS[variant]) > 1:
        assert answering == {role: f"router-{role}" for role in ROLES}


def test_routers_find_every_engine_that_is_ready(stack: list[Manifest], variant: str) -> None:
    services, running = select(stack, "Service"), workloads(stack)
    key = environment_of(stack, running["actor"])["ESPALIER_MODEL_KEY"]
    found: dict[str, str] = {}
    for name in ROUTERS[variant]:
        read = read_settings("router", environment_of(stack, running[name]))
        assert isinstance(read, RouterSettings)
        assert read.router_port == ENGINE_PORT
        assert read.router_policy == "consistent_hash"
        assert read.model_key.get_secret_value() == key
        (url,) = read.router_engines
        host = urlsplit(url).hostname
        assert host is not None
        service = services[host]["spec"]
        assert service["clusterIP"] == "None"
        assert service["publishNotReadyAddresses"] is False
        found[name] = served_by(stack, host)
        engine = running[found[name]]
        assert engine["spec"]["serviceName"] == host
        # The name stands for the pods' own addresses, so no Service maps the port.
        assert container_of(engine)["ports"] == [{"name": "http", "containerPort": urlsplit(url).port}]
        given = environment_of(stack, engine)
        assert key == (given.get("VLLM_API_KEY") or given["ESPALIER_MODEL_KEY"])
    assert found == {name: name.replace("router", "engine") for name in ROUTERS[variant]}
    assert set(found.values()) == ENGINES[variant]


def test_the_scripted_engine_reads_its_settings(stacks: dict[str, list[Manifest]]) -> None:
    stack = stacks["scripted"]
    engine = workloads(stack)["engine"]
    assert container_of(engine)["args"] == ["scripted-model"]
    assert isinstance(read_settings("scripted-model", environment_of(stack, engine)), ScriptedSettings)


def test_gpu_engines_are_started_as_in_compose(
    stacks: dict[str, list[Manifest]], services: dict[str, Any], vllm_parser: Any
) -> None:
    for name in ENGINES["gpu"]:
        workload = workloads(stacks["gpu"])[name]
        given = environment_of(stacks["gpu"], workload)
        container = container_of(workload)
        assert container["command"] == services[name]["entrypoint"]
        arguments = [resolve(argument, given) for argument in container["args"]]
        assert arguments == services[name]["command"]
        assert vllm_parser.parse_args(arguments).port == ENGINE_PORT
        variables = services[name]["environment"]
        assert {key: given[key] for key in variables if key not in SECRET_VARIABLES} == {
            key: value for key, value in variables.items() if key not in SECRET_VARIABLES
        }
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_the_cpu_engine_is_started_as_in_compose(
    stacks: dict[str, list[Manifest]], services: dict[str, Any]
) -> None:
    variables = services["engine-cpu"]["environment"]
    given = environment_of(stacks["cpu"], workloads(stacks["cpu"])["engine"])
    assert {**given, "VLLM_API_KEY": ""} == {**variables, "VLLM_API_KEY": ""}


def test_redis_is_started_as_in_compose(stacks: dict[str, list[Manifest]], services: dict[str, Any]) -> None:
    redis = container_of(workloads(stacks["cpu"])["redis"])
    given = environment_of(stacks["cpu"], workloads(stacks["cpu"])["redis"])
    *command, _ = services["redis"]["command"]
    *started, password = [*redis["command"], *redis["args"]]
    assert started == command
    assert resolve(password, given) == SECRETS["espalier"]["ESPALIER_REDIS_PASSWORD"]


def test_every_part_is_probed_bounded_and_given_time_to_end(stack: list[Manifest], variant: str) -> None:
    for name, workload in workloads(stack).items():
        container, pod = container_of(workload), pod_of(workload)
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
        assert container["resources"]["limits"]["memory"], name
        ready = "/healthz" if name in ("orchestrator", "worker") else "/readyz"
        expected = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": ready}
        for probe, path in expected.items():
            if name == "redis":
                assert "redis-cli ping" in container[probe]["exec"]["command"][-1]
                continue
            asked = container[probe]["httpGet"]
            assert asked == {"path": path if name in PARTS[variant] else "/health", "port": "http"}, name
        grace = pod["terminationGracePeriodSeconds"]
        given = environment_of(stack, workload)
        draining = float(given.get("ESPALIER_DRAIN_SECONDS", 0))
        waiting = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert grace >= draining + waiting + 15, name
        if name in ENVIRONMENTS or name == SANDBOX:
            assert draining > 0


def test_every_workload_has_a_disruption_budget(stack: list[Manifest]) -> None:
    budgets = select(stack, "PodDisruptionBudget")
    assert budgets.keys() == workloads(stack).keys()
    for name, workload in workloads(stack).items():
        assert budgets[name]["metadata"]["namespace"] == workload["metadata"]["namespace"]
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert budgets[name]["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_kustomizations_name_every_file() -> None:
    folders = [path.parent for path in KUBERNETES.rglob("kustomization.yaml")]
    owned: dict[Path, list[Path]] = {folder: [] for folder in folders}
    for path in KUBERNETES.rglob("*.yaml"):
        owned[next(parent for parent in path.parents if parent in owned)].append(path)
    for folder in folders:
        named = yaml.safe_load((folder / "kustomization.yaml").read_text())
        files = {path.relative_to(folder).as_posix() for path in owned[folder]}
        used = {*named["resources"], *(patch.get("path") for patch in named.get("patches", []))}
        assert files - {"kustomization.yaml"} == {name for name in used if name and name.endswith(".yaml")}
