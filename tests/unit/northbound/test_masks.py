"""Update masks: exactly the named fields change, and nothing that is not the client's."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from pliant.v1.common_pb2 import BandwidthPolicy
from pliant.v1.fabric_pb2 import Switch
from pliant.v1.network_pb2 import Attachment, Port, Subnet
from pliant.v1.tenant_pb2 import Quota, Tenant

from controller.model.errors import InvalidArgument
from controller.northbound.masks import check_mask, merge

SUBNET = "tenants/a/networks/n/subnets/s"
CURRENT = Port(
    name="tenants/a/networks/n/ports/p",
    display_name="old",
    labels={"a": "1"},
    etag="7",
    subnet=SUBNET,
    mac_address="02:00:00:00:00:01",
    addresses=["10.0.0.5"],
    attachment=Attachment(switch="1", interface="eth0"),
    bandwidth=BandwidthPolicy(ceiling_in_kbps=100, ceiling_out_kbps=200),
)


def updated(wanted: Port, *paths: str) -> Port:
    return merge(CURRENT, wanted, check_mask(FieldMask(paths=paths), Port.DESCRIPTOR), prefix="port")


def changed(**fields: object) -> Port:
    port = Port()
    port.CopyFrom(CURRENT)
    for field, value in fields.items():
        port.ClearField(field)
        if value is not None:
            port.MergeFrom(Port(**{field: value}))
    return port


@pytest.mark.parametrize(
    "paths",
    [
        (),
        ("",),
        ("no_such_field",),
        ("display_name", "no_such_field"),
        ("bandwidth.no_such_field",),
        ("display_name.length",),
        ("labels.a",),
        ("addresses.0",),
        ("*", "display_name"),
        ("displayName",),
        ("bandwidth.",),
        (".bandwidth",),
        ("x" * 100_000,),
        ("display_name",) * 101,
        ("name",),
        ("uid",),
        ("create_time",),
        ("create_time.seconds",),
        ("etag",),
        ("generation",),
        ("state",),
        ("reconciling",),
        ("conditions",),
    ],
)
def test_mask_refuses_what_is_empty_unknown_or_the_servers(paths: tuple[str, ...]) -> None:
    """A typo must not look like a successful update."""
    with pytest.raises(InvalidArgument) as caught:
        updated(Port(), *paths)
    assert caught.value.reason == "INVALID_UPDATE_MASK"
    assert list(caught.value.fields) == ["update_mask"]
    assert len(caught.value.message) < 200


def test_mask_changes_only_what_it_names() -> None:
    """Other fields of the request are not looked at."""
    wanted = Port(display_name="new", mac_address="02:00:00:00:00:09", labels={"b": "2"})
    assert updated(wanted, "display_name") == changed(display_name="new")
    assert updated(wanted, "labels") == changed(labels={"b": "2"})
    assert updated(wanted, "labels", "mac_address") == changed(labels={"b": "2"}, mac_address="02:00:00:00:00:09")


def test_mask_reaches_into_messages() -> None:
    """One rate can change without the other."""
    wanted = Port(bandwidth=BandwidthPolicy(ceiling_in_kbps=500))
    policy = BandwidthPolicy(ceiling_in_kbps=500, ceiling_out_kbps=200)
    assert updated(wanted, "bandwidth.ceiling_in_kbps") == changed(bandwidth=policy)
    assert updated(wanted, "bandwidth") == changed(bandwidth=BandwidthPolicy(ceiling_in_kbps=500))


def test_mask_clears_what_the_request_leaves_empty() -> None:
    """An absent message, list, map or text is the new value."""
    for field in ("attachment", "bandwidth", "labels", "addresses", "display_name"):
        assert updated(Port(), field) == changed(**{field: None})


def test_mask_moves_a_oneof_from_one_side_to_the_other() -> None:
    """Naming port_number drops the interface."""
    wanted = Port(attachment=Attachment(port_number=4))
    assert updated(wanted, "attachment.port_number") == changed(attachment=Attachment(switch="1", port_number=4))


def test_star_sets_all_that_clients_may_set() -> None:
    """The server's own fields stay; an immutable field that is left empty stays."""
    wanted = Port(name=CURRENT.name, uid="forged", generation=99, display_name="new", addresses=["10.0.0.6"])
    expected = Port(name=CURRENT.name, etag="7", display_name="new", addresses=["10.0.0.6"], subnet=SUBNET)
    assert updated(wanted, "*") == expected


@pytest.mark.parametrize("paths", [("subnet",), ("*",), ("display_name", "subnet")])
def test_immutable_field_cannot_change(paths: tuple[str, ...]) -> None:
    """Saying again what it is changes nothing and is accepted; anything else is refused."""
    assert updated(changed(), *paths) == CURRENT
    with pytest.raises(InvalidArgument) as caught:
        updated(Port(subnet=SUBNET + "2"), *paths)
    assert (caught.value.reason, list(caught.value.fields)) == ("IMMUTABLE_FIELD", ["port.subnet"])


def test_cidrs_are_immutable() -> None:
    """Ports have their addresses from them."""
    paths = check_mask(FieldMask(paths=["ipv4_cidr"]), Subnet.DESCRIPTOR)
    with pytest.raises(InvalidArgument) as caught:
        merge(Subnet(ipv4_cidr="10.0.0.0/24"), Subnet(ipv4_cidr="10.0.0.0/16"), paths, prefix="subnet")
    assert caught.value.reason == "IMMUTABLE_FIELD"


def test_optional_field_can_be_set_to_zero_and_unset() -> None:
    """A quota of zero is not the absence of one."""
    paths = check_mask(FieldMask(paths=["quota.ports"]), Tenant.DESCRIPTOR)
    current = Tenant(quota=Quota(ports=5, networks=2))
    zero = merge(current, Tenant(quota=Quota(ports=0)), paths, prefix="tenant")
    assert zero.quota.HasField("ports")
    assert zero.quota.ports == 0
    assert not merge(current, Tenant(), paths, prefix="tenant").quota.HasField("ports")


def test_operator_sets_of_a_switch_only_what_is_declared() -> None:
    """The contract's annotations say so."""
    assert check_mask(FieldMask(paths=["*"]), Switch.DESCRIPTOR) == (("declared_roles",), ("drained",), ("zone",))
    with pytest.raises(InvalidArgument):
        check_mask(FieldMask(paths=["connected"]), Switch.DESCRIPTOR)
