"""A picture of bandwidth over time: what each got, its guarantee, its ceiling, and what it borrowed, shaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One tenant.  All sequences are of the same length; Mbit/s."""

    name: str
    at_s: Sequence[float]
    rate_mbps: Sequence[float]
    ceiling_mbps: Sequence[float]
    guarantee_mbps: float


def draw(path: Path, lines: Sequence[Line], *, title: str) -> None:
    """One panel for each line, above each other, as a PNG of 1,200 by 300 a panel."""
    figure = Figure(figsize=(12, 3 * len(lines)), dpi=100, layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(len(lines), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for panel, line in zip(panels, lines, strict=True):
        guarantee = [line.guarantee_mbps] * len(line.at_s)
        own = [min(rate, line.guarantee_mbps) for rate in line.rate_mbps]
        borrows = [rate > line.guarantee_mbps for rate in line.rate_mbps]
        panel.fill_between(line.at_s, own, color="tab:blue", alpha=0.25, linewidth=0, label="within its guarantee")
        panel.fill_between(line.at_s, own, line.rate_mbps, where=borrows, interpolate=True, color="tab:orange",
                           alpha=0.4, linewidth=0, label="borrowed")
        panel.plot(line.at_s, line.rate_mbps, color="black", linewidth=1.2, label="what arrived")
        panel.plot(line.at_s, guarantee, color="tab:blue", linestyle="--", linewidth=1, label="guarantee")
        panel.step(line.at_s, line.ceiling_mbps, where="post", color="tab:red", linestyle=":", linewidth=1.2,
                   label="ceiling (the link's, or its own)")
        panel.set_ylabel(f"{line.name}\nMbit/s")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize="small")
    panels[-1].set_xlabel("seconds")
    figure.savefig(path)
