"""The fabric at one moment as messages: switches and links, what was declared of them, and how far draining is."""

from __future__ import annotations

from collections.abc import Set
from functools import cached_property

from pliant.v1 import fabric_pb2 as pb

from controller.fabric.graph import EndPoint, Fabric, Link, PortRole, Switch
from controller.model.errors import NotFound
from controller.model.ids import format_dpid
from controller.northbound.interfaces import Operator
from controller.northbound.render import switch_name


class Picture:
    """Everything in it is of one fabric, except for how far each switch is in sync, which is as of the question."""

    def __init__(self, operator: Operator, *, usage: bool = False) -> None:
        self.fabric: Fabric = operator.fabric()
        self._operator = operator
        self._rates = operator.rates() if usage else {}

    def switches(self) -> dict[str, int]:
        """By name; those, too, of which only something is declared."""
        fabric = self.fabric
        dpids = {*fabric.switches, *fabric.declared_roles, *fabric.declared_switches}
        return {switch_name(dpid): dpid for dpid in dpids}

    def links(self) -> dict[str, EndPoint]:
        """By name; those, too, of which only something is declared."""
        declared = (EndPoint(dpid, port_no) for dpid, of_it in self.fabric.declared_links.items() for port_no in of_it)
        return {link_name(src): src for src in {*self.fabric.links, *declared}}

    def switch(self, dpid: int) -> pb.Switch:
        """NotFound if it never connected, and nothing is declared of it."""
        fabric, name = self.fabric, switch_name(dpid)
        switch = fabric.switches.get(dpid)
        if switch is None and dpid not in fabric.declared_roles and dpid not in fabric.declared_switches:
            raise NotFound("NOT_FOUND", f"{name} never connected", subject=name)
        settings = fabric.switch_settings(dpid)
        message = pb.Switch(name=name, drained=settings.drained, zone=settings.zone)
        for interface, role in fabric.declared_roles.get(dpid, {}).items():
            message.declared_roles[interface] = _role(role)
        if switch is not None:
            sync = self._operator.sync(dpid)
            message.MergeFrom(_observed(fabric, switch))
            message.in_sync = sync.in_sync
            message.confirmed_revision = sync.confirmed_generation
        return message

    def link(self, src: EndPoint) -> pb.Link:
        """NotFound if it was never seen, and nothing is declared of it."""
        fabric = self.fabric
        link, settings = fabric.links.get(src), fabric.link_settings(src)
        if link is None and src.port_no not in fabric.declared_links.get(src.dpid, {}):
            raise NotFound("NOT_FOUND", f"no link was seen leaving {src}", subject=link_name(src))
        message = pb.Link(
            name=link_name(src), source=_end(fabric, src), state=self._state(link), drained=settings.drained,
            cost=settings.cost, latency_us=settings.latency_us, capacity_override_kbps=settings.capacity_kbps or 0,
        )
        if link is not None:
            message.destination.CopyFrom(_end(fabric, link.dst))
            message.up, message.capacity_kbps = link.up, link.capacity_kbps
            message.drained |= fabric.link_settings(link.dst).drained
        if (rate := self._rates.get(src)) is not None:
            message.usage.rate_kbps, message.usage.packets_per_second = rate.kbps, rate.packets_per_s
        return message

    def _state(self, link: Link | None) -> pb.LinkState.ValueType:
        if link is None:
            return pb.LINK_STATE_UNSEEN
        if not link.up:
            return pb.LINK_STATE_ONE_WAY if link.seen else pb.LINK_STATE_DOWN
        if not link.drained:
            return pb.LINK_STATE_UP
        return pb.LINK_STATE_DRAINING if link.src in self._in_use else pb.LINK_STATE_DRAINED

    @cached_property
    def _in_use(self) -> Set[EndPoint]:
        return self._operator.in_use()


def link_name(src: EndPoint) -> str:
    return f"links/{format_dpid(src.dpid)}-{src.port_no}"


def _role(role: PortRole) -> pb.PortRole.ValueType:
    return pb.PortRole.Value(f"PORT_ROLE_{role.value}")


def _observed(fabric: Fabric, switch: Switch) -> pb.Switch:
    features = switch.features
    return pb.Switch(
        connected=switch.connected,
        manufacturer=features.manufacturer,
        software=features.software,
        table_count=features.n_tables,
        meter_count_max=features.max_meters,
        switch_ports=[
            pb.SwitchPort(
                port_number=port.port_no,
                interface=port.name,
                mac_address=port.mac,
                up=port.up,
                speed_kbps=port.speed_kbps,
                role=_role(fabric.role(EndPoint(switch.dpid, port.port_no))),
            )
            for _, port in sorted(switch.ports.items())
        ],
    )


def _end(fabric: Fabric, at: EndPoint) -> pb.LinkEnd:
    port = fabric.port(at)
    return pb.LinkEnd(switch=switch_name(at.dpid), port_number=at.port_no, interface=port.name if port else "")
