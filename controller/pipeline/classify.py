"""Who is behind a switch port: table 0, and the punts that answer the question.

    FABRIC  labelled frames to table 2 (1 where flows choose queues); LLDP to the controller
    AUTO    LLDP to the controller; the first frame that shows a host, too, at one per second at most
    EDGE    dropped and counted, until a tenant port is bound there (then the port's fragment has the flow)
"""

from __future__ import annotations

from controller.fabric.graph import EndPoint, PortRole
from controller.openflow import actions
from controller.pipeline import tables
from controller.pipeline.base import LLDP
from controller.pipeline.draft import Draft, apply, goto
from controller.pipeline.tables import CLASSIFY, Kind, Priority, Reason, where
from controller.pipeline.views import BoundPort, chooses_queues, find_features
from controller.pipeline.world import Fragment, World

_SLOW_PROTOCOLS = 0x8809
"""Ethertype of LACP: switches speak it as well as hosts."""
_IPV6_MULTICAST = (0x3333 << 32, 0xFFFF << 32)
"""A bridge's own interface sends MLD and router solicitations, so these show no host."""
_HEARING_BYTES = 64


def compile_switch_port(world: World, dpid: int, port_no: int) -> Fragment | None:
    features, at = find_features(world, dpid), EndPoint(dpid, port_no)
    if features is None or world.fabric.port(at) is None or at in world.fabric.bound:
        return None
    draft = Draft(Kind.SWITCH_PORT, features)
    role = world.fabric.role(at)
    if role is PortRole.EDGE:
        draft.drop(CLASSIFY, Priority.NORMAL, where(in_port=port_no), Reason.UNBOUND_PORT)
        return draft.fragment()
    meter = draft.meter(tables.lldp_meter_id(port_no), tables.LLDP_PPS, tables.LLDP_BURST, "pktps")
    # The punt's own meter, not the flow's: else it would wait behind the meter that all punts of the switch share.
    punt = apply(actions.controller(meter_id=meter))
    draft.flow(CLASSIFY, Priority.PUNT, where(in_port=port_no, eth_type=LLDP), punt)
    if role is PortRole.FABRIC:
        enter = apply(tables.FROM_FABRIC.load(1))
        then = tables.QUEUE if chooses_queues(world, dpid) else tables.FABRIC
        draft.flow(CLASSIFY, Priority.FABRIC, where(in_port=port_no), enter, goto(then))
    else:
        _listen(draft, port_no)
    return draft.fragment()


def _listen(draft: Draft, port_no: int) -> None:
    for match in (
        where(in_port=port_no, eth_type=_SLOW_PROTOCOLS),
        where(in_port=port_no, eth_dst=_IPV6_MULTICAST),
    ):
        draft.drop(CLASSIFY, Priority.QUIET, match, Reason.UNDECIDED_PORT)
    meter = draft.meter(tables.hearing_meter_id(port_no), tables.HEARING_PPS, tables.HEARING_BURST, "pktps")
    hear = apply(actions.controller(_HEARING_BYTES, meter_id=meter))
    draft.flow(CLASSIFY, Priority.NORMAL, where(in_port=port_no), hear)


def classify_tenant_port(draft: Draft, bound: BoundPort) -> None:
    draft.flow(
        CLASSIFY, Priority.NORMAL, where(in_port=bound.at.port_no),
        apply(tables.SOURCE.load(bound.key24), tables.load_owner(bound.tenant_id, bound.network_key)),
        goto(tables.PORT_SECURITY),
    )
