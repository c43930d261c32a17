"""Use cases over a real store: generations, etags, request ids, validation, failure, restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from controller.intent.snapshot import Resource, Snapshot
from controller.model.bandwidth import BandwidthPolicy
from controller.model.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PliantError,
    Unavailable,
)
from controller.model.network import Attachment, Network, Port
from controller.model.tenancy import Meta, Tenant
from controller.service.engine import Engine, Outcome, etag_of
from controller.service.interfaces import Answer, Compare, StoreFailed, Write
from controller.store.sqlite import SqliteStore
from tests.support.service import NETWORK, SUBNET, TENANT, TIMEOUT_S, Service, assert_same, port, subnet


def done(future: Future[Outcome]) -> Outcome:
    return future.result(TIMEOUT_S)


def refusal(future: Future[Outcome]) -> PliantError:
    error = future.exception(TIMEOUT_S)
    assert isinstance(error, PliantError), error
    return error


def renamed(display_name: str) -> Callable[[Resource], Resource]:
    def edit(obj: Resource) -> Resource:
        return replace(obj, meta=replace(obj.meta, display_name=display_name))

    return edit


# -- generations


def test_create_returns_the_complete_object_at_its_generation(service: Service) -> None:
    """The outcome holds what the server chose, and the generation to wait for."""
    service.build()
    outcome = service.create(port("p1"))
    (created,) = outcome.objects
    assert isinstance(created, Port)
    assert outcome.generation == created.meta.generation == 2
    assert created.addresses == (IPv4Address("10.0.0.2"),)
    assert created.mac
    assert created.meta.uid
    assert created.meta.created_s == service.now_s
    assert service.engine.snapshot().get(created.name) == created


def test_commits_are_published_in_order_before_the_caller_hears(service: Service) -> None:
    """on_commit gets each commit once, with both snapshots and the names that differ."""
    service.build()
    heard: list[int] = []
    future = service.engine.create(port("p1"))
    future.add_done_callback(lambda _: heard.append(len(service.commits)))
    done(future)
    assert heard == [2]
    first, second = service.commits
    assert first.changed == {TENANT, NETWORK, SUBNET}
    assert (first.previous.generation, first.generation, second.generation) == (0, 1, 2)
    assert second.previous is first.snapshot
    assert second.changed == {f"{NETWORK}/ports/p1"}
    assert second.snapshot is service.engine.snapshot()


def test_update_that_changes_nothing_takes_no_generation(service: Service) -> None:
    """Nothing to wait for, nothing to publish, the same etag."""
    service.build()
    outcome = done(service.engine.update(TENANT, lambda tenant: tenant))
    assert outcome.generation == service.store.revision() == 1
    assert len(service.commits) == 1


def test_update_keeps_what_it_does_not_touch(service: Service) -> None:
    """The edit starts from the newest object; uid, addresses and creation time stay."""
    service.build()
    (before,) = service.create(port("p1")).objects
    policy = BandwidthPolicy(ceiling_in_kbps=1_000)
    outcome = done(service.engine.update(before.name, lambda p: replace(p, bandwidth=policy)))
    assert outcome.objects == (replace(before, bandwidth=policy, meta=replace(before.meta, generation=3)),)


def test_update_allow_missing_creates(service: Service) -> None:
    """Without the object, allow_missing creates the given one; with it, the edit is made."""
    new = Tenant(name=TENANT)
    for expected in ("", "b"):
        outcome = done(service.engine.update(TENANT, renamed("b"), allow_missing=new))
        assert outcome.objects[0].meta.display_name == expected
    assert refusal(service.engine.update("tenants/other", renamed("b"))).reason == "NOT_FOUND"


def test_delete_names_what_went_children_first(service: Service) -> None:
    """Without force children forbid it and are named; with force they go too."""
    service.build()
    service.create(port("p1"))
    error = refusal(service.engine.delete(TENANT))
    assert isinstance(error, FailedPrecondition)
    assert error.reason == "HAS_CHILDREN"
    assert NETWORK in error.message
    outcome = done(service.engine.delete(TENANT, force=True))
    assert outcome.deleted == (f"{NETWORK}/ports/p1", SUBNET, NETWORK, TENANT)
    assert outcome.objects == ()
    assert service.engine.snapshot().objects() == ()


def test_delete_of_nothing_is_an_error_unless_allowed(service: Service) -> None:
    """allow_missing makes deletion idempotent."""
    assert isinstance(refusal(service.engine.delete(TENANT)), NotFound)
    assert done(service.engine.delete(TENANT, allow_missing=True)) == Outcome(generation=0)


def test_apply_is_all_or_nothing(service: Service) -> None:
    """One bad object of fifty, and nothing is there; all good, and all have one generation."""
    service.build()
    objects: list[Resource] = [port(f"p{n}") for n in range(50)]
    objects[33] = replace(port("p33"), addresses=(IPv4Address("192.0.2.1"),))
    error = refusal(service.engine.apply(objects))
    assert error.metadata["index"] == "33"
    assert service.store.revision() == 1
    assert len(service.engine.snapshot().ports) == 0
    objects[33] = port("p33")
    outcome = done(service.engine.apply(objects))
    assert {obj.meta.generation for obj in outcome.objects} == {2}
    assert [obj.name for obj in outcome.objects] == [obj.name for obj in objects]


def test_apply_again_changes_nothing(service: Service) -> None:
    """Level, not edge: the same manifest twice is one generation."""
    manifest = [Tenant(name=TENANT), Network(name=NETWORK), subnet(), port("p1")]
    first = done(service.engine.apply(manifest))
    second = done(service.engine.apply(manifest))
    assert second == first
    assert len(service.commits) == 1


def test_apply_publishes_only_what_changed(service: Service) -> None:
    """An unchanged object of a manifest does not wake anybody."""
    service.build()
    outcome = done(service.engine.apply([Tenant(name=TENANT), port("p1")], deletes=[f"{NETWORK}/ports/absent"]))
    assert service.commits[-1].changed == {f"{NETWORK}/ports/p1"}
    assert [obj.meta.generation for obj in outcome.objects] == [1, 2]


def test_create_many_refuses_what_exists(service: Service) -> None:
    """A batch creates; it never updates.  The error names the element."""
    service.build()
    service.create(port("p1"))
    error = refusal(service.engine.create_many([port("p0"), port("p1")]))
    assert isinstance(error, AlreadyExists)
    assert error.metadata["index"] == "1"
    outcome = done(service.engine.create_many([port("p0"), port("p2")]))
    assert [obj.meta.generation for obj in outcome.objects] == [3, 3]


# -- etags, validation, request ids


def test_etag_guards_update_and_delete(service: Service) -> None:
    """A change by another makes the etag stale; the error carries the current one."""
    service.build()
    tenant = service.engine.snapshot().tenants[TENANT]
    (changed,) = done(service.engine.update(TENANT, renamed("a"), etag=etag_of(tenant))).objects
    for future in (service.engine.update(TENANT, renamed("b"), etag=etag_of(tenant)),
                   service.engine.delete(TENANT, etag=etag_of(tenant), force=True)):
        error = refusal(future)
        assert isinstance(error, Aborted)
        assert error.reason == "ETAG_MISMATCH"
        assert error.metadata["etag"] == etag_of(changed)
    done(service.engine.delete(TENANT, etag=etag_of(changed), force=True))


def test_apply_keeps_to_the_etags_it_carries(service: Service) -> None:
    """One stale etag, or one for an object that is gone, stops the whole manifest."""
    service.build()
    etags = {obj.name: etag_of(obj) for obj in service.engine.snapshot().objects()}
    done(service.engine.update(SUBNET, renamed("by another")))
    manifest = [Tenant(name=TENANT), Network(name=NETWORK, meta=Meta(display_name="b")), subnet()]
    assert refusal(service.engine.apply(manifest, etags=etags)).reason == "ETAG_MISMATCH"
    assert refusal(service.engine.apply(manifest, etags={"tenants/gone": "1"})).reason == "NOT_FOUND"
    assert service.store.revision() == 2
    assert done(service.engine.apply(manifest, etags={NETWORK: etags[NETWORK]})).generation == 3


def test_validate_only_does_everything_but_commit(service: Service) -> None:
    """It answers as the call would, good or bad, and leaves no trace, its request_id included."""
    service.build()
    preview = done(service.engine.create(port("p1"), validate_only=True, request_id="r", digest=b"1"))
    assert isinstance(preview.objects[0], Port)
    assert preview.objects[0].addresses == (IPv4Address("10.0.0.2"),)
    assert preview.generation == service.store.revision() == 1
    assert refusal(service.engine.create(port("p1", network="tenants/acme/networks/no"), validate_only=True)).reason
    assert len(service.commits) == 1
    assert not done(service.engine.create(port("p2"), request_id="r", digest=b"2")).replayed


Call = Callable[[Engine], Future[Outcome]]


@pytest.mark.parametrize("call", [
    lambda engine: engine.create(port("p1"), request_id="r", digest=b"d"),
    lambda engine: engine.create_many([port("p1"), port("p2")], request_id="r", digest=b"d"),
    lambda engine: engine.update(TENANT, renamed("a"), request_id="r", digest=b"d"),
    lambda engine: engine.update(TENANT, lambda same: same, request_id="r", digest=b"d"),
    lambda engine: engine.delete(NETWORK, force=True, request_id="r", digest=b"d"),
    lambda engine: engine.apply([port("p1")], [SUBNET + "x"], request_id="r", digest=b"d"),
], ids=["create", "create_many", "update", "no_change", "delete", "apply"])
def test_request_id_replays_the_first_outcome(service: Service, call: Call) -> None:
    """The same request again gets the first answer, after other changes and after a restart, and does nothing."""
    service.build()
    first = done(call(service.engine))
    assert not first.replayed
    done(service.engine.update(TENANT, renamed("later")))
    revision = service.store.revision()
    assert done(call(service.engine)) == replace(first, replayed=True)
    service.restart()
    assert done(call(service.engine)) == replace(first, replayed=True)
    assert service.store.revision() == revision


def test_request_id_of_another_request_is_refused(service: Service) -> None:
    """Whatever the second request is, it is not done."""
    service.engine.create(Tenant(name=TENANT), request_id="r", digest=b"1").result(TIMEOUT_S)
    error = refusal(service.engine.delete(TENANT, request_id="r", digest=b"2"))
    assert isinstance(error, InvalidArgument)
    assert error.reason == "REQUEST_ID_REUSED"
    assert TENANT in service.engine.snapshot().tenants


def test_request_id_of_a_failed_call_may_be_used_again(service: Service) -> None:
    """An error is no answer to keep: mend the request's world and repeat it."""
    refusal(service.engine.create(Network(name=NETWORK), request_id="r", digest=b"1"))
    service.create(Tenant(name=TENANT))
    assert not done(service.engine.create(Network(name=NETWORK), request_id="r", digest=b"1")).replayed


