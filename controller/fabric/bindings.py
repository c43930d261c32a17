"""Where each tenant port stands: from what it asks for (an attachment) to a switch port of the fabric, or why not.

Several ports may point at one switch port (by name and by number): the oldest has it, the others wait for it.  Knows
ports and the fabric; not tenants' rules, and not what is done about a binding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.fabric.observed import Change, Observed
from controller.fabric.ports import EndPoint, PortRole
from controller.model.ids import format_dpid
from controller.model.network import Attachment, Port


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbound:
    """Why a port is not in the data plane, and what to do about it.

    reason: UNATTACHED, SWITCH_UNKNOWN, INTERFACE_UNKNOWN, ATTACHMENT_IS_FABRIC or ATTACHMENT_CONFLICT.
    """

    reason: str
    message: str
    at: EndPoint | None = None
    """the switch port that it leads to all the same, if it is there"""


Binding = EndPoint | Unbound

UNATTACHED = Unbound(reason="UNATTACHED", message="no attachment is set: give it a switch and an interface")


def locate(fabric: Observed, attachment: Attachment) -> Binding:
    """The switch port that the attachment names, if there is one that tenants can use."""
    switch = fabric.switches.get(attachment.dpid)
    if switch is None:
        dpid = format_dpid(attachment.dpid)
        text = f"switch {dpid} never connected: point it at this controller, or correct the attachment"
        return Unbound(reason="SWITCH_UNKNOWN", message=text)
    port = switch.find_port(attachment.interface, attachment.port_no)
    if port is None:
        what = f"interface {attachment.interface}" if attachment.interface else f"port {attachment.port_no}"
        text = f"switch {switch} has no {what}: add it to the bridge, or correct the attachment"
        return Unbound(reason="INTERFACE_UNKNOWN", message=text)
    at = EndPoint(attachment.dpid, port.port_no)
    if fabric.role(at) is PortRole.FABRIC:
        link = fabric.link_at(at)
        why = "is declared fabric" if link is None else f"carries the link {link}"
        text = f"{port.name} of switch {switch} {why}: attach elsewhere, or declare its role EDGE"
        return Unbound(reason="ATTACHMENT_IS_FABRIC", message=text, at=at)
    return at


class Bindings:
    """The binding of every port, kept up to date at the cost of what changed.  Owned by one thread.

    The result depends on the ports and the fabric alone, not on the order in which they came.
    """

    def __init__(self) -> None:
        self.bound: dict[str, Binding] = {}
        """port name -> its binding"""
        self._ports: dict[str, Port] = {}
        self._places: dict[str, Binding] = {}
        """port name -> where its attachment leads, whoever else points there"""
        self._pointing_at: dict[EndPoint, set[str]] = {}
        """the same, by switch port"""
        self._leading_to: dict[EndPoint, set[str]] = {}
        """the same, and with those that lead to a switch port where they cannot be bound"""
        self._attached: dict[tuple[int, str | int | None], set[str]] = {}
        """(dpid, interface name or port number as spelled; None: any) -> names of the ports attached there"""
        self._known: frozenset[int] = frozenset()

    def update(
        self, fabric: Observed, change: Change, ports: Mapping[str, Port | None]
    ) -> dict[str, Binding | None]:
        """The bindings that are other ones now (None: the port is gone).

        `change` is what changed in the fabric, `ports` what changed in intent (None: deleted), since the last call.
        """
        concerned = set(ports) | self._concerned(fabric, change)
        for name, port in ports.items():
            self._index(name, port)
        contested = {place for name in concerned if isinstance(place := self._places.get(name), EndPoint)}
        for name in concerned:
            self._point(name, self._place(fabric, name))
        contested |= {place for name in concerned if isinstance(place := self._places.get(name), EndPoint)}
        concerned = concerned.union(*(self._pointing_at.get(at, ()) for at in contested))
        return self._settle(concerned)

    def _concerned(self, fabric: Observed, change: Change) -> set[str]:
        """The ports that may stand elsewhere after this change of the fabric."""
        names: set[str] = set()
        for at in change.ports:
            names |= self._leading_to.get(at, set())
            names |= self._attached.get((at.dpid, at.port_no), set())
            if (port := fabric.port(at)) is not None:
                names |= self._attached.get((at.dpid, port.name), set())
        for dpid in change.switches:
            if (dpid in fabric.switches) != (dpid in self._known):
                self._known ^= {dpid}
                names |= self._attached.get((dpid, None), set())
        return names

    def _index(self, name: str, port: Port | None) -> None:
        old = self._ports.pop(name, None)
        for key in _spellings(old):
            self._attached[key].discard(name)
            if not self._attached[key]:
                del self._attached[key]
        for key in _spellings(port):
            self._attached.setdefault(key, set()).add(name)
        if port is not None:
            self._ports[name] = port

    def _place(self, fabric: Observed, name: str) -> Binding | None:
        port = self._ports.get(name)
        if port is None:
            return None
        return UNATTACHED if port.attachment is None else locate(fabric, port.attachment)

    def _point(self, name: str, place: Binding | None) -> None:
        old = self._places.pop(name, None)
        for index, before, now in (
            (self._pointing_at, _bound_at(old), _bound_at(place)), (self._leading_to, _leads_to(old), _leads_to(place)),
        ):
            if before is not None:
                index[before].discard(name)
                if not index[before]:
                    del index[before]
            if now is not None:
                index.setdefault(now, set()).add(name)
        if place is not None:
            self._places[name] = place

    def _settle(self, names: Iterable[str]) -> dict[str, Binding | None]:
        differing: dict[str, Binding | None] = {}
        for name in sorted(names):
            binding = self._binding(name)
            if binding != self.bound.get(name):
                differing[name] = binding
                if binding is None:
                    del self.bound[name]
                else:
                    self.bound[name] = binding
        return differing

    def _binding(self, name: str) -> Binding | None:
        place = self._places.get(name)
        if not isinstance(place, EndPoint):
            return place
        owner = min(self._pointing_at[place], key=lambda other: (self._ports[other].meta.created_s, other))
        if owner == name:
            return place
        text = f"{owner}, which is older, is attached to the same switch port {place}: detach one of the two"
        return Unbound(reason="ATTACHMENT_CONFLICT", message=text)


def _spellings(port: Port | None) -> list[tuple[int, str | int | None]]:
    if port is None or port.attachment is None:
        return []
    attachment = port.attachment
    return [(attachment.dpid, None), (attachment.dpid, attachment.interface or attachment.port_no)]


def _bound_at(place: Binding | None) -> EndPoint | None:
    return place if isinstance(place, EndPoint) else None


def _leads_to(place: Binding | None) -> EndPoint | None:
    return place.at if isinstance(place, Unbound) else place
