"""Watches: complete, in order, resumable, bounded."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from controller.intent.snapshot import Resource
from controller.model.errors import InvalidArgument, OutOfRange, PliantError, ResourceExhausted, Unavailable
from controller.model.network import Network
from controller.model.status import State
from controller.model.tenancy import Tenant
from controller.service import watch
from controller.service.watch import Event, EventKind, Subscription
from tests.support.service import NETWORK, SUBNET, TENANT, TIMEOUT_S, Service, port, subnet

ADDED, MODIFIED, DELETED = EventKind.ADDED, EventKind.MODIFIED, EventKind.DELETED
STATUS, SYNCED, BOOKMARK = EventKind.STATUS, EventKind.SYNCED, EventKind.BOOKMARK
PORT = f"{NETWORK}/ports/p1"


def drain(subscription: Subscription) -> list[Event]:
    events: list[Event] = []
    while more := subscription.take(3):
        events += more
    return events


def told(subscription: Subscription) -> list[tuple[EventKind, str]]:
    return [(event.kind, event.name) for event in drain(subscription)]


def touch(service: Service, name: str, text: str = "x") -> int:
    def edit(obj: Resource) -> Resource:
        return replace(obj, meta=replace(obj.meta, display_name=text))

    return service.engine.update(name, edit).result(TIMEOUT_S).generation


def test_watch_from_nothing_starts_with_all_there_is(service: Service) -> None:
    """ADDED for each object, parents first, then SYNCED with the generation it all stood at."""
    service.build()
    service.create(port("p1"))
    events = drain(service.engine.watch())
    assert [(event.kind, event.name) for event in events] == [
        (ADDED, TENANT), (ADDED, NETWORK), (ADDED, SUBNET), (ADDED, PORT), (SYNCED, ""),
    ]
    assert [event.resource for event in events[:-1]] == list(service.engine.snapshot().objects())
    assert [event.generation for event in events] == [0, 0, 0, 0, 2]


def test_watch_of_an_empty_store_is_synced_at_once(service: Service) -> None:
    """Nothing is also an answer, and there is no second one."""
    subscription = service.engine.watch()
    assert drain(subscription) == [Event(kind=SYNCED, generation=0)]
    assert drain(subscription) == []


def test_watch_tells_each_change_once_and_in_order(service: Service) -> None:
    """Creation, change and deletion, with the object as it became and the generation."""
    service.build()
    subscription = service.engine.watch()
    drain(subscription)
    service.create(port("p1"))
    touch(service, PORT)
    service.engine.delete(PORT).result(TIMEOUT_S)
    added, modified, deleted = drain(subscription)
    assert (added.kind, added.name, added.generation) == (ADDED, PORT, 2)
    assert (modified.kind, modified.name, modified.generation) == (MODIFIED, PORT, 3)
    assert modified.resource is not None
    assert modified.resource.meta.display_name == "x"
    assert deleted == Event(kind=DELETED, generation=4, name=PORT)
    assert drain(subscription) == []


def test_watch_orders_a_transaction_by_reference(service: Service) -> None:
    """Within a generation deletions go up the tree and come first, then creations go down."""
    service.build()
    service.create(port("p1"))
    subscription = service.engine.watch(start_revision=2)
    drain(subscription)
    other = "tenants/other"
    puts = [Network(name=f"{other}/networks/n"), Tenant(name=other)]
    service.engine.apply(puts, [TENANT], force=True).result(TIMEOUT_S)
    expected = [(DELETED, PORT), (DELETED, SUBNET), (DELETED, NETWORK), (DELETED, TENANT),
                (ADDED, other), (ADDED, f"{other}/networks/n")]
    assert told(subscription) == expected
    assert told(service.engine.watch(start_revision=2))[:6] == expected


@pytest.mark.parametrize(("prefix", "kinds", "names"), [
    ("", set(), [TENANT, "tenants/acme2", NETWORK, SUBNET, PORT]),
    (TENANT, set(), [TENANT, NETWORK, SUBNET, PORT]),
    (NETWORK, {"port"}, [PORT]),
    (NETWORK, {"subnet", "network"}, [NETWORK, SUBNET]),
    (PORT, set(), [PORT]),
    ("", {"tenant"}, [TENANT, "tenants/acme2"]),
    ("tenants/acm", set(), []),
])
def test_watch_scope_holds_what_is_below_it(
    service: Service, prefix: str, kinds: set[str], names: list[str],
) -> None:
    """A prefix is a place in the tree, not a text: tenants/acme2 is not below tenants/acme.  So it is in the past."""
    live = service.engine.watch(prefix, kinds=frozenset(kinds))
    drain(live)
    service.build()
    service.create(Tenant(name="tenants/acme2"))
    service.create(port("p1"))
    initial = service.engine.watch(prefix, kinds=frozenset(kinds))
    resumed = service.engine.watch(prefix, kinds=frozenset(kinds), start_revision=1, boot_id=service.engine.boot_id)
    assert sorted(name for _, name in told(live)) == sorted(names)
    assert [name for _, name in told(initial)] == [*names, ""]
    later = [name for name in names if name in ("tenants/acme2", PORT)]
    assert sorted(told(resumed)) == sorted([*((ADDED, name) for name in later), (SYNCED, "")])


def test_watch_resumes_without_gap_or_repetition(service: Service) -> None:
    """From each generation, the rest of the events is the same, before and after a restart."""
    service.build()
    full = service.engine.watch()
    drain(full)
    service.create(port("p1"))
    touch(service, PORT)
    service.engine.apply([port("p2"), port("p3")], [PORT]).result(TIMEOUT_S)
    service.create(port("p1"))
    happened = [
        (2, ADDED, PORT), (3, MODIFIED, PORT), (4, DELETED, PORT), (4, ADDED, f"{NETWORK}/ports/p2"),
        (4, ADDED, f"{NETWORK}/ports/p3"), (5, ADDED, PORT),
    ]
    assert told(full) == [(kind, name) for _, kind, name in happened]
    for _ in ("same boot", "after a restart"):
        for start in range(1, 6):
            subscription = service.engine.watch(start_revision=start, boot_id=service.engine.boot_id)
            rest = [(kind, name) for generation, kind, name in happened if generation > start]
            assert told(subscription) == [*rest, (SYNCED, "")]
        service.restart()


def test_watch_cut_within_a_generation_gets_all_of_it_again(service: Service) -> None:
    """Only the last event of a transaction moves the resume position, live and in history."""
    subscription = service.engine.watch()
    drain(subscription)
    service.build()
    assert [event.generation for event in drain(subscription)] == [0, 0, 1]
    touch(service, TENANT)
    service.engine.apply([port("p1"), port("p2")]).result(TIMEOUT_S)
    assert [event.generation for event in drain(subscription)] == [2, 2, 3]
    resumed = service.engine.watch(start_revision=1, boot_id=service.engine.boot_id)
    assert [event.generation for event in drain(resumed)] == [2, 2, 3, 3]


def test_watch_statuses_are_coalesced_to_the_latest(service: Service) -> None:
    """Ten changes of a status before the reader looks are one event with the newest."""
    service.build()
    service.create(port("p1"))
    subscription = service.engine.watch(NETWORK, kinds=frozenset({"port"}))
    drain(subscription)
    for state in [State.DEGRADED, State.PENDING] * 5 + [State.ACTIVE]:
        service.status.states[PORT] = state
        service.engine.status_changed({PORT, TENANT})
    (event,) = drain(subscription)
    assert (event.kind, event.name, event.generation) == (STATUS, PORT, 2)
    assert event.resource == service.engine.snapshot().get(PORT)
    assert event.status == service.engine.status(PORT)
    assert event.status.state is State.ACTIVE


def test_watch_status_of_what_is_gone_is_silent(service: Service) -> None:
    """A deletion that overtakes a status change leaves only the deletion."""
    service.build()
    service.create(port("p1"))
    subscription = service.engine.watch()
    drain(subscription)
    service.engine.status_changed({PORT})
    service.engine.delete(PORT).result(TIMEOUT_S)
    service.engine.status_changed({PORT})
    assert told(subscription) == [(DELETED, PORT)]


def test_watch_resumed_in_the_same_boot_hears_statuses_it_missed(service: Service) -> None:
    """Status changes have no revision; those since the reader's position are told, older ones not."""
    service.build()
    service.create(port("p1"))
    service.create(port("p2"))
    service.engine.status_changed({PORT})
    position = touch(service, TENANT)
    service.engine.status_changed({f"{NETWORK}/ports/p2"})
    subscription = service.engine.watch(start_revision=position, boot_id=service.engine.boot_id)
    assert told(subscription) == [(STATUS, f"{NETWORK}/ports/p2"), (SYNCED, "")]


