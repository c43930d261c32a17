"""Wires that BFD is not to judge for a while, since it called them dead and they were not.  Pure.

    alive ──► dead, no carrier lost ──► alive again within 30 s: it was full, not dead ──► not watched for 5 minutes

BFD sends ten small frames a second, and three that go missing are enough for it.  A flood on a wire without queues
crowds them out like anything else, again and again, and each time all traffic is moved away.  A wire that is really cut
does not heal by itself so soon.  What BFD does not watch, probes do, and these heed what arrives (fabric/arrivals.py).
"""

from __future__ import annotations

from collections.abc import Set

from controller.fabric.observed import Link, Observed
from controller.fabric.ports import EndPoint

BACK_S = 30.0
DOUBT_S = 300.0
Wire = frozenset[EndPoint]


class Doubts:
    """Follow what BFD says of the ends of links, and ask which of them it is not to be asked about."""

    def __init__(self) -> None:
        self._died_s: dict[Wire, float] = {}
        self._until_s: dict[Wire, float] = {}

    def follow(self, now_s: float, dead: Set[EndPoint], alive: Set[EndPoint], fabric: Observed) -> list[Wire]:
        """The wires that are doubted from now on.  What is neither dead nor alive is not known."""
        for at in dead:
            link = fabric.link_at(at)
            if link is not None and _could_be_full(link, fabric):
                self._died_s.setdefault(frozenset((link.src, link.dst)), now_s)
        doubted = [wire for wire, died_s in self._died_s.items() if wire <= alive and now_s - died_s <= BACK_S]
        self._died_s = {wire: died_s for wire, died_s in self._died_s.items() if not wire.isdisjoint(dead)}
        self._until_s |= dict.fromkeys(doubted, now_s + DOUBT_S)
        return doubted

    def ends(self, now_s: float) -> frozenset[EndPoint]:
        """The ends of all wires that are doubted now."""
        self._until_s = {wire: until_s for wire, until_s in self._until_s.items() if now_s < until_s}
        return frozenset().union(*self._until_s)


def _could_be_full(link: Link, fabric: Observed) -> bool:
    """Both ends are there and have carrier: nothing else explains that BFD hears nothing."""
    for end in (link.src, link.dst):
        switch, port = fabric.switches.get(end.dpid), fabric.port(end)
        if switch is None or not switch.connected or port is None or not port.up:
            return False
    return True
