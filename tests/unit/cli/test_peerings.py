"""Peerings on the command line."""

from __future__ import annotations

import pytest

from controller.fabric.ports import EndPoint
from tests.unit.cli.conftest import Pliant


@pytest.fixture
def two(red: Pliant) -> Pliant:
    """With a second network beside net1."""
    red.ok("create network db -t red")
    red.ok("create subnet s1 -t red -n db --cidr 10.9.0.0/24")
    return red


def test_peering_is_made_between_two_networks(two: Pliant) -> None:
    """Shown with the two, labelled, and deleted like everything else."""
    assert "peering/x created" in two.ok("create peering x -t red --between net1 db")
    head, row = two.ok("get peerings -t red").splitlines()
    assert head.split()[:4] == ["NAME", "TENANT", "A", "B"]
    assert row.split()[:4] == ["x", "red", "net1", "db"]
    two.ok("set peering x -t red -l env=prod")
    assert "env=prod" in two.ok("get pe x -t red -o wide")
    assert "b: db" in two.ok("describe peering x -t red").replace("  ", " ")
    assert "pliant get peerings" in two.fails("create peering y -t red --between db net1", code=4)
    assert "delete them first" in two.fails("delete network db -t red", code=5)
    two.ok("delete network db -t red --force")
    assert two.ok("get peerings -o name") == ""


def test_peering_goes_through_a_manifest_and_back(two: Pliant) -> None:
    """Its networks are written by their ids; what is printed can be applied again."""
    manifest = """
apiVersion: pliant/v1
kind: Peering
metadata: {tenant: red, name: x}
spec:
  a: net1
  b: tenants/red/networks/db
"""
    assert "peering/x created" in two.ok("apply -f -", stdin=manifest)
    peering = two.api.client.peerings.get("tenants/red/peerings/x")
    assert (peering.a, peering.b) == ("tenants/red/networks/net1", "tenants/red/networks/db")
    again = two.ok("get peering x -t red -o yaml")
    assert "peering/x unchanged" in two.ok("apply -f -", stdin=again)
    other = manifest.replace("name: x", "name: y").replace("a: net1", "a: none")
    assert "tenants/red/networks/none" in two.fails("apply -f -", stdin=other, code=3)


def test_path_between_ports_that_do_not_reach_each_other_says_so(two: Pliant) -> None:
    """Paths are those of the fabric; a peering makes them the ports'.  Two tenants' they never are."""
    two.ok("create port db-1 -t red -n db --subnet s1 --attach eth2@2")
    for port, dpid in (("net1/ports/web-1", 1), ("db/ports/db-1", 2)):
        two.api.operator.places[f"tenants/red/networks/{port}"] = EndPoint(dpid, 2)
    path = "path web-1 db-1 -t red"
    assert "no peering joins networks net1 and db" in two.run(path).stderr
    two.ok("create peering x -t red --between net1 db")
    assert "peering" not in two.run(path).stderr
    for line in ("tenant blue", "network net1 -t blue", "subnet s1 -t blue -n net1 --cidr 10.0.0.0/24",
                 "port web-2 -t blue -n net1 --subnet s1 --attach eth1@2"):
        two.ok(f"create {line}")
    two.api.operator.places["tenants/blue/networks/net1/ports/web-2"] = EndPoint(2, 1)
    assert "two tenants" in two.run("path web-1 web-2").stderr


def test_quota_of_peerings_is_set(two: Pliant) -> None:
    """Like the others."""
    two.ok("set tenant red --max-peerings 0")
    assert "quota" in two.fails("create peering x -t red --between net1 db", code=5)


def test_pipe_is_made_between_two_peered_networks(two: Pliant) -> None:
    """Shown with their ids, as manifests write them; what is missing for one is said."""
    create = "create pipe p -t red --between-networks net1 db --guarantee-out 4Mbps --ceiling-in 8Mbps"
    assert "pliant create peering" in two.fails(create, code=5)
    two.ok("create peering x -t red --between net1 db")
    assert "pipe/p created" in two.ok(create)
    row = two.ok("get pipes -t red").splitlines()[1]
    assert row.split()[:4] == ["p", "red", "net1", "db"] and "- / 4 Mbit/s" in row
    again = two.ok("get pipe p -t red -o yaml")
    assert "a: net1\n" in again and "b: db\n" in again
    assert "pipe/p unchanged" in two.ok("apply -f -", stdin=again)
    assert "it fits" in two.ok("quote pipe p -t red --guarantee-out 5Mbps")
    assert "tenants/red/pipes/p" in two.fails("delete peering x -t red", code=5)
    two.ok("delete peering x -t red --force")
    assert two.ok("get pipes -o name") == ""
    both = "create pipe q -t red -n net1 --between a b --between-networks net1 db"
    assert "either --between" in two.fails(both, code=2)
    assert "either --between" in two.fails("create pipe q -t red", code=2)
