"""The operator's verbs over gRPC: what is declared of links and switches, paths, documents, and their watch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import networkx as nx
import pytest
from pliant import ApiError, Client
from pliant.v1 import fabric_pb2 as pb
from pliant.v1 import watch_pb2
from pliant.v1.network_pb2 import Network, Port, Subnet
from pliant.v1.tenant_pb2 import Tenant

from controller.fabric.events import LinkLost, SwitchForgotten
from controller.fabric.graph import EndPoint
from controller.model.errors import FailedPrecondition
from controller.reconcile.rates import Rate
from controller.reconcile.ways import Leg, Way
from tests.support.api import Api, two_switches
from tests.unit.api.names import refusal

ONE, OTHER = "links/0000000000000001-1", "links/0000000000000002-1"
FIRST, SECOND = "switches/0000000000000001", "switches/0000000000000002"
NET = "tenants/red/networks/n"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(tmp_path)
    api.operator.tell(*two_switches())
    yield api
    api.close()


def test_link_is_drained_both_ways_and_says_how_far_it_is(api: Api, client: Client) -> None:
    """DRAINING while some program may send over it, then DRAINED; whichever direction is named."""
    api.operator.used.add(EndPoint(1, 1))
    link = client.links.update(pb.Link(name=ONE, drained=True), ["drained"])
    assert (link.up, link.drained, link.state) == (True, True, pb.LINK_STATE_DRAINING)
    assert client.links.get(OTHER).drained
    api.operator.used.clear()
    assert client.links.get(ONE).state == pb.LINK_STATE_DRAINED
    client.links.update(pb.Link(name=OTHER, drained=False), ["drained"])
    assert [each.state for each in client.links.list()] == [pb.LINK_STATE_UP] * 2
    client.switches.update(pb.Switch(name=SECOND, drained=True, zone="east"), ["drained", "zone"])
    assert [each.state for each in client.links.list()] == [pb.LINK_STATE_DRAINED] * 2
    assert not client.links.get(ONE).drained, "of itself it is not"
    switch = client.switches.get(SECOND)
    assert (switch.drained, switch.zone) == (True, "east")


def test_identify_refuses_what_is_no_label_and_knows_nothing_of_what_nobody_has(client: Client) -> None:
    """No MAC is an error; a label and a queue of nobody's are not."""
    with pytest.raises(ApiError, match="not a MAC address"):
        client.identify(label="nonsense")
    assert client.identify(label="02:f0:00:00:04:01", queue=7) == pb.IdentifyResponse(queue_has_parts=True)


def test_states_of_links_that_paths_cannot_use(api: Api, client: Client) -> None:
    """A link that is lost in one direction is ONE_WAY in the other."""
    api.operator.tell(LinkLost(src=EndPoint(1, 1)))
    assert client.links.get(ONE).state == pb.LINK_STATE_DOWN
    assert client.links.get(OTHER).state == pb.LINK_STATE_ONE_WAY


def test_fields_of_the_mask_are_set_and_no_others(client: Client) -> None:
    """Cost, latency and capacity are each direction's own; unset is taken back."""
    client.links.update(pb.Link(name=ONE, cost=5, latency_us=250, capacity_override_kbps=1_000), ["*"])
    link = client.links.update(pb.Link(name=ONE, cost=9), ["cost"])
    assert (link.cost, link.latency_us, link.capacity_kbps) == (9, 250, 1_000)
    assert client.links.get(OTHER).cost == 1
    link = client.links.update(pb.Link(name=ONE), ["cost", "latency_us"])
    assert (link.cost, link.HasField("latency_us"), link.capacity_kbps) == (1, False, 1_000)


def test_what_was_never_seen_is_declared_only_if_told_so(client: Client) -> None:
    """A typing error is NOT_FOUND; allow_missing says it ahead, and it shows as UNSEEN."""
    far = "links/0000000000000009-4"
    assert refusal(lambda: client.links.update(pb.Link(name=far, cost=2), ["cost"])).reason == "NOT_FOUND"
    link = client.links.update(pb.Link(name=far, cost=2), ["cost"], allow_missing=True)
    assert (link.state, link.cost, link.up) == (pb.LINK_STATE_UNSEEN, 2, False)
    assert far in [each.name for each in client.links.list()]
    ahead = pb.Switch(name="switches/9", drained=True)
    assert refusal(lambda: client.switches.update(ahead, ["drained"])).reason == "NOT_FOUND"
    assert client.switches.update(ahead, ["drained"], allow_missing=True).drained


