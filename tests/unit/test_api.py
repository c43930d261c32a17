"""The gRPC contract from end to end: pliant.Client, the server, the real engine and its SQLite file."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pliant import ApiError, Client
from pliant.errors import api_error
from pliant.v1 import network_pb2, network_pb2_grpc, watch_pb2
from pliant.v1.common_pb2 import STATE_ACTIVE, STATE_PENDING, BandwidthPolicy
from pliant.v1.fabric_pb2 import PORT_ROLE_EDGE, PORT_ROLE_FABRIC, Link, Switch
from pliant.v1.network_pb2 import Attachment, CreatePortRequest, Network, Port, Subnet
from pliant.v1.tenant_pb2 import Quota, Tenant
from pliant.v1.watch_pb2 import (
    EVENT_TYPE_ADDED,
    EVENT_TYPE_DELETED,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_SYNCED,
)
from prometheus_client import REGISTRY

from controller.fabric.events import SwitchDisconnected
from controller.model.status import DropCount, State, Status
from controller.northbound.server import CannotListen, Listen, Server, Tls
from tests.support.api import TOKEN, Api, two_switches

TENANT = "tenants/blue"
NETWORK = f"{TENANT}/networks/web"
SUBNET = f"{NETWORK}/subnets/main"
PORTS = f"{NETWORK}/ports"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(tmp_path)
    yield api
    api.close()


@pytest.fixture
def client(api: Api) -> Client:
    return api.client


@pytest.fixture
def network(client: Client) -> Client:
    """A client of a server that has SUBNET, 10.0.0.0/24."""
    client.apply([Subnet(name=SUBNET, ipv4_cidr="10.0.0.0/24"), Network(name=NETWORK), Tenant(name=TENANT)])
    return client


def port(port_id: str, **fields: Any) -> Port:
    return Port(name=f"{PORTS}/{port_id}", subnet=SUBNET, **fields)


def refusal(call: Callable[[], object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


# -- create, get, list, update, delete


def test_objects_are_created_read_updated_and_deleted(network: Client) -> None:
    """What is created can be read; an update changes what it names; what is deleted is gone."""
    created = network.ports.create(port("p1", display_name="one", labels={"env": "prod"}))
    assert created.name == f"{PORTS}/p1"
    assert (created.addresses, created.state) == (["10.0.0.2"], STATE_PENDING)
    assert created.uid
    assert created.mac_address.startswith("02:")
    assert network.ports.get(created.name) == created

    updated = network.ports.update(Port(name=created.name, display_name="uno"), ["display_name"])
    assert (updated.display_name, updated.labels) == ("uno", {"env": "prod"})
    assert updated.etag != created.etag
    assert updated.generation > created.generation
    assert (updated.uid, updated.mac_address, updated.addresses) == (created.uid, created.mac_address, ["10.0.0.2"])

    answer = network.ports.delete(created.name)
    assert answer.revision == updated.generation + 1
    error = refusal(lambda: network.ports.get(created.name))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert error.metadata["resource"] == created.name


def test_server_makes_ids_that_are_left_out(network: Client) -> None:
    """A port without a name gets one under its parent."""
    created = network.ports.create(Port(subnet=SUBNET), parent=NETWORK)
    assert created.name.startswith(f"{PORTS}/port-")
    assert network.ports.get(created.name) == created


def test_subnet_gets_the_first_address_as_its_gateway(network: Client) -> None:
    """Unless one is chosen."""
    assert network.subnets.get(SUBNET).ipv4_gateway == "10.0.0.1"


def test_deleting_with_children_needs_force(network: Client) -> None:
    """FAILED_PRECONDITION says what is left; force deletes it too."""
    network.ports.create(port("p1"))
    error = refusal(lambda: network.networks.delete(NETWORK))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HAS_CHILDREN")
    network.networks.delete(NETWORK, force=True)
    assert list(network.networks.list(TENANT)) == []
    assert refusal(lambda: network.ports.get(f"{PORTS}/p1")).reason == "NOT_FOUND"


def test_allow_missing_creates_on_update_and_forgives_on_delete(network: Client) -> None:
    """Both make a retried script idempotent."""
    network.ports.delete(f"{PORTS}/p1", allow_missing=True)
    assert refusal(lambda: network.ports.delete(f"{PORTS}/p1")).reason == "NOT_FOUND"
    assert refusal(lambda: network.ports.update(port("p1"), ["*"])).reason == "NOT_FOUND"
    created = network.ports.update(port("p1", display_name="x"), ["*"], allow_missing=True)
    assert created.display_name == "x"
    again = network.ports.update(Port(name=created.name, display_name="y"), ["display_name"], allow_missing=True)
    assert (again.display_name, again.uid) == ("y", created.uid)


def test_stale_etag_aborts(network: Client) -> None:
    """Of update, delete and apply; the current one does not."""
    first = network.ports.create(port("p1"))
    second = network.ports.update(Port(name=first.name, display_name="a", etag=first.etag), ["display_name"])
    stale = Port(name=first.name, subnet=SUBNET, display_name="b", etag=first.etag)
    for call in (
        lambda: network.ports.update(stale, ["display_name"]),
        lambda: network.ports.delete(first.name, etag=first.etag),
        lambda: network.apply([stale]),
    ):
        error = refusal(call)
        assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    network.apply([Port(name=first.name, subnet=SUBNET, display_name="c", etag=second.etag)])
    assert network.ports.get(first.name).display_name == "c"


def test_validate_only_answers_and_changes_nothing(network: Client) -> None:
    """Also when the answer is a refusal."""
    before = network.server_info().revision
    assert network.ports.create(port("p1"), validate_only=True, wait=True).addresses == ["10.0.0.2"]
    assert refusal(lambda: network.ports.create(port("p2", addresses=["10.9.9.9"]), validate_only=True)).fields
    network.networks.delete(NETWORK, force=True, validate_only=True)
    assert network.server_info().revision == before
    assert list(network.ports.list(NETWORK)) == []


def test_bandwidth_is_changed_rate_by_rate(network: Client) -> None:
    """A mask reaches into the policy."""
    network.ports.create(port("p1", bandwidth=BandwidthPolicy(ceiling_in_kbps=100, ceiling_out_kbps=200)))
    wanted = Port(name=f"{PORTS}/p1", bandwidth=BandwidthPolicy(ceiling_in_kbps=500))
    updated = network.ports.update(wanted, ["bandwidth.ceiling_in_kbps"])
    assert (updated.bandwidth.ceiling_in_kbps, updated.bandwidth.ceiling_out_kbps) == (500, 200)
    assert not network.ports.update(Port(name=updated.name), ["bandwidth"]).HasField("bandwidth")


def test_status_comes_with_every_answer(api: Api, network: Client) -> None:
    """As reconcile has it at that moment."""
    created = network.ports.create(port("p1"))
    assert created.state == STATE_PENDING
    api.service.status.states[created.name] = State.ACTIVE
    assert network.ports.get(created.name).state == STATE_ACTIVE
    assert [p.name for p in network.ports.list(NETWORK, filter="state = ACTIVE")] == [created.name]


# -- bad input


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


# -- many at once


def test_batch_creates_all_ports_or_none(network: Client) -> None:
    """In the order asked, at one revision."""
    created = network.ports.batch_create(NETWORK, [port(f"p{n}") for n in range(100)])
    assert [p.name for p in created] == [f"{PORTS}/p{n}" for n in range(100)]
    assert len({p.generation for p in created}) == 1
    error = refusal(lambda: network.ports.batch_create(NETWORK, [port("q"), port("p1")]))
    assert error.reason == "ALREADY_EXISTS"
    assert refusal(lambda: network.ports.get(f"{PORTS}/q")).reason == "NOT_FOUND"


def test_apply_creates_replaces_and_deletes_in_one_revision(network: Client) -> None:
    """What it leaves out of a port that exists goes back to the default; what was assigned stays."""
    first = network.ports.create(port("p1", display_name="one"))
    network.ports.create(port("p2"))
    other = Network(name=f"{TENANT}/networks/db")
    answer = network.apply([other, port("p1", labels={"a": "b"})], deletes=[f"{PORTS}/p2", f"{PORTS}/none"])
    assert [r.WhichOneof("kind") for r in answer.resources] == ["network", "port"]
    replaced = answer.resources[1].port
    assert (replaced.display_name, replaced.labels) == ("", {"a": "b"})
    assert (replaced.mac_address, replaced.addresses, replaced.uid) == (first.mac_address, first.addresses, first.uid)
    assert {r.port.generation or r.network.generation for r in answer.resources} == {answer.revision}
    assert [p.name for p in network.ports.list(NETWORK)] == [f"{PORTS}/p1"]


def test_apply_of_the_same_again_changes_nothing(network: Client) -> None:
    """No revision, no event, the same etags."""
    resources = [Tenant(name=TENANT), Network(name=NETWORK), port("p1")]
    first = network.apply(resources)
    again = network.apply(resources)
    assert (again.revision, again.resources) == (first.revision, first.resources)


# -- pages


def test_list_pages_are_of_one_revision(network: Client) -> None:
    """What is created or deleted between two pages does not show."""
    network.ports.batch_create(NETWORK, [port(f"p{n:02}") for n in range(25)])
    pages = network.ports.list(NETWORK, page_size=10)
    names = [next(pages).name]
    network.ports.delete(f"{PORTS}/p15")
    network.ports.create(port("p99"))
    names += [p.name for p in pages]
    assert names == [f"{PORTS}/p{n:02}" for n in range(25)]


def test_list_is_made_outside_the_event_loop(api: Api, network: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that accepts nothing looks at everything there is, and other calls must not wait for that."""
    network.ports.batch_create(NETWORK, [port(f"p{n}") for n in range(10)])
    threads, status = set(), api.service.engine.status

    def noted(name: str) -> Status:
        threads.add(threading.current_thread().name)
        return status(name)

    monkeypatch.setattr(api.service.engine, "status", noted)
    assert list(network.ports.list(NETWORK, filter="display_name = nobody")) == []
    assert threads
    assert "northbound" not in threads


