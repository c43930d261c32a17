"""The scene that matters: bandwidth that is guaranteed when it is needed, and lent while it is not.

Both tenants send from leaf1 over its one uplink in use, 40 Mbit/s.  Red floods it by UDP for as long as the scene lasts
and is guaranteed 10; blue comes with one TCP connection, is guaranteed 25, and goes again.  At last a window of red's
schedule opens and holds it to 15.  What arrives is read from the receivers' interfaces.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp
from pliant.v1.common_pb2 import BandwidthOverride, BandwidthPolicy, BandwidthWindow
from pliant.v1.fabric_pb2 import Link, Switch
from pliant.v1.tenant_pb2 import Tenant

from apps.lab.crew import Crew, Member
from apps.lab.fabric import Fabric
from apps.lab.plot import Line, draw
from apps.lab.table import Board
from apps.lab.wait import eventually

LINK_KBPS, RED_KBPS, BLUE_KBPS, WINDOW_KBPS = 40_000, 10_000, 25_000, 15_000
PLOT = Path("pliant-demo.png")
_LOOK_S = 0.25
_PHASE_S, _SETTLE_S = 4.0, 1.5
"""How long each act lasts, and how much of its beginning TCP gets to find its rate."""
_FLOOD = ("--udp", "--bitrate", "60M", "--length", "1400")
_TCP = ("--congestion", "cubic")
_MOST = 0.85
"""How much of the link, or of a guarantee, a busy machine has to carry."""
_BAR_KBPS = 2_500
"""What one block of a bar stands for."""


@dataclass(slots=True, kw_only=True)
class Meter:
    """Reads what a host receives; keeps every reading."""

    member: Member
    seen: list[tuple[float, int]] = field(default_factory=list)
    """monotonic s, bytes of Ethernet frames since the interface is there"""

    def look(self) -> None:
        host, name = self.member.host, f"{self.member.name}-eth0"
        with host.popen(["ip", "-json", "-stats", "link", "show", name], stdout=subprocess.PIPE, text=True) as process:
            (link,) = json.loads(process.stdout.read())
        self.seen.append((time.monotonic(), link["stats64"]["rx"]["bytes"]))

    def rate_kbps(self, since_s: float, until_s: float) -> float:
        """The mean between the readings next to these moments."""
        inside = [look for look in self.seen if since_s <= look[0] <= until_s]
        (began_s, before), (ended_s, after) = inside[0], inside[-1]
        return (after - before) * 8e-3 / (ended_s - began_s)

    def rates(self) -> tuple[list[float], list[float]]:
        """Moments, and the rate in Mbit/s that each reading found."""
        steps = list(zip(self.seen, self.seen[1:], strict=False))
        return [at for _, (at, _) in steps], [(new - old) * 8e-6 / (at - was) for (was, old), (at, new) in steps]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A stretch of the scene that one row judges."""

    began_s: float
    ended_s: float

    def rate_kbps(self, meter: Meter) -> float:
        return meter.rate_kbps(self.began_s + _SETTLE_S, self.ended_s)


def run(board: Board, fabric: Fabric, red: Crew, blue: Crew) -> None:
    """Measure the rows, and save the picture."""
    with _one_uplink(fabric):
        _set(fabric, red, BandwidthPolicy(guarantee_out_kbps=RED_KBPS))
        _set(fabric, blue, BandwidthPolicy(guarantee_out_kbps=BLUE_KBPS))
        meters = [Meter(member=crew.members[1]) for crew in (red, blue)]
        boundary_s = _play(board, fabric, red, blue, meters)
    _picture(meters, boundary_s)
    for crew in (red, blue):
        _set(fabric, crew, BandwidthPolicy())
    board.doing(f"plot of what each tenant got: {PLOT.resolve()}")


def _play(board: Board, fabric: Fabric, red: Crew, blue: Crew, meters: Sequence[Meter]) -> float:
    """All acts; returns the monotonic moment at which the schedule's window opens."""
    wanted = f"{_MOST * LINK_KBPS / 1000:.0f} Mbit/s at least"
    with _sending(red, _FLOOD):
        with board.row("red, guaranteed 10 of 40 Mbit/s, is alone and borrows all", wanted=wanted) as row:
            act = _act(board, meters)
            row.measured(_bars(act, meters), holds=act.rate_kbps(meters[0]) >= _MOST * LINK_KBPS)
        with board.row("blue comes, guaranteed 25, by TCP; red floods on", wanted="blue has 21 at least") as row:
            with _sending(blue, _TCP):
                act = _act(board, meters)
            row.measured(_bars(act, meters), holds=act.rate_kbps(meters[1]) >= _MOST * BLUE_KBPS)
        with board.row("blue goes: what it leaves is lent again", wanted=wanted) as row:
            act = _act(board, meters)
            row.measured(_bars(act, meters), holds=act.rate_kbps(meters[0]) >= _MOST * LINK_KBPS)
        with board.row("a window of red's schedule opens: at most 15 Mbit/s", wanted="12 to 15.8 Mbit/s") as row:
            boundary_s = _schedule(fabric, red)
            while time.monotonic() < boundary_s:
                _look(board, meters)
            act = _act(board, meters)
            row.measured(_bars(act, meters), holds=12_000 <= act.rate_kbps(meters[0]) <= 15_750)
    return boundary_s


