"""Whose each meter is: what counts a drop can say whose ceiling it was, and whose loss."""

from __future__ import annotations

from dataclasses import replace

from controller.model.bandwidth import BandwidthPolicy
from controller.reconcile.owners import owners_on
from tests.support.worlds import Lab

CEILING = BandwidthPolicy(ceiling_in_kbps=10_000, ceiling_out_kbps=20_000)
NET = "tenants/red/networks/net"


def test_every_ceiling_in_a_program_has_an_owner_who_dropped_and_those_who_lost() -> None:
    """Of ports, networks, tenants and pipes, in both directions; what a pipe drops is lost by the port that sent it."""
    lab = Lab.leaf_spine()
    for tenant in ("red", "blue"):
        lab.network(tenant)
        for name, at in (("a", (11, 3)), ("b", (11, 4)), ("c", (12, 3))):
            lab.port(tenant, name, at=(at[0], at[1] + 2 * (tenant == "blue")), bandwidth=CEILING)
        lab.set_tenant_bandwidth(tenant, CEILING)
    lab.update(replace(lab.intent.networks[NET], bandwidth=CEILING))
    lab.pipe("red", "p", "c", "a", CEILING)
    lab.network("blue", "far", ipv4="10.1.0.0/24", ipv6="fd01::/64")
    lab.port("tenants/blue/networks/far", "d", at=(12, 8))
    lab.join("blue", "q", CEILING)
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for dpid in (11, 12):
        owners = owners_on(lab.world, dpid)
        meters = {meter.id for key, fragment in lab.programs().items() if key.dpid == dpid
                  for meter in fragment.meters if meter.unit == "kbps"}
        assert meters and meters <= owners.meters.keys()
        for meter_id in meters:
            owner, *lost = owners.meters[meter_id]
            assert owner.dropped_by is not None and all(entry.dropped_by == owner.dropped_by for entry in lost)
            found.setdefault((owner.dropped_by, owner.way), set()).add((owner.name, lost[0].name if lost else ""))
    joins = "tenants/blue/pipes/q", "tenants/blue/networks/"
    assert found["pipe", "out"] == {("tenants/red/pipes/p", f"{NET}/ports/c"), (joins[0], f"{joins[1]}net")}
    assert found["pipe", "in"] == {("tenants/red/pipes/p", f"{NET}/ports/a"), (joins[0], f"{joins[1]}far")}
    assert found["network", "in"] == found["network", "out"] == {(NET, "tenants/red")}
    assert found["tenant", "out"] == {("tenants/red", ""), ("tenants/blue", "")}
    assert len(found["port", "in"]) == 6
