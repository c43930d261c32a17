"""What we tell a switch: whole OpenFlow 1.3 frames.  Their xid is 0; the transport stamps it.

Handshake messages are not here: os-ken's are used for those, they are not hot.
"""

from __future__ import annotations

from struct import Struct

from controller.openflow.entries import ANY, Bucket, Flow, FlowKey, Group, Meter

VERSION = 4
ADD, MODIFY, DELETE = range(3)
"""Commands of group_mod and meter_mod."""
FLOW_ADD, FLOW_MODIFY, FLOW_MODIFY_STRICT, FLOW_DELETE, FLOW_DELETE_STRICT = range(5)
ALL_TABLES = 0xFF
ALL_GROUPS = 0xFFFFFFFC
ALL_METERS = 0xFFFFFFFF
SLOWPATH_METER, CONTROLLER_METER = 0xFFFFFFFD, 0xFFFFFFFE
"""The reserved meters: packets that need the slow path; punted packets."""
ANY_PORT = 0xFFFFFFFD
"""As the in_port of a packet-out: it comes from the controller."""
EXACT_COOKIE = 0xFFFFFFFFFFFFFFFF

ERROR_TYPE, PACKET_IN_TYPE, PORT_STATUS_TYPE, PACKET_OUT_TYPE, FLOW_MOD_TYPE, GROUP_MOD_TYPE = 1, 10, 12, 13, 14, 15
REQUEST_TYPE, REPLY_TYPE, BARRIER_TYPE, BARRIER_REPLY_TYPE, METER_MOD_TYPE = 18, 19, 20, 21, 29
# multipart kinds
DESC, FLOW_STATS, PORT_STATS, GROUP_DESC = 0, 1, 4, 7
GROUP_FEATURES, METER_STATISTICS, METER_CONFIG, METER_FEATURES, PORT_DESC = 8, 9, 10, 11, 13

METER_KBPS, METER_PKTPS, METER_BURST, METER_STATS = 1, 2, 4, 8
METER_FLAGS = {"kbps": METER_KBPS | METER_BURST | METER_STATS, "pktps": METER_PKTPS | METER_BURST | METER_STATS}
MAX_FRAME_BYTES = 0xFFFF
_NO_BUFFER = 0xFFFFFFFF

FLOW_MOD = Struct("!BBHIQQBBHHHIIIHHHH")
GROUP_MOD = Struct("!BBHIHBxI")
BUCKET = Struct("!HHII4x")
METER_MOD = Struct("!BBHIHHI")
BAND = Struct("!HHII4x")
PACKET_OUT = Struct("!BBHIIIH6x")
MULTIPART = Struct("!BBHIHH4x")
_FLOW_REQUEST = Struct("!B3xII4xQQHH4x")
_PORT_NO = Struct("!I4x")
_METER_ID = Struct("!I4x")
_HEADER = Struct("!BBHI")
_BARRIER = _HEADER.pack(VERSION, BARRIER_TYPE, 8, 0)
NO_MATCH = bytes.fromhex("0001000400000000")


def flow_add(flow: Flow) -> bytes:
    """Install the flow, replacing the one with the same key."""
    return _flow_mod(FLOW_ADD, flow.table, flow.priority, flow.match, flow.instructions, flow.cookie, flags=flow.flags)


def flow_delete_strict(key: FlowKey, cookie: int | None = None) -> bytes:
    """Delete the flow with this key; with `cookie`, only if it still carries that."""
    mask = 0 if cookie is None else EXACT_COOKIE
    return _flow_mod(FLOW_DELETE_STRICT, key.table, key.priority, key.match, b"", cookie or 0, mask)


def flow_delete(cookie: int, cookie_mask: int, table: int = ALL_TABLES) -> bytes:
    """Delete every flow whose cookie has these bits."""
    return _flow_mod(FLOW_DELETE, table, 0, b"", b"", cookie, cookie_mask)


