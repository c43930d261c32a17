"""What every engine under the Store protocol must do.  A new engine joins by adding its opener to `ENGINES`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.service.interfaces import Answer, Compacted, Compare, CompareFailed, Record, Store, Write
from controller.store.sqlite import SqliteStore

ENGINES: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda directory: SqliteStore(directory / "pliant.db"),
}

Reopen = Callable[[], Store]


@pytest.fixture(params=sorted(ENGINES))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """Close the store if it is open and open it again; the first call opens an empty one."""
    opened: list[Store] = []

    def again() -> Store:
        while opened:
            opened.pop().close()
        opened.append(ENGINES[request.param](tmp_path))
        return opened[-1]

    yield again
    while opened:
        opened.pop().close()


@pytest.fixture
def store(reopen: Reopen) -> Store:
    return reopen()


def put(store: Store, **values: bytes | None) -> int:
    return store.txn([], [Write(key=key, value=value) for key, value in values.items()])


def values(store: Store, prefix: str = "", at: int | None = None) -> dict[str, bytes | None]:
    return {record.key: record.value for record in store.list(prefix, at)}


def test_store_empty_is_at_revision_zero(store: Store) -> None:
    """A new store is at revision 0 and holds nothing."""
    assert store.revision() == 0
    assert list(store.list("")) == []
    assert list(store.history("", 0)) == []
    assert dict(store.cached()) == {}


def test_store_txn_takes_one_revision_for_all_its_writes(store: Store) -> None:
    """All writes of a transaction stand at the same new revision, and revisions are contiguous."""
    assert put(store, a=b"1", b=b"2") == 1
    assert put(store, c=b"3") == 2
    assert store.revision() == 2
    assert list(store.list("")) == [
        Record(key="a", value=b"1", create_revision=1, mod_revision=1),
        Record(key="b", value=b"2", create_revision=1, mod_revision=1),
        Record(key="c", value=b"3", create_revision=2, mod_revision=2),
    ]


def test_store_txn_without_writes_takes_no_revision(store: Store) -> None:
    """Keeping only an answer leaves the counter where it is."""
    put(store, a=b"1")
    answer = Answer(request_id="r", digest=b"d", response=b"x", answered_s=5.0)
    assert store.txn([], [], answer) == 1
    assert store.revision() == 1
    assert store.answer("r") == answer


def test_store_key_created_again_has_a_new_create_revision(store: Store) -> None:
    """A change keeps the create revision; a deletion ends it."""
    put(store, a=b"1")
    put(store, a=b"2")
    assert store.list("a")[0].create_revision == 1
    put(store, a=None)
    assert list(store.list("a")) == []
    put(store, a=b"3")
    assert store.list("a")[0] == Record(key="a", value=b"3", create_revision=4, mod_revision=4)


def test_store_deleting_what_is_not_there_leaves_no_history(store: Store) -> None:
    """A deletion of an absent (or already deleted) key is no change."""
    put(store, a=b"1", ghost=None)
    put(store, a=None)
    put(store, a=None)
    assert [(r.key, r.mod_revision, r.value) for r in store.history("", 0)] == [("a", 1, b"1"), ("a", 2, None)]


def test_store_list_is_sorted_and_bounded_by_the_prefix(store: Store) -> None:
    """A prefix selects exactly the keys that start with it, whatever characters follow."""
    store.txn([], [Write(key=k, value=b"") for k in ("b/2", "b/1", "b", "b0", "a/1", "b/\U0010fffd", "c", "b/é")])
    assert [r.key for r in store.list("b/")] == ["b/1", "b/2", "b/é", "b/\U0010fffd"]


def test_store_list_shows_the_past(store: Store) -> None:
    """Every revision can be listed as it was, deletions and re-creations included."""
    put(store, a=b"1")
    put(store, a=b"2", b=b"2")
    put(store, a=None)
    put(store, a=b"4")
    assert [values(store, at=revision) for revision in range(5)] == [
        {}, {"a": b"1"}, {"a": b"2", "b": b"2"}, {"b": b"2"}, {"a": b"4", "b": b"2"},
    ]


def test_store_refuses_the_future(store: Store) -> None:
    """A revision that has not been yet is the caller's mistake, not an empty list."""
    put(store, a=b"1")
    with pytest.raises(ValueError, match="has not been yet"):
        store.list("", at=2)
    with pytest.raises(ValueError, match="has not been yet"):
        store.history("", after=2)


def test_store_history_is_ordered_and_exclusive(store: Store) -> None:
    """History after a revision starts with the next one and follows revision, then key."""
    put(store, b=b"1", a=b"1")
    put(store, b=b"2")
    put(store, b=None, c=b"3")
    assert [(r.mod_revision, r.key, r.value) for r in store.history("", 0)] == [
        (1, "a", b"1"), (1, "b", b"1"), (2, "b", b"2"), (3, "b", None), (3, "c", b"3"),
    ]
    assert [r.key for r in store.history("", 2)] == ["b", "c"]
    assert [r.mod_revision for r in store.history("b", 0)] == [1, 2, 3]
    assert list(store.history("", 3)) == []


