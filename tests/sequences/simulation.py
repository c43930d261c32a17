"""A whole controller and its switches in one thread, every moment of which a test decides.

    sim = Simulation()                       spines 1, 2; leaves 11, 12, 13; every switch connected, nothing written yet
    sim.apply(puts=[...], deletes=[...])     one commit of intent
    sim.observe(event)                       the fabric changed; also sim.connect, disconnect, wipe, link_lost, ...
    sim.reconcile()                          one step of the reconcile thread: all that happened is worked in
    sim.turn(dpid)                           the next thing between controller and switch: read, one frame, a barrier
    sim.settle()                             all of it until nothing is left to do
    sim.restart()                            the controller dies; what is kept is intent, keys, and the cache

Everything that is decided is decided by the production code: edits, Reconciler, Session.  The simulation plays the
threads, the clock, the connections and the driver, and keeps the books of who may hear whom.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from controller.fabric.events import Event, LinkLost, LinkSeen, PortObserved, SwitchConnected, SwitchDisconnected
from controller.fabric.observed import NO_CHANGE
from controller.fabric.ports import EndPoint, PortRole, SwitchFeatures, SwitchPort
from controller.intent import edits
from controller.intent.snapshot import EMPTY, Resource, Snapshot
from controller.model.bandwidth import Rates
from controller.model.ids import network_of
from controller.openflow.entries import Flow, is_ours
from controller.pipeline.compiler import all_fragments, compile_fragment
from controller.pipeline.world import Fragment, FragmentKey, Placement, Share
from controller.qos.ledger import budget
from controller.reconcile.datapath import FrameError, ReadBack
from controller.reconcile.granting import Granting
from controller.reconcile.grants import capacity_kbps, places_of
from controller.reconcile.keeper import Keeper
from controller.reconcile.placing import place
from controller.reconcile.plan import Mark, Step
from controller.reconcile.reconciler import Outcome, Reconciler
from controller.reconcile.session import Session
from controller.reconcile.status import Waiter
from controller.service.interfaces import Gate
from tests.fakes.data_plane import FakeNetwork, FakeSwitch, Refused
from tests.support.worlds import guaranteed

SPINES, LEAVES = (1, 2), (11, 12, 13)
PORTS, HOST_PORTS = range(1, 9), range(3, 9)
FEATURES = SwitchFeatures(max_meters=262_144, meter_pktps=True, max_groups=0xFFFFFF00)
Wire = tuple[EndPoint, EndPoint]


class MemoryCache:
    """The part of a store that outlives the controller and holds what was observed."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}

    def cached(self) -> Mapping[str, bytes]:
        return dict(self.records)

    def save_cache(self, records: Mapping[str, bytes | None]) -> None:
        for key, value in records.items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value


@dataclass
class Channel:
    """One connection of a switch, with the session behind it: what driver.py would be doing right now."""

    session: Session
    mail: tuple[int, dict[FragmentKey, Fragment | None]] | None = None
    is_open: bool = False
    """has its whole target, or is further"""
    is_read: bool = False
    epoch: int | None = None
    """being brought about, and not yet confirmed"""
    steps: list[Step] = field(default_factory=list)
    sent: int = 0
    """frames of the first step that the switch has worked in"""
    errors: list[FrameError] = field(default_factory=list)

    def put(self, epoch: int, changes: Mapping[FragmentKey, Fragment | None]) -> None:
        self.mail = epoch, {**(self.mail[1] if self.mail else {}), **changes}


