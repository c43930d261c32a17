"""Indexes always say what the objects say, the work of an edit does not grow, and old snapshots stay as they were."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from controller.intent.keys import NO_KEYS, Keys
from controller.intent.pools import RANGES
from controller.intent.records import diff, load_keys
from controller.intent.snapshot import EMPTY, Resource, Snapshot
from controller.model.bandwidth import BandwidthPolicy
from controller.model.errors import PliantError
from controller.model.network import Attachment, Peering
from tests.unit.intent.builders import Author, N, S, T, network, on, port, small_network, subnet, tenant


def test_snapshot_finds_objects_of_every_kind_by_name() -> None:
    """One look-up for all kinds; None for what is unknown or malformed."""
    author = small_network()
    author.create(port("p"))
    kinds = [type(author.snapshot.get(name)).__name__ for name in (T, N, S, f"{N}/ports/p")]
    assert kinds == ["Tenant", "Network", "Subnet", "Port"]
    assert author.snapshot.get("tenants/b") is None
    assert author.snapshot.get("no/such/name") is None


def test_snapshot_lists_objects_parents_first() -> None:
    """The order in which they could be created again."""
    author = small_network()
    author.create(tenant("tenants/0"))
    author.create(port("p"))
    assert [obj.name for obj in author.snapshot.objects()] == ["tenants/0", T, N, S, f"{N}/ports/p"]


def test_snapshot_knows_children() -> None:
    """Networks of a tenant; subnets and ports of a network; ports of a subnet."""
    author = small_network()
    author.create(port("p"))
    children = {name: sorted(author.snapshot.children_of(name)) for name in (T, N, S, f"{N}/ports/p")}
    assert children == {T: [N], N: [f"{N}/ports/p", S], S: [f"{N}/ports/p"], f"{N}/ports/p": []}
    assert author.snapshot.count_children(N) == 2


def test_old_snapshot_is_untouched_by_an_edit() -> None:
    """Whoever holds a snapshot can go on reading it."""
    author = small_network()
    before = author.snapshot
    author.create(port("p", at=on(1, "eth1")))
    assert before.get(f"{N}/ports/p") is None
    assert before == small_network().snapshot


def test_delete_of_an_unknown_object_is_a_defect_of_the_caller() -> None:
    """The snapshot has no opinion on requests; rules do."""
    with pytest.raises(KeyError):
        EMPTY.delete(T)


def _calls(work: Callable[[], object]) -> int:
    """How many Python and C functions `work` calls: time without a clock."""
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def _refused(edit: Callable[[], object]) -> None:
    with pytest.raises(PliantError):
        edit()


def _crowded(ports: int) -> Author:
    author = Author(tenant(), network(), subnet(cidr="10.0.0.0/16", cidr6="fd00::/64"))
    author.apply([port(f"p{i}", at=on(1 + i % 4, f"eth{i}")) for i in range(ports)])
    return author


@pytest.mark.parametrize("edit", [
    lambda author: author.create(port("new", at=on(1, "new"))),
    lambda author: author.create(port("new", "10.0.200.1", mac="02:00:00:00:00:01", at=on(1, 9_999))),
    lambda author: author.update(port("p5", at=on(2, "new"))),
    lambda author: author.delete(f"{N}/ports/p5"),
    lambda author: author.create(subnet(f"{N}/subnets/new", "10.1.0.0/16")),
    lambda author: _refused(lambda: author.create(port("new", "10.0.0.3"))),
    lambda author: _refused(lambda: author.delete(N)),
], ids=["create", "create-chosen", "move", "delete", "create-subnet", "refuse-address", "refuse-delete"])
def test_work_of_an_edit_does_not_grow_with_the_network(edit: Callable[[Author], Any]) -> None:
    """With 1,000 ports an edit calls as many functions as with 10 (hash collisions aside)."""
    few, many = _crowded(10), _crowded(1_000)
    assert _calls(lambda: edit(many)) <= 1.3 * _calls(lambda: edit(few))


_TENANTS = [f"tenants/{id_}" for id_ in "ab"]
_NETWORKS = [f"{name}/networks/{id_}" for name in _TENANTS for id_ in "mn"]
_SUBNETS = [f"{name}/subnets/{id_}" for name in _NETWORKS for id_ in "st"]
_PORTS = [f"{name}/ports/p{i}" for name in _NETWORKS for i in range(6)]
_PEERINGS = [f"{name}/peerings/{id_}" for name in _TENANTS for id_ in "xy"]
_CIDRS = st.sampled_from(["10.0.0.0/29", "10.0.0.8/29", "10.0.0.0/28", "10.0.0.0/30", "10.0.1.0/28"])
_CIDRS6 = st.sampled_from([None, "fd00::/126", "fd00::/64", "fd01::/64"])
_ADDRESSES = st.lists(st.integers(0, 9).map(lambda i: f"10.0.0.{i}"), max_size=2)
_MACS = st.sampled_from(["", "", "02:00:00:00:00:01", "02:00:00:00:00:02"])
_PLACES = st.none() | st.builds(on, st.integers(1, 2), st.sampled_from([f"eth{i}" for i in range(6)]))
_NAMES = _PORTS + _SUBNETS + _NETWORKS + _TENANTS + _PEERINGS
_IDS = st.sampled_from([f"p{i}" for i in range(6)])


def _ports() -> st.SearchStrategy[Resource]:
    """Ports of the subnets that exist from the start, everything else assigned."""
    return st.builds(port, _IDS, at=_PLACES, subnet=st.sampled_from([name for name in _SUBNETS if name.endswith("s")]))


@st.composite
def _objects(draw: st.DrawFn) -> Resource:
    """Anything, much of it in conflict with something else."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return tenant(draw(st.sampled_from(_TENANTS)), networks=draw(st.integers(1, 3)), ports=draw(st.integers(3, 20)))
    if kind == 1:
        return network(draw(st.sampled_from(_NETWORKS)))
    if kind == 2:
        return subnet(draw(st.sampled_from(_SUBNETS)), draw(_CIDRS), draw(_CIDRS6))
    if kind == 3:
        name = draw(st.sampled_from(_PEERINGS))
        sides = st.sampled_from([network for network in _NETWORKS if network.startswith(f"{name[:9]}/")])
        return Peering(name=name, a=draw(sides), b=draw(sides))
    below = draw(st.sampled_from(_SUBNETS))
    made = port(draw(_IDS), *draw(_ADDRESSES), mac=draw(_MACS), at=draw(_PLACES), subnet=below)
    return replace(made, bandwidth=BandwidthPolicy(guarantee_out_kbps=draw(st.sampled_from((0, 100)))))


