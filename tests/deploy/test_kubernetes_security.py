"""What the manifests let pods do: their secrets, their rights, and whom they reach."""

import re
from pathlib import Path

from tests.deploy.composing import ROOT
from tests.deploy.kustomizing import (
    ENGINE_PORT,
    ENGINES,
    ROUTERS,
    SANDBOX,
    SECRETS,
    Manifest,
    container_of,
    pod_of,
    select,
    workloads,
)
from tests.deploy.network import Network, Pod
from tests.deploy.parts import ENVIRONMENTS, ROLES


def test_secrets_are_named_and_never_written(stack: list[Manifest]) -> None:
    assert not select(stack, "Secret")
    for name, workload in workloads(stack).items():
        for variable in container_of(workload).get("env", []):
            secret = re.search(r"KEY|PASSWORD|TOKEN|AUTH", variable["name"])
            assert "value" not in variable or not secret, f"{name}: {variable['name']}"
    written = [key for config in select(stack, "ConfigMap").values() for key in config["data"]]
    assert not [key for key in written if re.search(r"KEYS?$|PASSWORD|TOKEN", key)]
    keys = dict(line.split("=") for line in _made_keys().splitlines() if "=" in line)
    optional = {"HF_TOKEN"}
    assert SECRETS["espalier"].keys() - optional <= keys.keys()


def _made_keys() -> str:
    return "\n".join(
        re.findall(r"^ESPALIER_\w+=.*$", (ROOT / "deploy/make-env.sh").read_text(), re.MULTILINE)
    )


def test_pods_are_restricted(stack: list[Manifest]) -> None:
    namespaces = select(stack, "Namespace")
    levels = {
        name: found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for name, found in namespaces.items()
    }
    assert levels == {"espalier": "restricted", "espalier-sandboxes": "privileged"}
    for name, workload in workloads(stack).items():
        assert (workload["metadata"]["namespace"] == "espalier-sandboxes") == (name == SANDBOX), name
        pod, container = pod_of(workload), container_of(workload)
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys(), name
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        context = {key: value for key, value in container["securityContext"].items() if key != "procMount"}
        assert context == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        for volume in pod["volumes"]:
            (kind,) = volume.keys() - {"name"}
            assert kind in {"emptyDir", "persistentVolumeClaim"}, name
            assert kind != "emptyDir" or volume["emptyDir"]["sizeLimit"], name
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        assert mounts == {volume["name"] for volume in pod["volumes"]} | claims
        if name != SANDBOX:
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert "procMount" not in container["securityContext"]
            assert "appArmorProfile" not in pod["securityContext"]


def test_the_sandboxes_have_what_they_need_and_no_more(stack: list[Manifest]) -> None:
    pod = pod_of(workloads(stack)[SANDBOX])
    profile = "espalier/seccomp-sandbox.json"
    assert pod["securityContext"]["seccompProfile"] == {"type": "Localhost", "localhostProfile": profile}
    assert (ROOT / "deploy/docker" / Path(profile).name).is_file()
    assert pod["securityContext"]["appArmorProfile"] == {"type": "Unconfined"}
    assert container_of(workloads(stack)[SANDBOX])["securityContext"]["procMount"] == "Unmasked"
    assert pod["hostUsers"] is False


def test_only_what_has_to_reaches_a_part(stack: list[Manifest], variant: str) -> None:
    network = Network(stack)
    environments = {name.replace("_", "-") for name in ENVIRONMENTS}
    orchestration = {"orchestrator", "worker"}
    callers = {
        **dict.fromkeys(ROLES, orchestration),
        **dict.fromkeys(environments, orchestration),
        **{name: set(ROLES) | ROUTERS[variant] for name in ENGINES[variant]},
        **{name: set[str]() for name in ROUTERS[variant]},
        "redis": orchestration,
        "worker": set[str](),
    }
    outside = {"stranger", "ingress"}
    """Their own policies are somebody else's."""
    strangers = [Pod("stranger", "default"), Pod("ingress", "ingress-nginx"), Pod("neighbour", "espalier")]
    prometheus = Pod("prometheus", "monitoring")
    for name, target in network.pods.items():
        port, *others = target.ports.values()
        assert not others or name in ROUTERS[variant]
        assert network.reaches(prometheus, target, port) == (name != "redis"), name
        if name == "orchestrator":  # the one that others call
            assert all(network.reaches(pod, target, port) for pod in strangers[:2])
            continue
        everyone = [*network.pods.values(), *strangers]
        # Each side by itself: what one of them let through would be left to the other.
        let_in = {each.name for each in everyone if network.answers(each, target, port)}
        let_out = {each.name for each in everyone if network.calls(each, target, port)}
        assert (let_in, let_out) == (callers[name], callers[name] | outside), name
        assert not network.reaches(network.pods["worker"], target, 22)


def test_roles_alone_reach_the_routers_requests(stack: list[Manifest], variant: str) -> None:
    network = Network(stack)
    strangers = {Pod("stranger", "default"), Pod("neighbour", "espalier"), Pod("prometheus", "monitoring")}
    for name in ROUTERS[variant]:
        router = network.pods[name]
        everyone = [*network.pods.values(), *strangers]
        assert {each.name for each in everyone if network.answers(each, router, ENGINE_PORT)} == set(ROLES)
        within = network.pods.values()
        assert {each.name for each in within if network.calls(each, router, ENGINE_PORT)} == set(ROLES)
        reached = {
            each.name for each in within for port in each.ports.values() if network.calls(router, each, port)
        }
        assert reached == ENGINES[variant]


def test_environments_and_redis_have_no_way_out(stack: list[Manifest], variant: str) -> None:
    network = Network(stack)
    dns = Pod("dns", "kube-system", {"k8s-app": "kube-dns"})
    for name, pod in network.pods.items():
        called = name.replace("-", "_") in ENVIRONMENTS or name == "redis"
        fetching = variant == "gpu" and name in ENGINES["gpu"]
        calling = name in {*ROLES, "orchestrator", "worker"} | ROUTERS[variant] or fetching
        assert network.leaves(pod) == calling, name
        assert network.reaches(pod, dns, 53) == calling, name
        assert not (called and network.leaves(pod))
        elsewhere = variant == "external-redis" and name in ("orchestrator", "worker")
        assert network.outside(pod) == (fetching or elsewhere), name
