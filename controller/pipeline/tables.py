"""The datasheet of the pipeline: tables, registers, labels, priorities, drop reasons, group, meter and cookie numbers.

Everything here is data.  Fragment functions name these things and never write a raw register, table or priority;
docs/pipeline.md is generated from this module (`make golden`).  Refuses to know any switch, port or tenant.

    tenant port -> classify -> port_security -> services -> tx meters -> fdb -> pipe -> place -+-> rx meters -> deliver
                                    to a gateway: fdb -> route -> neighbour -> pipe            |
                            fabric port -> classify -> fabric -> unlabel ----------------------+   (here)
                                                          ^                                    |
                                                          +------ label <- path <--------------+   (elsewhere)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from controller.fabric.labels import NUMBER_BITS
from controller.intent.pools import INDEX_BITS, INDEX_MASK, RANGES
from controller.openflow import actions
from controller.openflow.match import MatchValue, match

SCHEMA_VERSION = 3
"""Changes with the meaning of anything on this page; the canary flow of table `meta` carries it."""


# -- drop reasons


class Reason(IntEnum):
    """Why a frame was dropped.  Each has a counter on every switch, and one for each tenant present there."""

    UNBOUND_PORT = 1
    LOCAL_PORT = 2
    WIRE_ON_EDGE = 3
    UNDECIDED_PORT = 4
    UNKNOWN_LABEL = 5
    TAGGED = 6
    ETHERTYPE = 7
    SPOOFED_ARP = 8
    SPOOFED_IPV4 = 9
    SPOOFED_IPV6 = 10
    SPOOFED_ND = 11
    ROUTER_ADVERTISEMENT = 12
    DHCP = 13
    OWN_ADDRESS = 14
    UNKNOWN_ADDRESS = 15
    UNKNOWN_DESTINATION = 16
    NO_ROUTE = 17
    NO_PATH = 18
    STALE_KEY = 19
    NOT_HERE = 20
    TTL_EXPIRED = 21


MEANING: dict[Reason, str] = {
    Reason.UNBOUND_PORT: "came in on an edge port that no tenant port is bound to",
    Reason.LOCAL_PORT: "came from the bridge's own LOCAL port; the switch itself is no tenant",
    Reason.WIRE_ON_EDGE: "LLDP from a tenant port: a host pretends to be a switch, or a wire was plugged in there",
    Reason.UNDECIDED_PORT: "came in on a port that is neither known to be edge nor fabric yet",
    Reason.UNKNOWN_LABEL: "a fabric frame whose label is not known here; normal for an instant when a tree changes",
    Reason.TAGGED: "a VLAN tag on a tenant port; only untagged frames enter",
    Reason.ETHERTYPE: "neither IPv4, IPv6 nor ARP",
    Reason.SPOOFED_ARP: "ARP with a source MAC or address that is not the port's",
    Reason.SPOOFED_IPV4: "IPv4 with a source MAC or address that is not the port's",
    Reason.SPOOFED_IPV6: "IPv6 with a source MAC or address that is not the port's; any from a port without IPv6",
    Reason.SPOOFED_ND: "neighbour discovery that claims a MAC or address that is not the port's",
    Reason.ROUTER_ADVERTISEMENT: "a router advertisement or redirect from a tenant port; hosts must not act as routers",
    Reason.DHCP: "DHCP from a tenant port: no server is offered in this version, and no host may act as one",
    Reason.OWN_ADDRESS: "a host asks for its own address (duplicate detection, gratuitous ARP): silence is the answer",
    Reason.UNKNOWN_ADDRESS: "a query for, or a routed frame to, an address that no port of the network has",
    Reason.UNKNOWN_DESTINATION: "to a MAC that no port of the network has; unknown unicast is never flooded",
    Reason.NO_ROUTE: "sent to the gateway, but to an address in no subnet that the network has a route to",
    Reason.NO_PATH: "the destination's edge cannot be reached: no label toward it is confirmed along the way",
    Reason.STALE_KEY: "a fabric frame for a port or network that is no longer here, or from one with no route to it",
    Reason.NOT_HERE: "for a port of this switch that is no longer here",
    Reason.TTL_EXPIRED: "to be routed with a TTL, or hop limit, of 1 or 0; nobody is told (no ICMP error is sent)",
}

TENANT_UNKNOWN = frozenset({
    Reason.UNBOUND_PORT, Reason.LOCAL_PORT, Reason.UNDECIDED_PORT, Reason.UNKNOWN_LABEL, Reason.STALE_KEY,
})
"""Counted by switch only: nobody can say whose frame it was."""


# -- tables


@dataclass(frozen=True, slots=True)
class Table:
    """One flow table.  `miss` is where a frame goes that no flow matches: on to a table, or into the drop counter."""

    number: int
    name: str
    does: str
    miss: Reason | int | None = None


CLASSIFY = Table(0, "classify", "who is behind the switch port: fabric -> 2; tenant port -> its keys in registers, 4; "
                 "LLDP of candidates -> controller under the port's own meter", Reason.UNBOUND_PORT)
QUEUE = Table(1, "queue", "before 2 where queues are chosen by flows (driver `ovsdb`): whose label -> set_queue, 2", 2)
FABRIC = Table(2, "fabric", "where the label leads: to a switch port, around a dead one, or it ends here -> 56, routed "
               "55, BUM 57", Reason.UNKNOWN_LABEL)
PORT_SECURITY = Table(4, "port_security", "the source must be the port's: MAC, IPv4, IPv6, ARP sender, ND options -> 8",
                      Reason.ETHERTYPE)
SERVICES = Table(8, "services", "queries that the switch answers, an echo for a gateway too, pass the port's meter for "
                 "them -> 9", 20)
ANSWERS = Table(9, "answers", "ARP and ND for every known address, echo for gateways: answered back to the port",
                Reason.UNKNOWN_ADDRESS)
TX_PORT = Table(20, "tx_port", "the port's ceiling out (meter) -> 21; of a network that has one -> 21", 22)
TX_NETWORK = Table(21, "tx_network", "the network's ceiling out on this edge (meter)", 22)
TX_TENANT = Table(22, "tx_tenant", "the tenant's ceiling out on this edge (meter)", 26)
FDB = Table(26, "fdb", "network and MAC -> destination key and edge, 42; the gateway's MAC -> 28; BUM -> the network's "
            "meter here, then a copy to each member", Reason.UNKNOWN_DESTINATION)
ROUTE = Table(28, "route", "network and prefix of a subnet -> target network, TTL less one, 30; an echo for a gateway "
              "-> back to 8", Reason.NO_ROUTE)
NEIGHBOUR = Table(30, "neighbour", "target network and IP address -> real MAC, destination key and edge, 42",
                  Reason.UNKNOWN_ADDRESS)
PIPE = Table(42, "pipe", "the ceiling of a pipe, for frames from its one end to its other: two ports, or a network and "
             "the one that it is routed to (meter)", 44)
PLACE = Table(44, "place", "destination on this switch -> 72, if routed as one of the target network, else 50", 50)
PATH = Table(50, "path", "destination edge -> label, one of its trees by a hash of the connection, 52; before that, "
             "for a network with a path policy: its own label, 52, or one of several, 51", Reason.NO_PATH)
STEER = Table(51, "steer", "network, destination edge and share of the connections -> label, 52", Reason.NO_PATH)
LABEL = Table(52, "label", "write class, label and key into eth_dst, back to 2")
UNLABEL_ROUTED = Table(55, "unlabel_routed", "slice and the source network's gateway MAC -> the gateway MAC here, 56",
                       Reason.STALE_KEY)
UNLABEL = Table(56, "unlabel", "key -> the port's network and real MAC, 72", Reason.STALE_KEY)
UNLABEL_BUM = Table(57, "unlabel_bum", "key -> the network; broadcast or multicast MAC restored from the packet, "
                    "one copy to each local member", Reason.STALE_KEY)
COPY = Table(71, "copy", "one receiver's copy of a BUM frame, in a clone: what its meters drop, others still "
             "get")
RX_PORT = Table(
    72, "rx_port", "the port's ceiling in (meter, unless queues hold it) -> 73; of a network that has one -> 73", 74)
RX_NETWORK = Table(73, "rx_network", "the network's ceiling in on this edge (meter)", 74)
RX_TENANT = Table(74, "rx_tenant", "the tenant's ceiling in on this edge (meter)", 76)
DELIVER = Table(76, "deliver", "out of the switch port; the switch skips the port that a frame came from",
                Reason.NOT_HERE)
DROP = Table(100, "drop", "counters by reason, and by reason and tenant")
META = Table(253, "meta", "a canary flow that carries the schema version")

TABLES: tuple[Table, ...] = (
    CLASSIFY, QUEUE, FABRIC, PORT_SECURITY, SERVICES, ANSWERS, TX_PORT, TX_NETWORK, TX_TENANT, FDB, ROUTE, NEIGHBOUR,
    PIPE, PLACE, PATH, STEER, LABEL, UNLABEL_ROUTED, UNLABEL, UNLABEL_BUM, COPY, RX_PORT, RX_NETWORK, RX_TENANT,
    DELIVER, DROP, META,
)
TABLE_NAMES: dict[int, str] = {table.number: table.name for table in TABLES}


def after(table: Table) -> Table:
    """Where a frame goes on to that `table` has nothing to say about; for tables whose miss is another table."""
    return next(other for other in TABLES if other.number == table.miss)


class Priority(IntEnum):
    """Who wins inside a table, strongest first."""

    PUNT = 1000
    """LLDP on a port that may lead to a switch"""
    GUARD = 900
    """never allowed, whoever sends it"""
    QUIET = 800
    """known noise that proves nothing and gets no punt"""
    FABRIC = 500
    """frames of a fabric port"""
    OWN = 400
    """a host's questions about itself"""
    TENANT = 300
    """for one tenant, before the same for all"""
    EXACT = 200
    """one MAC, address or target, before the range that holds it"""
    NORMAL = 100
    """what a table is there for"""
    FALLBACK = 50
    """when nothing more exact is known"""
    REASON = 10
    """a miss with a reason of its own"""
    MISS = 0


