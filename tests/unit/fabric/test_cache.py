"""Observed state survives a restart, record by record."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from controller.fabric.cache import Json, everything, fabric_records, label_records, restore
from controller.fabric.graph import EndPoint, Event, Fabric, HostHeard, PortRole, SwitchForgotten
from controller.fabric.labels import EdgeLabels, advance, confirmed
from controller.fabric.paths.arrays import Topology
from controller.fabric.paths.plan import NO_FAILOVER, Planner
from tests.unit.fabric.fabrics import after, leaf_spine
from tests.unit.fabric.test_graph import EVENTS


def stored(records: dict[str, Json]) -> dict[str, Json]:
    """As a store gives them back."""
    return {key: json.loads(json.dumps(record)) for key, record in records.items() if record is not None}


def remembered(fabric: Fabric) -> Fabric:
    """The fabric as far as a restart can know it."""
    switches = {dpid: replace(switch, connected=False) for dpid, switch in fabric.switches.items()}
    return replace(fabric, switches=Map(switches), bound=Map())


@given(st.lists(EVENTS, max_size=25))
def test_fabric_comes_back_from_the_records_of_its_changes(events: list[Event]) -> None:
    """Saving only what each event touched keeps the same records as saving everything, and they read back."""
    fabric, cache = Fabric(), dict[str, Json]()
    for event in events:
        fabric, change = fabric.apply(event)
        cache.update(fabric_records(fabric, change))
    assert stored(cache) == stored(fabric_records(fabric, everything(fabric)))
    restored, labels = restore(stored(cache), PortRole.AUTO)
    assert restored == remembered(fabric)
    assert labels == {}


def test_everything_is_what_built_the_fabric() -> None:
    """The change of nothing into this fabric names all of it."""
    fabric = leaf_spine(2, 2)
    change = everything(fabric)
    assert change.switches == set(fabric.switches)
    assert change.links == set(fabric.links)
    assert len(change.ports) == sum(len(switch.ports) for switch in fabric.switches.values())


def test_change_writes_only_its_own_records() -> None:
    """A host heard writes its port, not the neighbours; forgetting a switch deletes its records and its links'."""
    fabric, change = leaf_spine(2, 3).apply(HostHeard(at=EndPoint(101, 100)))
    assert set(stored(fabric_records(fabric, change))) == {f"switch/{101:016x}", f"port/{101:016x}/100"}
    before = stored(fabric_records(fabric, everything(fabric)))
    fabric, change = fabric.apply(SwitchForgotten(dpid=1))
    records = fabric_records(fabric, change)
    gone = {key for key, record in records.items() if record is None and key in before}
    assert gone == {key for key in before if f"/{1:016x}" in key} | {f"link/{leaf:016x}/1" for leaf in (101, 102, 103)}
    assert {key: record for key, record in records.items() if record is not None}.items() <= before.items()


def test_label_versions_come_back() -> None:
    """Two versions, partly confirmed, read back as they were; an edge without versions has no record."""
    fabric = leaf_spine(2, 3)
    plan = Planner(Topology.of(fabric)).toward(101)
    versions = confirmed(advance((), plan), 102, 0)
    versions = advance(versions, plan.set(102, plan[102]._replace(failover=(NO_FAILOVER, NO_FAILOVER))))
    versions = advance(versions, Map({dpid: hops._replace(working=hops.working[:1]) for dpid, hops in plan.items()}))
    assert [bool(v.earlier) for v in versions] == [True, False]
    records = stored(label_records(101, EdgeLabels(edge_id=7, versions=versions)))
    assert restore(records, PortRole.AUTO)[1] == {101: EdgeLabels(edge_id=7, versions=versions)}
    assert label_records(101, EdgeLabels(edge_id=7, versions=())) == {f"labels/{101:016x}": None}


def test_label_version_of_before_reads_back() -> None:
    """Whoever wrote it knew of no hops that a switch may hold instead."""
    versions = advance((), Planner(Topology.of(leaf_spine(2, 3))).toward(101))
    records = stored(label_records(101, EdgeLabels(edge_id=7, versions=versions)))
    del records[f"labels/{101:016x}"]["trees"][0]["earlier"]
    assert restore(records, PortRole.AUTO)[1][101].versions == versions


def test_default_role_is_configuration_and_not_remembered() -> None:
    """The role of ports that nobody declared is what this run says."""
    records = stored(fabric_records(fabric := leaf_spine(1, 1), everything(fabric)))
    assert restore(records, PortRole.EDGE)[0].default_role is PortRole.EDGE


@pytest.mark.parametrize(
    ("key", "record"),
    [
        ("switch/0000000000000001", {"ports": []}),
        ("switch/xyz", {"ports": [], "features": {}}),
        ("link/0000000000000001/1", {"src": [1]}),
        ("labels/0000000000000001", [{"version": 0}]),
        ("declared/0000000000000001", {"roles": {"a": "KING"}, "capacities": {}}),
    ],
)
def test_unreadable_record_is_named(key: str, record: Json) -> None:
    """A record of another version or a damaged one is an error that says which."""
    with pytest.raises(ValueError, match=key):
        restore({key: record}, PortRole.AUTO)


def test_records_of_others_are_left_alone() -> None:
    """The store's cache may hold more than the fabric."""
    assert restore({"usage/1": 1, "switch/0000000000000001": None}, PortRole.AUTO) == (Fabric(), {})


def test_restored_fabric_goes_on_as_if_nothing_happened() -> None:
    """Links are presumed up and roles hold, before any switch is connected."""
    fabric = after(leaf_spine(2, 3), HostHeard(at=EndPoint(101, 100)))
    restored, _ = restore(stored(fabric_records(fabric, everything(fabric))), PortRole.AUTO)
    assert restored.role(EndPoint(101, 100)) is PortRole.EDGE
    assert restored.role(EndPoint(101, 1)) is PortRole.FABRIC
    assert Planner(Topology.of(restored)).toward(101) == Planner(Topology.of(fabric)).toward(101)
