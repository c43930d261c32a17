"""Wires that carry all they can, without queues of ours: full is not dead, and dead is noticed all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from apps.lab.openvswitch import SOCKET
from tests.support.eventually import eventually
from tests.support.fabric import Fabric
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Host, Rig
from tests.support.wire import Wire

WIRE_KBPS = 1_000
FLOOD_BYTES = 1_400
FLOOD_PPS, SMALL_FLOOD_PPS = 1_500, 200
"""Some 17 times what the wire carries, so of 17 probes one comes through; and twice, which is enough for BFD."""
ENV = {"PLIANT_FABRIC__PROBE_PERIOD_S": "1", "PLIANT_FABRIC__HOLD_DOWN_S": "0.5"}
FLOODED_S = 8
"""A silent link is lost after three to four."""


@contextmanager
def narrow(rig: Rig, *options: str) -> Iterator[tuple[Fabric, Wire, Host, Host]]:
    """Two switches on such a wire, and a host on each."""
    for number in (1, 2):
        rig.add_bridge(f"s{number}", number, CONTROLLER)
    wire = Wire(rig, "s1", 102, "s2", 101)
    wire.narrow(rate_kbps=WIRE_KBPS)
    with Pliantd(rig, *options, env=ENV) as pliantd:
        pliantd.wait_for_links(2)
        fabric = Fabric(rig, pliantd, (1, 2), (), {})
        network = fabric.create_network("red")
        a, b = fabric.add_host("a", 1, 1, 11), fabric.add_host("b", 2, 1, 12)
        fabric.create_ports(network, (a, b))
        assert a.ping(b).lost == 0
        yield fabric, wire, a, b


def test_link_whose_probes_a_flood_crowds_out_stays_up_and_cut_it_is_lost(ovs: Rig) -> None:
    """Frames that arrive at its far end speak for it; cut amid the flood, it is lost as any other."""
    with narrow(ovs) as (fabric, wire, a, b):
        with a.probe(b, packets_per_s=FLOOD_PPS, size_bytes=FLOOD_BYTES) as flood:
            time.sleep(FLOODED_S)  # that nothing happens meanwhile is what is tested
            assert "link_lost" not in fabric.pliantd.log()
            wire.silence(toward_other=True)
            fabric.pliantd.wait_for_links(0)
            stream = flood.finish()
        assert "probes unanswered" in fabric.pliantd.log()
        assert stream.lost > stream.sent / 2, "it was a flood"


def test_bfd_that_a_flood_crowds_out_takes_the_link_down_once_and_not_again(ovs: Rig) -> None:
    """It is not asked about that wire any more; probes are, and the flood goes on."""
    with narrow(ovs, "--ovsdb", f"unix:{SOCKET}") as (fabric, _, a, b):
        eventually(lambda: ovs.appctl("bfd/show").count("Local Session State: up") == 2, what="both ends are watched")
        with a.probe(b, packets_per_s=SMALL_FLOOD_PPS, size_bytes=FLOOD_BYTES):
            eventually(lambda: "bfd_doubted" in fabric.pliantd.log(), 60, "BFD is found to be wrong")
            fabric.pliantd.wait_for_links(2)
            lost = fabric.pliantd.log().count("link_lost")
            assert lost > 0, "the flood crowds out BFD"
            time.sleep(FLOODED_S / 2)  # as above; without doubt it flaps twice in that
            assert fabric.pliantd.log().count("link_lost") == lost
            assert ovs.appctl("bfd/show") == ""
