"""A store of schema 1, where slices were tenants': it opens, every network and port has keys, and nobody another's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.intent.pools import RANGES
from controller.model.bandwidth import BandwidthPolicy
from controller.model.network import Network, Pipe
from controller.model.tenancy import Tenant
from controller.service.archive import KEYS
from controller.service.codec import encode
from controller.service.interfaces import StoreFailed, Write
from tests.support.service import TIMEOUT_S, Service, assert_same, port, subnet

RED, BLUE, EMPTY = "tenants/red", "tenants/blue", "tenants/empty"
M, N, B = f"{RED}/networks/m", f"{RED}/networks/n", f"{BLUE}/networks/n"
ONE, TWO = f"{1:016x}", f"{2:016x}"
NUMBERS = {
    f"slice/{RED}": 1, f"slice/{BLUE}": 2, f"slice/{EMPTY}": 3, "cursor/fabric/slices": 4,
    f"network/{M}": 1 << 10 | 1, f"network/{N}": 1 << 10 | 2, f"network/{B}": 2 << 10 | 1,
    "cursor/slice-1/networks": 2, "cursor/slice-2/networks": 1, "cursor/slice-3/networks": 1,
    f"cursor/slice-1/ports-{ONE}": 2, f"cursor/slice-1/ports-{TWO}": 1, f"cursor/slice-2/ports-{ONE}": 0,
    f"cursor/slice-2/ports-{TWO}": 0, f"cursor/slice-3/ports-{TWO}": 0,
    f"edge/{ONE}": 1, f"edge/{TWO}": 2, "cursor/fabric/edges": 2,
    f"pipe/{RED}/pipes/p": 1, "cursor/fabric/pipes": 1,
    **{f"slot/{dpid}/{name}": slot for dpid in (ONE, TWO)
       for name, slot in ((RED, 1_024), (M, 1_025), (N, 1_027), (BLUE, 1_029), (B, 1_030))},
    f"cursor/switch-{ONE}/slots": 1_032, f"cursor/switch-{TWO}/slots": 1_034,
}
PORTS = {
    f"{M}/ports/a": (1, 1 << 10, 1_026), f"{N}/ports/b": (1, 1 << 10 | 1, 1_028), f"{B}/ports/a": (1, 2 << 10, 1_031),
    f"{M}/ports/c": (2, 1 << 10, 1_026), f"{N}/ports/d": (2, 1 << 10 | 1, 1_028), f"{B}/ports/c": (2, 2 << 10, 1_031),
}
RESTING = {
    "fabric/slices": [(12, 4)], f"slice-1/ports-{ONE}": [(9, 2)], "slice-3/networks": [(10, 1)],
    f"slice-3/ports-{TWO}": [(10, 0)], f"switch-{ONE}/slots": [(9, 1_032)],
    f"switch-{TWO}/slots": [(10, 1_034), (10, 1_033)],
}
"""What that version wrote: red has two networks, empty had one, and a fourth tenant was just deleted."""


def older_records() -> dict[str, dict[str, int]]:
    records = {record_id: {"value": value} for record_id, value in NUMBERS.items()}
    for name, (dpid, key24, slot) in PORTS.items():
        records[f"port/{name}"] = {"dpid": dpid, "key24": key24, "slot": slot}
    for pool, numbers in RESTING.items():
        for position, (generation, value) in enumerate(numbers):
            records[f"resting/{pool}/{position}"] = {"generation": generation, "value": value}
    return records


def make_older(service: Service) -> None:
    """Put the keys back to how they were, and the file's version."""
    gone = [Write(key=record.key, value=None) for record in service.store.list(KEYS)]
    service.store.txn((), gone)
    service.store.txn((), [Write(key=KEYS + name, value=encode(record)) for name, record in older_records().items()])
    service.stop()
    with sqlite3.connect(service.path) as db:
        db.execute("PRAGMA user_version = 1")
    db.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "pliant.db")
    networks = [Network(name=name) for name in (M, N, B)]
    subnets = [subnet(f"{name}/subnets/main") for name in (M, N, B)]
    ports = [port(name.rsplit("/", 1)[1], network=name.rsplit("/", 2)[0], dpid=dpid, port_no=slot)
             for name, (dpid, _, slot) in PORTS.items()]
    promised = replace(ports[0], bandwidth=BandwidthPolicy(guarantee_out_kbps=1_000))
    pipe = Pipe(name=f"{RED}/pipes/p", a=f"{M}/ports/a", b=f"{M}/ports/c")
    tenants = [Tenant(name=name) for name in (RED, BLUE, EMPTY)]
    service.engine.apply([*tenants, *networks, *subnets, promised, *ports[1:], pipe]).result(TIMEOUT_S)
    yield service
    service.stop()


