"""Which tenants and networks are on several edge switches, kept up to date at the cost of what was touched.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.model.ids import network_of, tenant_of
from controller.pipeline.world import World
from controller.reconcile.opening import edges_of
from controller.reconcile.touched import Touched


@dataclass(slots=True)
class Spread:
    """Of the world that it was shown last."""

    edges: dict[str, frozenset[int]] = field(default_factory=dict)
    """owner -> its switches, of those that have several"""
    owners: dict[int, set[str]] = field(default_factory=dict)
    """the same by switch"""
    guaranteed: dict[int, set[str]] = field(default_factory=dict)
    """switch -> those tenants of them that have a guarantee, or something below them has"""

    def follow(self, world: World, touched: Touched) -> list[tuple[int, str]]:
        """Returns where which owner was, and is no more, or nowhere else."""
        if touched.everything:
            owners = {*self.edges, *world.placement.tenants, *world.placement.presence}
        else:
            owners = {above(name) for name in touched.names for above in (tenant_of, network_of)}
        left: list[tuple[int, str]] = []
        for owner in owners:
            before, edges = self.edges.pop(owner, frozenset()), edges_of(world, owner)
            if len(edges) > 1:
                self.edges[owner] = edges
            else:
                edges = frozenset()
            for dpid in before | edges:
                _put(self.owners, dpid, owner, there=dpid in edges)
                _put(self.guaranteed, dpid, owner, there=dpid in edges and owner in world.guaranteed)
            left += [(dpid, owner) for dpid in before - edges]
        return left


def _put(owners: dict[int, set[str]], dpid: int, owner: str, *, there: bool) -> None:
    """Have the owner there, or not."""
    here = owners.setdefault(dpid, set())
    if there:
        here.add(owner)
    else:
        here.discard(owner)
    if not here:
        del owners[dpid]
