"""The commands against a real server: what they change, what they print, and where."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from pliant.v1.common_pb2 import STATE_ACTIVE

from controller.fabric.events import SwitchConnected, SwitchDisconnected
from controller.fabric.graph import SwitchFeatures
from controller.model.status import DropCount, State
from tests.support.api import TOKEN, switch_ports
from tests.unit.cli.conftest import Pliant

NET = "tenants/red/networks/net1"
WEB = f"{NET}/ports/web-1"
IN_NET = "-t red -n net1"

MANIFEST = """\
apiVersion: pliant/v1
kind: Port
metadata: {tenant: blue, network: net1, name: db-1}
spec: {subnet: s1, attachment: {switch: 2, interface: eth2}}
---
apiVersion: pliant/v1
kind: Subnet
metadata: {tenant: blue, network: net1, name: s1}
spec: {ipv4_cidr: 10.0.0.0/24}
---
apiVersion: pliant/v1
kind: Network
metadata: {tenant: blue, network: null, name: net1}
---
apiVersion: pliant/v1
kind: Tenant
metadata: {name: blue}
""".replace(", network: null", "")


# -- create and set


def test_create_says_what_it_made(pliant: Pliant) -> None:
    """On standard output, in kubectl's words."""
    assert pliant.ok("create tenant red --ceiling-out 1G --max-ports 5 -l env=prod") == "tenant/red created\n"
    tenant = pliant.api.client.tenants.get("tenants/red")
    assert (tenant.bandwidth.ceiling_out_kbps, tenant.quota.ports, tenant.labels["env"]) == (1_000_000, 5, "prod")


def test_create_port_takes_everything_from_flags(red: Pliant) -> None:
    """Attachment, addresses, MAC, both ceilings, labels."""
    port = red.api.client.ports.get(WEB)
    assert (port.attachment.switch, port.attachment.interface) == ("0000000000000001", "eth2")
    assert (port.mac_address, list(port.addresses)) == ("02:00:00:00:00:05", ["10.0.0.5"])
    assert (port.bandwidth.ceiling_in_kbps, port.bandwidth.ceiling_out_kbps) == (10_000, 2_500_000)
    assert dict(port.labels) == {"app": "web"}
    red.ok(f"create port web-2 {IN_NET} --subnet s1 --attach 0000000000000002:2")
    assert red.api.client.ports.get(f"{NET}/ports/web-2").attachment.port_number == 2


def test_create_takes_both_families(red: Pliant) -> None:
    """Which is which is seen from the address."""
    red.ok(f"create subnet both {IN_NET} --cidr fd00::/64 --cidr 10.1.0.0/24 --gateway 10.1.0.9 --gateway fd00::9")
    subnet = red.api.client.subnets.get(f"{NET}/subnets/both")
    assert (subnet.ipv4_cidr, subnet.ipv6_cidr) == ("10.1.0.0/24", "fd00::/64")
    assert (subnet.ipv4_gateway, subnet.ipv6_gateway) == ("10.1.0.9", "fd00::9")
    assert "same family" in red.fails(f"create subnet x {IN_NET} --cidr 10.2.0.0/24 --cidr 10.3.0.0/24", code=2)


def test_create_can_print_the_object(red: Pliant) -> None:
    """With what the server assigned."""
    made = yaml.safe_load(red.ok(f"create port web-2 {IN_NET} --subnet s1 -o yaml"))
    assert made["metadata"] == {"tenant": "red", "network": "net1", "name": "web-2"}
    assert made["spec"]["addresses"] == ["10.0.0.2"]
    assert red.ok(f"create port web-3 {IN_NET} --subnet s1 -o name") == f"{NET}/ports/web-3\n"


def test_dry_run_changes_nothing(red: Pliant) -> None:
    """And says so, or what would be wrong."""
    before = red.api.client.server_info().revision
    assert red.ok("create tenant blue --dry-run") == "tenant/blue created (dry run)\n"
    assert red.ok(f"set port web-1 {IN_NET} --ceiling-in 1M --dry-run") == "port/web-1 configured (dry run)\n"
    assert red.ok("delete tenant red --force --dry-run") == "tenant/red deleted (dry run)\n"
    assert red.ok("apply -f - --dry-run", stdin=MANIFEST).count("created (dry run)") == 4
    red.fails("create tenant red --dry-run", code=4)
    assert red.api.client.server_info().revision == before