def group_mod(command: int, group: Group | int) -> bytes:
    """ADD or MODIFY a group; DELETE takes its id (or ALL_GROUPS) too."""
    if isinstance(group, int):
        if command != DELETE:
            raise ValueError("only a delete can do with the id of a group")
        group = Group(group, 0)
    buckets = b"".join(map(bucket, group.buckets)) if command != DELETE else b""
    length = _checked(16 + len(buckets))
    return GROUP_MOD.pack(VERSION, GROUP_MOD_TYPE, length, 0, command, group.type, group.id) + buckets


def bucket(entry: Bucket) -> bytes:
    """One bucket as it stands in a group-mod and in a description."""
    length = _checked(16 + len(entry.actions))
    return BUCKET.pack(length, entry.weight, entry.watch_port, entry.watch_group) + entry.actions


def meter_mod(command: int, meter: Meter | int) -> bytes:
    """ADD or MODIFY a meter; DELETE takes its id (or ALL_METERS) too.  A MODIFY refills the bucket."""
    if command == DELETE:
        meter_id = meter if isinstance(meter, int) else meter.id
        return METER_MOD.pack(VERSION, METER_MOD_TYPE, 16, 0, DELETE, 0, meter_id)
    if isinstance(meter, int):
        raise ValueError("only a delete can do with the id of a meter")
    head = METER_MOD.pack(VERSION, METER_MOD_TYPE, 32, 0, command, METER_FLAGS[meter.unit], meter.id)
    return head + drop_band(meter)


def drop_band(meter: Meter) -> bytes:
    return BAND.pack(1, 16, meter.rate, meter.burst)


def packet_out(data: bytes, actions: bytes, in_port: int = ANY_PORT) -> bytes:
    """Inject a packet."""
    length = _checked(24 + len(actions) + len(data))
    head = PACKET_OUT.pack(VERSION, PACKET_OUT_TYPE, length, 0, _NO_BUFFER, in_port, len(actions))
    return head + actions + data


def barrier() -> bytes:
    return _BARRIER


def flow_stats_request(table: int = ALL_TABLES, cookie: int = 0, cookie_mask: int = 0) -> bytes:
    """Ask for the flows whose cookie has these bits."""
    return _request(FLOW_STATS, _FLOW_REQUEST.pack(table, ANY, ANY, cookie, cookie_mask, 1, 4))


def group_desc_request() -> bytes:
    return _request(GROUP_DESC)


def meter_config_request(meter_id: int = ALL_METERS) -> bytes:
    return _request(METER_CONFIG, _METER_ID.pack(meter_id))


def meter_stats_request(meter_id: int = ALL_METERS) -> bytes:
    """Ask for the counters of a meter, or of all."""
    return _request(METER_STATISTICS, _METER_ID.pack(meter_id))


def meter_features_request() -> bytes:
    return _request(METER_FEATURES)


def group_features_request() -> bytes:
    return _request(GROUP_FEATURES)


def port_desc_request() -> bytes:
    return _request(PORT_DESC)


def port_stats_request(port_no: int = ANY) -> bytes:
    """Ask for the counters of a port, or of all."""
    return _request(PORT_STATS, _PORT_NO.pack(port_no))


def desc_request() -> bytes:
    return _request(DESC)


def _request(kind: int, body: bytes = b"") -> bytes:
    return MULTIPART.pack(VERSION, REQUEST_TYPE, 16 + len(body), 0, kind, 0) + body


def _flow_mod(
    command: int,
    table: int,
    priority: int,
    match: bytes,
    instructions: bytes,
    cookie: int,
    cookie_mask: int = 0,
    *,
    flags: int = 0,
) -> bytes:
    match_length = 4 + len(match)
    padding = -match_length % 8
    length = _checked(48 + match_length + padding + len(instructions))
    head = FLOW_MOD.pack(
        VERSION, FLOW_MOD_TYPE, length, 0, cookie, cookie_mask, table, command, 0, 0, priority,
        _NO_BUFFER, ANY, ANY, flags, 0, 1, match_length,
    )  # fmt: skip
    return head + match + bytes(padding) + instructions


def _checked(length: int) -> int:
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"{length} bytes do not fit in an OpenFlow message")
    return length
