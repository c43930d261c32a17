"""Warnings about peers."""

from __future__ import annotations

from structlog.testing import capture_logs

from controller.southbound import complaints
from controller.southbound.complaints import Complaints


def test_a_noisy_peer_is_logged_a_few_times_per_period_and_the_rest_is_counted() -> None:
    """Another peer is not silenced with it."""
    now = [0.0]
    book = Complaints(lambda: now[0])
    with capture_logs() as logs:
        assert [book.warn("switch_refused", "a") for _ in range(7)] == [True] * 5 + [False] * 2
        assert book.warn("switch_refused", "b")
        now[0] = complaints.PERIOD_S
        assert book.warn("switch_refused", "a", reason="again")
    assert len(logs) == 7
    assert logs[-1] | {"peer": "a", "reason": "again", "left_out": 2} == logs[-1]


def test_memory_is_bounded_by_peers() -> None:
    """A million peers leave a thousand notes."""
    book = Complaints(lambda: 0.0)
    with capture_logs():
        for peer in range(complaints.MAX_PEERS * 2):
            book.warn("x", str(peer))
    assert len(book._periods) == complaints.MAX_PEERS
