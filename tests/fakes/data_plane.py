"""Switches in memory that forward: what Open vSwitch does with flows, groups and meters, as far as Pliant uses it.

Modelled on what was seen on OVS 3.1, including what surprises: a frame never leaves by the port it came in by; a bucket
is an action set, so only one of its actions may pass the frame on; what a meter drops is gone for the rest of the
pipeline, other receivers' copies included, unless it was dropped in a clone that OVS cannot undo; and whoever needs
more than 4096 resubmits gets nothing at all.  tests/switch/test_pipeline.py compares it with ofproto/trace.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Self
from zlib import crc32

from controller.fabric.graph import EndPoint
from controller.openflow import actions as act
from controller.openflow import messages, requests
from controller.openflow.decode import head
from controller.openflow.entries import GROUP_ALL, GROUP_FAST_FAILOVER, Flow, FlowKey, Group, Meter
from controller.openflow.parts import (
    Action,
    Clone,
    DecTtl,
    Instructions,
    Load,
    Match,
    Move,
    Output,
    OutputTruncated,
    Punt,
    Resubmit,
    SetField,
    SetQueue,
    Spread,
    ToGroup,
    decode_actions,
    decode_instructions,
    decode_match,
)
from tests.fakes import packets

MAX_RESUBMITS, MAX_DEPTH = 4096, 64
_PASSES_ON = (Output, ToGroup, Resubmit)
_BUCKET_MAY = (SetField, Load, Move, DecTtl, *_PASSES_ON)
_ENDS = ("ipv4", "ipv6", "tcp", "udp")


class Refused(Exception):
    """The switch would not take it."""


@dataclass(frozen=True, slots=True)
class Entry:
    flow: Flow
    match: Match
    does: Instructions


@dataclass(frozen=True, slots=True)
class PuntedFrame:
    in_port: int
    data: bytes
    cookie: int


@dataclass(slots=True)
class _Budget:
    """What one frame may use up, all its copies together."""

    resubmits: int = 0


@dataclass(slots=True)
class _Life:
    """Whether a packet of the datapath still exists; copies that OVS makes by undoing share one."""

    alive: bool = True


@dataclass(slots=True)
class _State:
    """A frame on its way through the tables, with its registers."""

    frame: bytes
    registers: dict[str, int]
    life: _Life
    queue: int = 0
    fields: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fields = packets.read(self.frame)

    def copy(self) -> _State:
        return _State(self.frame, dict(self.registers), self.life, self.queue)

    def get(self, name: str) -> int:
        return self.registers[name] if name in self.registers else self.fields.get(name, 0)

    def set(self, name: str, value: int) -> None:
        if name in self.fields:
            self.frame = packets.rewrite(self.frame, name, value)
            self.fields = packets.read(self.frame)
        elif name.startswith("reg") or name in ("metadata", "in_port"):
            self.registers[name] = value

    def set_bits(self, name: str, value: int, first_bit: int, bits: int) -> None:
        mask = ((1 << bits) - 1) << first_bit
        self.set(name, self.get(name) & ~mask | value << first_bit)


def _connection_hash(state: _State) -> int:
    """The same for both directions of a connection, like OVS's symmetric_l3l4+udp, though not the same number."""
    ends = (tuple(state.get(f"{layer}_{end}") for layer in _ENDS) for end in ("src", "dst"))
    return crc32(repr(sorted(ends)).encode())


