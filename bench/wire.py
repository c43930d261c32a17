"""A wire with a rate of its own, between two switches of a rig: what a real link is, and a veth is not.

    switch port ── veth ── [ namespace: what comes in here leaves there, at the wire's rate ] ── veth ── switch port

The rate is made beyond the switches, so that a bench may leave their ports alone, or leave them to Pliant, and every
regime meets the same wire.  It holds few frames: all ports of one userspace ovs-vswitchd send through one socket, and
what waits on the wire still counts against that.
"""

from __future__ import annotations

from tests.support.rig import Rig

QUEUED_FRAMES = 30


def add_wire(rig: Rig, one: str, one_port_no: int, other: str, other_port_no: int, *, rate_kbps: int) -> None:
    """Like Rig.add_link, with the same names of the two switch ports, but of a rate: Ethernet frames, L2 bytes."""
    ends = (f"{one}-{other}-{one_port_no}", f"{other}-{one}-{other_port_no}")
    space = f"wire-{ends[0]}"
    script = [f"ip netns add {space}"]
    script += [f"ip link add {end} type veth peer name w{side} netns {space}" for side, end in enumerate(ends)]
    inside = [f"ip link set w{side} up; ethtool -K w{side} tx off >/dev/null" for side in (0, 1)]
    for side in (0, 1):
        inside += [
            f"tc qdisc add dev w{side} root handle 1: htb default 1",
            f"tc class add dev w{side} parent 1: classid 1:1 htb rate {rate_kbps}kbit burst 6k cburst 6k",
            f"tc qdisc add dev w{side} parent 1:1 pfifo_head_drop limit {QUEUED_FRAMES}",
            f"tc qdisc add dev w{side} handle ffff: ingress",
            f"tc filter add dev w{side} parent ffff: protocol all u32 match u32 0 0 "
            f"action mirred egress redirect dev w{1 - side}",
        ]
    script.append(f"ip netns exec {space} sh -ec '{'; '.join(inside)}'")
    script += [f"ip link set {end} up; ethtool -K {end} tx off >/dev/null" for end in ends]
    rig.sandbox.run("sh", "-ec", "\n".join(script))
    for end, bridge, port_no in zip(ends, (one, other), (one_port_no, other_port_no), strict=True):
        rig.vsctl("add-port", bridge, end, "--", "set", "interface", end, f"ofport_request={port_no}")
