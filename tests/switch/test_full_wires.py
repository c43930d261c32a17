"""Wires that carry all they can, without queues of ours: full is not dead, and dead is noticed all the same."""

from __future__ import annotations

import time

from tests.support.fabric import Fabric
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Rig
from tests.support.wire import Wire

WIRE_KBPS = 1_000
FLOOD_PPS, FLOOD_BYTES = 1_500, 1_400
"""Some 17 times what the wire carries, so of 17 probes one comes through."""
ENV = {"PLIANT_FABRIC__PROBE_PERIOD_S": "1"}
FLOODED_S = 8
"""A silent link is lost after three to four."""


def test_link_whose_probes_a_flood_crowds_out_stays_up_and_cut_it_is_lost(ovs: Rig) -> None:
    """Frames that arrive at its far end speak for it; cut amid the flood, it is lost as any other."""
    for number in (1, 2):
        ovs.add_bridge(f"s{number}", number, CONTROLLER)
    wire = Wire(ovs, "s1", 102, "s2", 101)
    wire.narrow(rate_kbps=WIRE_KBPS)
    with Pliantd(ovs, env=ENV) as pliantd:
        pliantd.wait_for_links(2)
        fabric = Fabric(ovs, pliantd, (1, 2), (), {})
        network = fabric.create_network("red")
        a, b = fabric.add_host("a", 1, 1, 11), fabric.add_host("b", 2, 1, 12)
        fabric.create_ports(network, (a, b))
        assert a.ping(b).lost == 0
        with a.probe(b, packets_per_s=FLOOD_PPS, size_bytes=FLOOD_BYTES) as flood:
            time.sleep(FLOODED_S)  # that nothing happens meanwhile is what is tested
            assert "link_lost" not in pliantd.log()
            wire.silence(toward_other=True)
            pliantd.wait_for_links(0)
            stream = flood.finish()
        assert "probes unanswered" in pliantd.log()
        assert stream.lost > stream.sent / 2, "it was a flood"
