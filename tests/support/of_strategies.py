"""Hypothesis strategies for all that the codec can encode, and nothing that a switch would refuse by form."""

from __future__ import annotations

from hypothesis import strategies as st

from controller.openflow import actions as act
from controller.openflow import instructions as ins
from controller.openflow.entries import Bucket, Flow, Group, Meter, flow
from controller.openflow.fields import FIELDS, RANK, Field
from controller.openflow.match import MatchValue, match

U8, U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
FIELD_NAMES = st.sampled_from(sorted(FIELDS))


def values(field: Field) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << field.bits) - 1)


@st.composite
def match_values(draw: st.DrawFn, field: Field) -> MatchValue:
    value = draw(values(field))
    if draw(st.booleans()):
        return value
    mask = draw(values(field))
    return value & mask, mask


@st.composite
def match_fields(draw: st.DrawFn) -> dict[str, MatchValue]:
    names = draw(st.lists(st.sampled_from(sorted(RANK)), unique=True, max_size=8))
    return {name: draw(match_values(FIELDS[name])) for name in names}


MATCHES = match_fields().map(lambda fields: match(**fields))


@st.composite
def set_fields(draw: st.DrawFn) -> bytes:
    name = draw(FIELD_NAMES)
    return act.set_field(name, draw(values(FIELDS[name])))


@st.composite
def ranges(draw: st.DrawFn, field: Field, longest: int) -> tuple[int, int]:
    """(first bit, number of bits) inside a field."""
    first_bit = draw(st.integers(0, field.subfield_bits - 1))
    return first_bit, draw(st.integers(1, min(longest, field.subfield_bits - first_bit)))


@st.composite
def loads(draw: st.DrawFn) -> bytes:
    name = draw(FIELD_NAMES)
    first_bit, bits = draw(ranges(FIELDS[name], 64))
    return act.load(name, draw(st.integers(0, (1 << bits) - 1)), first_bit, bits)


@st.composite
def moves(draw: st.DrawFn) -> bytes:
    src, dst = draw(FIELD_NAMES), draw(FIELD_NAMES)
    src_bit, bits = draw(ranges(FIELDS[src], FIELDS[dst].subfield_bits))
    dst_bit = draw(st.integers(0, FIELDS[dst].subfield_bits - bits))
    return act.move(src, dst, src_bit=src_bit, dst_bit=dst_bit, bits=bits)


@st.composite
def spreads(draw: st.DrawFn) -> bytes:
    name = draw(FIELD_NAMES)
    first_bit, bits = draw(ranges(FIELDS[name], 16))
    return act.spread(name, draw(st.integers(1, 1 << bits)), first_bit, bits)


PLAIN_ACTIONS = st.one_of(
    spreads(),
    st.builds(act.output, U32, U16),
    st.just(act.in_port()),
    st.builds(act.controller, U16, meter_id=st.none() | U32),
    st.builds(act.group, U32),
    st.builds(act.set_queue, U32),
    st.builds(act.resubmit, U8),
    st.builds(act.output_truncated, U16, U32),
    st.just(act.dec_ttl()),
    set_fields(),
    loads(),
    moves(),
)
ACTIONS = PLAIN_ACTIONS | st.lists(PLAIN_ACTIONS, max_size=3).map(lambda inner: act.clone(*inner))
ACTION_LISTS = st.lists(ACTIONS, max_size=6).map(b"".join)


@st.composite
def metadata_writes(draw: st.DrawFn) -> bytes:
    mask = draw(U64)
    return ins.write_metadata(draw(U64) & mask, mask)


def _maybe(strategy: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.just(b"") | strategy


INSTRUCTIONS = st.builds(
    ins.join,
    _maybe(st.builds(ins.meter, U32)),
    ACTION_LISTS.map(ins.apply),
    _maybe(metadata_writes()),
    _maybe(st.builds(ins.goto, U8)),
)
FLOWS: st.SearchStrategy[Flow] = st.builds(flow, U8, U8, U16, MATCHES, INSTRUCTIONS)
BUCKETS: st.SearchStrategy[Bucket] = st.builds(Bucket, ACTION_LISTS, U16, U32, U32)
GROUPS: st.SearchStrategy[Group] = st.builds(Group, U32, st.integers(0, 3), st.lists(BUCKETS, max_size=4).map(tuple))
METERS: st.SearchStrategy[Meter] = st.builds(Meter, U32, U32, U32, st.sampled_from(["kbps", "pktps"]))
