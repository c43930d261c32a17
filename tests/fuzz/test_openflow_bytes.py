"""A million bad OpenFlow messages: pliantd's southbound stays up, serves its good switches, and does not grow.

Each connection does its handshake, talks nonsense that is well framed (random bodies under random types), and ends with
one message that cannot be: random bytes, a truncated one, an impossible length.  The same bytes go through the framing
layer alone as well, cut at random.
"""

from __future__ import annotations

import gc
import os
import random
import socket
from struct import pack
from typing import Any

import pytest

from apps.pliantd.base import MAIN, App, ofp_event, set_ev_cls
from controller.openflow import messages as openflow
from controller.southbound.framing import Framer, FramingError
from controller.southbound.runtime import Runtime
from tests.fakes.openflow_switch import FakePort, FakeSwitch, Switches
from tests.support.eventually import eventually

LOOPBACK = "127.0.0.1"
TOTAL, SETTLED = 1_000_000, 100_000
PER_CONNECTION = 500
GOOD_DPID, BAD_DPID = 1, 2
PORT_DESC, MULTIPART_REQUEST, BARRIER_REQUEST = 13, 18, 20
UNUSED_XID = 1_000


class Listener(App):
    """Looks at everything it gets, as an application would."""

    heard = 0

    @set_ev_cls(ofp_event.EventOFPStateChange, MAIN)
    def connected(self, event: Any) -> None:
        event.datapath.send(openflow.barrier())

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN)
    def packet_in(self, event: Any) -> None:
        self.heard += bool(event.msg.packet.fields) and event.msg.match is not None

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN)
    def port_status(self, event: Any) -> None:
        self.heard += event.msg.desc.port_no > 0

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN)
    def error(self, event: Any) -> None:
        self.heard += event.msg.type >= 0

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN)
    def flow_removed(self, event: Any) -> None:
        self.heard += 1


def _message(kind: int, body: bytes, xid: int = 0) -> bytes:
    return pack("!BBHI", 4, kind, 8 + len(body), xid) + body


def _harmless(rng: random.Random) -> bytes:
    """A well-framed message full of nonsense that a connection must survive."""
    match rng.randrange(8):
        case 0:
            data = rng.randbytes(rng.randrange(120))
            head = pack("!IHBBQHHHBBI4x2x", 0, len(data), 1, 0, 0, 1, 12, 0x8000, 0, 4, rng.randrange(9))
            return _message(10, head + data)
        case 1:
            port = FakePort(rng.randrange(1, 200), f"p{rng.randrange(999)}", up=rng.random() < 0.5)
            return _message(12, bytes([rng.randrange(5)]) + bytes(7) + port.pack())
        case 2:
            number = pack("!HH", rng.randrange(20), rng.randrange(20))
            return _message(1, number + rng.randbytes(64), rng.randrange(5000))
        case 3:  # an answer that nobody asked for
            body = rng.randbytes(rng.randrange(300))
            return _message(19, pack("!HH4x", rng.randrange(20), 0) + body, rng.randrange(UNUSED_XID, 1 << 32))
        case 4:
            return _message(21, b"", rng.randrange(UNUSED_XID, 1 << 32))
        case 5:
            return _message(rng.choice((2, 3)), rng.randbytes(rng.randrange(100)), rng.randrange(1 << 32))
        case 6:
            kind = rng.choice((4, 7, 8, 9, 14, 15, 22, 26, 29, 30, 99, 255))
            return _message(kind, rng.randbytes(rng.randrange(200)))
        case _:
            return _message(0, rng.randbytes(rng.randrange(40)))  # a second HELLO


