"""Topologies by name, in the words of Mininet's --topo: `fat_tree,k=4`.

Every file of topologies/ is one.  Knows how to find and build them, and what to say when that cannot be; starts
nothing.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from mininet.topo import Topo
from mininet.util import splitArgs

import topologies

DEFAULT = "leaf_spine,spines=2,leaves=3,hosts=2"
"""The demo's."""


class TopologyError(Exception):
    """There is no such topology, or not with these parameters; the message says what there is."""


def build(text: str) -> Topo:
    """The topology that the text names."""
    name, arguments, options = splitArgs(text)
    known = sorted(module.name for module in pkgutil.iter_modules(topologies.__path__))
    if name not in known:
        raise TopologyError(f"no topology is called {name!r}; there are {', '.join(known)}")
    kind = importlib.import_module(f"topologies.{name}").topos[name]
    takes = [parameter for parameter in inspect.signature(kind.build).parameters if parameter != "self"]
    strange = [option for option in options if option not in takes]
    if strange or len(arguments) > len(takes):
        wrong = f"{', '.join(strange)} is not among" if strange else "more values than"
        raise TopologyError(f"{name}: {wrong} its parameters {', '.join(takes)}")
    try:
        return kind(*arguments, **options)
    except ValueError as error:
        raise TopologyError(f"{name}: {error}") from error


def dpid_of(topo: Topo, switch: str) -> str:
    """The dpid of a switch, 16 hex digits."""
    return str(topo.nodeInfo(switch)["dpid"])


def wires(topo: Topo) -> list[dict[str, Any]]:
    """What the topology says of each wire between two switches: node1, port1, node2, port2, and its options."""
    switches = set(topo.switches())
    return [info for one, other, info in topo.links(withInfo=True) if one in switches and other in switches]
