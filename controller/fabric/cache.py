"""What was observed, as JSON-able records that survive a restart: per switch, port, link, and edge's label versions.

Left out, because a restart does not know it: which switches are connected, and which switch ports are bound (bindings
follow from intent).  Knows no store; a record that is None is to be deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from immutables import Map

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.graph import Change, EndPoint, Fabric, Link, PortRole, Switch, SwitchFeatures, SwitchPort
from controller.fabric.labels import EdgeLabels, TreeVersion
from controller.fabric.paths import Hop
from controller.fabric.paths.plan import Hops

Json = Any
Records = dict[str, Json]


def everything(fabric: Fabric) -> Change:
    """The change that makes this fabric out of nothing."""
    at = {EndPoint(dpid, port_no) for dpid, switch in fabric.switches.items() for port_no in switch.ports}
    dpids = {*fabric.switches, *fabric.declared_roles, *fabric.declared_links, *fabric.declared_switches}
    return Change(switches=frozenset(dpids), ports=frozenset(at), links=frozenset(fabric.links), topology=True)


def fabric_records(fabric: Fabric, change: Change) -> Records:
    """The records of what this change touched, as they are now."""
    records: Records = {}
    for dpid in sorted(change.switches):
        switch = fabric.switches.get(dpid)
        records[f"switch/{dpid:016x}"] = None if switch is None else _from_switch(switch)
        records[f"declared/{dpid:016x}"] = _from_declared(fabric, dpid)
    for at in sorted(change.ports):
        port = fabric.port(at)
        records[f"port/{at.dpid:016x}/{at.port_no}"] = None if port is None else asdict(port)
    for src in sorted(change.links):
        link = fabric.links.get(src)
        records[f"link/{src.dpid:016x}/{src.port_no}"] = None if link is None else _from_link(link)
    return records


def label_records(edge_dpid: int, labels: EdgeLabels) -> Records:
    """The record of one edge's labels."""
    trees = [
        {
            "version": v.version,
            "hops": [[dpid, *map(list, hops)] for dpid, hops in sorted(v.hops.items())],
            "pending": sorted(v.pending),
            "earlier": [[dpid, [list(map(list, hops)) for hops in held]] for dpid, held in sorted(v.earlier.items())],
        }
        for v in labels.versions
    ]
    record = {"edge_id": labels.edge_id, "trees": trees} if trees else None
    return {f"labels/{edge_dpid:016x}": record}


def restore(records: Mapping[str, Json], default_role: PortRole) -> tuple[Fabric, dict[int, EdgeLabels]]:
    """The fabric, with all switches disconnected, and the labels of each edge (dpid).

    ValueError names a record that cannot be read.  Records of other kinds are left alone.
    """
    features: dict[int, SwitchFeatures] = {}
    queues: dict[int, Json] = {}
    ports: dict[int, list[SwitchPort]] = {}
    links, labels = {}, {}
    roles: dict[int, Map[str, PortRole]] = {}
    declared_links: dict[int, Map[int, LinkSettings]] = {}
    declared_switches: dict[int, SwitchSettings] = {}
    for key, record in records.items():
        kind, _, subject = key.partition("/")
        if record is None or kind not in ("switch", "port", "declared", "link", "labels"):
            continue
        try:
            dpid = int(subject[:16], 16)
            if kind == "switch":
                features[dpid] = SwitchFeatures(**record["features"])
                queues[dpid] = {
                    "queue_driver": record.get("queue_driver", ""),
                    "shaped": Map({int(port_no): kbps for port_no, kbps in record.get("shaped", {}).items()})}
            elif kind == "port":
                ports.setdefault(dpid, []).append(_to_port(record))
            elif kind == "link":
                link = _to_link(record)
                links[link.src] = link
            elif kind == "labels":
                trees = tuple(_to_tree_version(tree) for tree in record["trees"])
                labels[dpid] = EdgeLabels(edge_id=record["edge_id"], versions=trees)
            else:
                roles[dpid] = Map({name: PortRole(role) for name, role in record["roles"].items()})
                declared_links[dpid] = _to_link_settings(record)
                if "switch" in record:
                    declared_switches[dpid] = SwitchSettings(**record["switch"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"record {key!r} of what was observed cannot be read: {error!r}") from error
    switches = {
        dpid: _switch(dpid, known, ports.get(dpid, []), queues[dpid]) for dpid, known in features.items()}
    fabric = Fabric(
        switches=Map(switches),
        links=Map(links),
        into=Map({link.dst: src for src, link in links.items()}),
        declared_roles=Map({dpid: declared for dpid, declared in roles.items() if declared}),
        declared_links=Map({dpid: declared for dpid, declared in declared_links.items() if declared}),
        declared_switches=Map(declared_switches),
        default_role=default_role,
    )
    return fabric, labels


def _from_switch(switch: Switch) -> Json:
    """With who makes its queues, and what these hold: a program that relies on that is to find itself again."""
    record: Json = {"features": asdict(switch.features)}
    if switch.queue_driver:
        record["queue_driver"] = switch.queue_driver
    if switch.shaped:
        record["shaped"] = {str(port_no): kbps for port_no, kbps in sorted(switch.shaped.items())}
    return record


def _switch(dpid: int, features: SwitchFeatures, ports: list[SwitchPort], queues: Json) -> Switch:
    return Switch(
        dpid=dpid,
        connected=False,
        features=features,
        ports=Map({port.port_no: port for port in ports}),
        by_name=Map({port.name: port.port_no for port in ports}),
        **queues,
    )


def _to_port(record: Json) -> SwitchPort:
    role = record["declared_role"]
    return SwitchPort(**{**record, "declared_role": None if role is None else PortRole(role)})


def _from_link(link: Link) -> Json:
    return {**asdict(link), "src": list(link.src), "dst": list(link.dst)}


def _to_link(record: Json) -> Link:
    return Link(**{**record, "src": EndPoint(*record["src"]), "dst": EndPoint(*record["dst"])})


def _from_declared(fabric: Fabric, dpid: int) -> Json:
    roles = fabric.declared_roles.get(dpid, Map())
    links, switch = fabric.declared_links.get(dpid, Map()), fabric.declared_switches.get(dpid)
    if not roles and not links and switch is None:
        return None
    records = {str(port_no): asdict(settings) for port_no, settings in sorted(links.items())}
    return {"roles": dict(roles), "links": records} | ({"switch": asdict(switch)} if switch else {})


def _to_link_settings(record: Json) -> Map[int, LinkSettings]:
    if "capacities" in record:  # as 0.1.0 wrote it
        return Map({int(port_no): LinkSettings(capacity_kbps=kbps) for port_no, kbps in record["capacities"].items()})
    return Map({int(port_no): LinkSettings(**settings) for port_no, settings in record["links"].items()})


def _to_tree_version(record: Json) -> TreeVersion:
    hops = {dpid: _to_hops(parts) for dpid, *parts in record["hops"]}
    earlier = {dpid: tuple(map(_to_hops, held)) for dpid, held in record.get("earlier", ())}  # 0.1.0 wrote none
    pending = frozenset(record["pending"])
    return TreeVersion(version=record["version"], hops=Map(hops), pending=pending, earlier=Map(earlier))


def _to_hops(record: Json) -> Hops:
    working, backup, failover = record
    return Hops(tuple(Hop(*hop) for hop in working), tuple(Hop(*hop) for hop in backup), tuple(failover))
