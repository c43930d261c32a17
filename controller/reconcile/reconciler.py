"""All that the reconcile thread decides, without the thread: no clock, no switch, no log.

    load, commit, observe, confirm, forget, pass_time, set_shares   note what happened; cheap
    step                                     one engine step -> kept durably -> entered in the ledger -> a new view
    regrant                                  what the step changes of guarantees: after its targets are handed out

What a step returns may be handed to switches: whatever a restart needs to recognise it is durable by then, unless the
store is broken.
loop.py feeds this from the real world; tests/sequences feeds it every order of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Protocol

from immutables import Map

from controller.fabric.events import Event, GroupsRefused, QueuesFound, SwitchForgotten
from controller.fabric.graph import Fabric
from controller.fabric.labels import EdgeLabels
from controller.fabric.observed import NO_CHANGE, Alarm, Change
from controller.intent.snapshot import Snapshot
from controller.model.bandwidth import Rates
from controller.model.errors import FailedPrecondition, NotFound
from controller.model.ids import format_dpid
from controller.pipeline.views import policy_of
from controller.pipeline.world import Fragment, FragmentKey, Share
from controller.reconcile.agenda import Agenda
from controller.reconcile.courses import Foreseen
from controller.reconcile.enforcement import concerned
from controller.reconcile.engine import Engine, Step, object_of
from controller.reconcile.granting import Regrant
from controller.reconcile.grants import mbps, named, resource_name
from controller.reconcile.journal import Journal
from controller.reconcile.keeper import Keeper
from controller.reconcile.labelling import Labelling
from controller.reconcile.loads import Ground, Loads
from controller.reconcile.partition import cut_off
from controller.reconcile.status import Ledger, Record, View, Waiter, by_name
from controller.reconcile.steering import Steering
from controller.reconcile.touched import Touched
from controller.reconcile.trial import squeezed
from controller.service.interfaces import StoreFailed

Changes = Mapping[FragmentKey, Fragment | None]
_WITH_GROUPS, _GROUP_REFUSED = frozenset({"label", "explicit"}), "GROUP_MOD_FAILED"
MAX_NAMED = 5
"""of those that a refusal is about"""


class Commit(Protocol):
    """What the loop reads of a commit of intent."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def changed(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is to be done after a step."""

    epoch: int
    targets: Mapping[int, Changes]
    """dpid -> what its target of `epoch` has otherwise than before"""
    names: frozenset[str]
    """objects whose status may be another one"""
    closed: tuple[Record, ...]
    """epochs that every switch confirmed"""
    released: tuple[Waiter, ...]
    """those who waited for what is confirmed by now"""
    alarms: tuple[Alarm, ...]
    failures: Mapping[FragmentKey, Exception]
    """fragments that could not be compiled and keep their old program, as of this step: a defect"""
    n_starved: int
    """edges whose new paths wait for a free version of their labels"""
    not_kept: StoreFailed | None
    """why what was observed is not durable; forwarding goes on, and the next step tries again"""


