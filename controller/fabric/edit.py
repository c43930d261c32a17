"""How one event changes the record of the fabric.  The rules it keeps:

- Unknown is not down: a lost control channel keeps ports and links as they were.
- A port that goes down takes its links down at once, in both directions; only probes bring them up again.
- A link is up when both directions were seen: one probe alone a host may have relayed.
- A wire has two ends: a link that is seen replaces every link that contradicts it (a moved cable).
- Nobody becomes fabric by its own doing: a wire seen where a host was heard or bound is an alarm, not a link.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from immutables import Map

from controller.fabric.declared import NO_LINK_SETTINGS, NO_SWITCH_SETTINGS, LinkSettings
from controller.fabric.events import (
    GroupsRefused,
    LinkDeclared,
    PortsBound,
    QueuesFound,
    RoleDeclared,
    SwitchConnected,
    SwitchDeclared,
)
from controller.fabric.observed import NO_CHANGE, Alarm, Change, Link, Observed
from controller.fabric.ports import EndPoint, PortRole, Switch, SwitchPort

F = TypeVar("F", bound=Observed)

UNKNOWN_SPEED_KBPS = 1_000_000
"""What a port is taken to carry that reports no speed: tunnels and patch ports (for a veth OVS says 10 Gbit/s)."""


class Edit(Generic[F]):
    """One event being worked into a fabric: the maps as they become, and a note of everything touched."""

    def __init__(self, before: F) -> None:
        self.now = before
        self.change = NO_CHANGE

    def result(self) -> tuple[F, Change]:
        return self.now, self.change

    # -- switches and ports

    def queues_found(self, event: QueuesFound) -> None:
        switch = self.now.switches.get(event.dpid)
        if switch is not None:
            if (event.driver, event.shaped) != (switch.queue_driver, switch.shaped):
                self.change |= Change(switches=frozenset({event.dpid}))
            self._put_switch(replace(
                switch, queue_driver=event.driver, no_queues=event.why_not, queue_faults=event.faults,
                shaped=event.shaped))

    def groups_refused(self, event: GroupsRefused) -> None:
        """Until it connects again it counts as a switch without."""
        switch = self.now.switches.get(event.dpid)
        if switch is not None and switch.features.max_groups:
            self._put_switch(replace(switch, features=replace(switch.features, max_groups=0)))
            text = f"{event.why}; until it connects again it does not get around dead links by itself"
            alarm = Alarm(reason="GROUPS_REFUSED", at=EndPoint(event.dpid, 0), message=text)
            self.change |= Change(switches=frozenset({event.dpid}), alarms=(alarm,))

    def switch_connected(self, event: SwitchConnected) -> None:
        dpid = event.dpid
        old = self.now.switches.get(dpid)
        if old is None:
            self._put_switch(Switch(dpid=dpid, connected=True, features=event.features))
            self.change |= Change(topology=True)
        else:
            self._put_switch(replace(old, connected=True, features=event.features))
            listed = {port.port_no for port in event.ports}
            for port_no in sorted(old.ports):
                if port_no not in listed:
                    self.port_removed(EndPoint(dpid, port_no))
        for port in event.ports:
            self.port_observed(dpid, port)

    def switch_disconnected(self, dpid: int) -> None:
        switch = self.now.switches.get(dpid)
        if switch is not None:
            self._put_switch(replace(switch, connected=False))

    def switch_forgotten(self, dpid: int) -> None:
        switch = self.now.switches.get(dpid)
        if switch is not None:
            for port_no in sorted(switch.ports):
                self.port_removed(EndPoint(dpid, port_no))
            self._set(switches=self.now.switches.delete(dpid))
            self.change |= Change(switches=frozenset({dpid}), topology=True)
        self._declare(dpid, roles=Map(), links=Map())
        self.switch_declared(SwitchDeclared(dpid=dpid, settings=NO_SWITCH_SETTINGS))

    def port_observed(self, dpid: int, seen: SwitchPort) -> None:
        switch = self.now.switches.get(dpid)
        if switch is None:
            return
        at = EndPoint(dpid, seen.port_no)
        old = switch.ports.get(seen.port_no)
        if old is not None and not old.is_same_port(seen):
            self.port_removed(at)
            old = None
        namesake = switch.by_name.get(seen.name, seen.port_no)
        if namesake != seen.port_no:  # names are unique on a switch, so that one is gone
            self.port_removed(EndPoint(dpid, namesake))
        declared = self.now.declared_roles.get(dpid, Map()).get(seen.name)
        port = replace(seen, declared_role=declared, heard_host=old is not None and old.heard_host)
        self._put_port(at, port)
        if not port.up:
            self._take_down(at)
        self._evict(at)
        self._measure(self._links_of(at))

    def port_removed(self, at: EndPoint) -> None:
        """The port is gone, and with it its links: whatever gets this number next is another port."""
        switch = self.now.switches.get(at.dpid)
        port = switch.ports.get(at.port_no) if switch else None
        if switch is None or port is None:
            return
        self._drop_links(at)
        ports, by_name = switch.ports.delete(at.port_no), switch.by_name.delete(port.name)
        self._put_switch(replace(switch, ports=ports, by_name=by_name))
        self.change |= Change(ports=frozenset({at}))

    # -- who is behind a port

    def ports_bound(self, event: PortsBound) -> None:
        bound = self.now.bound
        for at in sorted(event.removed - event.added):
            if at in bound:
                bound = bound.delete(at)
                self.change |= Change(ports=frozenset({at}))
        for at in sorted(event.added):
            if at not in bound:
                bound = bound.set(at, None)
                self.change |= Change(ports=frozenset({at}))
        self._set(bound=bound)
        for at in sorted(event.added):
            self._mark_heard(at)
            self._evict(at)

    def host_heard(self, at: EndPoint) -> None:
        # On a fabric port it was a frame of the fabric, punted before the switch knew the port's role.
        if self.now.role(at) is not PortRole.FABRIC:
            self._mark_heard(at)

    def role_declared(self, event: RoleDeclared) -> None:
        roles = self.now.declared_roles.get(event.dpid, Map())
        if event.role is not None:
            roles = roles.set(event.interface, event.role)
        elif event.interface in roles:
            roles = roles.delete(event.interface)
        self._declare(event.dpid, roles=roles)
        switch = self.now.switches.get(event.dpid)
        port = switch.find_port(event.interface) if switch and event.interface else None
        if port is not None:
            at = EndPoint(event.dpid, port.port_no)
            self._put_port(at, replace(port, declared_role=event.role))
            self._evict(at)

    # -- links

    def link_seen(self, src: EndPoint, dst: EndPoint) -> None:
        if src.dpid == dst.dpid:
            self._alarm("SELF_LOOP", dst, f"a wire joins ports {src.port_no} and {dst.port_no} of a switch; unplug it")
            return
        ends = self.now.port(src), self.now.port(dst)
        if not all(port is not None and port.up for port in ends):
            return  # a probe that was under way when the port went; the next one tells
        for at, other in ((dst, src), (src, dst)):
            if self.now.role(at) is PortRole.EDGE:
                self._alarm("WIRE_ON_EDGE_PORT", at, f"a wire leads to {other}, but this is an edge port: no link is "
                            "made of it; declare both ports fabric if it belongs to the fabric")
                return
        for near, far in ((src, dst), (dst, src)):
            if any(far not in (link.src, link.dst) for link in map(self.now.links.__getitem__, self._links_of(near))):
                self._drop_links(near)
        link = self.now.links.get(src) or Link(src=src, dst=dst, capacity_kbps=0)
        self._put_link(self._measured(replace(link, seen=True)))

    def link_lost(self, src: EndPoint) -> None:
        link = self.now.links.get(src)
        if link is not None:
            self._put_link(replace(link, seen=False))

    def link_declared(self, event: LinkDeclared) -> None:
        src, settings = event.src, event.over(self.now.link_settings(event.src))
        links = self.now.declared_links.get(src.dpid, Map())
        if settings != NO_LINK_SETTINGS:
            links = links.set(src.port_no, settings)
        elif src.port_no in links:
            links = links.delete(src.port_no)
        self._declare(src.dpid, links=links)
        self._measure(self._links_of(src))

    def switch_declared(self, event: SwitchDeclared) -> None:
        dpid, before, every = event.dpid, self.now.switch_settings(event.dpid), self.now.declared_switches
        settings = event.over(before)
        if settings == before:
            return
        self._set(declared_switches=every.delete(dpid) if settings == NO_SWITCH_SETTINGS else every.set(dpid, settings))
        switch = self.now.switches.get(dpid)
        self.change |= Change(switches=frozenset({dpid}), topology=switch is not None and settings.zone != before.zone)
        for port_no in sorted(switch.ports) if switch else ():
            self._measure(self._links_of(EndPoint(dpid, port_no)))

    # -- the notes

    def _set(self, **maps: object) -> None:
        self.now = replace(self.now, **maps)  # type: ignore[arg-type]

    def _put_switch(self, switch: Switch) -> None:
        if self.now.switches.get(switch.dpid) != switch:
            self._set(switches=self.now.switches.set(switch.dpid, switch))
            self.change |= Change(switches=frozenset({switch.dpid}))

    def _put_port(self, at: EndPoint, port: SwitchPort) -> None:
        switch = self.now.switches[at.dpid]
        if switch.ports.get(at.port_no) != port:
            ports, by_name = switch.ports.set(at.port_no, port), switch.by_name.set(port.name, at.port_no)
            self._put_switch(replace(switch, ports=ports, by_name=by_name))
            self.change |= Change(ports=frozenset({at}))

    def _mark_heard(self, at: EndPoint) -> None:
        port = self.now.port(at)
        if port is not None:
            self._put_port(at, replace(port, heard_host=True))

    def _put_link(self, link: Link) -> None:
        """Enter a link as it was seen or measured; whether it and the other direction are up follows."""
        back = self.now.links.get(link.dst)
        if back is not None and back.dst != link.src:
            back = None
        up = link.seen and back is not None and back.seen
        self._enter_link(replace(link, up=up))
        if back is not None and back.up != up:
            self._enter_link(replace(back, up=up))

    def _enter_link(self, link: Link) -> None:
        old = self.now.links.get(link.src)
        if old == link:
            return
        ends = frozenset({link.src, link.dst}) if old is None else frozenset()
        self._set(links=self.now.links.set(link.src, link), into=self.now.into.set(link.dst, link.src))
        topology = link.up or (old is not None and old.up)
        self.change |= Change(links=frozenset({link.src}), ports=ends, topology=topology)

    def _links_of(self, at: EndPoint) -> list[EndPoint]:
        """The links (by src) that leave or enter by this port."""
        return [src for src in (at, self.now.into.get(at)) if src is not None and src in self.now.links]

    def _take_down(self, at: EndPoint) -> None:
        for src in self._links_of(at):
            self.link_lost(src)

    def _drop_links(self, at: EndPoint) -> None:
        for src in self._links_of(at):
            link = self.now.links[src]
            self._set(links=self.now.links.delete(src), into=self.now.into.delete(link.dst))
            ends = frozenset({link.src, link.dst})
            self.change |= Change(links=frozenset({src}), ports=ends, topology=link.up)
            back = self.now.links.get(link.dst)
            if back is not None and back.dst == src and back.up:
                self._enter_link(replace(back, up=False))

    def _evict(self, at: EndPoint) -> None:
        """No link ends on an edge port."""
        if self.now.role(at) is PortRole.EDGE:
            self._drop_links(at)

    def _measure(self, sources: Iterable[EndPoint]) -> None:
        for src in sources:
            if src in self.now.links:
                self._put_link(self._measured(self.now.links[src]))

    def _measured(self, link: Link) -> Link:
        """The link with what is declared of it; without a declared capacity, with that of its slower port."""
        declared = self.now.link_settings(link.src)
        ports = (self.now.port(end) for end in (link.src, link.dst))
        reported = min(port.speed_kbps if port and port.speed_kbps else UNKNOWN_SPEED_KBPS for port in ports)
        return replace(
            link, capacity_kbps=declared.capacity_kbps or reported, declared_capacity_kbps=declared.capacity_kbps,
            cost=declared.cost, latency_us=declared.latency_us,
            drained=self.now.is_drained(link.src) or self.now.is_drained(link.dst),
        )

    def _declare(
        self,
        dpid: int,
        *,
        roles: Map[str, PortRole] | None = None,
        links: Map[int, LinkSettings] | None = None,
    ) -> None:
        """Keep what the operator declared about a switch; None leaves that part as it is."""
        for field, new in (("declared_roles", roles), ("declared_links", links)):
            every = getattr(self.now, field)
            if new is None or new == every.get(dpid, Map()):
                continue
            self._set(**{field: every.set(dpid, new) if new else every.delete(dpid)})
            self.change |= Change(switches=frozenset({dpid}))

    def _alarm(self, reason: str, at: EndPoint, message: str) -> None:
        self.change |= Change(alarms=(Alarm(reason=reason, at=at, message=message),))
