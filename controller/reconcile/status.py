"""Is it in the data plane yet?  Pure bookkeeping of epochs, confirmations and what each object waits for.

    generation   counts changes of intent (the store's revision)
    epoch        counts changes of any switch's target: intent, topology, labels.  Epochs only grow.

A switch *confirms* an epoch when a barrier closed everything its target of that epoch asks for.  An object is ACTIVE
when every switch it needs confirmed the epoch that last changed it.  Nobody sleeps: a waiter names a generation and is
told when every switch that generation touched has confirmed it, together with whatever followed from it (labels that
had to be confirmed first).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from immutables import Map

from controller.fabric.bindings import Unbound
from controller.fabric.paths.plan import Plan
from controller.fabric.ports import EndPoint, PortRole
from controller.model.ids import format_dpid, kind_of, network_of, parent_of
from controller.model.network import Attachment, Network, Pipe, Port
from controller.model.status import Condition, State, Status, SwitchSync
from controller.model.tenancy import Tenant
from controller.pipeline.views import rates_of, reached_by
from controller.pipeline.world import World
from controller.reconcile import enforcement
from controller.reconcile.grants import NOT_GRANTED, Degraded, Granted, Grants
from controller.reconcile.opening import limited_at
from controller.reconcile.policy_status import policy_conditions
from controller.reconcile.shortfalls import conditions as shortfalls
from controller.reconcile.steering import PolicyState

_DEGRADING = frozenset({"NO_PATH", "FLOW_REFUSED", "COMPILE_FAILED", "PATH_POLICY_VIOLATED", "GUARANTEE_DEGRADED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What any thread may read: the newest world and how far it is confirmed.  Replaced as a whole, never changed."""

    world: World
    unbound: Map[str, Unbound] = Map()
    """port name -> why it is not bound"""
    changed: Map[str, int] = Map()
    """object name -> epoch that last changed it in some switch's target"""
    confirmed: Map[int, int] = Map()
    """dpid -> the newest epoch of whose changes the switch has confirmed all that concern it"""
    plans: Map[int, Plan] = Map()
    """edge (dpid) -> the plan toward it: whoever is not in it has no path there, whatever label it still writes"""
    policies: Map[str, PolicyState] = Map()
    """network name -> how far its path policy is in force, where there is something to say"""
    refused: Map[str, Map[int, str]] = Map()
    """object name -> {dpid: what the switch refused}"""
    uncompiled: Map[str, Map[int, str]] = Map()
    """object name -> {dpid: why a part of it could not be compiled, so that the switch keeps the old}"""
    reached: Map[int, int] = Map()
    """dpid -> generation confirmed"""
    granted: Granted = NOT_GRANTED
    """what owners are guaranteed on links, and what is promised"""

    @property
    def grants(self) -> Grants:
        """switch port -> {tenant or pipe: what it is guaranteed of what leaves there}."""
        return self.granted.grants

    @property
    def degraded(self) -> Map[str, Degraded]:
        """Tenant, pipe or port -> how much of its guarantee is left, and where."""
        return self.granted.degraded

    @property
    def floor(self) -> int:
        """The generation that every known switch has confirmed: ids freed at or before it may be used again."""
        switches = self.world.fabric.switches
        return min((self.reached.get(dpid, -1) for dpid in switches), default=self.world.intent.generation)

    def sync(self, dpid: int) -> SwitchSync:
        """How far a switch is; it is in sync when it confirmed the newest generation and is connected."""
        switch, reached = self.world.fabric.switches.get(dpid), self.reached.get(dpid, -1)
        return SwitchSync(
            in_sync=switch is not None and switch.connected and reached >= self.world.intent.generation,
            confirmed_generation=max(reached, 0),
        )

    def attachable(self, attachment: Attachment, port: str) -> str | None:
        """None, or why `port` cannot attach there.

        The wire is the fabric's, or another port has it under its other spelling.
        """
        switch = self.world.fabric.switches.get(attachment.dpid)
        found = switch.find_port(attachment.interface, attachment.port_no) if switch else None
        if found is None:
            return None
        if self.world.fabric.role(EndPoint(attachment.dpid, found.port_no)) is PortRole.FABRIC:
            return "ATTACHMENT_IS_FABRIC"
        for spelling in (found.name, found.port_no):
            holder = self.world.intent.attachments.get((attachment.dpid, spelling))
            if holder is not None and holder != port:
                return "ATTACHMENT_IN_USE"
        return None

    def status(self, name: str) -> Status:
        """The status of an object that exists in intent."""
        obj = self.world.intent.get(name)
        if obj is None or obj.meta.generation > self.world.intent.generation:
            soon = Condition(reason="NOT_COMPILED", message="the change is committed and about to be compiled")
            return Status(state=State.PENDING, reconciling=True, conditions=(soon,))
        conditions: list[Condition] = []
        ends = (obj.a, obj.b) if isinstance(obj, Pipe) else (name,)
        for end in ends:
            if (unbound := self.unbound.get(end)) is not None:
                message = unbound.message if end == name else f"its end {end}: {unbound.message}"
                condition = Condition(reason=unbound.reason, message=message)
                return Status(state=State.PENDING, conditions=(condition,))
        lagging = self.lagging(name)
        if lagging:
            switches = ", ".join(format_dpid(d) for d in lagging)
            message = f"not yet confirmed by {switches}"
            conditions.append(Condition(reason="SWITCH_NOT_CONFIRMED", message=message, switches=lagging))
        if isinstance(obj, Port) and (cut_off := self._cut_off(obj)):
            switches = ", ".join(format_dpid(d) for d in cut_off)
            message = f"no usable path between this port's switch and {switches}"
            conditions.append(Condition(reason="NO_PATH", message=message, switches=cut_off))
        conditions += self._path_policy(obj)
        conditions += _by_switch("FLOW_REFUSED", self.refused.get(name, Map()))
        conditions += _by_switch("COMPILE_FAILED", self.uncompiled.get(name, Map()))
        conditions += shortfalls(self.granted, self.world.fabric, obj)
        state = State.DEGRADED if any(c.reason in _DEGRADING for c in conditions) else State.ACTIVE
        if lagging:
            state = State.PENDING
        conditions += self._limits(obj)
        conditions += enforcement.conditions(self.world.fabric, self.world.intent, self.granted, obj)
        return Status(state=state, conditions=tuple(conditions), reconciling=bool(lagging))

    def _path_policy(self, obj: object) -> list[Condition]:
        """Of a network, or of one of its ports as far as that one's switch is concerned."""
        if not isinstance(obj, Network | Port):
            return []
        here = self.world.placement.at[obj.name].dpid if isinstance(obj, Port) else None
        state = self.policies.get(network_of(obj.name))
        return [] if state is None else policy_conditions(state, here)

    def needs(self, name: str) -> tuple[int, ...]:
        """The switches whose program holds something of the object, sorted."""
        pipe = self.world.intent.pipes.get(name)
        if pipe is not None and not pipe.joins_networks:
            places = (self.world.placement.at.get(end) for end in (pipe.a, pipe.b))
            return tuple(sorted({at.dpid for at in places if at is not None}))
        if (joint := pipe or self.world.intent.peerings.get(name)) is not None:
            return tuple(sorted({*self._present(joint.a), *self._present(joint.b)}))
        if kind_of(name) == "tenant":
            return tuple(sorted(self.world.placement.tenants.get(name, ())))
        return tuple(sorted(reached_by(self.world, network_of(name))))

    def _present(self, network: str) -> tuple[int, ...]:
        return tuple(sorted(self.world.placement.presence.get(network, Map())))

    def lagging(self, name: str) -> tuple[int, ...]:
        """Of the switches the object needs, those that have not confirmed its last change."""
        epoch = self.changed.get(name, self.changed.get(parent_of(name), 0))
        return tuple(dpid for dpid in self.needs(name) if self.confirmed.get(dpid, -1) < epoch)

    def _cut_off(self, port: Port) -> tuple[int, ...]:
        here = self.world.placement.at[port.name].dpid
        return tuple(sorted(
            there for there in reached_by(self.world, port.network)
            if there != here and not (self._joined(here, there) and self._joined(there, here))
        ))

    def _joined(self, here: int, there: int) -> bool:
        return (here, there) in self.world.choices and here in self.plans.get(there, Map())

    def _limits(self, obj: object) -> list[Condition]:
        """What an enforced policy does not cover, said as a condition so that nobody is surprised."""
        if not isinstance(obj, Tenant | Network | Port | Pipe) or not obj.bandwidth.may_limit:
            return []
        limits = []
        switches = self.world.fabric.switches
        of_ports = isinstance(obj, Port) or (isinstance(obj, Pipe) and not obj.joins_networks)
        places = () if of_ports else limited_at(self.world, obj.name)
        edges = sorted({dpid for here in places if len(here) > 1 for dpid in here})
        apart = tuple(dpid for dpid in edges if (dpid, obj.name) not in self.world.shares
                      and dpid in switches and switches[dpid].features.max_meters)
        if apart and rates_of(self.world, obj).has_ceiling:
            message = (f"the ceiling holds on {', '.join(map(format_dpid, apart))} by "
                       f"{'itself' if len(apart) == 1 else 'themselves'}, not yet for the sum of all edge switches")
            limits.append(Condition(reason="PER_EDGE", message=message, switches=apart))
        without = tuple(d for d in self._edges_of(obj) if d in switches and not switches[d].features.max_meters)
        if without:
            names = ", ".join(format_dpid(d) for d in without)
            message = f"the ceiling is not enforced on {names}: the switch has no meters"
            limits.append(Condition(reason="NO_METERS", message=message, switches=without))
        return limits

    def _edges_of(self, obj: Tenant | Network | Port | Pipe) -> tuple[int, ...]:
        """Where its ceilings hold."""
        if isinstance(obj, Port):
            return (self.world.placement.at[obj.name].dpid,)
        return self._present(obj.name) if isinstance(obj, Network) else self.needs(obj.name)