# -- registers


@dataclass(frozen=True, slots=True)
class BitField:
    """Named bits of a register or of metadata, the only way to reach one."""

    name: str
    register: str
    first_bit: int
    bits: int
    holds: str

    def load(self, value: int) -> bytes:
        """The action that sets it."""
        return actions.load(self.register, value, self.first_bit, self.bits)

    def spread(self, n: int) -> bytes:
        """The action that sets it to 0..n-1 by a hash of the connection."""
        return actions.spread(self.register, n, self.first_bit, self.bits)

    def move_to(self, field: str, first_bit: int) -> bytes:
        """The action that copies it into a packet field."""
        return actions.move(self.register, field, src_bit=self.first_bit, dst_bit=first_bit, bits=self.bits)


FROM_FABRIC = BitField("from_fabric", "reg0", 0, 1, "came in on a fabric port")
ROUTED = BitField("routed", "reg0", 1, 1, "routed to another network")
BUM = BitField("bum", "reg0", 2, 1, "broadcast or multicast, being copied")
TO_GATEWAY = BitField("to_gateway", "reg0", 3, 1, "an echo for a gateway, on its way back to the services")
REASON = BitField("reason", "reg1", 0, 16, "drop reason")
EDGE = BitField("edge", "reg4", 0, 12, "destination edge id; 0: this switch")
LABEL16 = BitField("label16", "reg4", 16, 16, "label to write")
TREE = BitField("tree", "reg4", 16, 2, "the label's lowest bits: which of the working trees, or shares in table 51")
TARGET = BitField("target", "reg5", 0, 24, "network key of the network that a frame is routed to; 0: not routed")
SOURCE = BitField("source", "reg6", 0, 24, "source port key")
DESTINATION = BitField("destination", "reg7", 0, 24, "destination port key; BUM toward an edge: network key")
NETWORK = BitField("network", "metadata", 0, 24, "network key")
TENANT = BitField("tenant", "metadata", 24, 24, "tenant id, known on a switch only")

