"""Bandwidth over the contract: pipes, statuses, usage as it is looked at, and quotes."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc
import pytest
from pliant import Client, Stream
from pliant.v1 import watch_pb2 as watch
from pliant.v1.bandwidth_pb2 import WatchUsageResponse
from pliant.v1.common_pb2 import BandwidthPolicy
from pliant.v1.fabric_pb2 import Link
from pliant.v1.network_pb2 import Attachment, Network, PathPolicy, Port, Subnet
from pliant.v1.pipe_pb2 import Pipe
from pliant.v1.tenant_pb2 import Tenant

from controller.model.bandwidth import BandwidthStatus, DirectionStatus, Drops
from controller.model.network import Port as ModelPort
from controller.model.usage import Quote, Shortfall, Traffic, Usage
from tests.support.api import Api, two_switches
from tests.unit.api.names import NETWORK, PORTS, SUBNET, TENANT, port, refusal

A, B = f"{PORTS}/a", f"{PORTS}/b"
PIPE = f"{TENANT}/pipes/x"
TIMEOUT_S = 20


@pytest.fixture
def ports(network: Client) -> Client:
    network.ports.batch_create(NETWORK, [port("a"), port("b")])
    return network


def pipe(**rates: int) -> Pipe:
    return Pipe(name=PIPE, a=A, b=B, bandwidth=BandwidthPolicy(**rates))


# -- pipes and policies


def test_pipes_are_created_read_updated_and_deleted(ports: Client) -> None:
    """Like everything else of a tenant; their ends cannot change."""
    created = ports.pipes.create(pipe(guarantee_out_kbps=5_000))
    assert (created.a, created.b, created.bandwidth.guarantee_out_kbps) == (A, B, 5_000)
    assert ports.pipes.get(PIPE) == created
    assert [each.name for each in ports.pipes.list(TENANT)] == [PIPE]
    updated = ports.pipes.update(pipe(guarantee_out_kbps=6_000), ["bandwidth.guarantee_out_kbps"])
    assert (updated.bandwidth.guarantee_out_kbps, updated.a) == (6_000, A)
    turned = Pipe(name=PIPE, a=B, b=A)
    assert refusal(lambda: ports.pipes.update(turned, ["a", "b"])).reason == "IMMUTABLE_FIELD"
    ports.pipes.delete(PIPE)
    assert list(ports.pipes.list(f"{TENANT[:-4]}-")) == []


def test_port_with_pipes_needs_force(ports: Client) -> None:
    """The error names the pipe; with force it goes along, and a watch sees it go first."""
    ports.pipes.create(pipe())
    error = refusal(lambda: ports.ports.delete(A))
    assert (error.reason, error.metadata["children"]) == ("HAS_CHILDREN", PIPE)
    with ports.watch(TENANT) as events:
        while next(events).type != watch.EVENT_TYPE_SYNCED:
            pass
        ports.ports.delete(A, force=True)
        gone = [next(events).resource for _ in range(2)]
    assert [each.WhichOneof("kind") for each in gone] == ["pipe", "port"]


def test_pipes_come_with_apply_and_watch(network: Client) -> None:
    """In any order in an Apply; behind their ports in a watch, which can be for them alone."""
    network.apply([pipe(), port("b"), port("a")])
    for kinds, names in (([watch.KIND_PIPE], [PIPE]), ([watch.KIND_PIPE, watch.KIND_PORT], [A, B, PIPE])):
        with network.watch(TENANT, kinds=kinds) as events:
            seen = [next(events).resource for _ in names]
        assert [getattr(each, each.WhichOneof("kind") or "port").name for each in seen] == names


def test_whole_policies_are_kept(ports: Client) -> None:
    """What is sent is read again, also field by field."""
    policy = BandwidthPolicy(
        guarantee_in_kbps=1_000, guarantee_out_kbps=2_000, weight=3, burst_ms=500, traffic_class=1, on_failure=2)
    ports.networks.update(Network(name=NETWORK, bandwidth=policy), ["bandwidth"])
    assert ports.networks.get(NETWORK).bandwidth == policy
    ports.networks.update(Network(name=NETWORK, bandwidth=BandwidthPolicy(weight=9)), ["bandwidth.weight"])
    policy.weight = 9
    assert ports.networks.get(NETWORK).bandwidth == policy
    paths = PathPolicy(trees=[1], avoid_zones=["east"], spread=2)
    paths.max_latency.FromMicroseconds(1_500)
    ports.networks.update(Network(name=NETWORK, path_policy=paths), ["path_policy"])
    assert ports.networks.get(NETWORK).path_policy == paths
    assert list(ports.networks.list(TENANT, filter="bandwidth.traffic_class = CRITICAL"))


def test_guarantees_stay_within_those_above(ports: Client) -> None:
    """The error names who has too little, how much there is, and the field."""
    ports.tenants.update(Tenant(name=TENANT, bandwidth=BandwidthPolicy(guarantee_out_kbps=1_000)), ["bandwidth"])
    wanted = Port(name=A, bandwidth=BandwidthPolicy(guarantee_out_kbps=1_100))
    error = refusal(lambda: ports.ports.update(wanted, ["bandwidth"]))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GUARANTEE_OVER_PARENT")
    assert (error.metadata["parent"], error.metadata["at_most_kbps"]) == (TENANT, "1000")
    assert list(error.fields) == ["port.bandwidth"]
    assert refusal(lambda: ports.ports.update(wanted, ["bandwidth"], validate_only=True)).reason == error.reason


# -- status


STATUS = BandwidthStatus(
    outward=DirectionStatus(
        allotted_kbps=40, demand_kbps=100, delivered_kbps=39, guarantee_kbps=50, ceiling_kbps=200,
        dropped=Drops(by_port=1, by_network=2, by_tenant=3, by_pipe=4, by_link=5), bottleneck=TENANT, spare_kbps=0,
    ),
    since_s=1_000.5,
)


def test_status_is_shown_with_the_object(api: Api, ports: Client) -> None:
    """In every answer and in a watch; unset as long as nobody looked."""
    assert not ports.ports.get(A).HasField("bandwidth_status")
    api.bandwidth.statuses[A] = STATUS
    status = ports.ports.get(A).bandwidth_status
    out = status.outward
    assert (out.allotted_kbps, out.demand_kbps, out.delivered_kbps, out.guarantee_kbps) == (40, 100, 39, 50)
    assert (out.ceiling_kbps, out.bottleneck, out.HasField("spare_kbps"), out.spare_kbps) == (200, TENANT, True, 0)
    assert not status.inward.HasField("spare_kbps")
    assert out.fulfilment == pytest.approx(0.8)
    assert [value for _, value in out.dropped.ListFields()] == [1, 2, 3, 4, 5]
    assert status.observe_time.ToMilliseconds() == 1_000_500
    with ports.watch(NETWORK, kinds=[watch.KIND_PORT]) as events:
        assert next(events).resource.port.bandwidth_status == status
    assert "bandwidth_status" in str(refusal(lambda: ports.ports.update(Port(name=A), ["bandwidth_status"])))


# -- usage


def carried(name: str, kbps: int, at_s: float = 1.0) -> Usage:
    return Usage(name=name, inward=Traffic(bytes=kbps * 10, kbps=kbps), outward=Traffic(kbps=2 * kbps), at_s=at_s)


def test_usage_is_listed_by_kind_and_parent_page_by_page(api: Api, ports: Client) -> None:
    """With what each gets; links are of no tenant, and tell their capacity."""
    api.bandwidth.look("port", carried(B, 7), carried(A, 5), carried("tenants/red/networks/n/ports/p", 1))
    api.bandwidth.statuses[A] = STATUS
    first, second = ports.usage(watch.KIND_PORT, NETWORK, page_size=1)
    assert (first.name, first.inward.bytes, first.inward.rate_kbps, first.outward.rate_kbps) == (A, 50, 5, 10)
    assert (first.bandwidth_status.outward.allotted_kbps, first.observe_time.seconds) == (40, 1)
    assert (second.name, second.HasField("bandwidth_status")) == (B, False)
    assert len(list(ports.usage(watch.KIND_PORT))) == 3
    api.operator.tell(*two_switches())
    link = "links/0000000000000001-1"
    ports.links.update(Link(name=link, capacity_override_kbps=5_000), ["capacity_override_kbps"])
    api.bandwidth.look("link", Usage(name=link, outward=Traffic(kbps=3)))
    (only,) = ports.usage(watch.KIND_LINK)
    assert (only.outward.rate_kbps, only.HasField("inward"), only.capacity_kbps) == (3, False, 5_000)
    assert not only.HasField("observe_time")


@pytest.mark.parametrize(("kind", "parent", "reason"), [
    (watch.KIND_UNSPECIFIED, "", "INVALID_ENUM"),
    (watch.KIND_SUBNET, "", "INVALID_ENUM"),
    (99, "", "INVALID_ENUM"),
    (watch.KIND_PORT, A, "INVALID_NAME"),
    (watch.KIND_PORT, "blue", "INVALID_NAME"),
    (watch.KIND_LINK, TENANT, "INVALID_NAME"),
    (watch.KIND_PIPE, NETWORK, "INVALID_NAME"),
    (watch.KIND_PORT, "tenants/none", "PARENT_NOT_FOUND"),
])
def test_usage_of_what_has_none_is_refused(
    ports: Client, kind: watch.Kind.ValueType, parent: str, reason: str
) -> None:
    """Listed or watched."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: next(ports.usage(kind, parent)), lambda: next(ports.watch_usage(kind, parent)))
    assert [refusal(call).reason for call in calls] == [reason, reason]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def rates(response: WatchUsageResponse) -> dict[str, int]:
    return {each.name: each.inward.rate_kbps for each in response.usages}


