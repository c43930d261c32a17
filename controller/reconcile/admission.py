"""Admission: no change of intent may promise more than the links of its paths can carry, now or in any window to come.

    writer thread ──► check ──► trial against the book of the newest view, and what was committed since ──► refusal
    any thread    ──► quote ──► the same, changing nothing

A change that touches nobody with a guarantee costs a few look-ups.  Between two views, one change after the other is
added to the trial that the last one left, so a burst of changes costs what each of them changes.

What is not known yet is not refused: a port whose switch never connected, an access port that does not say its speed.
Once it is known and does not fit, the guarantee is degraded and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from immutables import Map

from controller.intent.snapshot import Resource, Snapshot
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, Rates
from controller.model.errors import ResourceExhausted
from controller.model.ids import tenant_of
from controller.model.usage import Quote, Shortfall
from controller.qos.ledger import Excess
from controller.reconcile.courses import Foreseen
from controller.reconcile.grants import MAX_NAMED, Granted, mbps, named, resource_name
from controller.reconcile.loads import Ground, Loads
from controller.reconcile.peaks import Guaranteed, peak_rates
from controller.reconcile.status import View
from controller.reconcile.trial import Trial


@dataclass(frozen=True, slots=True)
class _Running:
    """What one view, and the changes admitted since, come to."""

    granted: Granted
    trial: Trial


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A change that may have been committed then, or may have been but a question."""

    before: Mapping[str, Resource | None]
    after: Mapping[str, Resource | None]
    trial: Trial
    """with it"""


class Admission:
    """Implements service.interfaces.Gate."""

    def __init__(self, view: Callable[[], View], snapshot: Callable[[], Snapshot], clock: Callable[[], float]) -> None:
        """`snapshot`: the newest committed intent; `clock`: seconds since 1970.  Both from any thread."""
        self._view = view
        self._snapshot = snapshot
        self._clock = clock
        # Of the writer thread alone:
        self._recent: dict[str, int] = {}
        """objects that count, changed since the view's book: the generation that changed them, if it was committed"""
        self._running: _Running | None = None
        self._admitted: _Admitted | None = None
        self._loads: tuple[object, object, Loads] | None = None

    def check(self, before: Snapshot, after: Snapshot, changed: frozenset[str]) -> None:
        """ResourceExhausted GUARANTEE_DOES_NOT_FIT, naming links, what is left on them, and what would fit."""
        view = self._view()
        book = view.granted.book
        done = book.asked.intent.generation
        self._recent = {name: generation for name, generation in self._recent.items() if generation > done}
        names = {name for name in changed if "/subnets/" not in name}
        if not any(self._counts(view, snapshot, name) for snapshot in (before, after) for name in names):
            return
        trial = self._trial(view, before)
        self._recent |= dict.fromkeys(names, before.generation + 1)
        tried = trial.tried(after, names)
        if tried.excesses:
            raise self._refusal(trial, before, after, names, tried.excesses)
        self._admitted = _Admitted(
            {name: before.get(name) for name in names}, {name: after.get(name) for name in names},
            tried.then)

    def quote(self, obj: Resource) -> Quote:
        """Whether the guarantee of `obj`, complete as a commit would make it, could be admitted now, and what could."""
        view, before = self._view(), self._snapshot()
        if not isinstance(obj, Guaranteed):
            return Quote(fits=True, largest_in_kbps=0, largest_out_kbps=0)
        changed = _differing(view.granted.book.asked.intent, before)
        trial = Trial(view.granted.book, view.world.fabric, _foresee(view), self._clock()).then(before, changed)
        after = before.put(obj)
        excesses = trial.excesses(after, {obj.name})
        largest = trial.largest(after, obj, {obj.name})
        return Quote(
            fits=not excesses, largest_in_kbps=largest.guarantee_in_kbps, largest_out_kbps=largest.guarantee_out_kbps,
            shortfalls=tuple(Shortfall(link=resource_name(each.resource), needed_kbps=each.needed_kbps,
                                       left_kbps=each.left_kbps) for each in excesses))

    # -- the writer thread

    def _counts(self, view: View, snapshot: Snapshot, name: str) -> bool:
        """Whether the object has a guarantee, or is of a tenant that has one."""
        if _policy_of(snapshot, name).may_guarantee:
            return True
        tenant = tenant_of(name)
        return tenant in view.granted.book.asked.promises or any(tenant_of(each) == tenant for each in self._recent)

    def _trial(self, view: View, before: Snapshot) -> Trial:
        """To try something on top of what is committed."""
        running, last, self._admitted = self._running, self._admitted, None
        if running is not None and last is not None:
            if _holds(before, last.after):
                running = _Running(running.granted, last.trial)
            elif not _holds(before, last.before):
                running = None
        if running is None or running.granted is not view.granted:
            trial = Trial(view.granted.book, view.world.fabric, self._foresee(view), self._clock())
            running = _Running(view.granted, trial.then(before, self._recent.keys()))
        self._running = running
        return running.trial

    def _foresee(self, view: View) -> Loads:
        plans, links = view.plans, view.world.fabric.links
        if self._loads is None or self._loads[0] is not plans or self._loads[1] is not links:
            self._loads = plans, links, _foresee(view)
        return self._loads[2]

    def _refusal(
        self, trial: Trial, before: Snapshot, after: Snapshot, names: Collection[str], excesses: list[Excess],
    ) -> ResourceExhausted:
        asking = [name for name in sorted(names) if _asks_for_more(before, after, name)]
        obj = after.get(asking[0]) if len(asking) == 1 else None
        largest = trial.largest(after, obj, names) if isinstance(obj, Guaranteed) else None
        if asking:
            subject, advice = asking[0], _advice(largest)
            what = f"what {subject} asks for does not fit"
        else:
            subject = min(names)
            advice = f"lower guarantees of {tenant_of(subject)} first, or choose another place"
            what = f"with this {subject} what {tenant_of(subject)} is guaranteed does not fit"
        worst = excesses[0]
        fabric = trial.fabric
        more = f", and too little on {len(excesses) - 1} more" if len(excesses) > 1 else ""
        message = (f"no {mbps(worst.needed_kbps)} left on {named(fabric, worst.resource)}, only "
                   f"{mbps(worst.left_kbps)}{more}; {advice}")
        metadata = {
            "links": ",".join(resource_name(each.resource) for each in excesses[:MAX_NAMED]),
            "needed_kbps": ",".join(str(each.needed_kbps) for each in excesses[:MAX_NAMED]),
            "left_kbps": ",".join(str(each.left_kbps) for each in excesses[:MAX_NAMED]),
            "link_count": str(len(excesses)),
        }
        if largest is not None:
            metadata |= {"largest_guarantee_in_kbps": str(largest.guarantee_in_kbps),
                         "largest_guarantee_out_kbps": str(largest.guarantee_out_kbps)}
        return ResourceExhausted(
            "GUARANTEE_DOES_NOT_FIT", f"{what}: {message}", subject=subject,
            metadata=metadata)