class FakeSwitch:
    """One switch: its tables, and what went through them.

    `exhausted` holds meters that drop whatever comes; `down` holds ports without carrier; `hit` are the flows that the
    last frame hit, in order.
    """

    def __init__(self, dpid: int, ports: Iterable[int]) -> None:
        self.dpid = dpid
        self.ports = frozenset(ports)
        self.flows: dict[FlowKey, Flow] = {}
        self.groups: dict[int, Group] = {}
        self.meters: dict[int, Meter] = {}
        self.exhausted: set[int] = set()
        self.down: set[int] = set()
        self.punts: list[PuntedFrame] = []
        self.packets: Counter[FlowKey] = Counter()
        self.hit: list[Flow] = []
        self.metered: Counter[int] = Counter()
        self.queued: Counter[tuple[int, int]] = Counter()
        """(port, queue) that frames went out by"""
        self._tables: dict[int, list[Entry]] = defaultdict(list)

    # -- programming

    def apply(self, frames: Iterable[bytes]) -> None:
        """Work OpenFlow messages into the tables; Refused for what OVS refuses."""
        for frame in frames:
            match head(frame).type:
                case messages.FLOW_MOD_TYPE:
                    self._flow_mod(requests.flow_mod(frame))
                case messages.GROUP_MOD_TYPE:
                    self._group_mod(requests.group_mod(frame))
                case messages.METER_MOD_TYPE:
                    self._meter_mod(requests.meter_mod(frame))

    def install(
        self, *, flows: Iterable[Flow] = (), groups: Iterable[Group] = (), meters: Iterable[Meter] = ()
    ) -> Self:
        """Add entries, in an order that a switch accepts."""
        self.meters.update((meter.id, meter) for meter in meters)
        for group in sorted(groups, key=lambda g: g.id):
            self.put_group(group)
        for flow in flows:
            self.add_flow(flow)
        return self

    def _flow_mod(self, mod: requests.FlowMod) -> None:
        match mod.command:
            case messages.FLOW_ADD:
                self.add_flow(mod.flow)
            case messages.FLOW_DELETE_STRICT:
                self.delete_flow(mod.flow.key)
            case command:
                raise Refused(f"flow-mod {command} is not modelled")

    def _group_mod(self, mod: requests.GroupMod) -> None:
        if (mod.command == messages.ADD) == (mod.group.id in self.groups):
            raise Refused(f"group {mod.group.id:#x}: command {mod.command}")
        if mod.command != messages.DELETE:
            self.put_group(mod.group)
            return
        del self.groups[mod.group.id]
        self._delete_users(lambda does: any(a == ToGroup(mod.group.id) for a in does.actions))

    def _meter_mod(self, mod: requests.MeterMod) -> None:
        if (mod.command == messages.ADD) == (mod.meter.id in self.meters):
            raise Refused(f"meter {mod.meter.id}: command {mod.command}")
        if mod.command != messages.DELETE:
            self.meters[mod.meter.id] = mod.meter
            return
        del self.meters[mod.meter.id]
        self._delete_users(lambda does: does.meter == mod.meter.id)

    def _delete_users(self, uses: Callable[[Instructions], bool]) -> None:
        """With a group or meter its flows go, silently."""
        for key in [e.flow.key for entries in self._tables.values() for e in entries if uses(e.does)]:
            self.delete_flow(key)

    def put_group(self, group: Group) -> None:
        for bucket in group.buckets:
            actions = decode_actions(bucket.actions)
            foreign = [action for action in actions if not isinstance(action, _BUCKET_MAY)]
            if foreign or sum(isinstance(action, _PASSES_ON) for action in actions) > 1:
                raise Refused(f"group {group.id:#x}: a bucket is an action set, {actions} does not fit in one")
        if len(group.buckets) > 1_300:
            raise Refused(f"group {group.id:#x} does not fit in a message")
        self.groups[group.id] = group

    def add_flow(self, flow: Flow) -> None:
        entry = Entry(flow, decode_match(flow.match), decode_instructions(flow.instructions))
        does = entry.does
        if flow.table > 253 or (does.goto is not None and does.goto <= flow.table):
            raise Refused(f"goto {does.goto} from table {flow.table}")
        if does.meter is not None and does.meter not in self.meters:
            raise Refused(f"no meter {does.meter}")
        for action in does.actions:
            if isinstance(action, ToGroup) and action.group_id not in self.groups:
                raise Refused(f"no group {action.group_id:#x}")
        self.delete_flow(flow.key)
        self.flows[flow.key] = flow
        table = self._tables[flow.table]
        table.append(entry)
        table.sort(key=lambda e: -e.flow.priority)

    def delete_flow(self, key: FlowKey) -> None:
        if self.flows.pop(key, None) is not None:
            self._tables[key.table] = [entry for entry in self._tables[key.table] if entry.flow.key != key]

    def count(self, table: int, *, priority: int | None = None, **match: int | tuple[int, int]) -> int:
        """Packets that hit the table's flows whose match holds all these conditions."""
        return sum(
            self.packets[entry.flow.key] for entry in self._tables[table]
            if priority in (None, entry.flow.priority) and match.items() <= entry.match.items()
        )

    # -- forwarding

    def forward(self, frame: bytes, in_port: int) -> list[tuple[int, bytes]]:
        """What leaves by which port, in order."""
        registers = {f"reg{i}": 0 for i in range(16)} | {"metadata": 0, "in_port": in_port}
        budget = _Budget()
        self.hit = []
        out = list(self._table(0, _State(frame, registers, _Life()), budget, 0))
        return [] if budget.resubmits > MAX_RESUBMITS else out

    def lookup(self, table: int, state: _State) -> Entry | None:
        for entry in self._tables[table]:
            if all(_holds(state.get(name), wanted) for name, wanted in entry.match.items()):
                return entry
        return None

    def _table(self, table: int, state: _State, budget: _Budget, depth: int) -> Iterator[tuple[int, bytes]]:
        budget.resubmits += 1
        if budget.resubmits > MAX_RESUBMITS or depth > MAX_DEPTH:
            return
        entry = self.lookup(table, state)
        if entry is None:
            return
        self.packets[entry.flow.key] += 1
        self.hit.append(entry.flow)
        if entry.does.meter is not None:
            self._meter(entry.does.meter, state)
        yield from self._do(entry.does.actions, state, budget, depth, entry.flow.cookie)
        if entry.does.metadata is not None:
            value, mask = entry.does.metadata
            state.set("metadata", state.get("metadata") & ~mask | value)
        if entry.does.goto is not None:
            yield from self._table(entry.does.goto, state, budget, depth + 1)

    def _meter(self, meter_id: int, state: _State) -> None:
        if state.life.alive:
            self.metered[meter_id] += 1
            state.life.alive = meter_id not in self.exhausted

    def _do(
        self, actions: Iterable[Action], state: _State, budget: _Budget, depth: int, cookie: int
    ) -> Iterator[tuple[int, bytes]]:
        for action in actions:
            match action:
                case Output(act.CONTROLLER, max_len):
                    self._punt(state, max_len, cookie)
                case Punt(max_len, meter_id):
                    self.metered[meter_id] += 1
                    if meter_id not in self.exhausted:
                        self._punt(state, max_len, cookie)
                case Output(port_no):
                    yield from self._output(port_no, state)
                case ToGroup(group_id):
                    yield from self._group(group_id, state, budget, depth, cookie)
                case Resubmit(table):
                    yield from self._table(table, state, budget, depth + 1)
                case Clone(inner):
                    copy = state.copy()
                    if any(isinstance(one, OutputTruncated) for one in inner):
                        copy = replace(copy, life=_Life(copy.life.alive))
                    yield from self._do(inner, copy, budget, depth, cookie)
                case OutputTruncated(port_no):
                    assert port_no not in self.ports, "meant for a port that does not exist"
                case SetQueue(queue):
                    state.queue = queue
                case SetField(name, value):
                    state.set(name, value)
                case Load(name, value, first_bit, bits):
                    state.set_bits(name, value, first_bit, bits)
                case Spread(name, n, first_bit, bits):
                    state.set_bits(name, _connection_hash(state) % n, first_bit, bits)
                case DecTtl():
                    assert state.get("ip_ttl") > 1, "OVS would ask the controller, and drop the frame"
                    state.set("ip_ttl", state.get("ip_ttl") - 1)
                case Move(src, dst, src_bit, dst_bit, bits):
                    value = state.get(src) >> src_bit & (1 << bits) - 1
                    state.set_bits(dst, value, dst_bit, bits)
                case _:
                    raise Refused(f"{action} is not modelled")

    def _output(self, port_no: int, state: _State) -> Iterator[tuple[int, bytes]]:
        in_port = state.get("in_port")
        port_no, back = (in_port, True) if port_no == act.IN_PORT else (port_no, False)
        if (port_no == in_port and not back) or port_no not in self.ports or port_no in self.down:
            return
        if state.life.alive:
            self.queued[port_no, state.queue] += 1
            yield port_no, state.frame

    def _group(
        self, group_id: int, state: _State, budget: _Budget, depth: int, cookie: int
    ) -> Iterator[tuple[int, bytes]]:
        group = self.groups.get(group_id)
        buckets = group.buckets if group else ()
        if group is not None and group.type == GROUP_FAST_FAILOVER:
            buckets = tuple(b for b in buckets if b.watch_port in self.ports - self.down)[:1]
        elif group is not None and group.type != GROUP_ALL:
            raise Refused(f"group type {group.type} is not modelled")
        for bucket in buckets:
            yield from self._do(decode_actions(bucket.actions), state.copy(), budget, depth + 1, cookie)

    def _punt(self, state: _State, max_len: int, cookie: int) -> None:
        if state.life.alive:
            self.punts.append(PuntedFrame(state.get("in_port"), state.frame[:max_len], cookie))


