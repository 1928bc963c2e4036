"""Which pod may reach which, by the network policies: those of the caller and those of the called."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.deploy.kustomizing import Manifest, container_of, select, workloads

NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Pod:
    """A pod of a workload, or one of somebody else's."""

    name: str
    namespace: str
    labels: dict[str, str] = field(default_factory=dict[str, str], hash=False)
    ports: dict[str, int] = field(default_factory=dict[str, int], hash=False)


class Network:
    """The pods and policies of an overlay.

    Args:
        manifests: What was rendered.
    """

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        manifests = list(manifests)
        self.policies = [found for found in manifests if found["kind"] == "NetworkPolicy"]
        self.namespaces = {
            name: {NAME: name, **found["metadata"].get("labels", {})}
            for name, found in select(manifests, "Namespace").items()
        }
        self.pods = {
            name: Pod(
                name,
                found["metadata"]["namespace"],
                found["spec"]["template"]["metadata"]["labels"],
                {port["name"]: port["containerPort"] for port in container_of(found)["ports"]},
            )
            for name, found in workloads(manifests).items()
        }

    def reaches(self, source: Pod, target: Pod, port: int) -> bool:
        """Return whether a connection from one pod to a port of another is let through."""
        return self.calls(source, target, port) and self.answers(source, target, port)

    def leaves(self, source: Pod) -> bool:
        """Return whether a pod may open any connection at all."""
        return any(policy["spec"].get("egress") for policy in self._about(source, "Egress"))

    def outside(self, source: Pod) -> bool:
        """Return whether a pod may open connections to addresses outside of the cluster."""
        rules = (
            rule for policy in self._about(source, "Egress") for rule in policy["spec"].get("egress", [])
        )
        return any(not rule.get("to") or any("ipBlock" in peer for peer in rule["to"]) for rule in rules)

    def calls(self, source: Pod, target: Pod, port: int) -> bool:
        """Return whether the caller's own policies let a connection out."""
        policies = self._about(source, "Egress")
        return not policies or any(
            self._allows(policy, rule, "to", target, target, port)
            for policy in policies
            for rule in policy["spec"].get("egress", [])
        )

    def answers(self, source: Pod, target: Pod, port: int) -> bool:
        """Return whether the called pod's own policies let a connection in."""
        policies = self._about(target, "Ingress")
        return not policies or any(
            self._allows(policy, rule, "from", source, target, port)
            for policy in policies
            for rule in policy["spec"].get("ingress", [])
        )

    def _about(self, pod: Pod, direction: str) -> list[Manifest]:
        return [
            policy
            for policy in self.policies
            if policy["metadata"]["namespace"] == pod.namespace
            and direction in policy["spec"]["policyTypes"]
            and selects(policy["spec"]["podSelector"], pod.labels)
        ]

    def _allows(self, policy: Manifest, rule: Manifest, side: str, peer: Pod, target: Pod, port: int) -> bool:
        """Return whether a rule lets a peer through; `target` names the ports."""
        ports = [target.ports.get(given["port"], given["port"]) for given in rule.get("ports", [])]
        if ports and port not in ports:
            return False
        peers = rule.get(side)
        return not peers or any(self._is(given, policy["metadata"]["namespace"], peer) for given in peers)

    def _is(self, given: dict[str, Any], namespace: str, pod: Pod) -> bool:
        if "ipBlock" in given:
            return False  # of addresses outside of the cluster
        if "namespaceSelector" in given:
            labels = self.namespaces.get(pod.namespace, {NAME: pod.namespace})
            if not selects(given["namespaceSelector"], labels):
                return False
        elif pod.namespace != namespace:
            return False
        return selects(given.get("podSelector", {}), pod.labels)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Return whether a label selector selects labels."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
