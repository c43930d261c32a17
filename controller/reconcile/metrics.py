"""How long changes take, how many shares of ceilings move, and what waits, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
COMPILE_SECONDS = Histogram("pliant_compile_seconds", "Time to work changes into the programs.", buckets=BUCKETS_S)
APPLY_SECONDS = Histogram(
    "pliant_apply_seconds", "Time from handing a change to the switches to its last confirmation.", buckets=BUCKETS_S)
SHARES_TOLD = Counter("pliant_shares_told_total", "Shares of ceilings told to switches.")
STARVED_EDGES = Gauge(
    "pliant_starved_edges", "Edges whose new paths wait, for switches out of reach hold all versions of their labels.")
