"""Trees of queues as tests want them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import strategies as st

from controller.model.bandwidth import TrafficClass
from controller.model.queues import (
    BEST_EFFORT,
    EXPLICIT,
    OfDestination,
    OfPair,
    OfSlice,
    OfSource,
    PortQueues,
    Queue,
    Whose,
    inner_queue,
    leaf_queue,
)

RATE_KBPS = 1_000_000
MAX_DEPTH = 3
"""owners within owners; the kernel has room for six"""
_WHOSE: tuple[Whose, ...] = (
    *map(OfSlice, (1, 2, 3, 257)),
    *(OfSource(slice_, mac, second) for slice_ in (0, 1) for mac in (1, 257) for second in (False, True)),
    *(OfDestination(edge, key) for edge in (1, 2, EXPLICIT) for key in (0x401, 0x501)),
    *(OfPair(mac, key, edge) for mac in (1, 2) for key, edge in ((0x401, 1), (0x401, EXPLICIT), (0, 0))),
)


def queue(number: int, *whose: Whose, guarantee_kbps: int = 10, weight: int = 1,
          traffic_class: TrafficClass = TrafficClass.STANDARD, parent: int = 0) -> Queue:
    return Queue(number=number, whose=whose, guarantee_kbps=guarantee_kbps, ceiling_kbps=RATE_KBPS, weight=weight,
                 traffic_class=traffic_class, parent=parent)


def port(*queues: Queue) -> PortQueues:
    """With best effort, which has what is left."""
    rest = RATE_KBPS - sum(each.guarantee_kbps for each in queues if not each.parent)
    found = (queue(BEST_EFFORT, guarantee_kbps=rest), *queues)
    return PortQueues(rate_kbps=RATE_KBPS, queues=tuple(sorted(found, key=lambda each: each.number)))


@st.composite
def ports(draw: st.DrawFn) -> PortQueues:
    """Owners within owners, up to three deep; of few kinds of frames, so that two trees have much in common."""
    owners = iter(draw(st.permutations(range(1, 13))))
    frames = iter(draw(st.permutations(_WHOSE)))

    def grown(parent: int, depth: int) -> Iterator[Queue]:
        for owner in itertools.islice(owners, draw(st.integers(1, 3))):
            rate = draw(st.integers(1, 3)) * 10
            if depth and draw(st.booleans()):
                yield queue(inner_queue(owner), guarantee_kbps=rate, parent=parent)
                yield from leaves(inner_queue(owner), owner)
                yield from grown(inner_queue(owner), depth - 1)
            else:
                yield from leaves(parent, owner)

    def leaves(parent: int, owner: int) -> Iterator[Queue]:
        whose = itertools.islice(frames, draw(st.integers(0, 2)))
        yield queue(leaf_queue(owner), *whose, guarantee_kbps=draw(st.integers(1, 3)), parent=parent,
                    traffic_class=draw(st.sampled_from(TrafficClass)))

    return port(*grown(0, 2))


def check(port: PortQueues) -> None:
    """It is a tree that can be made, in which nothing is promised twice and each kind of frame has one queue."""
    by_number = {queue.number: queue for queue in port.queues}
    assert list(by_number) == sorted(by_number) and len(by_number) == len(port.queues)
    assert by_number[BEST_EFFORT].parent == 0
    leaves, whose = set(port.leaves), [each for queue in port.queues for each in queue.whose]
    assert len(whose) == len(set(whose))
    for queue in port.queues:
        assert queue in leaves or not queue.whose, "who is divided has no frames of its own"
        assert 0 <= queue.guarantee_kbps <= queue.ceiling_kbps <= port.rate_kbps and queue.weight >= 1
        assert (queue in leaves) == (queue.number % 2 == 0)
    for parent in {queue.parent for queue in port.queues}:
        bound = by_number[parent].guarantee_kbps if parent else port.rate_kbps
        assert sum(queue.guarantee_kbps for queue in port.queues if queue.parent == parent) <= bound
        steps = 0
        while parent:
            parent, steps = by_number[parent].parent, steps + 1
            assert steps <= MAX_DEPTH
