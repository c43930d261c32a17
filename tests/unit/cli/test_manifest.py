"""Manifests: everything the contract says can be written, and every mistake is told with its line."""

from __future__ import annotations

import pytest
from pliant.v1.common_pb2 import BandwidthPolicy, TrafficClass
from pliant.v1.network_pb2 import Attachment, Network, Port, Subnet
from pliant.v1.tenant_pb2 import Quota, Tenant

from apps.cli.document import document
from apps.cli.errors import Failure
from apps.cli.kinds import Scope
from apps.cli.manifest import Item, read_manifest
from apps.cli.output import print_yaml

ALL = """\
# A whole tenant.
apiVersion: pliant/v1
kind: Tenant
metadata: {name: red, labels: {env: prod}, display_name: The Reds}
spec:
  quota: {ports: 0}
  bandwidth: {ceiling_out: 1.5 Gbit/s, burst_ms: 100}
---
apiVersion: pliant/v1
kind: Network
metadata: {tenant: red, name: net1}
---
apiVersion: pliant/v1
kind: Subnet
metadata: {tenant: red, network: net1, name: s1}
spec: {ipv4_cidr: 10.0.0.0/24, ipv6_cidr: "fd00::/64"}
---
---
apiVersion: pliant/v1
kind: Port
metadata: {tenant: red, network: net1, name: web-1, etag: "7"}
spec:
  subnet: s1
  mac_address: 02:00:00:00:00:01
  addresses: [10.0.0.5, fd00::5]
  attachment: {switch: 0000000000000010, interface: s1-eth1}
  bandwidth:
    ceiling_in_kbps: 5000
    traffic_class: bulk
    schedule:
    - recurring: {cron: 0 8 * * *, duration: 3600s, time_zone: Europe/Rome}
      override: {ceiling_in: 1Mbps}
status: {state: ACTIVE, anything: [else]}
"""
WEB = "tenants/red/networks/net1/ports/web-1"


def read(text: str, scope: Scope | None = None) -> list[Item]:
    return read_manifest(text, "m.yaml", scope or Scope())


def port(spec: str, metadata: str = "{tenant: red, network: net1, name: web-1}") -> str:
    """A port on lines 1 to 3, its spec from line 4 on."""
    indented = "".join(f"  {line}\n" for line in spec.splitlines())
    return f"apiVersion: pliant/v1\nkind: Port\nmetadata: {metadata}\nspec:\n{indented}"


def problems(text: str) -> list[str]:
    with pytest.raises(Failure) as caught:
        read(text)
    assert caught.value.exit_code == 6
    return caught.value.message.splitlines()


def test_manifest_holds_every_kind() -> None:
    """Documents in any number; scalars as they are written; status is ignored."""
    tenant, network, subnet, port = (item.message for item in read(ALL))
    assert tenant == Tenant(
        name="tenants/red", labels={"env": "prod"}, display_name="The Reds", quota=Quota(ports=0),
        bandwidth=BandwidthPolicy(ceiling_out_kbps=1_500_000, burst_ms=100),
    )
    assert network == Network(name="tenants/red/networks/net1")
    assert subnet == Subnet(
        name="tenants/red/networks/net1/subnets/s1", ipv4_cidr="10.0.0.0/24", ipv6_cidr="fd00::/64"
    )
    assert isinstance(port, Port)
    assert (port.name, port.etag, port.subnet) == (WEB, "7", "tenants/red/networks/net1/subnets/s1")
    assert (port.mac_address, list(port.addresses)) == ("02:00:00:00:00:01", ["10.0.0.5", "fd00::5"])
    assert port.attachment == Attachment(switch="0000000000000010", interface="s1-eth1")
    assert port.bandwidth.ceiling_in_kbps == 5_000
    assert port.bandwidth.traffic_class == TrafficClass.TRAFFIC_CLASS_BULK
    (window,) = port.bandwidth.schedule
    assert (window.recurring.duration.seconds, window.override.ceiling_in_kbps) == (3_600, 1_000)


