"""Which interfaces are told to watch their wire, which are told no longer, and which wires are dead."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from controller.fabric.graph import EndPoint, Fabric, LinkSeen, SwitchConnected, SwitchFeatures, SwitchPort
from controller.southbound.complaints import Complaints
from controller.southbound.ovsdb import liveness as livenesses
from controller.southbound.ovsdb.bfd import find_beginning, find_dead, find_places, operations
from controller.southbound.ovsdb.database import Database
from controller.southbound.ovsdb.liveness import Liveness
from controller.southbound.ovsdb.remote import Remote
from controller.southbound.ovsdb.rows import Copy, read_schema
from controller.southbound.ovsdb.tables import TABLES
from tests.unit.southbound.ovsdb.server import SCHEMA, Server

OURS = {"pliant-bfd": "true"}
ON = {"enable": "true", "min_tx": "100", "min_rx": "100", "bfd_remote_dst_mac": "00:23:20:00:00:01"}
LINK = (EndPoint(1, 5), EndPoint(2, 5))


def fabric(*links: tuple[EndPoint, EndPoint]) -> Fabric:
    """Switches 1 and 2 with ports 5 and 6, and these links in both directions."""
    ports = tuple(SwitchPort(port_no=n, name=f"p{n}", mac=f"02:00:00:00:00:0{n}", up=True) for n in (5, 6))
    now = Fabric()
    for dpid in (1, 2):
        now, _ = now.apply(SwitchConnected(dpid=dpid, features=SwitchFeatures(), ports=ports))
    for src, dst in links:
        now, _ = now.apply(LinkSeen(src=src, dst=dst))
        now, _ = now.apply(LinkSeen(src=dst, dst=src))
    return now


def dump(*switches: int, **columns: dict[str, str]) -> dict[str, Any]:
    """A database that holds these switches; `columns` are those of port 5 of each."""
    told = {name: ["map", [list(pair) for pair in value.items()]] for name, value in columns.items()}
    rows: dict[str, Any] = {"Bridge": {}, "Port": {}, "Interface": {}}
    for dpid in switches:
        rows["Bridge"][f"b{dpid}"] = {"initial": {
            "datapath_id": f"{dpid:016x}", "ports": ["set", [["uuid", f"p{dpid}-{n}"] for n in (5, 6)]]}}
        for n in (5, 6):
            rows["Port"][f"p{dpid}-{n}"] = {"initial": {"interfaces": ["uuid", f"i{dpid}-{n}"]}}
            rows["Interface"][f"i{dpid}-{n}"] = {"initial": {
                "name": f"s{dpid}-{n}", "ofport": n, **(told if n == 5 else {})}}
    return rows


def database(*switches: int, **columns: dict[str, str]) -> Database:
    copy = Copy(read_schema(SCHEMA, TABLES))
    copy.update(dump(*switches, **columns))
    held = Database(Remote.parse("unix:/nowhere"), Complaints(lambda: 0.0))
    held._copy = copy
    return held


def told(
    now: Fabric, *held: Database, interval_ms: int = 100, doubted: Set[EndPoint] = frozenset(),
    busy: Set[int] = frozenset(),
) -> dict[str, bool]:
    """The interfaces that would be changed, and whether they are to watch."""
    changes = operations(find_places(held), now, interval_ms, doubted=doubted, busy=busy)
    return {change["where"][0][2][1]: len(change["mutations"]) == 4 for each in changes.values() for change in each}


def test_both_ends_of_a_link_are_told_whatever_databases_they_are_in() -> None:
    """One database of both switches, or one of each; ports without a link are left alone."""
    both = {"i1-5": True, "i2-5": True}
    assert told(fabric(LINK), database(1, 2)) == both
    assert told(fabric(LINK), database(1), database(2)) == both
    assert told(fabric(), database(1, 2)) == {}


def test_one_end_alone_is_told_nothing() -> None:
    """It would wait for ever.  But when it was told before, it goes on: the other end may only be out of reach."""
    assert told(fabric(LINK), database(1)) == {}
    assert told(fabric(LINK), database(1, bfd=ON, external_ids=OURS)) == {}


def test_wires_of_a_switch_are_told_one_after_the_other() -> None:
    """Where one begins no other does; what was begun at one end goes on at the other, and what somebody else does
    keeps nobody waiting.
    """
    other = EndPoint(1, 6), EndPoint(2, 6)
    now = fabric(LINK, other)
    assert told(now, database(1, 2)) in ({"i1-5": True, "i2-5": True}, {"i1-6": True, "i2-6": True})
    for busy in ({1}, {2}):
        assert told(now, database(1, 2), busy=busy) == {}
        assert told(fabric(LINK), database(1, bfd=ON, external_ids=OURS), database(2), busy=busy) == {"i2-5": True}
    assert told(now, database(1, 2, bfd=ON, external_ids=OURS)) == {"i1-6": True, "i2-6": True}
    assert told(now, database(1, 2, bfd={"enable": "false"})) == {"i1-6": True, "i2-6": True}


def test_watch_begins_until_the_other_end_was_heard_once() -> None:
    """Ours alone: others have begun what they like."""
    def begins(**columns: dict[str, str]) -> bool:
        return bool(find_beginning(find_places([database(1, bfd=ON, **columns)])))

    assert begins(external_ids=OURS)
    assert begins(external_ids=OURS, bfd_status={"forwarding": "false", "flap_count": "0"})
    assert not begins(external_ids=OURS, bfd_status={"forwarding": "false", "flap_count": "2"})
    assert not begins()


def test_nothing_is_told_twice_and_what_was_changed_is_told_again() -> None:
    """The settings in the database decide, not what was sent before."""
    assert told(fabric(LINK), database(1, 2, bfd=ON, external_ids=OURS)) == {}
    for other in ({}, {**ON, "min_rx": "1000"}, {**ON, "enable": "false"}):
        assert told(fabric(LINK), database(1, 2, bfd=other, external_ids=OURS)) == {"i1-5": True, "i2-5": True}
    ours = database(1, 2, bfd=ON, external_ids=OURS)
    assert told(fabric(LINK), ours, interval_ms=50) == {"i1-5": True, "i2-5": True}


def test_watch_ends_with_the_link_and_where_it_is_switched_off() -> None:
    """A link that is down is still a link."""
    ours = database(1, 2, bfd=ON, external_ids=OURS)
    assert told(fabric(), ours) == {"i1-5": False, "i2-5": False}
    assert told(fabric(LINK), ours, interval_ms=0) == {"i1-5": False, "i2-5": False}


def test_bfd_of_somebody_else_is_left_alone() -> None:
    """Switched on or off, on a link or not, as long as it does not carry our mark."""
    for theirs in (ON, {"enable": "false"}):
        for now in (fabric(LINK), fabric()):
            assert told(now, database(1, 2, bfd=theirs)) == {}


def test_dead_is_only_a_wire_that_was_alive() -> None:
    """A session that never came up says nothing; nor does an interface without one."""
    def dead(**status: str) -> frozenset[EndPoint]:
        return find_dead(find_places([database(1, bfd_status=status)]))

    assert dead(forwarding="false", flap_count="2", state="init") == {EndPoint(1, 5)}
    assert dead(forwarding="false", flap_count="0") == frozenset()
    assert dead(forwarding="true", flap_count="3") == frozenset()
    assert dead() == frozenset()


def test_bridges_and_interfaces_that_are_half_made_are_no_places() -> None:
    """No datapath id yet, no port number yet, or rows that have not come."""
    copy = Copy(read_schema(SCHEMA, TABLES))
    copy.update(dump(1))
    copy.update({
        "Bridge": {"new": {"insert": {"ports": ["uuid", "p1-5"]}}, "b1": {"modify": {"ports": ["uuid", "gone"]}}},
        "Interface": {"i1-5": {"modify": {"ofport": ["set", []]}}}})
    held = Database(Remote.parse("unix:/nowhere"), Complaints(lambda: 0.0))
    held._copy = copy
    assert set(find_places([held])) == {EndPoint(1, 6)}


def test_liveness_sets_what_is_wanted_and_reports_what_died(tmp_path: Path) -> None:
    """From the fabric to the server, and from the server to whoever follows; each report is new."""
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        server = Server(tmp_path / "db.sock")
        server.answers["monitor_cond"] = dump(1, 2)
        await server.start()
        now, reports = [fabric()], []
        complaints = Complaints(loop.time)
        liveness = Liveness(
            loop, [Database(server.remote, complaints)], complaints, interval_ms=100, fabric=lambda: now[0],
            report=reports.append)
        liveness.start()
        await until(lambda: server.connections and server.asked("monitor_cond"))
        assert server.asked("transact") == []
        now[0] = fabric(LINK)
        liveness.wake()
        await until(lambda: server.asked("transact"))
        ((name, *changes),) = server.asked("transact")[:1]
        assert name == "Open_vSwitch"
        assert [change["where"][0][2][1] for change in changes] == ["i1-5", "i2-5"]
        status = [["forwarding", "false"], ["flap_count", "2"]]
        for _ in range(2):
            server.update({"Interface": {"i1-6": {"modify": {"name": "other"}}}})
            server.update({"Interface": {"i1-5": {"modify": {"bfd_status": ["map", status]}}}})
            await until(lambda: reports)
            status = []
        assert reports == [frozenset({EndPoint(1, 5)})]
        server.hang_up()
        await until(lambda: len(reports) == 2)
        assert reports[1] == frozenset()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    with capture_logs():
        asyncio.run(scene())


def test_refused_change_is_complained_about_and_tried_again(tmp_path: Path, monkeypatch: Any) -> None:
    """Not at once: whoever refuses needs time to change."""
    monkeypatch.setattr(livenesses, "RETRY_S", 0.05)

    async def scene(logs: list[Any]) -> None:
        loop = asyncio.get_running_loop()
        server = Server(tmp_path / "db.sock")
        server.answers |= {"monitor_cond": dump(1, 2), "transact": [{"error": "not allowed", "details": "read-only"}]}
        await server.start()
        complaints = Complaints(loop.time)
        Liveness(
            loop, [Database(server.remote, complaints)], complaints, interval_ms=100, fabric=lambda: fabric(LINK),
            report=lambda dead: None).start()
        await until(lambda: len(server.asked("transact")) > 1)
        assert {log["reason"] for log in logs if log["event"] == "bfd_not_set"} == {"not allowed: read-only"}
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    with capture_logs() as logs:
        asyncio.run(scene(logs))


async def until(check: Any) -> None:
    async with asyncio.timeout(5):
        while not check():
            await asyncio.sleep(0.005)
