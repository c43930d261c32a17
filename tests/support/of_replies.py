"""What a switch sends, as frames: for switches made of memory and for tests of the decoders.  Frames carry xid 0."""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack

from controller.openflow import messages as msg
from controller.openflow.decode import MeterStat, PortDesc, PortStat
from controller.openflow.entries import Flow, Group, Meter

MORE = 1


def message(kind: int, body: bytes = b"") -> bytes:
    return pack("!BBHI", msg.VERSION, kind, 8 + len(body), 0) + body


def multipart(kind: int, bodies: Iterable[bytes], *, more: bool = False) -> bytes:
    return message(msg.REPLY_TYPE, pack("!HH4x", kind, MORE if more else 0) + b"".join(bodies))


def flow_stats(
    flows: Iterable[Flow], *, packets: int = 0, octets: int = 0, duration_ns: int = 0, more: bool = False
) -> bytes:
    bodies = [flow_stat(flow, packets=packets, octets=octets, duration_ns=duration_ns) for flow in flows]
    return multipart(msg.FLOW_STATS, bodies, more=more)


def flow_stat(flow: Flow, *, packets: int = 0, octets: int = 0, duration_ns: int = 0) -> bytes:
    seconds, nanoseconds = divmod(duration_ns, 1_000_000_000)
    match_length = 4 + len(flow.match)
    tail = flow.match + bytes(-match_length % 8) + flow.instructions
    head = pack(
        "!HBxIIHHHH4xQQQHH", 52 + len(tail), flow.table, seconds, nanoseconds, flow.priority, 0, 0, flow.flags,
        flow.cookie, packets, octets, 1, match_length,
    )  # fmt: skip
    return head + tail


def group_desc(groups: Iterable[Group]) -> bytes:
    bodies = []
    for group in groups:
        buckets = b"".join(map(msg.bucket, group.buckets))
        bodies.append(pack("!HBxI", 8 + len(buckets), group.type, group.id) + buckets)
    return multipart(msg.GROUP_DESC, bodies)


def meter_config(meters: Iterable[Meter]) -> bytes:
    return multipart(
        msg.METER_CONFIG,
        (pack("!HHI", 24, msg.METER_FLAGS[meter.unit], meter.id) + msg.drop_band(meter) for meter in meters),
    )


def port(port: PortDesc) -> bytes:
    down = 0 if port.up else 1
    mac = bytes.fromhex(port.mac.replace(":", ""))
    features = (0, 0, 0, 0, port.speed_kbps, 0)
    return pack("!I4x6s2x16sIIIIIIII", port.port_no, mac, port.name.encode()[:15], 0, down, *features)


def port_desc(ports: Iterable[PortDesc]) -> bytes:
    return multipart(msg.PORT_DESC, map(port, ports))


def port_status(reason: int, changed: PortDesc) -> bytes:
    return message(msg.PORT_STATUS_TYPE, pack("!B7x", reason) + port(changed))


def packet_in(match: bytes, data: bytes, *, reason: int = 1, table: int = 0, cookie: int = 0) -> bytes:
    """`match` must hold in_port."""
    length = 4 + len(match)
    head = pack("!IHBBQHH", 0xFFFFFFFF, len(data), reason, table, cookie, 1, length)
    return message(msg.PACKET_IN_TYPE, head + match + bytes(-length % 8 + 2) + data)


def error(kind: int, code: int, refused: bytes) -> bytes:
    return message(msg.ERROR_TYPE, pack("!HH", kind, code) + refused[:64])


def port_stats(stats: Iterable[PortStat]) -> bytes:
    bodies = []
    for stat in stats:
        seconds, nanoseconds = divmod(stat.duration_ns, 1_000_000_000)
        counters = stat.rx_packets, stat.tx_packets, stat.rx_bytes, stat.tx_bytes
        bodies.append(pack("!I4x4Q64xII", stat.port_no, *counters, seconds, nanoseconds))
    return multipart(msg.PORT_STATS, bodies)


def meter_stats(stats: Iterable[MeterStat]) -> bytes:
    bodies = []
    for stat in stats:
        seconds, nanoseconds = divmod(stat.duration_ns, 1_000_000_000)
        head = pack("!IH6xIQQII", stat.id, 56, 1, stat.packets, stat.bytes, seconds, nanoseconds)
        bodies.append(head + pack("!QQ", stat.dropped_packets, stat.dropped_bytes))
    return multipart(msg.METER_STATISTICS, bodies)