def test_set_changes_only_what_is_said(red: Pliant) -> None:
    """One ceiling, one label; the others stay."""
    assert red.ok(f"set port web-1 {IN_NET} --ceiling-out 5Mbps -l tier=gold") == "port/web-1 configured\n"
    port = red.api.client.ports.get(WEB)
    assert (port.bandwidth.ceiling_in_kbps, port.bandwidth.ceiling_out_kbps) == (10_000, 5_000)
    assert dict(port.labels) == {"app": "web", "tier": "gold"}
    red.ok(f"set port {WEB} --ceiling-in none --ceiling-out none -l app-")
    port = red.api.client.ports.get(WEB)
    assert (port.bandwidth.ceiling_in_kbps, port.bandwidth.ceiling_out_kbps) == (0, 0)
    assert dict(port.labels) == {"tier": "gold"}


def test_set_moves_a_port(red: Pliant) -> None:
    """To another switch port, another address, and off."""
    red.ok(f"set port web-1 {IN_NET} --attach eth2@2 --ip 10.0.0.9 --mac 02:00:00:00:00:09 --display-name Web")
    port = red.api.client.ports.get(WEB)
    assert (port.attachment.switch, list(port.addresses)) == ("0000000000000002", ["10.0.0.9"])
    assert (port.mac_address, port.display_name) == ("02:00:00:00:00:09", "Web")
    red.ok(f"set port web-1 {IN_NET} --detach")
    assert not red.api.client.ports.get(WEB).HasField("attachment")
    assert "exclude each other" in red.fails(f"set port web-1 {IN_NET} --detach --attach eth2@1", code=2)


def test_set_reaches_every_kind(red: Pliant) -> None:
    """Each has something that can be changed."""
    red.ok("set tenant red --max-networks 3 --ceiling-in 2G")
    red.ok("set network net1 -t red -l a=b")
    red.ok(f"set subnet s1 {IN_NET} --gateway 10.0.0.77")
    tenant = red.api.client.tenants.get("tenants/red")
    assert (tenant.quota.networks, tenant.quota.ports, tenant.bandwidth.ceiling_in_kbps) == (3, 10_000, 2_000_000)
    assert red.api.client.networks.get(NET).labels["a"] == "b"
    assert red.api.client.subnets.get(f"{NET}/subnets/s1").ipv4_gateway == "10.0.0.77"


def test_operator_declares_roles_and_capacities(pliant: Pliant) -> None:
    """What is declared of other interfaces stays."""
    pliant.ok("set switch 1 --role eth2=edge")
    pliant.ok("set switch 0x1 --role eth1=FABRIC")
    assert len(pliant.api.client.switches.get("switches/0000000000000001").declared_roles) == 2
    pliant.ok("set switch 1 --role eth2-")
    assert list(pliant.api.client.switches.get("switches/0000000000000001").declared_roles) == ["eth1"]
    pliant.ok("set link 1-1 --capacity 400Mbps")
    assert pliant.api.client.links.get("links/0000000000000001-1").capacity_kbps == 400_000
    assert "one of AUTO, EDGE, FABRIC" in pliant.fails("set switch 1 --role eth2=host", code=2)


# -- get and describe


def test_table_of_ports_shows_how_they_stand(red: Pliant) -> None:
    """One line each, no colour off a terminal."""
    head, row = red.ok("get ports").splitlines()
    titles = ["NAME", "TENANT/NETWORK", "ADDRESSES", "MAC", "ATTACHMENT", "GUARANTEE IN/OUT", "CEILING IN/OUT", "STATE",
              "REASON", "AGE"]
    assert head.split("   ") != [] and [title.strip() for title in head.split("   ") if title.strip()] == titles
    for text in ("web-1 ", "red/net1", "10.0.0.5", "02:00:00:00:00:05", "eth2@0000000000000001",
                 "10 Mbit/s / 2.5 Gbit/s", "PENDING"):
        assert text in row
    assert "\x1b" not in row
    assert "app=web" in red.ok("get ports -o wide")


