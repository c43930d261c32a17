"""The rows of an OVSDB server that are a port's queues, and what is to be changed to have them.  Pure.

    Port.qos ──► QoS, linux-htb, max-rate ──queues[number]──► Queue, min-rate, max-rate, burst, priority

Rows of ours carry our mark.  A port whose QoS carries none is somebody else's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from controller.fabric.ports import EndPoint
from controller.model.bandwidth import TrafficClass
from controller.model.queues import PortQueues, Queue, leaf_queue
from controller.southbound.ovsdb.bfd import find_places
from controller.southbound.ovsdb.database import Database
from controller.southbound.ovsdb.rows import Row, Uuid, encode_map

MARK = "pliant-queues"
"""in external_ids: the row is ours"""
BURST_BITS = 15_000 * 8
BURST_MS = 1
_PRIORITIES = {TrafficClass.CRITICAL: 0, TrafficClass.STANDARD: 1, TrafficClass.BULK: 2}
_MARKED = encode_map({MARK: "true"})

Operation = dict[str, Any]


class ForeignError(Exception):
    """The port has queues of somebody else's."""


class Place(NamedTuple):
    """A switch port's row in Port."""

    database: Database
    uuid: Uuid
    row: Row


def find_ports(databases: Iterable[Database]) -> dict[EndPoint, Place]:
    """The Port rows of all switch ports that a database in reach knows."""
    ports: dict[EndPoint, Place] = {}
    for database in databases:
        holders = {
            interface: (uuid, row) for uuid, row in database.rows("Port").items() for interface in row["interfaces"]}
        for at, place in find_places([database]).items():
            if place.uuid in holders:
                ports.setdefault(at, Place(database, *holders[place.uuid]))
    return ports


def datapath_types(databases: Iterable[Database]) -> dict[int, str]:
    """dpid -> what forwards: "system", the kernel, or "netdev", ovs-vswitchd itself."""
    types: dict[int, str] = {}
    for database in databases:
        for bridge in database.rows("Bridge").values():
            if bridge["datapath_id"]:
                types.setdefault(int(bridge["datapath_id"], 16), bridge["datapath_type"] or "system")
    return types