def test_usage_is_watched_look_by_look(api: Api, ports: Client) -> None:
    """All of it at first, even if that is nothing; then what differs, and what is gone; and no look without news."""
    with ports.watch_usage(watch.KIND_PORT, TENANT) as looks:
        assert rates(next(looks)) == {}
        api.bandwidth.look("port", carried(A, 5), carried(B, 7))
        assert rates(next(looks)) == {A: 5, B: 7}
        api.bandwidth.look("port", carried(A, 5, at_s=2.0), carried(B, 7, at_s=2.0))
        api.bandwidth.look("port", carried(A, 6, at_s=3.0), carried(B, 7, at_s=3.0))
        assert rates(next(looks)) == {A: 6}
        api.bandwidth.statuses[B] = STATUS
        api.bandwidth.look("port", carried(B, 7, at_s=4.0))
        changed, gone = next(looks), next(looks)
        assert changed.usages[0].bandwidth_status.outward.allotted_kbps == 40
        assert list(gone.gone) == [A]
    wait_until(lambda: not api.bandwidth.followers)


def test_usage_watch_outlives_a_restart_and_begins_anew(api: Api, ports: Client) -> None:
    """The counters are the controller's to keep; the reader is given all of them again."""
    api.bandwidth.look("port", carried(A, 5))
    looks: Stream[WatchUsageResponse]
    with ports.watch_usage(watch.KIND_PORT) as looks:
        assert rates(next(looks)) == {A: 5}
        api.restart()
        assert rates(next(looks)) == {A: 5}


