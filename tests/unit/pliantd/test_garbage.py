"""The collector looks at what is new, and rarely at everything."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from apps.pliantd.garbage import Aside


class Knot:
    """Refers to itself: only the collector can free it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def now() -> Iterator[list[float]]:
    clock = [0.0]
    aside = Aside(lambda: clock[0], thaw_every_s=10.0)
    gc.callbacks.append(aside)
    yield clock
    gc.callbacks.remove(aside)
    gc.unfreeze()


def test_garbage_that_survived_a_collection_is_found_when_all_is_thawed(now: list[float]) -> None:
    """What survived is looked at no more, until the time has come to look at everything."""
    knot = Knot()
    watched = weakref.ref(knot)
    gc.collect()
    del knot
    gc.collect()
    assert watched() is not None
    now[0] = 10.0
    gc.collect()
    assert watched() is None


def test_new_garbage_is_collected_as_ever(now: list[float]) -> None:
    """A cycle that no collection has met yet is freed by the next one."""
    gc.collect()
    watched = weakref.ref(Knot())
    gc.collect()
    assert watched() is None