def test_items_know_their_lines() -> None:
    """To be named when the server refuses one."""
    assert [item.source for item in read(ALL)] == ["m.yaml:2", "m.yaml:9", "m.yaml:13", "m.yaml:19"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n---\n"])
def test_empty_manifest_holds_nothing(text: str) -> None:
    """Comments and empty documents are no objects."""
    assert read(text) == []


def test_scope_fills_in_what_metadata_does_not_say() -> None:
    """And what it says wins."""
    scope = Scope(tenant="red", network="net1")
    text = "apiVersion: pliant/v1\nkind: Port\nmetadata: {name: web-1}\nspec: {subnet: s1}\n"
    (item,) = read(text, scope)
    assert item.message.name == WEB
    assert isinstance(item.message, Port) and item.message.subnet.startswith("tenants/red/networks/net1/subnets/")
    (item,) = read(text.replace("{name", "{tenant: blue, name"), scope)
    assert item.message.name == WEB.replace("red", "blue")


def test_list_and_json_are_manifests() -> None:
    """What -o json prints can be applied."""
    (item,) = read(
        '{"apiVersion": "pliant/v1", "kind": "List", "items": [{"apiVersion": "pliant/v1", "kind": "Tenant", '
        '"metadata": {"name": "red"}, "spec": {"quota": {"ports": 3}}, "status": {"uid": "x"}}]}'
    )
    assert item.message == Tenant(name="tenants/red", quota=Quota(ports=3))


def test_null_is_unset() -> None:
    """As in `attachment:` with nothing behind it."""
    (item,) = read(port("subnet: s1\nattachment:\nbandwidth: ~"))
    assert isinstance(item.message, Port)
    assert not item.message.HasField("attachment")
    assert not item.message.HasField("bandwidth")


def test_documents_are_read_as_they_were_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """get -o yaml and apply are inverse."""
    messages = [item.message for item in read(ALL.replace(', etag: "7"', ""))]
    print_yaml([document(message) for message in messages])
    assert [item.message for item in read(capsys.readouterr().out)] == messages


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (port("subnte: s1"), "m.yaml:5: unknown key 'subnte' in spec: did you mean 'subnet'?"),
        (port("macAddress: x"), "m.yaml:5: unknown key 'macAddress' in spec: did you mean 'mac_address'?"),
        (port("subnet: s1\nbandwidth:\n  ceilingOut: 1M"),
         "m.yaml:7: unknown key 'ceilingOut' in spec.bandwidth: did you mean 'ceiling_out'?"),
        (port("attachment: {swich: 1}"), "unknown key 'swich' in spec.attachment: did you mean 'switch'?"),
        (port("state: ACTIVE"), "m.yaml:5: unknown key 'state' in spec: known are "),
        (port("qqqq: 1"), "known are addresses, attachment, bandwidth, mac_address, subnet"),
        (port("subnet: s1\nsubnet: s2"), "m.yaml:6: key 'subnet' is there twice in spec"),
        (port("bandwidth: {ceiling_out: 0}"), "spec.bandwidth.ceiling_out: 0 is not a rate: write none"),
        (port("bandwidth: {ceiling_out: fast}"), "spec.bandwidth.ceiling_out: 'fast' is not a rate"),
        (port("bandwidth: {burst_ms: 1.5}"), "spec.bandwidth.burst_ms: '1.5' must be a whole number"),
        (port("bandwidth: {burst_ms: 99999999999}"), "spec.bandwidth.burst_ms: "),
        (port("bandwidth: {traffic_class: gold}"), "'gold' must be one of CRITICAL, STANDARD, BULK"),
        (port("bandwidth: 5M"), "m.yaml:5: spec.bandwidth must be a mapping"),
        (port("addresses: 10.0.0.5"), "m.yaml:5: spec.addresses: must be a list"),
        (port("addresses: [[10.0.0.5]]"), "m.yaml:5: spec.addresses[0] must be a single value"),
        (port("subnet: [s1]"), "spec.subnet must be a single value"),
        (port("attachment: {switch: 1, interface: a, port_number: 2}"), "goes not together with interface"),
        (port("attachment: {switch: 1, port_number: -2}"), "spec.attachment.port_number: "),
        (port("bandwidth: {schedule: [{recurring: {duration: soon}}]}"), "duration: "),
        (port("{}", "{tenant: red, name: web-1}"), "m.yaml:3: metadata.network is missing: a port needs it"),
        (port("{}", "{tenant: red, network: net1}"), "m.yaml:3: metadata.name is missing: a port needs it"),
        (port("{}", "{tenant: a/b, network: net1, name: x}"), "metadata.tenant must be an id, without '/'"),
        (port("{}", "{tenant: red, network: net1, name: x, lables: {}}"), "did you mean 'labels'?"),
        (port("{}", "{tenant: red, network: net1, name: x, labels: [a]}"), "metadata.labels must be a mapping"),
        (port("{}", "just text"), "metadata must be a mapping"),
        ("apiVersion: pliant/v1\nkind: Tenant\nmetadata: {name: red, tenant: blue}\n",
         "m.yaml:3: metadata.tenant: a tenant is in no tenant"),
        ("apiVersion: pliant/v1\nkind: Prot\nmetadata: {name: x}\n",
         "m.yaml:2: kind 'Prot' cannot be applied: did you mean 'Port'?"),
        ("apiVersion: pliant/v1\nkind: Switch\nmetadata: {name: x}\n", "kind 'Switch' cannot be applied"),
        ("apiVersion: pliant/v1\nmetadata: {name: x}\n", "m.yaml:1: kind is missing"),
        ("apiVersion: v1\nkind: Tenant\nmetadata: {name: x}\n", "m.yaml:1: apiVersion must be pliant/v1"),
        ("apiVersion: pliant/v1\nkind: Tenant\n", "metadata.name is missing"),
        ("apiVersion: pliant/v1\nkind: Tenant\nmetadata: {name: x}\nspecs: {}\n",
         "m.yaml:4: unknown key 'specs' in a document: did you mean 'spec'?"),
        ("- a\n- b\n", "m.yaml:1: a document must be a mapping"),
        ("just text", "a document must be a mapping"),
        ("a: [1\n", "no valid YAML"),
        ("a: *nowhere\n", "m.yaml:1: no valid YAML"),
        ("\x00", "no valid YAML"),
        (ALL + "---\n" + ALL.split("---")[1], "m.yaml:36: tenants/red/networks/net1 is already defined at m.yaml:9"),
    ],
)
def test_mistake_is_told_with_its_line_and_what_would_do(text: str, problem: str) -> None:
    """One line for each."""
    assert any(problem in line for line in problems(text)), problems(text)


def test_all_mistakes_are_told_at_once() -> None:
    """Up to a number that fits a screen."""
    many = "---\n".join(port("subnte: s1", f"{{tenant: red, network: net1, name: p{n}}}") for n in range(30))
    told = problems(many)
    assert len(told) == 21
    assert told[-1] == "and 10 more"
