"""Paths through the fabric.  Pure: knows the graph; not labels, tenants or who reserved what.

    tree           what a hop and a tree are
    arrays         the topology as arrays of integers: what everything below works on
    plan           how every switch forwards toward one edge: shortest paths, and around failures
    shortest       all distances and all equal-cost next hops, and what one change of a link makes of them
    constrained    one path within bounds, or the bound that forbids it
    alternatives   the k best paths
    disjoint       pairs of paths, and sets of in-trees, that no single failure cuts together
    utilisation    demands split over paths so that the busiest link is least busy
"""

from controller.fabric.paths.tree import Hop, Tree

__all__ = ["Hop", "Tree"]