def test_list_takes_wildcards_for_parents(network: Client) -> None:
    """`-` stands for any tenant or network."""
    network.apply([Tenant(name="tenants/red"), Network(name="tenants/red/networks/web"), port("p1")])
    assert len(list(network.networks.list("tenants/-"))) == 2
    assert [p.name for p in network.ports.list("tenants/-/networks/-")] == [f"{PORTS}/p1"]
    assert list(network.ports.list("tenants/red/networks/-")) == []


def test_page_token_of_another_request_is_refused(api: Api, network: Client) -> None:
    """A token is good for its own parent and filter only, and not if tampered with."""
    network.ports.batch_create(NETWORK, [port(f"p{n}") for n in range(3)])
    stub = network_pb2_grpc.NetworkServiceStub(grpc.insecure_channel(f"unix:{api.unix}"))
    request = network_pb2.ListPortsRequest(parent=NETWORK, page_size=2)
    token = stub.ListPorts(request).next_page_token
    changed = "A" if token[5] != "A" else "B"
    for bad in (
        network_pb2.ListPortsRequest(parent=NETWORK, page_token=token[:5] + changed + token[6:]),
        network_pb2.ListPortsRequest(parent=NETWORK, page_token=token, filter="state = ACTIVE"),
        network_pb2.ListPortsRequest(parent="tenants/blue/networks/-", page_token=token),
        network_pb2.ListPortsRequest(parent=NETWORK, page_token="x"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListPorts(bad)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    last = stub.ListPorts(network_pb2.ListPortsRequest(parent=NETWORK, page_size=2, page_token=token))
    assert [p.name for p in last.ports] == [f"{PORTS}/p2"]
    assert last.next_page_token == ""


# -- request ids


def test_request_id_gets_the_first_answer_again(api: Api, network: Client) -> None:
    """Also after a restart; also for ids and addresses made by the server."""
    first = network.ports.create(Port(subnet=SUBNET), parent=NETWORK, request_id="r1")
    assert network.ports.create(Port(subnet=SUBNET), parent=NETWORK, request_id="r1", wait=True) == first
    api.restart()
    assert network.ports.create(Port(subnet=SUBNET), parent=NETWORK, request_id="r1") == first
    assert [p.name for p in network.ports.list(NETWORK)] == [first.name]


def test_request_id_of_another_request_is_refused(network: Client) -> None:
    """Another body, or another method."""
    network.ports.create(port("p1"), request_id="r1")
    for call in (
        lambda: network.ports.create(port("p2"), request_id="r1"),
        lambda: network.ports.delete(f"{PORTS}/p1", request_id="r1"),
    ):
        assert refusal(call).reason == "REQUEST_ID_REUSED"


# -- waiting


def test_wait_answers_when_switches_confirmed(api: Api, network: Client) -> None:
    """It waits for the generation of its own commit, for as long as asked."""
    created = network.ports.create(port("p1"), wait=True, wait_timeout_s=2.5)
    assert api.confirmations.waited == [(created.generation, 2.5)]
    assert not created.reconciling


def test_wait_is_at_most_thirty_seconds(api: Api, network: Client) -> None:
    """Which is also what a client gets that does not say."""
    network.ports.create(port("p1"), wait=True, wait_timeout_s=1_000)
    network.ports.create(port("p2"), wait=True)
    assert [timeout_s for _, timeout_s in api.confirmations.waited] == [30, 30]


def test_late_switches_are_no_error(api: Api, network: Client) -> None:
    """The change is committed: the answer says that it is still reconciling, and on which switches."""
    api.confirmations.lagging = (1, 2)
    assert network.ports.create(port("p1"), wait=True).reconciling
    lagging = ["switches/0000000000000001", "switches/0000000000000002"]
    answer = network.ports.delete(f"{PORTS}/p1", wait=True)
    assert (answer.reconciling, answer.lagging_switches) == (True, lagging)
    applied = network.apply([port("p1")], wait=True)
    assert (applied.reconciling, applied.lagging_switches) == (True, lagging)
    api.confirmations.broken = True
    assert network.ports.create(port("p2"), wait=True).reconciling


# -- watch


def kinds_and_names(events: list[watch_pb2.WatchResponse]) -> list[tuple[int, str]]:
    return [(event.type, getattr(event.resource, event.resource.WhichOneof("kind") or "port").name) for event in events]


def take(watch: Iterator[watch_pb2.WatchResponse], count: int) -> list[watch_pb2.WatchResponse]:
    return [next(watch) for _ in range(count)]


def test_watch_tells_what_is_and_then_what_changes(api: Api, network: Client) -> None:
    """ADDED for all there is, SYNCED, then each change of intent and of status."""
    with network.watch(NETWORK) as watch:
        names = [(EVENT_TYPE_ADDED, NETWORK), (EVENT_TYPE_ADDED, SUBNET), (EVENT_TYPE_SYNCED, "")]
        assert kinds_and_names(take(watch, 3)) == names
        network.ports.create(port("p1"))
        api.service.status.states[f"{PORTS}/p1"] = State.ACTIVE
        (added,) = take(watch, 1)
        assert kinds_and_names([added]) == [(EVENT_TYPE_ADDED, f"{PORTS}/p1")]
        api.service.engine.status_changed({f"{PORTS}/p1"})
        (active,) = take(watch, 1)
        assert (active.type, active.resource.port.state) == (EVENT_TYPE_MODIFIED, STATE_ACTIVE)
        network.ports.update(Port(name=f"{PORTS}/p1", display_name="x"), ["display_name"])
        (modified,) = take(watch, 1)
        assert (modified.type, modified.resource.port.display_name) == (EVENT_TYPE_MODIFIED, "x")
        network.tenants.create(Tenant(name="tenants/red"))
        network.ports.delete(f"{PORTS}/p1")
        (deleted,) = take(watch, 1)
        assert kinds_and_names([deleted]) == [(EVENT_TYPE_DELETED, f"{PORTS}/p1")]


def test_watch_shows_only_the_kinds_asked_for(network: Client) -> None:
    """Others are not sent at all."""
    network.ports.create(port("p1"))
    with network.watch(kinds=[watch_pb2.KIND_PORT]) as watch:
        assert kinds_and_names(take(watch, 2)) == [(EVENT_TYPE_ADDED, f"{PORTS}/p1"), (EVENT_TYPE_SYNCED, "")]


def test_watch_goes_on_after_a_token_or_a_revision(network: Client) -> None:
    """Without what was told before."""
    with network.watch(NETWORK) as watch:
        take(watch, 3)
        token, revision = watch.resume_token, network.server_info().revision
    network.ports.create(port("p1"))
    for resumed in (network.watch(NETWORK, resume_token=token), network.watch(NETWORK, start_revision=revision)):
        with resumed as watch:
            first = next(event for event in watch if event.type == EVENT_TYPE_ADDED)
            assert first.resource.port.name == f"{PORTS}/p1"


def test_watch_outlives_a_restart_of_the_controller(api: Api, network: Client) -> None:
    """The client resumes where it was: no event is lost or told twice."""
    with network.watch(NETWORK, kinds=[watch_pb2.KIND_PORT]) as watch:
        network.ports.create(port("p1"))
        told = [event for event in take(watch, 2) if event.type == EVENT_TYPE_ADDED]
        api.restart()
        network.ports.create(port("p2"))
        told += [event for event in take(watch, 4) if event.type == EVENT_TYPE_ADDED][:1]
        assert [event.resource.port.name for event in told] == [f"{PORTS}/p1", f"{PORTS}/p2"]


def test_watch_of_a_revision_that_is_gone_is_out_of_range(api: Api, network: Client) -> None:
    """Whoever was away for too long must list again."""
    revision = network.server_info().revision
    for n in range(5):
        network.ports.create(port(f"p{n}"))
    api.service.store.compact(2, 0.0)
    error = refusal(lambda: next(network.watch(start_revision=revision)))
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")


def test_watches_do_not_starve_calls(api: Api, network: Client) -> None:
    """A watch is a coroutine, not a thread of a pool."""
    watches = [network.watch() for _ in range(100)]
    for watch in watches:
        take(watch, 4)
    network.ports.create(port("p1"))
    for watch in watches:
        assert next(watch).resource.port.name == f"{PORTS}/p1"
        watch.close()


# -- the operator's plane


def test_switches_and_links_are_shown(api: Api, client: Client) -> None:
    """With roles in effect, capacities, and how far each is."""
    api.operator.tell(*two_switches(), SwitchDisconnected(dpid=2))
    one, two = client.switches.list()
    assert (one.name, one.connected, one.in_sync) == ("switches/0000000000000001", True, True)
    assert (two.connected, two.in_sync, two.software, two.meter_count_max) == (False, False, "3.1", 100)
    assert [p.role for p in one.switch_ports] == [PORT_ROLE_FABRIC, one.switch_ports[1].role]
    assert client.switches.get("switches/1") == one
    assert [s.name for s in client.switches.list(filter="connected = false")] == [two.name]
    link = client.links.get("links/0000000000000001-1")
    assert (link.source.interface, link.destination.switch, link.up) == ("eth1", two.name, True)
    assert link.capacity_kbps == 1_000_000
    assert [x.name for x in client.links.list(page_size=1)] == [
        "links/0000000000000001-1",
        "links/0000000000000002-1",
    ]
    info = client.server_info()
    assert (info.version, info.switch_count, info.switches_connected, info.switches_in_sync) == ("1.2.3", 2, 1, 1)
    assert info.boot_id


def test_operator_declares_roles_and_capacities(api: Api, client: Client) -> None:
    """Also of a switch that has yet to connect."""
    ahead = Switch(name="switches/9", declared_roles={"eth1": PORT_ROLE_EDGE})
    assert client.switches.update(ahead, ["declared_roles"]).declared_roles == {"eth1": PORT_ROLE_EDGE}
    api.operator.tell(*two_switches())
    declared = Switch(name="switches/1", declared_roles={"eth2": PORT_ROLE_EDGE})
    assert client.switches.update(declared, ["declared_roles"]).switch_ports[1].role == PORT_ROLE_EDGE
    link = Link(name="links/1-1", capacity_override_kbps=500_000)
    updated = client.links.update(link, ["capacity_override_kbps"])
    assert (updated.capacity_kbps, updated.capacity_override_kbps) == (500_000, 500_000)
    link.capacity_override_kbps = 0
    assert client.links.update(link, ["*"]).capacity_kbps == 1_000_000


def test_only_a_disconnected_switch_can_be_forgotten(api: Api, client: Client) -> None:
    """It would come back at once."""
    api.operator.tell(*two_switches())
    error = refusal(lambda: client.switches.delete("switches/1"))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SWITCH_CONNECTED")
    api.operator.tell(SwitchDisconnected(dpid=1))
    client.switches.delete("switches/1")
    assert refusal(lambda: client.switches.delete("switches/1")).reason == "NOT_FOUND"
    client.switches.delete("switches/1", allow_missing=True)


@pytest.mark.parametrize(
    ("reason", "call"),
    [
        ("INVALID_NAME", lambda c: c.switches.get("1")),
        ("INVALID_FIELD", lambda c: c.switches.get("switches/s1")),
        ("NOT_FOUND", lambda c: c.switches.get("switches/7")),
        ("INVALID_UPDATE_MASK", lambda c: c.switches.update(Switch(name="switches/1", connected=True), ["connected"])),
        ("INVALID_UPDATE_MASK", lambda c: c.switches.update(Switch(name="switches/1"), [])),
        (
            "INVALID_FIELD",
            lambda c: c.switches.update(Switch(name="switches/1", declared_roles={"a/b": PORT_ROLE_EDGE}), ["*"]),
        ),
        ("INVALID_ENUM", lambda c: c.switches.update(Switch(name="switches/1", declared_roles={"a": 9}), ["*"])),
        ("INVALID_ENUM", lambda c: c.switches.update(Switch(name="switches/1", declared_roles={"a": 0}), ["*"])),
        ("INVALID_NAME", lambda c: c.links.get("links/1")),
        ("INVALID_NAME", lambda c: c.links.get("links/1-0")),
        ("NOT_FOUND", lambda c: c.links.get("links/1-2")),
        ("INVALID_RATE", lambda c: c.links.update(Link(name="links/1-1", capacity_override_kbps=-1), ["*"])),
        ("INVALID_RATE", lambda c: c.links.update(Link(name="links/1-1", capacity_override_kbps=1), ["*"])),
        ("INVALID_NAME", lambda c: c.drops(tenant="blue")),
        ("INVALID_NAME", lambda c: c.drops(switch="blue")),
    ],
)
def test_bad_requests_about_the_fabric_are_refused(
    api: Api, client: Client, reason: str, call: Callable[[Client], object]
) -> None:
    """With the reason that programs can tell apart."""
    api.operator.tell(*two_switches())
    assert refusal(lambda: call(client)).reason == reason


def test_drops_are_listed_by_switch_tenant_and_reason(api: Api, client: Client) -> None:
    """All of them, or those of one switch or tenant."""
    api.operator.counts = [
        DropCount(dpid=1, tenant=TENANT, reason="SPOOFED_MAC", packets=5, bytes=320),
        DropCount(dpid=2, tenant="", reason="UNBOUND", packets=1),
    ]
    assert [(d.tenant, d.reason, d.packets) for d in client.drops()] == [(TENANT, "SPOOFED_MAC", 5), ("", "UNBOUND", 1)]
    assert [d.reason for d in client.drops(switch="switches/2")] == ["UNBOUND"]
    assert [d.bytes for d in client.drops(tenant=TENANT)] == [320]


# -- who may call, and the rest of the server


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1]])
def test_no_token_no_entry(api: Api, token: str) -> None:
    """Over TCP; streams too."""
    with Client(api.target, token=token) as stranger:
        for call in (lambda: next(stranger.tenants.list()), lambda: next(stranger.watch())):
            error = refusal(call)
            assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
            assert "PLIANT_TOKEN_FILE" in error.message