@pytest.mark.parametrize(("link", "field", "reason"), [
    (pb.Link(name=ONE, cost=-1), "cost", "INVALID_FIELD"),
    (pb.Link(name=ONE, cost=(1 << 24) + 1), "cost", "INVALID_FIELD"),
    (pb.Link(name=ONE, cost=1 << 62), "cost", "INVALID_FIELD"),
    (pb.Link(name=ONE, latency_us=-1), "latency_us", "INVALID_FIELD"),
    (pb.Link(name=ONE, latency_us=1 << 40), "latency_us", "INVALID_FIELD"),
    (pb.Link(name=ONE, capacity_override_kbps=-5), "capacity_override_kbps", "INVALID_RATE"),
    (pb.Link(name=ONE), "state", "INVALID_UPDATE_MASK"),
    (pb.Link(name="links/1"), "cost", "INVALID_NAME"),
])  # fmt: skip
def test_values_that_no_path_can_be_computed_with_are_refused(
    client: Client, link: pb.Link, field: str, reason: str
) -> None:
    """With the field, and nothing is changed."""
    error = refusal(lambda: client.links.update(link, [field]))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert client.links.get(ONE).cost == 1


def test_zone_is_an_id(client: Client) -> None:
    """Path policies will name it."""
    assert refusal(lambda: client.switches.update(pb.Switch(name=FIRST, zone="a b"), ["zone"])).reason == "INVALID_ID"


def test_refused_drain_is_told_and_force_is_passed_on(api: Api, client: Client) -> None:
    """WOULD_PARTITION comes with the networks; a switch's roles and zone are never refused for it."""
    api.operator.refusal = FailedPrecondition("WOULD_PARTITION", "tenants/red/networks/n")
    for drain in (
        lambda: client.links.update(pb.Link(name=ONE, drained=True), ["drained"]),
        lambda: client.switches.update(pb.Switch(name=FIRST, drained=True), ["drained"]),
    ):
        error = refusal(drain)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WOULD_PARTITION")
    assert client.switches.update(pb.Switch(name=FIRST, drained=True), ["drained"], force=True).drained
    assert client.switches.update(pb.Switch(name=FIRST, zone="z"), ["zone"]).zone == "z"


def make_ports(api: Api, client: Client) -> None:
    subnet = f"{NET}/subnets/s"
    ports = [Port(name=f"{NET}/ports/{name}", subnet=subnet) for name in "ab"]
    client.apply([Tenant(name="tenants/red"), Network(name=NET), Subnet(name=subnet, ipv4_cidr="10.0.0.0/24"), *ports])
    api.operator.places[f"{NET}/ports/a"] = EndPoint(1, 2)


def test_paths_in_use_and_those_there_are(api: Api, client: Client) -> None:
    """From a port to a switch: shares, costs, what takes over, and the best paths."""
    make_ports(api, client)
    client.links.update(pb.Link(name=ONE, cost=4, latency_us=30, capacity_override_kbps=700), ["*"])
    leg = Leg(link=EndPoint(1, 1), backup=(EndPoint(1, 2),))
    api.operator.known_ways[1, 2] = (Way(legs=(leg,), labels=(0, 1), complete=True),)
    answer = client.paths(f"{NET}/ports/a", "switches/2")
    assert (answer.source_switch, answer.destination_switch) == (FIRST, SECOND)
    (current,), (best,) = answer.current, answer.alternatives
    assert (current.cost, current.latency_us, current.capacity_kbps, current.flow_permille) == (4, 30, 700, 1_000)
    assert [(hop.link, list(hop.backup_links)) for hop in current.hops] == [(ONE, ["links/0000000000000001-2"])]
    assert (best.flow_permille, [hop.link for hop in best.hops]) == (1_000, [ONE])
    back = client.paths(SECOND, FIRST)
    assert not back.current and not back.alternatives[0].HasField("latency_us")
    (here,) = client.paths(FIRST, FIRST).alternatives
    assert not here.hops


