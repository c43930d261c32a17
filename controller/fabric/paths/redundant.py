"""In-trees toward one edge, in pairs that no single failure cuts both: a switch's two paths share nothing avoidable.

Source: Medard, Finn, Barry and Gallager, "Redundant trees for preplanned recovery in arbitrary vertex-redundant or
edge-redundant graphs" (1999), in the form of Maximally Redundant Trees (RFC 7811): within each 2-connected block all
switches are put in an order by adding ears, so that each has a neighbour before it and one after it, with the block's
way out at both ends of the order:

        out --> a --> b --> c --> out        the first tree of a pair leads everyone down the order, the second up;
                 \\--> d -->/                  below a switch and above it are different switches, so the two paths meet
                                             only at the way out, and there by different links

Block after block, the two paths of a switch share only the switches and bridges that every path has to take.

Any order made of ears is right; ours aims at short paths.  Switches join nearest first, each where the way down plus
the way up is least; trees are then shortest paths down and up the whole order.  Among equals a rank decides that is
drawn anew for each pair, after whether earlier trees sent the switch there, so that further pairs use other links.

A wire counts if both directions are up.  A switch with only one-way links to the rest is hung on by its best path,
alike in all trees.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import networkx as nx
import numpy as np
from immutables import Map

from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.ears import Neighbours, ear_order
from controller.fabric.paths.shortest import distances_to
from controller.fabric.paths.tree import Hop, Tree, rank

Links = dict[int, int]
"""switch -> the link by which it sends; all by index"""


def in_trees(topology: Topology, edge: int, count: int) -> tuple[Tree, ...]:
    """So many in-trees toward a dpid: first and second are a redundant pair, so are third and fourth, and so on.

    Empty trees if the edge is not a known switch.  For the trees of many edges see RedundantTrees.
    """
    return RedundantTrees(topology).toward(edge, count)


class RedundantTrees:
    """What the trees toward all edges of one topology have in common, computed once."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        wiring, weights = topology.wiring, topology.weights
        both = [back >= 0 and bool(topology.up[x] and topology.up[back]) for x, back in enumerate(wiring.reverse)]
        self._wire_weight = np.where(both, topology.weight, np.inf)
        self._links: list[dict[int, list[int]]] = [{} for _ in wiring.dpids]
        """switch -> neighbour -> the links there, best first"""
        for at, out in enumerate(wiring.out):
            for x, head in out:
                if both[x]:
                    self._links[at].setdefault(head, []).append(x)
        for by_neighbour in self._links:
            for parallel in by_neighbour.values():
                parallel.sort(key=lambda x: (weights[x], x))
        graph: nx.Graph[int] = nx.Graph((at, head) for at, heads in enumerate(self._links) for head in heads)
        components: Iterable[Iterable[int]] = nx.biconnected_components(graph)  # type: ignore[assignment]
        self._blocks = [frozenset(block) for block in components]
        self._blocks_at: list[list[int]] = [[] for _ in wiring.dpids]
        for i, block in enumerate(self._blocks):
            for at in block:
                self._blocks_at[at].append(i)

    def toward(self, edge: int, count: int) -> tuple[Tree, ...]:
        """See in_trees."""
        wiring = self._topology.wiring
        root = wiring.switch_index.get(edge)
        if root is None:
            return (Map(),) * count
        distance: list[float] = distances_to(self._topology, self._wire_weight, np.array([root]))[:, 0].tolist()
        trees: list[Links] = []
        for turn in range(-(-count // 2)):
            trees += self._pair(root, turn, distance, trees)
        loose = self._loose(root, distance)
        return tuple(self._tree(edge, tree | loose) for tree in trees[:count])

    def _pair(self, root: int, turn: int, distance: list[float], earlier: list[Links]) -> tuple[Links, Links]:
        """Two trees over all that has a path of wires to the root."""
        dpids = self._topology.wiring.dpids
        ranks = [int.from_bytes(rank(dpids[root], dpid, turn)) for dpid in dpids]
        down: Links = {}
        up: Links = {}
        done: set[int] = set()
        queue = deque([root])
        while queue:
            out = queue.popleft()
            for i in self._blocks_at[out]:
                if i not in done:
                    done.add(i)
                    self._through(self._blocks[i], out, turn, ranks, distance, earlier, down, up)
                    queue.extend(sorted(self._blocks[i] - {out}))
        return down, up

    def _through(
        self,
        block: frozenset[int],
        out: int,
        turn: int,
        ranks: list[int],
        distance: list[float],
        earlier: list[Links],
        down: Links,
        up: Links,
    ) -> None:
        """Add the hops of one block's switches toward its way out."""
        weights, head = self._topology.weights, self._topology.wiring.head
        inside: Neighbours = {
            at: {n: weights[links[0]] for n, links in self._links[at].items() if n in block} for at in block
        }
        parallel = {at for at in block if len(self._links[at].get(out, ())) > 1}
        nearest_first = sorted(block - {out}, key=lambda x: (distance[x], ranks[x]))
        order, ends = ear_order(inside, out, nearest_first, ranks, parallel)
        for side, (tree, sequence) in enumerate(((down, order), (up, order[::-1]))):
            spent: dict[int, float] = {}
            for at in sequence:  # neighbours that already have a distance are those on this side
                sides = {n: spent[n] for n in inside[at] if n in spent}
                if side in ends.get(at, ()):
                    sides[out] = 0.0
                tried = [int(head[links[at]]) for links in earlier if at in links]
                hop = min(sides, key=lambda n: (sides[n] + inside[at][n], tried.count(n), ranks[n]))
                spent[at] = sides[hop] + inside[at][hop]
                taken = down.get(at, -1) if side else -1
                tree[at] = self._link(at, hop, 2 * turn + side, taken)

    def _link(self, at: int, hop: int, turn: int, taken: int) -> int:
        """Of the best parallel links one in turn; any but the one taken, if there is another."""
        links = self._links[at][hop]
        weights = self._topology.weights
        best = [x for x in links if weights[x] == weights[links[0]]]
        link = best[turn % len(best)]
        return link if link != taken else next((x for x in links if x != taken), taken)

    def _loose(self, root: int, by_wires: list[float]) -> Links:
        """The hops of those whom only one-way links join to the rest."""
        topology = self._topology
        distance: list[float] = distances_to(topology, topology.weight, np.array([root]))[:, 0].tolist()
        infinite = float("inf")
        loose = [at for at, d in enumerate(distance) if d < infinite and by_wires[at] == infinite]
        return {
            at: next(x for x, n in topology.wiring.out[at] if topology.weights[x] + distance[n] == distance[at])
            for at in loose
        }

    def _tree(self, edge: int, links: Links) -> Tree:
        wiring = self._topology.wiring
        hops: Iterable[tuple[int, Hop]] = (
            (wiring.dpids[at], Hop(wiring.srcs[x].port_no, wiring.dsts[x].dpid)) for at, x in links.items()
        )
        return Map({edge: Hop(0, edge), **dict(hops)})
