"""What queues on a port cost: a frame for finding its own among many, and pliantd for making and changing them.

The kernel alone, without a switch: frames from a packet socket, as ovs-vswitchd sends them, to veths whose queues hold
nothing up.  Each number of queues has a device of its own, and blocks of frames go round the devices, so that whatever
else the machine does meets all of them.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from apps.lab.sandbox import Sandbox
from bench.figures import Report, median, milliseconds
from controller.fabric.labels import label16
from controller.fabric.ports import SwitchPort
from controller.model.queues import (
    BEST_EFFORT,
    OfDestination,
    OfSlice,
    OfSource,
    PortQueues,
    Queue,
    inner_queue,
    leaf_queue,
)
from controller.southbound.queues.netlink import Netlink
from controller.southbound.queues.tc import Tc
from tests.support.netns import inside

RATE_KBPS = 100_000_000
FAMILY = 25
"""queues under one inner one"""
BLOCK_FRAMES = 2_000
EDGE_ID = 7
NOBODYS = 16_000
"""a slice"""


def run(*, quick: bool = False) -> Iterator[Report]:
    counts, rounds = ((10, 100), 3) if quick else ((1, 10, 100, 500), 60)
    report = Report(
        title="queues on one port: what each frame and each change costs",
        columns=("queues", "a frame that has one", "a frame of the rest", "making them", "changing one", "looking"),
        notes=(f"frames: medians of {rounds} blocks of {BLOCK_FRAMES}, the system call included; in brackets as a "
               "multiple of a port without queues", f"a third of the queues each by slice, source and destination; "
               f"{FAMILY} under one inner one", "looking: when nothing is to be done"))
    with Sandbox() as sandbox:
        devices = [_add_device(sandbox, count) for count in (0, *counts)]
        took = [_make(sandbox, device, count) for device, count in zip(devices[1:], counts, strict=True)]
        rest = [_frame(OfSlice(NOBODYS))]
        own = _measure(sandbox, devices, [rest, *map(_frames, counts)], rounds)
        others = _measure(sandbox, devices, [rest] * len(devices), rounds)
    for count, *frames, times in zip(counts, own[1:], others[1:], took, strict=True):
        told = [f"{1e6 * each:.2f} µs ({each / bare:.2f})"
                for each, bare in zip(frames, (own[0], others[0]), strict=True)]
        report.add(str(count), *told, *map(milliseconds, times))
    report.add("none", "", f"{1e6 * others[0]:.2f} µs (1)", "", "", "")
    yield report


def _add_device(sandbox: Sandbox, count: int) -> SwitchPort:
    name = f"q{count}"
    sandbox.run("sh", "-ec", f"ip link add {name} type veth peer name {name}x; ip link set {name} up; "
                f"ip link set {name}x up")
    (link,) = json.loads(sandbox.run("ip", "-j", "link", "show", name))
    return SwitchPort(port_no=count + 1, name=name, mac=link["address"], up=True)


def _make(sandbox: Sandbox, device: SwitchPort, count: int) -> list[float]:
    """Seconds for making them all, for changing the rate of one, and for finding that nothing is to be done."""
    tc, queues = Tc(lambda family: inside(sandbox, lambda: Netlink(family))), _port(count)
    *others, last = queues.queues
    changed = replace(queues, queues=(*others, replace(last, guarantee_kbps=last.guarantee_kbps + 1)))
    took: list[float] = []
    for wanted in (queues, changed, changed):
        begun_s = time.perf_counter()
        brought = asyncio.run(tc.bring(1, {device: wanted}))
        took.append(time.perf_counter() - begun_s)
        assert not brought.faults, brought.faults
    return took


def _port(count: int) -> PortQueues:
    """So many leaves in families, beside the rest."""
    kbps = RATE_KBPS // 2 // count
    queues = [Queue(number=BEST_EFFORT, whose=(), guarantee_kbps=RATE_KBPS // 4, ceiling_kbps=RATE_KBPS)]
    for n, whose in enumerate(_whose(count)):
        family = inner_queue(10_000 + n // FAMILY)
        if n % FAMILY == 0:
            size = min(FAMILY, count - n)
            queues.append(Queue(number=family, whose=(), guarantee_kbps=size * kbps, ceiling_kbps=RATE_KBPS))
        queues.append(Queue(
            number=leaf_queue(n + 1), whose=(whose,), guarantee_kbps=kbps, ceiling_kbps=RATE_KBPS, parent=family))
    return PortQueues(rate_kbps=RATE_KBPS, queues=tuple(sorted(queues, key=lambda queue: queue.number)))


def _whose(count: int) -> list[OfSlice | OfSource | OfDestination]:
    """In turn by slice, source and destination, as networks of FAMILY ports would have them."""
    found: list[OfSlice | OfSource | OfDestination] = []
    for n in range(count):
        network = n // FAMILY + 1
        one_of = OfSlice(n + 1), OfSource(network, _mac(n)), OfDestination(EDGE_ID, network << 10 | n % FAMILY)
        found.append(one_of[n % 3])
    return found


def _mac(n: int) -> int:
    return 0x020000000000 | n * 40_503 % 2**24


def _frames(count: int) -> list[bytes]:
    """To a hundred of the queues by chance."""
    return [_frame(whose) for whose in random.Random(count).choices(_whose(count), k=100)]


def _frame(whose: OfSlice | OfSource | OfDestination) -> bytes:
    source, edge_id, key24 = _mac(99_999), EDGE_ID + 1, 0
    match whose:
        case OfSlice(slice_):
            key24 = slice_ << 10 | 1023
        case OfSource(slice_, source):
            key24 = slice_ << 10 | 1023
        case OfDestination(edge_id, key24):
            pass
    label = label16(edge_id, 0).to_bytes(2) + key24.to_bytes(3)
    return b"\x02" + label + source.to_bytes(6) + b"\x08\x00" + bytes(50)


def _measure(
    sandbox: Sandbox, devices: Sequence[SwitchPort], frames: Sequence[Sequence[bytes]], rounds: int,
) -> list[float]:
    """Seconds for one frame to each of the devices."""
    senders: list[socket.socket] = []
    for device in devices:
        senders.append(inside(sandbox, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)))
        senders[-1].bind((device.name, 0))
    took: list[list[float]] = [[] for _ in devices]
    for _ in range(rounds):
        for sender, sent, times in zip(senders, frames, took, strict=True):
            block = (list(sent) * (BLOCK_FRAMES // len(sent) + 1))[:BLOCK_FRAMES]
            begun_s = time.perf_counter()
            for frame in block:
                sender.send(frame)
            times.append((time.perf_counter() - begun_s) / BLOCK_FRAMES)
    for sender in senders:
        sender.close()
    return [median(times) for times in took]
