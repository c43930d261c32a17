"""A model of one edge's labels being moved: a controller that follows labels.py, switches that apply what it sends.

Every step that can happen next is an action, so that a test can take them in any order, or in all orders:

    tree      the wanted tree becomes another          send      a connected switch is sent its target
    apply     the switch works in one part of it       confirm   the barrier came back
    drop      the control channel ends                 back      it returns, and the switch is read
    wipe      the switch forgets all its flows
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from immutables import Map

from controller.fabric.labels import N_VERSIONS, Versions, advance, choice, confirmed, prune
from controller.fabric.paths import Hop
from controller.fabric.paths.plan import Hops, Plan

EDGE = 0
Action = tuple[str, int, int]
Program = tuple[tuple[tuple[int, Hop], ...], int | None]
"""(label version, hop) pairs sorted, and the version written on frames toward the edge"""


def tree(**parents: int) -> Plan:
    """tree(s1=0, s2=1): switch 1 sends to the edge, 2 to 1.  The port number is that of the next switch, plus 1."""
    return plan({int(name[1:]): Hop(parent + 1, parent) for name, parent in parents.items()})


def plan(hops: Mapping[int, Hop]) -> Plan:
    """A plan of one working tree."""
    return Map({dpid: Hops((hop,)) for dpid, hop in {EDGE: Hop(0, EDGE), **hops}.items()})


@dataclass
class Switch:
    labels: dict[int, Hop] = field(default_factory=dict)
    written: int | None = None
    connected: bool = True
    healthy: bool = True
    """holds what it once confirmed: not wiped since"""
    sent: Program | None = None


class Model:
    def __init__(self, dpids: list[int], *, bundles: bool) -> None:
        self.switches = {dpid: Switch() for dpid in dpids}
        self.bundles = bundles
        """additions are applied at once, as by an OpenFlow bundle; else one by one in any order"""
        self.versions: Versions = ()
        self.wanted: Plan = Map()
        self.known: dict[int, Program] = dict.fromkeys(dpids, ((), None))
        self.may_write: dict[int, frozenset[int]] = dict.fromkeys(dpids, frozenset())

    def key(self) -> object:
        switches = tuple(
            (dpid, tuple(sorted(s.labels.items())), s.written, s.connected, s.healthy, s.sent)
            for dpid, s in self.switches.items()
        )
        return switches, self.versions, self.wanted, tuple(self.known.items()), tuple(self.may_write.items())

    def then(self, action: Action, trees: list[Plan]) -> Model:
        after = copy.copy(self)
        after.switches = {dpid: copy.copy(s) for dpid, s in self.switches.items()}
        for switch in after.switches.values():
            switch.labels = dict(switch.labels)
        after.known, after.may_write = dict(self.known), dict(self.may_write)
        after.act(action, trees)
        return after

    # -- the controller

    def target(self, dpid: int) -> Program:
        labels = tuple(sorted((v.version, v.hops[dpid].working[0]) for v in self.versions if dpid in v.hops))
        return labels, choice(self.versions, dpid)

    def in_use(self) -> set[int]:
        choices = {choice(self.versions, dpid) for dpid in self.switches}
        return {v for v in choices if v is not None}.union(*self.may_write.values())

    def settle(self) -> None:
        """Versions that nobody needs go; a tree that waited for a number gets one."""
        self.versions = advance(prune(self.versions, self.in_use()), self.wanted)
        self.versions = prune(self.versions, self.in_use())

    # -- what can happen

    def actions(self) -> Iterator[Action]:
        for dpid, switch in self.switches.items():
            if switch.sent is not None:
                parts = self._parts(switch)
                yield from (("apply", dpid, i) for i in range(len(parts)))
                if not parts:
                    yield "confirm", dpid, 0
            elif switch.connected:
                waiting = any(dpid in v.owed for v in self.versions)
                if waiting or self.target(dpid) != self.known[dpid]:
                    yield "send", dpid, 0
            if not switch.connected:
                yield "back", dpid, 0

    def act(self, action: Action, trees: list[Plan]) -> None:
        verb, dpid, i = action
        if verb == "tree":
            self.wanted = trees[i]
            self.settle()
            return
        switch = self.switches[dpid]
        if verb == "send":
            switch.sent = self.target(dpid)
            self.may_write[dpid] |= {switch.sent[1]} - {None}
        elif verb == "apply":
            for part in self._parts(switch)[i]:
                self._apply(switch, part)
        elif verb == "confirm":
            assert switch.sent is not None
            self._learn(dpid, switch.sent)
            switch.sent, switch.healthy = None, True
        elif verb == "drop":
            switch.connected, switch.sent = False, None
        elif verb == "back":
            switch.connected = True
            self.known[dpid] = (tuple(sorted(switch.labels.items())), switch.written)
            self.may_write[dpid] = frozenset({switch.written} - {None})
            self.settle()
        elif verb == "wipe":
            switch.labels, switch.written, switch.healthy = {}, None, False
            switch.connected, switch.sent = False, None

    def _learn(self, dpid: int, program: Program) -> None:
        self.known[dpid] = program
        self.may_write[dpid] = frozenset({program[1]} - {None})
        for v in self.versions:
            if dpid in v.hops and (v.version, v.hops[dpid].working[0]) in program[0]:
                self.versions = confirmed(self.versions, dpid, v.version)
        self.settle()

    def _parts(self, switch: Switch) -> list[list[tuple[str, int, Hop | None]]]:
        """What of the sent program can be applied next: additions first, deletions last."""
        assert switch.sent is not None
        labels, written = dict(switch.sent[0]), switch.sent[1]
        adds = [("label", v, hop) for v, hop in labels.items() if switch.labels.get(v) != hop]
        if switch.written != written:
            adds.append(("write", -1 if written is None else written, None))
        deletes = [("delete", v, None) for v in switch.labels if v not in labels]
        if adds and self.bundles:
            return [adds]
        if deletes and not adds and self.bundles:
            return [deletes]
        return [[part] for part in adds or deletes]

    @staticmethod
    def _apply(switch: Switch, part: tuple[str, int, Hop | None]) -> None:
        verb, version, hop = part
        if verb == "write":
            switch.written = None if version == -1 else version
        elif hop is not None:
            switch.labels[version] = hop
        else:
            del switch.labels[version]

    # -- what must hold

    def check(self) -> None:
        """A frame that any switch writes now reaches the edge; none loops, and only a wiped switch may drop it."""
        numbers = [v.version for v in self.versions]
        assert len(set(numbers)) == len(numbers) <= N_VERSIONS
        for dpid, switch in self.switches.items():
            if switch.written is None:
                continue
            at, path = dpid, [dpid]
            while (hop := self.switches[at].labels.get(switch.written)) is not None and hop.dpid != at:
                at = hop.dpid
                assert at not in path, f"version {switch.written} from {dpid} loops: {[*path, at]}"
                path.append(at)
            arrived = hop is not None and at == EDGE
            assert arrived or not self.switches[at].healthy, f"version {switch.written} from {dpid} is dropped: {path}"

    def check_settled(self) -> None:
        """Nothing left to do: everyone writes the wanted tree, and no other version is left anywhere."""
        assert len(self.versions) == 1
        for dpid, hops in self.wanted.items():
            assert self.switches[dpid].written == self.versions[0].version
            assert self.switches[dpid].labels == {self.versions[0].version: hops.working[0]}
