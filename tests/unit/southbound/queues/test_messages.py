"""Messages to the kernel's traffic control: what is written is read back, byte by byte as the kernel has it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink import nlmsg

from controller.southbound.queues import answers, messages
from controller.southbound.queues.answers import MalformedError
from controller.southbound.queues.layouts import PacketSocketMessage, TcAnswer, TcMessage
from controller.southbound.queues.messages import HANDLE, Class, Filter, Key
from tests.unit.southbound.queues.kernel import received

U32 = st.integers(0, 2**32 - 1)
MINORS, RATES = st.integers(1, 0xFFFF), st.integers(1, 50_000_000_000)
CLASSES = st.builds(Class, U32, RATES, RATES, U32, U32, U32, st.integers(0, 7))
KEYS = st.lists(st.builds(Key, st.sampled_from([-12, -8, -4, 0]), U32, U32), max_size=4).map(tuple)


@given(MINORS, CLASSES)
def test_class_is_read_as_it_is_written(minor: int, wanted: Class) -> None:
    """Also rates above 34 Gbit/s, which take an attribute of their own."""
    handle, found, _ = answers.read_class(received(messages.put_class(3, minor, wanted)))
    assert (handle, found) == (HANDLE | minor, wanted)


@given(st.integers(1, 3), st.integers(0, 255), MINORS, KEYS)
def test_filter_is_read_as_the_kernel_keeps_it(table: int, bucket: int, minor: int, keys: tuple[Key, ...]) -> None:
    """The kernel gives it a number in its bucket, and says all else as it was asked."""
    wanted = Filter(2, table=table, bucket=bucket, keys=keys, minor=minor)
    kept = messages.add_filter(3, wanted)
    kept["handle"] = table << 20 | bucket << 12 | 0x800
    assert answers.read_filter(received(kept)) == wanted._replace(handle=kept["handle"])


def test_key_is_laid_out_as_the_kernel_reads_it() -> None:
    """<linux/pkt_cls.h>: mask and value in the frame's order, then where: before the network header if negative."""
    order = messages.add_filter(3, Filter(2, table=3, bucket=7, keys=(Key(-12, 0x00FFFC00, 0x1400),), minor=5))
    received(order)
    assert bytes(order.data).endswith(bytes.fromhex("00fffc00 00001400") + (-12).to_bytes(4, sys.byteorder, signed=True)
                                      + bytes(4))


@pytest.mark.parametrize(("read", "layout", "attributes"), [
    (answers.read_qdisc, TcMessage, [("TCA_KIND", "htb"), ("TCA_OPTIONS", {})]),
    (answers.read_qdisc, TcMessage, [("TCA_KIND", messages.LEAF)]),
    (answers.read_class, TcMessage, [("TCA_KIND", "htb"), ("TCA_OPTIONS", {})]),
    (answers.read_class, TcMessage, []),
    (answers.read_filter, TcMessage, [("TCA_KIND", "u32"), ("TCA_OPTIONS", {})]),
    (answers.read_packet_socket, PacketSocketMessage, []),
])
def test_what_lacks_its_attributes_is_malformed(
    read: Callable[[nlmsg], object], layout: type[nlmsg], attributes: list[tuple[str, object]],
) -> None:
    """Told as that, whatever is missing."""
    message = layout()
    message["attrs"] = attributes
    if layout is TcMessage:
        message["handle"] = 1
    with pytest.raises(MalformedError):
        read(received(message, TcAnswer if layout is TcMessage else layout))


@given(MINORS, CLASSES, st.data())
def test_what_is_cut_off_or_garbled_is_malformed_or_something_else(
    minor: int, wanted: Class, data: st.DataObject,
) -> None:
    """Whatever comes, nothing but MalformedError is raised."""
    order = messages.put_class(3, minor, wanted)
    received(order)
    raw = bytearray(order.data)
    for at in data.draw(st.lists(st.integers(16, len(raw) - 1), max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    answer = TcAnswer(bytes(raw[:data.draw(st.integers(16, len(raw)))]))
    answer.decode()
    for read in (answers.read_class, answers.read_qdisc, answers.read_filter):
        with suppress(MalformedError):
            read(answer)
