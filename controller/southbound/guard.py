"""What keeps an os-ken application alive and the I/O thread free.

os-ken's own event queue blocks whoever puts the 129th event into it: here that is the thread of all switches.  This one
never blocks.  Instead it has bounds: packet-ins beyond theirs are shed and counted; a switch whose other events pile up
beyond theirs is disconnected, and its reconnection brings the whole state again, so nothing is lost that anybody would
miss.
"""

from __future__ import annotations

import queue
from typing import Any

import structlog

from controller.southbound.osken import TaskExit, app_manager, ofp_event

log = structlog.get_logger()

MAX_PACKET_INS = 4_096
MAX_EVENTS = 65_536


class Guarded:
    """Mixed in before os-ken's OSKenApp: an unbreakable event loop on a bounded queue that never blocks its writers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.events: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self.handler_errors = 0
        """exceptions that handlers raised"""
        self.packet_ins_shed = 0
        """packet-ins dropped because too many were waiting"""
        self._packet_ins_put = 0
        self._packet_ins_taken = 0

    def _send_event(self, event: Any, state: Any) -> None:
        if isinstance(event, ofp_event.EventOFPPacketIn):
            # Written by the I/O thread alone, `taken` by the application's alone; so neither needs a lock.
            if self._packet_ins_put - self._packet_ins_taken >= MAX_PACKET_INS:
                self.packet_ins_shed += 1
                return
            self._packet_ins_put += 1
        elif isinstance(event, ofp_event.EventOFPMsgBase) and self.events.qsize() >= MAX_EVENTS:
            event.msg.datapath.disconnect("its events come faster than they are handled")
            return
        self.events.put((event, state))

    def _event_loop(self) -> None:
        while True:
            event, state = self.events.get()
            if event is self._event_stop:  # type: ignore[attr-defined]  # OSKenApp's
                return
            if isinstance(event, ofp_event.EventOFPPacketIn):
                self._packet_ins_taken += 1
            for handle in list(self.get_handlers(event, state)):  # type: ignore[attr-defined]  # OSKenApp's
                try:
                    handle(event)
                except TaskExit:
                    return
                except BaseException:
                    # os-ken's Timeout is a BaseException; nothing a handler raises may end the loop.
                    self.handler_errors += 1
                    log.exception("handler_failed", app=type(self).__name__, handler=handle.__name__,
                                  on=type(event).__name__)


def guarded(app_class: type[Any]) -> type[Any]:
    """The class itself if it is guarded, else a guarded subclass of the same name: how a stock os-ken app is loaded."""
    if not issubclass(app_class, app_manager.OSKenApp):
        raise TypeError(f"{app_class.__name__} is not an os-ken application: it must derive from OSKenApp")
    if issubclass(app_class, Guarded):
        return app_class
    return type(app_class.__name__, (Guarded, app_class), {"__module__": app_class.__module__})
