"""Chosen addresses: free, usable by a host, in order, and found without walking over the network."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest

from controller.intent.addresses import assign_mac, gateway_mac, is_host
from controller.intent.snapshot import EMPTY
from controller.model.errors import ResourceExhausted
from controller.model.network import Port, Subnet
from tests.unit.intent.builders import Author, N, S, port, small_network


def _addresses(author: Author, id_: str) -> list[str]:
    made = author.create(port(id_))
    assert isinstance(made, Port)
    return [str(address) for address in made.addresses]


def test_gateway_is_the_first_host_address() -> None:
    """A subnet without gateways gets the first address of each CIDR."""
    author = small_network(cidr6="fd00:1::/64")
    made = author.snapshot.get(S)
    assert isinstance(made, Subnet)
    assert [str(gateway) for gateway in made.gateways] == ["10.0.0.1", "fd00:1::1"]


def test_ports_get_one_address_of_each_family_in_order() -> None:
    """Behind the gateway, one after the other."""
    author = small_network(cidr6="fd00:1::/64")
    assert _addresses(author, "p") == ["10.0.0.2", "fd00:1::2"]
    assert _addresses(author, "q") == ["10.0.0.3", "fd00:1::3"]


def test_address_of_a_deleted_port_is_given_again_last() -> None:
    """Stale neighbour caches would send the old port's traffic to the new one."""
    author = small_network(cidr="10.0.0.0/29")
    assert [_addresses(author, id_)[0] for id_ in "pq"] == ["10.0.0.2", "10.0.0.3"]
    author.delete(f"{N}/ports/p")
    assert [_addresses(author, id_)[0] for id_ in "rstu"] == ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]


def test_addresses_chosen_by_clients_are_stepped_over() -> None:
    """The search skips what is in use, the gateway included."""
    author = small_network(gateway="10.0.0.3")
    author.create(port("p", "10.0.0.1"))
    author.create(port("q", "10.0.0.2"))
    assert _addresses(author, "r") == ["10.0.0.4"]


def test_exhausted_subnet_says_so() -> None:
    """A /29 has 6 host addresses, one of them the gateway: the sixth port fails and nothing is half-done."""
    author = small_network(cidr="10.0.0.0/29")
    for id_ in "pqrst":
        author.create(port(id_))
    before = author.snapshot
    with pytest.raises(ResourceExhausted) as caught:
        author.create(port("u"))
    assert caught.value.reason == "SUBNET_EXHAUSTED"
    assert caught.value.metadata == {"subnet": S, "cidr": "10.0.0.0/29", "size": "6"}
    assert author.snapshot is before


def test_restart_forgets_where_to_search_and_nothing_else() -> None:
    """Without the cursor the search starts at the first address and ends at a free one."""
    author = small_network()
    author.create(port("p"))
    restarted = Author(snapshot=replace(author.snapshot, address_cursors=EMPTY.address_cursors))
    assert restarted.snapshot == author.snapshot
    assert _addresses(restarted, "q") == ["10.0.0.3"]


def test_search_takes_one_step_however_many_ports_there_are() -> None:
    """The cursor stands right before the next free address."""
    author = small_network(cidr="10.0.0.0/16")
    for i in range(300):
        author.create(port(f"p{i}"))
        assert author.snapshot.address_cursors[S, 4] == i + 2


def test_cursor_goes_with_its_subnet() -> None:
    """Deleted subnets leave nothing behind."""
    author = small_network()
    author.create(port("p"))
    author.delete(S, force=True)
    assert not author.snapshot.address_cursors


def test_mac_follows_from_the_uid_and_steps_at_a_collision() -> None:
    """The same uid has the same locally administered unicast MAC; a taken one leads to the next."""
    author = small_network()
    first = assign_mac(author.snapshot, N, "uid-x")
    assert first == assign_mac(EMPTY, N, "uid-x")
    assert first.startswith("02:")
    author.create(port("p", mac=first))
    second = assign_mac(author.snapshot, N, "uid-x")
    assert second != first
    assert second.startswith("02:")


def test_gateway_mac_carries_the_network_key() -> None:
    """Two networks on one switch never share a gateway MAC."""
    assert gateway_mac(0x012345) == "02:00:5e:01:23:45"


@pytest.mark.parametrize(("cidr", "hosts", "others"), [
    (IPv4Network("10.0.0.0/30"), ["10.0.0.1", "10.0.0.2"], ["10.0.0.0", "10.0.0.3", "10.0.0.4", "fd00::1"]),
    (IPv6Network("fd00::/126"), ["fd00::1", "fd00::3"], ["fd00::", "fd00::4", "10.0.0.1"]),
])
def test_host_addresses_leave_out_network_and_broadcast(
    cidr: IPv4Network | IPv6Network, hosts: list[str], others: list[str],
) -> None:
    """IPv6 has no broadcast address, but its first address is that of any router."""
    assert all(is_host(cidr, ip_address(host)) for host in hosts)
    assert not any(is_host(cidr, ip_address(other)) for other in others)
