"""Who would be cut off if the fabric became another one.  Pure; says who, not whether it may be."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product

import networkx as nx
from immutables import Map

from controller.fabric.graph import Fabric
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.policy import PolicyPaths
from controller.pipeline.views import reached_by
from controller.pipeline.world import World


def cut_off(world: World, later: Fabric) -> list[str]:
    """The networks that would lose what they have now, sorted: a path between two of their switches, or a switch.

    Losing a switch is to have ports on one that gets drained; a path, also to have none left that the network's path
    policy permits.  What is apart already is nobody's loss.
    """
    now, then = _islands(world.fabric), _islands(later)
    newly_drained = {
        dpid for dpid, settings in later.declared_switches.items()
        if settings.drained and not world.fabric.switch_settings(dpid).drained
    }
    lost = {network for network in world.placement.presence if _torn(reached_by(world, network), now, then)}
    lost |= _forbidden(world, later)
    lost.update(*(world.placement.networks_at.get(dpid, Map()) for dpid in newly_drained))
    return sorted(lost)


def _forbidden(world: World, later: Fabric) -> set[str]:
    """The networks that would have no permitted path where they have one."""
    picky = {name: network.path_policy for name, network in world.intent.networks.items()
             if network.path_policy.avoid_zones and name in world.placement.presence}
    if not picky:
        return set()
    now, then = PolicyPaths(Topology.of(world.fabric)), PolicyPaths(Topology.of(later))
    return {
        network for network, policy in picky.items()
        if any(then.verdict(*pair, policy).drops and not now.verdict(*pair, policy).drops
               for pair in product(world.placement.presence[network], reached_by(world, network))
               if pair[0] != pair[1])
    }


def _islands(fabric: Fabric) -> dict[int, int]:
    """dpid -> number of the set of switches that all have paths to each other, to which it belongs."""
    parts = nx.strongly_connected_components(fabric.graph())
    return {dpid: number for number, part in enumerate(parts) for dpid in part}


def _torn(dpids: Collection[int], now: dict[int, int], then: dict[int, int]) -> bool:
    """Whether some of these switches that have paths to each other would have none."""
    before = {now.get(dpid) for dpid in dpids}
    after = {(now.get(dpid), then.get(dpid)) for dpid in dpids}
    return len(after) > len(before)