def test_usage_watch_of_many_comes_in_messages_of_bounded_size(api: Api, ports: Client) -> None:
    """Ten thousand ports are no single message."""
    api.bandwidth.look("port", *(carried(f"{PORTS}/p{n}", n) for n in range(2_500)))
    with ports.watch_usage(watch.KIND_PORT) as looks:
        assert [len(next(looks).usages) for _ in range(3)] == [1_000, 1_000, 500]


# -- quotes


def test_quote_is_for_the_object_as_it_would_be(api: Api, ports: Client) -> None:
    """Complete, as a commit would make it, whether it is there or not; nothing is changed."""
    api.bandwidth.answer = Quote(
        fits=False, largest_in_kbps=0, largest_out_kbps=25_000,
        shortfalls=(Shortfall(link="links/1-1", needed_kbps=40_000, left_kbps=25_000),))
    before = ports.server_info().revision
    answer = ports.quote(port("new", bandwidth=BandwidthPolicy(guarantee_out_kbps=40_000)))
    assert (answer.fits, answer.largest_guarantee_out_kbps) == (False, 25_000)
    assert [(each.link, each.needed_kbps, each.left_kbps) for each in answer.shortfalls] == [
        ("links/1-1", 40_000, 25_000)]
    asked = api.bandwidth.asked[-1]
    assert isinstance(asked, ModelPort) and asked.mac and asked.addresses
    ports.quote(Port(name=A, subnet=SUBNET, bandwidth=BandwidthPolicy(guarantee_in_kbps=70)))
    asked = api.bandwidth.asked[-1]
    assert isinstance(asked, ModelPort) and asked.mac == ports.ports.get(A).mac_address
    assert asked.bandwidth.guarantee_in_kbps == 70
    assert ports.server_info().revision == before


@pytest.mark.parametrize(("resource", "reason", "field"), [
    (Subnet(name=SUBNET), "INVALID_FIELD", "resource.subnet"),
    (Port(name="x"), "INVALID_NAME", "resource.port.name"),
    (Pipe(name=PIPE, a=A, b=A), "INVALID_FIELD", "pipe.b"),
    (Tenant(name=TENANT, bandwidth=BandwidthPolicy(weight=-1)), "INVALID_RATE", "resource.tenant.bandwidth.weight"),
])
def test_quote_fails_where_the_change_would(
    api: Api, ports: Client, resource: Tenant | Subnet | Port | Pipe, reason: str, field: str
) -> None:
    """For any other reason than that it does not fit, with that reason; bandwidth is not even asked."""
    error = refusal(lambda: ports.quote(resource))
    assert (error.reason, list(error.fields)) == (reason, [field])
    assert api.bandwidth.asked == []


def test_quote_minds_what_the_fabric_says_of_an_attachment(api: Api, ports: Client) -> None:
    """As the create would be refused, so is the question."""
    at = Attachment(switch="1", interface="wire")
    ports.ports.create(port("c", attachment=at))
    error = refusal(lambda: ports.quote(port("d", attachment=at)))
    assert error.reason == "ATTACHMENT_IN_USE"
