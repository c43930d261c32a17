"""What a switch says, read back; and that no bytes whatever can do harm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.openflow import actions as act
from controller.openflow import decode, messages, parts, requests, text
from controller.openflow import instructions as ins
from controller.openflow.decode import DecodeError, PortDesc
from controller.openflow.entries import Flow, Group, Meter, flow
from controller.openflow.match import match
from tests.support import of_replies as replies
from tests.support import of_strategies as some

PORTS = st.builds(
    PortDesc,
    some.U32,
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=15),
    st.binary(min_size=6, max_size=6).map(lambda mac: mac.hex(":")),
    st.booleans(),
    some.U32,
)


# --- round trips ---------------------------------------------------------------------------------------------


def encoded(action: parts.Action) -> bytes:
    """A decoded action as bytes again."""
    match action:
        case parts.Output(port_no, max_len):
            return act.output(port_no, max_len)
        case parts.Punt(max_len, meter_id):
            return act.controller(max_len, meter_id=meter_id)
        case parts.ToGroup(group_id):
            return act.group(group_id)
        case parts.SetQueue(queue):
            return act.set_queue(queue)
        case parts.SetField(field, value):
            return act.set_field(field, value)
        case parts.Load(field, value, first_bit, bits):
            return act.load(field, value, first_bit, bits)
        case parts.Move(src, dst, src_bit, dst_bit, bits):
            return act.move(src, dst, src_bit=src_bit, dst_bit=dst_bit, bits=bits)
        case parts.Spread(field, n, first_bit, bits):
            return act.spread(field, n, first_bit, bits)
        case parts.Resubmit(table):
            return act.resubmit(table)
        case parts.OutputTruncated(port_no, max_len):
            return act.output_truncated(port_no, max_len)
        case parts.Clone(inner):
            return act.clone(*map(encoded, inner))
        case parts.DecTtl():
            return act.dec_ttl()
        case parts.UnknownAction(raw):
            return raw


@given(some.ACTION_LISTS)
def test_actions_decode_and_encode_to_the_same_bytes(actions: bytes) -> None:
    """Nothing of an action is lost, and none that we build is unknown."""
    decoded = parts.decode_actions(actions)
    assert not any(isinstance(one, parts.UnknownAction) for one in decoded)
    assert b"".join(map(encoded, decoded)) == actions


@given(some.INSTRUCTIONS)
def test_instructions_decode_and_encode_to_the_same_bytes(instructions: bytes) -> None:
    """Meter, actions, metadata, goto."""
    decoded = parts.decode_instructions(instructions)
    assert decoded.unknown == ()
    assert instructions == ins.join(
        b"" if decoded.meter is None else ins.meter(decoded.meter),
        ins.apply(*map(encoded, decoded.actions)),
        b"" if decoded.metadata is None else ins.write_metadata(*decoded.metadata),
        b"" if decoded.goto is None else ins.goto(decoded.goto),
    )


@given(st.lists(some.FLOWS, max_size=5), st.lists(some.FLOWS, max_size=2))
def test_flow_stats_give_the_flows_that_were_sent(first: list[Flow], second: list[Flow]) -> None:
    """Over several replies, with counters and age."""
    stats = decode.flow_stats(
        [
            replies.flow_stats(first, packets=7, octets=900, duration_ns=3_000_000_004, more=True),
            replies.flow_stats(second),
        ]
    )
    assert [stat.flow for stat in stats] == first + second
    assert all((s.packets, s.bytes, s.duration_ns) == (7, 900, 3_000_000_004) for s in stats[: len(first)])


@given(st.lists(some.GROUPS, max_size=4))
def test_group_desc_gives_the_groups_that_were_sent(groups: list[Group]) -> None:
    """Type, buckets, what they watch."""
    assert decode.group_desc([replies.group_desc(groups)]) == groups


@given(st.lists(some.METERS, max_size=4))
def test_meter_config_gives_the_meters_that_were_sent(meters: list[Meter]) -> None:
    """Rate, burst and unit."""
    assert decode.meter_config([replies.meter_config(meters)]) == meters


@pytest.mark.parametrize(
    ("flags", "bands"),
    [
        (13, b""),
        (13, 2 * pack("!HHII4x", 1, 16, 1000, 250)),
        (13, pack("!HHIIB3x", 2, 16, 1000, 250, 1)),
        (1, pack("!HHII4x", 1, 16, 1000, 250)),
        (15, pack("!HHII4x", 1, 16, 1000, 250)),
        (0, pack("!HHII4x", 1, 16, 1000, 250)),
    ],
)
def test_meter_of_a_foreign_shape_equals_none_of_ours(flags: int, bands: bytes) -> None:
    """More bands, other bands, other flags: read as rate 0, so that a comparison finds it wrong and repairs it."""
    raw = pack("!HHI", 8 + len(bands), flags, 9) + bands
    (meter,) = decode.meter_config([replies.multipart(messages.METER_CONFIG, [raw])])
    assert (meter.id, meter.rate) == (9, 0)


@given(st.lists(PORTS, max_size=5))
def test_ports_are_read_back(ports: list[PortDesc]) -> None:
    """From a description and from a status message."""
    assert decode.port_desc([replies.port_desc(ports)]) == ports
    for port in ports:
        status = decode.port_status(replies.port_status(decode.PORT_DELETED, port))
        assert status == decode.PortStatus(decode.PORT_DELETED, port)


@given(some.MATCHES, some.U32, st.binary(max_size=100), some.U64)
def test_packet_in_gives_port_metadata_and_packet(extra: bytes, port: int, data: bytes, cookie: int) -> None:
    """`fields` holds whatever the switch sent along."""
    fields = {**parts.decode_match(extra), "in_port": port}
    frame = replies.packet_in(match(**fields), data, reason=1, table=8, cookie=cookie)
    assert decode.packet_in(frame) == decode.PacketIn(1, 8, cookie, port, fields, data)


def test_packet_in_tolerates_fields_that_we_do_not_know() -> None:
    """A switch may send more than we have names for."""
    unknown = bytes.fromhex("80005408 0000000000000001")
    frame = replies.packet_in(match(in_port=3) + unknown, b"x")
    assert decode.packet_in(frame).fields == {"in_port": 3, "oxm_0x8000_42": 1}


def test_error_names_what_was_refused() -> None:
    """Type, code, and the beginning of the frame."""
    refused = messages.flow_add(flow(1, 2, 3, b"", b""))
    assert decode.error(replies.error(5, 1, refused)) == decode.ErrorMessage(0, 5, 1, refused[:64])


def test_features_are_read() -> None:
    """How many meters and groups a switch holds, and what it is."""
    reply = replies.multipart(messages.METER_FEATURES, [pack("!IIIBB2x", 4096, 2, 0b1111, 8, 0)])
    assert decode.meter_features([reply]) == decode.MeterFeatures(4096, True, True, True, True, 8)
    reply = replies.multipart(messages.GROUP_FEATURES, [pack("!II4I4I", 15, 0, 10, 20, 30, 40, 0, 0, 0, 0)])
    assert decode.max_groups([reply]) == (10, 20, 30, 40)
    strings = pack("!256s256s256s32s256s", b"Nicira, Inc.", b"Open vSwitch", b"3.1.0", b"None", b"\xff\xfe")
    told = decode.description([replies.multipart(messages.DESC, [strings])])
    assert (told.manufacturer, told.software, told.datapath) == ("Nicira, Inc.", "3.1.0", "\ufffd\ufffd")


@given(some.FLOWS, some.GROUPS, some.METERS, st.binary(max_size=50), some.ACTION_LISTS, some.U64)
def test_requests_are_read_by_a_switch_in_memory(
    one: Flow, group: Group, meter: Meter, data: bytes, actions: bytes, cookie: int
) -> None:
    """All that messages.py writes, requests.py reads."""
    assert requests.flow_mod(messages.flow_add(one)) == requests.FlowMod(messages.FLOW_ADD, one, 0)
    gone = requests.flow_mod(messages.flow_delete_strict(one.key, cookie))
    assert (gone.command, gone.flow.key, gone.flow.cookie) == (messages.FLOW_DELETE_STRICT, one.key, cookie)
    assert gone.cookie_mask == messages.EXACT_COOKIE
    assert requests.group_mod(messages.group_mod(1, group)) == requests.GroupMod(1, group)
    assert requests.meter_mod(messages.meter_mod(1, meter)) == requests.MeterMod(1, meter)
    assert requests.meter_mod(messages.meter_mod(2, meter.id)).meter.id == meter.id
    assert requests.packet_out(messages.packet_out(data, actions, 7)) == requests.PacketOut(7, actions, data)
    asked = requests.request(messages.flow_stats_request(3, cookie, 0xFF << 56))
    assert requests.flow_request(asked) == requests.FlowRequest(3, cookie, 0xFF << 56)
    assert requests.request(messages.group_desc_request()) == requests.Request(messages.GROUP_DESC, b"")


# --- bytes that nobody sane would send ------------------------------------------------------------------------

DECODERS: list[Callable[[bytes], object]] = [
    decode.head,
    decode.packet_in,
    decode.port_status,
    decode.error,
    *(
        lambda frame, read=read: read([frame])
        for read in (
            decode.flow_stats,
            decode.group_desc,
            decode.meter_config,
            decode.meter_features,
            decode.max_groups,
            decode.description,
            decode.port_desc,
        )
    ),
    requests.flow_mod,
    requests.group_mod,
    requests.meter_mod,
    requests.packet_out,
    lambda frame: requests.flow_request(requests.request(frame)),
    parts.decode_match,
    parts.decode_actions,
    parts.decode_instructions,
]


def survive(data: bytes) -> None:
    """Every decoder returns or raises DecodeError."""
    for read in DECODERS:
        try:
            value = read(data)
        except DecodeError:
            continue
        look_inside(value)


def look_inside(value: object) -> None:
    """What a decoder let through can be read further down, or is refused there."""
    for one in value if isinstance(value, list) else [value]:
        with suppress(DecodeError):
            if isinstance(one, decode.FlowStat | requests.FlowMod):
                text.flow_text(one.flow)
            elif isinstance(one, Group):
                text.group_text(one)


VALID_FRAMES = st.one_of(
    st.lists(some.FLOWS, min_size=1, max_size=2).map(replies.flow_stats),
    st.lists(some.GROUPS, min_size=1, max_size=2).map(replies.group_desc),
    st.lists(some.METERS, min_size=1, max_size=2).map(replies.meter_config),
    st.lists(PORTS, min_size=1, max_size=2).map(replies.port_desc),
    PORTS.map(lambda port: replies.port_status(0, port)),
    st.builds(replies.packet_in, some.MATCHES, st.binary(max_size=20)),
    some.FLOWS.map(messages.flow_add),
    some.GROUPS.map(lambda group: messages.group_mod(0, group)),
    some.METERS.map(lambda meter: messages.meter_mod(0, meter)),
    some.INSTRUCTIONS,
    some.ACTION_LISTS,
)


@given(st.binary(max_size=200))
@settings(max_examples=300)
@example(b"")
def test_random_bytes_raise_only_decode_errors(data: bytes) -> None:
    """No other exception, no endless loop."""
    survive(data)
    for kind in (1, 10, 12, 13, 14, 15, 18, 29):
        survive(replies.message(kind, data))
    for kind in (0, 1, 7, 8, 10, 11, 13):
        survive(replies.multipart(kind, [data]))


@given(VALID_FRAMES, st.data())
@settings(max_examples=500)
def test_mutated_and_truncated_frames_raise_only_decode_errors(frame: bytes, data: st.DataObject) -> None:
    """A few bytes changed, or the end gone, with the length in the header right or wrong."""
    broken = bytearray(frame[: data.draw(st.integers(0, len(frame)))] if data.draw(st.booleans()) else frame)
    for _ in range(data.draw(st.integers(0, 4)) if broken else 0):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.sampled_from([0, 1, 8, 127, 255]))
    if len(broken) >= 4 and data.draw(st.booleans()):
        broken[2:4] = len(broken).to_bytes(2, "big")
    survive(bytes(broken))


@given(st.lists(some.FLOWS, min_size=1, max_size=3), st.data())
def test_truncated_dump_is_refused_or_shorter(flows: list[Flow], data: st.DataObject) -> None:
    """A cut dump never yields a flow that was not sent."""
    body = replies.flow_stats(flows)[16:]
    cut = replies.multipart(messages.FLOW_STATS, [body[: data.draw(st.integers(0, len(body) - 1))]])
    try:
        stats = decode.flow_stats([cut])
    except DecodeError:
        return
    assert [stat.flow for stat in stats] == flows[: len(stats)]
    assert len(stats) < len(flows)


ZEROS = bytes(64)


@pytest.mark.parametrize(
    "read",
    [
        lambda: decode.flow_stats([replies.multipart(messages.FLOW_STATS, [ZEROS])]),
        lambda: decode.group_desc([replies.multipart(messages.GROUP_DESC, [ZEROS])]),
        lambda: decode.group_desc([replies.multipart(messages.GROUP_DESC, [pack("!HBxI", 40, 0, 1), bytes(32)])]),
        lambda: decode.meter_config([replies.multipart(messages.METER_CONFIG, [ZEROS])]),
        lambda: decode.meter_config([replies.multipart(messages.METER_CONFIG, [pack("!HHI", 24, 13, 1), bytes(16)])]),
        lambda: parts.decode_actions(ZEROS),
        lambda: parts.decode_instructions(ZEROS),
    ],
)
def test_zero_lengths_end_in_an_error(read: Callable[[], object]) -> None:
    """The messages that make os-ken's parsers loop for ever."""
    with pytest.raises(DecodeError, match="length 0"):
        read()


