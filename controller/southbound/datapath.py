"""One connection of a switch: os-ken's Datapath on an asyncio transport.

Everything that arrives is handled on the I/O thread; the methods that other parts of Pliant use may be called from any
thread.  The life of a connection:

    HANDSHAKE --HELLO--> CONFIG --features, admitted, described--> MAIN --> DEAD
        '--------------- any reason to end: logged, transport aborted -------^

To os-ken's applications this is a Datapath like any other: `send_msg` takes any os-ken message, and state changes, port
status, packet-ins, errors and so on come as os-ken's events.  Only message types whose os-ken parser is known to end on
any input get there.  To the reconcile loop it is a controller.reconcile.datapath.Datapath.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from struct import Struct
from typing import Any, Protocol

import structlog
from immutables import Map

from controller.fabric.ports import SwitchFeatures, SwitchPort
from controller.model.ids import format_dpid
from controller.openflow import decode
from controller.reconcile.datapath import Disconnected, FrameError, ReadBack
from controller.southbound import framing, osken
from controller.southbound.complaints import Complaints
from controller.southbound.framing import HEADER, Framer, FramingError
from controller.southbound.handshake import describe, features_of, switch_port
from controller.southbound.messages import PacketInMessage
from controller.southbound.osken import CONFIG, DEAD, HANDSHAKE, MAIN, OPENFLOW_1_3, error_text, ofp_event
from controller.southbound.outbox import Outbox
from controller.southbound.readback import Ownership, read_back
from controller.southbound.timing import Timing
from controller.southbound.transactions import Refused

log = structlog.get_logger()

MAX_PORTS = 0xFF00
_ERROR = Struct("!8xHH")
_MULTIPART = Struct("!8xHH")
_MORE = 1


class Home(Protocol):
    """What a connection needs of the runtime it lives in."""

    loop: asyncio.AbstractEventLoop
    timing: Timing
    ownership: Ownership
    complaints: Complaints
    source: Any
    """the os-ken application whose observers get the events"""

    def arrived(self, datapath: SwitchDatapath) -> None: ...

    async def admit(self, datapath: SwitchDatapath) -> bool:
        """Whether this connection may speak for its dpid; ends it if not."""
        ...

    def left(self, datapath: SwitchDatapath) -> None: ...


class SwitchDatapath(osken.Datapath, asyncio.Protocol):  # type: ignore[misc]  # os-ken is untyped
    """A switch's connection.  Implements controller.reconcile.datapath.Datapath."""

    def __init__(self, home: Home) -> None:
        # os-ken's own __init__ is left out: it wants a blocking socket, a queue and two threads.
        osken.ofproto_protocol.ProtocolDesc.__init__(self, OPENFLOW_1_3)
        self.id: int | None = None
        self.features = SwitchFeatures()
        self.state: str | None = None
        self.is_active = True
        self.address: Any = None
        self.peer = "?"
        self.end_reason = ""
        """Why the connection ended; empty while it lasts."""
        self.ofp_brick = home.source
        self.ended: asyncio.Future[None] = home.loop.create_future()
        self._home = home
        self._loop = home.loop
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._ports: dict[int, Any] = {}
        self._switch_ports: Map[int, SwitchPort] = Map()
        self._announced = False
        self._malformed = False
        self._introduction: asyncio.Task[None] | None = None
        self._echoes: dict[int, asyncio.Future[None]] = {}
        self._began_s = self._heard_s = self._loop.time()
        self._outbox = Outbox(self._loop)
        self._transactions = self._outbox.transactions

    def __repr__(self) -> str:
        return f"<switch {self.dpid:016x} at {self.peer}>"

    # -- the reconcile loop's view (any thread)

    @property
    def dpid(self) -> int:
        """The datapath id; 0 before the switch told it."""
        return self.id or 0

    def switch_ports(self) -> tuple[SwitchPort, ...]:
        ports = self._switch_ports
        return tuple(ports[port_no] for port_no in sorted(ports))

    def switch_port(self, port_no: int) -> SwitchPort | None:
        """The port as of the switch's last word; None if it has none of that number (LOCAL is none)."""
        return self._switch_ports.get(port_no)

    def submit(self, frames: Sequence[bytes]) -> Future[list[FrameError]]:
        return self._outbox.submit(frames)

    def request(self, frame: bytes) -> Future[list[bytes]]:
        return self._outbox.ask(frame, lambda reply: [reply])

    def ask(self, frame: bytes, read: Callable[[bytes], Sequence[Any]]) -> Future[list[Any]]:
        """A request whose replies go through `read` one by one as they arrive.  Fails with Refused or Disconnected."""
        return self._outbox.ask(frame, read)

    def read_back(self, parts: int = 1) -> Future[ReadBack]:
        return read_back(self, self._home.ownership, parts)

    def send(self, frame: bytes, close_socket: bool = False) -> bool:
        """Send without confirmation.  False if the channel is gone, or the switch lags too far behind."""
        return self._outbox.send(bytes(frame), self._end_politely if close_socket else None)

    def set_xid(self, msg: Any) -> int:
        """os-ken calls this for a message that it sends."""
        xid = self._outbox.next_xid()
        msg.set_xid(xid)
        return xid

    def disconnect(self, reason: str) -> None:
        self._outbox.soon(self.end, reason)

    def close(self) -> None:
        """os-ken's name for it."""
        self.disconnect("closed by an application")

    # -- asyncio's view (I/O thread, as all below)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.address = transport.get_extra_info("peername") or "unix"
        self.peer = str(self.address[0]) if isinstance(self.address, tuple) else "unix"
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._outbox.attach(transport)
        self._home.arrived(self)
        self._outbox.write(framing.hello(OPENFLOW_1_3))
        self.set_state(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        try:
            for frame in self._framer.feed(data):
                self._received(frame)
                if self.end_reason:
                    return
        except (FramingError, decode.DecodeError) as error:
            self.end(str(error), malformed=True)
        except Exception as error:  # noqa: BLE001  # our own mistake; it must not reach the loop nor the other switches
            self._home.complaints.warn("message_failed", self.peer, switch=format_dpid(self.dpid), exc_info=True)
            self.end(f"internal error: {error!r}")

    def pause_writing(self) -> None:
        self._outbox.choke(on=True)

    def resume_writing(self) -> None:
        self._outbox.choke(on=False)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.end_reason:
            self.end(f"lost: {exc}" if exc else "closed by the switch")
        self._log_end()
        self.is_active = False
        if self._introduction is not None:
            self._introduction.cancel()
        self._home.left(self)
        for echo in self._echoes.values():
            echo.cancel()
        if self._announced:
            self.set_state(DEAD)
        self.state = DEAD  # what was never announced is not announced dead either
        self._outbox.fail_all()
        self.ended.set_result(None)

    def end(self, reason: str, *, malformed: bool = False) -> None:
        """End the connection now; connection_lost follows."""
        if self.end_reason:
            return
        self.end_reason = reason
        self._malformed = malformed
        self._outbox.close(reason)
        if self._transport is not None:
            self._transport.abort()

    def _end_politely(self, reason: str = "closed by an application") -> None:
        """End after what is written has been sent: the peer should read it."""
        self.end_reason = reason
        self._outbox.close(reason)
        if self._transport is not None:
            self._transport.close()

    def _log_end(self) -> None:
        switch = format_dpid(self.dpid) if self.dpid else "unknown"
        if self._announced and not self._malformed:
            log.info("switch_disconnected", switch=switch, peer=self.peer, reason=self.end_reason)
        else:
            event = "switch_malformed" if self._malformed else "switch_refused"
            self._home.complaints.warn(event, self.peer, switch=switch, state=self.state, reason=self.end_reason)

    # -- what the switch says

    def _received(self, frame: bytes) -> None:
        kind = frame[1]
        xid = HEADER.unpack_from(frame)[3]
        match kind:
            case framing.PACKET_IN:
                self._packet_in(frame)
            case framing.BARRIER_REPLY:
                if self._transactions.barrier(xid):
                    self._outbox.flush()
                else:
                    self._publish_parsed(ofp_event.EventOFPBarrierReply, frame)
            case framing.MULTIPART_REPLY:
                more = bool(_MULTIPART.unpack_from(frame)[1] & _MORE)
                if self._transactions.reply(xid, frame, self._loop.time(), more=more):
                    self._outbox.flush()
            case framing.ERROR:
                self._error(xid, frame)
            case framing.ECHO_REQUEST:
                self._outbox.write(HEADER.pack(frame[0], framing.ECHO_REPLY, len(frame), xid) + frame[8:])
            case framing.ECHO_REPLY:
                echo = self._echoes.pop(xid, None)
                if echo is not None and not echo.done():
                    echo.set_result(None)
            case framing.PORT_STATUS:
                self._port_status(frame)
            case framing.HELLO:
                self._hello(frame)
            case framing.FEATURES_REPLY:
                self._features(frame)
            case framing.FLOW_REMOVED:
                self._publish_parsed(ofp_event.EventOFPFlowRemoved, frame)
            case framing.ROLE_REPLY:
                self._publish_parsed(ofp_event.EventOFPRoleReply, frame)

    def _hello(self, frame: bytes) -> None:
        if self._framer.version is not None:
            return
        offered = framing.offered_versions(frame)
        if OPENFLOW_1_3 not in offered:
            self._outbox.write(framing.hello_failed(OPENFLOW_1_3, self._outbox.next_xid(), b"OpenFlow 1.3 is required"))
            self._end_politely(f"it does not speak OpenFlow 1.3; its version bytes are {sorted(offered)}")
            return
        self._framer.version = OPENFLOW_1_3
        self.set_state(CONFIG)
        self._outbox.write(HEADER.pack(OPENFLOW_1_3, framing.FEATURES_REQUEST, 8, self._outbox.next_xid()))

    def _features(self, frame: bytes) -> None:
        if self.state != CONFIG or self._introduction is not None:
            return
        dpid, n_tables = features_of(frame)
        if not dpid:
            self.end("its datapath id is 0")
            return
        self.id = dpid
        self._introduction = self._loop.create_task(self._introduce(frame, n_tables))

    async def _introduce(self, frame: bytes, n_tables: int) -> None:
        """From the features reply to MAIN: be admitted, learn what the switch is, announce it."""
        try:
            if not await self._home.admit(self):
                return
            self._announced = True
            self._publish_parsed(ofp_event.EventOFPSwitchFeatures, frame)
            self.features = await describe(self, n_tables, self._ports_described)
        except Disconnected:
            return
        except Refused as error:
            self.end(f"it does not tell its ports: {error.text}")
            return
        if self.end_reason:
            return
        log.info("switch_connected", switch=format_dpid(self.dpid), peer=self.peer, ports=len(self._switch_ports),
                 tables=self.features.n_tables, meters=self.features.max_meters, software=self.features.software)
        self.set_state(MAIN)

    def _ports_described(self, frame: bytes) -> Sequence[Any]:
        """Take in one PORT_DESC reply; a port status that comes between two of them finds its place."""
        described = decode.port_desc([frame])
        physical = {port.port_no: switch_port(port) for port in described if _is_physical(port)}
        self._switch_ports = self._switch_ports.update(physical)
        self._check_ports()
        message = osken.parse(self, frame)  # elements of fixed length
        if message is not None:
            self._ports.update((port.port_no, port) for port in message.body)
            self._publish(ofp_event.EventOFPPortDescStatsReply(message))
        return described

    def _port_status(self, frame: bytes) -> None:
        status = decode.port_status(frame)
        port = status.port
        message = osken.parse(self, frame)
        if status.reason == decode.PORT_DELETED:
            if port.port_no in self._switch_ports:
                self._switch_ports = self._switch_ports.delete(port.port_no)
            self._ports.pop(port.port_no, None)
        else:
            if _is_physical(port):
                self._switch_ports = self._switch_ports.set(port.port_no, switch_port(port))
            if message is not None:
                self._ports[port.port_no] = message.desc
        self._check_ports()
        if message is not None and self.state in (CONFIG, MAIN):
            self._publish(ofp_event.EventOFPPortStatus(message))
            self._publish(ofp_event.EventOFPPortStateChange(self, status.reason, port.port_no))

    def _check_ports(self) -> None:
        if len(self._switch_ports) > MAX_PORTS or len(self._ports) > MAX_PORTS:
            raise decode.DecodeError(f"more than {MAX_PORTS} ports")

    def _packet_in(self, frame: bytes) -> None:
        packet = decode.packet_in(frame)
        if self.state == MAIN:
            self._publish(ofp_event.EventOFPPacketIn(PacketInMessage(self, frame, packet)))

    def _error(self, xid: int, frame: bytes) -> None:
        error_type, code = _ERROR.unpack_from(frame)
        text = error_text(error_type, code)
        if self._transactions.error(xid, error_type, code, text):
            self._outbox.flush()
            return
        self._home.complaints.warn("switch_error", self.peer, switch=format_dpid(self.dpid), xid=xid, error=text)
        self._publish_parsed(ofp_event.EventOFPErrorMsg, frame)

    def _publish(self, event: Any) -> None:
        if self._announced and self.state != DEAD:
            self.ofp_brick.send_event_to_observers(event, self.state)

    def _publish_parsed(self, event_class: type[Any], frame: bytes) -> None:
        """For message types without loops in os-ken's parser, and only if somebody wants them."""
        if self._announced and self.ofp_brick.observers.get(event_class):
            message = osken.parse(self, frame)
            if message is not None:
                self._publish(ofp_event.ofp_msg_to_ev(message))

    # -- deadlines

    def check(self, now_s: float) -> None:
        """Called by the runtime's tick: end what takes too long, and probe what is silent."""
        timing = self._home.timing
        if self._transport is None:
            return
        if self.end_reason:
            self._transport.abort()  # it had a tick's time to end politely
            return
        stuck_s = self._outbox.stuck_s(now_s)
        unanswered_s = self._transactions.unanswered_since_s()
        silent_s = now_s - self._heard_s
        if self.state != MAIN and now_s - self._began_s > timing.handshake_s:
            self.end(f"the handshake was not done within {timing.handshake_s:g} s")
        elif silent_s > timing.dead_s:
            self.end(f"nothing heard for {silent_s:.1f} s")
        elif stuck_s > timing.dead_s:
            self.end(f"it has not read anything for {stuck_s:.1f} s")
        elif unanswered_s is not None and now_s - unanswered_s > timing.answer_s:
            self.end(f"a barrier or request has no answer since {now_s - unanswered_s:.1f} s")
        elif silent_s > timing.probe_s:
            self._outbox.write(HEADER.pack(OPENFLOW_1_3, framing.ECHO_REQUEST, 8, self._outbox.next_xid()))

    async def answers(self, within_s: float) -> bool:
        """Whether the switch answers an echo in time."""
        xid = self._outbox.next_xid()
        echo = self._echoes[xid] = self._loop.create_future()
        self._outbox.write(HEADER.pack(OPENFLOW_1_3, framing.ECHO_REQUEST, 8, xid))
        done, _ = await asyncio.wait([echo], timeout=within_s)
        self._echoes.pop(xid, None)
        return bool(done) and not echo.cancelled()


def _is_physical(port: decode.PortDesc) -> bool:
    return port.port_no <= MAX_PORTS