def _lethal(rng: random.Random) -> bytes:
    """What ends a connection, or leaves it waiting for bytes that never come."""
    match rng.randrange(8):
        case 0:
            return rng.randbytes(rng.randrange(1, 2000))
        case 1:
            return _harmless(rng)[: rng.randrange(1, 8)]
        case 2:
            return pack("!BBHI", 4, rng.randrange(30), 0xFFFF, 0) + rng.randbytes(rng.randrange(1000))
        case 3:
            return pack("!BBHI", 4, rng.randrange(30), rng.randrange(8), 0)
        case 4:
            return _message(10, rng.randbytes(rng.randrange(60)))
        case 5:
            head = pack("!IHBBQHH", 0, 9, 1, 0, 0, 1, rng.randrange(200))
            return _message(10, head + rng.randbytes(rng.randrange(100)))
        case 6:
            return _message(rng.choice((1, 6, 11, 12, 19, 25)), rng.randbytes(rng.randrange(90)))
        case _:
            return pack("!BBHI", rng.randrange(256), rng.randrange(256), 8, 0)


def _handshake(peer: socket.socket, rng: random.Random) -> None:
    """HELLO, features, an answer to every question (now and then a garbled one); until the application greets it."""
    peer.sendall(_message(0, b"") + _message(6, pack("!QIBB2xII", BAD_DPID, 0, 254, 0, 0, 0)))
    asked = b""
    while part := peer.recv(4096):
        asked += part
        while len(asked) >= 8 and len(asked) >= (length := int.from_bytes(asked[2:4], "big")):
            frame, asked = asked[:length], asked[length:]
            if frame[1] == BARRIER_REQUEST:
                return
            if frame[1] != MULTIPART_REQUEST:
                continue
            kind = int.from_bytes(frame[8:10], "big")
            body = b"".join(FakePort(n).pack() for n in range(3)) if kind == PORT_DESC else b""
            if rng.random() < 0.03:
                body = rng.randbytes(rng.randrange(100))
            answer = _message(19, pack("!HH4x", kind, 0) + body) if kind == PORT_DESC or body else _message(1, bytes(4))
            peer.sendall(answer[:4] + frame[4:8] + answer[8:])


def _connection(port: int, rng: random.Random, pool: list[bytes]) -> None:
    with socket.create_connection((LOOPBACK, port)) as peer:
        peer.settimeout(10)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            _handshake(peer, rng)
            peer.sendall(b"".join(rng.choices(pool, k=PER_CONNECTION - 1)) + _lethal(rng))
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 16):
                pass  # a close with answers unread would reset the connection, and what it sent would not be read
        except OSError:
            return  # found out before the end


def _through_the_framer(rng: random.Random, pool: list[bytes]) -> None:
    framer = Framer()
    framer.version = 4
    stream = b"".join(rng.choices(pool, k=50)) + _lethal(rng)
    cut = rng.randrange(len(stream))
    try:
        for piece in (stream[:cut], stream[cut:]):
            for _ in framer.feed(piece):
                pass
    except FramingError:
        pass
    assert framer.held_bytes <= 0xFFFF


def _rss_bytes() -> int:
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(120)
def test_a_million_bad_messages_neither_stop_nor_grow_the_southbound() -> None:
    """Up, serving, and within 10 % of the memory that it had after the first hundred thousand."""
    rng = random.Random(13)
    pool = [_harmless(rng) for _ in range(5_000)]
    runtime = Runtime()
    app = runtime.add(Listener)
    runtime.start()
    try:
        with Switches() as switches:
            port = runtime.listen(LOOPBACK)
            good = switches.connect(FakeSwitch(GOOD_DPID), LOOPBACK, port)
            datapath = eventually(lambda: runtime.datapaths().get(GOOD_DPID))
            assert datapath is not None
            settled = 0
            for sent in range(PER_CONNECTION, TOTAL + 1, PER_CONNECTION):
                _connection(port, rng, pool)
                _through_the_framer(rng, pool)
                if sent == SETTLED:
                    settled = _rss_bytes()
                if sent % SETTLED == 0:
                    assert datapath.submit([openflow.flow_delete(0, 0)] * 10).result(10) == []
            eventually(lambda: set(runtime.datapaths()) == {GOOD_DPID}, timeout_s=20)
            assert good.connected
            assert app.heard > 10_000
            assert _rss_bytes() <= settled * 1.1
    finally:
        runtime.stop()
    assert not app.handler_errors
