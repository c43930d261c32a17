"""Networks that do not take all trees: what each switch writes on their frames, and the explicit paths for it.

    update     policies, places, topology or labels changed   -> what is wanted; what of it can be used now
    confirm    a switch holds its target                      -> paths become usable; paths are written no more
    age        time passed                                    -> paths that have drained go, their numbers are free

From one steer to the next it is make-before-break: a path is installed and confirmed by every switch on it before the
edge that it begins at writes it; until then the edge goes on with what it wrote; and a path that the edge does not
write any more stays until the edge has confirmed so and what was under way has arrived (path_pool.py).  Trees are
judged in the version that the edge writes, and a steer that names trees is of that version, always: so it goes over
together with all other frames.  What the newest plan will leave is worked out ahead, so that its explicit paths are
there when it is written.  Frames that may go nowhere are dropped at once.

Which ways a policy leaves is paths/policy.py's; this module keeps what is used of it.  Owned by the reconcile thread.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace

from immutables import Map

from controller.fabric.explicit import DROPPED, ExplicitPath, Route, Steer
from controller.fabric.labels import LabelHop
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import Plan
from controller.fabric.paths.policy import PolicyPaths
from controller.model.network import ANY_PATH, PathPolicy
from controller.pipeline.views import reached_by
from controller.pipeline.world import World
from controller.reconcile.labelling import Labelling, Pair
from controller.reconcile.path_pool import PathPool

NO_VERSION = -1
"""of trees that are not to be written, but only thought about"""
Steers = dict[Pair, Steer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A policy that cannot be kept to between two edges."""

    src: int
    dst: int
    constraint: str
    """ZONES, LATENCY, or LABELS if no number of an explicit path is free"""
    why: str
    dropped: bool
    """the frames are; else they take the next best way"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """How far the path policy of one network is in force."""

    violations: tuple[Violation, ...] = ()
    waiting: tuple[Pair, ...] = ()
    """between these edges frames still go as before: the new ways are being installed"""
    held_back: tuple[Pair, ...] = ()
    """between these they are dropped until then: all other ways may lead through a zone that they keep out of"""

    @property
    def lacks_label(self) -> bool:
        return any(violation.constraint == "LABELS" for violation in self.violations)


@dataclass(slots=True, kw_only=True)
class Kept:
    """What a restart must know: who may be writing what."""

    paths: dict[int, ExplicitPath | None] = field(default_factory=dict)
    """by number; None: gone"""
    steers: dict[str, Steers] = field(default_factory=dict)
    """by network; of those that changed all"""

    def then(self, later: Kept) -> Kept:
        return Kept(paths=self.paths | later.paths, steers=self.steers | later.steers)


@dataclass(slots=True, kw_only=True)
class Steered:
    """What an update changed, beside `explicit` and `steers` themselves."""

    labels: set[tuple[int, int]] = field(default_factory=set)
    """(dpid, explicit label)"""
    steers: set[tuple[int, str, int]] = field(default_factory=set)
    """(dpid, network, edge)"""
    networks: set[str] = field(default_factory=set)
    """whose state is another one"""


class Steering:
    """What is written on the frames of networks with a path policy."""

    def __init__(self, kept: Kept | None = None) -> None:
        """`kept`: what a former process knew."""
        kept = kept or Kept()
        self.explicit: Map[int, Map[int, LabelHop]] = Map()
        self.steers: Map[int, Map[tuple[str, int], Steer]] = Map()
        """both as World has them"""
        self.states: Map[str, PolicyState] = Map()
        """of the networks that have something to say"""
        self.is_due = False
        """An update would change something: a path became usable, or can go."""
        self._pool = PathPool({number: path for number, path in kept.paths.items() if path is not None})
        self._in_force: dict[str, Steers] = {}
        """by network; a pair that is absent takes all trees"""
        self._wanted: dict[str, Steers] = {}
        self._ahead: dict[str, Steers] = {}
        """what will be wanted once the newest plan is written, so that its explicit paths are there by then"""
        self._bound: set[str] = set()
        """networks whose policy binds them to anything"""
        self._former: dict[int, dict[tuple[str, int, Steer | None], int]] = {}
        """dpid -> {(network, edge, what was in force): the epoch that replaced it}, until that is confirmed"""
        self._meant: dict[str, tuple[PathPolicy, frozenset[int]]] = {}
        """network -> the policy that was last enforced, and the switches that it avoided then"""
        self._world: World | None = None
        """as of the last update"""
        self._doubtful: set[str] = set()
        """networks judged by trees that some switch may still hold with other hops"""
        self._policies: PolicyPaths | None = None
        self._compared: dict[int, tuple[Plan, Plan, bool]] = {}
        self._kept = Kept()
        self._moved: set[str] = set()
        self._start = True
        for network, steers in kept.steers.items():
            self._put_in_force(network, steers, epoch=0, done=Steered())
        self._former.clear()

    # -- what happened

    def confirm(self, dpid: int, epoch: int, refused: frozenset[int], *, clean: bool) -> None:
        """The switch holds its target of `epoch`, but for the numbers it refused; `clean`: and nothing of before."""
        self.is_due |= self._pool.confirm(dpid, epoch, refused, clean=clean)
        former = self._former.get(dpid, {})
        for left in [left for left, since in former.items() if clean and since <= epoch]:
            del former[left]
            self._moved.add(left[0])

    @property
    def is_draining(self) -> bool:
        """Whether `age` has something to wait for."""
        return self._pool.is_draining

    def age(self) -> None:
        """Called regularly, further apart than a frame takes to cross the fabric."""
        self.is_due |= self._pool.grow_older()

    def forget(self, dpid: int) -> None:
        """The operator removed the switch: what it may be writing counts no longer."""
        self._pool.forget(dpid)
        self._moved.update(network for network, _, _ in self._former.pop(dpid, {}))

    def start_over(self) -> None:
        """Look at everything again, and have everything kept again."""
        self._start = True
        self._pool.changed |= self._pool.paths.keys()
        self._kept.steers |= self._in_force

    def take_changed(self) -> Kept:
        """What changed since the last call, for whoever keeps it."""
        changed, self._kept = self._kept, Kept()
        return replace(changed, paths={number: self._pool.paths.get(number) for number in self._pool.take_changed()})

    # -- where frames go

    def take_moved(self) -> set[str]:
        """The networks whose frames may go otherwise since the last call: see `going`."""
        moved, self._moved = self._moved, set()
        return moved

    def going(self, network: str, src: int, dst: int) -> list[Steer | None]:
        """What is written on the network's frames, what may still be, and what will be next; None: all trees."""
        pair = src, dst
        former = (steer for name, at, steer in self._former.get(src, {}) if (name, at) == (network, dst))
        later = (held[network][pair] for held in (self._wanted, self._ahead) if pair in held.get(network, {}))
        return list(dict.fromkeys((self._in_force.get(network, {}).get(pair), *later, *former)))

    def route(self, number: int) -> Route:
        """Of an explicit path that some steer names."""
        return self._pool.paths[number].route

    # -- what follows

    def promised(self, world: World, changed: Set[str]) -> frozenset[int]:
        """The edges that frames which must not touch some zones are for; these networks are other ones than before."""
        bound = {name for name in self._bound | changed if policy_of(world, name).avoid_zones}
        return frozenset().union(*(reached_by(world, name) for name in bound))

    def update(
        self, world: World, epoch: int, labelling: Labelling, *, networks: Set[str], choices: Set[Pair], topology: bool
    ) -> Steered:
        """Bring all up to date with the world; `epoch` is the step that will hand it to the switches.

        `networks`: whose policy or places changed.  `choices`: pairs of which another version is written now.
        `topology`: paths may be other ones, or plans.
        """
        self.is_due = False
        done = Steered()
        if topology or self._start:
            self._policies = None
            self._compared.clear()
        if self._start:
            networks = {*networks, *world.intent.networks}
        self._bound -= networks
        self._bound |= {name for name in networks if policy_of(world, name) != ANY_PATH}
        for name in networks - self._bound:
            self._meant.pop(name, None)
        looked_at = set(networks & self._bound.union(self._wanted, self._in_force, self.states))
        if topology or self._start:
            looked_at |= self._bound.union(self._in_force)
        looked_at |= _between(world, self._bound - looked_at, choices) | self._doubtful
        if self._pool.drop_drained():
            looked_at |= {name for name, state in self.states.items() if state.lacks_label}
        self._start = False
        if looked_at and self._policies is None:
            self._policies = PolicyPaths(Topology.of(world.fabric))
        waiting = {network for network, state in self.states.items() if state.waiting or state.held_back}
        for network in sorted(looked_at):
            self._want(world, labelling, network, done)
        for network in sorted(looked_at | waiting):
            self._enforce(world, network, epoch, done)
        self._world = world
        self._map(epoch, done)
        return done

    def _want(self, world: World, labelling: Labelling, network: str, done: Steered) -> None:
        """Work out what shall be written on a network's frames, now and with the newest plans."""
        assert self._policies is not None
        policy = policy_of(world, network)
        wanted: Steers = {}
        ahead: Steers = {}
        violations = []
        self._doubtful.discard(network)
        for src, dst in sorted(_pairs(world, network)) if policy != ANY_PATH else ():
            written, newest = labelling.in_use(src, dst), labelling.plans.get(dst)
            if written is None:
                continue
            if written.earlier and policy.avoid_zones:
                self._doubtful.add(network)
            steer, violation = self._steer(network, src, dst, written.version, written.hops, policy,
                                           is_settled=not written.earlier)
            if violation is not None:
                if violation.constraint == "LABELS" and (kept := self._held(world, network, (src, dst))) is not None:
                    steer, violation = kept, replace(violation, dropped=False)
                violations.append(violation)
            if steer is not None:
                wanted[src, dst] = steer
            if newest is not None and self._is_other(written.hops, newest):
                later, _ = self._steer(network, src, dst, NO_VERSION, newest, policy)
                if later is not None:
                    ahead[src, dst] = later
        for held, steers in ((self._wanted, wanted), (self._ahead, ahead)):
            self._pool.use(steers.values())
            self._pool.release(held.pop(network, {}).values())
            if steers:
                held[network] = steers
        self._moved.add(network)
        self._say(network, done, violations=tuple(violations))

    def _is_other(self, written: Plan, newest: Plan) -> bool:
        """Whether the newest plan is more than a part of what is written; worked out once for all who ask."""
        known = self._compared.get(id(newest))
        if known is None or known[0] is not written or known[1] is not newest:
            is_other = any(written.get(dpid) != hops for dpid, hops in newest.items())
            known = self._compared[id(newest)] = written, newest, is_other
        return known[2]

    def _steer(
        self, network: str, src: int, dst: int, version: int, plan: Plan, policy: PathPolicy, *,
        is_settled: bool = True,
    ) -> tuple[Steer | None, Violation | None]:
        """What a plan leaves of the policy; None: all trees."""
        assert self._policies is not None
        verdict = self._policies.verdict_for(network, src, dst, policy, plan, is_settled=is_settled)
        if verdict.any_tree:
            return None, None
        steer = self._pool.steer(verdict.ways, version)
        if verdict.ways and steer == DROPPED:
            dropped = bool(policy.avoid_zones)
            why = "no label is free for another explicit path"
            full = Violation(src=src, dst=dst, constraint="LABELS", why=why, dropped=dropped)
            return (steer if dropped else None), full
        if not verdict.constraint:
            return steer, None
        return steer, Violation(
            src=src, dst=dst, constraint=verdict.constraint, why=verdict.why, dropped=steer == DROPPED)

    def _enforce(self, world: World, network: str, epoch: int, done: Steered) -> None:
        """Put into force what is wanted, as far as its paths are ready."""
        before, loose = self._in_force.get(network, Steers()), self._loose(world, network)
        keeps_out = bool(policy_of(world, network).avoid_zones)
        now, waiting, held_back = Steers(), [], []
        for pair, steer in self._wanted.get(network, Steers()).items():
            old = before.get(pair)
            goes_on = old is not None and _goes_on(world, pair, old)
            if all(self._pool.paths[number].is_ready for number in steer.numbers):
                now[pair] = steer
            elif keeps_out and not goes_on and (old is not None or pair not in loose):
                held_back.append(pair)
                now[pair] = DROPPED
            else:
                waiting.append(pair)
                if old is not None and goes_on:
                    now[pair] = old
        self._put_in_force(network, now, epoch=epoch, done=done)
        self._say(network, done, waiting=tuple(waiting), held_back=tuple(held_back))

    def _loose(self, world: World, network: str) -> Set[Pair]:
        """Where frames that take all trees may do so, as before, until other ways are there.

        Under a policy that is another one now, or whose zones are, it is wherever the network was.  Later it is nowhere
        else: an edge that is new has no before, and all trees are not what they were when they have become others.
        """
        meaning = _meaning(world, network)
        if self._meant.get(network) == meaning:
            return set(self.states.get(network, PolicyState()).waiting)
        self._meant[network] = meaning
        return _pairs(self._world or world, network)  # at the start: it was where it is

    def _held(self, world: World, network: str, pair: Pair) -> Steer | None:
        """What is in force there, if it was under the same policy and is a way to go on."""
        steer = self._in_force.get(network, Steers()).get(pair)
        if steer is None or self._meant.get(network) != _meaning(world, network):
            return None
        return steer if _goes_on(world, pair, steer) else None

    def _put_in_force(self, network: str, steers: Steers, *, epoch: int, done: Steered) -> None:
        before = self._in_force.pop(network, Steers())
        if steers:
            self._in_force[network] = steers
        if steers == before:
            return
        self._pool.use(steers.values(), written=True)
        self._pool.release(before.values(), written_until=epoch)
        self._kept.steers[network] = steers
        self._moved.add(network)
        for pair in before.keys() | steers.keys():
            if (old := before.get(pair)) != (steer := steers.get(pair)):
                dpid, edge = pair
                self._former.setdefault(dpid, {})[network, edge, old] = epoch
                done.steers.add((dpid, network, edge))
                here = self.steers.get(dpid, Map())
                here = here.delete((network, edge)) if steer is None else here.set((network, edge), steer)
                self.steers = self.steers.set(dpid, here) if here else self.steers.delete(dpid)

    def _say(self, network: str, done: Steered, **what: object) -> None:
        before = self.states.get(network, PolicyState())
        after = replace(before, **what)  # type: ignore[arg-type]
        if after != before:
            done.networks.add(network)
            self.states = self.states.delete(network) if after == PolicyState() else self.states.set(network, after)

    def _map(self, epoch: int, done: Steered) -> None:
        """Bring the explicit labels of every switch up to date."""
        for dpid, labels in self._pool.map(epoch).items():
            here = self.explicit.get(dpid, Map()).mutate()
            for label, hop in labels.items():
                if hop is None:
                    here.pop(label, None)
                else:
                    here[label] = hop
                done.labels.add((dpid, label))
            mapped = here.finish()
            self.explicit = self.explicit.set(dpid, mapped) if mapped else self.explicit.delete(dpid)


