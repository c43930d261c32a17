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
        self.ends = (rig.add_link(one, one_port_no, self._middle, 1)[0],
                     rig.add_link(other, other_port_no, self._middle, 2)[0])
        self.restore()

    def silence(self, *, toward_other: bool = False, toward_one: bool = False) -> None:
        """Swallow what is sent this way."""
        for swallowed, in_port in ((toward_other, 1), (toward_one, 2)):
            if swallowed:
                self._rig.ofctl("del-flows", self._middle, f"in_port={in_port}")

    def restore(self) -> None:
        """Pass everything on."""
        for in_port, out in ((1, 2), (2, 1)):
            self._rig.ofctl("add-flow", self._middle, f"in_port={in_port},actions=output:{out}")
