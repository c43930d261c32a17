"""The base class of Pliant's os-ken applications, and the os-ken names that their modules need.

An application's handlers run one at a time on its own thread.  An exception in one is logged and counted
(`handler_errors`) and the next event is handled as if nothing had happened.  Its queue never blocks the I/O thread:
packet-ins beyond 4,096 waiting are shed and counted (`packet_ins_shed`).

    class Punts(App):
        @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN)
        def punted(self, event):
            packet = event.msg.packet            # controller.openflow.decode.PacketIn, already decoded
            event.msg.datapath                   # controller.southbound.datapath.SwitchDatapath
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from controller.southbound.guard import Guarded
from controller.southbound.osken import DEAD, MAIN, app_manager, handler, ofp_event

__all__ = ["DEAD", "MAIN", "App", "ofp_event", "set_ev_cls"]

Handler = TypeVar("Handler", bound=Callable[..., None])


def set_ev_cls(event_class: type[Any], states: str | list[str]) -> Callable[[Handler], Handler]:
    """os-ken's decorator: the method handles these events of switches in these states."""
    decorate: Callable[[Handler], Handler] = handler.set_ev_cls(event_class, states)
    return decorate


class App(Guarded, app_manager.OSKenApp):  # type: ignore[misc]  # os-ken is untyped
    """An os-ken application that no handler and no switch can bring down."""
