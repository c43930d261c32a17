"""Sends the probes that discovery asks for, and reads the counters that it wants to know.

Belongs to the reconcile thread.

    tick ─► probes that are due ─► switches          far ends of missed probes ─► port counters ─► inbox ─► discovery
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

from controller.fabric.arrivals import Count
from controller.fabric.discovery import Discovery
from controller.fabric.events import LinkLost, LinkSeen
from controller.fabric.observed import Alarm, Observed
from controller.fabric.ports import EndPoint
from controller.openflow import actions, decode, messages
from controller.reconcile.answers import Answer, gather, read
from controller.reconcile.datapath import Datapath


class Probing:
    """`post`: has something called on the reconcile thread."""

    def __init__(self, discovery: Discovery, post: Callable[[Callable[[], None]], None]) -> None:
        self._discovery = discovery
        self._post = post

    def tick(
        self, now_s: float, fabric: Observed, datapaths: Mapping[int, Datapath], slow: Set[int],
    ) -> list[LinkLost]:
        """Send what is due; the links that answer no more."""
        for at, frame in self._discovery.due(now_s, fabric, slow):
            if (datapath := datapaths.get(at.dpid)) is not None:
                datapath.send(messages.packet_out(frame, actions.output(at.port_no)))
        for at in self._discovery.to_read():
            self._read(at, datapaths.get(at.dpid))
        return self._discovery.lost(fabric)

    def received(self, now_s: float, at: EndPoint, frame: bytes) -> LinkSeen | Alarm | None:
        """What an LLDP frame that came in there proves."""
        return self._discovery.received(now_s, at, frame)

    def _read(self, at: EndPoint, datapath: Datapath | None) -> None:
        if datapath is None:
            self._discovery.counted(at, None)
            return

        def answered(answers: Sequence[Answer]) -> None:
            self._post(lambda: self._discovery.counted(at, _count(at, answers[0])))

        gather([datapath.request(messages.port_stats_request(at.port_no))], answered)


def _count(at: EndPoint, answer: Answer) -> Count | None:
    stats = read(at.dpid, answer, decode.port_stats) or ()
    return next((Count(stat.rx_packets, stat.duration_ns) for stat in stats if stat.port_no == at.port_no), None)
