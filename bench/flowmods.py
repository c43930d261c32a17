"""Flow-mods per second through the southbound's submit, beside `ovs-ofctl --bundle add-flows` of the same flows.

Ours: from flows as values to the reply of the last barrier, so encoding, sending and confirmation are in it.
Theirs: from a file of text; what it takes to start ovs-ofctl and to do nothing is measured in the same round, and
subtracted.  Both fill the same empty bridge, in turn.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from apps.lab.openvswitch import RUN_DIR
from bench.figures import Report, median
from controller.openflow import actions, instructions, messages
from controller.openflow.entries import Flow, flow
from controller.openflow.match import match
from controller.openflow.text import flow_text
from controller.southbound.datapath import SwitchDatapath
from controller.southbound.runtime import Runtime
from tests.support.eventually import eventually
from tests.support.rig import Rig

DPID = 1
SOCKET = f"{RUN_DIR}/bench.sock"


def run(*, quick: bool) -> Iterator[Report]:
    count, rounds = (2_000, 3) if quick else (20_000, 7)
    flows = [_fdb(number) for number in range(count)]
    with Rig() as ovs, tempfile.TemporaryDirectory() as directory:
        runtime = Runtime()
        runtime.start()
        # Open vSwitch connects to unix sockets in its own run directory only.
        runtime.listen(str(ovs.sandbox.path(SOCKET)))
        try:
            ovs.add_bridge("s1", DPID, f"unix:{SOCKET}")
            datapath = eventually(lambda: runtime.datapaths().get(DPID), what="the switch connected")
            assert datapath is not None
            yield _compare(ovs, datapath, flows, Path(directory), rounds)
        finally:
            runtime.stop()


def _compare(ovs: Rig, datapath: SwitchDatapath, flows: Sequence[Flow], directory: Path, rounds: int) -> Report:
    file, empty = directory / "flows", directory / "empty"
    file.write_text("".join(f"{flow_text(each)}\n" for each in flows))
    empty.write_text("")
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        ovs.ofctl("del-flows", "s1")
        ours.append(_submit(datapath, flows))
        ovs.ofctl("del-flows", "s1")
        theirs.append(_add_flows(ovs, file) - _add_flows(ovs, empty))
    held = len(ovs.flows("s1"))
    assert held == len(flows), f"the switch holds {held} flows of {len(flows)}"
    ratio = median([their / our for our, their in zip(ours, theirs, strict=True)])
    report = Report(
        title=f"{len(flows):,} flow-mods into one bridge",
        columns=("by", "flow-mods per second"),
        notes=[f"ours is {ratio:.2f} of ovs-ofctl's (aim: at least 0.5; median of {rounds} interleaved rounds)"],
    )
    report.add("submit: encode, send, confirm", f"{len(flows) / median(ours):,.0f}")
    report.add("ovs-ofctl --bundle add-flows", f"{len(flows) / median(theirs):,.0f}")
    return report


def _submit(datapath: SwitchDatapath, flows: Sequence[Flow]) -> float:
    began_s = time.perf_counter()
    errors = datapath.submit([messages.flow_add(each) for each in flows]).result(60)
    seconds = time.perf_counter() - began_s
    assert not errors, errors[0]
    return seconds


def _add_flows(ovs: Rig, file: Path) -> float:
    began_s = time.perf_counter()
    ovs.ofctl("--bundle", "add-flows", "s1", str(file))
    return time.perf_counter() - began_s


def _fdb(number: int) -> Flow:
    """What an edge holds of a peer: the most common flow there is."""
    match_bytes = match(metadata=(5, 0xFFFFFF), eth_dst=0x020000000000 + number)
    found = instructions.apply(
        actions.load("reg7", number, first_bit=0, bits=24), actions.load("reg4", 7, first_bit=0, bits=12))
    return flow(1, 20, 100, match_bytes, instructions.join(found, instructions.goto(30)))
