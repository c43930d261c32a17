"""Guarantees as tenants have them: asked over the API, kept by queues on the ports of real switches."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pliant.v1 import fabric_pb2, network_pb2, peering_pb2, pipe_pb2, tenant_pb2, watch_pb2

from tests.support.eventually import eventually
from tests.support.fabric import ACTIVE, Fabric, Policy, leaf_spine
from tests.support.rig import Host, Rig

LINK_KBPS = 30_000
GUARANTEE_KBPS = 14_000
TCP_PAYLOAD = 1448 / 1514
FLOOD_PPS, INSIDE_PPS = 2_000, 900
"""Of 1,400 bytes: two floods of 23 Mbit/s each, more than a link carries; and 10 Mbit/s, within the guarantee."""
UPLINK = "s1-s11-101"


def classes(fabric: Fabric, device: str = UPLINK) -> str:
    return fabric.rig.sandbox.run("tc", "class", "show", "dev", device)


def all_queues(fabric: Fabric) -> str:
    """Every class and filter of every device, without counters and without the numbers that the kernel gives leaves."""
    devices = fabric.rig.sandbox.run("sh", "-c", "ls /sys/class/net").split()
    shown = "\n".join(
        fabric.rig.sandbox.run("tc", what, "show", "dev", device) for device in devices for what in ("class", "filter"))
    return re.sub(r"leaf \w+:", "leaf", shown)


def guarantee(fabric: Fabric, tenant: str, kbps: int) -> None:
    policy = Policy(guarantee_in_kbps=kbps, guarantee_out_kbps=kbps)
    message = tenant_pb2.Tenant(name=f"tenants/{tenant}", bandwidth=policy)
    fabric.client.tenants.update(message, ["bandwidth"], wait=True)


def conditions(fabric: Fabric, tenant: str) -> dict[str, str]:
    found = fabric.client.tenants.get(f"tenants/{tenant}")
    return {condition.reason: condition.message for condition in found.conditions}


@pytest.fixture
def fabric(ovs: Rig) -> Iterator[Fabric]:
    """Two leaves and one spine; every link is declared to carry 30 Mbit/s."""
    with leaf_spine(ovs, leaves=(1, 2), spines=(11,)) as fabric:
        for link in fabric.client.links.list():
            message = fabric_pb2.Link(name=link.name, capacity_override_kbps=LINK_KBPS)
            fabric.client.links.update(message, ["capacity_override_kbps"])
        ovs.enlarge_send_buffer()
        yield fabric


def two_tenants(fabric: Fabric) -> dict[str, Host]:
    """x and z on leaf 1, each with a receiver on leaf 2, each a tenant of its own."""
    hosts: dict[str, Host] = {}
    for number, tenant in enumerate(("x", "z"), start=1):
        network = fabric.create_network(tenant)
        hosts[tenant] = fabric.add_host(tenant, 1, number, 10 + number)
        hosts[f"r{tenant}"] = fabric.add_host(f"r{tenant}", 2, number, 20 + number)
        fabric.create_ports(network, (hosts[tenant], hosts[f"r{tenant}"]))
        assert hosts[tenant].ping(hosts[f"r{tenant}"]).lost == 0
    return hosts


def test_guarantee_is_enforced_changes_live_and_survives_a_restart(fabric: Fabric) -> None:
    """X keeps its rate beside a flood of Z's; a new pliantd finds the queues and writes nothing.

    A new ovs-vswitchd removes them, and they come back; at the end all go.
    """
    hosts = two_tenants(fabric)
    assert "5011" not in classes(fabric)
    guarantee(fabric, "x", GUARANTEE_KBPS)
    eventually(lambda: "rate 14Mbit ceil 30Mbit" in classes(fabric), what="the queue of X is there")
    assert "GUARANTEE_NOT_ENFORCED" not in conditions(fabric, "x")
    with ThreadPoolExecutor(2) as pool:
        flood = pool.submit(hosts["z"].udp_rate_to, hosts["rz"], offered_kbps=2 * LINK_KBPS, duration_s=6)
        kept = hosts["x"].tcp_rate_to(hosts["rx"], duration_s=5).rate_kbps
        left = flood.result().rate_kbps
    print(f"X has {kept:.0f} kbit/s of its {GUARANTEE_KBPS}, Z's flood {left:.0f}")
    assert kept > 0.8 * GUARANTEE_KBPS * TCP_PAYLOAD
    assert left > 0.2 * (LINK_KBPS - GUARANTEE_KBPS)
    fabric.pliantd.wait_for_links(4)  # probes are not lost in the flood
    guarantee(fabric, "x", 2 * GUARANTEE_KBPS - 1_000)
    eventually(lambda: "rate 27Mbit" in classes(fabric), what="the guarantee is another one")
    before, flows = all_queues(fabric), fabric.flows()
    fabric.pliantd.kill()
    fabric.pliantd.start()
    fabric.wait_in_sync()
    eventually(lambda: fabric.pliantd.log().count("queue_driver") >= 6, what="it knows who makes its queues")
    # Longer than it takes to remove what has no use.
    hosts["x"].ping(hosts["rx"], count=40, interval_s=0.1)
    assert all_queues(fabric) == before
    assert fabric.flows() == flows
    assert "queues_set" not in fabric.pliantd.log().split("queue_driver")[-1]
    fabric.rig.stop_vswitchd()
    fabric.rig.start_vswitchd()
    fabric.wait_in_sync(timeout_s=60)
    was = sorted(before.splitlines())  # in whatever order the kernel lists them
    eventually(lambda: sorted(all_queues(fabric).splitlines()) == was, 60, "the queues are there again")
    guarantee(fabric, "x", 0)
    eventually(lambda: "5011" not in all_queues(fabric), 60, "the queues are gone")


def test_guarantee_that_no_queue_enforces_says_so(fabric: Fabric) -> None:
    """A port with queues of somebody else's: they stay, the tenant says where and why; freed, all is well."""
    two_tenants(fabric)
    tc = "tc", "qdisc"
    fabric.rig.sandbox.run(*tc, "add", "dev", UPLINK, "root", "handle", "5:", "htb", "default", "1")
    guarantee(fabric, "x", GUARANTEE_KBPS)

    def said() -> bool:
        message = conditions(fabric, "x").get("GUARANTEE_NOT_ENFORCED", "")
        assert "0000000000000001" in message and UPLINK in message and "somebody else" in message, message
        return True

    eventually(said, what="the tenant says that its guarantee is not enforced, where and why")
    assert "GUARANTEE_NOT_ENFORCED" not in conditions(fabric, "z")
    assert "htb 5:" in fabric.rig.sandbox.run(*tc, "show", "dev", UPLINK)
    fabric.rig.sandbox.run(*tc, "del", "dev", UPLINK, "root")
    eventually(lambda: "GUARANTEE_NOT_ENFORCED" not in conditions(fabric, "x"), 60, "all is well")
    assert "rate 14Mbit" in classes(fabric)


