"""The words for in-trees: how every switch reaches one edge."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from immutables import Map


class Hop(NamedTuple):
    """Where a switch sends frames toward an edge: by `port_no`, to the switch `dpid`; at the edge itself (0, edge)."""

    port_no: int
    dpid: int


Tree = Map[int, Hop]
"""dpid -> its hop toward one edge.  Closed (each hop's switch is in it, too) and without loops."""


def rank(edge_dpid: int, dpid: int, turn: int = 0) -> bytes:
    """Where a switch stands among equals on the way to an edge: the same in every run, another in each turn."""
    return blake2b(edge_dpid.to_bytes(8) + dpid.to_bytes(8), digest_size=16, salt=turn.to_bytes(8)).digest()
