"""Paths through the fabric.  Pure: knows the graph; not labels, tenants or who reserved what.

    tree           the shortest in-tree toward one edge, over the fabric as it stands
    arrays         the topology as arrays of integers: what everything below works on
    shortest       all distances and all equal-cost next hops, and what one change of a link makes of them
    constrained    one path within bounds, or the bound that forbids it
    alternatives   the k best paths
    disjoint       pairs of paths, and sets of in-trees, that no single failure cuts together
    utilisation    demands split over paths so that the busiest link is least busy
"""

from controller.fabric.paths.tree import Hop, Tree, in_tree

__all__ = ["Hop", "Tree", "in_tree"]
