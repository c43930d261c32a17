"""Whether switches may go over from one plan to the next one by one, under the same labels, while frames are under way.

They may if under each label, backup labels too, all hops that anybody holds or is about to hold make no circle:

    old   A ──► S1 ──► E      mixed   A ──► S1 ──► E      old   A ──► B ──► E      mixed   A ◄──► B ──► E
    new   A ──► S2 ──► E              └───► S2 ──► E      new   B ──► A ──► E              no: a circle

Then every frame arrives, whatever mixture it meets, and no matter which part of a switch changes first:

- Each hop leads to a switch that holds the label, and under one label nothing comes to a switch twice.
- Where a link is dead a frame changes to a backup label, by the hop that the switch itself has under that label.  So
  nothing leads back to that switch under it, and whatever does not come there does not cross its dead link.

Knows hops; not versions, nor who confirmed what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from controller.fabric.paths.plan import Hops

Held = Mapping[int, Sequence[Hops]]
"""dpid -> all the hops toward one edge that the switch may hold"""


def may_mix(held: Held) -> bool:
    """Whether every frame toward the edge arrives, whichever of its hops each switch holds."""
    labels: dict[tuple[str, int], dict[int, set[int]]] = {}
    for dpid, each in held.items():
        if len({(len(hops.working), len(hops.backup)) for hops in each}) > 1:
            return False  # a label comes or goes
        for hops in each:
            for kind, ways in (("working", hops.working), ("backup", hops.backup)):
                for tree, hop in enumerate(ways):
                    labels.setdefault((kind, tree), {}).setdefault(dpid, set()).add(hop.dpid)
    return all(_arrives(onward) for onward in labels.values())


def _arrives(onward: Mapping[int, set[int]]) -> bool:
    """Whether under one label no frame comes where the label is not held, or to one switch twice."""
    finished: set[int] = set()
    for start in onward:
        way: dict[int, Iterator[int]] = {}
        following: list[int] = [] if start in finished else [start]
        while following:
            at = following[-1]
            if at not in way:
                way[at] = iter(onward[at] - {at})  # at the edge the label ends
            head = next((head for head in way[at] if head not in finished), None)
            if head is None:
                finished.add(following.pop())
            elif head in way or head not in onward:
                return False
            else:
                following.append(head)
    return True