def flattened(port: PortQueues) -> PortQueues:
    """What Open vSwitch's linux-htb can be told: one level.  The parts of an owner are one queue, that of the owner."""
    return replace(port, queues=tuple(
        replace(queue, number=leaf_queue(queue.number // 2)) for queue in port.queues if not queue.parent))


def operations(place: Place, wanted: PortQueues | None) -> list[Operation]:
    """What makes the port's queues so; nothing if they are.  ForeignError if that is not for us to do."""
    database, uuid, port = place
    qos = database.rows("QoS").get(port["qos"]) if port["qos"] else None
    if qos is not None and MARK not in qos["external_ids"]:
        if wanted is None:
            return []
        raise ForeignError(
            f"{port['name']} has a QoS row of somebody else's ({port['qos']}), which is left alone; "
            f"`ovs-vsctl clear port {port['name']} qos` removes it")
    if wanted is None and qos is None:
        return []
    # Whoever set a row meanwhile keeps it: then all of this is refused, and looked at again.
    out = [_wait(uuid, port["qos"])]
    if wanted is None:
        out.append(_update("Port", uuid, {"qos": ["set", []]}))
        return out + _delete(port["qos"], qos)
    if qos is None:
        out += _insert(uuid, wanted)
        return out
    out += _change(database, port["qos"], qos, wanted)
    return out if len(out) > 1 else []


def leftovers(database: Database) -> list[Operation]:
    """What removes rows of ours that nothing refers to any more: those of ports that are gone."""
    used = {row["qos"] for row in database.rows("Port").values()}
    out: list[Operation] = []
    gone = {uuid: row for uuid, row in database.rows("QoS").items() if MARK in row["external_ids"] and uuid not in used}
    for uuid, qos in gone.items():
        out += _delete(uuid, qos)
    return out


def _insert(port: Uuid, wanted: PortQueues) -> list[Operation]:
    inserted = [_insert_queue(queue) for queue in wanted.queues]
    queues = [[queue.number, ["named-uuid", _name(queue)]] for queue in wanted.queues]
    row = {
        "type": "linux-htb", "other_config": encode_map(_root_config(wanted)), "external_ids": _MARKED,
        "queues": ["map", queues]}
    qos = {"op": "insert", "table": "QoS", "row": row, "uuid-name": "qos"}
    return [*inserted, qos, _update("Port", port, {"qos": ["named-uuid", "qos"]})]


def _change(database: Database, uuid: Uuid, qos: Row, wanted: PortQueues) -> list[Operation]:
    """Rows that stay are changed where they are, so that the queues go on."""
    out: list[Operation] = []
    if qos["type"] != "linux-htb" or dict(qos["other_config"]) != _root_config(wanted):
        root = {"type": "linux-htb", "other_config": encode_map(_root_config(wanted))}
        out.append(_update("QoS", uuid, root))
    found: Mapping[int, Uuid] = qos["queues"]
    rows, asked = database.rows("Queue"), {queue.number: queue for queue in wanted.queues}
    gone = sorted(number for number in found if number not in asked)
    added = [queue for number, queue in asked.items() if number not in found]
    for number in sorted(found.keys() & asked.keys()):
        row, config = rows.get(found[number]), _config(asked[number])
        if row is None or dict(row["other_config"]) != config:
            out.append(_update("Queue", found[number], {"other_config": encode_map(config)}))
    out += [_insert_queue(queue) for queue in added]
    mutations: list[Any] = []
    if gone:
        mutations.append(["queues", "delete", ["set", gone]])
    if added:
        pairs = [[queue.number, ["named-uuid", _name(queue)]] for queue in added]
        mutations.append(["queues", "insert", ["map", pairs]])
    if mutations:
        out.append({"op": "mutate", "table": "QoS", "where": _where(uuid), "mutations": mutations})
    return out + [_delete_row("Queue", found[number]) for number in gone]


def _delete(uuid: Uuid, qos: Row | None) -> list[Operation]:
    """Both are root tables: a row that nothing refers to stays unless it is deleted."""
    queues = qos["queues"].values() if qos is not None else ()
    return [_delete_row("QoS", uuid), *(_delete_row("Queue", queue) for queue in sorted(queues))]


def _root_config(wanted: PortQueues) -> dict[str, str]:
    return {"max-rate": str(wanted.rate_kbps * 1_000)}


def _config(queue: Queue) -> dict[str, str]:
    """Bits per second, and bits."""
    return {
        "min-rate": str(queue.guarantee_kbps * 1_000), "max-rate": str(queue.ceiling_kbps * 1_000),
        "burst": str(max(BURST_BITS, queue.guarantee_kbps * BURST_MS)),
        "priority": str(_PRIORITIES[queue.traffic_class])}


def _insert_queue(queue: Queue) -> Operation:
    row = {"other_config": encode_map(_config(queue)), "external_ids": _MARKED}
    return {"op": "insert", "table": "Queue", "row": row, "uuid-name": _name(queue)}


def _name(queue: Queue) -> str:
    return f"queue{queue.number}"


def _where(uuid: Uuid) -> list[Any]:
    return [["_uuid", "==", ["uuid", str(uuid)]]]


def _wait(port: Uuid, qos: Uuid | None) -> Operation:
    value = ["uuid", str(qos)] if qos else ["set", []]
    return {"op": "wait", "table": "Port", "where": _where(port), "columns": ["qos"], "until": "==",
            "rows": [{"qos": value}], "timeout": 0}


def _update(table: str, uuid: Uuid, row: Operation) -> Operation:
    return {"op": "update", "table": table, "where": _where(uuid), "row": row}


def _delete_row(table: str, uuid: Uuid) -> Operation:
    return {"op": "delete", "table": table, "where": _where(uuid)}
