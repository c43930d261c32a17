"""The os-ken application that reports switches and their ports to the reconcile loop.  It decides nothing."""

from __future__ import annotations

from typing import Any

from apps.pliantd.base import DEAD, MAIN, App, ofp_event, set_ev_cls
from controller.reconcile.loop import Loop


class Datapaths(App):
    """Switches that connect and disconnect, and their ports as they come, change and go."""

    def __init__(self, *args: Any, loop: Loop, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop = loop

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN, DEAD])
    def state_changed(self, event: Any) -> None:
        if event.state == MAIN:
            self._loop.connected(event.datapath)
        elif event.datapath.id is not None:
            self._loop.disconnected(event.datapath)

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN)
    def port_changed(self, event: Any) -> None:
        self._loop.port_changed(event.msg.datapath, event.msg.desc.port_no)