def test_get_lists_within_its_scope(red: Pliant) -> None:
    """-t and -n narrow; without them everything is listed."""
    red.ok("apply -f -", stdin=MANIFEST)
    assert red.ok("get ports -o name").split() == ["tenants/blue/networks/net1/ports/db-1", WEB]
    assert red.ok("get ports -t red -o name").split() == [WEB]
    assert red.ok("get po -t blue -n net1 -o name").split() == ["tenants/blue/networks/net1/ports/db-1"]
    assert red.ok("get networks -t red -o name").split() == [NET]
    assert red.ok("get tenants -t red -o name").split() == ["tenants/red"]
    assert len(red.ok("get all -o name").split()) == 8
    assert red.ok("get all").count("NAME") == 4
    assert red.ok(f"get port web-1 {IN_NET} -o name") == red.ok("get ports --filter labels.app=web -o name")


def test_empty_list_is_said_to_the_user_only(pliant: Pliant) -> None:
    """Nothing on standard output, so that scripts count zero lines."""
    result = pliant.run("get ports")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no ports found\n")
    assert json.loads(pliant.ok("get ports -o json"))["items"] == []
    assert pliant.ok("get ports -o name") == ""


def test_json_is_the_object_or_a_list(red: Pliant) -> None:
    """Numbers are numbers, rates are text."""
    port = json.loads(red.ok(f"get port web-1 {IN_NET} -o json"))
    assert port["spec"]["bandwidth"]["ceiling_in"] == "10 Mbit/s"
    assert port["status"]["generation"] == 4
    listed = json.loads(red.ok("get ports -o json"))
    assert (listed["kind"], listed["items"]) == ("List", [port])


def test_yaml_of_everything_can_be_applied_again(red: Pliant, tmp_path: Path) -> None:
    """Also from a list of JSON, and after everything was deleted."""
    backup = red.ok("get all -o yaml")
    assert red.ok("apply -f -", stdin=backup).count("unchanged") == 4
    assert red.ok("apply -f -", stdin=red.ok("get all -o json")).count("unchanged") == 4
    red.ok("delete tenant red --force")
    assert red.ok("apply -f -", stdin=backup).count("created") == 4
    assert red.api.client.ports.get(WEB).mac_address == "02:00:00:00:00:05"


def test_fabric_is_shown(pliant: Pliant) -> None:
    """Switches, links, drops."""
    head, first, _ = pliant.ok("get switches").splitlines()
    assert head.split("  ")[0] == "DPID" and "EDGE/FABRIC" in head and "IN SYNC" in head
    assert first.split() == ["0000000000000001", "yes", "2", "0/1", "yes"]
    assert pliant.ok("get links").splitlines()[1].split() == [
        "eth1@0000000000000001", "eth1@0000000000000002", "1", "Gbit/s", "UP"]
    pliant.api.operator.counts.append(
        DropCount(dpid=1, tenant="tenants/red", reason="SPOOFED_MAC", packets=7, bytes=420))
    assert pliant.ok("get drops").splitlines()[1].split() == ["0000000000000001", "red", "SPOOFED_MAC", "7"]
    assert pliant.ok("get drops -o name") == "drops/0000000000000001/tenants/red/SPOOFED_MAC\n"
    assert json.loads(pliant.ok("get drops -t red -o json"))["items"][0]["packets"] == 7
    assert json.loads(pliant.ok("get drops -t blue -o json"))["items"] == []
    assert len(json.loads(pliant.ok("get switch 1 -o json"))["status"]["switch_ports"]) == 2


def test_describe_tells_all(red: Pliant) -> None:
    """What is asked and what is so; several, one after the other."""
    text = " ".join(red.ok(f"describe port/web-1 {IN_NET}").split())
    for line in (f"Port: {WEB}", "app: web", "interface: eth2", "ceiling_in: 10 Mbit/s", "state: "):
        assert line in text
    assert red.ok("describe switches").count("interface=eth1") == 2


