"""Xids, chunks, errors by frame, the window."""

from __future__ import annotations

from controller.openflow.messages import barrier
from controller.southbound import transactions
from controller.southbound.transactions import Request, Submit, Transactions, chunk, spans, stamped

FRAME = b"\x04\x0e\x00\x10" + bytes(12)


def _queued(book: Transactions, count: int, span: int = 5) -> Submit:
    submit, frames = Submit(), [FRAME] * count
    for start in range(0, count, span):
        piece = slice(start, min(start + span, count))
        book.wait([chunk(frames, piece, book.block(piece.stop - piece.start + 1), 4, submit)])
    return submit


def _xids(data: bytes) -> list[int]:
    xids, start = [], 0
    while start < len(data):
        xids.append(int.from_bytes(data[start + 4:start + 8], "big"))
        start += int.from_bytes(data[start + 2:start + 4], "big")
    return xids


def test_chunk_stamps_consecutive_xids_and_ends_with_a_barrier() -> None:
    """Frame n carries the n-th xid, the barrier the last."""
    made = chunk([FRAME, FRAME], slice(0, 2), 7, 4, Submit())
    assert _xids(made.data) == [7, 8, 9]
    assert made.data.endswith(stamped(barrier(), 9))


def test_submit_is_cut_by_frames_and_by_bytes(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Chunks cover all frames in order; no frame is lost, and none makes an empty chunk."""
    monkeypatch.setattr(transactions, "CHUNK_FRAMES", 3)
    monkeypatch.setattr(transactions, "CHUNK_BYTES", 100)
    assert spans([FRAME] * 7) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert spans([bytes(60)] * 3) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert spans([bytes(500)] * 2) == [slice(0, 1), slice(1, 2)]
    assert spans([]) == [slice(0, 0)]


def test_errors_are_mapped_to_frames_across_chunks() -> None:
    """An error's index counts from the first frame of the submit, whichever chunk it was in."""
    book = Transactions()
    submit = _queued(book, 12)
    sent = [_xids(data) for data in book.release(0)]
    assert book.error(sent[2][1], 5, 1, "t")
    assert book.error(sent[0][3], 5, 2, "t")
    for xids in sent:
        assert not submit.future.done()
        assert book.barrier(xids[-1])
    assert [(error.index, error.code) for error in submit.future.result(0)] == [(3, 2), (11, 1)]
    assert book.unconfirmed_bytes == 0


def test_window_holds_back_and_releases_in_order() -> None:
    """Beyond the window only a confirmation lets the next chunk out; one chunk may always be on its way."""
    book = Transactions(window_bytes=1)
    submit = _queued(book, 15)
    for _ in range(3):
        (data,) = book.release(0)
        assert list(book.release(0)) == []
        assert book.barrier(_xids(data)[-1])
    assert submit.future.result(0) == []


def test_an_error_that_carries_the_barriers_xid_is_no_frames_error() -> None:
    """Indexes stay within the submit."""
    book = Transactions()
    submit = _queued(book, 2)
    (data,) = book.release(0)
    assert not book.error(_xids(data)[-1], 1, 1, "t")
    book.barrier(_xids(data)[-1])
    assert submit.future.result(0) == []


def test_blocks_never_wrap() -> None:
    """At the end of the 32 bits counting starts anew; a block stays consecutive and 0 is never used."""
    book = Transactions(next_xid=0xFFFFFFFD)
    assert book.block(2) == 0xFFFFFFFD
    assert book.block(2) == 1
    assert book.block(1) == 3


def test_request_collects_its_parts_and_refusals_end_it() -> None:
    """Replies with MORE are collected through the reader; an error fails the request with its name."""
    book = Transactions()
    one, two = (Request(stamped(FRAME, xid), xid, lambda frame: [frame[-1]]) for xid in (1, 2))
    book.wait([one, two])
    assert len(list(book.release(0))) == 2
    assert book.reply(1, b"\x01", 1, more=True)
    assert book.reply(1, b"\x02", 2, more=False)
    assert one.future.result(0) == [1, 2]
    assert book.error(2, 1, 6, "BAD_REQUEST/EPERM")
    assert "EPERM" in str(two.future.exception(0))
    assert not book.reply(2, b"", 3, more=False)
    assert not book.barrier(1)


def test_patience_counts_from_the_last_sign() -> None:
    """A dump that keeps coming is not overdue."""
    book = Transactions()
    book.wait([Request(stamped(FRAME, 1), 1, lambda frame: [])])
    assert book.unanswered_since_s() is None
    list(book.release(10))
    assert book.unanswered_since_s() == 10
    book.reply(1, b"", 15, more=True)
    assert book.unanswered_since_s() == 15


def test_futures_cannot_be_cancelled() -> None:
    """What was sent was sent; a cancelled future would make its completion fail."""
    assert not Submit().future.cancel()