class Simulation:
    def __init__(
        self, *, spines: Iterable[int] = SPINES, leaves: Iterable[int] = LEAVES, ports: Iterable[int] = PORTS,
        features: SwitchFeatures = FEATURES,
    ) -> None:
        self.features = features
        self.port_numbers = tuple(ports)
        self.intent: Snapshot = EMPTY
        self.now_s = 0.0
        self.cache = MemoryCache()
        self.switches: dict[int, FakeSwitch] = {}
        self.channels: dict[int, Channel] = {}
        self.gates: tuple[Gate, ...] = ()
        self.refuses: Callable[[int, Mark], bool] = lambda dpid, mark: False
        self.frames = 0
        """sent to all switches, ever"""
        self.ambiguous: dict[EndPoint, dict[str, int]] = defaultdict(dict)
        """networks whose port at that switch port is gone from intent, but maybe not yet from the switch: epoch"""
        self.placed: Mapping[str, EndPoint] = {}
        """bound port -> switch port, as of the last step"""
        self.wires: list[Wire] = []
        self.after_step: Callable[[Outcome], None] = lambda outcome: None
        self._uid = itertools.count()
        self._start()
        for dpid in (*spines, *leaves):
            self.switches[dpid] = FakeSwitch(dpid, self.port_numbers)
            self.connect(dpid)
        for i, leaf in enumerate(leaves, start=1):
            for j, spine in enumerate(spines, start=1):
                self.wires.append((EndPoint(leaf, j), EndPoint(spine, i)))
        for wire in self.wires:
            self.link_seen(wire)

    def _start(self) -> None:
        keeper = Keeper(self.cache)  # type: ignore[arg-type]
        self.reconciler = Reconciler(*keeper.restore(PortRole.AUTO), keeper)
        self.reconciler.load(self.intent, self.now_s)
        self.dirty = True

    # -- asked

    def apply(self, puts: Iterable[Resource] = (), deletes: Iterable[str] = (), *, feed: int = 1) -> None:
        """One commit, as the service makes it: with the floor of the published view.  `feed`: told so many times."""
        before = self.intent
        applied = edits.apply(
            before, tuple(puts), tuple(deletes), floor=self.reconciler.view.floor, generation=before.generation + 1,
            now_s=0.0, new_uid=lambda: f"uid-{next(self._uid)}", force=True)
        names = {obj.name for obj in applied.objects} | set(applied.deleted)
        for gate in self.gates:
            gate.check(before, applied.snapshot, frozenset(names))
        self.intent = applied.snapshot.at_generation(before.generation + 1)
        for _ in range(feed):
            self.reconciler.commit(self.intent, names)
        self.dirty = True

    def set_rates(self, changed: Mapping[str, Rates | None]) -> None:
        """Behind the back of the agenda, which sets what schedules say."""
        self.reconciler.engine.set_rates(changed)
        self.dirty = True

    def pass_time(self, now_s: float) -> None:
        self.now_s = now_s
        self.reconciler.pass_time(now_s)
        self.dirty = True

    def set_shares(self, changed: Mapping[tuple[int, str], Share | None]) -> Waiter:
        waiter = Waiter()
        self.reconciler.set_shares(changed, waiter)
        self.dirty = True
        return waiter

    # -- observed

    def observe(self, event: Event) -> None:
        self.reconciler.observe(event)
        self.dirty = True

    def switch_ports(self, dpid: int) -> tuple[SwitchPort, ...]:
        return tuple(self.switch_port(dpid, n) for n in self.port_numbers)

    def switch_port(self, dpid: int, n: int) -> SwitchPort:
        up = n not in self.switches[dpid].down
        return SwitchPort(port_no=n, name=f"s{dpid}-{n}", mac=f"0e:00:00:00:{dpid:02x}:{n:02x}", up=up)

    def connect(self, dpid: int) -> None:
        """A new connection, whether or not the former one was seen to end."""
        self.channels[dpid] = Channel(Session(dpid))
        self.observe(SwitchConnected(dpid=dpid, features=self.features, ports=self.switch_ports(dpid)))

    def disconnect(self, dpid: int, *, arriving: int = 0) -> None:
        """The connection ends; so many of the frames under way still arrive."""
        channel = self.channels.pop(dpid, None)
        if channel and channel.steps:
            for i in range(channel.sent, min(channel.sent + arriving, len(channel.steps[0].frames))):
                self._arrive(dpid, channel.steps[0], i)
        self.observe(SwitchDisconnected(dpid=dpid))

    def wipe(self, dpid: int) -> None:
        """The switch restarts with empty tables: its connection ends and a new one comes."""
        down = self.switches[dpid].down
        self.disconnect(dpid)
        self.switches[dpid] = FakeSwitch(dpid, self.port_numbers)
        self.switches[dpid].down = down
        self.connect(dpid)

    def forget(self, dpid: int) -> None:
        self.reconciler.forget(dpid)
        self.dirty = True

    def link_seen(self, wire: Wire) -> None:
        for src, dst in (wire, wire[::-1]):
            self.observe(LinkSeen(src=src, dst=dst))

    def link_lost(self, wire: Wire) -> None:
        """Probes are lost, frames are not."""
        for src in wire:
            self.observe(LinkLost(src=src))

    def port_down(self, at: EndPoint) -> None:
        self.switches[at.dpid].down.add(at.port_no)
        self._port_status(at)

    def port_up(self, at: EndPoint) -> None:
        self.switches[at.dpid].down.discard(at.port_no)
        self._port_status(at)

    def _port_status(self, at: EndPoint) -> None:
        if at.dpid in self.channels:
            self.observe(PortObserved(dpid=at.dpid, port=self.switch_port(*at)))

    # -- the reconcile thread

    def reconcile(self) -> Outcome:
        before = self.placed
        outcome = self.reconciler.step(self.channels.keys())
        self.reconciler.regrant()
        self.dirty = False
        self.placed = self.reconciler.view.world.placement.at
        for name, at in before.items():
            if self.placed.get(name) != at:
                self.ambiguous[at][network_of(name)] = outcome.epoch
        for waiter in outcome.released:
            waiter.set_result(())
        for dpid, channel in self.channels.items():
            if not channel.is_open:
                channel.put(outcome.epoch, self.reconciler.program(dpid))
                channel.is_open = True
            elif dpid in outcome.targets:
                channel.put(outcome.epoch, outcome.targets[dpid])
        self.after_step(outcome)
        return outcome

    def restart(self) -> None:
        """SIGKILL and a new process: connections end, switches keep forwarding, all that is not kept is forgotten."""
        self.channels.clear()
        self._start()
        self.reconcile()
        for networks in self.ambiguous.values():
            networks.update(dict.fromkeys(networks, self.reconciler.ledger.epoch))

    def wait(self, generation: int | None = None) -> Waiter:
        waiter = Waiter()
        if not self.reconciler.ledger.wait(self.intent.generation if generation is None else generation, waiter):
            waiter.set_result(())
        return waiter

    # -- the driver, one moment at a time

    def turn(self, dpid: int) -> bool:
        """The next thing that happens on this connection; False if nothing is left to do."""
        channel = self.channels.get(dpid)
        if channel is None:
            return False
        if channel.steps:
            step = channel.steps[0]
            if channel.sent < len(step.frames):
                if (error := self._arrive(dpid, step, channel.sent)) is not None:
                    channel.errors.append(error)
                channel.sent += 1
                return True
            channel.session.settle(step, channel.errors)
            channel.steps, channel.sent, channel.errors = channel.steps[1:], 0, []
            if not channel.steps:
                self._confirm(dpid, channel)
            return True
        if channel.mail is None:
            return False
        if not channel.is_read:
            channel.session.read(self.read_back(dpid))
            channel.is_read = True
        channel.epoch, changes = channel.mail
        channel.mail = None
        channel.session.retarget(channel.epoch, changes)
        self._begin(dpid, channel)
        return True

    def reread(self, dpid: int) -> int:
        """The slow timer: read an idle switch again and begin to repair it; returns how many entries had drifted."""
        channel = self.channels[dpid]
        drifted = channel.session.read(self.read_back(dpid))
        channel.epoch = channel.session.target_epoch
        self._begin(dpid, channel)
        return drifted

    def retry(self, dpid: int) -> None:
        """The back-off is over: offer again what was refused."""
        channel = self.channels[dpid]
        channel.epoch = channel.session.target_epoch
        self._begin(dpid, channel)

    def _begin(self, dpid: int, channel: Channel) -> None:
        channel.session.clear_refusals()
        channel.steps = channel.session.steps()
        if not channel.steps:
            self._confirm(dpid, channel)

    def _arrive(self, dpid: int, step: Step, index: int) -> FrameError | None:
        self.frames += 1
        try:
            if self.refuses(dpid, step.marks[index]):
                raise Refused(f"{step.marks[index].table.upper()}_MOD_FAILED/TABLE_FULL")
            self.switches[dpid].apply([step.frames[index]])
        except Refused as refused:
            return FrameError(index, 5, 1, str(refused))
        return None

    def _confirm(self, dpid: int, channel: Channel) -> None:
        assert channel.epoch is not None
        session = channel.session
        self.reconciler.confirm(dpid, channel.epoch, dict(session.refused), clean=session.is_clean)
        if session.is_clean:
            for at, networks in self.ambiguous.items():
                for network in [n for n, epoch in networks.items() if at.dpid == dpid and epoch <= channel.epoch]:
                    del networks[network]
        channel.epoch = None
        self.dirty = True

    def read_back(self, dpid: int) -> ReadBack:
        switch = self.switches[dpid]
        flows = tuple(flow for flow in switch.flows.values() if is_ours(flow.cookie))
        return ReadBack(flows, tuple(switch.groups.values()), tuple(switch.meters.values()))

    def run(self, dpid: int) -> None:
        """All that is left to do on this connection."""
        while self.turn(dpid):
            pass

    def settle(self) -> None:
        """Until nothing is left to do anywhere."""
        for _ in range(100):
            if self.dirty:
                self.reconcile()
            for dpid in tuple(self.channels):
                self.run(dpid)
            if not self.dirty and not self.reconciler.age():
                return
            self.dirty = True
        raise AssertionError("it never comes to rest")

    # -- what must hold

    def network(self) -> FakeNetwork:
        return FakeNetwork(self.switches.values(), self.wires)

    def networks_at(self, at: EndPoint) -> set[str]:
        """Whose host may be behind this switch port, now or as far as the switch knows."""
        bound = {network_of(name) for name, place in self.placed.items() if place == at}
        return bound | self.ambiguous.get(at, {}).keys()

    def check_programs(self) -> None:
        """Incremental equals full, byte for byte: nothing other, nothing missing, nothing more.  Placement, too."""
        engine = self.reconciler.engine
        intent, placement = engine.world.intent, Placement()
        for name, at in engine.world.placement.at.items():
            placement = place(placement, name, at, intent.keys.port_keys[name].key24)
        assert engine.world.placement == placement
        assert engine.world.guaranteed == guaranteed(intent)
        fresh = all_fragments(engine.world)
        held = {key: fragment for program in engine.programs.values() for key, fragment in program.items()}
        assert held.keys() == set(fresh), held.keys() ^ set(fresh)
        assert [key for key in fresh if held[key] != compile_fragment(engine.world, key)] == []
        self.check_grants()

    def check_grants(self) -> None:
        """What guarantees come to is what a start from nothing makes of the same world, and no more than links carry.
        """
        engine = self.reconciler.engine
        granting = Granting(engine.labelling, engine.steering)
        granting.note((obj.name for obj in engine.world.intent.objects()), NO_CHANGE)
        granting.work(engine.world)
        held, fresh = self.reconciler.view.granted, granting.granted
        assert (held.grants, held.degraded, held.bare, held.crowded) == (
            fresh.grants, fresh.degraded, fresh.bare, fresh.crowded)
        assert held.places == places_of(held.grants)
        assert (held.book.ledger, held.book.exposed, held.book.apart) == (
            fresh.book.ledger, fresh.book.exposed, fresh.book.apart)
        for at, here in held.grants.items():
            capacity = capacity_kbps(engine.world.fabric, at)
            assert capacity is None or sum(grant.guarantee_kbps for grant in here.values()) <= budget(capacity)

    def check_installed(self, dpids: Iterable[int] | None = None) -> None:
        """Every switch holds what a compile from scratch of this world makes, and nothing else of ours."""
        world = self.reconciler.engine.world
        for dpid in self.channels if dpids is None else dpids:
            own = [compile_fragment(world, key) for key in all_fragments(world) if key.dpid == dpid]
            fragments = [fragment for fragment in own if fragment is not None]
            switch = self.switches[dpid]
            flows: dict[object, Flow] = {flow.key: flow for part in fragments for flow in part.flows}
            assert switch.flows == flows, _differing(switch.flows, flows)
            assert switch.groups == {group.id: group for part in fragments for group in part.groups}
            assert switch.meters == {meter.id: meter for part in fragments for meter in part.meters}


def _differing(held: Mapping[object, object], wanted: Mapping[object, object]) -> list[tuple[object, object, object]]:
    return [(k, held.get(k), wanted.get(k)) for k in held.keys() | wanted.keys() if held.get(k) != wanted.get(k)][:3]
