"""From bytes to JSON-RPC messages, however the stream is cut and whatever comes."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.southbound.ovsdb.framing import MAX_DEPTH, Framer, FramingError

texts = st.text(alphabet=st.sampled_from('{}[]"\\ ,:aé\u2028\n'))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8)
messages = st.lists(st.dictionaries(texts, values, max_size=4), max_size=5)


def feed(framer: Framer, chunks: list[bytes]) -> list[dict[str, Any]]:
    return [message for chunk in chunks for message in framer.feed(chunk)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


@given(messages, st.lists(st.integers(min_value=0), max_size=20), st.booleans(), st.sampled_from(["", " ", "\n\t"]))
def test_framer_finds_every_message_however_the_stream_is_cut(
    sent: list[dict[str, Any]], places: list[int], ascii_only: bool, between: str
) -> None:
    """Braces and quotes inside of strings, and characters cut in the middle, mislead nobody; nothing is left over."""
    data = between.join([*(json.dumps(each, ensure_ascii=ascii_only) for each in sent), ""]).encode()
    framer = Framer()
    assert feed(framer, cut(data, places)) == sent
    assert framer.held_bytes == 0


@given(messages)
def test_framer_takes_one_byte_at_a_time(sent: list[dict[str, Any]]) -> None:
    """The slowest peer there is."""
    data = "".join(json.dumps(each) for each in sent).encode()
    assert feed(Framer(), [data[at:at + 1] for at in range(len(data))]) == sent


@given(st.lists(st.binary(max_size=60), max_size=10))
@example([b'{"a":'])
@example([b'{"a":"\\', b'"}"}'])
@example([b"}"])
def test_framer_raises_nothing_but_its_own_error(chunks: list[bytes]) -> None:
    """Noise ends in FramingError, or is held because it may still become a message."""
    framer = Framer(max_bytes=100)
    try:
        feed(framer, chunks)
    except FramingError:
        return
    assert framer.held_bytes <= 100


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"HTTP/1.1 400 Bad Request", "something else than a JSON object"),
        (b"[1]", "something else than a JSON object"),
        (b'{"a": tru}', "no JSON"),
        (b'{"a": "\xff"}', "no JSON"),
        (b'{"a": ' * (MAX_DEPTH + 1), "nested more than"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "no JSON"),
    ],
)
def test_framer_says_what_is_wrong(data: bytes, says: str) -> None:
    """Each kind of malformed input has its words."""
    with pytest.raises(FramingError, match=says):
        feed(Framer(), [data])


def test_framer_holds_no_more_than_its_bound() -> None:
    """A message that does not end is given up when it is too long, not when memory is."""
    framer = Framer(max_bytes=1_000)
    with pytest.raises(FramingError, match="more than 1000 bytes"):
        feed(framer, [b'{"a": "'] + [b"x" * 100] * 20)


@pytest.mark.parametrize("filler", [b"x", b"\\\\", b"}", b'"",', b"[[[["])
def test_framer_looks_at_each_byte_once(filler: bytes) -> None:
    """Twice as long a message in small pieces takes about twice the time: no piece makes it begin again."""
    def cost_s(pieces: int) -> float:
        framer, piece = Framer(), filler * (1_000 // len(filler))
        list(framer.feed(b'{"a": "' if filler != b'"",' else b'{"a": ['))
        start_s = time.process_time()
        for _ in range(pieces):
            list(framer.feed(piece))
        return time.process_time() - start_s

    cost_s(100)
    assert cost_s(4_000) < 8 * max(cost_s(1_000), 0.005)
