"""Every way an edit of asked state can be wrong has its own reason, and a message that says what to do."""

from __future__ import annotations

import pytest

from controller.intent.addresses import gateway_mac
from controller.intent.snapshot import Resource
from controller.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PliantError,
    ResourceExhausted,
)
from controller.model.network import Attachment, Port
from tests.unit.intent.builders import Author, N, S, T, network, on, port, small_network, subnet, tenant

OTHER = f"{N}/subnets/other"


def _refused(author: Author, obj: Resource, error: type[PliantError], reason: str) -> PliantError:
    before = author.snapshot
    with pytest.raises(error) as caught:
        author.create(obj)
    assert caught.value.reason == reason
    assert author.snapshot is before
    return caught.value


def test_create_refuses_a_name_that_exists() -> None:
    """The id is taken: ALREADY_EXISTS names the object."""
    error = _refused(small_network(), network(), AlreadyExists, "ALREADY_EXISTS")
    assert error.subject == N


@pytest.mark.parametrize("obj", [network(), subnet(), port("p")], ids=["network", "subnet", "port"])
def test_create_refuses_an_unknown_parent(obj: Resource) -> None:
    """What is missing is named, and to create it first."""
    error = _refused(Author(), obj, NotFound, "PARENT_NOT_FOUND")
    assert "create it first" in error.message


def test_create_port_refuses_an_unknown_subnet() -> None:
    """The subnet is a reference like a parent."""
    error = _refused(Author(tenant(), network()), port("p"), NotFound, "PARENT_NOT_FOUND")
    assert error.subject == S
    assert "port.subnet" in error.fields


def test_create_port_refuses_a_subnet_of_another_network() -> None:
    """Addresses of one network are meaningless in another."""
    author = Author(tenant(), network(), subnet(), network(f"{T}/networks/m"))
    obj = Port(name=f"{T}/networks/m/ports/p", subnet=S, mac="")
    error = _refused(author, obj, InvalidArgument, "INVALID_FIELD")
    assert "port.subnet" in error.fields


@pytest.mark.parametrize("name", ["tenants/UPPER", "tenants/" + "a" * 300, N, ""])
def test_create_refuses_a_malformed_name(name: str) -> None:
    """Upper case, 300 characters, another kind's name, none."""
    error = _refused(small_network(), tenant(name), InvalidArgument, "INVALID_NAME")
    assert len(error.message) < 300


# -- CIDRs


@pytest.mark.parametrize(("cidr", "cidr6"), [
    ("10.0.0.128/25", None), ("10.0.0.0/24", None), ("10.0.0.0/16", None), ("10.0.0.4/30", None), (None, "fd00:1::/48"),
    (None, "fd00:1:0:0:8000::/65"),
])
def test_overlapping_cidr_names_both_subnets(cidr: str | None, cidr6: str | None) -> None:
    """Inside, around or equal: the error says which two CIDRs of which two subnets."""
    author = small_network(cidr6="fd00:1::/64")
    error = _refused(author, subnet(OTHER, cidr, cidr6), FailedPrecondition, "CIDR_OVERLAP")
    assert S in error.message
    assert OTHER in error.message
    assert error.metadata["other"] == S


def test_neighbouring_cidrs_and_other_networks_do_not_overlap() -> None:
    """Right below, right above, between, and the same CIDR in another network are all allowed."""
    author = small_network(cidr="10.0.1.0/24")
    for id_, cidr in (("below", "10.0.0.0/24"), ("above", "10.0.4.0/24"), ("between", "10.0.2.0/24")):
        author.create(subnet(f"{N}/subnets/{id_}", cidr))
    author.create(network(f"{T}/networks/m"))
    author.create(subnet(f"{T}/networks/m/subnets/s", "10.0.1.0/24"))


def test_cidr_of_a_deleted_subnet_is_free() -> None:
    """Nothing of a deleted subnet speaks against its successor."""
    author = small_network()
    author.delete(S)
    author.create(subnet(OTHER))


