"""The os-ken application that hands punted frames to the reconcile loop: probes, and the first word of a host."""

from __future__ import annotations

from typing import Any

from apps.pliantd.base import MAIN, App, ofp_event, set_ev_cls
from controller.reconcile.loop import Loop


class Packets(App):
    def __init__(self, *args: Any, loop: Loop, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop = loop

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN)
    def punted(self, event: Any) -> None:
        packet = event.msg.packet
        self._loop.punted(event.msg.datapath.dpid, packet.in_port, packet.data)