def _by_switch(reason: str, texts: Mapping[int, str]) -> list[Condition]:
    return [Condition(reason=reason, message=f"switch {format_dpid(dpid)}: {text}", switches=(dpid,))
            for dpid, text in sorted(texts.items())]


Waiter = Future[tuple[int, ...]]
"""Completes with the switches that have not confirmed: () when all have."""


@dataclass(slots=True)
class Record:
    """One epoch that some switch still has to confirm."""

    epoch: int
    generations: range
    names: frozenset[str]
    awaits: dict[int, int]
    waiters: list[Waiter] = field(default_factory=list)


@dataclass(slots=True)
class _Held:
    """Someone who waits for switches, whoever else changed them."""

    awaits: dict[int, int]
    waiter: Waiter


class Ledger:
    """Which epochs are open, who waits for them, and the generation every switch has reached.

    Owned by the reconcile thread.
    """

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.epoch = 0
        self.confirmed: dict[int, int] = {}
        self._clean: dict[int, int] = {}
        """dpid -> the newest epoch that the switch confirmed with nothing old left on it"""
        self._touched: dict[int, int] = {}
        self._generation_at: dict[int, int] = {0: -1}
        """epoch -> the generation from it on; only where that changed, ascending"""
        self._open: list[Record] = []
        self._held: list[_Held] = []
        self._early: list[tuple[int, Waiter]] = []

    def advance(
        self, generation: int, touched: Iterable[int], names: frozenset[str], *, follow_up: Iterable[int] = (),
    ) -> int:
        """A step of the engine changed the targets of `touched`.  Returns the new epoch.

        `follow_up`: of these, what changed follows from earlier changes (labels that were confirmed, topology), so it
        holds up whoever still waits for them.
        """
        self.epoch += 1
        awaits = dict.fromkeys(touched, self.epoch)
        self._touched.update(awaits)
        generations = range(self.generation + 1, generation + 1)
        following = dict.fromkeys(follow_up, self.epoch)
        for record in self._open:
            record.awaits.update(following)
        if generation != self._generation_as_of(self.epoch):
            self._generation_at[self.epoch] = generation
        self.generation = generation
        self._open.append(Record(self.epoch, generations, names, awaits))
        for wanted, waiter in [early for early in self._early if early[0] <= generation]:
            self._early.remove((wanted, waiter))
            self.wait(wanted, waiter)
        return self.epoch

    def confirm(self, dpid: int, epoch: int, *, clean: bool = True) -> frozenset[str]:
        """A switch confirmed an epoch.  Returns the names of objects that wait for this switch no longer.

        Not `clean`: it still holds something of before, and with it numbers that nobody else may have.
        """
        if clean:
            self._clean[dpid] = max(epoch, self._clean.get(dpid, -1))
        if epoch <= self.confirmed.get(dpid, -1):
            return frozenset()
        self.confirmed[dpid] = epoch
        names: set[str] = set()
        for record in self._open:
            if record.awaits.get(dpid, epoch + 1) <= epoch:
                del record.awaits[dpid]
                names |= record.names
        for held in self._held:
            if held.awaits.get(dpid, epoch + 1) <= epoch:
                del held.awaits[dpid]
        return frozenset(names)

    @property
    def can_close(self) -> bool:
        """Some epoch, or some waiter, is held up by nothing any more."""
        return any(not record.awaits for record in self._open) or any(not held.awaits for held in self._held)

    def close(self) -> list[Record]:
        """Forget the epochs that nothing holds open any more; returns them: their waiters are to be released."""
        closed = [record for record in self._open if not record.awaits]
        self._open = [record for record in self._open if record.awaits]
        oldest = min((self._clean.get(dpid, 0) for dpid in self._touched), default=self.epoch)
        past = [epoch for epoch in self._generation_at if epoch <= oldest]
        for epoch in past[:-1]:
            del self._generation_at[epoch]
        return closed

    def hold(self, waiter: Waiter, dpids: Iterable[int]) -> None:
        """Hold `waiter` until these switches confirmed all that their targets ask for now, whatever comes later."""
        awaits = {dpid: touched for dpid in dpids
                  if (touched := self._touched.get(dpid, -1)) > self.confirmed.get(dpid, -1)}
        self._held.append(_Held(awaits, waiter))

    def let_go(self) -> list[Waiter]:
        """Those who are held up no longer; whoever waits no longer is forgotten."""
        free = [held.waiter for held in self._held if not held.awaits]
        self._held = [held for held in self._held if held.awaits and not held.waiter.done()]
        return free

    def lagging_for(self, waiter: Waiter) -> tuple[int, ...]:
        """The switches that `hold` still waits for."""
        return tuple(sorted({dpid for held in self._held if held.waiter is waiter for dpid in held.awaits}))

    def wait(self, generation: int, waiter: Waiter) -> bool:
        """Hold `waiter` until every switch that `generation` touched confirmed it.

        False if there is nothing to wait for.
        """
        if generation > self.generation:
            self._early.append((generation, waiter))
            return True
        for record in self._open:
            if generation in record.generations:
                record.waiters.append(waiter)
                return True
        return False

    def lagging(self, generation: int) -> tuple[int, ...]:
        """The switches that have not confirmed what `generation` touched."""
        records = (record for record in self._open if generation in record.generations)
        return tuple(sorted({dpid for record in records for dpid in record.awaits}))

    def forget(self, dpid: int) -> None:
        """The operator removed the switch: nothing waits for it any more."""
        self._touched.pop(dpid, None)
        self.confirmed.pop(dpid, None)
        self._clean.pop(dpid, None)
        for record in self._open:
            record.awaits.pop(dpid, None)
        for held in self._held:
            held.awaits.pop(dpid, None)

    def covered(self, dpid: int) -> int:
        """The newest epoch of whose changes the switch confirmed all that concern it; -1: it confirmed nothing yet."""
        confirmed = self.confirmed.get(dpid, -1)
        return self.epoch if confirmed >= self._touched.get(dpid, 0) else confirmed

    def reached(self, dpid: int) -> int:
        """The generation that the switch has confirmed, nothing older left on it; -1 if it confirmed nothing yet."""
        confirmed = self._clean.get(dpid)
        if confirmed is None:
            return -1
        if confirmed >= self._touched.get(dpid, 0):
            return self.generation
        return self._generation_as_of(confirmed)

    def _generation_as_of(self, epoch: int) -> int:
        return next((self._generation_at[e] for e in reversed(self._generation_at) if e <= epoch), -1)


def by_name(refused: Mapping[int, Mapping[str, str]]) -> Map[str, Map[int, str]]:
    """{dpid: {object: text}} -> {object: {dpid: text}}, as View holds it."""
    out: dict[str, dict[int, str]] = {}
    for dpid, texts in refused.items():
        for name, text in texts.items():
            out.setdefault(name, {})[dpid] = text
    return Map({name: Map(texts) for name, texts in out.items()})
