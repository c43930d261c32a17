"""ListPaths: the ends of the question, and ways and paths as messages."""

from __future__ import annotations

from collections.abc import Sequence

from pliant.v1 import fabric_pb2 as pb

from controller.fabric.graph import EndPoint, Fabric
from controller.fabric.paths.path import Path
from controller.intent.snapshot import Snapshot
from controller.model.errors import FailedPrecondition, InvalidArgument, NotFound
from controller.model.ids import check_name, network_of
from controller.northbound.declare import parse_switch
from controller.northbound.interfaces import Operator
from controller.northbound.picture import link_name
from controller.northbound.render import switch_name
from controller.reconcile.ways import Way

DEFAULT_ALTERNATIVES = 3
MAX_ALTERNATIVES = 16


def find_end(operator: Operator, snapshot: Snapshot, name: str, field: str) -> int:
    """The dpid of a switch, or of the one that a tenant's port is on."""
    if name.startswith("switches/"):
        dpid = parse_switch(name, field)
        if dpid not in operator.fabric().switches:
            raise NotFound("NOT_FOUND", f"{switch_name(dpid)} never connected", subject=switch_name(dpid))
        return dpid
    check_name(name, "port", field)
    if snapshot.get(name) is None:
        raise NotFound("NOT_FOUND", f"{name} does not exist", subject=name)
    at = operator.place_of(name)
    if at is None:
        raise FailedPrecondition("PORT_NOT_BOUND", f"{name} is on no switch now: see its conditions", subject=name)
    return at.dpid


def find_network(snapshot: Snapshot, request: pb.ListPathsRequest) -> str:
    """The network whose frames are meant; empty: any without a path policy."""
    if request.network:
        check_name(request.network, "network", "network")
        if snapshot.get(request.network) is None:
            raise NotFound("NOT_FOUND", f"{request.network} does not exist", subject=request.network)
        return request.network
    of_source, of_destination = (
        "" if name.startswith("switches/") else network_of(name) for name in (request.source, request.destination))
    return of_source if of_destination in (of_source, *snapshot.peers_of(of_source)) else ""


def check_count(count: int) -> int:
    """How many alternatives are asked for."""
    if not 0 <= count <= MAX_ALTERNATIVES:
        what = f"is {count}; use 1 to {MAX_ALTERNATIVES}, or 0 for {DEFAULT_ALTERNATIVES}"
        raise InvalidArgument("INVALID_FIELD", f"alternative_count {what}", fields={"alternative_count": what})
    return count or DEFAULT_ALTERNATIVES


def answer(
    fabric: Fabric, src: int, dst: int, current: Sequence[Way], alternatives: Sequence[Path]
) -> pb.ListPathsResponse:
    n_labels = sum(len(way.labels) for way in current) or 1
    shares = {tuple(leg.link for leg in way.legs): 1_000 * len(way.labels) // n_labels for way in current}
    return pb.ListPathsResponse(
        source_switch=switch_name(src),
        destination_switch=switch_name(dst),
        current=[_way(fabric, way, share) for way, share in zip(current, shares.values(), strict=True)],
        alternatives=[_path(fabric, path.links, shares.get(path.links, 0)) for path in alternatives],
    )


def _way(fabric: Fabric, way: Way, permille: int) -> pb.FabricPath:
    message = _path(fabric, [leg.link for leg in way.legs], permille)
    message.broken = not way.complete
    for hop, leg in zip(message.hops, way.legs, strict=True):
        hop.backup_links.extend(map(link_name, leg.backup))
        hop.failed_over = leg.failed_over
    return message


def _path(fabric: Fabric, srcs: Sequence[EndPoint], permille: int) -> pb.FabricPath:
    links = [link for src in srcs if (link := fabric.links.get(src)) is not None]
    latencies = [link.latency_us for link in links if link.latency_us is not None]
    return pb.FabricPath(
        hops=[
            pb.PathHop(
                link=link_name(link.src), source_switch=switch_name(link.src.dpid),
                destination_switch=switch_name(link.dst.dpid),
            )
            for link in links
        ],
        cost=sum(link.cost for link in links),
        latency_us=sum(latencies) if len(latencies) == len(links) else None,
        capacity_kbps=min((link.capacity_kbps for link in links), default=0),
        flow_permille=permille,
    )
