"""What a hose needs of each link: the most that its guaranteed traffic can load it with, whoever talks to whom.

    crossing    (source edge, destination edge) -> {link: fraction of that pair's traffic that crosses it}
    footprint   all crossings of one network, made ready: once for as it is, and once for each failure to survive

A port with a guarantee has it whoever is at the other end; between two that both have one the smaller counts.  So the
guaranteed traffic of a link can be charged to either end, and the cheaper way to charge it is still enough:

    by source       sum over s of  out_s * max_d A[l,s,d]   and from ports without a guarantee by destination
    by destination  sum over d of  in_d  * max_s A[l,s,d]   and to ports without a guarantee by source

On a tree of ports that all have B this is Oktopus' min(m, N - m) * B.  What a network or tenant has beyond its ports'
own guarantees is a pool: whichever ports use it, they cannot load a link by more than the pool times the largest A.

The same charge says which part of a link each port needs for itself (`parts`): charged by source, a frame is its
sender's if that has a guarantee, else its receiver's; charged by destination, the other way round.

Links and edges are whatever hashable the caller names them by.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Edge = Any
Link = Any
Pair = tuple[Edge, Edge]
Crossing = Mapping[Link, float]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
UNBOUNDED = math.inf


class Need(NamedTuple):
    """What must be kept free on one link, kbit/s."""

    working: float
    """as things are"""
    reserved: float
    """and under each of the failures to survive; never less than `working`"""


class Parts(NamedTuple):
    """How one link's need is made up: of what the ports at these edges are guaranteed, so large a fraction each."""

    by_source: bool
    """a frame is charged to its sender first, else to its receiver first"""
    sent: dict[Edge, Need]
    received: dict[Edge, Need]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hose:
    """The guarantees of one network, added up by edge.  kbit/s."""

    sent: Mapping[Edge, float]
    """edge -> the sum of what its ports are guaranteed to send"""
    received: Mapping[Edge, float]
    open_senders: Collection[Edge]
    """edges with a port that has no guarantee to send"""
    open_receivers: Collection[Edge]
    pool: float = 0.0
    """on top of the ports' own, for whichever of them"""
    limit: float = UNBOUNDED
    """all of it together never comes to more"""


@dataclass(frozen=True, slots=True)
class _Entries:
    """A[l,s,d] as a sparse array.  A row is a link as things are, or a link under one failure."""

    row: Ints
    src: Ints
    dst: Ints
    fraction: Floats


class _Side(NamedTuple):
    """For each row and each edge at one end the largest fraction, over the edges at the other."""

    row: Ints
    edge: Ints
    fraction: Floats


class _Ends(NamedTuple):
    """For each link and each edge with ports that are charged there the largest fraction, as things are and at all."""

    link: Ints
    edge: Ints
    working: Floats
    reserved: Floats
    n_ports: Floats


