"""All simple paths of a small topology, the slow way: what every search is held against."""

from __future__ import annotations

from collections.abc import Iterator

from controller.fabric.graph import EndPoint
from controller.fabric.paths import Tree
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.path import Path, path_of

Length = tuple[int, int]
"""(cost, hops), which is how paths are ordered"""


def simple_paths(topology: Topology, src: int, dst: int) -> list[Path]:
    """Every path that meets no switch twice."""
    wiring = topology.wiring

    def extend(at: int, met: list[int], links: list[int]) -> Iterator[list[int]]:
        if at == wiring.switch_index[dst]:
            yield links
            return
        for x, head in wiring.out[at]:
            if topology.up[x] and head not in met:
                yield from extend(head, [*met, head], [*links, x])

    start = wiring.switch_index[src]
    return [path_of(topology, start, links) for links in extend(start, [start], [])]


def length(path: Path) -> Length:
    return path.cost, len(path.links)


def wire(topology: Topology, src: EndPoint) -> frozenset[EndPoint]:
    """Both directions of a link, or only itself if there is no other."""
    x = topology.wiring.link_index[src]
    back = topology.wiring.reverse[x]
    return frozenset({src, topology.wiring.srcs[back]}) if back >= 0 else frozenset({src})


def wires(topology: Topology, path: Path) -> set[frozenset[EndPoint]]:
    return {wire(topology, src) for src in path.links}


def walk(topology: Topology, tree: Tree, dpid: int) -> Path:
    """The path a tree gives a switch."""
    index = topology.wiring.link_index
    at, links = dpid, []
    while tree[at].dpid != at:
        src = EndPoint(at, tree[at].port_no)
        assert topology.up[index[src]] and topology.wiring.dsts[index[src]].dpid == tree[at].dpid
        links.append(index[src])
        at = tree[at].dpid
        assert len(links) < len(tree), "a loop"
    return path_of(topology, topology.wiring.switch_index[dpid], links)
