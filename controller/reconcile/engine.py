"""Keeps the world and the programs compiled from it.  Pure: what happened goes in, changed fragments come out.

    commit, observe, confirm   note what happened; cheap
    step                       bindings -> placement -> labels -> which fragments may differ -> compile those -> what does differ

The cost of a step follows the size of the change.  The law that guards it: the programs are, byte for byte, those that a compile
from scratch makes of the same world (tests/sequences proves it over orders of events; `audit` samples it in production).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from immutables import Map

from controller.fabric.bindings import Bindings, Unbound
from controller.fabric.events import Event, PortsBound
from controller.fabric.graph import Fabric
from controller.fabric.observed import NO_CHANGE, Change
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import Snapshot
from controller.model.network import Port
from controller.pipeline.affected import Changed, affected
from controller.pipeline.compiler import all_fragments, compile_fragment
from controller.pipeline.world import Fragment, FragmentKey, World
from controller.reconcile.labelling import Labelling
from controller.reconcile.placing import displace, place

Program = Map[FragmentKey, Fragment]


@dataclass(slots=True, kw_only=True)
class Step:
    """What one step changed."""

    targets: dict[int, dict[FragmentKey, Fragment | None]] = field(default_factory=dict)
    """dpid -> fragments of its target that are new, other, or gone (None)"""
    names: set[str] = field(default_factory=set)
    """objects of intent whose part in some target, or whose binding, changed"""
    fabric: Change = NO_CHANGE
    edges: set[int] = field(default_factory=set)
    """edges (dpids) whose label versions changed: to be kept before any target is handed out"""


class Engine:
    """The newest world, its programs, and what the next step has to look at.  Owned by the reconcile thread."""

    def __init__(self, intent: Snapshot, fabric: Fabric, labelling: Labelling) -> None:
        self.world = World(intent=intent, fabric=fabric)
        self.programs: dict[int, Program] = {}
        self.unbound: Map[str, Unbound] = Map()
        self.labelling = labelling
        self._bindings = Bindings()
        self._fabric_change = NO_CHANGE
        self._changed_names: set[str] = set(intent.names())
        self._edges_to_map: set[int] = set(labelling.edges)
        self._retree = True

    # -- what happened ------------------------------------------------------------------------------------------------

    def commit(self, intent: Snapshot, names: Iterable[str]) -> None:
        """Intent changed: these objects came, changed or went."""
        if intent.generation > self.world.intent.generation:
            self._retree |= intent.keys.edges() is not self.world.intent.keys.edges()
            self.world = replace(self.world, intent=intent)
        self._changed_names.update(names)

    def observe(self, event: Event) -> Change:
        """The fabric changed, or somebody declared something about it."""
        fabric, change = self.world.fabric.apply(event)
        if fabric is not self.world.fabric:
            self.world = replace(self.world, fabric=fabric)
        self._fabric_change |= change
        self._retree |= change.topology
        return change

    def confirm(self, dpid: int, epoch: int, refused: Iterable[FragmentKey]) -> None:
        """A switch confirmed its target of `epoch`, except these fragments."""
        failed = frozenset((int(key.subject[0]), int(key.subject[1])) for key in refused if key.kind == "label")
        self._edges_to_map |= self.labelling.confirm(dpid, epoch, failed)

    # -- what follows -------------------------------------------------------------------------------------------------

    def step(self, epoch: int) -> Step:
        """Work everything that happened into the world and the programs; `epoch` is the number this step will have."""
        names, self._changed_names = self._changed_names, set()
        before = self.world
        ports = self._bind(names)
        if self._retree:
            self._retree = False
            self._edges_to_map |= self.labelling.retree(self.world.fabric, self.world.intent.keys.edges())
        labels, choices = self._map_labels(epoch)
        change, self._fabric_change = self._fabric_change, NO_CHANGE
        changed = Changed(
            ports=frozenset(ports), objects=frozenset(names), switch_ports=change.ports, switches=change.switches,
            labels=frozenset(labels), choices=frozenset(choices),
        )
        step = Step(fabric=change, edges=self.labelling.take_changed(), names=names | ports)
        self._compile(sorted(affected(before, self.world, changed)), step)
        return step

    def audit(self, keys: Iterable[FragmentKey]) -> list[FragmentKey]:
        """Of these fragments, those that the incremental programs hold otherwise than a fresh compile makes them.  Always empty, or a bug."""
        return [key for key in keys if compile_fragment(self.world, key) != self.programs.get(key.dpid, Map()).get(key)]

    def _bind(self, names: set[str]) -> set[str]:
        """Bring bindings, placement and the roles that follow from them up to date; returns the ports that moved or changed."""
        intent = self.world.intent
        touched = {name for name in names if name in self._bindings or isinstance(intent.get(name), Port)}
        ports = {name: port for name in touched if isinstance(port := intent.get(name), Port)}
        self._bindings.update(ports, gone=touched - ports.keys())
        touched |= self._bindings.concerned(self._fabric_change)
        placement, unbound = self.world.placement, self.unbound
        came: set[EndPoint] = set()
        went: set[EndPoint] = set()
        for name in sorted(touched):
            result = self._bindings.resolve(name, self.world.fabric)
        return touched

    def _map_labels(self, epoch: int) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        ...

    def _compile(self, keys: Iterable[FragmentKey], step: Step) -> None:
        """Compile these fragments; what differs from the programs goes into both them and the step's targets."""
        for key in keys:
            program = self.programs.get(key.dpid, Map())
            fragment, held = compile_fragment(self.world, key), program.get(key)
            if fragment == held:
                continue
            step.targets.setdefault(key.dpid, {})[key] = fragment
            self.programs[key.dpid] = program.delete(key) if fragment is None else program.set(key, fragment)
            step.names.update(str(part) for part in key.subject[:1] if key.kind in ("port", "peer", "network", "tenant"))
