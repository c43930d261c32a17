"""Create, update, delete and batches: objects come out complete, order is free, errors leave nothing half-done."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from controller.intent.snapshot import EMPTY, Resource, Snapshot
from controller.model.bandwidth import BandwidthPolicy
from controller.model.errors import FailedPrecondition, InvalidArgument, NotFound, PliantError
from controller.model.network import Port, Subnet
from tests.unit.intent.builders import Author, N, S, T, network, on, port, small_network, subnet, tenant

P = f"{N}/ports/p"
Q = f"{N}/ports/q"


def _port(snapshot: Snapshot, name: str) -> Port:
    return snapshot.ports[name]


def test_create_completes_the_object() -> None:
    """Uid, time, generation, MAC, addresses; the snapshot has the generation too."""
    author = small_network()
    made = author.create(port("p"))
    assert isinstance(made, Port)
    assert made is author.snapshot.get(P)
    assert made.meta.uid == "uid-4"
    assert made.meta.created_s == 1.5
    assert made.meta.generation == author.snapshot.generation == 4
    assert made.mac.startswith("02:")
    assert [str(address) for address in made.addresses] == ["10.0.0.2"]


def test_create_keeps_what_the_client_chose() -> None:
    """A given address of one family does not bring one of the other."""
    author = small_network(cidr6="fd00::/64")
    made = author.create(port("p", "10.0.0.9", mac="02:00:00:00:00:09"))
    assert isinstance(made, Port)
    assert (made.mac, [str(address) for address in made.addresses]) == ("02:00:00:00:00:09", ["10.0.0.9"])


def test_update_keeps_what_the_server_assigned() -> None:
    """Uid, time of creation, and a MAC, addresses or gateways left empty stay; the generation moves."""
    author = small_network(gateway="10.0.0.9")
    made = author.create(port("p"))
    changed = author.update(replace(port("p"), bandwidth=BandwidthPolicy(ceiling_in_kbps=1_000)))
    assert isinstance(made, Port)
    assert isinstance(changed, Port)
    assert (changed.mac, changed.addresses, changed.meta.uid) == (made.mac, made.addresses, made.meta.uid)
    assert changed.bandwidth.ceiling_in_kbps == 1_000
    assert changed.meta.generation == made.meta.generation + 1
    again = author.update(replace(subnet(), meta=replace(subnet().meta, display_name="x")))
    assert isinstance(again, Subnet)
    assert str(again.ipv4_gateway) == "10.0.0.9"


def test_update_that_changes_nothing_changes_nothing() -> None:
    """The same snapshot comes back: no generation is spent, nothing is recompiled."""
    author = small_network()
    author.create(port("p", at=on(1, "eth1")))
    before = author.snapshot
    assert author.update(port("p", at=on(1, "eth1"))) is before.get(P)
    assert author.snapshot is before


def test_update_can_detach_and_attach() -> None:
    """A port without attachment frees its switch port at once."""
    author = small_network()
    author.create(port("p", at=on(1, "eth1")))
    author.update(port("p"))
    assert author.snapshot.keys.port_key(P) is None
    author.create(port("q", at=on(1, "eth1")))


def test_forced_delete_takes_all_below_children_first() -> None:
    """The names come in an order in which each could be deleted alone."""
    author = small_network()
    author.create(port("p"))
    author.create(port("q"))
    assert author.delete(T, force=True) == (P, Q, S, N, T)
    assert author.snapshot == replace(EMPTY, keys=author.snapshot.keys, generation=author.snapshot.generation)


def test_forced_delete_of_a_subnet_takes_its_ports_only() -> None:
    """Ports of other subnets of the network stay."""
    author = small_network()
    author.create(subnet(f"{N}/subnets/other", "10.1.0.0/24"))
    author.create(port("p"))
    author.create(port("q", subnet=f"{N}/subnets/other"))
    assert author.delete(S, force=True) == (P, S)
    assert author.snapshot.get(Q) is not None


# -- batches


def test_batch_needs_no_order() -> None:
    """All orders of the same objects give the same snapshot, keys and addresses included."""
    objects: list[Resource] = [tenant(), network(), subnet(), port("p", "10.0.0.2"), port("q", at=on(1, "eth1"))]

    def applied(puts: list[Resource]) -> Snapshot:
        author = Author()
        author.apply(puts)
        return author.snapshot

    first = applied(objects)
    assert [str(a) for a in _port(first, Q).addresses] == ["10.0.0.3"]
    for order in permutations(objects):
        assert applied(list(order)) == first


def test_batch_answers_in_the_order_asked() -> None:
    """The n-th object of the answer is the n-th of the request, whatever the order of work."""
    author = Author()
    applied = author.apply([port("q"), subnet(), tenant(), port("p"), network()])
    assert [obj.name for obj in applied.objects] == [Q, S, T, P, N]


def test_batch_says_which_element_is_bad_and_changes_nothing() -> None:
    """One bad object among fifty: index, name, field and reason; the old snapshot stays."""
    author = small_network()
    before = author.snapshot
    puts: list[Resource] = [port(f"p{i}") for i in range(49)]
    puts.insert(31, port("bad", "10.9.9.9"))
    with pytest.raises(InvalidArgument) as caught:
        author.apply(puts)
    assert caught.value.reason == "INVALID_ADDRESS"
    assert caught.value.message.startswith(f"resources[31] ({N}/ports/bad): ")
    assert list(caught.value.fields) == ["resources[31].port.addresses[0]"]
    assert caught.value.metadata["index"] == "31"
    assert author.snapshot is before


def test_batch_lets_ports_swap_what_is_exclusive() -> None:
    """Addresses, MACs and switch ports change hands in one step."""
    author = small_network()
    author.create(port("p", "10.0.0.5", mac="02:00:00:00:00:05", at=on(1, "eth1")))
    author.create(port("q", "10.0.0.6", mac="02:00:00:00:00:06", at=on(2, "eth2")))
    author.apply([
        port("p", "10.0.0.6", mac="02:00:00:00:00:06", at=on(2, "eth2")),
        port("q", "10.0.0.5", mac="02:00:00:00:00:05", at=on(1, "eth1")),
    ])
    assert _port(author.snapshot, P).attachment == on(2, "eth2")
    assert author.snapshot.attachments[1, "eth1"] == Q
    assert author.snapshot == Snapshot.rebuild(
        author.snapshot.objects(), author.snapshot.keys, author.snapshot.generation,
    )


def test_batch_that_changes_nothing_keeps_the_snapshot() -> None:
    """Applying the same manifest twice is no change."""
    author = Author()
    puts: list[Resource] = [tenant(), network(), subnet(), port("p", at=on(1, "eth1"))]
    author.apply(puts)
    before = author.snapshot
    applied = author.apply(puts)
    assert author.snapshot is before
    assert applied.objects == tuple(before.get(obj.name) for obj in puts)


def test_batch_deletes_before_it_puts() -> None:
    """What is deleted makes room for what is put; names that do not exist are no error."""
    author = small_network()
    author.create(port("p", "10.0.0.5"))
    applied = author.apply([port("q", "10.0.0.5")], (f"{N}/ports/unknown", P))
    assert applied.deleted == (P,)


def test_batch_deletes_parents_with_their_children_in_any_order() -> None:
    """Parents listed before their children are deleted after them."""
    author = small_network()
    author.create(port("p"))
    assert author.apply([], (T, N, S, P)).deleted == (P, S, N, T)


def test_batch_delete_with_children_left_needs_force() -> None:
    """The error points at the delete."""
    author = small_network()
    author.create(port("p"))
    with pytest.raises(FailedPrecondition) as caught:
        author.apply([], (S, N))
    assert caught.value.reason == "HAS_CHILDREN"
    assert caught.value.message.startswith(f"deletes[0] ({S}): ")
    assert author.apply([], (N,), force=True).deleted == (P, S, N)


@pytest.mark.parametrize(("puts", "deletes"), [([port("p"), port("p")], ()), ([port("p")], (P,))])
def test_batch_names_each_object_once(puts: list[Resource], deletes: tuple[str, ...]) -> None:
    """Twice put, or put and deleted, has no meaning without an order."""
    with pytest.raises(InvalidArgument) as caught:
        small_network().apply(puts, deletes)
    assert caught.value.reason == "INVALID_FIELD"


def test_batch_counts_quota_with_updates_in_flight() -> None:
    """Objects that are being replaced still count."""
    author = Author(tenant(ports=2), network(), subnet())
    author.create(port("p"))
    author.create(port("q"))
    with pytest.raises(PliantError) as caught:
        author.apply([port("a"), port("p", at=on(1, 1)), port("q", at=on(1, 2))])
    assert caught.value.reason == "QUOTA_EXCEEDED"
    assert caught.value.metadata["index"] == "0"


def test_batch_creation_below_a_deleted_parent_is_refused() -> None:
    """A forced delete takes the parent away before the put."""
    author = small_network()
    with pytest.raises(NotFound) as caught:
        author.apply([port("p")], (N,), force=True)
    assert caught.value.reason == "PARENT_NOT_FOUND"