BIT_FIELDS: tuple[BitField, ...] = (
    FROM_FABRIC, ROUTED, BUM, TO_GATEWAY, REASON, EDGE, LABEL16, TREE, TARGET, SOURCE, DESTINATION, NETWORK, TENANT,
)


Condition = tuple[BitField, int]
"""A bit field and the value it must have."""


def where(*conditions: Condition, **fields: MatchValue) -> bytes:
    """A match on bit fields and packet fields: where((NETWORK, 5), eth_dst=mac)."""
    registers: dict[str, tuple[int, int]] = {}
    for field, value in conditions:
        known_value, known_bits = registers.get(field.register, (0, 0))
        bits = ((1 << field.bits) - 1) << field.first_bit
        registers[field.register] = (known_value | value << field.first_bit, known_bits | bits)
    return match(**fields, **registers)


def load_owner(tenant_id: int, network_key: int) -> bytes:
    """The action that says whose frame this is: TENANT and NETWORK at once."""
    return actions.set_field("metadata", tenant_id << TENANT.first_bit | network_key << NETWORK.first_bit)


# -- the fabric label in eth_dst:  CCC TTT 10 | label 16 (fabric/labels.py) | key 24 (intent/keys.py)

LABEL_UNICAST, LABEL_BUM, LABEL_ROUTED = 0, 1, 2
_LABEL_MARK = 0b10
_MARK_BITS, _TYPE_AND_MARK_BITS = 0b11, 0b11111
LABEL_BIT, KEY_BIT, KEY_BITS = 24, 0, 24
LEAF_BITS = 6
"""A leaf of the replication tree holds the ports whose index agrees above these bits: at most 64."""


