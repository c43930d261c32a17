"""Objects over the contract: created, read, updated, deleted, many at once, page by page."""

from __future__ import annotations

import threading

import grpc
import pytest
from pliant import Client
from pliant.v1 import network_pb2, network_pb2_grpc
from pliant.v1.common_pb2 import STATE_ACTIVE, STATE_PENDING, BandwidthPolicy
from pliant.v1.network_pb2 import Network, Port
from pliant.v1.tenant_pb2 import Tenant

from controller.model.status import State, Status
from tests.support.api import Api
from tests.unit.api.names import NETWORK, PORTS, SUBNET, TENANT, port, refusal

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
