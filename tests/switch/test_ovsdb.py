"""The databases of real switches: the copy that is kept of them, and the links that they watch."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from apps.lab.frames import udp_frame
from apps.lab.openvswitch import SOCKET
from controller.southbound.complaints import Complaints
from controller.southbound.ovsdb.connection import RefusedError
from controller.southbound.ovsdb.database import Database
from controller.southbound.ovsdb.remote import Remote
from controller.southbound.ovsdb.tables import TABLES
from tests.support.eventually import eventually
from tests.support.fabric import Fabric
from tests.support.pliantd import CONTROLLER, Pliantd
from tests.support.rig import Host, Rig
from tests.support.wire import Wire

BROADCAST = "ff:ff:ff:ff:ff:ff"
REMOTE = f"unix:{SOCKET}"


def follow(rig: Rig, work: Callable[[Database], Coroutine[Any, Any, None]]) -> None:
    """Do this with a live copy of the rig's database."""

    async def main() -> None:
        remote = Remote.parse(f"unix:{rig.sandbox.path(SOCKET)}")
        database = Database(remote, Complaints(time.monotonic))
        running = asyncio.create_task(database.run())
        await until(lambda: database.live)
        await work(database)
        running.cancel()

    asyncio.run(main())


async def until(check: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not check():
            await asyncio.sleep(0.01)


async def vsctl(rig: Rig, *argv: str) -> None:
    await asyncio.to_thread(rig.vsctl, *argv)


def copied(database: Database) -> dict[str, Any]:
    return {table: dict(database.rows(table)) for table in TABLES}


async def assert_fresh(rig: Rig, database: Database) -> None:
    """The copy that was kept is what one gets who asks now."""
    fresh = Database(database.remote, Complaints(time.monotonic))
    running = asyncio.create_task(fresh.run())
    await until(lambda: fresh.live)
    await until(lambda: copied(database) == copied(fresh))
    running.cancel()


def test_copy_is_what_a_fresh_dump_says_after_mixed_changes(ovs: Rig) -> None:
    """Bridges and ports come and go, sets and maps grow, shrink and change, queues are shared and removed."""
    changes = [
        "add-br s1 -- set bridge s1 datapath_type=netdev -- add-br s2 -- set bridge s2 datapath_type=netdev",
        "add-port s1 p1 -- set interface p1 type=internal -- add-port s1 p2 -- set interface p2 type=internal",
        "set interface p1 external_ids:a=1 external_ids:b=2 -- set interface p2 bfd:enable=true bfd:min_tx=300",
        "set interface p1 external_ids:a=3 -- remove interface p1 external_ids b -- set port p2 external_ids:x=y",
        "--id=@q create queue other_config:max-rate=1 -- --id=@r create queue other_config:max-rate=2 -- "
        "--id=@o create qos type=linux-noop queues:0=@q queues:1=@r -- set port p1 qos=@o",
        "set port p1 external_ids:n=1 -- add-port s2 p3 -- set interface p3 type=internal",
        "clear port p1 qos -- --all destroy qos -- remove interface p2 bfd min_tx -- del-port s1 p2",
        r'add-port s1 p4 -- set interface p4 type=internal external_ids:odd="{}[]\\\"" -- del-br s2',
    ]

    async def work(database: Database) -> None:
        for change in changes:
            await vsctl(ovs, *change.split())
            await assert_fresh(ovs, database)

    follow(ovs, work)


def test_transaction_changes_the_copy_or_is_refused_as_a_whole(ovs: Rig) -> None:
    """What was asked is in the copy when the answer is; an error comes with the server's words, and nothing is done."""
    ovs.vsctl("add-br", "s1", "--", "set", "bridge", "s1", "datapath_type=netdev")
    where = [["name", "==", "s1"]]

    def mark(value: str) -> dict[str, Any]:
        ids = ["map", [["x", value]]]
        return {"op": "update", "table": "Interface", "where": where, "row": {"external_ids": ids}}

    def marks(database: Database) -> list[str]:
        return [row["external_ids"].get("x") for row in database.rows("Interface").values()]

    async def work(database: Database) -> None:
        assert await database.transact(mark("1")) == [{"count": 1}]
        assert marks(database) == ["1"]
        with pytest.raises(RefusedError, match=r"[Nn]o column"):
            await database.transact(mark("2"), {"op": "update", "table": "Interface", "where": [], "row": {"no": 1}})
        assert marks(database) == ["1"]

    follow(ovs, work)


# -- links that fail without a sign


@contextmanager
def ring(rig: Rig, *options: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[Fabric, Wire]]:
    """Switches 1, 2 and 3 in a ring with pliantd in charge; the wire from 1 to 2 may fail without a sign."""
    for number in (1, 2, 3):
        rig.add_bridge(f"s{number}", number, CONTROLLER)
    wire = Wire(rig, "s1", 102, "s2", 101)
    rig.add_link("s2", 103, "s3", 102)
    rig.add_link("s3", 101, "s1", 103)
    with Pliantd(rig, *options, env=env) as pliantd:
        pliantd.wait_for_links(6)
        yield Fabric(rig, pliantd, (1, 2, 3), (), {}), wire


@contextmanager
def watched(rig: Rig, remote: str = REMOTE) -> Iterator[tuple[Fabric, Wire]]:
    """The ring, its links under watch."""
    with ring(rig, "--ovsdb", remote) as (fabric, wire):
        wait_until_watched(rig)
        yield fabric, wire


def wait_until_watched(rig: Rig, count: int = 6) -> None:
    """Until so many ends of links hear the other one, and agreed on the interval: they begin with a second."""
    def watched() -> bool:
        said = rig.appctl("bfd/show")
        counts = [said.count(line) for line in (
            " Local Session State: up\n", " TX Interval: Approx 100ms\n", " Remote Minimum TX Interval: 100ms\n")]
        assert counts == [count] * 3, counts
        return True

    eventually(watched, 30, f"{count} ends of links hear the other one every 100 ms")


def marked(rig: Rig) -> set[str]:
    """The interfaces that pliantd has told to watch their wire."""
    marks = "external_ids:pliant-bfd=true", "bfd:enable=true"
    found = rig.vsctl("--bare", "--columns=name", "find", "interface", *marks)
    return set(found.split())


def two_hosts(fabric: Fabric) -> tuple[Host, Host]:
    """Hosts a and b of one network, on switches 1 and 2."""
    network = fabric.create_network("red")
    a, b = fabric.add_host("a", 1, 1, 11), fabric.add_host("b", 2, 1, 12)
    fabric.create_ports(network, (a, b))
    assert a.ping(b).lost == 0
    return a, b


def lose_without_a_sign(fabric: Fabric, wire: Wire, *, within_ms: float, for_s: float = 0.0) -> None:
    """Frames from 1 to 2 vanish: traffic moves in this time, and stays away; restored, it returns without loss."""
    a, b = two_hosts(fabric)
    with a.probe(b, packets_per_s=1000) as probe:
        wire.silence(toward_other=True)
        eventually(lambda: a.ping(b, count=1).lost == 0, within_ms / 1000 + 1, "a reaches b again")
        result = probe.finish()
    print(f"link silent in one direction: longest gap {result.longest_gap_ms:.0f} ms, {result.lost} of {result.sent}")
    assert result.lost > 0
    assert result.longest_gap_ms < within_ms, result
    end_s = time.monotonic() + for_s
    while time.monotonic() < end_s:
        fabric.pliantd.wait_for_links(4)
        time.sleep(0.1)
    with a.probe(b, packets_per_s=1000) as probe:
        wire.restore()
        fabric.pliantd.wait_for_links(6)
        fabric.wait_in_sync()
        result = probe.finish()
    assert (result.lost, result.duplicates) == (0, 0), "a link that returns costs no packet"


def test_link_silent_in_one_direction_is_left_within_a_second(ovs: Rig) -> None:
    """BFD finds what no carrier tells, at both ends, and probes of the other direction do not overrule it."""
    with watched(ovs) as (fabric, wire):
        # From 2 to 1 probes still arrive, one every two seconds.
        lose_without_a_sign(fabric, wire, within_ms=1_000, for_s=5)


def test_link_silent_in_one_direction_is_found_by_probes_where_no_database_is_known(ovs: Rig) -> None:
    """Three probes in a row are not answered: the same follows, only later."""
    with ring(ovs, env={"PLIANT_FABRIC__PROBE_PERIOD_S": "0.3"}) as (fabric, wire):
        lose_without_a_sign(fabric, wire, within_ms=2_000)
        assert marked(ovs) == set()


def test_watch_is_set_at_both_ends_and_ends_with_the_link(ovs: Rig) -> None:
    """What we set is kept set while there is a link, and removed with it; what others set stays as it is.

    Set amid traffic it costs no frame, though each switch takes the port for dead until it hears the other end.
    """
    with ring(ovs) as (fabric, wire):
        rig, pliantd = fabric.rig, fabric.pliantd
        a, b = two_hosts(fabric)
        with a.probe(b, packets_per_s=1000) as probe:
            pliantd.stop()
            pliantd.options = ("--ovsdb", REMOTE)
            pliantd.start()
            wait_until_watched(rig)
            result = probe.finish()
        assert (result.lost, result.duplicates) == (0, 0), result
        ends = {*wire.ends, "s2-s3-103", "s3-s2-102", "s3-s1-101", "s1-s3-103"}
        assert marked(rig) == ends
        rig.vsctl("clear", "interface", "s2-s3-103", "bfd")
        eventually(lambda: marked(rig) == ends, what="bfd is set again")
        rig.vsctl("set", "interface", "s1-a", "bfd:enable=true")
        rig.vsctl("del-port", "s3-s2-102")
        eventually(lambda: marked(rig) == ends - {"s2-s3-103", "s3-s2-102"}, what="bfd is removed")
        assert rig.vsctl("get", "interface", "s2-s3-103", "bfd") == "{}"
        assert rig.vsctl("get", "interface", "s1-a", "bfd:enable") == '"true"'


def test_tenants_frames_are_no_bfd(ovs: Rig) -> None:
    """A host sends another one forged BFD: it arrives like anything else, and no switch takes it for its own."""
    with watched(ovs) as (fabric, _):
        a, b = two_hosts(fabric)
        session_down = struct.pack("!BBBBIIIII", 1 << 5 | 7, 1 << 6, 3, 24, 1, 0, 100_000, 100_000, 0)
        forged = [
            udp_frame(src_mac=a.mac, dst_mac=mac, src_ip=a.ip, dst_ip=ip, port=3784, payload=session_down, ttl=255)
            for mac, ip in ((b.mac, b.ip), (b.mac, "169.254.1.0"), (b.mac, "169.254.1.1"), (BROADCAST, "169.254.1.0"))]
        with b.capture() as capture:
            for frame in forged:
                a.send_frame(frame, count=5)
            a.send_frame(udp_frame(
                src_mac=a.mac, dst_mac="00:23:20:00:00:01", src_ip=a.ip, dst_ip="169.254.1.0", port=3784,
                payload=session_down, ttl=255), count=5)
            heard = capture.finish()
        assert [heard.count(frame) for frame in forged] == [5, 5, 5, 5]
        fabric.pliantd.wait_for_links(6)
        assert "link_lost" not in fabric.pliantd.log()


def test_database_out_of_reach_loses_no_link(ovs: Rig) -> None:
    """Unknown is not down: all goes on, and when the database is back it is heeded again."""
    server = "ovs-appctl", "-t", "ovsdb-server"
    ovs.sandbox.run(*server, "ovsdb-server/add-remote", "ptcp:6640:127.0.0.1")
    with watched(ovs, "tcp:127.0.0.1:6640") as (fabric, wire):
        a, b = two_hosts(fabric)
        before = fabric.flows()
        with a.probe(b, packets_per_s=500) as probe:
            ovs.sandbox.run(*server, "ovsdb-server/remove-remote", "ptcp:6640:127.0.0.1")
            eventually(lambda: "ovsdb_unreachable" in fabric.pliantd.log(), what="pliantd sees that it is gone")
            ovs.sandbox.run(*server, "ovsdb-server/add-remote", "ptcp:6640:127.0.0.1")
            eventually(lambda: fabric.pliantd.log().count("ovsdb_connected") == 2, what="pliantd sees it again")
            result = probe.finish()
        assert (result.lost, result.duplicates) == (0, 0), result
        assert fabric.flows() == before
        assert "link_lost" not in fabric.pliantd.log()
        wire.silence(toward_one=True)
        fabric.pliantd.wait_for_links(4)


def test_failover_group_leaves_a_port_whose_bfd_is_down(ovs: Rig) -> None:
    """No controller at all: the switch moves to the next bucket when the watched port's wire swallows frames."""
    for number in (1, 2):
        ovs.add_bridge(f"s{number}", number)
    wire = Wire(ovs, "s1", 102, "s2", 102)
    ovs.add_link("s1", 103, "s2", 103)
    for end in wire.ends:
        ovs.vsctl("set", "interface", end, "bfd:enable=true", "bfd:min_tx=100", "bfd:min_rx=100")
    wait_until_watched(ovs, 2)
    a, b = (ovs.add_host(f"h{n}", f"s{n}", 1, ip=f"10.0.0.{n}/24") for n in (1, 2))
    buckets = ",".join(f"bucket=watch_port:{port},actions=output:{port}" for port in (102, 103))
    for bridge in ("s1", "s2"):
        ovs.ofctl("add-group", bridge, f"group_id=1,type=ff,{buckets}")
        ovs.ofctl("add-flow", bridge, "in_port=1,actions=group:1")
        ovs.ofctl("add-flow", bridge, "priority=1,actions=output:1")
    assert a.ping(b).lost == 0
    with a.probe(b, packets_per_s=1000) as probe:
        wire.silence(toward_other=True)
        eventually(lambda: a.ping(b, count=1).lost == 0, 3, "a reaches b again")
        result = probe.finish()
    print(f"failover group by BFD: longest gap {result.longest_gap_ms:.0f} ms, {result.lost} of {result.sent} lost")
    assert result.lost > 0 and result.longest_gap_ms < 600, result