def label_head(kind: int) -> int:
    """eth_dst with the first byte of best-effort class and the given type, label and key still zero."""
    return (kind << 2 | _LABEL_MARK) << 40


def label_any(label: int) -> tuple[int, int]:
    """Matches eth_dst of any class and type under this label: what a switch on the way looks at."""
    return _LABEL_MARK << 40 | label << LABEL_BIT, _MARK_BITS << 40 | 0xFFFF << LABEL_BIT


def label_of_type(label: int, kind: int) -> tuple[int, int]:
    """Matches eth_dst of any class, this type and this label: what the edge at its end looks at."""
    return label_head(kind) | label << LABEL_BIT, _TYPE_AND_MARK_BITS << 40 | 0xFFFF << LABEL_BIT


def key_in_label(key24: int) -> tuple[int, int]:
    """Matches eth_dst that ends in this key."""
    return key24, (1 << KEY_BITS) - 1


def port_in_label(edge_id: int, key24: int) -> tuple[int, int]:
    """Matches eth_dst under any tree's label toward the edge that ends in this key, which is unique there alone."""
    edge_bits = (0xFFFF >> NUMBER_BITS << NUMBER_BITS) << LABEL_BIT
    return edge_id << NUMBER_BITS + LABEL_BIT | key24, edge_bits | (1 << KEY_BITS) - 1


def key_of_slice(slice_: int) -> tuple[int, int]:
    """Matches eth_dst that ends in the key of the slice's network, or of any port of it."""
    return slice_ << INDEX_BITS, ((1 << KEY_BITS - INDEX_BITS) - 1) << INDEX_BITS


def leaf_of(key24: int) -> int:
    """The leaf of the replication tree that a port key belongs to, 0..15."""
    return (key24 & INDEX_MASK) >> LEAF_BITS


# -- groups:  kind 4 | network key 24 | leaf 4, or label 16.  Ascending ids are bottom-up: a group comes after those it
# names.


class GroupKind(IntEnum):
    LEAF = 1
    """copies to at most 64 local ports of a network"""
    LOCAL = 2
    """all leaves: every local port of a network"""
    ALL = 3
    """LOCAL, and one labelled copy to each other edge where the network is present"""
    FAILOVER = 4
    """the first of two ways that is alive, for one working label, of a tree or of an explicit path"""


def group_id(kind: GroupKind, network_key: int, leaf: int = 0) -> int:
    return kind << 28 | network_key << 4 | leaf


def failover_group_id(label: int) -> int:
    return GroupKind.FAILOVER << 28 | label


OWNED_GROUPS = range(1 << 28, 5 << 28)


# -- meters:  1..4095 LLDP by port_no; above, slot * 4 + kind, with slots from intent/keys.py (1024..50000), pipes above


