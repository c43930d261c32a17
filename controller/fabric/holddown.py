"""Links that come and go: one that returns is used again only after it has been quiet for a while.

    goes down   the first time in a long while -> held for `hold_s` from now; again and again -> twice as long each time
    seen        while it is held: as if it had not been seen; the next probe tells
    restless    a port of it goes down while it is held: the hold begins anew, as long as it was
    quiet       for as long as the longest hold: it starts afresh

So a flapping link costs one change of paths, not one a flap, and in between its traffic stays where it is safe.
Without clock: `now` is an argument.  A link that nobody has seen before is used at once.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from controller.fabric.events import LinkSeen
from controller.fabric.observed import Change, Observed
from controller.fabric.ports import EndPoint

MAX_DOUBLINGS = 5
"""A link is held for at most 32 x `hold_s`."""


@dataclass(slots=True)
class _Held:
    flaps: int
    until_s: float


class HoldDown:
    """Owned by one thread."""

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._held: dict[frozenset[EndPoint], _Held] = {}

    def admits(self, now: float, seen: LinkSeen, fabric: Observed) -> bool:
        """Whether this sighting counts: yes, unless it would bring back a link that is held."""
        link = fabric.links.get(seen.src)
        if link is None or link.dst != seen.dst or link.seen:
            return True
        held = self._held.get(_wire(seen.src, seen.dst))
        return held is None or held.until_s <= now

    def follow(self, now: float, before: Observed, after: Observed, change: Change) -> None:
        """Note the wires that went down with this change; one whose ends are gone altogether is forgotten."""
        for src in change.links:
            old, new = before.links.get(src), after.links.get(src)
            if old is None:
                continue
            wire = _wire(old.src, old.dst)
            if new is None:
                self._held.pop(wire, None)
            elif old.up and not new.up:
                self._hold(now, wire)
        if self._held:
            went_down = {at for at in change.ports if _is_up(before, at) and not _is_up(after, at)}
            self._hold_on(now, went_down)

    def _hold_on(self, now: float, ends: Set[EndPoint]) -> None:
        """What is held and ends there was not quiet."""
        for wire, held in self._held.items():
            if held.until_s > now and not wire.isdisjoint(ends):
                held.until_s = now + self._length_s(held.flaps)

    def _hold(self, now: float, wire: frozenset[EndPoint]) -> None:
        held = self._held.get(wire)
        if held is not None and now - held.until_s < self._hold_s * 2**MAX_DOUBLINGS:
            flaps = held.flaps + (held.until_s <= now)  # both directions of a wire go down once
        else:
            flaps = 0
        self._held[wire] = _Held(flaps, now + self._length_s(flaps))

    def _length_s(self, flaps: int) -> float:
        return self._hold_s * (1 << min(flaps, MAX_DOUBLINGS))


def _is_up(fabric: Observed, at: EndPoint) -> bool:
    port = fabric.port(at)
    return port is not None and port.up


def _wire(one: EndPoint, other: EndPoint) -> frozenset[EndPoint]:
    return frozenset((one, other))
