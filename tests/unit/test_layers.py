"""Imports point down only.  The layers of ARCHITECTURE.md as data, and the check that the code keeps to them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_RECONCILE_SHELL = (
    "loop", "driver", "keeper", "operator", "reconciler", "telemetry", "followers", "queue_keeper", "metrics",
    "reports", "admission", "elastic", "answers", "bandwidth", "queue_counts", "offering",
    "probing", "journal",
)
_SHELL = "controller.service", *(f"controller.reconcile.{module}" for module in _RECONCILE_SHELL)
_ADAPTERS = "controller.northbound", "controller.store", "controller.southbound"
_DECISIONS = "controller.pipeline", "controller.responders", "controller.reconcile"
_STATE = "controller.intent", "controller.fabric", "controller.qos"
_NOUNS = "controller.model", "controller.openflow"
_LAYERS = {  # package -> layer; the longest name that fits a module decides
    **dict.fromkeys(("apps", "tests", "bench"), 5),
    **dict.fromkeys(("controller",), 4),  # build, config: the assembly
    **dict.fromkeys(_ADAPTERS, 3),
    **dict.fromkeys(_SHELL, 2),
    **dict.fromkeys(_DECISIONS, 1.5),
    **dict.fromkeys(_STATE, 1),
    **dict.fromkeys(_NOUNS, 0),
}
_STRANGERS = _ADAPTERS, _STATE  # within each of these groups nobody imports another
_ONLY_IN = {
    "os_ken": ("controller.southbound", "apps.pliantd", "tests", "bench"),
    "grpc": ("controller.northbound", "apps", "pliant", "tests", "bench"),
    "sqlite3": ("controller.store", "tests"),
    "pyroute2": ("controller.southbound", "tests", "apps.lab"),
    "pliant": ("controller.northbound", "apps", "pliant", "tests", "bench"),
}
_IMPURE = {"os", "time", "threading", "logging", "structlog", "socket", "asyncio", "subprocess", "random"}


def _package(module: str) -> str:
    names = [name for name in _LAYERS if module == name or module.startswith(name + ".")]
    return max(names, key=len, default="")


def _violation(importer: str, imported: str) -> str | None:
    """Why `importer` may not import `imported`; None if it may.  Both are dotted module names."""
    ours, theirs = _package(importer), _package(imported)
    top = imported.partition(".")[0]
    if top in _ONLY_IN and not any(f"{importer}.".startswith(f"{place}.") for place in _ONLY_IN[top]):
        return f"only {', '.join(_ONLY_IN[top])} may import {top}"
    if importer.startswith("pliant") and top in ("controller", "apps", "topologies", "tests"):
        return "the contract imports nothing of ours"
    if ours and _LAYERS[ours] < 2 and top in _IMPURE:
        return f"{ours} is pure: no I/O, clock, thread, chance or log"
    if not (ours and theirs) or ours == theirs:
        return None
    if _LAYERS[theirs] > _LAYERS[ours]:
        return f"{theirs} lies above {ours}"
    if any(ours in group and theirs in group for group in _STRANGERS):
        return f"{ours} and {theirs} never import each other"
    return None


def _imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute, so that they can be read"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_layers_are_kept_by_every_module() -> None:
    """No module imports upwards, sideways between strangers, or what is not of its layer."""
    wrong = []
    for base in ("controller", "apps", "proto/pliant"):
        for file in sorted((_ROOT / base).rglob("*.py")):
            module = ".".join(file.relative_to(_ROOT).with_suffix("").parts).removeprefix("proto.")
            if module.startswith("pliant.v1."):
                continue  # generated
            module = module.removesuffix(".__init__")
            reasons = {_violation(module, imported): imported for imported in _imports(file.read_text())}
            wrong += [f"{module} imports {imported}: {why}" for why, imported in reasons.items() if why]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("controller.model.ids", "controller.intent.snapshot"),
        ("controller.intent.rules", "controller.fabric.graph"),
        ("controller.store.sqlite", "controller.northbound.server"),
        ("controller.pipeline.world", "controller.service.engine"),
        ("controller.reconcile.delta", "controller.reconcile.loop"),
        ("controller.reconcile.plan", "time"),
        ("controller.fabric.graph", "os_ken.ofproto"),
        ("controller.service.engine", "sqlite3"),
        ("controller.service.engine", "grpc.aio"),
        ("controller.build", "apps.pliantd"),
        ("pliant.client", "controller.model.ids"),
    ],
)
def test_layers_check_finds_a_violation(importer: str, imported: str) -> None:
    """The check can fail: each kind of wrong import is seen."""
    assert _violation(importer, imported)


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("controller.build", "controller.southbound.runtime"),
        ("controller.reconcile.loop", "controller.pipeline.world"),
        ("controller.southbound.adapt", "controller.reconcile.loop.Datapath"),
        ("apps.pliantd.datapath", "os_ken.base"),
        ("controller.pipeline.world", "controller.intent.snapshot"),
        ("controller.reconcile.loop", "time"),
    ],
)
def test_layers_check_lets_pass_what_points_down(importer: str, imported: str) -> None:
    """The check is no blanket refusal."""
    assert _violation(importer, imported) is None