# -- attachments


def test_attachment_that_the_fabric_forbids_is_refused(service: Service) -> None:
    """A port of the fabric, or one taken under its other name, is refused before anything is stored."""
    service.build()
    for reason in ("ATTACHMENT_IS_FABRIC", "ATTACHMENT_IN_USE"):
        service.fabric.refused[Attachment(dpid=1, port_no=3)] = reason
        for future in (service.engine.create(port("p1", dpid=1, port_no=3)),
                       service.engine.apply([port("p1", dpid=1, port_no=3)], validate_only=True)):
            error = refusal(future)
            assert isinstance(error, FailedPrecondition)
            assert error.reason == reason
            assert "0000000000000001:3" in error.message
    assert service.store.revision() == 1


def test_attachment_is_judged_when_it_is_new_only(service: Service) -> None:
    """A port that attached before the fabric changed its mind can still be edited and detached, not moved there."""
    service.build()
    (attached,) = service.create(port("p1", dpid=1, port_no=3)).objects
    service.fabric.refused[Attachment(dpid=1, port_no=3)] = "ATTACHMENT_IS_FABRIC"
    done(service.engine.update(attached.name, renamed("still here")))
    done(service.engine.update(attached.name, lambda p: replace(p, attachment=None)))
    back = service.engine.update(attached.name, lambda p: replace(p, attachment=Attachment(dpid=1, port_no=3)))
    assert refusal(back).reason == "ATTACHMENT_IS_FABRIC"