def test_watch_shows_what_is_and_what_changes(red: Pliant) -> None:
    """A table that grows, until Ctrl-C."""
    argv = [sys.executable, "-m", "apps.cli", "--server", f"unix:{red.api.unix}", "get", "ports", "-w"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("NAME")
        assert process.stdout.readline().startswith("web-1")
        red.ok(f"create port web-2 {IN_NET} --subnet s1")
        assert process.stdout.readline().startswith("web-2")
        red.api.client.ports.delete(WEB)
        assert process.stdout.readline() == f"{WEB} deleted\n"
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(10) == 130
        finally:
            process.kill()
        assert process.stderr.read().strip() == ""


@pytest.mark.parametrize("line", ["get links -w -t red", "get drops -w", "get ports,networks -w",
                                  "get ports -w --filter state=ACTIVE", "get drops --filter a=b"])
def test_what_cannot_be_watched_is_said(pliant: Pliant, line: str) -> None:
    """As wrong usage."""
    pliant.fails(line, code=2)


# -- delete and wait


def test_delete_takes_several(red: Pliant) -> None:
    """And forces what has children."""
    red.ok(f"create port web-2 {IN_NET} --subnet s1")
    assert red.ok(f"delete port web-1 web-2 {IN_NET}") == "port/web-1 deleted\nport/web-2 deleted\n"
    assert "--force" in red.fails("delete tenant red", code=5)
    assert red.ok("delete tenant/red --force") == "tenant/red deleted\n"


def test_delete_of_nothing_is_an_error_unless_told(red: Pliant) -> None:
    """Status 3."""
    red.fails(f"delete port nope {IN_NET}", code=3)
    red.ok(f"delete port nope {IN_NET} --ignore-not-found")


def test_delete_takes_manifests(red: Pliant) -> None:
    """All in one transaction; what is not there is an error unless told."""
    red.ok("apply -f -", stdin=MANIFEST)
    revision = red.api.client.server_info().revision
    assert red.ok("delete -f -", stdin=MANIFEST).splitlines()[-1] == "tenant/blue deleted"
    assert red.api.client.server_info().revision == revision + 1
    red.fails("delete -f -", stdin=MANIFEST, code=3)
    assert red.ok("delete -f - --ignore-not-found", stdin=MANIFEST) == ""


def test_delete_forgets_a_switch(pliant: Pliant) -> None:
    """Only one that is not connected."""
    assert "del-controller" in pliant.fails("delete switch 1", code=5)
    pliant.api.operator.tell(SwitchDisconnected(dpid=1))
    assert pliant.ok("delete switch 1") == "switch/1 deleted\n".replace("/1", "/0000000000000001")
    assert "observed" in pliant.fails("delete link 2-1", code=2)


def test_wait_ends_when_the_state_is_reached(red: Pliant) -> None:
    """At once if it is."""
    red.api.service.status.states[WEB] = State.ACTIVE
    assert red.api.client.ports.get(WEB).state == STATE_ACTIVE
    assert red.ok(f"wait port web-1 {IN_NET} --timeout 5") == f"{WEB} ACTIVE\n"


def test_wait_gives_up_and_says_how_it_stands(red: Pliant) -> None:
    """Status 7; an object that is not there is status 3."""
    assert "is PENDING and not ACTIVE" in red.fails(f"wait port web-1 {IN_NET} --timeout 0.3s", code=7)
    assert "does not exist" in red.fails(f"wait port nope {IN_NET} --timeout 5s", code=3)


def test_wait_for_deletion(red: Pliant) -> None:
    """Also of what is gone already."""
    threading.Timer(0.3, lambda: red.api.client.ports.delete(WEB)).start()
    assert red.ok(f"wait port web-1 {IN_NET} --for delete --timeout 10s") == f"{WEB} deleted\n"
    assert red.ok(f"wait port web-1 {IN_NET} --for delete --timeout 10s") == f"{WEB} deleted\n"


def test_change_waits_for_the_switches_and_shows_who_lags(red: Pliant) -> None:
    """On standard error; when the time is up the change stands, and the status is 7."""
    red.api.confirmations.lagging = (2,)
    said = red.fails(f"delete port web-1 {IN_NET} --timeout 0.5s", code=7)
    assert "waiting for switches 1/2 (0000000000000002)" in said
    assert "not confirmed by 0000000000000002 within 0.5 s" in said
    assert red.ok(f"get ports {IN_NET} -o name") == ""
    assert red.ok("create tenant blue --no-wait") == "tenant/blue created\n"


def test_change_comes_back_when_the_last_switch_confirmed(red: Pliant) -> None:
    """The same change is asked about until then, and made once."""
    red.api.confirmations.lagging = (2,)
    confirm = threading.Timer(0.5, lambda: setattr(red.api.confirmations, "lagging", ()))
    confirm.start()
    revision = red.api.client.server_info().revision
    result = red.run("apply -f - --timeout 10s", stdin=MANIFEST)
    confirm.join()
    assert result.exit_code == 0
    assert result.stdout.count("created") == 4
    assert red.api.client.server_info().revision == revision + 1


# -- apply


def test_apply_says_what_became_of_each_object(pliant: Pliant, tmp_path: Path) -> None:
    """created, unchanged, configured; in the order of the file, whatever the order of references."""
    file = tmp_path / "m.yaml"
    file.write_text(MANIFEST)
    made = pliant.ok(f"apply -f {file}").splitlines()
    assert made == ["port/db-1 created", "subnet/s1 created", "network/net1 created", "tenant/blue created"]
    assert pliant.ok(f"apply -f {file}").count("unchanged") == 4
    file.write_text(MANIFEST.replace("interface: eth2}", "interface: eth2}, bandwidth: {ceiling_in: 1M}"))
    assert pliant.ok(f"apply -f {tmp_path}").splitlines()[0] == "port/db-1 configured"


def test_apply_does_all_or_nothing_and_names_the_line(pliant: Pliant, tmp_path: Path) -> None:
    """One bad object: its file and line, status 6, nothing changed."""
    file = tmp_path / "m.yaml"
    file.write_text(MANIFEST.replace("10.0.0.0/24", "10.0.0.1/24"))
    before = pliant.api.client.server_info().revision
    assert f"{file}:6 subnet/s1: ipv4_cidr" in pliant.fails(f"apply -f {file}", code=6)
    file.write_text(MANIFEST.replace("subnet: s1", "subnet: s2"))
    assert f"{file}:1 port/db-1: port " in pliant.fails(f"apply -f {file}", code=3)
    assert pliant.api.client.server_info().revision == before


def test_apply_fills_in_the_scope(red: Pliant) -> None:
    """From -t and -n."""
    text = "apiVersion: pliant/v1\nkind: Port\nmetadata: {name: x}\nspec: {subnet: s1}\n"
    assert red.ok(f"apply -f - {IN_NET}", stdin=text) == "port/x created\n"


def test_apply_refuses_what_it_cannot_read(pliant: Pliant, tmp_path: Path) -> None:
    """No file, no text, no object, no -f."""
    assert "No such file" in pliant.fails(f"apply -f {tmp_path}/nope.yaml", code=1)
    assert "no UTF-8" in pliant.fails("apply -f -", stdin=b"\xff\xfe", code=6)
    assert "no object" in pliant.fails("apply -f -", stdin="# nothing\n", code=6)
    assert "-f FILE" in pliant.fails("apply", code=2)


# -- errors


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (f"get port nope {IN_NET}", 3, "does not exist"),
        ("get ports -t nope -n x", 3, "does not exist"),
        ("create network n -t nope", 3, "next: create it first"),
        ("create tenant red", 4, "next: change it with pliant set"),
        (f"create port x {IN_NET} --subnet s1 --attach eth2@1", 5, "next: pliant get ports -o wide"),
        (f"create port x {IN_NET} --subnet s1 --ip 10.0.0.5", 4, "addresses that are taken"),
        (f"create subnet x {IN_NET} --cidr 10.0.0.0/25", 5, "next: pliant get subnets"),
        (f"create subnet x {IN_NET} --cidr 10.9.0.1/24", 6, "ipv4_cidr"),
        ("create tenant RED", 6, "a-z"),
        ("get ports --filter stat=1", 6, "stat"),
        (f"create port x {IN_NET} --subnet s1 --ceiling-in 1kbps", 6, "ceiling_in_kbps"),
        (f"create port x {IN_NET} --subnet s1 --ceiling-in fast", 2, "is not a rate"),
        (f"create port x {IN_NET} --subnet s1 --attach nowhere", 2, "INTERFACE@DPID"),
        (f"create port x {IN_NET} --subnet s1 --label x", 2, "KEY=VALUE"),
        (f"create port x {IN_NET} --subnet s1 --timeout soon", 2, "30s or 2m"),
        (f"set port web-1 {IN_NET}", 2, "nothing to change"),
        ("create port x --subnet s1", 2, "-t TENANT"),
        ("gte ports", 2, "did you mean 'get'?"),
        ("frobnicate", 2, "see pliant --help"),
        ("delete port", 2, "Give its name"),
        ("delete", 2, "either KIND NAME or -f FILE"),
        ("wait port", 2, "Give its name"),
        (f"wait port web-1 {IN_NET} --for happiness", 2, "PENDING, ACTIVE"),
    ],
)
def test_error_has_the_status_of_its_class_and_a_next_step(red: Pliant, line: str, code: int, says: str) -> None:
    """On standard error, in words."""
    said = red.fails(line, code=code)
    assert says in said
    assert "Traceback" not in said