def _advice(largest: Rates | None) -> str:
    if largest is None:
        return "ask for less, or elsewhere"
    if not largest.has_guarantee:
        return "nothing would fit there"
    inward, outward = largest.guarantee_in_kbps, largest.guarantee_out_kbps
    if inward == outward or not inward or not outward:
        return f"{mbps(inward or outward)} would fit"
    return f"{mbps(inward)} in and {mbps(outward)} out would fit"


def _asks_for_more(before: Snapshot, after: Snapshot, name: str) -> bool:
    old, new = peak_rates(_policy_of(before, name)), peak_rates(_policy_of(after, name))
    return (new.guarantee_in_kbps > old.guarantee_in_kbps or new.guarantee_out_kbps > old.guarantee_out_kbps
            or (new.has_guarantee and _policy_of(before, name).traffic_class != _policy_of(after, name).traffic_class))


def _policy_of(snapshot: Snapshot, name: str) -> BandwidthPolicy:
    obj = snapshot.get(name)
    return obj.bandwidth if isinstance(obj, Guaranteed) else NO_POLICY


def _holds(snapshot: Snapshot, objects: Mapping[str, Resource | None]) -> bool:
    return all(snapshot.get(name) is obj for name, obj in objects.items())


def _foresee(view: View) -> Loads:
    return Loads(Foreseen(view.world.fabric, view.plans), Ground(fabric=view.world.fabric))


def _differing(book: Snapshot, now: Snapshot) -> set[str]:
    """The objects that changed between the two."""
    found: set[str] = set()
    kinds: tuple[tuple[Map[str, Any], Map[str, Any]], ...] = (
        (book.tenants, now.tenants), (book.networks, now.networks), (book.ports, now.ports), (book.pipes, now.pipes))
    for old, new in kinds:
        if old is not new:
            found.update(name for name in {*old, *new} if old.get(name) is not new.get(name))
    return found