def _act(board: Board, meters: Sequence[Meter]) -> Act:
    began_s = time.monotonic()
    while time.monotonic() < began_s + _PHASE_S:
        _look(board, meters)
    return Act(began_s=began_s, ended_s=time.monotonic())


def _look(board: Board, meters: Sequence[Meter]) -> None:
    """One reading of each, and the bars as of now."""
    due_s = time.monotonic() + _LOOK_S
    for meter in meters:
        meter.look()
    if all(len(meter.seen) > 1 for meter in meters):
        rates = [meter.rates()[1][-1] * 1000 for meter in meters]
        board.shows("   ".join(_bar(name, rate) for name, rate in zip(("red", "blue"), rates, strict=True)))
    time.sleep(max(0.0, due_s - time.monotonic()))  # readings are evenly apart


def _bars(act: Act, meters: Sequence[Meter]) -> str:
    names = ("red ", "blue")
    return "\n".join(_bar(name, act.rate_kbps(meter)) for name, meter in zip(names, meters, strict=True))


def _bar(name: str, rate_kbps: float) -> str:
    return f"{name} {'█' * round(rate_kbps / _BAR_KBPS):<{LINK_KBPS // _BAR_KBPS}} {rate_kbps / 1000:4.1f}"


def _schedule(fabric: Fabric, crew: Crew) -> float:
    """From a second from now on the tenant may send less; returns when, by the monotonic clock."""
    start_s = time.time() + 1.0
    window = BandwidthWindow(
        interval=BandwidthWindow.Interval(start_time=_timestamp(start_s), end_time=_timestamp(start_s + 3_600)),
        override=BandwidthOverride(guarantee_out_kbps=RED_KBPS, ceiling_out_kbps=WINDOW_KBPS),
    )
    _set(fabric, crew, BandwidthPolicy(guarantee_out_kbps=RED_KBPS, schedule=[window]))
    return time.monotonic() + start_s - time.time()


def _timestamp(at_s: float) -> Timestamp:
    return Timestamp(seconds=int(at_s), nanos=int(at_s % 1 * 1e9))


def _set(fabric: Fabric, crew: Crew, policy: BandwidthPolicy) -> None:
    fabric.client.tenants.update(Tenant(name=f"tenants/{crew.tenant}", bandwidth=policy), ["bandwidth"], wait=True)


@contextmanager
def _one_uplink(fabric: Fabric) -> Iterator[None]:
    """One spine is drained, and the wires of the other are said to carry 40 Mbit/s."""
    spine1, spine2 = (f"switches/{fabric.net.get(name).dpid}" for name in ("spine1", "spine2"))
    links = [link.name for link in fabric.client.links.list()
             if spine1 in (link.source.switch, link.destination.switch)]
    fabric.client.switches.update(Switch(name=spine2, drained=True), ["drained"])
    for name in links:
        fabric.client.links.update(Link(name=name, capacity_override_kbps=LINK_KBPS), ["capacity_override_kbps"])
    eventually(fabric.in_sync, 30, "every switch in sync")
    yield
    for name in links:
        fabric.client.links.update(Link(name=name), ["capacity_override_kbps"])
    fabric.client.switches.update(Switch(name=spine2, drained=False), ["drained"])
    eventually(fabric.in_sync, 30, "every switch in sync again")


@contextmanager
def _sending(crew: Crew, options: Sequence[str]) -> Iterator[None]:
    """iperf3 from the tenant's host on leaf1 to the one on leaf2, until the context ends."""
    sender, receiver, _ = crew.members
    serve = ["iperf3", "--server", "--one-off", "--bind", receiver.ip]
    call = ["iperf3", "--client", receiver.ip, "--time", "600", *options]
    with ExitStack() as stack:
        for member, argv in ((receiver, serve), (sender, call)):
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = member.host.popen(argv, **quiet)
            stack.callback(process.wait)
            stack.callback(process.kill)
            if member is receiver:
                eventually(lambda: _listens(receiver), 10, "iperf3 listens")
        yield


def _listens(member: Member) -> bool:
    with member.host.popen(["ss", "-Hltn"], stdout=subprocess.PIPE, text=True) as process:
        return ":5201" in process.stdout.read()


def _picture(meters: Sequence[Meter], boundary_s: float) -> None:
    """What was measured, beside what was promised."""
    began_s = meters[0].seen[0][0]
    lines = []
    for name, guarantee_kbps, meter in zip(("red", "blue"), (RED_KBPS, BLUE_KBPS), meters, strict=True):
        moments, rates = meter.rates()
        ceilings = [LINK_KBPS / 1000 if name == "blue" or at < boundary_s else WINDOW_KBPS / 1000 for at in moments]
        lines.append(Line(name=name, at_s=[at - began_s for at in moments], rate_mbps=rates, ceiling_mbps=ceilings,
                          guarantee_mbps=guarantee_kbps / 1000))
    draw(PLOT, lines, title="One link of 40 Mbit/s: red floods, blue comes and goes, a schedule sets in")
    if "SUDO_UID" in os.environ:  # not root's in a checkout that is not root's
        os.chown(PLOT, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))