def _holds(value: int, wanted: int | tuple[int, int]) -> bool:
    return value & wanted[1] == wanted[0] if isinstance(wanted, tuple) else value == wanted


class FakeNetwork:
    """Switches and the wires between them.  A switch port without a wire is where a host would be."""

    MAX_HOPS = 64

    def __init__(self, switches: Iterable[FakeSwitch], links: Iterable[tuple[EndPoint, EndPoint]] = ()) -> None:
        self.switches = {switch.dpid: switch for switch in switches}
        self.wires: dict[EndPoint, EndPoint] = {}
        for one, other in links:
            self.wires |= {one: other, other: one}
        self.on_the_wire: list[tuple[EndPoint, bytes]] = []
        """every frame that crossed a wire, with the end it entered by, since the last inject"""

    def inject(self, at: EndPoint, frame: bytes) -> list[tuple[EndPoint, bytes]]:
        """Send a frame into a switch port; returns what hosts receive, sorted.  AssertionError if a frame circles."""
        self.on_the_wire = []
        received: list[tuple[EndPoint, bytes]] = []
        moving = deque([(at, frame, 0)])
        while moving:
            here, frame, hops = moving.popleft()
            assert hops <= self.MAX_HOPS, f"a frame circles: {frame[:14].hex()} at {here}"
            for port_no, sent in self.switches[here.dpid].forward(frame, here.port_no):
                out = EndPoint(here.dpid, port_no)
                if out in self.wires:
                    self.on_the_wire.append((out, sent))
                    moving.append((self.wires[out], sent, hops + 1))
                else:
                    received.append((out, sent))
        return sorted(received)


__all__ = ["FakeNetwork", "FakeSwitch", "PuntedFrame", "Refused"]
