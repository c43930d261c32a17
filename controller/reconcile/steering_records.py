"""What a restart must know of steering, as JSON-able records: a record for each explicit path and each steered network.

    explicit/{number}      links of the path and of its backup, switches that have not confirmed it
    steer/{network}        what is written between its edges, where that is not all trees
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.fabric.explicit import ExplicitPath, Leg, Legs, Route, Steer
from controller.fabric.ports import EndPoint
from controller.reconcile.steering import Kept, Steers

Json = Any


def records(kept: Kept) -> dict[str, Json]:
    """None: the record is to be deleted."""
    found: dict[str, Json] = {f"explicit/{number}": _from_path(path) for number, path in kept.paths.items()}
    for network, steers in kept.steers.items():
        rows = [[src, dst, steer.trees, steer.version, steer.numbers] for (src, dst), steer in sorted(steers.items())]
        found[f"steer/{network}"] = rows or None
    return found


def restore(found: Mapping[str, Json]) -> Kept:
    """ValueError names a record that cannot be read.  Records of other kinds are left alone."""
    kept = Kept()
    for key, record in found.items():
        kind, _, subject = key.partition("/")
        if record is None or kind not in ("explicit", "steer"):
            continue
        try:
            if kind == "explicit":
                kept.paths[int(subject)] = _to_path(record)
            else:
                kept.steers[subject] = _to_steers(record)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"record {key!r} of explicit paths cannot be read: {error!r}") from error
    return kept


def _from_path(path: ExplicitPath | None) -> Json:
    if path is None:
        return None
    return {
        "working": path.route.working, "backup": path.route.backup, "pending": sorted(path.pending),
    }


def _to_path(record: Json) -> ExplicitPath:
    route = Route(working=_to_legs(record["working"]), backup=_to_legs(record["backup"]))
    return ExplicitPath(route=route, pending=frozenset(record["pending"]))


def _to_legs(record: Json) -> Legs:
    return tuple(Leg(EndPoint(*src), EndPoint(*dst)) for src, dst in record)


def _to_steers(record: Json) -> Steers:
    return {
        (src, dst): Steer(tuple(trees), version, tuple(numbers)) for src, dst, trees, version, numbers in record
    }