def test_unix_socket_is_opened_by_its_mode(api: Api) -> None:
    """Whoever can open the file may call; nobody else can open it."""
    assert api.unix.stat().st_mode & 0o777 == 0o600
    with Client(f"unix:{api.unix}", token="") as neighbour:
        assert list(neighbour.tenants.list()) == []


def test_health_and_reflection_need_no_token(api: Api) -> None:
    """So that a probe and grpcurl work; reflection shows our services and their files."""
    channel = grpc.insecure_channel(api.target)
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="pliant.v1.NetworkService"),
    ]
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    listed, file = stub.ServerReflectionInfo(iter(requests))
    services = {service.name for service in listed.list_services_response.service}
    assert services >= {f"pliant.v1.{x}Service" for x in ("Tenant", "Network", "Apply", "Watch", "Fabric")}
    names = [FileDescriptorProto.FromString(x).name for x in file.file_descriptor_response.file_descriptor_proto]
    assert "pliant/v1/network.proto" in names


def test_defects_answer_internal_with_an_incident_id(api: Api, client: Client) -> None:
    """The client gets a number to quote, not a traceback."""
    api.operator.drops = lambda: 1 // 0  # type: ignore[method-assign,assignment,return-value]
    error = refusal(client.drops)
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert error.metadata["incident"] in error.message
    assert "ZeroDivision" not in error.message


