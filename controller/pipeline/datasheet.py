"""docs/pipeline.md, written from tables.py: an operator's page that cannot disagree with the program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller.openflow.entries import COOKIE_OWNER
from controller.pipeline import tables
from controller.pipeline.tables import BitField, Kind, Reason, Table

_HEAD = """\
# The pipeline

Generated from `controller/pipeline/tables.py` by `make golden`; edit it there.  Schema version {version}.

    tenant port -> classify -> port_security -> services -> tx meters -> fdb -> pipe -> place -+-> rx meters -> deliver
                                    to a gateway: fdb -> route -> neighbour -> pipe            |
                            fabric port -> classify -> fabric -> unlabel ----------------------+   (here)
                                                          ^                                    |
                                                          +------ label <- path <--------------+   (elsewhere)

Read it beside `ovs-ofctl -O OpenFlow13 dump-flows BRIDGE`.  Tenants never meet: the network key in
`metadata` is set from the switch port a frame came in on, every look-up of an address or MAC matches it, and between
switches the key travels in the label.  Whatever no table wants ends in table {drop}, counted by reason.

Table {queue} stands before `fabric` on switches whose queues are chosen by flows; on others no way leads there.
"""

_LABEL = """\
## The fabric label

Between edge switches `eth_dst` carries a label; the last switch writes the real MAC back.  `pliant decode <mac>`
reads it.

| bits | holds |
|---|---|
| 47..45 | class: 0 best effort |
| 44..42 | type: 0 unicast, 1 BUM, 2 unicast routed from another network |
| 41..40 | `10`: locally administered, unicast |
| 39..24 | edge id (11), backup (1), version (2), tree (2): a connection keeps one of the version's working trees, |
| | and changes to a backup tree, backup = 1, where a link is dead |
| | or `0xF000` and up, an explicit path: number (11), backup (1) |
| 23..0 | key: slice of the network (14), index of the port on that edge (10); of the network itself (BUM): 0 |

A tenant's own MACs may look like labels and do no harm: frames of tenant ports reach table {fabric} only through
table {label}.
"""

_NUMBERS = """\
## Groups and meters

Group id = kind (4 bits), network key (24), leaf (4).  Kind 1: a leaf, copies to at most 64 local ports;
2: all leaves; 3: all leaves and one labelled copy to each other edge where the network is present.

Kind 4 is fast failover, one for each working label that has another way here; the low 16 bits are the label.  Bucket 1
watches the port of the label's hop and sends there.  Bucket 2 watches another port, writes the backup label over the
working one and sends there, even if the frame came from there.  Frames under a backup label pass no group.  A switch
that has no groups sends by the hop alone.

| meter id | polices | rate |
|---|---|---|
| port_no, at most 4095 | LLDP to the controller | {lldp} packets/s |
| slot x 4 + 0, + 1 | ceiling out, in: of a port; of a network or a tenant on this edge | as asked, or its share |
| (50,001 + pipe) x 4 + 0, + 1 | ceiling of a pipe, from its end a to b, from b to a | as asked, or its share |
| the same, of a pipe with a guarantee alone | nothing: it counts what the pipe carries | {counting:g} Gbit/s |
| slot x 4 + 2 of a port | queries the switch answers for it | {service} packets/s |
| slot x 4 + 2 of a network | broadcast and multicast of the network from this edge | {bum} packets/s |
| (1024 + port_no) x 4 + 3 | the frame that shows a port to be a host's | {hearing} packet/s |

A frame passes the meters of its port, its network and its tenant in this order, out where it enters and in where it
leaves; what one drops, the next never sees.  Of a ceiling that ports on several edges have together, each edge holds a
share.  Without a ceiling there is no meter, but for the
pipes that are counted by one.

A switch that has no meters enforces no ceiling and answers unmetered; it is good for the core.

## Limits of this version

At most about 1,000 ports of one network on one switch: OVS drops a frame that needs more than 4,096 look-ups, and each
receiver of a broadcast takes four.  Where the network or the port has a ceiling in it takes five: about 800.  No
DHCP, no VLAN tags from tenants, no ICMP errors from routers.  IPv6 hosts use the link-local address of their MAC
(EUI-64); privacy link-local addresses are dropped as spoofed unless they are the port's own.
"""


def render_markdown() -> str:
    parts = [
        _HEAD.format(version=tables.SCHEMA_VERSION, drop=tables.DROP.number, queue=tables.QUEUE.number),
        _section("Tables", ("table", "name", "does", "else"), map(_table_row, tables.TABLES)),
        _section("Registers", ("field", "bits", "holds"), map(_field_row, tables.BIT_FIELDS)),
        _LABEL.format(fabric=tables.FABRIC.number, label=tables.LABEL.number),
        _section("Drop reasons", ("reg1", "name", "meaning"), (
            (str(int(reason)), f"`{reason.name}`", tables.MEANING[reason]) for reason in Reason
        )),
        "Each reason is counted per switch, and per tenant on a switch where the tenant is known.\n",
        _section("Cookies", ("cookie", "fragment", "holds"), map(_kind_row, Kind)),
        "The other 48 bits are a fingerprint of the flow.\n",
        _NUMBERS.format(
            lldp=tables.LLDP_PPS, service=tables.SERVICE_PPS, bum=tables.BUM_PPS, hearing=tables.HEARING_PPS,
            counting=tables.COUNTING_KBPS / 1e6,
        ),
    ]
    return "\n".join(parts)


def _table_row(table: Table) -> Sequence[str]:
    match table.miss:
        case Reason() as reason:
            miss = f"drop: `{reason.name}`"
        case None:
            miss = ""
        case number:
            miss = f"-> {number}"
    return str(table.number), f"`{table.name}`", table.does, miss


def _field_row(field: BitField) -> Sequence[str]:
    last_bit = field.first_bit + field.bits - 1
    return f"`{field.name}`", f"{field.register}[{field.first_bit}..{last_bit}]", field.holds


def _kind_row(kind: Kind) -> Sequence[str]:
    return f"`0x{COOKIE_OWNER >> 56:02x}{kind:02x}...`", f"`{kind.name.lower()}`", tables.HOLDS[kind]


def _section(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"## {title}", "", _row(heads), _row(["---"] * len(heads)), *map(_row, rows), ""]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
