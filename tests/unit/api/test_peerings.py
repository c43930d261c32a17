"""Peerings over the contract: like every other resource of a tenant."""

from __future__ import annotations

import grpc
import pytest
from pliant import Client
from pliant.v1 import watch_pb2 as watch
from pliant.v1.common_pb2 import BandwidthPolicy
from pliant.v1.network_pb2 import Network, Subnet
from pliant.v1.peering_pb2 import Peering
from pliant.v1.pipe_pb2 import Pipe

from tests.unit.api.names import NETWORK, TENANT, refusal

OTHER = f"{TENANT}/networks/db"
PEERING = f"{TENANT}/peerings/web-db"


@pytest.fixture
def networks(network: Client) -> Client:
    network.apply([Network(name=OTHER), Subnet(name=f"{OTHER}/subnets/main", ipv4_cidr="10.0.1.0/24")])
    return network


def peering(**fields: str) -> Peering:
    return Peering(**{"name": PEERING, "a": NETWORK, "b": OTHER, **fields})  # type: ignore[arg-type]


def test_peerings_are_created_read_updated_and_deleted(networks: Client) -> None:
    """Like everything else of a tenant; whom they join cannot change."""
    assert networks.peerings.create(peering(), validate_only=True).a == NETWORK
    created = networks.peerings.create(peering(), request_id="once")
    assert (created.a, created.b, created.etag != "", created.uid != "") == (NETWORK, OTHER, True, True)
    assert networks.peerings.create(peering(), request_id="once") == created
    assert networks.peerings.get(PEERING) == created
    assert [each.name for each in networks.peerings.list(TENANT)] == [PEERING]
    assert not list(networks.peerings.list(TENANT, filter='labels.env = "prod"'))
    updated = networks.peerings.update(Peering(name=PEERING, labels={"env": "prod"}), ["labels"])
    assert (updated.labels["env"], updated.a) == ("prod", NETWORK)
    turned = Peering(name=PEERING, a=OTHER, b=NETWORK)
    assert refusal(lambda: networks.peerings.update(turned, ["a", "b"])).reason == "IMMUTABLE_FIELD"
    stale = Peering(name=PEERING, display_name="x", etag=created.etag)
    assert refusal(lambda: networks.peerings.update(stale, ["display_name"])).code == grpc.StatusCode.ABORTED
    networks.peerings.delete(PEERING, etag=updated.etag)
    assert list(networks.peerings.list("tenants/-")) == []


@pytest.mark.parametrize(("fields", "field", "reason"), [
    ({"a": ""}, "peering.a", "MISSING_FIELD"),
    ({"b": ""}, "peering.b", "MISSING_FIELD"),
    ({"b": f"{NETWORK}/ports/p"}, "peering.b", "INVALID_NAME"),
    ({"b": NETWORK}, "peering.b", "INVALID_FIELD"),
    ({"b": f"{TENANT}/networks/none"}, "peering.b", "PARENT_NOT_FOUND"),
])
def test_peering_needs_two_networks(networks: Client, fields: dict[str, str], field: str, reason: str) -> None:
    """The violation names the side."""
    error = refusal(lambda: networks.peerings.create(peering(**fields)))
    assert (error.reason, list(error.fields)) == (reason, [field])


def test_network_with_a_peering_needs_force(networks: Client) -> None:
    """The error names the peering; with force it goes along, and a watch sees it go first."""
    networks.peerings.create(peering())
    networks.subnets.delete(f"{OTHER}/subnets/main")
    error = refusal(lambda: networks.networks.delete(OTHER))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HAS_CHILDREN")
    assert error.metadata["children"] == PEERING
    with networks.watch(TENANT) as events:
        while next(events).type != watch.EVENT_TYPE_SYNCED:
            pass
        networks.networks.delete(OTHER, force=True)
        gone = [next(events).resource for _ in range(2)]
    assert [each.WhichOneof("kind") for each in gone] == ["peering", "network"]


def test_peerings_come_with_apply_and_watch(network: Client) -> None:
    """In any order in an Apply; behind their networks in a watch, which can be for them alone."""
    network.apply([peering(), Network(name=OTHER)])
    for kinds, names in (([watch.KIND_PEERING], [PEERING]),
                         ([watch.KIND_PEERING, watch.KIND_NETWORK], [OTHER, NETWORK, PEERING])):
        with network.watch(TENANT, kinds=kinds) as events:
            seen = [next(events).resource for _ in names]
        assert [getattr(each, each.WhichOneof("kind") or "network").name for each in seen] == names


def test_pipe_joins_two_peered_networks(networks: Client) -> None:
    """Created, changed live, quoted, watched, and in the way of its peering until that goes by force."""
    pipe = Pipe(name=f"{TENANT}/pipes/x", a=NETWORK, b=OTHER, bandwidth=BandwidthPolicy(guarantee_out_kbps=5_000))
    assert refusal(lambda: networks.pipes.create(pipe)).reason == "NOT_PEERED"
    networks.peerings.create(peering())
    assert networks.pipes.create(pipe).a == NETWORK
    assert networks.quote(pipe).fits
    pipe.bandwidth.ceiling_out_kbps = 9_000
    assert networks.pipes.update(pipe, ["bandwidth"]).bandwidth.ceiling_out_kbps == 9_000
    assert refusal(lambda: networks.peerings.delete(PEERING)).metadata["children"] == pipe.name
    mixed = Pipe(name=f"{TENANT}/pipes/y", a=NETWORK, b=f"{OTHER}/ports/p")
    assert list(refusal(lambda: networks.pipes.create(mixed)).fields) == ["pipe.b"]
    with networks.watch(TENANT) as events:
        while next(events).type != watch.EVENT_TYPE_SYNCED:
            pass
        networks.peerings.delete(PEERING, force=True)
        gone = [next(events).resource for _ in range(2)]
    assert [each.WhichOneof("kind") for each in gone] == ["pipe", "peering"]