def test_older_store_opens_with_a_slice_for_each_network_and_no_number_that_a_switch_may_still_write(
    service: Service,
) -> None:
    """Ports get keys of their network's; objects, edges, slots and pipes stay; what tenants had as slices rests."""
    before = service.engine.snapshot()
    make_older(service)
    service.start()
    after = service.engine.snapshot()
    keys = after.keys
    assert after.objects() == before.objects()
    assert dict(keys.tenant_ids) == {RED: 1, BLUE: 2, EMPTY: 3}
    assert sorted(keys.slices) == [B, M, N]
    assert {*keys.slices.values()}.isdisjoint({1, 2, 3, 4}) and len({*keys.slices.values()}) == 3
    for name, (dpid, _, slot) in PORTS.items():
        key = keys.port_keys[name]
        assert (key.dpid, key.slot) == (dpid, slot)
        assert key.key24 >> 10 == keys.slice_of(name.rsplit("/", 2)[0]) and key.key24 & 1_023
    assert len({(key.dpid, key.key24) for key in keys.port_keys.values()}) == len(PORTS)
    assert (dict(keys.edge_ids), dict(keys.pipe_ids)) == ({1: 1, 2: 2}, {f"{RED}/pipes/p": 1})
    assert set(keys.queue_ids) == {RED, BLUE, EMPTY, M, N, B, f"{M}/ports/a", f"{RED}/pipes/p"}
    resting = keys.pools.in_scope("fabric")["slices"].resting
    assert {each.value for each in resting.values()} == {1, 2, 3, 4}
    assert set(keys.pools.scopes) == {
        "fabric", f"switch-{ONE}", f"switch-{TWO}", *(f"slice-{slice_}" for slice_ in keys.slices.values())}


def test_older_store_is_written_anew_once(service: Service) -> None:
    """The next start finds it as it should be, and an older Pliant refuses it."""
    make_older(service)
    service.start()
    after = service.engine.snapshot()
    service.restart()
    assert_same(service.engine.snapshot(), after)
    with sqlite3.connect(service.path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()


def test_older_store_goes_on(service: Service) -> None:
    """Old revisions are still there to be listed; a slice that a tenant had is given once all switches confirmed."""
    before = service.engine.snapshot()
    make_older(service)
    service.start()
    assert service.engine.snapshot_at(before.generation).objects() == before.objects()
    keys = service.engine.snapshot().keys
    service.create(Network(name=f"{EMPTY}/networks/next"))
    assert service.engine.snapshot().keys.slice_of(f"{EMPTY}/networks/next") == max(keys.slices.values()) + 1
    service.engine.delete(RED, force=True).result(TIMEOUT_S)
    service.restart()
    assert {M, N}.isdisjoint(service.engine.snapshot().keys.slices)


@pytest.mark.parametrize("pool", ["slices", "queues"])
def test_older_store_with_more_than_there_are_numbers_for_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch, pool: str,
) -> None:
    """Five are too few for three tenants and three networks.  It says what to do; with more numbers it opens."""
    make_older(service)
    with monkeypatch.context() as patch:
        patch.setitem(RANGES, pool, (1, 5))
        with pytest.raises(StoreFailed, match="delete some"):
            service.start()
        service.store.close()
    service.start()
    assert sorted(service.engine.snapshot().keys.slices) == [B, M, N]
