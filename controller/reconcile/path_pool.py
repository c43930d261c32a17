"""The explicit paths there are: their numbers, who uses them, who has confirmed them, and when they can go.

    wanted ─► installed, pending ─► ready ─► written by its first switch ─► released ─► confirmed so ─► drained ─► gone

A path is written by one switch only, the one it begins at, so a number is free when that one has confirmed to write it
no more, or never was told to.  One out of reach keeps its number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from controller.fabric.explicit import (
    N_NUMBERS,
    ExplicitPath,
    Route,
    Steer,
    explicit_label,
    free_number,
    route_hops,
)
from controller.fabric.labels import LabelHop
from controller.fabric.paths.policy import Way
from controller.reconcile.labelling import DRAINED_AGES


class PathPool:
    """Owned by Steering."""

    def __init__(self, paths: Mapping[int, ExplicitPath]) -> None:
        """`paths`: what a former process knew, all of which may be written if they are ready."""
        self.paths = dict(paths)
        self.changed: set[int] = set()
        """numbers that mean something else than before, for whoever keeps them"""
        self._numbers = {path.route: number for number, path in paths.items()}
        self._last = -1
        self._uses: Counter[int] = Counter()
        self._written = {number: 0 for number, path in paths.items() if path.is_ready}
        """number -> epoch that last took it out of some target; 0: none did, or a former process"""
        self._clean: dict[int, int] = {}
        """dpid -> the newest epoch that it confirmed with nothing of before left on it"""
        self._age = 0
        self._parting: dict[int, int | None] = {}
        """numbers that nobody uses -> age at which it was known that nobody writes them, None: not yet"""
        self._due: dict[int, dict[int, int]] = {}
        """dpid -> {number: epoch that put it into its target}, until it is confirmed"""
        self._unmapped = {number: set(path.route.switches) for number, path in paths.items()}
        """numbers that came or went -> switches that have, or had, something to do with them"""
        for number in paths:
            self._part(number)

    # -- use

    def steer(self, ways: Iterable[Way], version: int) -> Steer:
        """These ways in labels; those for which no number is free are left out.

        Half of all numbers are for whoever has no way yet: another way spreads, the first one carries.
        """
        ways = tuple(ways)
        trees = tuple(way.tree for way in ways if way.tree is not None)
        numbers: list[int] = []
        for way in ways:
            if way.tree is None and (number := self._number(way.route, is_another=bool(trees or numbers))) is not None:
                numbers.append(number)
        return Steer(trees, version if trees else 0, tuple(numbers))

    def use(self, steers: Iterable[Steer], *, written: bool = False) -> None:
        """`written`: switches are told to write them now."""
        for number in (number for steer in steers for number in steer.numbers):
            self._uses[number] += 1
            self._parting.pop(number, None)
            if written:
                self._written.setdefault(number, 0)

    def release(self, steers: Iterable[Steer], *, written_until: int | None = None) -> None:
        """`written_until`: the epoch that tells switches not to write them any more."""
        for number in (number for steer in steers for number in steer.numbers):
            if written_until is not None:
                self._written[number] = written_until
            self._uses[number] -= 1
            if not self._uses[number]:
                del self._uses[number]
                self._part(number)

    def _part(self, number: int) -> None:
        is_written = number in self._written and self._clean.get(self._writer(number), -1) < self._written[number]
        self._parting[number] = None if is_written else self._age

    def _writer(self, number: int) -> int:
        return self.paths[number].route.src

    def _number(self, route: Route, *, is_another: bool) -> int | None:
        number = self._numbers.get(route)
        if number is not None or (is_another and len(self.paths) >= N_NUMBERS // 2):
            return number
        if (number := free_number(self.paths, self._last)) is not None:
            self._last = self._numbers[route] = number
            self.paths[number] = ExplicitPath(route=route, pending=route.switches)
            self._unmapped.setdefault(number, set()).update(route.switches)
            self.changed.add(number)
        return number

    # -- what happened

    def confirm(self, dpid: int, epoch: int, refused: frozenset[int], *, clean: bool) -> bool:
        """As Steering has it; True if some path is ready by it."""
        due, became_ready = self._due.get(dpid, {}), False
        for number in [n for n, since in due.items() if since <= epoch and n not in refused]:
            del due[number]
            path = self.paths[number]
            self.paths[number] = replace(path, pending=path.pending - {dpid})
            self.changed.add(number)
            became_ready |= self.paths[number].is_ready
        if clean:
            self._clean[dpid] = max(epoch, self._clean.get(dpid, -1))
            for number in [n for n, age in self._parting.items() if age is None and self._writer(n) == dpid]:
                self._part(number)
        return became_ready

    @property
    def is_draining(self) -> bool:
        return any(age is not None for age in self._parting.values())

    def grow_older(self) -> bool:
        """True if something has drained."""
        self._age += 1
        return bool(self._drained())

    def forget(self, dpid: int) -> None:
        self._due.pop(dpid, None)
        for number in self._parting:
            if self._writer(number) == dpid:
                self._parting[number] = self._age

    def drop_drained(self) -> bool:
        """Forget what has drained; True if that was something."""
        drained = self._drained()
        for number in drained:
            route = self.paths.pop(number).route
            del self._parting[number], self._numbers[route]
            self._written.pop(number, None)
            self._unmapped.setdefault(number, set()).update(route.switches)
            self.changed.add(number)
            for due in self._due.values():
                due.pop(number, None)
        return bool(drained)

    def _drained(self) -> list[int]:
        ages = self._parting.items()
        return [number for number, age in ages if age is not None and self._age - age >= DRAINED_AGES]

    # -- what follows

    def take_changed(self) -> set[int]:
        changed, self.changed = self.changed, set()
        return changed

    def map(self, epoch: int) -> dict[int, dict[int, LabelHop | None]]:
        """dpid -> {label: what to do with it, or None} of all numbers that came or went since the last call."""
        labels: dict[int, dict[int, LabelHop | None]] = {}
        unmapped, self._unmapped = self._unmapped, {}
        for number, dpids in unmapped.items():
            path = self.paths.get(number)
            for dpid in dpids:
                for backup in (False, True):
                    labels.setdefault(dpid, {})[explicit_label(number, backup=backup)] = None
            if path is None:
                continue
            for dpid, hops in route_hops(number, path.route).items():
                labels.setdefault(dpid, {}).update(hops)
            for dpid in path.pending:
                self._due.setdefault(dpid, {}).setdefault(number, epoch)
        return labels
