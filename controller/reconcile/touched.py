"""What steps of the engine touched: where something may be different, never what became of it.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.fabric.ports import EndPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What may be different."""

    names: frozenset[str] = frozenset()
    """objects that came, changed or went, are bound elsewhere, or have other rates in force"""
    switches: frozenset[int] = frozenset()
    links: frozenset[EndPoint] = frozenset()
    everything: bool = False


NOTHING, EVERYTHING = Touched(), Touched(everything=True)


def together(steps: Sequence[Touched]) -> Touched:
    """What all of them touched."""
    if len(steps) <= 1:
        return steps[0] if steps else NOTHING
    return Touched(
        names=frozenset().union(*(step.names for step in steps)),
        switches=frozenset().union(*(step.switches for step in steps)),
        links=frozenset().union(*(step.links for step in steps)),
        everything=any(step.everything for step in steps))
