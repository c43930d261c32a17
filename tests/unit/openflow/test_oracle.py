"""Our frames are os-ken's frames, byte for byte, wherever os-ken can say the same."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_v1_3 as ofp
from os_ken.ofproto import ofproto_v1_3_parser as osken

from controller.openflow import decode, messages, parts
from controller.openflow.entries import Bucket, Flow, Group, Meter, flow
from controller.openflow.fields import FIELDS, RANK, header
from controller.openflow.queue_stats import QUEUE_STATS, QueueStat, queue_stats, queue_stats_request
from tests.support import of_replies as replies
from tests.support import of_strategies as some
from tests.unit.openflow import oracle

_LACKING = {"nd_reserved", "nd_options_type"}


def _matchable(oxm: bytes) -> bool:
    return all(map(oracle.known, parts.decode_match(oxm)))


def _sayable(actions: bytes) -> bool:
    return all(map(oracle.has, parts.decode_actions(actions)))


MATCHES = some.MATCHES.filter(_matchable)
ACTIONS = some.PLAIN_ACTIONS.filter(_sayable)
ACTION_LISTS = st.lists(ACTIONS, max_size=5).map(b"".join)
INSTRUCTIONS = some.INSTRUCTIONS.filter(lambda raw: all(map(oracle.has, parts.decode_instructions(raw).actions)))
FLOWS = st.builds(flow, some.U8, some.U8, some.U16, MATCHES, INSTRUCTIONS)
BUCKETS = st.builds(Bucket, ACTION_LISTS, some.U16, some.U32, some.U32)
GROUPS = st.builds(Group, some.U32, st.integers(0, 3), st.lists(BUCKETS, max_size=4).map(tuple))


def test_fields_have_the_numbers_and_widths_of_the_oracle() -> None:
    """All but the two that os-ken lacks; for load and move in the older numbering too."""
    lacking = set()
    for name, field in FIELDS.items():
        for number, width in ((field.oxm, field.width_bytes), (field.subfield, field.subfield_bytes)):
            known = oracle.name(number)
            if known is None:
                lacking.add(name)
                continue
            theirs = bytearray()
            ofp.oxm_serialize_header(ofp.oxm_from_user_header(known), theirs, 0)
            assert header(number, width).to_bytes(4, "big") == bytes(theirs), name
    assert lacking == _LACKING
    assert set(RANK) == {name for name in FIELDS if not name.startswith("xxreg")}


@given(FLOWS, st.integers(0, 0xFFFF))
def test_flow_add_equals_the_oracle(one: Flow, flags: int) -> None:
    """Adding a flow, with every part of it."""
    one = Flow(one.table, one.priority, one.match, one.instructions, one.cookie, flags)
    assert messages.flow_add(one) == oracle.flow_mod(ofp.OFPFC_ADD, one)


@given(FLOWS, some.U64)
def test_flow_deletes_equal_the_oracle(one: Flow, cookie: int) -> None:
    """Strict by key, strict by key and cookie, and by cookie mask."""
    bare = Flow(one.table, one.priority, one.match, b"", 0)
    assert messages.flow_delete_strict(one.key) == oracle.flow_mod(ofp.OFPFC_DELETE_STRICT, bare)
    marked = Flow(one.table, one.priority, one.match, b"", cookie)
    full = 0xFFFFFFFFFFFFFFFF
    assert messages.flow_delete_strict(one.key, cookie) == oracle.flow_mod(ofp.OFPFC_DELETE_STRICT, marked, full)
    scoped = Flow(ofp.OFPTT_ALL, 0, b"", b"", cookie)
    assert messages.flow_delete(cookie, 0xFF << 56) == oracle.flow_mod(ofp.OFPFC_DELETE, scoped, 0xFF << 56)


@given(GROUPS, st.sampled_from([messages.ADD, messages.MODIFY]))
def test_group_mod_equals_the_oracle(group: Group, command: int) -> None:
    """Groups with their buckets; a delete has none."""
    assert messages.group_mod(command, group) == oracle.group_mod(command, group)
    gone = Group(group.id, group.type)
    assert messages.group_mod(messages.DELETE, group) == oracle.group_mod(ofp.OFPGC_DELETE, gone)
    assert messages.group_mod(messages.DELETE, group.id) == oracle.group_mod(ofp.OFPGC_DELETE, Group(group.id, 0))


@given(some.METERS, st.sampled_from([messages.ADD, messages.MODIFY]))
def test_meter_mod_equals_the_oracle(meter: Meter, command: int) -> None:
    """One drop band, with burst and statistics, in either unit."""
    assert messages.meter_mod(command, meter) == oracle.meter_mod(command, meter)
    gone = oracle.frame(osken.OFPMeterMod(oracle.SWITCH, ofp.OFPMC_DELETE, 0, meter.id, []))
    assert messages.meter_mod(messages.DELETE, meter) == messages.meter_mod(messages.DELETE, meter.id) == gone


@given(st.binary(max_size=200), ACTION_LISTS.filter(bool), some.U32)
def test_packet_out_equals_the_oracle(data: bytes, actions: bytes, in_port: int) -> None:
    """Actions first, then the packet.  (Without actions os-ken overwrites the packet with its header.)"""
    assert messages.packet_out(data, actions, in_port) == oracle.packet_out(data, actions, in_port)


@given(some.U8, some.U64, some.U64)
def test_requests_equal_the_oracle(table: int, cookie: int, mask: int) -> None:
    """Every multipart request, and the barrier."""
    switch, any_port, any_group = oracle.SWITCH, ofp.OFPP_ANY, ofp.OFPG_ANY
    theirs = osken.OFPFlowStatsRequest(switch, 0, table, any_port, any_group, cookie, mask, osken.OFPMatch())
    assert messages.flow_stats_request(table, cookie, mask) == oracle.frame(theirs)
    assert messages.group_desc_request() == oracle.frame(osken.OFPGroupDescStatsRequest(switch))
    assert messages.group_features_request() == oracle.frame(osken.OFPGroupFeaturesStatsRequest(switch))
    assert messages.meter_config_request() == oracle.frame(osken.OFPMeterConfigStatsRequest(switch))
    assert messages.meter_features_request() == oracle.frame(osken.OFPMeterFeaturesStatsRequest(switch))
    assert messages.port_desc_request() == oracle.frame(osken.OFPPortDescStatsRequest(switch))
    assert messages.desc_request() == oracle.frame(osken.OFPDescStatsRequest(switch))
    assert messages.barrier() == oracle.frame(osken.OFPBarrierRequest(switch))


@given(some.U32, some.U32)
def test_queue_stats_request_equals_the_oracle(port_no: int, queue_id: int) -> None:
    """Of one queue of one port."""
    theirs = osken.OFPQueueStatsRequest(oracle.SWITCH, 0, port_no, queue_id)
    assert queue_stats_request(port_no, queue_id) == oracle.frame(theirs)


@given(st.lists(st.builds(QueueStat, some.U32, some.U32, some.U64, some.U64, some.U64, st.integers(0, 2**32 - 1)),
                max_size=5))
def test_queue_stats_read_as_the_oracle_reads_them(stats: list[QueueStat]) -> None:
    """The same reply, parsed by both; cut off anywhere, it is no reply."""
    bodies = [pack("!IIQQQII", *stat[:5], *divmod(stat.duration_ns, 10**9)) for stat in stats]
    reply = replies.multipart(QUEUE_STATS, bodies)
    theirs = osken.OFPMultipartReply.parser(oracle.SWITCH, 4, reply[1], len(reply), 0, reply).body
    ours = queue_stats([reply])
    assert ours == stats
    assert [(q.port_no, q.queue_id, q.tx_bytes, q.tx_packets, q.tx_errors, q.duration_sec * 10**9 + q.duration_nsec)
            for q in theirs] == [tuple(stat) for stat in stats]
    with pytest.raises(decode.DecodeError):
        queue_stats([replies.multipart(QUEUE_STATS, [*bodies, b"x"])])
    with pytest.raises(decode.DecodeError):
        queue_stats([replies.multipart(messages.PORT_STATS, bodies)])


@given(st.lists(FLOWS, max_size=3), some.U64)
def test_flow_stats_read_as_the_oracle_reads_them(flows: list[Flow], packets: int) -> None:
    """The same reply, parsed by both."""
    reply = replies.flow_stats(flows, packets=packets, octets=7, duration_ns=3_000_000_005)
    theirs = osken.OFPMultipartReply.parser(oracle.SWITCH, 4, reply[1], len(reply), 0, reply).body
    ours = decode.flow_stats([reply])
    assert [(f.table_id, f.priority, f.cookie, f.packet_count, f.byte_count, f.duration_nsec) for f in theirs] == [
        (f.table, f.priority, f.cookie, f.packets, f.bytes, 5) for f in ours
    ]
    assert [len(f.match.items()) for f in theirs] == [len(parts.decode_match(f.match)) for f in ours]
