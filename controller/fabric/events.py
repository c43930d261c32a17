"""What can be observed or declared about the fabric, in the past tense.  What follows is edit.py's business."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from immutables import Map

from controller.fabric.declared import LinkSettings, SwitchSettings
from controller.fabric.ports import EndPoint, PortRole, SwitchFeatures, SwitchPort


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchConnected:
    """A switch finished its handshake and listed its ports; what it does not list any more is gone."""

    dpid: int
    features: SwitchFeatures
    ports: tuple[SwitchPort, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchDisconnected:
    """The control channel ended.  Says nothing about the switch's ports and links: unknown is not down."""

    dpid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchForgotten:
    """The operator removed the switch for good."""

    dpid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PortObserved:
    """A switch port appeared or changed.  Its declared_role and heard_host are not read."""

    dpid: int
    port: SwitchPort


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRemoved:
    dpid: int
    port_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PortsBound:
    """Tenant ports were bound to, or released from, these switch ports."""

    added: frozenset[EndPoint] = frozenset()
    removed: frozenset[EndPoint] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostHeard:
    """A frame other than LLDP, LACP or IPv6 autoconfiguration came in on a port that is not fabric."""

    at: EndPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSeen:
    """A signed probe sent out of `src` came in at `dst`."""

    src: EndPoint
    dst: EndPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLost:
    """Several probes that were sent out of `src`, and could have been answered, were not."""

    src: EndPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDeclared:
    """The operator says what a switch port is (None: no longer says)."""

    dpid: int
    interface: str
    role: PortRole | None


_ALL_OF_LINK = frozenset(field.name for field in fields(LinkSettings))
_ALL_OF_SWITCH = frozenset(field.name for field in fields(SwitchSettings))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDeclared:
    """The operator says something of the link out of `src`: those fields of the settings, and no others."""

    src: EndPoint
    settings: LinkSettings
    fields: frozenset[str] = _ALL_OF_LINK

    def over(self, before: LinkSettings) -> LinkSettings:
        return replace(before, **{name: getattr(self.settings, name) for name in self.fields})


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchDeclared:
    """The operator says something of a switch: those fields of the settings, and no others."""

    dpid: int
    settings: SwitchSettings
    fields: frozenset[str] = _ALL_OF_SWITCH

    def over(self, before: SwitchSettings) -> SwitchSettings:
        return replace(before, **{name: getattr(self.settings, name) for name in self.fields})


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuesFound:
    """How guarantees are enforced on a switch, and where they are not."""

    dpid: int
    driver: str
    """"ovsdb": by queues of the switch, chosen by its program; "tc": by classes that choose by label; "": by nothing"""
    why_not: str = ""
    """driver "": why"""
    faults: Map[int, str] = Map()
    """port number -> why its queues are not as they should be"""
    shaped: Map[int, int] = Map()
    """port number -> the ceiling, kbit/s, that its queues hold it to"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsRefused:
    """A switch that said it has groups does not take them."""

    dpid: int
    why: str


Event = (
    SwitchConnected | SwitchDisconnected | SwitchForgotten | PortObserved | PortRemoved | PortsBound
    | HostHeard | LinkSeen | LinkLost | RoleDeclared | LinkDeclared | SwitchDeclared | QueuesFound
    | GroupsRefused
)
