"""A wire between two bridges that can fail without a sign: frames vanish on it, and both ends keep their carrier."""

from __future__ import annotations

from tests.support.rig import Rig


class Wire:
    """Two wires with a bridge between them that passes everything on, until told otherwise."""

    def __init__(self, rig: Rig, one: str, one_port_no: int, other: str, other_port_no: int) -> None:
        """Add it, with a port of its own on each bridge."""
        self._rig = rig
        self._middle = f"w{one_port_no}"
        rig.vsctl("add-br", self._middle, "--", "set", "bridge", self._middle, "datapath_type=netdev",
                  "fail_mode=secure", "protocols=OpenFlow13")
        (one_end, self._toward_one) = rig.add_link(one, one_port_no, self._middle, 1)
        (other_end, self._toward_other) = rig.add_link(other, other_port_no, self._middle, 2)
        self.ends = (one_end, other_end)
        self.restore()

    def silence(self, *, toward_other: bool = False, toward_one: bool = False) -> None:
        """Swallow what is sent this way."""
        for swallowed, in_port in ((toward_other, 1), (toward_one, 2)):
            if swallowed:
                self._rig.ofctl("del-flows", self._middle, f"in_port={in_port}")

    def narrow(self, *, rate_kbps: int) -> None:
        """From now on it carries no more than that, either way, and holds 20 frames, small ones or full."""
        for device in (self._toward_one, self._toward_other):
            for what in (
                "qdisc add dev {} root handle 1: htb default 1",
                f"class add dev {{}} parent 1: classid 1:1 htb rate {rate_kbps}kbit burst 6k cburst 6k",
                "qdisc add dev {} parent 1:1 pfifo_head_drop limit 20",
            ):
                self._rig.sandbox.run("tc", *what.format(device).split())

    def restore(self) -> None:
        """Pass everything on."""
        for in_port, out in ((1, 2), (2, 1)):
            self._rig.ofctl("add-flow", self._middle, f"in_port={in_port},actions=output:{out}")
