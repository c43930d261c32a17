"""Adopting Mininet: what `ip` and /proc say becomes interfaces, and interfaces become objects."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest
from pliant.v1.fabric_pb2 import Switch, SwitchPort
from pliant.v1.network_pb2 import Port, Subnet

from apps.cli import adopt, lab, mininet
from apps.cli.errors import Failure
from apps.cli.manifest import Resource
from apps.cli.mininet import HostInterface, find_hosts, find_interfaces, interfaces_of
from tests.unit.cli.conftest import Pliant


def interface(host: str, *addresses: str, number: int = 0, name: str = "") -> HostInterface:
    return HostInterface(
        host=host, name=name or f"{host}-eth{number}", mac=f"00:00:00:00:0{number}:0{host[-1]}",
        addresses=tuple(map(ip_interface, addresses)), peer=f"s1-eth{host[-1]}{number or ''}",
    )


def switch(dpid: int, *interfaces: str, connected: bool = True) -> Switch:
    ports = [SwitchPort(port_number=n, interface=name) for n, name in enumerate(interfaces, 1)]
    return Switch(name=f"switches/{dpid:016x}", connected=connected, switch_ports=ports)


S1 = switch(1, "s1-eth1", "s1-eth2", "s1-eth11", "s1-eth3")
H1, H2 = interface("h1", "10.0.0.1/24"), interface("h2", "10.0.0.2/24")


def plan(*interfaces: HostInterface, switches: tuple[Switch, ...] = (S1,), template: str = "") -> list[Resource]:
    return adopt.plan(interfaces, switches, tenant="lab", network="net1", template=template)


def subnets(resources: list[Resource]) -> list[Subnet]:
    return [each for each in resources if isinstance(each, Subnet)]


def ports(resources: list[Resource]) -> dict[str, Port]:
    return {each.name.rpartition("/")[2]: each for each in resources if isinstance(each, Port)}


# -- plan


def test_plan_gives_each_host_a_port_with_what_it_has() -> None:
    """Its MAC and address, attached where its wire ends."""
    resources = plan(H1, H2)
    assert [each.name for each in resources[:3]] == [
        "tenants/lab", "tenants/lab/networks/net1", "tenants/lab/networks/net1/subnets/10-0-0-0-24"]
    assert set(ports(resources)) == {"h1", "h2"}
    h1 = ports(resources)["h1"]
    assert (h1.mac_address, list(h1.addresses)) == ("00:00:00:00:00:01", ["10.0.0.1"])
    assert (h1.attachment.switch, h1.attachment.interface) == ("0000000000000001", "s1-eth1")
    assert h1.subnet == resources[2].name


def test_gateway_is_an_address_that_no_host_has() -> None:
    """Mininet's first host has the first address, which would be the default."""
    (subnet,) = subnets(plan(H1, interface("h2", "10.0.0.254/24")))
    assert (subnet.ipv4_cidr, subnet.ipv4_gateway) == ("10.0.0.0/24", "10.0.0.253")
    (subnet,) = subnets(plan(interface("h1", "10.0.0.1/8")))
    assert subnet.ipv4_gateway == "10.255.255.254"
    with pytest.raises(Failure, match="take every address"):
        plan(interface("h1", "10.0.0.1/30"), interface("h2", "10.0.0.2/30"))


def test_families_that_occur_together_are_one_subnet() -> None:
    """Also if some hosts have only one of them."""
    resources = plan(H1, interface("h2", "10.0.0.2/24", "fd00::2/64"), interface("h3", "fd00::3/64"))
    (subnet,) = subnets(resources)
    assert (subnet.ipv4_cidr, subnet.ipv6_cidr, subnet.ipv6_gateway) == (
        "10.0.0.0/24", "fd00::/64", "fd00::ffff:ffff:ffff:ffff")
    assert {port.subnet for port in ports(resources).values()} == {subnet.name}


