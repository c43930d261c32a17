"""Keeps the world and the programs compiled from it.  Pure: what happened goes in, changed fragments come out.

    commit, observe, confirm, set_rates, set_shares   note what happened; cheap
    step                       bindings -> placement -> labels -> which fragments may differ -> compile those
                               -> what does differ

The cost of a step follows the size of the change.  The law that guards it: the programs are, byte for byte, those that
a compile from scratch makes of the same world (tests/sequences proves it over orders of events).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TypeVar

from immutables import Map

from controller.fabric.bindings import Bindings, Unbound
from controller.fabric.events import Event, PortsBound
from controller.fabric.explicit import number_of
from controller.fabric.graph import Fabric
from controller.fabric.labels import EdgeLabels, version_of
from controller.fabric.observed import NO_CHANGE, Alarm, Change
from controller.fabric.ports import EndPoint
from controller.intent.snapshot import Snapshot
from controller.model.bandwidth import Rates
from controller.model.ids import format_dpid, network_of
from controller.pipeline.affected import Changed, affected
from controller.pipeline.compiler import compile_fragment, fragments_on
from controller.pipeline.views import policy_of
from controller.pipeline.world import Fragment, FragmentKey, Placement, Share, World
from controller.reconcile.granting import Granting
from controller.reconcile.labelling import Labelling, Pair
from controller.reconcile.opening import NOT_KNOWN, opening_shares
from controller.reconcile.placing import displace, note_guarantee, place
from controller.reconcile.steering import Kept, Steered, Steering

Program = Map[FragmentKey, Fragment]
_EMPTY: Program = Map()
K = TypeVar("K")
V = TypeVar("V")
_OF_INTENT = frozenset({"port", "peer", "network", "steer", "tenant", "queue", "pipe", "ceiling",
                        "route", "neighbour"})
"""Kinds of fragments whose subject starts with the name of an object."""


@dataclass(slots=True, kw_only=True)
class Step:
    """What one step changed."""

    targets: dict[int, dict[FragmentKey, Fragment | None]] = field(default_factory=dict)
    """dpid -> fragments of its target that are new, other, or gone (None)"""
    names: set[str] = field(default_factory=set)
    """objects of intent whose part in some target, or whose binding, may have changed"""
    rates: frozenset[str] = frozenset()
    """objects with other rates in force"""
    fabric: Change = NO_CHANGE
    labels: dict[int, EdgeLabels] = field(default_factory=dict)
    """labels of the edges (dpids) whose versions changed: to be kept before any target is handed out"""
    steering: Kept = field(default_factory=Kept)
    """explicit paths and who writes them, as far as they changed: the same"""
    failures: dict[FragmentKey, Exception] = field(default_factory=dict)
    """fragments that could not be compiled, and could in the step before"""

    def then(self, later: Step) -> Step:
        """Both in one."""
        targets = {dpid: self.targets.get(dpid, {}) | later.targets.get(dpid, {})
                   for dpid in self.targets.keys() | later.targets.keys()}
        return Step(
            targets=targets, names=self.names | later.names, rates=self.rates | later.rates,
            fabric=self.fabric | later.fabric,
            labels=self.labels | later.labels, steering=self.steering.then(later.steering),
            failures=self.failures | later.failures)


class Engine:
    """The newest world, its programs, and what the next step has to look at.  Owned by the reconcile thread."""

    def __init__(self, fabric: Fabric, labelling: Labelling, steering: Steering) -> None:
        self.world = World(intent=Snapshot(), fabric=fabric)
        self.programs: dict[int, Program] = {}
        self.unbound: Map[str, Unbound] = Map()
        self.failures: Map[FragmentKey, Exception] = Map()
        """fragments that cannot be compiled, and why: a defect.  Of each the program holds what it held before"""
        self.labelling = labelling
        self.steering = steering
        self.granting = Granting(labelling, steering)
        self.offers = NOT_KNOWN
        """what tenants and networks send where: the first shares of a ceiling follow it, nothing else does"""
        self._compiled = World(intent=Snapshot(), fabric=Fabric())
        self._bindings = Bindings()
        self._names: set[str] = set()
        self._rates: set[str] = set()
        self._shares: set[tuple[int, str]] = set()
        self._fabric_change = NO_CHANGE
        self._retree = False
        self._everything = False

    # -- what happened

    def start_over(self, intent: Snapshot) -> None:
        """Work out everything again in the next step: at the start, and if a step failed."""
        fabric = self.world.fabric
        self.world = replace(self.world, intent=intent, placement=Placement(), guaranteed=Map())
        self.unbound = Map()
        self._bindings = Bindings()
        self.granting.start_over()
        self._names.update(obj.name for obj in intent.objects())
        self._fabric_change |= Change(
            switches=frozenset(fabric.switches), links=frozenset(fabric.links), topology=True,
            ports=frozenset(EndPoint(dpid, no) for dpid, switch in fabric.switches.items() for no in switch.ports),
        )
        self.labelling.mark_all_changed()
        self.steering.start_over()
        self._retree = True
        self._everything = True

    def commit(self, intent: Snapshot, names: Iterable[str]) -> None:
        """Intent changed: these objects came, changed or went."""
        self._names.update(names)
        if intent.generation > self.world.intent.generation:
            self._retree |= intent.keys.edges() is not self.world.intent.keys.edges()
            self.world = replace(self.world, intent=intent)

    def observe(self, event: Event) -> Change:
        """The fabric changed, or somebody declared something about it."""
        fabric, change = self.world.fabric.apply(event)
        self.world = replace(self.world, fabric=fabric)
        self._fabric_change |= change
        self._retree |= change.topology
        return change

    def set_rates(self, changed: Mapping[str, Rates | None]) -> None:
        """Other rates are in force for these objects; None: those of the policy."""
        self.world = replace(self.world, rates=_updated(self.world.rates, changed))
        self._rates.update(changed)

    def set_shares(self, changed: Mapping[tuple[int, str], Share | None]) -> None:
        """Other parts of the ceilings of (dpid, tenant or network); None: the whole."""
        held = self.world.shares
        self.world = replace(self.world, shares=_updated(held, {
            key: None if share is None else share.after(held.get(key, Share())) for key, share in changed.items()}))
        self._shares.update(changed)

    def confirm(self, dpid: int, epoch: int, refused: Iterable[FragmentKey], *, clean: bool) -> None:
        """A switch confirmed its target of `epoch`, except these fragments; `clean`: nothing old is left on it."""
        failed = [key for key in self.failures if key.dpid == dpid]
        not_held = (*refused, *failed)
        labels = (key.subject for key in not_held if key.kind == "label")
        refused_labels = frozenset((int(edge), version_of(int(number))) for edge, number in labels)
        self.labelling.confirm(dpid, epoch, refused_labels, clean=clean)
        refused_paths = frozenset(number_of(int(key.subject[0])) for key in not_held if key.kind == "explicit")
        self.steering.confirm(dpid, epoch, refused_paths, clean=clean)

    # -- what follows

    def step(self, epoch: int) -> Step:
        """Work everything that happened into the world and the programs; `epoch` is the number this step will have."""
        names, self._names = self._names, set()
        rates, self._rates = frozenset(self._rates), set()
        shares, self._shares = frozenset(self._shares), set()
        everything, self._everything = self._everything, False
        rebound = self._bind(names, set(self.world.fabric.bound) if everything else set())
        self._note_guarantees(names)
        change, self._fabric_change = self._fabric_change, NO_CHANGE
        self.granting.note(names | rebound | rates, change)
        starved = self.labelling.starved
        topology, self._retree = self._retree, False
        if topology:
            promised = self.steering.promised(self.world, self._networks_of(names | rebound))
            self.labelling.retree(self.world.fabric, self.world.intent.keys.edges(), promised)
        labels, choices, joined = self._map_labels(epoch)
        names |= self._between(joined | self.labelling.take_rejoined())
        steered = self._steer(epoch, names | rebound, choices, topology=topology)
        opened = opening_shares(
            self._compiled, self.world, {*names, *rebound, *rates, *(owner for _, owner in shares)}, self.offers)
        shares |= opened.keys()
        if opened:
            self.world = replace(self.world, shares=self.world.shares.update(opened))
        before, self._compiled = self._compiled, self.world
        keys = affected(before, self.world, Changed(
            ports=frozenset(rebound), objects=frozenset(names), switch_ports=change.ports, switches=change.switches,
            labels=labels, choices=choices, rates=rates, explicit=frozenset(steered.labels),
            steers=frozenset(steered.steers),
        ))
        if everything:
            keys |= self._all_keys()
        alarms = tuple(_starved(edge, by) for edge, by in self.labelling.starved.items() if edge not in starved)
        step = Step(
            fabric=replace(change, alarms=change.alarms + alarms),
            labels=self.labelling.take_changed(), steering=self.steering.take_changed(),
            names=names | rebound | self._of_networks(steered.networks), rates=rates)
        self._compile(keys, step)
        # Shares move all the time, and are nothing that whoever watches an object waits for.
        unwatched = Step(targets=step.targets)
        self._compile(affected(before, self.world, Changed(shares=shares)) - keys, unwatched)
        step.failures |= unwatched.failures
        return step

    def _all_keys(self) -> set[FragmentKey]:
        """Every fragment that is held or may exist."""
        held = {key for program in self.programs.values() for key in program}
        return held.union(*(fragments_on(self.world, dpid) for dpid in self.world.fabric.switches))

    def _bind(self, names: set[str], left: set[EndPoint]) -> set[str]:
        """Bring bindings, placement, and the roles that follow from them, up to date; returns the ports that moved.

        `left`: switch ports that count as bound and are not unless a port is found there.
        """
        ports = {name: self.world.intent.ports.get(name) for name in names if _is_port(name)}
        rebound = self._bindings.update(self.world.fabric, self._fabric_change, ports)
        placement, unbound = self.world.placement, self.unbound
        before = placement.at
        for name, binding in rebound.items():
            unbound = unbound.delete(name) if name in unbound else unbound
            if isinstance(binding, EndPoint):
                placement = self._place(placement, name, binding)
                continue
            placement = displace(placement, name)
            if binding is not None:
                unbound = unbound.set(name, binding)
        # One that went and came back between two steps is bound where it was, but has another key.
        for name in ports.keys() - rebound.keys():
            if (at := placement.at.get(name)) is not None:
                placement = self._place(placement, name, at)
        self.unbound = unbound
        self.world = replace(self.world, placement=placement)
        left |= {before[name] for name in rebound if name in before}
        taken = {placement.at[name] for name in rebound if name in placement.at}
        if left != taken:
            self.observe(PortsBound(added=frozenset(taken - left), removed=frozenset(left - taken)))
        return set(rebound)

    def _place(self, placement: Placement, name: str, at: EndPoint) -> Placement:
        key = self.world.intent.keys.port_key(name)
        assert key is not None  # whatever is bound is attached, and a key comes with the attachment
        return place(placement, name, at, key.key24)

    def _note_guarantees(self, names: Iterable[str]) -> None:
        guaranteed = self.world.guaranteed
        for name in names:
            may = policy_of(self.world.intent, name).may_guarantee
            guaranteed = note_guarantee(guaranteed, name, may_guarantee=may)
        self.world = replace(self.world, guaranteed=guaranteed)

    def _between(self, pairs: set[Pair]) -> set[str]:
        """The ports on both switches of a pair whose networks can reach each other: they can now, or no longer."""
        placement, intent, nothing = self.world.placement, self.world.intent, Map[str, None]()
        names: set[str] = set()
        for one, other in pairs:
            there = placement.networks_at.get(other, nothing)
            for network in placement.networks_at.get(one, nothing):
                for reached in (network, *intent.peers_of(network)):
                    if reached in there:
                        names.update(placement.presence[network][one], placement.presence[reached][other])
        return names

    def _map_labels(self, epoch: int) -> tuple[frozenset[Pair], frozenset[Pair], set[Pair]]:
        """Bring the world's labels and choices up to date; returns which pairs differ, and which got or lost a choice.
        """
        changed_labels, changed_choices = self.labelling.map(epoch)
        if not (changed_labels or changed_choices):  # then both are the very values of before, for whoever compares
            return frozenset(), frozenset(), set()
        choices = self.world.choices.mutate()
        joined = {pair for pair, version in changed_choices.items() if (version is None) == (pair in choices)}
        labels = self.world.labels.mutate()
        for pair, hops in changed_labels.items():
            if hops:
                labels[pair] = hops
            else:
                del labels[pair]
        for pair, chosen in changed_choices.items():
            if chosen is not None:
                choices[pair] = chosen
            else:
                del choices[pair]
        self.world = replace(self.world, labels=labels.finish(), choices=choices.finish())
        return frozenset(changed_labels), frozenset(changed_choices), joined

    def _steer(self, epoch: int, names: set[str], choices: frozenset[Pair], *, topology: bool) -> Steered:
        """Bring what networks take instead of all trees up to date."""
        steered = self.steering.update(
            self.world, epoch, self.labelling, networks=self._networks_of(names), choices=choices, topology=topology)
        self.world = replace(self.world, explicit=self.steering.explicit, steers=self.steering.steers)
        return steered

    def _networks_of(self, names: Set[str]) -> set[str]:
        """The networks of which these, or whom these reach, are a part."""
        networks = {network_of(name) for name in names if "/networks/" in name}
        for intent in (self._compiled.intent, self.world.intent):
            peerings = (peering for name in names if (peering := intent.peerings.get(name)) is not None)
            networks.update(network for peering in peerings for network in (peering.a, peering.b))
        peers = (intent.peers_of(network) for intent in (self._compiled.intent, self.world.intent)
                 for network in networks)
        return networks.union(*peers)

    def _of_networks(self, networks: set[str]) -> set[str]:
        """These networks and their bound ports: whose status tells of the networks' paths."""
        members = self.world.placement.members
        return networks.union(*(members.get(network, Map()) for network in networks))

    def _compile(self, keys: Iterable[FragmentKey], step: Step) -> None:
        """Compile these fragments; what differs from the programs goes into both them and the step's targets."""
        # Switch by switch for each subject: what several switches know of one port is the same, and worked out once.
        for key in sorted(keys, key=lambda each: (each.kind, each.subject, each.dpid)):
            program = self.programs.get(key.dpid, _EMPTY)
            try:
                fragment = compile_fragment(self.world, key)
            except Exception as error:  # noqa: BLE001  # kept and logged; others go on
                self._fail(key, error, step)
                continue
            if key in self.failures:
                self.failures = self.failures.delete(key)
                _touch(step, key)
            if fragment != program.get(key):
                self.programs[key.dpid] = program.delete(key) if fragment is None else program.set(key, fragment)
                step.targets.setdefault(key.dpid, {})[key] = fragment
                _touch(step, key)
        for dpid in step.targets.keys() - self.world.fabric.switches.keys():
            del self.programs[dpid], step.targets[dpid]

    def _fail(self, key: FragmentKey, error: Exception, step: Step) -> None:
        if key not in self.failures:
            step.failures[key] = error
        self.failures = self.failures.set(key, error)
        _touch(step, key)


def _updated(held: Map[K, V], changed: Mapping[K, V | None]) -> Map[K, V]:
    values = held.mutate()
    for key, value in changed.items():
        if value is not None:
            values[key] = value
        else:
            values.pop(key, None)
    return values.finish()


def object_of(key: FragmentKey) -> str | None:
    """The object of intent that a fragment is about, if it is about one."""
    return str(key.subject[0]) if key.kind in _OF_INTENT else None


def _starved(edge: int, held_by: Set[int]) -> Alarm:
    """Toward this edge paths cannot become other ones."""
    names = ", ".join(map(format_dpid, sorted(held_by))) or "frames on their way"
    return Alarm(reason="LABELS_EXHAUSTED", at=EndPoint(edge, 0), message=(
        f"all versions of the labels toward this switch are held by {names}: paths toward it stay as they are, and "
        "only the switches get around failures, until one of those is back or `pliant delete switch` gives it up"))


def _touch(step: Step, key: FragmentKey) -> None:
    name = object_of(key)
    if name is not None:
        step.names.add(name)


def _is_port(name: str) -> bool:
    return "/ports/" in name