# -- the past


def test_snapshot_at_is_the_past_as_it_was(service: Service) -> None:
    """Every generation can be paged through, from memory or, after a restart, from the store."""
    service.build()
    for n in range(5):
        service.create(port(f"p{n}", dpid=n + 1, port_no=1))
    done(service.engine.delete(f"{NETWORK}/ports/p0"))
    past = {commit.generation: commit.snapshot for commit in service.commits}
    for _ in ("memory", "store"):
        for generation, snapshot in past.items():
            assert_same(service.engine.snapshot_at(generation), snapshot)
        assert service.engine.snapshot_at(0).objects() == ()
        service.restart()


@pytest.mark.parametrize("revision", [-1, 7, 10**12])
def test_snapshot_at_what_never_was_is_out_of_range(service: Service, revision: int) -> None:
    """A page token of another store is refused, not answered with an empty page."""
    service.build()
    with pytest.raises(OutOfRange) as caught:
        service.engine.snapshot_at(revision)
    assert caught.value.reason == "REVISION_COMPACTED"


def test_snapshot_at_the_compacted_past_is_out_of_range(service: Service) -> None:
    """What history no longer holds says so, and from where it does."""
    service.build()
    for n in range(3):
        service.create(port(f"p{n}"))
    service.restart()
    service.store.compact(keep_revisions=1, answers_before_s=0)
    with pytest.raises(OutOfRange) as caught:
        service.engine.snapshot_at(2)
    assert caught.value.metadata["oldest"] == "3"
    assert len(service.engine.snapshot_at(3).ports) == 2