def test_client_tries_again_while_the_controller_restarts(api: Api, network: Client) -> None:
    """A call that meets a closed port is sent again, with the same request_id."""
    api.service.stop()
    assert api.server.stop(grace_s=0.1)
    back = threading.Timer(0.3, lambda: (api.service.start(), api.start()))
    back.start()
    assert network.ports.create(port("p1")).name == f"{PORTS}/p1"
    back.join()


def test_client_gives_up_in_its_time() -> None:
    """UNAVAILABLE, with what gRPC knows of it."""
    error = refusal(lambda: next(Client("127.0.0.1:1", token="", timeout_s=0.3).tenants.list()))
    assert error.code is grpc.StatusCode.UNAVAILABLE
    assert error.reason == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_others_reach_the_server_with_tls_only(host: str) -> None:
    """An address that is not this machine's own refuses to start in the clear."""
    with pytest.raises(CannotListen):
        Server(None, Listen(host=host, port=0), token=TOKEN).start()  # type: ignore[arg-type]


def test_unix_socket_that_cannot_be_made_says_why(api: Api, tmp_path: Path) -> None:
    """A directory that cannot be made, a file in its place, a path that is too long."""
    file = tmp_path / "file"
    file.write_text("mine")
    for path, why in (
        (file / "socket", "cannot make its directory"),
        (file, "no socket"),
        (tmp_path / ("x" * 108), "longer than 107 bytes"),
    ):
        with pytest.raises(CannotListen, match=why):
            Server(api.backend, Listen(host="", unix=path), token=TOKEN).start()
    assert file.read_text() == "mine"


