"""Tries changes of intent against a book, and says what does not fit and how much would.  Changes nothing.

    trial = Trial(book, fabric, loads, now_s)
    trial.tried(after, names)          where the change asks for more than there is, worst first; and the trial that
                                       later changes are tried against
    trial.largest(after, obj, names)   the largest guarantee of `obj` that fits, instead of the one it asks for
    trial.then(after, names)           the same, of what is committed already

A book of peaks comes first: what fits with every schedule at its highest fits always.  Only if it does not, the states
that the schedules go through are tried one by one (horizon.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

from immutables import Map

from controller.fabric.graph import Fabric
from controller.intent.guarantees import is_enough_below, is_within_bounds
from controller.intent.snapshot import Snapshot
from controller.model.bandwidth import MAX_RATE_KBPS, MIN_RATE_KBPS, BandwidthPolicy, Rates
from controller.model.ids import tenant_of
from controller.qos.ledger import NO_CLAIMS, Excess, budget, largest, shortfalls
from controller.reconcile.book import Book, Resource
from controller.reconcile.claims import BookEdit
from controller.reconcile.grants import capacity_kbps
from controller.reconcile.horizon import states
from controller.reconcile.loads import EVERYWHERE, Loads
from controller.reconcile.peaks import Guaranteed, peak_rates, peaks, scaled


@dataclass(frozen=True, slots=True)
class Trial:
    """A book of peaks, and the fabric whose links it is measured against."""

    book: Book
    fabric: Fabric
    loads: Loads
    now_s: float

    def tried(self, after: Snapshot, names: Collection[str]) -> Tried:
        edit = self._edit(after, names)
        book = edit.result()
        # Who becomes protected takes precedence over others, so all of it has to fit as if it were asked for anew.
        risen = {owner for name in names for owner in (name, tenant_of(name))
                 if _is_protected(book, owner) and not _is_protected(self.book, owner)}
        before, owners = _without(self.book, risen), edit.owners | risen
        again = (book.ledger.by_owner.get(owner, NO_CLAIMS) for owner in risen)
        found = self._shortfalls(before, book, edit.claimed.union(*again), owners)
        if found and book.asked.rates:
            found = self._at_some_time(before, book, owners, found)
        return Tried(found, replace(self, book=book))

    def excesses(self, after: Snapshot, names: Collection[str]) -> list[Excess]:
        return self.tried(after, names).excesses

    def then(self, after: Snapshot, names: Collection[str]) -> Trial:
        return replace(self, book=self._edit(after, names).result())

    def largest(self, after: Snapshot, obj: Guaranteed, names: Collection[str]) -> Rates:
        """What fits in both directions together: less in one if it is that one which does not fit, else both in
        proportion.

        If it fits as it is: the same, scaled up as far as it goes; if it asks for nothing, the same both ways.  What
        those above it allow counts as links do; and less than can be asked for, or than those below it have, is none.
        """
        asked = peak_rates(obj.bandwidth)
        inward, outward = asked.guarantee_in_kbps, asked.guarantee_out_kbps
        most_in, most_out = asked.ceiling_in_kbps or MAX_RATE_KBPS, asked.ceiling_out_kbps or MAX_RATE_KBPS
        unit = max(inward, outward, 1)
        names = {*names, obj.name}

        def asking(in_kbps: int, out_kbps: int) -> tuple[Snapshot, Guaranteed]:
            other = replace(obj, bandwidth=scaled(obj.bandwidth, in_kbps, out_kbps))
            return after.put(other), other

        def lacks(in_kbps: int, out_kbps: int) -> float:
            then, other = asking(in_kbps, out_kbps)
            if not is_within_bounds(then, other):
                return inf
            return max((max(1, each.needed_kbps - each.left_kbps) for each in self.excesses(then, names)), default=0)

        def both(at_most: int) -> tuple[int, int]:
            a, b = (inward, outward) if inward or outward else (1, 1)
            times = largest(lambda n: lacks(a * n // unit, b * n // unit), at_most, at_least=MIN_RATE_KBPS)
            return _askable(a * times // unit), _askable(b * times // unit)

        if not lacks(inward, outward):
            bounds = [most * unit // each for most, each in ((most_in, inward), (most_out, outward)) if each]
            found = both(min([MAX_RATE_KBPS, *bounds] if bounds else [most_in, most_out]))
        else:
            less_in = largest(lambda n: lacks(n, outward), inward, at_least=MIN_RATE_KBPS) if outward else 0
            less_out = largest(lambda n: lacks(inward, n), outward, at_least=MIN_RATE_KBPS) if inward else 0
            if (less_in and less_out) or not (less_in or less_out):
                found = both(max(inward, outward))
            else:
                found = (less_in, outward) if less_in else (inward, less_out)
        if not is_enough_below(*asking(*found)):
            found = (0, 0)
        return Rates(guarantee_in_kbps=found[0], guarantee_out_kbps=found[1])

    # -- at every time

    def _edit(self, after: Snapshot, names: Collection[str]) -> BookEdit:
        rates = peaks(self.book.asked.rates, after, names)
        return BookEdit(self.book, self.loads, self.fabric).update(after, rates, names)

    def _at_some_time(self, before: Book, after: Book, owners: Collection[str], found: list[Excess]) -> list[Excess]:
        """What is left of these excesses when schedules are not all at their highest at once."""
        policies = {book.asked.policy_of(name) for book in (before, after) for name in book.asked.rates}
        every = states(policies, self.now_s)
        if every is None:
            return found
        worst: dict[object, Excess] = {}
        for state in every:
            before_then, after_then = self._in_state(before, state), self._in_state(after, state)
            for excess in self._shortfalls(before_then, after_then, [each.resource for each in found], owners):
                known = worst.setdefault(excess.resource, excess)
                if excess.left_kbps - excess.needed_kbps < known.left_kbps - known.needed_kbps:
                    worst[excess.resource] = excess
        return [worst[each.resource] for each in found if each.resource in worst]

    def _in_state(self, book: Book, state: Mapping[BandwidthPolicy, Rates]) -> Book:
        """Each book by its own policies: what is asked for now is no part of what was promised before."""
        rates = Map({name: state[book.asked.policy_of(name)] for name in book.asked.rates})
        return BookEdit(book, self.loads, self.fabric).update(book.asked.intent, rates, set(rates)).result()

    def _shortfalls(
        self, before: Book, after: Book, resources: Collection[object], owners: Collection[str],
    ) -> list[Excess]:
        return shortfalls(before.ledger, after.ledger, resources, owners, lambda r: capacity_kbps(self.fabric, r))


def _is_protected(book: Book, owner: str) -> bool:
    return owner in book.terms and book.terms[owner].is_protected


def _without(book: Book, owners: Collection[str]) -> Book:
    """As if they claimed nothing."""
    ledger = book.ledger
    for owner in owners:
        ledger, _ = ledger.put(owner, NO_CLAIMS)
    return replace(book, ledger=ledger)


def _askable(kbps: int) -> int:
    return kbps if kbps >= MIN_RATE_KBPS else 0


class Tried(NamedTuple):
    """What came of a change."""

    excesses: list[Excess]
    then: Trial


class Squeeze(NamedTuple):
    """A link that would carry less than is promised on it."""

    resource: Resource
    promised_kbps: int
    left_kbps: int
    owners: tuple[str, ...]
    """of these promises"""


def squeezed(book: Book, fabric: Fabric, later: Fabric, loads: Loads) -> list[Squeeze]:
    """Where what is promised would not fit any more if the fabric became `later`, worst first; `loads`: of later."""
    if not book.ledger.totals:
        return []
    edit = BookEdit(book, loads, later).update(book.asked.intent, book.asked.rates, (), EVERYWHERE)
    after, found = edit.result().ledger, []
    for resource, total in after.totals.items():
        then, now = capacity_kbps(later, resource), capacity_kbps(fabric, resource)
        if then is None or total <= (left := budget(then)):
            continue
        is_new = now is None or total - left > book.ledger.totals.get(resource, 0) - budget(now)
        if is_new:
            owners = sorted(owner for owner, claims in after.by_owner.items() if resource in claims)
            found.append(Squeeze(resource, total, left, tuple(owners)))
    return sorted(found, key=lambda each: (each.left_kbps - each.promised_kbps, str(each.resource)))
