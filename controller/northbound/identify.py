"""Identify: names for the numbers of labels and queues."""

from __future__ import annotations

from pliant.v1 import fabric_pb2 as pb

from controller.fabric.explicit import FIRST_LABEL
from controller.fabric.labels import edge_of
from controller.intent.identify import find_edge, find_network, find_port, find_queue_owner
from controller.intent.snapshot import Snapshot
from controller.model.ids import parse_mac
from controller.model.queues import queue_id_of
from controller.northbound.render import switch_name
from controller.pipeline.tables import KEY_BITS, LABEL_BIT


def answer(snapshot: Snapshot, request: pb.IdentifyRequest) -> pb.IdentifyResponse:
    found = pb.IdentifyResponse()
    if request.label:
        _identify_label(snapshot, int(parse_mac(request.label, "label").replace(":", ""), 16), found)
    if request.queue:
        queue_id, found.queue_has_parts = queue_id_of(request.queue)
        found.queue_owner = find_queue_owner(snapshot, queue_id) or ""
    return found


def _identify_label(snapshot: Snapshot, eth_dst: int, found: pb.IdentifyResponse) -> None:
    label16, key24 = eth_dst >> LABEL_BIT & 0xFFFF, eth_dst & (1 << KEY_BITS) - 1
    found.network = find_network(snapshot, key24) or ""
    dpid = find_edge(snapshot, edge_of(label16)) if label16 < FIRST_LABEL else None
    if dpid is not None:
        found.switch = switch_name(dpid)
        found.port = find_port(snapshot, dpid, key24) or ""