def test_server_speaks_tls(api: Api, tmp_path: Path) -> None:
    """With a certificate it listens anywhere; the token is still asked for."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    tls = Tls(certificate=certificate.read_bytes(), key=key.read_bytes())
    server = Server(api.backend, Listen(host="0.0.0.0", port=0, tls=tls), token=TOKEN)
    target, credentials = f"localhost:{server.start()}", grpc.ssl_channel_credentials(tls.certificate)
    with Client(target, token=TOKEN, credentials=credentials) as client:
        assert list(client.tenants.list()) == []
    with Client(target, token="", credentials=credentials) as stranger:
        assert refusal(stranger.server_info).reason == "UNAUTHENTICATED"
    assert server.stop(grace_s=0.1)


def test_calls_are_counted_by_method_and_code(network: Client) -> None:
    """For Prometheus; a refusal counts under its code."""
    def count(code: str) -> float:
        labels = {"method": "/pliant.v1.NetworkService/GetPort", "code": code}
        return REGISTRY.get_sample_value("pliant_calls_total", labels) or 0.0

    before = count("OK"), count("NOT_FOUND")
    network.ports.create(port("p1"))
    network.ports.get(f"{PORTS}/p1")
    refusal(lambda: network.ports.get(f"{PORTS}/p2"))
    network.ports.get(f"{PORTS}/p1")
    assert (count("OK") - before[0], count("NOT_FOUND") - before[1]) == (2, 1)


def test_second_controller_on_the_same_address_is_refused(api: Api) -> None:
    """Not a lottery of who gets the call, neither by TCP nor by the socket's file."""
    for listen in (Listen(port=api.port), Listen(host="", unix=api.unix)):
        with pytest.raises(CannotListen):
            Server(api.backend, listen, token=TOKEN).start()
    assert list(api.client.tenants.list()) == []
