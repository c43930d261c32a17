"""When which switch is asked: often enough, never before it answered, and never so often that counting is all it does.
"""

from __future__ import annotations

from itertools import pairwise

from controller.reconcile.looks import FIRST_S, SHARE, Looks


def times(looks: Looks[str], until_s: float, *, took_s: float = 0.0, followed: bool = False) -> list[float]:
    """When switch 1 is asked, looked at from 0 on in steps of 1/16 s; it takes so long to answer."""
    asked: list[float] = []
    for step in range(int(until_s * 16)):
        now_s = step / 16
        if asked and took_s and now_s >= asked[-1] + took_s:
            looks.answered(now_s, 1, "one")
        asked += [now_s for _ in looks.due(now_s, {1: "one"}, followed=followed)]
        if asked and not took_s:
            looks.answered(now_s, 1, "one")
    return asked


def gaps(moments: list[float]) -> list[float]:
    return [round(later - earlier, 2) for earlier, later in pairwise(moments)]


def test_switch_is_asked_at_once_and_then_every_period() -> None:
    """The first period is cut, by another part for each switch, so that not all are asked together for ever."""
    first, *others = gaps(times(Looks(period_s=5), 30))
    assert 2.5 <= first <= 5 and set(others) == {5.0}


def test_followed_switch_is_asked_every_second() -> None:
    """And soon again at the beginning: two looks make a rate."""
    assert set(gaps(times(Looks(), 10, followed=True))) == {1.0}
    looks: Looks[str] = Looks()
    looks.due(0.0, {1: "one"}, followed=False)
    looks.answered(0.0, 1, "one")
    looks.hurry_all(looks=2)
    assert gaps(times(looks, 5, followed=True))[:2] == [FIRST_S, 1.0]


def test_switch_that_answers_slowly_rests() -> None:
    """It is asked so seldom that answering takes a small share of its time."""
    asked = times(Looks(period_s=1), 100, took_s=0.5)
    assert len(asked) * 0.5 / 100 <= SHARE * 1.2


def test_switch_that_never_answers_is_asked_once() -> None:
    """Also when somebody is in a hurry; a new connection begins anew, and the answer of the old one is nobody's."""
    looks: Looks[str] = Looks()
    assert looks.due(0.0, {1: "old"}, followed=True) == [1]
    looks.hurry_all(looks=5)
    assert looks.due(1_000.0, {1: "old"}, followed=True) == []
    assert looks.due(1_000.0, {1: "new"}, followed=True) == [1]
    assert not looks.answered(1_000.0, 1, "old")
    assert looks.answered(1_000.0, 1, "new")
    assert looks.due(2_000.0, {}, followed=True) == []