def test_stale_label_change_is_a_conflict(red: Pliant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The etag of what was read goes along."""
    get = red.api.client.ports.get
    stale = get(WEB)
    red.ok(f"set port web-1 {IN_NET} -l other=1")
    monkeypatch.setattr("pliant.Collection.get", lambda self, name: stale)
    assert "pliant get -o yaml" in red.fails(f"set port web-1 {IN_NET} -l mine=1", code=4)


def test_tcp_needs_the_token(red: Pliant, tmp_path: Path) -> None:
    """Status 8 without or with a wrong one."""
    tcp = f"--server 127.0.0.1:{red.api.port}"
    assert "--token-file" in red.fails(f"{tcp} get tenants", code=8)
    (tmp_path / "mine").write_text(TOKEN + "\n")
    assert red.ok(f"{tcp} --token-file {tmp_path}/mine get tenants -o name") == "tenants/red\n"
    assert "cannot read the token file" in red.fails(f"{tcp} --token-file {tmp_path}/nope get tenants", code=8)
    (tmp_path / "other").write_bytes(b"\xff\xfe")
    assert "other is no token" in red.fails(f"{tcp} --token-file {tmp_path}/other get tenants", code=8)


@pytest.mark.parametrize(
    ("server", "code"), [("127.0.0.1:1", 7), ("unix:/nowhere/p.sock", 7), ("nonsense", 2), ("host:port", 2)]
)
def test_nobody_there_is_said_at_once(pliant: Pliant, server: str, code: int) -> None:
    """Without gRPC's retries, and with what to do."""
    said = pliant.fails(f"--server {server} get tenants", code=code)
    assert server in said
    assert code == 2 or "start pliantd" in said


def test_server_comes_from_the_environment(red: Pliant, monkeypatch: pytest.MonkeyPatch) -> None:
    """$PLIANT_SERVER, and -t and -n from $PLIANT_TENANT and $PLIANT_NETWORK."""
    from click.testing import CliRunner

    from apps.cli.__main__ import cli

    for name, value in (("SERVER", f"unix:{red.api.unix}"), ("TENANT", "red"), ("NETWORK", "net1")):
        monkeypatch.setenv(f"PLIANT_{name}", value)
    assert CliRunner().invoke(cli, ["get", "port", "web-1", "-o", "name"]).stdout == f"{WEB}\n"


# -- about


def test_versions_of_both_sides(pliant: Pliant) -> None:
    """And of this one alone when the other does not answer."""
    assert "server:   1.2.3" in pliant.ok("version")
    assert json.loads(pliant.ok("version -o json"))["switches"] == "2/2 in sync"
    alone = pliant.run("--server 127.0.0.1:1 version")
    assert alone.exit_code == 7
    assert alone.stdout.startswith("client:")
    assert pliant.ok("--server 127.0.0.1:1 version --client").startswith("client:")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(pliant: Pliant, shell: str) -> None:
    """For each shell."""
    if shell == "bash":
        pytest.importorskip("click.shell_completion")
    assert "_PLIANT_COMPLETE" in pliant.ok(f"completion {shell}")


def test_api_resources_lists_every_kind(pliant: Pliant) -> None:
    """With what can be done with it."""
    assert len(pliant.ok("api-resources").splitlines()) == 10


def test_unknown_switch_software_is_no_trouble(pliant: Pliant) -> None:
    """Empty cells are dashes."""
    pliant.api.operator.tell(SwitchConnected(dpid=3, features=SwitchFeatures(max_meters=0), ports=switch_ports(0)))
    assert pliant.ok("get switches -o wide").splitlines()[-1].split()[-2:] == ["0", "-"]