def test_history_and_answers_are_compacted_as_time_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old revisions and day-old answers go by themselves; young ones stay."""
    monkeypatch.setattr("controller.service.engine.KEPT_REVISIONS", 5)
    monkeypatch.setattr("controller.service.engine.COMPACT_EVERY", 10)
    service = Service(tmp_path / "p.db")
    service.engine.create(Tenant(name=TENANT), request_id="old", digest=b"").result(TIMEOUT_S)
    service.now_s += 24 * 3_600 + 1
    for n in range(9):
        service.engine.update(TENANT, renamed(str(n)), request_id=f"young{n}", digest=b"").result(TIMEOUT_S)
    service.stop()
    store = SqliteStore(service.path)
    assert store.answer("old") is None
    assert store.answer("young0") is not None
    assert [r.mod_revision for r in store.history("tenants/", 5)] == [6, 7, 8, 9, 10]
    with pytest.raises(Exception, match="history starts after revision 5"):
        store.history("", 4)
    store.close()


def test_restart_finds_everything_as_it_was(service: Service) -> None:
    """Objects, indexes and keys of a reopened engine equal those of the one that stopped."""
    service.build()
    for n in range(10):
        service.create(port(f"p{n}", dpid=1 + n % 3, port_no=n + 1))
    done(service.engine.delete(f"{NETWORK}/ports/p3"))
    before, boot_id = service.engine.snapshot(), service.engine.boot_id
    service.restart()
    assert_same(service.engine.snapshot(), before)
    assert service.engine.boot_id != boot_id
    (created,) = service.create(port("late", dpid=1, port_no=99)).objects
    assert created.meta.generation == before.generation + 1


def test_store_of_an_older_version_is_numbered_once(service: Service) -> None:
    """Whoever has no queue gets its own, in a revision that changes no object; the next start writes nothing."""
    service.build()
    service.create(port("p", dpid=1, port_no=1))
    service.create(replace(port("q", dpid=1, port_no=2), bandwidth=BandwidthPolicy(guarantee_out_kbps=100)))
    before, queues = service.engine.snapshot(), ("keys/queue/", "keys/cursor/fabric/queues")
    service.store.txn((), [Write(key=r.key, value=None) for prefix in queues for r in service.store.list(prefix)])
    service.restart()
    after = service.engine.snapshot()
    assert set(after.keys.queue_ids) == {TENANT, NETWORK, f"{NETWORK}/ports/q"}
    assert (after.objects(), after.keys.port_keys) == (before.objects(), before.keys.port_keys)
    service.restart()
    assert_same(service.engine.snapshot(), after)


# -- threads, failures, the end


def test_threads_creating_ports_share_nothing(service: Service) -> None:
    """Eight threads, two hundred ports: addresses, MACs and keys differ, and no generation is skipped or shared."""
    service.build()
    outcomes: list[Outcome] = []

    def work(thread: int) -> None:
        for n in range(25):
            outcomes.append(service.create(port(f"t{thread}-{n}", dpid=1, port_no=1 + thread * 25 + n)))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    snapshot = service.engine.snapshot()
    assert sorted(outcome.generation for outcome in outcomes) == list(range(2, 202))
    ports = list(snapshot.ports.values())
    for distinct in ({p.addresses for p in ports}, {p.mac for p in ports}, {p.meta.uid for p in ports},
                     {key.key24 for key in snapshot.keys.port_keys.values()}):
        assert len(distinct) == 200


def test_queued_calls_are_performed_in_order(service: Service) -> None:
    """Calls of one thread are queued without waiting, and each sees the one before."""
    futures = [service.engine.create(Tenant(name=TENANT)), service.engine.create(Network(name=NETWORK)),
               service.engine.create(subnet()), service.engine.delete(TENANT, force=True)]
    assert [done(future).generation for future in futures] == [1, 2, 3, 4]


def test_defect_fails_one_call_only(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is an INTERNAL error to its caller and a logged one to us; the writer goes on."""
    service.build()

    def defective(obj: Resource) -> Resource:
        raise ZeroDivisionError("a defect")

    with caplog.at_level(logging.CRITICAL):
        error = refusal(service.engine.update(TENANT, defective))
    assert isinstance(error, Internal)
    assert "ZeroDivisionError" in error.message
    assert service.store.revision() == 1
    assert service.create(port("p1")).generation == 2


