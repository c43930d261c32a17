"""pliant decode: the fabric label in eth_dst, explained offline; and names for it, and for queues, if asked for.

    eth_dst   CCC TTT 10 | edge 11 . backup 1 . version 2 . tree 2 | slice 14 . index 10
              class, type   label: to which edge, on which tree    key: whose network, and which port
                            1111 . path 11 . backup 1

docs/pipeline.md has the layout, controller/pipeline/tables.py the source of truth; a test holds the two together.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

import click

from apps.cli.errors import INVALID, Failure
from apps.cli.session import Session

CLASSES = {0: "best effort", 1: "guaranteed", 2: "excess", 3: "low latency", 7: "control"}
_MAC = re.compile(r"[0-9a-f]{1,2}([:-][0-9a-f]{1,2}){5}|[0-9a-f]{12}|([0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE)
TYPES = {0: "unicast", 1: "broadcast or multicast", 2: "unicast, routed from another network"}
FIRST_EXPLICIT_LABEL = 0xF000
_CLASS = re.compile(r"5011:([0-9a-f]{1,4})", re.IGNORECASE)
_OWN_CLASSES = {
    0xFFFF: "the port's rate", 0xFFFE: "best effort", 0xFFFD: "control", 0xFFFC: "what waits while classes change"}
GATEWAY_LABEL = 0x005E
"""What bytes 1 and 2 of a network's gateway MAC (02:00:5e and its key) would be as a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What the 48 bits say.  Of an explicit path's label edge, version and tree mean nothing: None."""

    mac: str
    traffic_class: str
    type: str
    label: int
    edge_id: int | None
    path: int | None
    """the number of the explicit path; None: it is a tree's label"""
    backup: bool
    version: int | None
    tree: int | None
    slice: int
    index: int

    @property
    def index_of(self) -> str:
        return "the network" if self.type == TYPES[1] else "its port"


def decode_label(text: str) -> Label:
    """ValueError if it is no MAC address, or none that can be a label."""
    if not _MAC.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no MAC address")
    parts = re.split(r"[:-]", text)
    value = int("".join(part.zfill(2) for part in parts).replace(".", ""), 16)
    head, label, key = value >> 40, value >> 24 & 0xFFFF, value & 0xFFFFFF
    mac = ":".join(f"{byte:02x}" for byte in value.to_bytes(6, "big"))
    if head & 0b11 != 0b10:
        raise ValueError(f"{mac} is no fabric label: a label is a locally administered unicast address")
    tree = label < FIRST_EXPLICIT_LABEL
    return Label(
        mac=mac,
        traffic_class=CLASSES.get(head >> 5, str(head >> 5)),
        type=TYPES.get(head >> 2 & 0b111, str(head >> 2 & 0b111)),
        label=label,
        edge_id=label >> 5 if tree else None,
        path=None if tree else (label - FIRST_EXPLICIT_LABEL) >> 1,
        backup=bool(label >> 4 & 1 if tree else label & 1),
        version=label >> 2 & 0b11 if tree else None,
        tree=label & 0b11 if tree else None,
        slice=key >> 10,
        index=key & 0x3FF,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueClass:
    """A class of ours as tc names it."""

    minor: int
    means: str

    @property
    def queue(self) -> int:
        """The queue's number, as OpenFlow has it; 0: none of an owner's."""
        return 0 if self.minor in _OWN_CLASSES else self.minor


def decode_class(text: str) -> QueueClass | None:
    """None if it is no class of Pliant's."""
    found = _CLASS.fullmatch(text)
    if found is None:
        return None
    minor = int(found[1], 16)
    return QueueClass(minor=minor, means=_OWN_CLASSES.get(minor, "the sum of its parts" if minor & 1 else "its frames"))


@click.command()
@click.argument("values", nargs=-1, required=True, metavar="MAC|CLASS...")
@click.option("-w", "--who", is_flag=True, help="Ask the controller whose they are.")
@click.option("-o", "--output", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def decode(session: Session, values: tuple[str, ...], who: bool, format_: str) -> None:
    """Explain fabric labels, as tcpdump shows them, and queues, as tc does.

    On links between switches the destination MAC of a frame is a label; a tenant's own frame may look like one, but
    only on links to hosts.  Classes of queues are named 5011:HEX.  Without --who no controller is needed.

    \b
    pliant decode 02:00:20:00:04:01
    pliant decode --who 02:00:20:00:04:01 5011:a
    """
    try:
        decoded = [decode_class(text) or decode_label(text) for text in values]
    except ValueError as error:
        raise Failure(str(error), INVALID) from error
    names = [_names(session, each) if who else {} for each in decoded]
    if format_ == "json":
        click.echo(json.dumps([asdict(each) | found for each, found in zip(decoded, names, strict=True)], indent=2))
        return
    for number, (each, found) in enumerate(zip(decoded, names, strict=True)):
        if number:
            click.echo()
        rows = _explained(each) if isinstance(each, Label) else _explained_class(each)
        for key, value in (*rows, *((key, name or "-") for key, name in found.items())):
            click.echo(f"{key:<9} {value}")


def _names(session: Session, decoded: Label | QueueClass) -> dict[str, str]:
    if isinstance(decoded, Label):
        found = session.client.identify(label=decoded.mac)
        return {"network": found.network, "port": found.port, "switch": found.switch}
    return {"owner": session.client.identify(queue=decoded.queue).queue_owner} if decoded.queue else {}


def _explained_class(decoded: QueueClass) -> list[tuple[str, str]]:
    number = [("queue", str(decoded.queue))] if decoded.queue else []
    return [("class", f"5011:{decoded.minor:x}"), *number, ("holds", decoded.means)]


def _explained(label: Label) -> list[tuple[str, str]]:
    rows = [("mac", label.mac), ("class", label.traffic_class), ("type", label.type)]
    if label.edge_id is None:
        backup = ", its backup" if label.backup else ""
        rows.append(("label", f"0x{label.label:04x}: explicit path {label.path}{backup}"))
    else:
        tree = f"version {label.version}, {'backup ' if label.backup else ''}tree {label.tree}"
        rows.append(("label", f"0x{label.label:04x}: edge {label.edge_id}, {tree}"))
    rows += [("slice", f"{label.slice} (of a network)"), ("index", f"{label.index} ({label.index_of})")]
    if label.label == GATEWAY_LABEL and label.mac.startswith("02:"):
        rows.append(("or", f"at a host: the gateway of the network of slice {label.slice}"))
    return rows