def test_guarantees_hold_against_ones_own_siblings(fabric: Fabric) -> None:
    """A port keeps its guarantee beside floods of another port of its network, and of another network of its tenant;
    while it is silent they have all of the link.
    """
    networks = {name: fabric.create_network("x", network=name) for name in ("n", "other")}
    names = ("a", "b", "ra", "rb", "c", "rc")
    hosts = {name: fabric.add_host(name, 1 + name.startswith("r"), 1 + i, 11 + i) for i, name in enumerate(names)}
    network = networks["n"]
    fabric.create_ports(network, [hosts[name] for name in names if "c" not in name])
    fabric.create_ports(networks["other"], [hosts["c"], hosts["rc"]])
    policy = Policy(guarantee_out_kbps=GUARANTEE_KBPS)
    fabric.client.ports.update(network_pb2.Port(name=f"{network}/ports/a", bandwidth=policy), ["bandwidth"], wait=True)
    eventually(lambda: classes(fabric).count("rate 14Mbit ceil 30Mbit") == 3,
               what="the queues of X, its network, and a in that")
    assert "GUARANTEE_NOT_ENFORCED" not in conditions(fabric, "x")
    borrowed = hosts["b"].udp_rate_to(hosts["rb"], offered_kbps=2 * LINK_KBPS, duration_s=3).rate_kbps
    with (hosts["b"].probe(hosts["rb"], packets_per_s=FLOOD_PPS, size_bytes=1400) as one,
          hosts["c"].probe(hosts["rc"], packets_per_s=FLOOD_PPS, size_bytes=1400) as other):
        kept = hosts["a"].tcp_rate_to(hosts["ra"], duration_s=5).rate_kbps
        floods = one.finish(), other.finish()
    print(f"b alone has {borrowed:.0f} kbit/s; a has {kept:.0f} of its {GUARANTEE_KBPS}, of the floods "
          f"{floods[0]}; {floods[1]}")
    assert sum(flood.lost for flood in floods) > 0.1 * sum(flood.sent for flood in floods), "they were too much"
    assert borrowed > 1.05 * (LINK_KBPS - GUARANTEE_KBPS)
    assert kept > 0.8 * GUARANTEE_KBPS * TCP_PAYLOAD


