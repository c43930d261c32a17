"""Keys: every tenant, network, edge and attached port has its numbers, alone, and a freed one rests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.intent.keys import NO_KEYS
from controller.intent.pools import RANGES
from controller.intent.records import diff, load_keys
from controller.model.bandwidth import BandwidthPolicy
from controller.model.errors import ResourceExhausted
from controller.model.queues import BEST_EFFORT, inner_queue, leaf_queue
from tests.unit.intent.builders import Author, N, T, network, on, port, small_network, subnet, tenant

P = f"{N}/ports/p"


def test_keys_of_a_network_and_its_ports_begin_with_its_slice() -> None:
    """The upper 14 bits are the network's alone, also within a tenant; the lower 10 its ports', 0 for itself."""
    author = small_network()
    author.create(network(f"{T}/networks/m"))
    author.create(port("p", at=on(1, "eth1")))
    keys, key = author.snapshot.keys, author.snapshot.keys.port_key(P)
    assert (keys.tenant_id(T), keys.slice_of(N), keys.slice_of(f"{T}/networks/m")) == (1, 1, 2)
    assert (keys.network_key(N), key and key.key24) == (1 << 10, 1 << 10 | 1)


def test_port_without_attachment_has_no_key() -> None:
    """A port that plugs in nowhere takes no number of any switch."""
    author = small_network()
    author.create(port("p"))
    assert author.snapshot.keys.port_key(P) is None
    assert not author.snapshot.keys.edges()


def test_first_port_on_a_switch_makes_it_an_edge() -> None:
    """The edge id and the slots of tenant and network come with the first port and go with the last."""
    author = small_network()
    author.create(port("p", at=on(7, "eth1")))
    author.create(port("q", at=on(7, "eth2")))
    keys = author.snapshot.keys
    slots = {keys.tenant_slot(7, T), keys.network_slot(7, N)}
    slots |= {key.slot for key in map(keys.port_key, (P, f"{N}/ports/q")) if key}
    assert keys.edge_id(7) == 1
    assert slots == {1024, 1025, 1026, 1027}

    author.delete(P)
    assert author.snapshot.keys.edge_id(7) == 1
    assert author.snapshot.keys.tenant_slot(7, T) == keys.tenant_slot(7, T)

    author.delete(f"{N}/ports/q")
    assert author.snapshot.keys.edge_id(7) is None
    assert author.snapshot.keys.tenant_slot(7, T) is None
    assert author.snapshot.keys.network_slot(7, N) is None


def test_port_keys_count_per_switch_and_slice() -> None:
    """Ports of one network on two switches may have the same key: the label says which switch."""
    author = small_network()
    for id_, dpid in (("p", 1), ("q", 2), ("r", 1)):
        author.create(port(id_, at=on(dpid, id_)))
    keys = [author.snapshot.keys.port_key(f"{N}/ports/{id_}") for id_ in "pqr"]
    assert [key.key24 & 1023 for key in keys if key] == [1, 1, 2]
    assert [key.dpid for key in keys if key] == [1, 2, 1]


def test_port_that_moves_frees_its_key_on_the_old_switch() -> None:
    """After a move the old switch is no edge any more and its numbers rest."""
    author = small_network()
    author.create(port("p", at=on(1, "eth1")))
    before = author.snapshot
    author.update(port("p", at=on(2, "eth1")))
    keys = author.snapshot.keys
    assert dict(keys.edges()) == {2: 2}
    moved = keys.port_key(P)
    assert moved is not None
    assert moved.dpid == 2
    assert before.keys.edge_id(1) == 1, "the old snapshot is untouched"


def test_port_that_changes_interface_keeps_its_keys() -> None:
    """Another interface of the same switch changes nothing that frames carry."""
    author = small_network()
    author.create(port("p", at=on(1, "eth1")))
    before = author.snapshot.keys
    author.update(port("p", at=on(1, "eth2")))
    assert author.snapshot.keys is before


def test_freed_port_key_is_not_given_before_every_switch_confirmed() -> None:
    """The wall between tenants: with a switch out of reach (floor stays), a tenant's freed numbers go to nobody."""
    author = small_network()
    author.floor = 0
    author.create(port("p", at=on(1, "eth1")))
    old = author.snapshot.keys
    old_port = old.port_key(P)
    author.delete(T, force=True)
    author.create(tenant("tenants/b"))
    author.create(network("tenants/b/networks/n"))
    author.create(subnet("tenants/b/networks/n/subnets/s"))
    author.create(port("p", at=on(1, "eth1"), subnet="tenants/b/networks/n/subnets/s"))
    new = author.snapshot.keys
    new_port = new.port_key("tenants/b/networks/n/ports/p")
    assert old_port is not None
    assert new_port is not None
    assert new_port.key24 >> 10 != old_port.key24 >> 10
    assert new_port.slot not in (old_port.slot, old.tenant_slot(1, T), old.network_slot(1, N))
    assert new.edge_id(1) != old.edge_id(1)