@pytest.mark.parametrize("cidr", [
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "169.0.0.0/8", "224.0.0.0/24", "240.0.0.0/8", "10.0.0.0/31",
    "10.0.0.1/32",
])
def test_ipv4_cidr_that_no_subnet_can_have_is_refused(cidr: str) -> None:
    """Too small, loopback, link-local, multicast, reserved, or around one of these."""
    error = _refused(Author(tenant(), network()), subnet(cidr=cidr), InvalidArgument, "INVALID_CIDR")
    assert list(error.fields) == ["subnet.ipv4_cidr"]


@pytest.mark.parametrize("cidr", [
    "::/16", "::1:0/112", "::ffff:10.0.0.0/104", "fe80::/64", "ff02::/64", "fc00::/15", "fd00::/127",
])
def test_ipv6_cidr_that_no_subnet_can_have_is_refused(cidr: str) -> None:
    """As for IPv4, with the v4-mapped range."""
    error = _refused(Author(tenant(), network()), subnet(cidr=None, cidr6=cidr), InvalidArgument, "INVALID_CIDR")
    assert list(error.fields) == ["subnet.ipv6_cidr"]


def test_subnet_without_cidr_is_refused() -> None:
    """A subnet is its addresses."""
    _refused(Author(tenant(), network()), subnet(cidr=None), InvalidArgument, "MISSING_FIELD")


@pytest.mark.parametrize("gateway", ["10.0.1.1", "10.0.0.0", "10.0.0.255"])
def test_gateway_must_be_a_host_of_its_cidr(gateway: str) -> None:
    """Outside, network and broadcast address are refused with the range that would do."""
    error = _refused(Author(tenant(), network()), subnet(gateway=gateway), InvalidArgument, "INVALID_ADDRESS")
    assert "use 10.0.0.1 to 10.0.0.254" in error.message
    assert list(error.fields) == ["subnet.ipv4_gateway"]


def test_gateway_without_cidr_of_its_family_is_refused() -> None:
    """An IPv6 gateway needs an IPv6 CIDR."""
    error = _refused(Author(tenant(), network()), subnet(gateway6="fd00::1"), InvalidArgument, "INVALID_ADDRESS")
    assert list(error.fields) == ["subnet.ipv6_gateway"]


# -- addresses and MACs of ports


@pytest.mark.parametrize("address", ["10.0.1.5", "10.0.0.0", "10.0.0.255", "fd00::1"])
def test_port_address_must_be_a_host_of_its_subnet(address: str) -> None:
    """Outside, network, broadcast, and the family that the subnet does not have."""
    error = _refused(small_network(), port("p", address), InvalidArgument, "INVALID_ADDRESS")
    assert list(error.fields) == ["port.addresses[0]"]


def test_port_address_listed_twice_is_refused() -> None:
    """The second one is the bad one."""
    error = _refused(small_network(), port("p", "10.0.0.5", "10.0.0.5"), InvalidArgument, "INVALID_ADDRESS")
    assert list(error.fields) == ["port.addresses[1]"]


def test_address_of_another_port_or_a_gateway_is_refused() -> None:
    """One holder per address and network; the holder is named."""
    author = small_network()
    author.create(port("p", "10.0.0.5"))
    error = _refused(author, port("q", "10.0.0.6", "10.0.0.5"), AlreadyExists, "ADDRESS_IN_USE")
    assert error.metadata["holder"] == f"{N}/ports/p"
    assert list(error.fields) == ["port.addresses[1]"]
    error = _refused(author, port("q", "10.0.0.1"), AlreadyExists, "ADDRESS_IN_USE")
    assert f"the gateway of subnet {S}" in error.message


def test_gateway_cannot_move_to_the_address_of_a_port() -> None:
    """A subnet's update is checked against its ports."""
    author = small_network()
    author.create(port("p", "10.0.0.5"))
    with pytest.raises(AlreadyExists) as caught:
        author.update(subnet(gateway="10.0.0.5"))
    assert caught.value.reason == "ADDRESS_IN_USE"


def test_mac_of_another_port_of_the_network_is_refused() -> None:
    """In another network the same MAC is fine."""
    author = small_network()
    author.create(port("p", mac="02:00:00:00:00:01"))
    error = _refused(author, port("q", mac="02:00:00:00:00:01"), AlreadyExists, "MAC_IN_USE")
    assert error.metadata["holder"] == f"{N}/ports/p"
    author.create(network(f"{T}/networks/m"))
    author.create(subnet(f"{T}/networks/m/subnets/s"))
    author.create(port("p", mac="02:00:00:00:00:01", subnet=f"{T}/networks/m/subnets/s"))