def test_each_range_is_a_subnet() -> None:
    """And each port is in its own."""
    resources = plan(H1, interface("h2", "10.0.1.2/24"))
    assert {each.ipv4_cidr for each in subnets(resources)} == {"10.0.0.0/24", "10.0.1.0/24"}
    assert ports(resources)["h2"].subnet.endswith("/10-0-1-0-24")
    with pytest.raises(Failure, match=r"10.0.0.0/24 and 10.0.1.0/24 together"):
        plan(interface("h1", "10.0.0.1/24", "10.0.1.1/24"))


def test_ports_are_called_after_hosts_unless_told() -> None:
    """A host with several interfaces is told apart by them."""
    second = interface("h1", "10.0.1.1/24", number=1)
    assert set(ports(plan(H1, H2))) == {"h1", "h2"}
    assert set(ports(plan(H1, second))) == {"h1-eth0", "h1-eth1"}
    assert set(ports(plan(H1, template="vm-{host}-{interface}"))) == {"vm-h1-h1-eth0"}
    assert set(ports(plan(interface("H_1", "10.0.0.1/24")))) == {"h-1"}
    with pytest.raises(Failure, match="both be port 'h1'"):
        plan(H1, second, template="{host}")
    with pytest.raises(Failure, match="may use"):
        plan(H1, template="{nope}")


def test_interface_must_belong_to_one_connected_switch() -> None:
    """Both other cases say what to do."""
    with pytest.raises(Failure, match=r"no connected switch has the interface s1-eth1 \(of h1\)") as caught:
        plan(H1, switches=(switch(1, "s1-eth1", connected=False), switch(2, "s2-eth1")))
    assert "--controller remote" in caught.value.advice
    with pytest.raises(Failure, match=r"0000000000000001, 0000000000000002"):
        plan(H1, switches=(switch(1, "s1-eth1"), switch(2, "s1-eth1")))


# -- what the machine says


def link(number: int, name: str, peer: int | None, *addresses: str, flags: str = "UP") -> dict[str, Any]:
    """As `ip -json addr` prints it."""
    info = []
    for text in addresses:
        address = ip_interface(text)
        scope = "link" if address.ip.is_link_local else "global"
        info.append({"local": str(address.ip), "prefixlen": address.network.prefixlen, "scope": scope})
    whole = {"ifindex": number, "ifname": name, "flags": [flags], "address": "00:00:00:00:00:01", "addr_info": info}
    return whole | ({"link_index": peer} if peer else {})


def test_wire_is_followed_to_its_other_end() -> None:
    """Both ends must know each other; loopback, foreign wires and link-local addresses do not count."""
    here = [link(1, "lo", None), link(7, "s1-eth1", 2), link(8, "s1-eth2", 5), link(9, "eth0", None)]
    inside = [
        link(1, "lo", None, "127.0.0.1/8", flags="LOOPBACK"),
        link(2, "h1-eth0", 7, "10.0.0.1/8", "fe80::1/64", "fd00::1/64"),
        link(3, "h1-eth1", 8, "10.1.0.1/8"),
        link(4, "h1-eth2", 99, "10.2.0.1/8"),
        link(6, "tun0", None, "10.3.0.1/8"),
    ]
    (found,) = interfaces_of("h1", inside, here)
    assert (found.name, found.peer, found.mac) == ("h1-eth0", "s1-eth1", "00:00:00:00:00:01")
    assert found.addresses == (ip_interface("10.0.0.1/8"), ip_interface("fd00::1/64"))


def test_hosts_are_shells_with_a_namespace_of_their_own(tmp_path: Path) -> None:
    """Mininet's switches have such shells, too, and processes end while one looks."""
    def process(pid: str, netns: str, *argv: str) -> None:
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns" / "net").symlink_to(netns)
        (tmp_path / pid / "cmdline").write_bytes(b"\0".join(arg.encode() for arg in argv) + b"\0")

    process("self", "net:[1]", "pliant")
    process("10", "net:[1]", "bash", "--norc", "-is", "mininet:s1")
    process("11", "net:[2]", "bash", "--norc", "-is", "mininet:h1")
    process("12", "net:[3]", "bash", "--norc", "-is", "mininet:web 2")
    process("13", "net:[2]", "ping", "10.0.0.2")
    (tmp_path / "14").mkdir()
    (tmp_path / "meminfo").touch()
    assert find_hosts(tmp_path) == {"h1": 11, "web 2": 12}