def _between(world: World, networks: Set[str], pairs: Set[Pair]) -> set[str]:
    """Those of the networks that have frames for one switch of a pair on the other."""
    others: dict[int, set[int]] = {}
    for dpid, edge in pairs:
        others.setdefault(dpid, set()).add(edge)
    wanted = {name: set().union(*(others[dpid] for dpid in world.placement.presence.get(name, ()) if dpid in others))
              for name in (networks if others else ())}
    return {name for name, edges in wanted.items() if edges and not edges.isdisjoint(reached_by(world, name))}


def _pairs(world: World, network: str) -> set[Pair]:
    """From where to where the network has frames: its policy holds for what it sends, to peers, too."""
    there = reached_by(world, network)
    return {(src, dst) for src in world.placement.presence.get(network, ()) for dst in there if src != dst}


def _goes_on(world: World, pair: Pair, steer: Steer) -> bool:
    """Whether frames may go on by it: not by trees of a version that the switch does not write any more."""
    return steer != DROPPED and (not steer.trees or steer.version == world.choices[pair].version)


def _meaning(world: World, network: str) -> tuple[PathPolicy, frozenset[int]]:
    """Its policy, and the switches that this avoids in the fabric as it is declared."""
    policy, switches = policy_of(world, network), world.fabric.declared_switches
    return policy, frozenset(dpid for dpid, settings in switches.items() if settings.zone in policy.avoid_zones)


def policy_of(world: World, network: str) -> PathPolicy:
    """ANY_PATH of a network that is not there."""
    found = world.intent.networks.get(network)
    return ANY_PATH if found is None else found.path_policy
