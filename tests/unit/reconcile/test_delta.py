"""The tracker of wanted and installed entries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.reconcile.delta import Tracker

KEYS = st.integers(0, 5)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), KEYS, st.none() | st.integers(0, 2)),
        st.tuples(st.just("found"), KEYS, st.none() | st.integers(0, 2)),
        st.tuples(st.just("found_all"), st.dictionaries(KEYS, st.integers(0, 2)), st.none()),
    ),
)


@given(EDITS)
def test_tracker_difference_is_that_of_its_two_views(edits: list[tuple]) -> None:
    """After any edits, puts and deletes are exactly what turns installed into desired."""
    tracker: Tracker[int, int] = Tracker()
    for verb, key, value in edits:
        if verb == "found_all":
            tracker.found_all(key.items())
        else:
            getattr(tracker, verb)(key, value)
    result = dict(tracker.installed)
    for key, value, held in tracker.puts():
        assert held == tracker.installed.get(key)
        result[key] = value
    for key in tracker.deletes():
        del result[key]
    assert result == tracker.desired
    assert tracker.in_sync == (tracker.desired == tracker.installed)


def test_tracker_believes_what_was_confirmed_during_a_reading() -> None:
    """It says what was there before, or not; it is no drift, and what drifted beside it is still found."""
    tracker: Tracker[str, int] = Tracker()
    for key in ("kept", "removed", "rewritten", "lost"):
        tracker.want(key, 1)
        tracker.found(key, 1)
    tracker.begin_read()
    for key, value in (("removed", None), ("rewritten", 2), ("new", 1)):
        tracker.want(key, value)
        tracker.found(key, value)
    assert tracker.found_all({"kept": 1, "removed": 1, "rewritten": 1}.items()) == 1
    assert tracker.installed == {"kept": 1, "rewritten": 2, "new": 1}
    assert tracker.puts() == [("lost", 1, None)] and tracker.deletes() == []
    assert tracker.found_all({"kept": 1, "rewritten": 1, "new": 1}.items()) == 1, "the next reading is believed again"


def test_tracker_counts_what_drifted() -> None:
    """A re-read counts entries changed, missing and foreign, each once."""
    tracker: Tracker[str, int] = Tracker()
    tracker.found_all({"kept": 1, "changed": 1, "lost": 1}.items())
    assert tracker.found_all({"kept": 1, "changed": 2, "foreign": 1}.items()) == 3
