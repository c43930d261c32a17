"""Peerings in asked state: between two networks of one tenant, with every address leading to one place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.intent.addresses import gateway_mac
from controller.intent.snapshot import Snapshot
from controller.model.errors import PliantError
from controller.model.network import Peering
from controller.model.tenancy import Meta
from tests.unit.intent.builders import Author, T, network, port, subnet, tenant

A, B, C = (f"{T}/networks/{id_}" for id_ in "abc")
AB = f"{T}/peerings/ab"


def peering(id_: str = "ab", a: str = A, b: str = B) -> Peering:
    return Peering(name=f"{T}/peerings/{id_}", a=a, b=b)


def three_networks(*cidrs: str) -> Author:
    author = Author(tenant())
    for name, cidr in zip((A, B, C), cidrs or ("10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"), strict=True):
        author.create(network(name))
        author.create(subnet(f"{name}/subnets/s", cidr))
    return author


def refusal(author: Author, obj: object) -> PliantError:
    with pytest.raises(PliantError) as caught:
        author.create(obj)  # type: ignore[arg-type]
    return caught.value


def test_peering_leads_from_each_network_to_the_other_and_no_further() -> None:
    """The index has both ways, knows the peering, and forgets it."""
    author = three_networks()
    author.create(peering())
    author.create(peering("bc", B, C))
    snapshot = author.snapshot
    assert {name: set(snapshot.peers_of(name)) for name in (A, B, C)} == {A: {B}, B: {A, C}, C: {B}}
    assert snapshot.peers[B][A] == AB
    assert snapshot.get(AB) == snapshot.peerings[AB]
    author.delete(AB)
    assert set(author.snapshot.peers_of(A)) == set()
    assert author.snapshot == Snapshot.rebuild(
        author.snapshot.objects(), author.snapshot.keys, author.snapshot.generation)


@pytest.mark.parametrize(("obj", "reason", "field"), [
    (peering(b=A), "INVALID_FIELD", "peering.b"),
    (peering(a=T), "INVALID_NAME", "peering.a"),
    (peering(b=f"{A}/subnets/s"), "INVALID_NAME", "peering.b"),
    (peering(b=f"{T}/networks/none"), "PARENT_NOT_FOUND", "peering.b"),
    (peering(a="tenants/z/networks/a"), "INVALID_FIELD", "peering.a"),
])
def test_peering_needs_two_networks_of_its_tenant(obj: Peering, reason: str, field: str) -> None:
    """Anything else is refused, and the violation names the side."""
    error = refusal(three_networks(), obj)
    assert (error.reason, list(error.fields)) == (reason, [field])


def test_second_peering_of_the_same_networks_is_refused_either_way_round() -> None:
    """It would change nothing, and deleting the first would not part them."""
    author = three_networks()
    author.create(peering())
    error = refusal(author, peering("ba", B, A))
    assert (error.reason, error.metadata) == ("PEERING_EXISTS", {"holder": AB})


def test_networks_with_overlapping_subnets_are_not_joined() -> None:
    """An address would be in both; the refusal names the two subnets."""
    author = three_networks("10.1.0.0/16", "10.1.2.0/24", "10.3.0.0/24")
    error = refusal(author, peering())
    assert error.reason == "CIDR_OVERLAP"
    assert {error.metadata["subnet"], error.metadata["other"]} == {f"{A}/subnets/s", f"{B}/subnets/s"}


def test_two_peers_of_one_network_do_not_overlap() -> None:
    """Whoever sits between them could not tell which one an address is in; without that peering they may."""
    author = three_networks("10.1.0.0/24", "10.2.0.0/24", "10.1.0.0/24")
    author.create(peering("ab"))
    error = refusal(author, peering("bc", B, C))
    assert error.reason == "CIDR_OVERLAP"
    assert AB in error.message
    author.delete(AB)
    author.create(peering("bc", B, C))


@pytest.mark.parametrize(("at", "cidr", "named"), [
    (A, "10.2.0.0/16", [AB]),
    (A, "10.3.0.0/25", [AB, f"{T}/peerings/bc"]),
    (B, "10.3.0.128/25", [f"{T}/peerings/bc"]),
])
def test_subnet_that_would_overlap_later_is_refused_naming_the_peering(at: str, cidr: str, named: list[str]) -> None:
    """With the peer's subnets, and with those of the peer's other peers."""
    author = three_networks()
    author.create(peering("ab"))
    author.create(peering("bc", B, C))
    error = refusal(author, subnet(f"{at}/subnets/t", cidr))
    assert (error.reason, list(error.fields)) == ("CIDR_OVERLAP", ["subnet.ipv4_cidr"])
    assert all(name in error.message for name in named)


def test_networks_that_do_not_reach_each_other_may_overlap() -> None:
    """A subnet is measured against those it is routed to, and no others."""
    author = three_networks()
    author.create(peering("ab"))
    author.create(subnet(f"{C}/subnets/t", "10.1.0.0/24"))
    author.create(subnet(f"{A}/subnets/t", "10.3.0.0/24"))


def test_families_are_looked_at_one_by_one() -> None:
    """IPv6 ranges overlap as IPv4 ranges do."""
    author = three_networks()
    author.create(peering("ab"))
    author.create(subnet(f"{A}/subnets/six", None, "fd00:1::/64"))
    error = refusal(author, subnet(f"{B}/subnets/six", None, "fd00::/16"))
    assert list(error.fields) == ["subnet.ipv6_cidr"]


def test_no_port_has_the_mac_of_a_peers_gateways() -> None:
    """Frames from the peer come with it: refused for a port when there is a peering, and for a peering when there is
    such a port.
    """
    author = three_networks()
    mac = gateway_mac(author.snapshot.keys.network_key(A))
    odd = port("odd", mac=mac, subnet=f"{B}/subnets/s")
    author.create(odd)
    assert refusal(author, peering()).metadata == {"mac": mac, "holder": f"{B}/ports/odd"}
    author.delete(odd.name)
    author.create(peering())
    assert list(refusal(author, odd).fields) == ["port.mac_address"]


def test_peering_keeps_its_networks() -> None:
    """Labels can change; whom it joins cannot."""
    author = three_networks()
    author.create(peering())
    author.update(replace(peering(), meta=Meta(display_name="both")))
    assert author.snapshot.peerings[AB].meta.display_name == "both"
    with pytest.raises(PliantError) as caught:
        author.update(peering(b=C))
    assert (caught.value.reason, list(caught.value.fields)) == ("IMMUTABLE_FIELD", ["peering.b"])


def test_network_with_a_peering_is_deleted_by_force_only_and_takes_it_along() -> None:
    """Delete names the peering that is in the way; force deletes it first, once, also with the tenant."""
    author = three_networks()
    author.create(peering())
    author.delete(f"{A}/subnets/s")
    with pytest.raises(PliantError, match=AB) as caught:
        author.delete(A)
    assert caught.value.reason == "HAS_CHILDREN"
    before = author.snapshot
    assert author.delete(A, force=True) == (AB, A)
    author.snapshot = before
    gone = author.delete(T, force=True)
    assert gone.count(AB) == 1
    assert gone.index(AB) < gone.index(A)
    assert not author.snapshot.objects()


def test_batch_needs_no_order_and_sees_overlaps_whatever_changes() -> None:
    """Also where the peering itself is changed in the batch that brings the subnet."""
    author = Author(tenant())
    applied = author.apply([peering(), subnet(f"{A}/subnets/s", "10.1.0.0/24"), network(B), network(A)])
    assert applied.objects[0].name == AB
    changed = replace(peering(), meta=Meta(display_name="both"))
    with pytest.raises(PliantError) as caught:
        author.apply([changed, subnet(f"{B}/subnets/s", "10.1.0.0/16")])
    assert caught.value.reason == "CIDR_OVERLAP"
    assert author.apply([], (A, AB), force=True).deleted == (AB, f"{A}/subnets/s", A)


def test_peering_counts_against_its_own_quota() -> None:
    """And against nobody else's."""
    author = three_networks()
    author.update(tenant(peerings=1))
    author.create(peering())
    assert refusal(author, peering("bc", B, C)).reason == "QUOTA_EXCEEDED"
