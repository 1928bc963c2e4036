"""What the tests of the manifests share: rendering an overlay, and reading what was rendered."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from espalier.serve import PORTS
from tests.deploy.composing import ROOT
from tests.deploy.parts import SETTINGS

KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = ("cpu", "gpu", "scripted")
KUSTOMIZE = 5
"""The major version of Kustomize that the manifests are written for."""
SECRETS = {
    "espalier": {
        "ESPALIER_API_KEYS": "a",
        "ESPALIER_ADMIN_KEYS": "b",
        "ESPALIER_MODEL_KEY": "c",
        "ESPALIER_REDIS_PASSWORD": "d",
        "HF_TOKEN": "e",
    },
    "espalier-redis": {"url": "rediss://user:f@elsewhere:6379/0"},
}
"""The secrets that operators make, and their keys."""
VARIANTS = (*OVERLAYS, "external-redis")
ENGINES = {
    "cpu": {"engine"},
    "gpu": {"engine-planner", "engine-judge", "engine-actor"},
    "scripted": {"engine"},
    "external-redis": {"engine"},
}
ROUTERS = {variant: {name.replace("engine", "router") for name in ENGINES[variant]} for variant in VARIANTS}
ENGINE_PORT = PORTS["engine"]
ENGINE_PARTS = ("scripted-model", "router")
WORKLOADS = {part.replace("_", "-"): part for part in PORTS if part in SETTINGS and part not in ENGINE_PARTS}
"""Our own parts that every overlay has once, by the names of their workloads."""
PARTS = {variant: WORKLOADS | dict.fromkeys(ROUTERS[variant], "router") for variant in VARIANTS}
"""Our own parts with an overlay's routers, by the names of their workloads."""
SANDBOX = "os-interaction"
REFERENCE = re.compile(r"\$\(([A-Za-z0-9_]+)\)")
Manifest = dict[str, Any]


@cache
def kustomize_command() -> tuple[str, ...] | None:
    """Kustomize of a version that renders the manifests, alone or as a part of kubectl."""
    if shutil.which("kustomize") and _is_new(["kustomize", "version", "--output=json"], "version"):
        return ("kustomize", "build")
    if shutil.which("kubectl"):
        asked = ["kubectl", "version", "--client", "--output=json"]
        if _is_new(asked, "kustomizeVersion"):
            return ("kubectl", "kustomize")
    return None


def _is_new(command: list[str], field: str) -> bool:
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        version = json.loads(asked.stdout)[field]
    except (ValueError, KeyError):
        return False
    found = re.search(r"v(\d+)\.", version)
    return found is not None and int(found[1]) >= KUSTOMIZE


def render(folder: Path) -> list[Manifest]:
    """Return the manifests that Kustomize makes of a folder."""
    command = kustomize_command()
    assert command
    done = subprocess.run([*command, folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def render_with(folder: Path, overlay: str, *components: str) -> list[Manifest]:
    """Return an overlay's manifests with further components, from a kustomization in `folder`."""
    base = os.path.relpath(KUBERNETES, folder)
    text: dict[str, Any] = {"resources": [f"{base}/overlays/{overlay}"]}
    text["components"] = [f"{base}/components/{name}" for name in components]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return render(folder)


def select(manifests: Iterable[Manifest], *kinds: str) -> dict[str, Manifest]:
    """Return the manifests of some kinds by name."""
    return {found["metadata"]["name"]: found for found in manifests if found["kind"] in kinds}


def workloads(manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return what runs pods, by name."""
    return select(manifests, "Deployment", "StatefulSet")


def pod_of(workload: Manifest) -> Manifest:
    """Return the spec of a workload's pods."""
    return workload["spec"]["template"]["spec"]


def container_of(workload: Manifest) -> Manifest:
    """Return the one container of a workload's pods."""
    (container,) = pod_of(workload)["containers"]
    return container


def environment_of(manifests: Iterable[Manifest], workload: Manifest) -> dict[str, str]:
    """Return the variables that a container gets, as the kubelet resolves them."""
    maps = select(manifests, "ConfigMap")
    container = container_of(workload)
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        config = maps[source["configMapRef"]["name"]]
        assert config["metadata"]["namespace"] == workload["metadata"]["namespace"]
        found |= config["data"]
    for variable in container.get("env", []):
        if "value" in variable:
            value = resolve(variable["value"], found)
        else:
            reference = variable["valueFrom"]["secretKeyRef"]
            value = SECRETS[reference["name"]][reference["key"]]
        found[variable["name"]] = value
    return found


def resolve(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with its `$(NAME)` filled in; fail for a name that is not defined before."""
    return REFERENCE.sub(lambda found: variables[found[1]], text)