@pytest.mark.parametrize(
    ("key", "mod_revision", "holds"),
    [("a", 2, True), ("a", 1, False), ("a", 0, False), ("absent", 0, True), ("absent", 2, False), ("gone", 0, True)],
)
def test_store_compare_guards_the_whole_transaction(store: Store, key: str, mod_revision: int, holds: bool) -> None:
    """A condition that does not hold leaves everything as it was, the counter and the answers included."""
    put(store, a=b"1", gone=b"1")
    put(store, a=b"2", gone=None)
    compares = [Compare(key=key, mod_revision=mod_revision)]
    answer = Answer(request_id="r", digest=b"", response=b"", answered_s=0.0)
    if holds:
        assert store.txn(compares, [Write(key="new", value=b"")], answer) == 3
        return
    with pytest.raises(CompareFailed, match=key):
        store.txn(compares, [Write(key="new", value=b"")], answer)
    assert store.revision() == 2
    assert list(store.list("new")) == []
    assert store.answer("r") is None


def test_store_answer_is_kept_with_its_transaction(store: Store) -> None:
    """The answer to a request is found by its id, digest and all; a later one replaces it."""
    first = Answer(request_id="r", digest=b"d", response=b"x", answered_s=1.5)
    store.txn([], [Write(key="a", value=b"")], first)
    assert store.answer("r") == first
    assert store.answer("other") is None
    second = Answer(request_id="r", digest=b"e", response=b"y", answered_s=2.5)
    store.txn([], [], second)
    assert store.answer("r") == second


def test_store_compaction_forgets_the_past_only(store: Store) -> None:
    """After compaction the kept revisions list and replay as before; older ones say from where they can."""
    for revision in range(1, 11):
        put(store, **{"counter": b"%d" % revision, f"k{revision}": b"", f"k{revision - 3}": None})
    before = {at: values(store, at=at) for at in range(6, 11)}
    replay = list(store.history("", 6))
    store.compact(keep_revisions=4, answers_before_s=0)
    assert {at: values(store, at=at) for at in range(6, 11)} == before
    assert list(store.history("", 6)) == replay
    assert values(store) == before[10]
    for call in (lambda: store.list("", at=5), lambda: store.history("", after=5)):
        with pytest.raises(Compacted) as caught:
            call()
        assert caught.value.oldest == 6


def test_store_compaction_never_goes_back(store: Store) -> None:
    """Asking to keep more than there is changes nothing, before and after a compaction."""
    store.compact(keep_revisions=10, answers_before_s=0)
    for _ in range(5):
        put(store, a=b"")
    store.compact(keep_revisions=1, answers_before_s=0)
    store.compact(keep_revisions=100, answers_before_s=0)
    with pytest.raises(Compacted) as caught:
        store.history("", 0)
    assert caught.value.oldest == 4


def test_store_compaction_forgets_old_answers(store: Store) -> None:
    """Answers older than the given time go; the others stay."""
    for request_id, answered_s in (("old", 10.0), ("new", 20.0)):
        store.txn([], [], Answer(request_id=request_id, digest=b"", response=b"", answered_s=answered_s))
    store.compact(keep_revisions=0, answers_before_s=20.0)
    assert store.answer("old") is None
    assert store.answer("new") is not None


def test_store_cache_has_no_revision_and_is_not_listed(store: Store) -> None:
    """Observed state is saved key by key and mixes with nothing."""
    store.save_cache({"link": b"1", "role": b"2"})
    store.save_cache({"link": b"3", "role": None, "absent": None})
    assert dict(store.cached()) == {"link": b"3"}
    assert store.revision() == 0
    assert list(store.list("")) == []


def test_store_reopened_is_the_same(reopen: Reopen) -> None:
    """Everything is there after close and open: counter, values, past, compaction, answers, cache."""
    store = reopen()
    for step in range(6):
        put(store, a=b"%d" % step, **{f"k{step}": b""})
    store.txn([], [], Answer(request_id="r", digest=b"d", response=b"x", answered_s=9.0))
    store.save_cache({"c": b"1"})
    store.compact(keep_revisions=3, answers_before_s=0)

    def everything(store: Store) -> tuple[object, ...]:
        past = store.list("", 4), store.history("", 3)
        return store.revision(), store.list(""), past, store.answer("r"), store.cached()

    before = everything(store)
    store = reopen()
    assert everything(store) == before
    with pytest.raises(Compacted):
        store.history("", 2)
    assert put(store, a=b"next") == 7


def test_store_is_safe_to_share_between_threads(store: Store) -> None:
    """Eight threads writing and reading lose nothing, and no reader sees half a transaction."""
    torn: list[str] = []

    def work(thread: int) -> None:
        for step in range(25):
            mark = b"%d.%d" % (thread, step)
            put(store, **{"left": mark, "right": mark, f"{thread}.{step}": b""})
            seen = values(store)
            if seen["left"] != seen["right"]:
                torn.append(f"{seen['left']!r} {seen['right']!r}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert torn == []
    assert store.revision() == 200
    assert len(store.list("")) == 202
    assert sorted({r.mod_revision for r in store.history("", 0)}) == list(range(1, 201))
