"""What a client may send of each kind of object, and how everything else is refused: reason, field, and no guessing."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import pytest
from pliant.v1.common_pb2 import BandwidthPolicy
from pliant.v1.network_pb2 import Attachment, Network, Port, Subnet
from pliant.v1.tenant_pb2 import Quota, Tenant

from controller.model import bandwidth, tenancy
from controller.model import network as model
from controller.model.errors import PliantError
from controller.model.tenancy import Meta
from controller.northbound import convert, render

NETWORK = "tenants/a/networks/n"
SUBNET = f"{NETWORK}/subnets/s"
PORT = f"{NETWORK}/ports/p"
META = Meta(uid="u", created_s=1.5, generation=7)


def to_port(**fields: Any) -> model.Port:
    return convert.port(Port(**({"subnet": SUBNET} | fields)), PORT, META)


def to_subnet(**fields: Any) -> model.Subnet:
    return convert.subnet(Subnet(**fields), SUBNET, META)


def to_tenant(**fields: Any) -> tenancy.Tenant:
    return convert.tenant(Tenant(**fields), "tenants/a", META)


def to_network(**fields: Any) -> model.Network:
    return convert.network(Network(**fields), NETWORK, META)


def refusal(make: Callable[[], object]) -> PliantError:
    with pytest.raises(PliantError) as caught:
        make()
    return caught.value


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"ipv4_cidr": "10.0.0.1/24"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "10.0.0.0"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "10.0.0.0/33"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "10.0.0.0/-1"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "10.0.0.0/"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "10.0.0.0/24/8"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "10.0.0.0/255.255.255.0"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "10.0.0/24"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "010.0.0.0/24"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": " 10.0.0.0/24"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "10.0.0.0/024"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "fd00::/64"}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv4_cidr": "x" * 100_000}, "INVALID_CIDR", "ipv4_cidr"),
        ({"ipv6_cidr": "10.0.0.0/24"}, "INVALID_CIDR", "ipv6_cidr"),
        ({"ipv6_cidr": "fd00::1/64"}, "INVALID_CIDR", "ipv6_cidr"),
        ({"ipv6_cidr": "fd00::/129"}, "INVALID_CIDR", "ipv6_cidr"),
        ({"ipv6_cidr": "fe80::%eth0/64"}, "INVALID_CIDR", "ipv6_cidr"),
        ({}, "MISSING_FIELD", "ipv4_cidr"),
        ({"ipv4_cidr": "10.0.0.0/24", "ipv4_gateway": "nowhere"}, "INVALID_ADDRESS", "ipv4_gateway"),
        ({"ipv4_cidr": "10.0.0.0/24", "ipv4_gateway": "fd00::1"}, "INVALID_ADDRESS", "ipv4_gateway"),
        ({"ipv6_cidr": "fd00::/64", "ipv6_gateway": "10.0.0.1"}, "INVALID_ADDRESS", "ipv6_gateway"),
        ({"ipv6_cidr": "fd00::/64", "ipv6_gateway": "fe80::1%eth0"}, "INVALID_ADDRESS", "ipv6_gateway"),
        ({"ipv6_cidr": "fd00::/64", "ipv6_gateway": "ff02::1"}, "INVALID_ADDRESS", "ipv6_gateway"),
    ],
)
def test_subnet_refuses_what_is_no_range_or_gateway(fields: dict[str, str], reason: str, field: str) -> None:
    """A CIDR with host bits, without a length, of the wrong family; a gateway that no host can have."""
    error = refusal(lambda: to_subnet(**fields))
    assert (error.reason, list(error.fields)) == (reason, [f"subnet.{field}"])
    assert len(error.message) < 300


def test_subnet_refusal_offers_the_cidr_that_was_meant() -> None:
    """The usual slip, an interface's address for its network, is answered with what to write."""
    assert "did you mean 10.0.0.0/24?" in refusal(lambda: to_subnet(ipv4_cidr="10.0.0.7/24")).message


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"subnet": ""}, "MISSING_FIELD", "subnet"),
        ({"subnet": "s"}, "INVALID_NAME", "subnet"),
        ({"subnet": NETWORK}, "INVALID_NAME", "subnet"),
        ({"mac_address": "02:00:00:00:00"}, "INVALID_ADDRESS", "mac_address"),
        ({"mac_address": "02-00-00-00-00-01"}, "INVALID_ADDRESS", "mac_address"),
        ({"mac_address": "ff:ff:ff:ff:ff:ff"}, "INVALID_ADDRESS", "mac_address"),
        ({"mac_address": "01:00:5e:00:00:01"}, "INVALID_ADDRESS", "mac_address"),
        ({"mac_address": "00:00:00:00:00:00"}, "INVALID_ADDRESS", "mac_address"),
        ({"addresses": ["10.0.0.5", "10.0.0.256"]}, "INVALID_ADDRESS", "addresses[1]"),
        ({"addresses": ["10.0.0.5/24"]}, "INVALID_ADDRESS", "addresses[0]"),
        ({"addresses": [""]}, "INVALID_ADDRESS", "addresses[0]"),
        ({"addresses": ["0.0.0.0"]}, "INVALID_ADDRESS", "addresses[0]"),
        ({"addresses": ["::"]}, "INVALID_ADDRESS", "addresses[0]"),
        ({"addresses": ["127.0.0.1"]}, "INVALID_ADDRESS", "addresses[0]"),
        ({"addresses": ["224.0.0.1"]}, "INVALID_ADDRESS", "addresses[0]"),
        ({"addresses": ["255.255.255.255"]}, "INVALID_ADDRESS", "addresses[0]"),
        ({"addresses": ["fe80::1%eth0"]}, "INVALID_ADDRESS", "addresses[0]"),
        ({"addresses": ["fd00::5", "fd00:0::5"]}, "INVALID_ADDRESS", "addresses[1]"),
        ({"addresses": [f"10.0.0.{n}" for n in range(1, 66)]}, "INVALID_ADDRESS", "addresses"),
        ({"attachment": Attachment(interface="eth0")}, "MISSING_FIELD", "attachment.switch"),
        ({"attachment": Attachment(switch="1")}, "MISSING_FIELD", "attachment.interface"),
        ({"attachment": Attachment(switch="0", port_number=1)}, "INVALID_FIELD", "attachment.switch"),
        ({"attachment": Attachment(switch="1" * 17, port_number=1)}, "INVALID_FIELD", "attachment.switch"),
        ({"attachment": Attachment(switch="s1", port_number=1)}, "INVALID_FIELD", "attachment.switch"),
        ({"attachment": Attachment(switch="1", port_number=0)}, "INVALID_FIELD", "attachment.port_number"),
        ({"attachment": Attachment(switch="1", port_number=0xFFFFFF00)}, "INVALID_FIELD", "attachment.port_number"),
        ({"attachment": Attachment(switch="1", interface="")}, "INVALID_FIELD", "attachment.interface"),
        ({"attachment": Attachment(switch="1", interface="x" * 16)}, "INVALID_FIELD", "attachment.interface"),
        ({"attachment": Attachment(switch="1", interface="a/b")}, "INVALID_FIELD", "attachment.interface"),
        ({"attachment": Attachment(switch="1", interface="a b")}, "INVALID_FIELD", "attachment.interface"),
    ],
)
def test_port_refuses_addresses_and_attachments_that_cannot_be(fields: dict[str, Any], reason: str, field: str) -> None:
    """Each violation names the very field, with its index in a list."""
    error = refusal(lambda: to_port(**fields))
    assert (error.reason, list(error.fields)) == (reason, [f"port.{field}"])


