"""How long changes take, how many shares of ceilings move, what waits, and what is carried, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.model.usage import Usage

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
COMPILE_SECONDS = Histogram("pliant_compile_seconds", "Time to work changes into the programs.", buckets=BUCKETS_S)
APPLY_SECONDS = Histogram(
    "pliant_apply_seconds", "Time from handing a change to the switches to its last confirmation.", buckets=BUCKETS_S)
SHARES_TOLD = Counter("pliant_shares_told_total", "Shares of ceilings told to switches.")
STARVED_EDGES = Gauge(
    "pliant_starved_edges", "Edges whose new paths wait, for switches out of reach hold all versions of their labels.")


class Carried(Collector):
    """Bytes by tenant, by port and by link: as many lines as there are of these, never one for a flow."""

    def __init__(self) -> None:
        self.usage: Callable[[str], Sequence[Usage]] = lambda kind: ()
        """kind -> of all of them; set by whoever assembles the controller"""

    def collect(self) -> Iterable[Metric]:
        for kind in ("tenant", "port", "link"):
            carried = CounterMetricFamily(
                f"pliant_{kind}_bytes", f"What each {kind} carried.", labels=(kind, "direction"))
            dropped = CounterMetricFamily(
                f"pliant_{kind}_dropped_bytes", f"What was dropped of each {kind}.", labels=(kind, "direction"))
            for usage in self.usage(kind):
                for way, traffic in (("in", usage.inward), ("out", usage.outward)):
                    if kind != "link" or way == "out":
                        carried.add_metric((usage.name, way), traffic.bytes)
                        dropped.add_metric((usage.name, way), traffic.dropped_bytes)
            yield carried
            yield dropped

    def describe(self) -> Iterable[Metric]:
        return ()


CARRIED = Carried()
REGISTRY.register(CARRIED)
