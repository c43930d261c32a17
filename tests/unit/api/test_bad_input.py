"""What is wrong is refused: with its reason, the field, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from pliant import Client
from pliant.errors import api_error
from pliant.v1 import network_pb2, network_pb2_grpc
from pliant.v1.common_pb2 import BandwidthPolicy
from pliant.v1.network_pb2 import Attachment, CreatePortRequest, Network, Port, Subnet
from pliant.v1.tenant_pb2 import Quota, Tenant

from tests.support.api import Api
from tests.unit.api.names import NETWORK, PORTS, SUBNET, TENANT, port, refusal


@pytest.mark.parametrize(
    ("bad", "code", "reason", "field"),
    [
        (Tenant(name="tenants/" + "x" * 300), "INVALID_ARGUMENT", "INVALID_ID", "tenant_id"),
        (Tenant(name="tenants/Blue"), "INVALID_ARGUMENT", "INVALID_ID", "tenant_id"),
        (Tenant(name="tenants/r", labels={"k": "v" * 100_000}), "INVALID_ARGUMENT", "INVALID_LABELS", "tenant.labels"),
        (Tenant(name=TENANT), "ALREADY_EXISTS", "ALREADY_EXISTS", None),
        (Network(name="tenants/no/networks/n"), "NOT_FOUND", "PARENT_NOT_FOUND", None),
        (
            Network(name=NETWORK + "2", bandwidth=BandwidthPolicy(guarantee_in_kbps=100, ceiling_in_kbps=99)),
            "INVALID_ARGUMENT",
            "INVALID_RATE",
            "network.bandwidth.guarantee_in_kbps",
        ),
        (Subnet(name=SUBNET + "2", ipv4_cidr="10.0.0.128/25"), "FAILED_PRECONDITION", "CIDR_OVERLAP", None),
        (Subnet(name=SUBNET + "2", ipv4_cidr="10.1.0.1/24"), "INVALID_ARGUMENT", "INVALID_CIDR", "subnet.ipv4_cidr"),
        (
            Subnet(name=SUBNET + "2", ipv4_cidr="10.1.0.0/24", ipv4_gateway="10.2.0.1"),
            "INVALID_ARGUMENT",
            "INVALID_ADDRESS",
            "subnet.ipv4_gateway",
        ),
        (port("p", addresses=["10.9.0.1"]), "INVALID_ARGUMENT", "INVALID_ADDRESS", "port.addresses[0]"),
        (port("p", addresses=["10.0.0.9"]), None, "ADDRESS_IN_USE", None),
        (port("p", mac_address="02:00:00:00:00:09"), None, "MAC_IN_USE", None),
        (port("p", attachment=Attachment(switch="1", interface="e")), None, "ATTACHMENT_IN_USE", None),
        (
            port("p", bandwidth=BandwidthPolicy(ceiling_in_kbps=-5)),
            "INVALID_ARGUMENT",
            "INVALID_RATE",
            "port.bandwidth.ceiling_in_kbps",
        ),
        (Port(name=f"{PORTS}/p", subnet=SUBNET + "9"), None, "PARENT_NOT_FOUND", None),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else None,
)
def test_bad_objects_are_refused_alone_and_within_an_apply_of_fifty(
    network: Client, bad: Any, code: str | None, reason: str, field: str | None
) -> None:
    """A clear error that names the field, and nothing half-applied."""
    network.ports.create(
        port(
            "taken",
            addresses=["10.0.0.9"],
            mac_address="02:00:00:00:00:09",
            attachment=Attachment(switch="1", interface="e"),
        )
    )
    before = network.server_info().revision
    collection = getattr(network, f"{type(bad).__name__.lower()}s")
    error = refusal(lambda: collection.create(bad))
    assert error.reason == reason
    assert code is None or error.code.name == code
    assert field is None or list(error.fields) == [field]

    if reason != "ALREADY_EXISTS":
        others = [port(f"other{n}") for n in range(49)]
        error = refusal(lambda: network.apply([*others[:25], bad, *others[25:]]))
        assert error.reason in (reason, "INVALID_NAME")
        assert "resources[25]" in error.message or any("resources[25]" in each for each in error.fields)
    assert network.server_info().revision == before
    assert [p.name for p in network.ports.list(NETWORK)] == [f"{PORTS}/taken"]


@pytest.mark.parametrize(
    ("reason", "call"),
    [
        ("INVALID_UPDATE_MASK", lambda c: c.ports.update(port("p"), [])),
        ("INVALID_UPDATE_MASK", lambda c: c.ports.update(port("p"), ["nothing"])),
        ("INVALID_UPDATE_MASK", lambda c: c.ports.update(port("p"), ["state"])),
        ("IMMUTABLE_FIELD", lambda c: c.ports.update(Port(name=f"{PORTS}/p", subnet=SUBNET + "2"), ["subnet"])),
        ("INVALID_NAME", lambda c: c.ports.update(Port(name=NETWORK), ["display_name"])),
        ("INVALID_NAME", lambda c: c.ports.get("tenants/blue/ports/p")),
        ("INVALID_NAME", lambda c: c.ports.get("")),
        ("INVALID_NAME", lambda c: c.tenants.get("tenants/" + "x" * 100_000)),
        ("INVALID_NAME", lambda c: c.ports.create(Port(subnet=SUBNET), parent="tenants/blue")),
        ("INVALID_NAME", lambda c: c.ports.create(port("p2"), parent=f"{TENANT}/networks/other")),
        ("INVALID_PAGE_SIZE", lambda c: next(c.ports.list(NETWORK, page_size=-1))),
        ("INVALID_PAGE_SIZE", lambda c: next(c.ports.list(NETWORK, page_size=1_001))),
        ("INVALID_FILTER", lambda c: next(c.ports.list(NETWORK, filter="nonsense"))),
        ("PARENT_NOT_FOUND", lambda c: next(c.ports.list(f"{TENANT}/networks/none"))),
        ("INVALID_NAME", lambda c: next(c.ports.list(TENANT))),
        ("INVALID_FIELD", lambda c: c.ports.create(port("p2"), request_id="x" * 129)),
        ("INVALID_FIELD", lambda c: c.ports.create(port("p2"), wait=True, wait_timeout_s=-1)),
        ("EMPTY_REQUEST", lambda c: c.apply([])),
        ("EMPTY_REQUEST", lambda c: c.ports.batch_create(NETWORK, [])),
        ("INVALID_FIELD", lambda c: c.ports.batch_create(NETWORK, [port(f"p{n}") for n in range(1_001)])),
        ("INVALID_NAME", lambda c: c.ports.batch_create(f"{TENANT}/networks/other", [port("p2")])),
        ("INVALID_FIELD", lambda c: c.apply([port("p2"), port("p2")])),
        ("INVALID_NAME", lambda c: c.apply([], deletes=["blue"])),
        ("INVALID_NAME", lambda c: next(c.watch("blue"))),
        ("INVALID_ENUM", lambda c: next(c.watch(kinds=[99]))),
        ("INVALID_FIELD", lambda c: next(c.watch(resume_token="x"))),
        ("INVALID_FIELD", lambda c: next(c.watch(start_revision=-1))),
    ],
)
def test_bad_requests_are_refused(network: Client, reason: str, call: Callable[[Client], object]) -> None:
    """INVALID_ARGUMENT with its reason (NOT_FOUND for a parent), and nothing has changed."""
    network.ports.create(port("p"))
    before = network.server_info().revision
    error = refusal(lambda: call(network))
    assert error.reason == reason
    assert error.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert error.fields or reason == "PARENT_NOT_FOUND"
    assert network.server_info().revision == before


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("deletes[1]", lambda c: c.apply([], deletes=[f"{PORTS}/p", "blue"])),
        ("deletes[0]", lambda c: c.apply([], deletes=["tenants/Blue"])),
        ("parent", lambda c: next(c.watch("blue"))),
        ("parent", lambda c: next(c.watch("tenants/Blue"))),
        ("resources[1].port.name", lambda c: c.apply([port("p2"), port("p2")])),
        ("requests[1].port.name", lambda c: c.ports.batch_create(NETWORK, [port("p2"), port("p2")])),
    ],
)
def test_refusal_names_the_field_as_it_is_in_the_request(
    network: Client, field: str, call: Callable[[Client], object]
) -> None:
    """Not only the name that is wrong."""
    assert list(refusal(lambda: call(network)).fields) == [field]


@pytest.mark.parametrize("method", ["TenantService/CreateTenant", "WatchService/Watch"])
@pytest.mark.parametrize("data", [b"\xff" * 100, b"\x1a\x05\x0a\x03\xff\xfe\xfd"])
def test_bytes_that_are_no_request_are_refused(api: Api, method: str, data: bytes) -> None:
    """Like any other bad input, whoever may call; to others nothing is said of what they sent."""
    with grpc.insecure_channel(f"unix:{api.unix}") as inside, grpc.insecure_channel(api.target) as outside:
        for channel, reason in ((inside, "MALFORMED_REQUEST"), (outside, "UNAUTHENTICATED")):
            with pytest.raises(grpc.RpcError) as caught:
                next(channel.unary_stream(f"/pliant.v1.{method}")(data))
            assert api_error(caught.value).reason == reason


def test_quota_is_kept(network: Client) -> None:
    """RESOURCE_EXHAUSTED once a tenant has what it may have."""
    network.tenants.update(Tenant(name=TENANT, quota=Quota(ports=1)), ["quota.ports"])
    network.ports.create(port("p1"))
    error = refusal(lambda: network.ports.create(port("p2")))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")


def test_batch_elements_carry_no_options_of_their_own(api: Api, network: Client) -> None:
    """They would be ignored; so they are refused."""
    stub = network_pb2_grpc.NetworkServiceStub(grpc.insecure_channel(f"unix:{api.unix}"))
    element = CreatePortRequest(port_id="p", port=Port(subnet=SUBNET), wait_timeout=Duration(seconds=1))
    with pytest.raises(grpc.RpcError) as caught:
        stub.BatchCreatePorts(network_pb2.BatchCreatePortsRequest(parent=NETWORK, requests=[element]))
    assert "requests[0].wait_timeout" in caught.value.details()