def test_defective_listener_does_not_undo_a_commit(service: Service) -> None:
    """The change is acknowledged and watched even if on_commit raises."""
    def refuse(_: object) -> None:
        raise RuntimeError("a listener's defect")

    service.engine._on_commit = refuse
    service.build()
    assert TENANT in service.engine.snapshot().tenants


class Faulty(SqliteStore):
    """A store whose disk can be full."""

    full = False

    def txn(self, compares: Sequence[Compare], writes: Sequence[Write], answer: Answer | None = None) -> int:
        if self.full:
            raise StoreFailed("cannot write to the store: disk is full; free some disk space")
        return super().txn(compares, writes, answer)


def test_store_failure_changes_nothing_in_memory(tmp_path: Path) -> None:
    """While the disk is full calls fail with the reason, and reads go on; with room again calls succeed."""
    service = Service(tmp_path / "p.db", open_store=Faulty)
    service.build()
    before = service.engine.snapshot()
    assert isinstance(service.store, Faulty)
    service.store.full = True
    error = refusal(service.engine.create(port("p1"), request_id="r", digest=b""))
    assert isinstance(error, Unavailable)
    assert error.reason == "STORE_FAILED"
    assert "free some disk space" in error.message
    assert service.engine.snapshot() is before
    assert len(service.commits) == 1
    service.store.full = False
    assert done(service.engine.create(port("p1"), request_id="r", digest=b"")).generation == 2
    service.stop()


def test_close_finishes_what_was_accepted_and_refuses_the_rest(service: Service) -> None:
    """Every call gets an outcome or SHUTTING_DOWN; what was acknowledged is in the store."""
    service.build()
    accepted = [service.engine.create(port(f"p{n}")) for n in range(20)]
    service.stop()
    assert [done(future).generation for future in accepted] == list(range(2, 22))
    late = refusal(service.engine.create(port("late")))
    assert isinstance(late, Unavailable)
    assert late.reason == "SHUTTING_DOWN"
    service.start()
    assert len(service.engine.snapshot().ports) == 20


def test_close_is_bounded(service: Service) -> None:
    """A writer that hangs does not hold the process; what waits behind it is refused, what it does is left to end."""
    release, entered = threading.Event(), threading.Event()

    def hang(obj: Resource) -> Resource:
        entered.set()
        assert release.wait(TIMEOUT_S)
        return obj

    service.build()
    hanging = service.engine.update(TENANT, hang)
    queued = service.engine.create(port("p1"))
    assert entered.wait(TIMEOUT_S)
    assert not service.engine.close(timeout_s=0.05)
    release.set()
    assert done(hanging).generation == 1
    assert refusal(queued).reason == "SHUTTING_DOWN"
    assert service.engine.close(TIMEOUT_S)


def test_gate_refuses_before_anything_is_kept(tmp_path: Path) -> None:
    """A gate sees each change before its commit, validate_only too; what it refuses never was."""
    asked: list[frozenset[str]] = []

    class Shut:
        def check(self, before: Snapshot, after: Snapshot, changed: frozenset[str]) -> None:
            asked.append(changed)
            if NETWORK in changed:
                raise FailedPrecondition("WOULD_PARTITION", "not here")

    service = Service(tmp_path / "p.db", gates=[Shut()])
    service.create(Tenant(name=TENANT))
    for validate_only in (True, False):
        error = refusal(service.engine.create(Network(name=NETWORK), validate_only=validate_only))
        assert error.reason == "WOULD_PARTITION"
    assert asked == [frozenset({TENANT}), frozenset({NETWORK}), frozenset({NETWORK})]
    assert service.engine.snapshot().generation == service.store.revision() == 1
    service.stop()