def test_without_root_or_mininet_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the next step."""
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "net").symlink_to("net:[1]")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Failure, match="only root") as caught:
        find_interfaces(tmp_path)
    assert "sudo" in caught.value.advice
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Failure, match="no Mininet host") as caught:
        find_interfaces(tmp_path)
    assert "mn --custom" in caught.value.advice


def test_failing_ip_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that ended meanwhile, or a machine without the command."""
    with pytest.raises(Failure, match="nsenter"):
        mininet._ip("addr", pid=2**22 + 1)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Failure, match="not installed"):
        mininet._ip("link")


# -- the command


@pytest.fixture
def hosts(pliant: Pliant, monkeypatch: pytest.MonkeyPatch) -> list[HostInterface]:
    """h1 and h2 behind eth2 of switches 1 and 2 of the fabric, whose names a test can tell apart; and h3, lost."""
    from controller.fabric.events import SwitchConnected
    from controller.fabric.graph import SwitchFeatures, SwitchPort

    wires = [
        SwitchPort(port_no=n, name=f"s1-eth{n}", mac=f"02:00:00:00:01:{n:02x}", up=True, speed_kbps=1_000_000)
        for n in (1, 2)
    ]
    pliant.api.operator.tell(SwitchConnected(dpid=3, features=SwitchFeatures(max_meters=9), ports=tuple(wires)))
    found = [H1, H2, interface("h4")]
    monkeypatch.setattr(lab, "find_interfaces", lambda: found)
    return found


def test_adopt_creates_once_and_keeps_up_to_date(pliant: Pliant, hosts: list[HostInterface]) -> None:
    """A second run changes nothing; a host that is gone loses its port; a host without address is left out."""
    result = pliant.run("lab adopt")
    assert result.stdout.splitlines() == [
        "tenant/lab created", "network/net1 created", "subnet/10-0-0-0-24 created", "port/h1 created",
        "port/h2 created"]
    assert "left out: h4-eth0 of h4 has no address" in result.stderr
    assert set(pliant.ok("lab adopt").split()) == {
        "subnet/10-0-0-0-24", "port/h1", "port/h2", "unchanged"}
    del hosts[1]
    assert "tenants/lab/networks/net1/ports/h2 deleted" in pliant.ok("lab adopt")
    assert pliant.ok("get ports -o name") == "tenants/lab/networks/net1/ports/h1\n"


def test_adopt_takes_only_the_named_hosts(pliant: Pliant, hosts: list[HostInterface]) -> None:
    """So that two tenants can share a Mininet; the others' ports stay, and so does what was set on the tenant."""
    pliant.ok("create tenant red --ceiling-out 5M")
    pliant.ok("lab adopt h1 -t red")
    pliant.ok("lab adopt h2 -t blue -n other")
    assert len(pliant.ok("get ports -o name").split()) == 2
    assert pliant.api.client.tenants.get("tenants/red").bandwidth.ceiling_out_kbps == 5_000
    assert "there are h1, h2, h4" in pliant.fails("lab adopt h9", code=3)
    assert "has an address" in pliant.run("lab adopt h4").stderr


def test_adopt_prints_a_manifest_instead(pliant: Pliant, hosts: list[HostInterface]) -> None:
    """Which applied does the same."""
    manifest = pliant.ok("lab adopt --dry-run")
    assert "status" not in manifest
    assert pliant.ok("get ports -o name") == ""
    assert pliant.ok("apply -f -", stdin=manifest).count("created") == 5
    assert pliant.ok("lab adopt").count("unchanged") == 3


def test_mininets_name_for_a_host_is_the_one_looked_for() -> None:
    """The mark is an argument of the installed Mininet's shells."""
    code = "import mininet.node, sys; print(open(mininet.node.__file__).read().count(\"'mininet:'\"))"
    count = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(count) >= 1