def test_paths_are_those_of_the_network_that_is_meant(api: Api, client: Client) -> None:
    """Named, or that of both ports; none of it between a port and a switch."""
    make_ports(api, client)
    api.operator.places[f"{NET}/ports/b"] = EndPoint(2, 2)
    ways = (Way(legs=(Leg(link=EndPoint(1, 1)),), labels=(0,), complete=True),)
    api.operator.known_ways[1, 2, NET] = ways
    a, b = f"{NET}/ports/a", f"{NET}/ports/b"
    assert client.paths(a, b).current
    assert not client.paths(a, SECOND).current and not client.paths(FIRST, SECOND).current
    assert client.paths(FIRST, SECOND, network=NET).current
    assert refusal(lambda: client.paths(a, b, network="tenants/red/networks/none")).reason == "NOT_FOUND"
    assert refusal(lambda: client.paths(a, b, network="red")).reason == "INVALID_NAME"


@pytest.mark.parametrize(("source", "count", "reason"), [
    ("switches/7", 0, "NOT_FOUND"), (f"{NET}/ports/none", 0, "NOT_FOUND"), (f"{NET}/ports/b", 0, "PORT_NOT_BOUND"),
    ("tenants/red", 0, "INVALID_NAME"), ("", 0, "INVALID_NAME"), (SECOND, 17, "INVALID_FIELD"),
    (SECOND, -1, "INVALID_FIELD"),
])  # fmt: skip
def test_ends_that_lead_nowhere_are_said(api: Api, client: Client, source: str, count: int, reason: str) -> None:
    """Unknown, not on a switch now, or no end at all."""
    make_ports(api, client)
    assert refusal(lambda: client.paths(source, FIRST, alternatives=count)).reason == reason


def test_topology_as_documents(client: Client) -> None:
    """In each format; an unknown one is refused."""
    graph = nx.node_link_graph(json.loads(client.topology()), edges="edges")
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (2, 2)
    assert client.topology(pb.TOPOLOGY_FORMAT_GRAPHML).startswith("<?xml") or "<graphml" in client.topology(
        pb.TOPOLOGY_FORMAT_GRAPHML)  # fmt: skip
    assert client.topology(pb.TOPOLOGY_FORMAT_DOT).startswith("digraph")
    assert refusal(lambda: client.topology(9)).reason == "INVALID_ENUM"  # type: ignore[arg-type]


def test_load_is_told_where_it_is_asked_for_and_known(api: Api, client: Client) -> None:
    """And nobody is polled afterwards."""
    api.operator.known_rates[EndPoint(1, 1)] = Rate(kbps=640, packets_per_s=80)
    one, other = client.links.list(usage=True)
    assert (one.usage.rate_kbps, one.usage.packets_per_second, other.HasField("usage")) == (640, 80, False)
    assert not any(link.HasField("usage") for link in client.links.list())
    assert not api.operator.rate_followers


def test_watch_tells_the_fabric_then_what_changes(api: Api, client: Client) -> None:
    """All switches and links, SYNCED, and then each change once: state, load, and what is gone."""
    kinds = [watch_pb2.KIND_SWITCH, watch_pb2.KIND_LINK]
    with client.watch(kinds=kinds, usage=True) as events:
        names = [event.switch.name or event.link.name for event in (next(events) for _ in range(4))]
        assert names == [FIRST, SECOND, ONE, OTHER]
        assert next(events).type == watch_pb2.EVENT_TYPE_SYNCED
        api.operator.tell(LinkLost(src=EndPoint(1, 1)))
        changed = [next(events) for _ in range(2)]
        assert [(each.type, each.link.state) for each in changed] == [
            (watch_pb2.EVENT_TYPE_MODIFIED, pb.LINK_STATE_DOWN), (watch_pb2.EVENT_TYPE_MODIFIED, pb.LINK_STATE_ONE_WAY)]
        api.operator.known_rates = {EndPoint(2, 1): Rate(kbps=1, packets_per_s=1)}
        for notify in list(api.operator.rate_followers):
            notify()
        assert next(events).link.usage.rate_kbps == 1
        api.operator.tell(SwitchForgotten(dpid=2))
        gone = [next(events) for _ in range(3)]
        assert {each.type for each in gone} == {watch_pb2.EVENT_TYPE_DELETED}
        assert {each.switch.name or each.link.name for each in gone} == {SECOND, ONE, OTHER}


def test_watch_of_everything_is_of_tenants(api: Api, client: Client) -> None:
    """Whoever did not ask for the fabric is not told of it; and it is under no tenant."""
    make_ports(api, client)
    with client.watch() as events:
        assert next(events).resource.tenant.name == "tenants/red"
    with client.watch("tenants/red", kinds=[watch_pb2.KIND_LINK]) as events:
        assert refusal(lambda: next(events)).reason == "INVALID_FIELD"