def test_owners_have_queues_and_a_port_as_long_as_it_may_be_guaranteed_anything() -> None:
    """From its first guarantee to its last; one of its own each time, and numbers of queues fit a tc minor."""
    author = small_network()
    author.create(port("p"))
    promised = replace(port("p"), bandwidth=BandwidthPolicy(guarantee_out_kbps=100))
    assert set(author.snapshot.keys.queue_ids) == {T, N}
    author.update(promised)
    first = author.snapshot.keys.queue_id(P)
    author.update(replace(promised, bandwidth=BandwidthPolicy(guarantee_out_kbps=200)))
    assert author.snapshot.keys.queue_id(P) == first
    author.floor = 0
    author.update(port("p"))
    assert set(author.snapshot.keys.queue_ids) == {T, N}
    author.update(promised)
    assert author.snapshot.keys.queue_id(P) != first
    author.delete(T, force=True)
    assert not author.snapshot.keys.queue_ids
    low, high = RANGES["queues"]
    numbers = [make(id_) for id_ in (low, high) for make in (leaf_queue, inner_queue)]
    assert sorted({BEST_EFFORT, *numbers}) == [BEST_EFFORT, *numbers] and numbers[-1] < 0xFF00


def test_exhausted_pool_names_itself_and_what_to_do() -> None:
    """1,023 ports of a network on a switch; the error says which pool, how full, how much rests, and what helps."""
    author = small_network("10.0.0.0/16")
    author.floor = 0
    author.apply([port(f"p{i}", at=on(1, f"eth{i}")) for i in range(1_023)])
    author.delete(f"{N}/ports/p5")
    more, pool = port("more", at=on(1, "eth5")), "slice-1/ports-0000000000000001"
    with pytest.raises(ResourceExhausted) as caught:
        author.create(more)
    assert caught.value.reason == "POOL_EXHAUSTED"
    assert caught.value.metadata == {"pool": pool, "size": "1023", "in_use": "1022", "resting": "1"}
    assert "switch that is out of reach" in caught.value.message

    author.floor = author.snapshot.generation
    author.create(more)
    assert author.snapshot.keys.port_keys[f"{N}/ports/more"].key24 & 1023 in range(1, 1_024)


def test_diff_is_as_large_as_the_change() -> None:
    """With 50 ports present, one more writes the same number of records as with 1."""
    sizes = []
    author = small_network()
    for i in range(50):
        before = author.snapshot.keys
        author.create(port(f"p{i}", at=on(1, f"eth{i}")))
        sizes.append(len(diff(before, author.snapshot.keys)))
    assert sizes[0] == 7, "port, two slots, edge, three cursors"
    assert set(sizes[1:]) == {3}, "port and two cursors"


def test_diff_refuses_a_gap_of_generations() -> None:
    """Changes are known for one generation; anything else would lose records silently."""
    author = small_network()
    old = author.snapshot.keys
    author.create(network(f"{T}/networks/m"))
    author.create(network(f"{T}/networks/o"))
    with pytest.raises(ValueError, match="not since"):
        diff(old, author.snapshot.keys)


def test_keys_loaded_from_records_go_on_as_if_nothing_had_happened() -> None:
    """Numbers, cursors and quarantine survive a restart: the next port gets the same keys either way."""
    author = Author()
    records: dict[str, dict[str, int]] = {}
    known = NO_KEYS

    def save() -> None:
        nonlocal known
        for record_id, record in diff(known, author.snapshot.keys).items():
            if record is None:
                records.pop(record_id)
            else:
                records[record_id] = record
        known = author.snapshot.keys

    for obj in (tenant(), network(), subnet()):
        author.create(obj)
        save()
    author.floor = 0
    for i in range(5):
        author.create(port(f"p{i}", at=on(1 + i % 2, f"eth{i}")))
        save()
    for i in (0, 2, 4):
        author.delete(f"{N}/ports/p{i}")
        save()
    loaded = load_keys(records, author.snapshot.generation)
    assert loaded == author.snapshot.keys
    restarted = Author(snapshot=author.snapshot.with_keys(loaded))
    restarted.floor = 0
    for each in (author, restarted):
        each.create(port("again", at=on(1, "eth9")))
    assert restarted.snapshot.keys == author.snapshot.keys


def test_pools_of_a_slice_go_with_its_network() -> None:
    """Records of a deleted network's pools do not pile up: only slice, edge and slots rest."""
    author = small_network()
    author.floor = 0
    author.create(port("p", at=on(1, "eth1")))
    author.delete(N, force=True)
    assert set(author.snapshot.keys.pools.scopes) == {"fabric", "switch-0000000000000001"}