def test_deeply_nested_clones_are_refused() -> None:
    """A frame has room for 4,000 levels; no stack has."""
    nested = act.dec_ttl()
    for _ in range(4_000):
        nested = act.clone(nested)
    with pytest.raises(DecodeError, match="nested"):
        parts.decode_actions(nested)


def test_foreign_actions_and_instructions_are_kept_as_they_came() -> None:
    """What we do not know is no error: somebody else's flow must not hide ours."""
    conntrack = bytes.fromhex("ffff0018 00002320 0023 0001 00000000 0001 ff 000000 0000")
    assert parts.decode_actions(conntrack) == (parts.UnknownAction(conntrack),)
    clear_actions = bytes.fromhex("0005000800000000")
    assert parts.decode_instructions(clear_actions).unknown == (clear_actions,)


@pytest.mark.parametrize(
    "read",
    [
        lambda: decode.flow_stats([replies.group_desc([])]),
        lambda: decode.flow_stats([messages.barrier()]),
        lambda: decode.meter_features([]),
        lambda: decode.packet_in(replies.packet_in(match(reg1=3), b"")),
        lambda: parts.decode_match(2 * match(reg1=3)),
        lambda: parts.decode_match(bytes.fromhex("8000000200ff")),
        lambda: parts.decode_instructions(2 * ins.goto(3)),
        lambda: decode.head(messages.barrier()[:-1]),
        lambda: requests.flow_request(requests.request(messages.group_desc_request())),
    ],
)
def test_wrong_answers_are_refused(read: Callable[[], object]) -> None:
    """Another message than the one expected, a field twice, a width that is not the field's."""
    with pytest.raises(DecodeError):
        read()