def test_watch_resumed_in_another_boot_hears_every_status(service: Service) -> None:
    """After a restart nobody knows what the reader knew."""
    service.build()
    boot_id = service.engine.boot_id
    service.restart()
    subscription = service.engine.watch(start_revision=1, boot_id=boot_id)
    assert told(subscription) == [(STATUS, TENANT), (STATUS, NETWORK), (STATUS, SUBNET), (SYNCED, "")]


def test_watch_from_the_compacted_past_is_out_of_range(service: Service) -> None:
    """Too old, of another store, or nonsense: an error that says how to go on, and no subscription left behind."""
    service.build()
    for _ in range(5):
        touch(service, TENANT, text=str(_))
    service.store.compact(keep_revisions=2, answers_before_s=0)
    for start, error in ((3, OutOfRange), (7, OutOfRange), (-1, InvalidArgument)):
        with pytest.raises(error) as caught:
            service.engine.watch(start_revision=start)
        assert isinstance(caught.value, PliantError)
        assert caught.value.reason == ("REVISION_COMPACTED" if error is OutOfRange else "INVALID_FIELD")
    assert not service.engine._hub._subscriptions
    assert len(drain(service.engine.watch(start_revision=4, boot_id=service.engine.boot_id))) == 3


def test_watch_bookmarks_keep_a_quiet_reader_young(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many commits elsewhere move the resume position now and then; one here does so by itself."""
    monkeypatch.setattr(watch, "BOOKMARK_EVERY", 4)
    service.build()
    service.create(port("p1"))
    subscription = service.engine.watch(PORT)
    drain(subscription)
    for n in range(9):
        touch(service, TENANT, text=str(n))
    assert drain(subscription) == [Event(kind=BOOKMARK, generation=10)]
    last = touch(service, PORT)
    assert [(event.kind, event.generation) for event in drain(subscription)] == [(MODIFIED, last)]


def test_watch_slow_reader_is_cut_not_buffered(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader too far behind meets SLOW_WATCHER and can resume; others hear everything; nothing is kept for it."""
    monkeypatch.setattr(watch, "MAX_WAITING_COMMITS", 5)
    service.build()
    slow, quick = service.engine.watch(), service.engine.watch()
    drain(slow)
    drain(quick)
    for n in range(6):
        touch(service, TENANT, text=str(n))
        assert len(drain(quick)) == 1
    with pytest.raises(ResourceExhausted) as caught:
        slow.take()
    assert caught.value.reason == "SLOW_WATCHER"
    touch(service, TENANT, text="more")
    with pytest.raises(ResourceExhausted):
        slow.take()
    assert not slow._commits
    assert len(drain(service.engine.watch(start_revision=1, boot_id=service.engine.boot_id))) == 8


def test_watch_batch_is_one_step_of_the_bound(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand ports in one transaction cut nobody."""
    monkeypatch.setattr(watch, "MAX_WAITING_COMMITS", 1)
    service.build()
    subscription = service.engine.watch()
    service.engine.create_many([port(f"p{n}") for n in range(1_000)]).result(TIMEOUT_S)
    assert len(drain(subscription)) == 3 + 1 + 1_000


def test_watch_notifies_once_per_nap(service: Service) -> None:
    """A reader that saw [] is notified of the next event, and not again until it looked."""
    notified: list[None] = []
    subscription = service.engine.watch(notify=lambda: notified.append(None))
    service.build()
    assert notified == []
    drain(subscription)
    touch(service, TENANT, text="1")
    touch(service, TENANT, text="2")
    service.engine.status_changed({TENANT})
    assert len(notified) == 1
    assert len(drain(subscription)) == 3
    service.engine.status_changed({TENANT})
    assert len(notified) == 2


def test_watch_reader_that_cannot_be_notified_is_dropped(service: Service) -> None:
    """A notify that raises (its event loop is closed) ends that watch; the others and the writer go on."""
    def lost() -> None:
        raise RuntimeError("Event loop is closed")

    for notify in (lost, lambda: None):
        drain(service.engine.watch(notify=notify))
    service.build()
    service.create(port("p1"))
    (left,) = service.engine._hub._subscriptions
    assert len(drain(left)) == 4


def test_watch_closed_hears_nothing(service: Service) -> None:
    """After close nothing is kept or notified; closing twice is harmless."""
    notified: list[None] = []
    subscription = service.engine.watch(notify=lambda: notified.append(None))
    drain(subscription)
    subscription.close()
    subscription.close()
    service.build()
    assert notified == []
    assert drain(subscription) == []


def test_watch_at_shutdown_ends_after_the_last_event(service: Service) -> None:
    """A stopping engine lets each reader finish, then says why it ends; new watches are refused."""
    woken = threading.Event()
    service.build()
    subscription = service.engine.watch(notify=woken.set)
    drain(subscription)
    touch(service, TENANT)
    service.engine.close()
    assert woken.is_set()
    assert [event.kind for event in subscription.take()] == [MODIFIED]
    with pytest.raises(Unavailable):
        subscription.take()
    with pytest.raises(Unavailable):
        service.engine.watch()


def test_watch_misses_nothing_whenever_it_starts(service: Service) -> None:
    """Readers that subscribe while others write end with the same objects as the engine."""
    service.build()
    views: list[dict[str, Resource]] = []
    subscribed = threading.Semaphore(0)

    def follow() -> None:
        woken = threading.Event()
        subscription = service.engine.watch(notify=woken.set)
        subscribed.release()
        view: dict[str, Resource] = {}
        try:
            while True:
                woken.clear()
                while events := subscription.take(3):  # one by one: the end may come between two
                    for event in events:
                        if event.kind is DELETED:
                            del view[event.name]
                        elif event.resource is not None:
                            assert event.kind is ADDED or event.name in view
                            view[event.name] = event.resource
                assert woken.wait(TIMEOUT_S)
        except Unavailable:
            views.append(view)

    readers = []
    for n in range(60):
        service.engine.create(port(f"p{n}"))
        if n % 3 == 0:
            service.engine.delete(f"{NETWORK}/ports/p{n}")
        if n % 6 == 0:
            readers.append(threading.Thread(target=follow))
            readers[-1].start()
    service.create(subnet(f"{NETWORK}/subnets/last", "192.168.0.0/24"))
    for _ in readers:  # a thread that the machine was slow to start must not meet an engine that is closed
        assert subscribed.acquire(timeout=TIMEOUT_S)
    service.engine.close()
    for reader in readers:
        reader.join(TIMEOUT_S)
    expected = {obj.name: obj for obj in service.engine.snapshot().objects()}
    assert views == [expected] * len(readers)
