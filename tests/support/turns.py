"""Senders that take turns under one ceiling: how much of it is used, and whether it is kept, while demand moves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from apps.lab.measure import Probe, Stream
from tests.support.fabric import Fabric, Policy
from tests.support.rig import Host

PLACES = {"a": (1, 1), "b": (1, 2), "c": (2, 1), "d": (3, 1)}
"""two hosts on leaf 1, one each on leaves 2 and 3: (leaf, port)"""
TO = {"a": "c", "b": "c", "c": "d", "d": "a"}
PAYLOAD, FRAME = 1_400, 1_442
WINDOW_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What arrived, and since when.  Rates are of frames, as a meter counts them."""

    began_s: float
    streams: Sequence[Stream]

    def rate(self, since_s: float, until_s: float) -> float:
        return sum(stream.rate_kbps(since_s=self.began_s + since_s, until_s=self.began_s + until_s)
                   for stream in self.streams) * FRAME / PAYLOAD

    def windows(self, since_s: float, until_s: float) -> list[float]:
        """Of three seconds each, beginning every half second."""
        count = int((until_s - since_s - WINDOW_S) * 2) + 1
        return [self.rate(since_s + n / 2, since_s + n / 2 + WINDOW_S) for n in range(count)]


def make_tenant(fabric: Fabric, policy: Policy) -> dict[str, Host]:
    """Tenant red with these hosts, under this policy."""
    network = fabric.create_network("red", policy=policy)
    hosts = {name: fabric.add_host(name, leaf, port_no, 11 + i)
             for i, (name, (leaf, port_no)) in enumerate(PLACES.items())}
    fabric.create_ports(network, hosts.values())
    return hosts


def start(hosts: Mapping[str, Host], name: str, kbps: int) -> Probe:
    """Have it send so much."""
    return hosts[name].probe(hosts[TO[name]], packets_per_s=kbps * 1_000 // 8 // FRAME, size_bytes=PAYLOAD)


def take_turns(hosts: Mapping[str, Host], turns: Mapping[str, tuple[float, float]], kbps: int) -> Run:
    """Let each send so much from one moment to another, seconds from now."""
    with ExitStack() as stack:
        began_s = time.monotonic()
        events = sorted((at_s, name, is_start) for name, (start_s, end_s) in turns.items()
                        for at_s, is_start in ((start_s, True), (end_s, False)))
        running, streams = {}, []
        for at_s, name, is_start in events:
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            if is_start:
                running[name] = stack.enter_context(start(hosts, name, kbps))
            else:
                streams.append(running[name].finish())
        return Run(began_s=began_s, streams=streams)