@pytest.mark.parametrize("rate_kbps", [-1, 1, 63, 400_000_001, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("field", ["ceiling_in_kbps", "ceiling_out_kbps", "guarantee_in_kbps", "guarantee_out_kbps"])
@pytest.mark.parametrize("make", [to_port, to_tenant])
def test_bandwidth_refuses_negative_small_and_absurd_rates(
    make: Callable[..., object], field: str, rate_kbps: int
) -> None:
    """A rate is none, or 64 kbit/s to 400 Gbit/s."""
    error = refusal(lambda: make(bandwidth=BandwidthPolicy(**{field: rate_kbps})))
    assert error.reason == "INVALID_RATE"
    assert next(iter(error.fields)).endswith(f".bandwidth.{field}")


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"burst_ms": -1}, "INVALID_RATE"),
        ({"burst_ms": 10_001}, "INVALID_RATE"),
        ({"weight": -1}, "INVALID_RATE"),
        ({"traffic_class": 99}, "INVALID_ENUM"),
        ({"on_failure": 99}, "INVALID_ENUM"),
    ],
)
def test_bandwidth_refuses_bursts_and_enums_out_of_range(policy: dict[str, Any], reason: str) -> None:
    """An enum value of a later version is refused, not taken for the default."""
    error = refusal(lambda: to_port(bandwidth=BandwidthPolicy(**policy)))
    assert (error.reason, list(error.fields)) == (reason, [f"port.bandwidth.{next(iter(policy))}"])


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ({f"k{n}": "" for n in range(65)}, "65 labels"),
        ({"": "v"}, "key ''"),
        ({"k" * 64: "v"}, "key"),
        ({"-k": "v"}, "key"),
        ({"a b": "v"}, "key"),
        ({"k": "v" * 257}, "257 characters"),
        ({"k": "v" * 100_000}, "100000 characters"),
        ({"k" * 100_000: "v"}, "key"),
        ({"k": "two\nlines"}, "control characters"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
@pytest.mark.parametrize("make", [to_tenant, to_network])
def test_labels_are_bounded(make: Callable[..., object], labels: dict[str, str], part: str) -> None:
    """Too many, too long, malformed: refused with a message that is itself short."""
    error = refusal(lambda: make(labels=labels))
    assert error.reason == "INVALID_LABELS"
    assert part in error.message
    assert len(error.message) < 400


def test_labels_at_their_bounds_are_accepted() -> None:
    """64 labels, keys of 63 and values of 256 characters."""
    labels = {f"{n:02}" + "k" * 61: "v" * 256 for n in range(64)}
    assert dict(to_network(labels=labels).meta.labels) == labels


def test_display_name_is_bounded() -> None:
    """200 characters are enough for a name."""
    assert to_tenant(display_name="é" * 200).meta.display_name == "é" * 200
    error = refusal(lambda: to_tenant(display_name="x" * 201))
    assert (error.reason, list(error.fields)) == ("INVALID_FIELD", ["tenant.display_name"])


@pytest.mark.parametrize("control", ["\x00", "\n", "\x1b[31m", "\x7f", "\x9b31m"])
def test_display_name_holds_nothing_that_a_terminal_obeys(control: str) -> None:
    """One tenant's text is read by others, by operators above all."""
    error = refusal(lambda: to_tenant(display_name=f"blue{control}"))
    assert (error.reason, list(error.fields)) == ("INVALID_FIELD", ["tenant.display_name"])


@pytest.mark.parametrize("field", ["networks", "subnets", "ports", "pipes", "peerings"])
def test_quota_refuses_negative_numbers(field: str) -> None:
    """Zero is a quota; less is not."""
    assert getattr(to_tenant(quota=Quota(**{field: 0})).quota, field) == 0
    error = refusal(lambda: to_tenant(quota=Quota(**{field: -1})))
    assert (error.reason, list(error.fields)) == ("INVALID_FIELD", [f"tenant.quota.{field}"])


def test_empty_messages_take_the_defaults() -> None:
    """What a client leaves out is decided by the model, in one place."""
    assert to_tenant() == tenancy.Tenant(name="tenants/a", meta=META)
    assert to_network() == model.Network(name=NETWORK, meta=META)
    assert to_port() == model.Port(name=PORT, subnet=SUBNET, mac="", meta=META)
    assert to_port(bandwidth=BandwidthPolicy()).bandwidth == bandwidth.NO_POLICY


def test_values_become_canonical() -> None:
    """Case of MACs, spelling of IPv6, padding of datapath ids: one form inside."""
    port = to_port(
        mac_address="02:AA:00:00:00:01",
        addresses=["FD00:0:0::5", "10.0.0.5"],
        attachment=Attachment(switch="switches/00000000000000AB", interface="s1-eth1"),
    )
    assert port.mac == "02:aa:00:00:00:01"
    assert port.addresses == (ip_address("fd00::5"), ip_address("10.0.0.5"))
    assert port.attachment == model.Attachment(dpid=0xAB, interface="s1-eth1")
    subnet = to_subnet(ipv4_cidr="10.0.0.0/24", ipv6_cidr="FD00::/64")
    assert (subnet.ipv4_cidr, subnet.ipv6_cidr) == (IPv4Network("10.0.0.0/24"), IPv6Network("fd00::/64"))


@pytest.mark.parametrize(
    "obj",
    [
        tenancy.Tenant(
            name="tenants/a",
            meta=Meta(uid="u", display_name="A", labels=(("k", "v"),), created_s=1.5, generation=7),
            quota=tenancy.Quota(networks=1, subnets=0, ports=3),
            bandwidth=bandwidth.BandwidthPolicy(ceiling_in_kbps=64, burst_ms=190),
        ),
        model.Network(name=NETWORK, meta=META),
        model.Subnet(
            name=SUBNET,
            meta=META,
            ipv4_cidr=IPv4Network("10.0.0.0/24"),
            ipv4_gateway=ip_address("10.0.0.1"),  # type: ignore[arg-type]
        ),
        model.Port(name=PORT, subnet=SUBNET, mac="02:00:00:00:00:01", meta=META),
        model.Port(
            name=PORT,
            subnet=SUBNET,
            mac="02:00:00:00:00:01",
            meta=META,
            addresses=(ip_address("10.0.0.5"), ip_address("fd00::5")),
            attachment=model.Attachment(dpid=1, port_no=3),
            bandwidth=bandwidth.BandwidthPolicy(ceiling_out_kbps=400_000_000),
        ),
    ],
    ids=lambda obj: type(obj).__name__,
)
def test_objects_survive_the_way_out_and_back(obj: Any) -> None:
    """What is read can be sent again and means the same."""
    message = render.message_of(obj)
    kind = type(obj).__name__.lower()
    assert getattr(convert, kind)(message, obj.name, obj.meta) == obj
    assert render.resource_of(message).WhichOneof("kind") == kind