def test_pipe_between_networks_keeps_its_guarantee_and_its_ceiling(fabric: Fabric) -> None:
    """X in one network and rx in its peer, beside a flood inside the peer; then a ceiling out of the first."""
    client, network = fabric.client, fabric.create_network("x")
    far = "tenants/x/networks/far"
    client.apply([
        network_pb2.Network(name=far), network_pb2.Subnet(name=f"{far}/subnets/s", ipv4_cidr="10.9.0.0/24"),
        peering_pb2.Peering(name="tenants/x/peerings/p", a=network, b=far)])
    hosts: dict[str, Host] = {}
    for number, (name, leaf, parent, prefix) in enumerate((
        ("x", 1, network, "10.0.0"), ("z", 1, far, "10.9.0"), ("rx", 2, far, "10.9.0"), ("rz", 2, far, "10.9.0"),
    ), start=11):
        hosts[name] = fabric.rig.add_host(
            name, f"s{leaf}", number, mac=f"02:00:00:00:00:{number:02x}", ip=f"{prefix}.{number}/24",
            gateway=f"{prefix}.1")
        fabric.create_ports(parent, [hosts[name]])
    assert hosts["x"].ping(hosts["rx"]).lost == 0
    pipe = pipe_pb2.Pipe(
        name="tenants/x/pipes/p", a=network, b=far, bandwidth=Policy(guarantee_out_kbps=GUARANTEE_KBPS))
    client.pipes.create(pipe, wait=True)
    for device in (UPLINK, "s11-s2-2"):
        eventually(lambda device=device: "rate 14Mbit ceil 30Mbit" in classes(fabric, device),  # type: ignore[misc]
                   what=f"the queue of the pipe on {device}")
    with ThreadPoolExecutor(2) as pool:
        flood = pool.submit(hosts["z"].udp_rate_to, hosts["rz"], offered_kbps=2 * LINK_KBPS, duration_s=6)
        kept = hosts["x"].tcp_rate_to(hosts["rx"], duration_s=5).rate_kbps
        left = flood.result().rate_kbps
    print(f"the pipe has {kept:.0f} kbit/s of its {GUARANTEE_KBPS}, the flood {left:.0f}")
    assert kept > 0.8 * GUARANTEE_KBPS * TCP_PAYLOAD
    # Nothing but its meter counts what a pipe carries.
    eventually(lambda: next(client.usage(watch_pb2.KIND_PIPE, "tenants/x")).outward.bytes > 5_000_000,
               what="what the pipe carried is told")
    pipe.bandwidth.CopyFrom(Policy(ceiling_out_kbps=GUARANTEE_KBPS // 2))
    assert client.pipes.update(pipe, ["bandwidth"], wait=True).state == ACTIVE
    limited = hosts["x"].udp_rate_to(hosts["rx"], offered_kbps=GUARANTEE_KBPS, duration_s=3).rate_kbps
    print(f"under a ceiling of {GUARANTEE_KBPS // 2} it has {limited:.0f}")
    assert limited == pytest.approx(GUARANTEE_KBPS // 2, rel=0.12)


def test_guarantee_holds_at_a_full_receiver_whose_ceiling_its_queues_hold(fabric: Fabric) -> None:
    """Two send to a third on the same switch: whoever is guaranteed keeps it beside the flood, and there is no meter to
    drop before the queue; a new pliantd finds it so, and without the guarantee the meter is back.
    """
    network = fabric.create_network("x")
    hosts = {name: fabric.add_host(name, 1, 1 + i, 11 + i) for i, name in enumerate("abd")}
    fabric.create_ports(network, hosts.values())

    def set_policy(name: str, policy: Policy) -> None:
        port = network_pb2.Port(name=f"{network}/ports/{name}", bandwidth=policy)
        fabric.client.ports.update(port, ["bandwidth"], wait=True)

    def meters() -> list[str]:
        found: list[str] = re.findall(r"rate=(\d+)", fabric.rig.ofctl("dump-meters", "s1"))
        return found

    ceiling_kbps, guarantee_kbps = 20_000, 12_000
    set_policy("d", Policy(ceiling_in_kbps=ceiling_kbps))
    assert str(ceiling_kbps) in meters()
    set_policy("a", Policy(guarantee_out_kbps=guarantee_kbps))
    eventually(lambda: "rate 12Mbit ceil 20Mbit" in classes(fabric, "s1-d"), what="the queue of a at d's port")
    eventually(lambda: str(ceiling_kbps) not in meters(), what="the queues hold the ceiling, and no meter does")
    with hosts["b"].probe(hosts["d"], packets_per_s=FLOOD_PPS, size_bytes=1400) as flooding:
        kept = hosts["a"].tcp_rate_to(hosts["d"], duration_s=5).rate_kbps
        flood = flooding.finish()
    print(f"a has {kept:.0f} kbit/s of its {guarantee_kbps} at a port of {ceiling_kbps}, of b's flood {flood}")
    assert flood.lost > 0.1 * flood.sent, "it was too much"
    assert 0.8 * guarantee_kbps * TCP_PAYLOAD < kept < 1.05 * ceiling_kbps
    before, flows, written = all_queues(fabric), fabric.flows(), meters()
    fabric.pliantd.kill()
    fabric.pliantd.start()
    fabric.wait_in_sync()
    eventually(lambda: fabric.pliantd.log().count("queue_driver") >= 6, what="it knows who makes its queues")
    hosts["a"].ping(hosts["d"], count=40, interval_s=0.1)  # longer than what is of no use is kept
    assert (all_queues(fabric), fabric.flows(), meters()) == (before, flows, written)
    set_policy("a", Policy())
    eventually(lambda: str(ceiling_kbps) in meters(), what="the meter is back")
    eventually(lambda: "5011" not in all_queues(fabric), 60, "the queues are gone")


def test_pipe_has_queues_of_its_own_all_along_its_way(fabric: Fabric) -> None:
    """Between two ports, either way, on links and on the access port where the label is gone; nobody else's frames."""
    hosts = two_tenants(fabric)
    x, receiver = hosts["x"], hosts["rx"]
    ports = "tenants/x/networks/n/ports"
    pipe = pipe_pb2.Pipe(
        name="tenants/x/pipes/p", a=f"{ports}/x", b=f"{ports}/rx",
        bandwidth=Policy(guarantee_in_kbps=1_000, guarantee_out_kbps=2_000))
    fabric.client.pipes.create(pipe, wait=True)
    way_out, way_in = (UPLINK, "s11-s2-2", "s2-rx"), ("s2-s11-101", "s11-s1-1", "s1-x")
    for devices, rate in ((way_out, "2Mbit"), (way_in, "1Mbit")):
        for device in devices:
            eventually(lambda device=device, rate=rate: f"rate {rate}" in classes(fabric, device),  # type: ignore[misc]
                       what=f"the pipe's queue on {device}")
    assert x.ping(receiver, count=20, interval_s=0.05).lost == 0
    assert hosts["z"].ping(hosts["rz"], count=20, interval_s=0.05).lost == 0
    for device in (*way_out, *way_in):
        sent = packets(fabric, device)
        (number,) = [minor for minor in sent if minor not in ("ffff", "fffe", "fffd")]
        # Its pings, and ARP; those of the other tenant are best effort.
        assert 20 <= sent[number] <= 30, (device, sent)


def test_tenant_inside_its_guarantee_loses_nothing_to_floods_that_join_it_hop_by_hop(fabric: Fabric) -> None:
    """Not even where frames of X and of a flood leave a switch in one batch, of which the queue refuses some.

    What ovs-vswitchd had left of such a batch it would throw away: X would lose one frame in ten.
    """
    hosts = two_tenants(fabric)
    network = fabric.create_network("y")
    y, receiver = fabric.add_host("y", 11, 9, 13), fabric.add_host("ry", 2, 9, 23)
    fabric.create_ports(network, (y, receiver))
    guarantee(fabric, "x", GUARANTEE_KBPS)
    for device in (UPLINK, "s11-s2-2"):
        eventually(lambda device=device: "rate 14Mbit ceil 30Mbit" in classes(fabric, device),  # type: ignore[misc]
                   what=f"the queue of X on {device}")
    # X comes to the second hop amid Z's flood, and Y's joins there.
    with (hosts["z"].probe(hosts["rz"], packets_per_s=FLOOD_PPS, size_bytes=1400) as first,
          y.probe(receiver, packets_per_s=FLOOD_PPS, size_bytes=1400) as second):
        time.sleep(0.5)  # the queues fill
        with hosts["x"].probe(hosts["rx"], packets_per_s=INSIDE_PPS, size_bytes=1400) as mine:
            time.sleep(4)  # what is measured is what arrives meanwhile
            kept = mine.finish()
        floods = first.finish(), second.finish()
    print(f"X lost {kept.lost} of {kept.sent}; the floods {[(flood.lost, flood.sent) for flood in floods]}")
    assert sum(flood.lost for flood in floods) > 0.1 * sum(flood.sent for flood in floods), "they were too much"
    assert kept.lost <= 0.05 * kept.sent


def packets(fabric: Fabric, device: str) -> dict[str, int]:
    """Frames sent by each class."""
    shown = fabric.rig.sandbox.run("tc", "-s", "class", "show", "dev", device)
    return {minor: int(count) for minor, count in re.findall(r"class htb 5011:(\w+) .*?\n.*? (\d+) pkt", shown)}