class Reconciler:
    """The newest world, its programs, and how far switches confirmed them.  Used by one thread; `view` by any."""

    def __init__(self, fabric: Fabric, labels: Mapping[int, EdgeLabels], keeper: Keeper) -> None:
        self.engine = Engine(fabric, Labelling(labels), Steering(keeper.restore_steering()))
        self.ledger = Ledger(0)
        self.view = View(world=self.engine.world)
        self.journal = Journal()
        self._keeper = keeper
        self._agenda = Agenda()
        self._unkept = Step()
        self._failed = False
        """The last step did, and nobody knows what the next one touches."""
        self._changed: Map[str, int] = Map()
        self._refused: dict[int, dict[str, str]] = {}
        self._to_tell: set[str] = set()
        self._to_hold: list[tuple[Waiter, frozenset[int]]] = []
        self.is_due = False
        """Something happened that somebody waits for, or that changes what switches hold: step now."""
        self.is_stale = False
        """Something happened that the view does not show yet: a step within a tick will do."""

    @property
    def fabric(self) -> Fabric:
        return self.engine.world.fabric

    def program(self, dpid: int) -> Changes:
        """The whole target of a switch, as of the last step."""
        return dict(self.engine.programs.get(dpid, Map()))

    # -- what happened

    def load(self, intent: Snapshot, now_s: float) -> None:
        """What was stored, and what time it is.  Once, at the start."""
        self.is_due = True
        self.engine.start_over(intent)
        self._agenda.advance(now_s)
        self._plan(obj.name for obj in intent.objects())

    def commit(self, intent: Snapshot, names: Iterable[str]) -> None:
        names = tuple(names)
        self.engine.commit(intent, names)
        self._plan(names)
        self.is_due = True

    def pass_time(self, now_s: float) -> None:
        """It is `now_s`, seconds since 1970: windows of schedules may have opened or closed, if the clock jumped any.
        """
        self._set_rates(self._agenda.advance(now_s))

    def _plan(self, names: Iterable[str]) -> None:
        """These objects came, changed or went, and with them their schedules."""
        intent = self.engine.world.intent
        self._set_rates(self._agenda.put({name: policy_of(intent, name) for name in names}))

    def _set_rates(self, changed: Mapping[str, Rates | None]) -> None:
        if changed:
            self.engine.set_rates(changed)
            self.is_due = True

    def observe(self, event: Event) -> Change:
        before = self.fabric
        change = self.engine.observe(event)
        # Most of what is observed is a probe that came through where probes did before.
        self.is_due |= change != NO_CHANGE or self.fabric is not before
        if isinstance(event, QueuesFound) and change != NO_CHANGE:
            self._to_tell |= concerned(self.engine.world.intent, self.view.grants, event.dpid)
        return change

    def confirm(self, dpid: int, epoch: int, refused: Mapping[FragmentKey, str], *, clean: bool) -> None:
        """A switch holds its target of `epoch` but for what it refused; if `clean`, and nothing else."""
        clean = clean and all(key.dpid != dpid for key in self.engine.failures)  # what failed to compile is of before
        self.engine.confirm(dpid, epoch, refused, clean=clean)
        # Paths that do without groups are better than the paths of before, for all edges behind this switch.
        for text in (text for key, text in refused.items() if key.kind in _WITH_GROUPS and _GROUP_REFUSED in text):
            self.observe(GroupsRefused(dpid=dpid, why=text))
        before = self._refused.pop(dpid, {})
        texts = {name: text for key, text in refused.items() if (name := object_of(key)) is not None}
        if texts:
            self._refused[dpid] = texts
        self._to_tell |= self.ledger.confirm(dpid, epoch, clean=clean) | before.keys() | texts.keys()
        self.is_stale = True
        # A change of ten switches is confirmed ten times, and only the last time lets anybody go on.
        self.is_due |= self.ledger.can_close or self._can_move or before != texts

    @property
    def _can_move(self) -> bool:
        """Frames can take other ways now, or leave old ones for good."""
        return self.engine.labelling.can_map or self.engine.steering.is_due

    def set_shares(self, changed: Mapping[tuple[int, str], Share | None], waiter: Waiter) -> None:
        """Other parts of the ceilings of (dpid, tenant or network); None: the whole.

        `waiter` is released when the switches that are named here have confirmed them.
        """
        known = self.engine.world.shares
        self.engine.set_shares(changed)
        # That it is shared at all is a condition of an object; how, is none.
        self._to_tell |= {key[1] for key, share in changed.items() if (key in known) == (share is None)}
        self._to_hold.append((waiter, frozenset(dpid for dpid, _ in changed)))
        self.is_due = True

    def age(self) -> bool:
        """Time passed: labels that nobody writes any more may go.  True if a step would change something."""
        labelling, steering = self.engine.labelling, self.engine.steering
        if not (labelling.is_draining or steering.is_draining):
            return False
        labelling.age()
        steering.age()
        self.is_due |= self._can_move
        return True

    def forget(self, dpid: int) -> None:
        """The operator removed a switch that is out of reach: nothing waits for it, nothing is kept for it."""
        self.ledger.forget(dpid)
        self.engine.labelling.forget(dpid)
        self.engine.steering.forget(dpid)
        self._to_tell |= self._refused.pop(dpid, {}).keys()
        self.engine.observe(SwitchForgotten(dpid=dpid))
        self.is_due = True

    def refusal(self, events: Iterable[Event]) -> FailedPrecondition | None:
        """Why these declarations should not be made: they would cut tenants off."""
        later = self.fabric
        for event in events:
            later, _ = later.apply(event)
        networks = cut_off(self.engine.world, later)
        if not networks:
            return self._squeezed(later)
        more = len(networks) - MAX_NAMED
        shown = ", ".join(networks[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
        return FailedPrecondition(
            "WOULD_PARTITION", f"this would leave ports without a path in {shown}; give them another one first, or use "
            "force", metadata={"networks": ",".join(networks[:MAX_NAMED]), "network_count": str(len(networks))},
        )

    def _squeezed(self, later: Fabric) -> FailedPrecondition | None:
        """Why the fabric should not become this one: links would carry less than is guaranteed on them."""
        loads = Loads(Foreseen(later, {}), Ground(fabric=later))
        found = squeezed(self.view.granted.book, self.fabric, later, loads)
        if not found:
            return None
        worst, owners = found[0], sorted({owner for each in found for owner in each.owners})
        more = len(owners) - MAX_NAMED
        shown = ", ".join(owners[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
        return FailedPrecondition(
            "WOULD_BREAK_GUARANTEES", f"{named(later, worst.resource)} would have to guarantee "
            f"{mbps(worst.promised_kbps)}, and {mbps(worst.left_kbps)} is all that it can: {shown} would get less; "
            "lower guarantees first, or use force", metadata={
                "links": ",".join(resource_name(each.resource) for each in found[:MAX_NAMED]),
                "link_count": str(len(found)), "owners": ",".join(owners[:MAX_NAMED]), "owner_count": str(len(owners))})

    def refusal_to_forget(self, dpid: int, connected: Set[int]) -> FailedPrecondition | NotFound | None:
        """Why the operator cannot have this switch forgotten."""
        name = f"switches/{format_dpid(dpid)}"
        if dpid in connected:
            message = f"{name} is connected; stop it or point it elsewhere before it is forgotten"
            return FailedPrecondition("SWITCH_CONNECTED", message, subject=name)
        if dpid not in self.fabric.switches:
            return NotFound("NOT_FOUND", f"{name} never connected to this controller", subject=name)
        return None

    # -- what follows

    def step(self, connected: Set[int]) -> Outcome:
        """Work in everything that happened.  If it raises, hand out nothing and call it again: nothing is lost."""
        self.is_due = self.is_stale = False
        step = self._work()
        not_kept = self._keep(step)
        generation = self.engine.world.intent.generation
        if step.targets or step.names or generation != self.ledger.generation:
            follow_up = (dpid for dpid, changes in step.targets.items() if _is_about_labels(changes))
            self.ledger.advance(generation, step.targets, frozenset(step.names), follow_up=connected & {*follow_up})
            self._note(step.names)
        self._to_tell |= step.names
        to_hold, self._to_hold = self._to_hold, []
        for waiter, dpids in to_hold:
            self.ledger.hold(waiter, dpids)
        return self._publish(step, not_kept)

    def regrant(self) -> Regrant:
        """Bring the view's guarantees up to the last step.  A defect there leaves them as they were."""
        granting = self.engine.granting
        try:
            regrant = granting.work(self.engine.world)
        except Exception as error:  # noqa: BLE001  # kept for whoever logs it
            granting.start_over()
            granting.note((obj.name for obj in self.engine.world.intent.objects()), NO_CHANGE)
            return Regrant(failure=error)
        if granting.granted is not self.view.granted:
            self.view = replace(self.view, granted=granting.granted)
        return regrant

    def _work(self) -> Step:
        try:
            step = self._unkept.then(self.engine.step(self.ledger.epoch + 1))
        except Exception:
            # The world is as it was asked and observed; what follows from it is worked out again, from nothing.
            self._failed = True
            self.engine.start_over(self.engine.world.intent)
            raise
        self._unkept = step
        return step

    def _keep(self, step: Step) -> StoreFailed | None:
        try:
            self._keeper.keep(self.fabric, step.fabric, step.labels, step.steering)
        except StoreFailed as error:
            self._unkept = Step(fabric=replace(step.fabric, alarms=()), labels=step.labels, steering=step.steering)
            return error
        self._unkept = Step()
        return None

    def _note(self, names: Iterable[str]) -> None:
        """These objects changed in this epoch; of those that are gone nothing is remembered."""
        changed = self._changed.mutate()
        for name in names:
            if self.engine.world.intent.get(name) is not None:
                changed[name] = self.ledger.epoch
            elif name in changed:
                del changed[name]
        self._changed = changed.finish()

    def _publish(self, step: Step, not_kept: StoreFailed | None) -> Outcome:
        world, ledger = self.engine.world, self.ledger
        closed = tuple(ledger.close())
        released = (*(waiter for record in closed for waiter in record.waiters), *ledger.let_go())
        self.view = View(
            world=world, unbound=self.engine.unbound, changed=self._changed, refused=by_name(self._refused),
            uncompiled=by_name(self._uncompiled()), plans=self.engine.labelling.plans,
            policies=self.engine.steering.states,
            confirmed=Map({dpid: ledger.covered(dpid) for dpid in world.fabric.switches}),
            reached=Map({dpid: ledger.reached(dpid) for dpid in world.fabric.switches}),
            granted=self.view.granted,
        )
        names, self._to_tell = frozenset(self._to_tell), set()
        self.journal.note(Touched(
            names=step.rates.union(step.names), switches=step.fabric.switches, links=step.fabric.links,
            everything=self._failed))
        self._failed = False
        return Outcome(
            epoch=ledger.epoch, targets=step.targets, names=names, closed=closed, released=released,
            alarms=step.fabric.alarms, failures=step.failures, n_starved=len(self.engine.labelling.starved),
            not_kept=not_kept,
        )

    def _uncompiled(self) -> dict[int, dict[str, str]]:
        """dpid -> {object: why a part of it could not be compiled}."""
        texts: dict[int, dict[str, str]] = {}
        for key, error in self.engine.failures.items():
            if (name := object_of(key)) is not None:
                texts.setdefault(key.dpid, {})[name] = f"{type(error).__name__}: {error}"
        return texts


def _is_about_labels(changes: Changes) -> bool:
    """What a confirmation brings about: labels that can be used now, or that nobody uses any more."""
    return any(key.kind in ("label", "reach", "explicit", "steer") for key in changes)