def test_gateway_mac_of_the_network_is_reserved() -> None:
    """A port that had it would be taken for the gateway."""
    author = small_network()
    mac = gateway_mac(author.snapshot.keys.network_key(N))
    _refused(author, port("p", mac=mac), InvalidArgument, "INVALID_ADDRESS")


# -- attachments


def test_second_port_on_a_switch_port_is_refused() -> None:
    """By name and by number; the same name on another switch is another switch port."""
    author = small_network()
    author.create(port("p", at=on(1, "eth1")))
    author.create(port("q", at=on(1, 7)))
    error = _refused(author, port("r", at=on(1, "eth1")), FailedPrecondition, "ATTACHMENT_IN_USE")
    assert error.metadata["holder"] == f"{N}/ports/p"
    _refused(author, port("r", at=on(1, 7)), FailedPrecondition, "ATTACHMENT_IN_USE")
    author.create(port("r", at=on(2, "eth1")))


@pytest.mark.parametrize("at", [Attachment(dpid=1), Attachment(dpid=1, interface="eth1", port_no=1)])
def test_attachment_names_its_switch_port_exactly_once(at: Attachment) -> None:
    """Neither or both cannot be resolved."""
    _refused(small_network(), port("p", at=at), InvalidArgument, "INVALID_FIELD")


# -- quotas


def test_quota_counts_all_networks_together() -> None:
    """The error names tenant, kind, quota and what is in use; deleting one makes room."""
    author = Author(tenant(networks=2, subnets=2, ports=1), network(), network(f"{T}/networks/m"), subnet())
    error = _refused(author, network(f"{T}/networks/o"), ResourceExhausted, "QUOTA_EXCEEDED")
    assert error.metadata == {"tenant": T, "kind": "network", "quota": "2", "in_use": "2"}
    author.create(subnet(f"{T}/networks/m/subnets/s"))
    _refused(author, subnet(OTHER, "10.1.0.0/24"), ResourceExhausted, "QUOTA_EXCEEDED")
    author.create(port("p"))
    _refused(author, port("q"), ResourceExhausted, "QUOTA_EXCEEDED")
    author.delete(f"{N}/ports/p")
    author.create(port("q"))


def test_quota_can_be_raised() -> None:
    """An update of the tenant is enough."""
    author = Author(tenant(networks=0))
    _refused(author, network(), ResourceExhausted, "QUOTA_EXCEEDED")
    author.update(tenant(networks=1))
    author.create(network())


# -- immutable fields


@pytest.mark.parametrize(("changed", "field"), [
    (subnet(cidr="10.0.0.0/23"), "subnet.ipv4_cidr"), (subnet(cidr6="fd00::/64"), "subnet.ipv6_cidr"),
    (port("p", subnet=OTHER), "port.subnet"),
])
def test_immutable_field_is_refused(changed: Resource, field: str) -> None:
    """CIDRs and a port's subnet are for life."""
    author = small_network()
    author.create(subnet(OTHER, "10.1.0.0/24"))
    author.create(port("p"))
    with pytest.raises(InvalidArgument) as caught:
        author.update(changed)
    assert caught.value.reason == "IMMUTABLE_FIELD"
    assert list(caught.value.fields) == [field]


# -- deletion


def test_delete_of_a_parent_names_up_to_five_children() -> None:
    """The error says how many there are and how to go on."""
    author = small_network()
    for i in range(7):
        author.create(port(f"p{i}"))
    for name, count in ((T, 1), (N, 8), (S, 7)):
        with pytest.raises(FailedPrecondition) as caught:
            author.delete(name)
        assert caught.value.reason == "HAS_CHILDREN"
        assert caught.value.metadata["count"] == str(count)
        assert len(caught.value.metadata["children"].split(",")) == min(count, 5)
        assert "force" in caught.value.message


def test_unknown_object_is_not_found() -> None:
    """Update and delete of what is not there."""
    author = Author()
    with pytest.raises(NotFound):
        author.delete(T)
    with pytest.raises(NotFound):
        author.update(tenant())