class Edits(RuleBasedStateMachine):
    """Any sequence of edits, accepted or refused, with floors that lag by any distance, and pools so small that they
    wrap around and run out.

    `records` is what a store would hold; `freed` is when each number was freed last, seen from outside.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ranges = dict(RANGES)
        RANGES.update(tenants=(1, 4), slices=(1, 6), edges=(1, 4), ports=(1, 4), slots=(1_024, 1_032))

    def teardown(self) -> None:
        RANGES.update(self._ranges)

    @initialize()
    def start(self) -> None:
        self.author = Author()
        self.floor = 0
        self.records: dict[str, dict[str, int]] = {}
        self.saved: Keys = NO_KEYS
        self.freed: dict[tuple[object, ...], int] = {}
        parents: list[Resource] = [tenant(name) for name in _TENANTS]
        for name in _NETWORKS:
            cidr = "10.0.0.0/28" if name.endswith("m") else "10.0.1.0/28"
            parents += [network(name), subnet(f"{name}/subnets/s", cidr)]
        self._edit(lambda: self.author.apply(parents))
        assert self.author.snapshot.networks

    @rule(puts=st.lists(_ports(), min_size=1, max_size=3), lag=st.integers(0, 3))
    def plug(self, puts: list[Resource], lag: int) -> None:
        """Create, move, attach or detach a few ports at once, some confirmed and some not."""
        for obj in puts:
            self.confirm(lag)
            self._edit(partial(self.author.apply, [obj]))

    @rule(choice=st.integers(0, 99), lag=st.integers(0, 3))
    def unplug(self, choice: int, lag: int) -> None:
        """Delete every other port."""
        self.confirm(lag)
        for name in sorted(self.author.snapshot.ports)[choice % 2::2]:
            self._edit(partial(self.author.delete, name))

    @rule(objects=st.lists(_objects(), min_size=1, max_size=4), deletes=st.lists(st.sampled_from(_NAMES), max_size=2))
    def apply(self, objects: list[Resource], deletes: list[str]) -> None:
        self._edit(lambda: self.author.apply(objects, tuple(deletes)))

    @rule(obj=_objects(), exists=st.booleans())
    def create_or_update(self, obj: Resource, exists: bool) -> None:
        """Half of them refused, because the object is there or is not."""
        self._edit(lambda: self.author.update(obj) if exists else self.author.create(obj))

    @rule(name=st.sampled_from(_NAMES), force=st.booleans())
    def delete(self, name: str, force: bool) -> None:
        self._edit(lambda: self.author.delete(name, force=force))

    @rule(lag=st.integers(0, 10))
    def confirm(self, lag: int) -> None:
        """Switches confirm up to some generation; the floor never goes back."""
        self.floor = max(self.floor, self.author.snapshot.generation - lag)

    @rule()
    def restart(self) -> None:
        """Everything is built again from objects and records."""
        old = self.author.snapshot
        objects = list(old.objects())
        random.Random(old.generation).shuffle(objects)
        uids = self.author.uid
        self.author = Author(
            snapshot=Snapshot.rebuild(objects, load_keys(self.records, self.saved.generation), old.generation),
        )
        self.author.uid = uids  # type: ignore[method-assign]
        self.saved = self.author.snapshot.keys
        assert self.author.snapshot == old

    def _edit(self, edit: Callable[[], object]) -> None:
        before = self.author.snapshot
        self.author.floor = self.floor
        try:
            edit()
        except PliantError:
            assert self.author.snapshot is before
            return
        self._save()
        self._check_numbers(before.keys, self.author.snapshot.keys)

    def _save(self) -> None:
        new = self.author.snapshot.keys
        for record_id, record in diff(self.saved, new).items():
            if record is None:
                del self.records[record_id]
            else:
                self.records[record_id] = record
        self.saved = new

    def _check_numbers(self, before: Keys, after: Keys) -> None:
        """No number went to a new holder before the floor had reached the generation that freed it."""
        old, new = _held(before), _held(after)
        for number, holder in old.items():
            if new.get(number) != holder:
                self.freed[number] = self.author.snapshot.generation
                assert number not in new, f"{number} went from {holder} to {new[number]} in one step"
        for number in new.keys() - old.keys():
            assert self.freed.get(number, 0) <= self.floor, f"{number} was given again too early"

    @invariant()
    def indexes_say_what_the_objects_say(self) -> None:
        snapshot = self.author.snapshot
        assert Snapshot.rebuild(snapshot.objects(), snapshot.keys, snapshot.generation) == snapshot

    @invariant()
    def addresses_and_places_have_one_holder(self) -> None:
        snapshot = self.author.snapshot
        taken: list[tuple[object, ...]] = []
        for obj in snapshot.ports.values():
            taken += [(obj.network, address) for address in obj.addresses]
            taken.append((obj.network, obj.mac))
            taken += [(obj.attachment,)] * (obj.attachment is not None)
        for below in snapshot.subnets.values():
            taken += [(below.network, gateway) for gateway in below.gateways]
        assert len(taken) == len(set(taken))

    @invariant()
    def an_address_leads_to_one_subnet(self) -> None:
        snapshot = self.author.snapshot
        for name in snapshot.networks:
            reached = [name, *snapshot.peers_of(name)]
            ranges = [r for each in reached for r in snapshot.ranges.get((each, 4), ())]
            taken = [value for first, last, _ in ranges for value in range(first, last + 1)]
            assert len(taken) == len(set(taken))

    @invariant()
    def every_object_has_its_numbers_and_no_other_has_any(self) -> None:
        snapshot, keys = self.author.snapshot, self.author.snapshot.keys
        placed = {p.name: p.attachment for p in snapshot.ports.values() if p.attachment}
        assert set(keys.tenant_ids) == set(snapshot.tenants)
        assert set(keys.slices) == set(snapshot.networks)
        promised = {p.name for p in snapshot.ports.values() if p.bandwidth.may_guarantee}
        assert set(keys.queue_ids) == {*snapshot.tenants, *snapshot.networks, *promised}
        assert {name: key.dpid for name, key in keys.port_keys.items()} == {n: at.dpid for n, at in placed.items()}
        assert set(keys.edge_ids) == {at.dpid for at in placed.values()}
        holders = {(at.dpid, holder) for name, at in placed.items() for holder in _holders(name)}
        assert set(keys.slots) == holders
        for port_name, key in keys.port_keys.items():
            network = snapshot.ports[port_name].network
            assert key.key24 >> 10 == keys.slice_of(network)
            assert key.key24 != keys.network_key(network)

    @invariant()
    def records_restore_the_keys(self) -> None:
        assert load_keys(self.records) == self.author.snapshot.keys


def _holders(port_name: str) -> tuple[str, str]:
    parts = port_name.split("/")
    return "/".join(parts[:2]), "/".join(parts[:4])


def _held(keys: Keys) -> dict[tuple[object, ...], str]:
    """(pool, number) -> who holds it; fails if a number has two holders."""
    pairs: list[tuple[tuple[object, ...], str]] = []
    pairs += [(("tenant", value), name) for name, value in keys.tenant_ids.items()]
    pairs += [(("slice", value), name) for name, value in keys.slices.items()]
    pairs += [(("queue", value), name) for name, value in keys.queue_ids.items()]
    pairs += [(("edge", value), str(dpid)) for dpid, value in keys.edge_ids.items()]
    pairs += [(("slot", dpid, value), name) for (dpid, name), value in keys.slots.items()]
    pairs += [(("slot", key.dpid, key.slot), name) for name, key in keys.port_keys.items()]
    pairs += [(("port", key.dpid, key.key24), name) for name, key in keys.port_keys.items()]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


Edits.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestEdits = Edits.TestCase


def test_attachment_spelled_by_name_and_by_number_are_two_entries() -> None:
    """Only the fabric knows that they are one switch port; bindings settle it."""
    author = small_network()
    author.create(port("p", at=Attachment(dpid=1, interface="3")))
    author.create(port("q", at=Attachment(dpid=1, port_no=3)))
    assert set(author.snapshot.attachments) == {(1, "3"), (1, 3)}
