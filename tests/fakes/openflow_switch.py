"""A switch in memory that speaks OpenFlow 1.3 over a real socket; any number of them in one process.

It keeps flows, groups and meters as raw entries, so what was written is what a dump returns.  It forwards no packets.

    with Switches() as switches:                      # a thread with a loop of their own
        switch = switches.connect(FakeSwitch(0x1), "127.0.0.1", port)
        switch.flows, switch.groups, switch.meters    # what it holds; a test may change them: that is drift
        switch.refuse = lambda frame: (5, 1) ...      # answer frames with an error
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field, replace
from struct import Struct
from typing import Any, Self, TypeVar

from tests.fakes.openflow_entries import FakePort, FlowEntry, FlowKey, flow_stats, oxms, references

T = TypeVar("T")

HEADER = Struct("!BBHI")
_PACKET_IN = Struct("!BBHIIHBBQHHBBBBI4x2x")
_HELLO, _ERROR, _ECHO_REQUEST, _ECHO_REPLY, _FEATURES_REQUEST, _SET_CONFIG = 0, 1, 2, 3, 5, 9
_PACKET_OUT, _FLOW_MOD, _GROUP_MOD, _MULTIPART, _BARRIER, _METER_MOD = 13, 14, 15, 18, 20, 29
_ALL = 0xFF
_ANY_GROUP, _ALL_METERS = 0xFFFFFFFC, 0xFFFFFFFF
LOCAL = 0xFFFFFFFE
Refusal = tuple[int, int]


@dataclass(eq=False)
class FakeSwitch:
    """One switch.  Its methods belong to the loop that it runs on; see `Switches.call`."""

    dpid: int
    ports: dict[int, FakePort] = field(default_factory=lambda: {n: FakePort(n) for n in (1, 2)})
    n_tables: int = 254
    max_meters: int | None = 262_144
    """None: it answers questions about meters with an error"""
    version: int = 4
    keeps: bool = True
    """False: flow-mods are counted and forgotten, for benches"""
    checks_references: bool = True
    """Refuse flows that use a group or meter which is not there, as Open vSwitch does"""
    answers: bool = True
    """False: it reads, and says nothing any more"""
    refuse: Callable[[bytes], Refusal | None] | None = None
    """Called with every flow, group and meter mod and every multipart request"""
    reply_bytes: int = 60_000
    """The largest body of one multipart reply"""

    flows: dict[FlowKey, FlowEntry] = field(default_factory=dict)
    groups: dict[int, bytes] = field(default_factory=dict)
    """id -> type, padding, id, buckets, as in a description"""
    meters: dict[int, bytes] = field(default_factory=dict)
    """id -> flags, id, bands, as in a description"""
    received: Counter[int] = field(default_factory=Counter)
    """number of frames by type"""
    packet_outs: list[bytes] = field(default_factory=list)
    connected: bool = False

    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None
    _task: asyncio.Task[None] | None = None
    _reading: asyncio.Event = field(default_factory=asyncio.Event)

    # -- the connection (on the loop)

    async def connect(self, address: str, port: int = 0, tls: ssl.SSLContext | None = None) -> Self:
        """Connect to a host and port, or to a unix socket if the address is an absolute path."""
        if address.startswith("/"):
            self._reader, self._writer = await asyncio.open_unix_connection(address)
        else:
            self._reader, self._writer = await asyncio.open_connection(address, port, ssl=tls)
        self._writer.write(HEADER.pack(self.version, _HELLO, 8, 1))
        self.connected = True
        self._reading.set()
        self._task = asyncio.create_task(self._serve())
        return self

    async def close(self) -> None:
        """Drop the connection; what the switch holds stays."""
        if self._writer is not None:
            self._writer.transport.abort()
        if self._task is not None:
            await asyncio.wait([self._task])

    def stop_reading(self) -> None:
        """Let the controller's bytes pile up."""
        self._reading.clear()
        if self._writer is not None:
            self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume_reading(self) -> None:
        self._reading.set()
        if self._writer is not None:
            self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    def say(self, data: bytes) -> None:
        """Send these very bytes."""
        if self._writer is not None:
            self._writer.write(data)

    def packet_in(self, port_no: int, data: bytes, *, table: int = 0, cookie: int = 0, reason: int = 1) -> None:
        length = 42 + len(data)
        self.say(_PACKET_IN.pack(4, 10, length, 0, 0xFFFFFFFF, len(data), reason, table, cookie, 1, 12,
                                 0x80, 0x00, 0, 4, port_no) + data)  # fmt: skip

    def set_port(self, port: FakePort) -> None:
        """Add a port or change it, and say so."""
        reason = 2 if port.port_no in self.ports else 0
        self.ports[port.port_no] = port
        self._port_status(reason, port)

    def remove_port(self, port_no: int) -> None:
        self._port_status(1, self.ports.pop(port_no))

    def set_port_up(self, port_no: int, *, up: bool) -> None:
        self.set_port(replace(self.ports[port_no], up=up))

    def wipe(self) -> None:
        """Forget everything, as a restart of the switch does."""
        self.flows.clear()
        self.groups.clear()
        self.meters.clear()

    def _port_status(self, reason: int, port: FakePort) -> None:
        self.say(HEADER.pack(4, 12, 80, 0) + bytes([reason]) + bytes(7) + port.pack())

    async def _serve(self) -> None:
        assert self._reader is not None
        assert self._writer is not None
        rest = b""
        try:
            while data := await self._reader.read(1 << 18):
                await self._reading.wait()
                data = rest + data
                start = 0
                out: list[bytes] = []
                while len(data) - start >= 8:
                    _, kind, length, xid = HEADER.unpack_from(data, start)
                    if len(data) - start < length:
                        break
                    out += self._answer(kind, xid, data[start:start + length])
                    start += length
                rest = data[start:]
                if out and self.answers:
                    self._writer.write(b"".join(out))
                    await self._writer.drain()
        except OSError:
            pass
        finally:
            self.connected = False
            self._writer.close()

    # -- what it understands

    def _answer(self, kind: int, xid: int, frame: bytes) -> Iterable[bytes]:
        self.received[kind] += 1
        if kind in (_FLOW_MOD, _GROUP_MOD, _METER_MOD, _MULTIPART):
            try:
                if self.refuse is not None and (refusal := self.refuse(frame)) is not None:
                    raise _Refused(*refusal)
                if kind == _MULTIPART:
                    return list(self._multipart(xid, frame))
                if self.keeps:
                    {_FLOW_MOD: self._flow_mod, _GROUP_MOD: self._group_mod, _METER_MOD: self._meter_mod}[kind](frame)
            except _Refused as refused:
                return [HEADER.pack(4, _ERROR, 12 + min(64, len(frame)), xid)
                        + refused.type.to_bytes(2, "big") + refused.code.to_bytes(2, "big") + frame[:64]]
            return ()
        if kind == _BARRIER:
            return (HEADER.pack(4, 21, 8, xid),)
        if kind == _ECHO_REQUEST:
            return (HEADER.pack(4, _ECHO_REPLY, len(frame), xid) + frame[8:],)
        if kind == _FEATURES_REQUEST:
            return (HEADER.pack(4, 6, 32, xid) + Struct("!QIBB2xII").pack(self.dpid, 0, self.n_tables, 0, 0x4F, 0),)
        if kind == _PACKET_OUT:
            self.packet_outs.append(frame)
        return ()

    def _flow_mod(self, frame: bytes) -> None:
        cookie, mask, table, command = Struct("!QQBB").unpack_from(frame, 8)
        priority = int.from_bytes(frame[30:32], "big")
        flags, length = int.from_bytes(frame[44:46], "big"), int.from_bytes(frame[50:52], "big")
        key = FlowKey(table, priority, frame[52:48 + length])
        instructions = frame[48 + (length + 7) // 8 * 8:]
        if command in (0, 1, 2) and self.checks_references:
            self._check(instructions)
        if command == 0:
            self.flows[key] = FlowEntry(cookie, flags, instructions)
            return
        for chosen in list(self._chosen(key, cookie, mask, strict=command in (2, 4))):
            if command in (1, 2):
                self.flows[chosen] = replace(self.flows[chosen], instructions=instructions)
            else:
                del self.flows[chosen]

    def _chosen(self, key: FlowKey, cookie: int, mask: int, *, strict: bool) -> Iterator[FlowKey]:
        if strict:
            candidates: Iterable[FlowKey] = [key] if key in self.flows else ()
        else:
            wanted = set(oxms(key.match))
            candidates = (k for k in self.flows if key.table in (_ALL, k.table) and wanted <= set(oxms(k.match)))
        return (k for k in candidates if self.flows[k].cookie & mask == cookie & mask)

    def _group_mod(self, frame: bytes) -> None:
        command, kind, group_id = Struct("!HBxI").unpack_from(frame, 8)
        if command == 2:
            gone = [group_id] if group_id != _ANY_GROUP else list(self.groups)
            for one in gone:
                if self.groups.pop(one, None) is not None:
                    self._drop_flows_using("group", one)
            return
        if command == 0 and group_id in self.groups:
            raise _Refused(6, 0)
        if command == 1 and group_id not in self.groups:
            raise _Refused(6, 8)
        self.groups[group_id] = bytes([kind, 0]) + frame[12:]

    def _meter_mod(self, frame: bytes) -> None:
        command, _, meter_id = Struct("!HHI").unpack_from(frame, 8)
        if command == 2:
            gone = [meter_id] if meter_id != _ALL_METERS else list(self.meters)
            for one in gone:
                if self.meters.pop(one, None) is not None:
                    self._drop_flows_using("meter", one)
            return
        if self.max_meters is None:
            raise _Refused(1, 1)
        if command == 0 and meter_id in self.meters:
            raise _Refused(12, 1)
        if command == 1 and meter_id not in self.meters:
            raise _Refused(12, 2)
        self.meters[meter_id] = frame[10:]

    def _check(self, instructions: bytes) -> None:
        for what, one in references(instructions):
            if what == "group" and one not in self.groups:
                raise _Refused(2, 9)
            if what == "meter" and one not in self.meters:
                raise _Refused(12, 2)

    def _drop_flows_using(self, what: str, one: int) -> None:
        number = one.to_bytes(4, "big")  # a look at the bytes first: to decode every flow for each takes its time
        users = (k for k, entry in self.flows.items() if number in entry.instructions)
        for key in [k for k in users if (what, one) in references(self.flows[k].instructions)]:
            del self.flows[key]

    def _multipart(self, xid: int, frame: bytes) -> Iterator[bytes]:
        kind = int.from_bytes(frame[8:10], "big")
        bodies = [b""]
        for part in self._parts(kind, frame[16:]):
            if bodies[-1] and len(bodies[-1]) + len(part) > self.reply_bytes:
                bodies.append(b"")
            bodies[-1] += part
        for index, body in enumerate(bodies):
            more = int(index < len(bodies) - 1)
            yield HEADER.pack(4, 19, 16 + len(body), xid) + Struct("!HH4x").pack(kind, more) + body

    def _parts(self, kind: int, body: bytes) -> Iterator[bytes]:
        if kind == 0:
            yield Struct("!256s256s256s32s256s").pack(b"Pliant", b"memory", b"fake", b"None", b"")
        elif kind == 1:
            table, cookie, mask = Struct("!B15xQQ").unpack_from(body)
            for key, entry in self.flows.items():
                if table in (_ALL, key.table) and entry.cookie & mask == cookie & mask:
                    yield flow_stats(key, entry)
        elif kind == 7:
            for group in self.groups.values():
                yield (2 + len(group)).to_bytes(2, "big") + group
        elif kind == 8:
            yield Struct("!10I").pack(15, 15, *[0xFFFFFF00] * 4, *[0] * 4)
        elif kind in (10, 11) and self.max_meters is None:
            raise _Refused(1, 2)
        elif kind == 10:
            for meter in self.meters.values():
                yield (2 + len(meter)).to_bytes(2, "big") + meter
        elif kind == 11:
            yield Struct("!IIIBB2x").pack(self.max_meters or 0, 2, 15, 8, 0)
        elif kind == 13:
            for port in self.ports.values():
                yield port.pack()
        else:
            raise _Refused(1, 2)


class _Refused(Exception):
    def __init__(self, error_type: int, code: int) -> None:
        self.type, self.code = error_type, code


class Switches:
    """A thread with a loop for fake switches, for tests that are not coroutines."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="fake-switches", daemon=True)
        self._switches: list[FakeSwitch] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._close_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 20.0) -> T:
        """Run a coroutine on the switches' loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function on the switches' loop: `switches.call(switch.packet_in, 1, frame)`."""

        async def work() -> T:
            return function(*args, **kwargs)

        return self.run(work())

    def connect(self, switch: FakeSwitch, address: str, port: int = 0, tls: ssl.SSLContext | None = None) -> FakeSwitch:
        self._switches.append(switch)
        return self.run(switch.connect(address, port, tls))

    def connect_all(self, switches: Iterable[FakeSwitch], address: str, port: int = 0) -> list[FakeSwitch]:
        """Connect many at once."""
        switches = list(switches)
        self._switches += switches

        async def work() -> None:
            await asyncio.gather(*(switch.connect(address, port) for switch in switches))

        self.run(work())
        return switches

    def close(self, switch: FakeSwitch) -> None:
        self.run(switch.close())

    async def _close_all(self) -> None:
        await asyncio.gather(*(switch.close() for switch in self._switches))
