"""Says no to a path policy that no path satisfies, before it is committed.  A gate of the service engine.

Looks at the fabric as it is and at where the network's ports and those of its peers are to be; what happens to the
fabric later is a condition of the network, not a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from controller.fabric.graph import Fabric
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.policy import PolicyPaths
from controller.intent.snapshot import NO_NAMES, Snapshot
from controller.model.errors import FailedPrecondition, InvalidArgument
from controller.model.ids import format_dpid
from controller.model.network import ANY_PATH, Network


class PathGate:
    """Implements service.interfaces.Gate."""

    def __init__(self, fabric: Callable[[], Fabric]) -> None:
        self._fabric = fabric

    def check(self, before: Snapshot, after: Snapshot, changed: frozenset[str]) -> None:
        """InvalidArgument for a zone that no switch is of, FailedPrecondition PATH_POLICY_UNSATISFIABLE."""
        asked = [network for name in sorted(changed) if (network := _newly_bound(before, after, name)) is not None]
        if not asked:
            return
        fabric = self._fabric()
        paths = PolicyPaths(Topology.of(fabric))
        for network in asked:
            _check_zones(network, fabric)
            edges = _edges(after, network.name)
            reached = edges.union(*(_edges(after, peer) for peer in after.peers_of(network.name)))
            for src, dst in product(sorted(edges), sorted(reached)):
                if src == dst or not {src, dst} <= set(fabric.switches):
                    continue
                verdict = paths.verdict(src, dst, network.path_policy)
                if verdict.constraint:
                    raise FailedPrecondition(
                        "PATH_POLICY_UNSATISFIABLE", f"the path policy of {network}: {verdict.why}; loosen it, or give "
                        "the fabric such a path", subject=network.name, metadata={
                            "constraint": verdict.constraint, "source_switch": format_dpid(src),
                            "destination_switch": format_dpid(dst)})


def _newly_bound(before: Snapshot, after: Snapshot, name: str) -> Network | None:
    """The network, if this change gives it another policy that binds it to anything."""
    network, former = after.networks.get(name), before.networks.get(name)
    if network is None or network.path_policy in (ANY_PATH, former and former.path_policy):
        return None
    return network


def _check_zones(network: Network, fabric: Fabric) -> None:
    known = {settings.zone for settings in fabric.declared_switches.values()} - {""}
    for i, zone in enumerate(network.path_policy.avoid_zones):
        if zone not in known:
            there_are = f"there are {', '.join(sorted(known))}" if known else "no switch has a zone"
            raise InvalidArgument(
                "INVALID_FIELD", f"{network} shall avoid zone {zone!r}, but no switch is of it; {there_are}",
                subject=network.name, fields={f"network.path_policy.avoid_zones[{i}]": "is the zone of no switch"})


def _edges(intent: Snapshot, network: str) -> set[int]:
    """Where its ports are to be."""
    ports = (intent.ports[name] for name in intent.ports_by_network.get(network, NO_NAMES))
    return {port.attachment.dpid for port in ports if port.attachment is not None}
