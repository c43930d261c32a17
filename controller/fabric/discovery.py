"""Link discovery: which ports to probe now, what a probe that came in proves, which links answer no more.

A state machine without clock, I/O or randomness: `now` and nonces are given.  What a link or a role is, it leaves to
the fabric: it only says LinkSeen and LinkLost.

- A nonce is accepted once, and only while it is awaited (two periods, or until two later probes were sent): a host can
  record a probe, but not use it.  One that relays probes live is caught by the roles of its ports (edit.py).
- Probes are counted, not time.  One is missed if it was sent at the regular pace, both ends were connected, settled and
  not slow then and are so when the next is due, and it was not answered.  A tick that comes late expires nothing.
- A switch that is slow to answer us may be as slow to send a probe or to hand one over: no word about its links.
- The probes missed so far are forgiven when frames go on arriving at the far end (arrivals.py): the wire is full, not
  dead.  Not for ever: of so many probes one comes through any flood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import heappop, heappush

from controller.fabric.arrivals import Arrivals, Count
from controller.fabric.events import LinkLost, LinkSeen
from controller.fabric.observed import Alarm, Link, Observed
from controller.fabric.ports import EndPoint, PortRole, Switch
from controller.fabric.probes import key_id, read_probe, write_probe

FAST_PERIOD_S = 0.2
FAST_PROBES = 5
"""A port that just came up is probed this often, at this pace, so that a lab is up within a second."""
IDLE_FACTOR = 5
"""A port where no link was ever seen is probed this much more rarely."""
FORGIVEN_PROBES = 60
"""When so many in a row were missed the link is lost, whatever arrives: of so many one comes through where one frame in
ten does."""


@dataclass(slots=True)
class _Probing:
    """What is known about probing one port that is up, of a switch that is connected."""

    next_s: float
    fast_left: int = FAST_PROBES
    awaited: dict[bytes, float] = field(default_factory=dict)
    """nonce -> when it was sent, oldest first"""
    last: bytes | None = None
    """nonce of the last probe, if it counts when it is missed"""
    missed: int = 0
    """since the last one that was answered, or that was forgiven"""
    unanswered: int = 0
    """since the last one that was answered"""
    seen: bool = False

    @property
    def settled(self) -> bool:
        """Probed long enough that the switch on the other side should have its program."""
        return self.seen or self.fast_left == 0


class Discovery:
    """Owned by one thread.  Costs what is due, and one look at each switch when the fabric changed."""

    def __init__(
        self, key: bytes, nonce: Callable[[], bytes], *, period_s: float = 1.0, lost_after: int = 3
    ) -> None:
        self._key = key
        self._key_id = key_id(key)
        self._nonce = nonce
        self._period_s = period_s
        self._lost_after = lost_after
        self._fabric = Observed()
        """as of the last look: what it knew is followed, what it did not is picked up by the next look"""
        self._ports: dict[EndPoint, _Probing] = {}
        self._schedule: list[tuple[float, EndPoint]] = []
        self._unanswered: set[EndPoint] = set()
        self._arrivals = Arrivals()
        self._slow: Set[int] = frozenset()

    def due(
        self, now: float, fabric: Observed, slow: Set[int] = frozenset()
    ) -> list[tuple[EndPoint, bytes]]:
        """The frames to send out of these ports now; counts what the ones before them missed.

        `slow`: switches (dpid) that owe us an answer for long.
        """
        self._slow = slow
        self._follow(now, fabric)
        frames = []
        while self._schedule and self._schedule[0][0] <= now:
            next_s, at = heappop(self._schedule)
            probing, port = self._ports.get(at), fabric.port(at)
            if probing is None or port is None or probing.next_s != next_s:
                continue
            self._count_missed(at, probing, fabric)
            self._plan(at, probing, self._next_s(at, probing, now, fabric))
            if fabric.role(at) is not PortRole.EDGE:
                frames.append((at, self._probe(at, probing, port.mac, now, fabric)))
            probing.fast_left = max(0, probing.fast_left - 1)
        return frames

    def received(self, now: float, at: EndPoint, frame: bytes) -> LinkSeen | Alarm | None:
        """What an LLDP frame that came in at `at` proves; None if it is not a probe (a host's LLDP).  Constant work."""
        probe = read_probe(self._key, frame)
        if probe is None:
            return None
        if probe.key_id != self._key_id:
            return Alarm(reason="LLDP_FOREIGN", at=at, message="a probe of another controller: two fabrics meet here")
        if not probe.authentic:
            return Alarm(reason="LLDP_FORGED", at=at, message=f"a wrongly signed probe claims to come from {probe.src}")
        sender = self._ports.get(probe.src)
        if sender is None or sender.awaited.pop(probe.nonce, None) is None:
            text = f"a probe of {probe.src} came twice or late, {now - probe.sent_s:.1f} s after it was sent"
            return Alarm(reason="LLDP_REPLAYED", at=at, message=text)
        sender.missed, sender.unanswered, sender.seen = 0, 0, True
        self._arrivals.forget([at])
        if sender.last == probe.nonce:
            sender.last = None
        receiver = self._ports.get(at)
        if receiver is not None and not _was_seen(self._fabric.links.get(at)):
            self._plan(at, receiver, now)  # so that the other direction is found at once
        return LinkSeen(src=probe.src, dst=at)

    def to_read(self) -> list[EndPoint]:
        """Far ends of links whose probes are missed: for each of them `counted` follows."""
        return self._arrivals.take_wanted()

    def counted(self, at: EndPoint, count: Count | None) -> None:
        """What that port counted, None if its switch does not say.  Frames that arrive forgive the probes missed."""
        src = self._fabric.into.get(at)
        if self._arrivals.counted(at, count) and src is not None:
            sender = self._ports.get(src)
            if sender is not None and sender.unanswered < FORGIVEN_PROBES:
                sender.missed = 0

    def lost(self, fabric: Observed) -> list[LinkLost]:
        """The links that `due` found unanswered often enough since the last call."""
        unanswered, self._unanswered = self._unanswered, set()
        return [LinkLost(src=src) for src in sorted(unanswered) if _was_seen(fabric.links.get(src))]

    # -- following the fabric

    def _follow(self, now: float, fabric: Observed) -> None:
        """Start with ports that came up, stop with those that went."""
        before, self._fabric = self._fabric.switches, fabric
        if before is fabric.switches:
            return
        for dpid in {*before, *fabric.switches}:
            old, new = before.get(dpid), fabric.switches.get(dpid)
            if old is new:
                continue
            differing = _differing(old, new)
            were_up, are_up = _ports_up(old, differing), _ports_up(new, differing)
            for at, _, _ in were_up - are_up:
                del self._ports[at]
                self._unanswered.discard(at)
                self._arrivals.forget([at])
            for at, _, _ in sorted(are_up - were_up):
                self._ports[at] = _Probing(now)
                self._plan(at, self._ports[at], now)

    def _plan(self, at: EndPoint, probing: _Probing, next_s: float) -> None:
        probing.next_s = next_s
        heappush(self._schedule, (next_s, at))

    def _next_s(self, at: EndPoint, probing: _Probing, now: float, fabric: Observed) -> float:
        if not probing.settled:
            return now + FAST_PERIOD_S
        period_s = self._period_s if at in fabric.links else self._period_s * IDLE_FACTOR
        return now + period_s * (0.8 + 0.4 * _phase(at))

    # -- probing

    def _probe(self, at: EndPoint, probing: _Probing, mac: str, now: float, fabric: Observed) -> bytes:
        for nonce, sent_s in list(probing.awaited.items())[:-1]:
            if now - sent_s > 2 * self._period_s:
                del probing.awaited[nonce]
        nonce = self._nonce()
        probing.awaited[nonce] = now
        probing.last = nonce if self._can_answer(at, fabric) else None
        return write_probe(self._key, at, mac, nonce, now)

    def _can_answer(self, src: EndPoint, fabric: Observed) -> bool:
        """A link that was seen lately leaves here, and both its ends are connected, settled and not slow."""
        link = fabric.links.get(src)
        if link is None or not link.seen or not self._slow.isdisjoint((link.src.dpid, link.dst.dpid)):
            return False
        ends = (self._ports.get(end) for end in (link.src, link.dst))
        return all(end is not None and end.settled for end in ends)

    def _count_missed(self, at: EndPoint, probing: _Probing, fabric: Observed) -> None:
        if probing.last is None or not self._can_answer(at, fabric):
            return
        far = fabric.links[at].dst
        if self._arrivals.is_awaited(far):
            return  # its switch is slow to answer, too
        probing.missed += 1
        probing.unanswered += 1
        self._arrivals.want(far)
        if probing.missed >= self._lost_after:
            probing.missed = probing.unanswered = 0
            self._unanswered.add(at)


def _was_seen(link: Link | None) -> bool:
    return link is not None and link.seen


def _differing(old: Switch | None, new: Switch | None) -> list[int]:
    """The numbers of ports that are others than before: one of hundreds, when a host is first heard or bound there."""
    if old is None or new is None or old.connected != new.connected:
        return [*(old.ports if old else ()), *(new.ports if new else ())]
    if old.ports is new.ports:
        return []
    changed = [no for no, port in new.ports.items() if old.ports.get(no) is not port]
    return [*changed, *(no for no in old.ports if no not in new.ports)]


def _ports_up(switch: Switch | None, numbers: Iterable[int]) -> set[tuple[EndPoint, str, str]]:
    """Of these ports those to probe, with what makes them the same ports the next time."""
    if switch is None or not switch.connected:
        return set()
    ports = ((no, switch.ports.get(no)) for no in numbers)
    return {(EndPoint(switch.dpid, no), port.name, port.mac) for no, port in ports if port is not None and port.up}


def _phase(at: EndPoint) -> float:
    """0..1, the same for a port always: spreads the ports over the period."""
    return blake2b(repr(tuple(at)).encode(), digest_size=2).digest()[0] / 255
