"""rtnetlink messages: what is written is read back, and nothing that comes does harm."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.southbound.queues import messages
from controller.southbound.queues.messages import HANDLE, Class, Filter, Key, MalformedError
from controller.southbound.queues.sockets import read_packet_socket

U32 = st.integers(0, 2**32 - 1)
MINORS, RATES = st.integers(1, 0xFFFF), st.integers(1, 50_000_000_000)
CLASSES = st.builds(Class, U32, RATES, RATES, U32, U32, U32, st.integers(0, 7))
KEYS = st.lists(st.builds(Key, st.sampled_from([-12, -8, -4, 0]), U32, U32), max_size=4).map(tuple)
READERS = (messages.read_device, messages.read_qdisc, messages.read_class, messages.read_filter, read_packet_socket)


def body(order: bytes) -> bytes:
    (message,) = messages.split(order)
    return message.body


@given(MINORS, CLASSES)
def test_class_is_read_as_it_is_written(minor: int, wanted: Class) -> None:
    """Also rates above 34 Gbit/s, which take an attribute of their own."""
    handle, found, _ = messages.read_class(body(messages.put_class(3, minor, wanted)))
    assert (handle, found) == (HANDLE | minor, wanted)


@given(st.integers(1, 3), st.integers(0, 255), MINORS, KEYS)
def test_filter_is_read_as_the_kernel_keeps_it(table: int, bucket: int, minor: int, keys: tuple[Key, ...]) -> None:
    """The kernel gives it a number in its bucket, and says all else as it was asked."""
    wanted = Filter(2, table=table, bucket=bucket, keys=keys, minor=minor)
    order = bytearray(body(messages.add_filter(3, wanted)))
    number = table << 20 | bucket << 12 | 0x800
    order[8:12] = number.to_bytes(4, sys.byteorder)
    assert messages.read_filter(bytes(order)) == wanted._replace(handle=number)


@pytest.mark.parametrize("read", READERS)
@given(data=st.binary(max_size=200))
def test_garbage_is_malformed_and_nothing_worse(read: Callable[[bytes], object], data: bytes) -> None:
    """Whatever the bytes."""
    try:
        read(data)
        list(messages.split(data))
    except MalformedError:
        pass


@pytest.mark.parametrize("length", range(0, 80, 3))
def test_message_that_is_cut_off_is_malformed(length: int) -> None:
    """At any byte."""
    order = messages.put_class(3, 5, Class(HANDLE, 1, 1, 1, 1, 1, 1))
    with pytest.raises(MalformedError):
        messages.read_class(body(order)[:length])


def test_kernels_refusal_is_told_in_its_words() -> None:
    """With the request in whole or without, with an explanation or none."""
    request = messages.delete_root(3)
    explanation = b"\x13\x00\x01\x00Invalid handle\0\0"
    minus_22 = (-22).to_bytes(4, sys.byteorder, signed=True)

    def told(flags: int, data: bytes) -> tuple[int, str]:
        return messages.refusal(messages.Message(kind=messages.ERROR, flags=flags, sequence=1, body=data))

    assert told(0x300, minus_22 + request[:16] + explanation) == (22, "Invalid handle")
    assert told(0x200, minus_22 + request + explanation) == (22, "Invalid handle")
    assert told(0, minus_22 + request) == (22, "")
    assert told(0x100, bytes(4) + request[:16]) == (0, "")
    for length in range(20):
        with pytest.raises(MalformedError):
            told(0, bytes(length))
