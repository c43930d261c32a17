"""What each owner (a tenant, or a pipe) is granted on each switch port, and who gets less than was promised."""

from __future__ import annotations

from dataclasses import dataclass

from immutables import Map

from controller.fabric.ports import EndPoint
from controller.model.queues import Grant

Grants = Map[EndPoint, Map[str, Grant]]
"""switch port -> {owner: what it is guaranteed of what leaves there}; nothing where nobody is guaranteed anything"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """An owner whose guarantee does not fit any more."""

    share: float
    """the least, of all links, of its guarantee there that it keeps; 0 to 1"""
    links: tuple[EndPoint, ...]
    """where it keeps less than all, worst first"""
    why: str
