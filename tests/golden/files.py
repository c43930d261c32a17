"""What the golden files should hold: programs in ovs-ofctl's text with table names, and the generated page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from controller.fabric.events import QueuesFound
from controller.model.bandwidth import BandwidthPolicy
from controller.openflow.text import flow_text, group_text, meter_text
from controller.pipeline import tables
from controller.pipeline.datasheet import render_markdown
from controller.pipeline.world import Fragment, FragmentKey, Share
from tests.support.worlds import Lab

GOLDEN = Path(__file__).parent
DOCS = GOLDEN.parent.parent / "docs"


def expected() -> dict[Path, str]:
    """Path -> content of every file that is generated from the pipeline."""
    programs = _lab().programs()
    files = {DOCS / "pipeline.md": render_markdown()}
    for dpid in sorted({key.dpid for key in programs}):
        own = {key: programs[key] for key in sorted(programs) if key.dpid == dpid}
        files[GOLDEN / f"switch-{dpid}.txt"] = _program_text(own)
    return files


def _lab() -> Lab:
    """A spine and two leaves; red spans both leaves, with ceilings, blue has one port and the same addresses.

    Leaf 12 has shares of red's ceilings, and chooses queues by flows.
    """
    lab = Lab.leaf_spine(spines=(1,), leaves=(11, 12))
    lab.network("red")
    lab.network("blue", ipv6="")
    ceiling = BandwidthPolicy(ceiling_in_kbps=10_000, ceiling_out_kbps=20_000)
    lab.port("red", "web", at=(11, 3), mac="02:00:00:00:00:01", addresses=["10.0.0.11", "fd00::11"], bandwidth=ceiling)
    lab.port("red", "db", at=(12, 3), mac="02:00:00:00:00:02", addresses=["10.0.0.12", "fd00::12"])
    lab.port("blue", "web", at=(11, 4), mac="02:00:00:00:00:01", addresses=["10.0.0.11"])
    lab.set_tenant_bandwidth("red", replace(ceiling, guarantee_out_kbps=5_000))
    lab.update(replace(lab.intent.networks["tenants/red/networks/net"], bandwidth=ceiling))
    lab.pipe("red", "backup", "web", "db", BandwidthPolicy(guarantee_out_kbps=1_000, ceiling_in_kbps=3_000))
    lab.shares[12, "tenants/red"] = Share(in_kbps=4_000, out_kbps=8_000)
    lab.observe(QueuesFound(dpid=12, driver="ovsdb"))
    return lab


def _program_text(programs: dict[FragmentKey, Fragment]) -> str:
    parts = []
    for key, fragment in programs.items():
        lines = [" ".join(("#", key.kind, *map(str, key.subject)))]
        lines += map(meter_text, fragment.meters)
        lines += (group_text(group, tables.TABLE_NAMES) for group in fragment.groups)
        lines += (flow_text(flow, tables.TABLE_NAMES) for flow in fragment.flows)
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