@dataclass(frozen=True)
class Footprint:
    """Where the traffic of one network goes.  Not slotted: it keeps what it worked out."""

    crossings: Mapping[Pair, Crossing]
    failures: Sequence[Mapping[Pair, Crossing]] = ()
    """for each failure to survive, the pairs that go otherwise then"""
    _sides: dict[tuple[bool, frozenset[Edge]], _Side] = field(default_factory=dict, compare=False, repr=False)

    def need(self, hose: Hose) -> dict[Link, Need]:
        """What the hose needs of each link where it needs something."""
        working, reserved = self.loads(hose)
        used = np.flatnonzero(reserved)
        both = zip(used.tolist(), working[used].tolist(), reserved[used].tolist(), strict=True)
        return {self.links[i]: Need(*need) for i, *need in both}

    def loads(self, hose: Hose) -> tuple[Floats, Floats]:
        """The same of each of `links`, as arrays: as things are, and reserved."""
        working = np.zeros(len(self.links))
        if not len(self._entries.row) or hose.limit <= 0:
            return working, working
        by_source, by_destination = self._charges(hose)
        needed = np.minimum(np.minimum(by_source, by_destination) + hose.pool * self._largest, hose.limit)
        working[self._link_of_row[:self._n_working]] = needed[:self._n_working]
        return working, self._worst_by_link(needed)

    @cached_property
    def largest(self) -> dict[Link, Need]:
        """The largest fraction of any pair that crosses each link: what a pool of 1 needs."""
        return self.need(Hose(sent={}, received={}, open_senders=(), open_receivers=(), pool=1.0))

    def parts(
        self, hose: Hose, senders: Mapping[Edge, int], receivers: Mapping[Edge, int], *, at_most: int,
    ) -> dict[Link, Parts | None]:
        """Whose the need of each link is; None: more than `at_most` ports'.  Left out where nobody is to be told apart.

        `senders`, `receivers`: how many ports with a guarantee to send, or receive, there are at each edge.
        """
        if not len(self._entries.row) or not (senders or receivers):
            return {}
        by_source, n_links = self._is_by_source(hose), len(self.links)
        sent = self._ends(senders, by_source, senders=True, others=hose.open_receivers)
        received = self._ends(receivers, by_source, senders=False, others=hose.open_senders)
        n_own = np.bincount(sent.link, sent.n_ports, n_links) + np.bincount(received.link, received.n_ports, n_links)
        unguaranteed = self._charge(dict.fromkeys(hose.open_senders, 1), senders=True, partners=hose.open_receivers)
        is_told_apart = n_own + (self._worst_by_link(unguaranteed) > 0) > 1
        found: dict[Link, Parts | None] = {}
        for i in np.flatnonzero((n_own > 0) & is_told_apart).tolist():
            found[self.links[i]] = Parts(bool(by_source[i]), {}, {}) if n_own[i] <= at_most else None
        edges = tuple(self._number)
        for ends, is_sent in ((sent, True), (received, False)):
            for link, edge, *fraction in zip(*(column.tolist() for column in ends[:4]), strict=True):
                if (parts := found.get(self.links[link])) is not None:
                    (parts.sent if is_sent else parts.received)[edges[edge]] = Need(*fraction)
        return found

    def _is_by_source(self, hose: Hose) -> NDArray[np.bool_]:
        """By link, which charge is the smaller: as things are, or of a link that is used in failures only, then."""
        by_source, by_destination = self._charges(hose)
        found = self._worst_by_link(by_source) <= self._worst_by_link(by_destination)
        found[:self._n_working] = (by_source <= by_destination)[:self._n_working]
        return found

    def _worst_by_link(self, by_row: Floats) -> Floats:
        worst = np.zeros(len(self.links))
        np.maximum.at(worst, self._link_of_row, by_row)
        return worst

    def _ends(
        self, counts: Mapping[Edge, int], by_source: NDArray[np.bool_], *, senders: bool, others: Collection[Edge],
    ) -> _Ends:
        """`others`: the edges at the other end whose ports are not charged themselves, if these are charged second."""
        n_ports, cells, fractions, working = self._by_edge(counts), [], [], []
        for is_by_source, partners in ((senders, None), (not senders, others)):
            side = self._side(senders, partners)
            link = self._link_of_row[side.row]
            taken = (by_source[link] == is_by_source) & (n_ports[side.edge] > 0)
            cells.append((link * len(self._number) + side.edge)[taken])
            fractions.append(side.fraction[taken])
            working.append(side.row[taken] < self._n_working)
        cell, place = np.unique(np.concatenate(cells), return_inverse=True)
        fraction, largest, as_is = np.concatenate(fractions), np.zeros(len(cell)), np.zeros(len(cell))
        np.maximum.at(largest, place, fraction)
        np.maximum.at(as_is, place, np.where(np.concatenate(working), fraction, 0.0))
        edge = cell % len(self._number)
        return _Ends(cell // len(self._number), edge, as_is, largest, n_ports[edge])

    # -- made ready

    @cached_property
    def _number(self) -> dict[Edge, int]:
        edges = dict.fromkeys(edge for pair in self.crossings for edge in pair)
        return {edge: i for i, edge in enumerate(edges)}

    @cached_property
    def _rows(self) -> tuple[list[Link], int, _Entries]:
        """The link of each row, how many of them are as things are, and the fractions."""
        users: dict[Link, dict[Pair, float]] = {}
        for pair, crossing in self.crossings.items():
            for link, fraction in crossing.items():
                users.setdefault(link, {})[pair] = fraction
        rows = list(users.items())
        n_working = len(rows)
        for failure in self.failures:
            rows += self._rows_under(failure, users)
        n_pairs = [len(pairs) for _, pairs in rows]
        row = np.repeat(np.arange(len(rows)), n_pairs)
        number, n_cells = self._number, sum(n_pairs)
        src = np.fromiter((number[s] for _, pairs in rows for s, _ in pairs), np.int64, n_cells)
        dst = np.fromiter((number[d] for _, pairs in rows for _, d in pairs), np.int64, n_cells)
        fractions = np.fromiter((each for _, pairs in rows for each in pairs.values()), np.float64, n_cells)
        return [link for link, _ in rows], n_working, _Entries(row, src, dst, fractions)

    def _rows_under(
        self, failure: Mapping[Pair, Crossing], users: Mapping[Link, Mapping[Pair, float]],
    ) -> list[tuple[Link, dict[Pair, float]]]:
        """Only the links that carry more of some pair than otherwise: less is never what decides."""
        more = dict.fromkeys(
            link for pair, crossing in failure.items() for link, fraction in crossing.items()
            if fraction > self.crossings[pair].get(link, 0.0))
        rows = []
        for link in more:
            pairs = {pair: fraction for pair, fraction in users.get(link, {}).items() if pair not in failure}
            pairs |= {pair: crossing[link] for pair, crossing in failure.items() if link in crossing}
            rows.append((link, pairs))
        return rows

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """All links that it may load, failures included."""
        return tuple(dict.fromkeys(self._rows[0]))

    @cached_property
    def _link_of_row(self) -> Ints:
        place = {link: i for i, link in enumerate(self.links)}
        return np.array([place[link] for link in self._rows[0]], dtype=np.int64)

    @property
    def _n_working(self) -> int:
        return self._rows[1]

    @property
    def _entries(self) -> _Entries:
        return self._rows[2]

    @cached_property
    def _largest(self) -> Floats:
        largest = np.zeros(len(self._link_of_row))
        np.maximum.at(largest, self._entries.row, self._entries.fraction)
        return largest

    def _charges(self, hose: Hose) -> tuple[Floats, Floats]:
        """By row, without the pool: charged by source, and charged by destination."""
        by_source = self._charge(hose.sent, senders=True, partners=None)
        by_source += self._charge(hose.received, senders=False, partners=hose.open_senders)
        by_destination = self._charge(hose.received, senders=False, partners=None)
        by_destination += self._charge(hose.sent, senders=True, partners=hose.open_receivers)
        return by_source, by_destination

    def _charge(
        self, rates: Mapping[Edge, float], *, senders: bool, partners: Collection[Edge] | None,
    ) -> Floats:
        """By row: what these edges load it with if each sends all it may to whom hurts most, of `partners` (None: all).
        """
        side = self._side(senders, partners)
        # Without any entries bincount counts in integers.
        charged = np.bincount(
            side.row, self._by_edge(rates)[side.edge] * side.fraction, minlength=len(self._link_of_row))
        return charged.astype(np.float64)

    def _by_edge(self, values: Mapping[Edge, float]) -> Floats:
        found = np.zeros(len(self._number))
        for edge, value in values.items():
            if edge in self._number:
                found[self._number[edge]] = value
        return found

    def _side(self, senders: bool, partners: Collection[Edge] | None) -> _Side:
        known = self._number.keys()
        partners = frozenset(known) if partners is None else frozenset(known & set(partners))
        side = self._sides.get((senders, partners))
        if side is None:
            if len(self._sides) > 8:  # whoever is without a guarantee changes seldom
                self._sides.clear()
            side = self._sides[senders, partners] = self._reduced(senders, partners)
        return side

    def _reduced(self, senders: bool, partners: frozenset[Edge]) -> _Side:
        entries = self._entries
        edge, partner = (entries.src, entries.dst) if senders else (entries.dst, entries.src)
        allowed = np.zeros(len(self._number), dtype=bool)
        allowed[[self._number[each] for each in partners]] = True
        taken = allowed[partner]
        cell = entries.row[taken] * len(self._number) + edge[taken]
        fraction = np.zeros(len(self._link_of_row) * len(self._number))
        np.maximum.at(fraction, cell, entries.fraction[taken])
        cells = np.flatnonzero(fraction)
        return _Side(cells // len(self._number), cells % len(self._number), fraction[cells])
