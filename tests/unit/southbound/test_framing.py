"""From bytes to frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.southbound.framing import (
    BARRIER_REPLY,
    HEADER,
    MAX_HELLO_BYTES,
    PACKET_IN,
    Framer,
    FramingError,
    hello,
    hello_failed,
    offered_versions,
)


def _frames(framer: Framer, data: bytes) -> list[bytes]:
    return list(framer.feed(data))


def _agreed() -> Framer:
    framer = Framer()
    framer.version = 4
    return framer


@given(st.lists(st.binary(max_size=40), max_size=8), st.data())
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(bodies: list[bytes], data: st.DataObject) -> None:
    """Any cut of the stream gives the same frames."""
    frames = [HEADER.pack(4, 2, 8 + len(body), n) + body for n, body in enumerate(bodies)]
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    framer, got = _agreed(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += _frames(framer, stream[start:end])
    assert got == frames
    assert framer.held_bytes == 0


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_framer_holds_one_incomplete_frame_at_most(chunks: list[bytes]) -> None:
    """Whatever arrives, it is framed, refused, or held within one frame's length."""
    framer = _agreed()
    for chunk in chunks:
        try:
            _frames(framer, chunk)
        except FramingError:
            return
        assert framer.held_bytes < 0x10000


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n", bytes.fromhex("1603010200010001"), bytes(8), b"SSH-2.0-x"])
def test_foreign_protocols_are_refused_by_their_first_bytes(garbage: bytes) -> None:
    """Not waited for until some length that their bytes happen to spell."""
    with pytest.raises(FramingError, match="not OpenFlow"):
        _frames(Framer(), garbage)


def test_lengths_that_cannot_be_are_refused() -> None:
    """A header shorter than itself, a message shorter than its fixed part, a HELLO of 60 kB."""
    with pytest.raises(FramingError, match="length 0"):
        _frames(_agreed(), HEADER.pack(4, BARRIER_REPLY, 0, 1))
    with pytest.raises(FramingError, match="length 20"):
        _frames(_agreed(), HEADER.pack(4, PACKET_IN, 20, 1))
    with pytest.raises(FramingError, match="at most"):
        _frames(Framer(), HEADER.pack(4, 0, MAX_HELLO_BYTES + 1, 1))


def test_a_change_of_version_is_refused() -> None:
    """After 1.3 was agreed on, nothing else is spoken."""
    with pytest.raises(FramingError, match="version byte 1"):
        _frames(_agreed(), HEADER.pack(1, 20, 8, 1))


def test_version_may_be_agreed_between_two_frames_of_one_read() -> None:
    """A HELLO and what follows it may arrive together."""
    framer, seen = Framer(), []
    for frame in framer.feed(hello(4) + HEADER.pack(4, 2, 8, 2)):
        framer.version = 4
        seen.append(frame[1])
    assert seen == [0, 2]


@pytest.mark.parametrize(
    ("frame", "versions"),
    [
        (hello(4), {1, 2, 3, 4}),
        (HEADER.pack(4, 0, 8, 1), {1, 2, 3, 4}),
        (HEADER.pack(6, 0, 16, 1) + bytes.fromhex("0001000800000012"), {1, 4}),
        (HEADER.pack(4, 0, 24, 1) + bytes.fromhex("0007000400000000") + bytes.fromhex("0001000800000010"), {4}),
    ],
)
def test_hello_tells_the_versions(frame: bytes, versions: set[int]) -> None:
    """By its bitmap if it has one, else everything up to its own; unknown elements are skipped by their length."""
    assert offered_versions(frame) == versions


def test_our_hello_has_no_byte_that_mininets_shell_takes_for_a_mark() -> None:
    """`mn --controller remote` telnets to us; 1 announces a process id to it, 127 the end of the output."""
    assert not set(hello(4)) & {1, 127}


@pytest.mark.parametrize("element", ["0001000000000000", "00010003", "0001ffff00000000"])
def test_hello_elements_with_impossible_lengths_are_refused(element: str) -> None:
    """A length of zero makes os-ken loop for ever."""
    with pytest.raises(FramingError, match="element"):
        offered_versions(HEADER.pack(4, 0, 16, 1) + bytes.fromhex(element))


def test_hello_failed_is_an_error_that_says_why() -> None:
    """Type HELLO_FAILED, code INCOMPATIBLE, and a text."""
    frame = hello_failed(4, 9, b"why")
    assert frame[:2] == b"\x04\x01"
    assert frame[8:] == bytes(4) + b"why"