class MeterKind(IntEnum):
    OUT = 0
    """ceiling of what a port sends, or a network or a tenant on this edge"""
    IN = 1
    """ceiling of what it receives"""
    SERVICE = 2
    """queries that a port may have answered"""
    BUM = 2
    """broadcast and multicast that a network may replicate here"""
    HEARING = 3
    """the one frame that shows an AUTO port to be a host's; the slot is 1024 + port_no"""


LAST_OWN_PUNT_METER = 4094
"""Switch ports above share one LLDP meter, the next number."""
FIRST_SLOT, LAST_SLOT = 1024, 50_000
LAST_PIPE = RANGES["pipes"][1]
"""Pipes have slots above those of switches, the same on every switch."""


def meter_id(slot: int, kind: MeterKind) -> int:
    return slot * 4 + kind


def pipe_meter_id(pipe_id: int, kind: MeterKind) -> int:
    return meter_id(LAST_SLOT + 1 + pipe_id, kind)


def lldp_meter_id(port_no: int) -> int:
    return min(port_no, LAST_OWN_PUNT_METER + 1)


def hearing_meter_id(port_no: int) -> int:
    return meter_id(FIRST_SLOT + lldp_meter_id(port_no), MeterKind.HEARING)


OWNED_METERS = range(1, 4 * (LAST_SLOT + 1 + LAST_PIPE + 1))

SERVICE_PPS, SERVICE_BURST = 100, 200
"""Per port: answers are made on the slow path, and one host's storm must not take its neighbours' ARP."""
BUM_PPS, BUM_BURST = 2_000, 2_000
"""Per network and edge: the port's own meter counted the frame once, replication multiplies it."""
LLDP_PPS, LLDP_BURST = 20, 20
HEARING_PPS, HEARING_BURST = 1, 1
COUNTING_KBPS, COUNTING_KBIT = 400_000_000, 1_000_000
"""Of a meter that only counts: as much as a rate can be, and a burst that in bits is less than 32 of them."""


# -- cookies


class Kind(IntEnum):
    """The kind byte in the cookie of a flow: which kind of fragment it belongs to (FragmentKey.kind in capitals)."""

    SWITCH = 1
    SWITCH_PORT = 2
    LABEL = 3
    REACH = 4
    TENANT = 5
    NETWORK = 6
    FLOOD = 7
    PORT = 8
    PEER = 9
    EXPLICIT = 10
    STEER = 11
    QUEUE = 12
    PIPE = 13
    CEILING = 14
    ROUTE = 15
    NEIGHBOUR = 16


HOLDS: dict[Kind, str] = {
    Kind.SWITCH: "table misses, guards, drop counters, canary: what every switch has",
    Kind.SWITCH_PORT: "how frames of a port that is no tenant port are classified, its LLDP punt and meters",
    Kind.LABEL: "forwarding of one label toward an edge, with its failover group, or the end of it",
    Kind.REACH: "which labels frames toward an edge get here: one version, spread over its trees",
    Kind.EXPLICIT: "forwarding of one label of an explicit path, with its failover group, or the end of it",
    Kind.STEER: "which labels the frames of one network get here toward one edge, as its path policy wants",
    Kind.TENANT: "the tenant's drop counters here",
    Kind.NETWORK: "BUM of a network: root groups, meter; the way to its gateways, and who they are",
    Kind.FLOOD: "one leaf of a network's local replication tree",
    Kind.PORT: "a port bound here: classify, port security, meters, unlabel, deliver",
    Kind.PEER: "what this edge knows of any port of a network present on it: fdb, ARP and ND answers",
    Kind.QUEUE: "which queue the labelled frames of a network take, if its tenant has a guarantee",
    Kind.PIPE: "meters of a pipe between ports where they are, and the queue of a pipe's frames if it has a guarantee",
    Kind.CEILING: "the meters of the ceilings of a tenant, network, or pipe between networks here",
    Kind.ROUTE: "the router of a network: where its frames may be routed, and the echoes that its gateways answer",
    Kind.NEIGHBOUR: "what this edge knows of any port that frames may be routed to from here: its addresses",
}
