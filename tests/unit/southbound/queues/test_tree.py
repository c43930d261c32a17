"""A port's queues as classes, leaves and filters: which frame goes where, and what a change takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.model.bandwidth import TrafficClass
from controller.model.queues import (
    BEST_EFFORT,
    OfPair,
    OfSlice,
    OfSource,
    PortQueues,
    inner_queue,
    leaf_queue,
)
from controller.southbound.queues import tree
from controller.southbound.queues.messages import HANDLE
from controller.southbound.queues.sockets import frames_at_once
from controller.southbound.queues.tree import CONTROL, REST, TOP, Tree
from tests.support.queue_trees import RATE_KBPS, port, queue

HEADER_BYTES = 14
EDGE_ID = 0x21
SLICE_NUMBERS, MACS, KEYS = st.integers(1, 16_383), st.integers(1, 2**48 - 1), st.integers(1 << 10, 2**24 - 1)


@st.composite
def ports(draw: st.DrawFn) -> PortQueues:
    slices = draw(st.lists(SLICE_NUMBERS, max_size=8, unique=True))
    pairs = draw(st.lists(st.tuples(MACS, KEYS | st.just(0)), max_size=8, unique=True))
    rates, weights = st.integers(1, 5_000), st.integers(1, 10**9)
    return port(
        *(queue(n, OfSlice(n), guarantee_kbps=draw(rates), weight=draw(weights)) for n in sorted(slices)),
        *(queue(16_385 + n, OfPair(*pair, EDGE_ID), guarantee_kbps=draw(rates)) for n, pair in enumerate(pairs)))


def frame(*, source_mac: int, key24: int, label16: int = 0x0421) -> bytes:
    """Under a label; what comes after the addresses does not matter."""
    return bytes([0x02]) + label16.to_bytes(2) + key24.to_bytes(3) + source_mac.to_bytes(6) + b"\x08\x00" + bytes(40)


def classify(wanted: Tree, sent: bytes) -> int:
    """As the kernel does it: priority by priority, the one bucket of each table, the first filter that fits."""
    def word(at: int) -> int:
        return int.from_bytes(sent[HEADER_BYTES + at:HEADER_BYTES + at + 4])

    for table in sorted({entry.table for entry in wanted.entries}, key=lambda table: (table.priority, table.number)):
        bucket = (word(table.at) & table.mask) >> table.shift & 0xFF
        for entry, minor in wanted.entries.items():
            here = entry.table == table and table.bucket(entry.keys) == bucket
            if here and all(word(key.at) & key.mask == key.value for key in entry.keys):
                return minor
    return REST


@given(ports(), st.data())
def test_frame_goes_to_its_pipe_else_its_tenant_else_the_rest(queues: PortQueues, data: st.DataObject) -> None:
    """Whatever label it has and whatever network or port it is for."""
    wanted = tree.tree_of(queues, 8)
    owners = {each: queue for queue in queues.queues for each in queue.whose}
    pairs = [each for each in owners if isinstance(each, OfPair)]
    near = st.sampled_from([each[:2] for each in pairs]) if pairs else st.nothing()
    source_mac, key24 = data.draw(st.tuples(MACS, KEYS) | near)
    if not key24:
        key24 = data.draw(KEYS)
    inside, at_end, tenant = OfPair(source_mac, key24, EDGE_ID), OfPair(source_mac, 0, EDGE_ID), OfSlice(key24 >> 10)
    expected = next((owners[each].number for each in (inside, at_end, tenant) if each in owners), REST)
    label16 = EDGE_ID << 5 | data.draw(st.integers(0, 31))
    assert classify(wanted, frame(source_mac=source_mac, key24=key24, label16=label16)) == expected


def test_probes_and_bfd_are_control() -> None:
    """LLDP and BFD between switches have no slice; on an access port there is none of either."""
    wanted = tree.tree_of(port(queue(5, OfSlice(5))), 8)
    for destination in (0x0180C200000E, 0x002320000001):
        assert classify(wanted, destination.to_bytes(6) + bytes(60)) == CONTROL
    assert CONTROL not in tree.tree_of(port(queue(16_385, OfPair(1, 0, 0))), 8).classes


@given(ports())
def test_rates_add_up_and_turns_are_no_shorter_than_a_frame(queues: PortQueues) -> None:
    """The children have the port's rate between them; each may borrow up to its ceiling, a frame or more at a time."""
    classes = dict(tree.tree_of(queues, 8).classes)
    top = classes.pop(TOP)
    assert top.rate == top.ceiling == RATE_KBPS * 125
    assert sum(each.rate for each in classes.values()) == top.rate
    for each in classes.values():
        assert each.parent == HANDLE | TOP
        assert 0 < each.rate <= each.ceiling <= top.rate
        assert 1_514 <= each.quantum <= 60 * 1_514
        assert each.burst * 64 * each.rate >= 3 * 1_514 * 10**9  # fewer at once, and timers would limit the rate


def test_weights_are_told_apart_within_a_class() -> None:
    """Three times the weight, three times the turn; classes of traffic do not meet."""
    critical = TrafficClass.CRITICAL
    found = tree.tree_of(port(
        queue(1, OfSlice(1), weight=45_000, traffic_class=critical),
        queue(2, OfSlice(2), weight=15_000, traffic_class=critical), queue(3, OfSlice(3), weight=7)), 8).classes
    assert (found[1].quantum, found[2].quantum, found[3].quantum) == (3 * 1_514, 1_514, 7 * 1_514)
    assert (found[1].priority, found[3].priority) == (0, 1)


def test_leaves_are_short_where_all_ports_share_a_socket() -> None:
    """Eighty frames between them of the ninety-two it holds, eight at least; no port has more than milliseconds."""
    frames = frames_at_once(())
    assert [tree.shared_limit(frames, n) for n in (0, 1, 2, 10, 11, 1_000)] == [80, 80, 40, 8, 8, 8]
    assert [tree.leaf_limit(kbps) for kbps in (64, 100_000, 100_000_000)] == [8, 165, 1_000]


def test_parts_of_an_owner_share_its_room_by_what_they_are_guaranteed() -> None:
    """However many an owner has, others have theirs; on an access port all are one tenant's.  Where nobody shares a
    socket, each may be as long as any.
    """
    inner = inner_queue(1)
    parts = [queue(leaf_queue(n), OfSource(5, n), guarantee_kbps=kbps, parent=inner)
             for n, kbps in ((2, 300), (3, 100))]
    rest = queue(leaf_queue(1), OfSlice(5), guarantee_kbps=1, parent=inner)
    divided = port(queue(inner, guarantee_kbps=401), rest, *parts, queue(leaf_queue(9), OfSlice(9)))
    limits = tree.tree_of(divided, 100, 40).limits
    assert limits == {leaf_queue(1): 4, leaf_queue(2): 29, leaf_queue(3): 9, leaf_queue(9): 40, REST: 40, CONTROL: 40}
    assert set(tree.tree_of(divided, 100).limits.values()) == {100}
    assert max(tree.tree_of(divided, 8, 40).limits.values()) == 8
    access = PortQueues(rate_kbps=100, queues=(
        queue(BEST_EFFORT, guarantee_kbps=25), queue(leaf_queue(2), OfSource(0, 2), guarantee_kbps=75)))
    assert tree.tree_of(access, 100, 40).limits == {REST: 10, leaf_queue(2): 30}
