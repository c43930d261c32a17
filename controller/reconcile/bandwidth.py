"""What northbound asks of bandwidth: usage and status as of the last look, and quotes.

The statuses are worked out on the telemetry thread, after looks and changes of what is in force, a little in each tick,
so that it takes a small part of its time however many ports there are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from operator import is_

from immutables import Map

from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthStatus
from controller.model.usage import Quote, Usage
from controller.reconcile.assess import Assessor, Statuses
from controller.reconcile.status import View
from controller.reconcile.telemetry import Telemetry

PERIOD_S = 1.0
TURN_S = 0.005
"""How long each tick, ten times a second, may be at it: a twentieth of the time, and no piece that others wait for."""


class Bandwidth:
    """`tick` is the telemetry thread's; the rest may be called from any."""

    def __init__(
        self, telemetry: Telemetry, view: Callable[[], View], quote: Callable[[Resource], Quote], *,
        clock: Callable[[], float], wall_clock: Callable[[], float],
    ) -> None:
        self._telemetry = telemetry
        self._view = view
        self._quote = quote
        self._clock = clock
        self._wall_clock = wall_clock
        self._assessor = Assessor()
        self._next_s = 0.0
        self._seen: tuple[object, ...] = (None, None, None, None)
        """what the statuses are of"""
        self._statuses: Statuses = Map()
        self._under_way: Generator[None, None, Statuses] | None = None

    def status(self, name: str) -> BandwidthStatus | None:
        """As of the last look; None for what is nowhere, or was not looked at."""
        return self._statuses.get(name)

    def usage(self, kind: str, parent: str) -> Sequence[Usage]:
        return self._telemetry.usage(kind, parent)

    def follow(self, notify: Callable[[], None]) -> Callable[[], None]:
        return self._telemetry.follow(notify)

    def quote(self, obj: Resource) -> Quote:
        return self._quote(obj)

    def tick(self, now_s: float) -> None:
        """Assess again, if there was a look since, or if other rates or guarantees are in force."""
        if self._under_way is None:
            looks_had, view = self._telemetry.looks_had, self._view()
            seen = looks_had, view.world.intent, view.world.rates, view.granted
            if now_s < self._next_s or not looks_had or all(map(is_, seen, self._seen)):
                return
            self._seen, self._next_s = seen, now_s + PERIOD_S
            self._under_way = self._assessor.pieces(view, self._telemetry.accounts, self._wall_clock())
        self._go_on(self._under_way)

    def _go_on(self, pieces: Generator[None, None, Statuses]) -> None:
        until_s = self._clock() + TURN_S
        self._under_way = None  # if it fails, the next one begins anew
        try:
            while self._clock() < until_s:
                next(pieces)
        except StopIteration as done:
            self._statuses = done.value
        else:
            self._under_way = pieces
