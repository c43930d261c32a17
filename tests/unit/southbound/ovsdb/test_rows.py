"""The copy of a database, held to a database in memory that speaks update2 as the real one does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from immutables import Map

from controller.southbound.ovsdb.rows import Copy, MalformedError, Uuid, decode_atom, read_schema

UNLIMITED = {"min": 0, "max": "unlimited"}
COLUMNS: dict[str, Any] = {
    "name": "string",
    "count": {"key": {"type": "integer", "minInteger": 0}},
    "flag": {"key": "boolean"},
    "share": {"key": "real", "min": 0, "max": 1},
    "peer": {"key": {"type": "uuid", "refTable": "T"}, "min": 0, "max": 1},
    "members": {"key": {"type": "uuid", "refTable": "T"}, **UNLIMITED},
    "tags": {"key": {"type": "integer"}, "min": 0, "max": 4096},
    "ids": {"key": "string", "value": "string", **UNLIMITED},
    "queues": {"key": {"type": "integer"}, "value": {"type": "uuid"}, **UNLIMITED},
    "single": {"key": "string", "value": "integer", "min": 0, "max": 1},
}
SCHEMA = read_schema(
    {"tables": {"T": {"columns": {name: {"type": kind} for name, kind in COLUMNS.items()}}}}, {"T": tuple(COLUMNS)})
BLANK = {name: column.default for name, column in SCHEMA["T"].items()}

strings, numbers = st.sampled_from(["", "a", "b", "set", "map"]), st.integers(-3, 3)
uuids = st.sampled_from([Uuid(f"00000000-0000-0000-0000-00000000000{n}") for n in range(1, 5)])
contents: dict[str, st.SearchStrategy[Any]] = {
    "name": strings, "count": numbers, "flag": st.booleans(), "share": st.none() | st.sampled_from([0.0, 0.5, 2.0]),
    "peer": st.none() | uuids, "members": st.frozensets(uuids), "tags": st.frozensets(numbers),
    "ids": st.dictionaries(strings, strings).map(Map), "queues": st.dictionaries(numbers, uuids).map(Map),
    "single": st.dictionaries(strings, numbers, max_size=1).map(Map),
}
some_columns = st.fixed_dictionaries({}, optional=contents)


def encode(value: Any) -> Any:
    """As ovsdb-server writes a value: a set of one is written as that one."""
    if isinstance(value, Map):
        return ["map", [[encode(key), encode(value[key])] for key in value]]
    if value is None:
        return ["set", []]
    if isinstance(value, frozenset):
        return encode(next(iter(value))) if len(value) == 1 else ["set", [encode(each) for each in value]]
    return ["uuid", str(value)] if isinstance(value, Uuid) else value


def difference(name: str, old: Any, new: Any) -> Any:
    """As ovsdb-server tells a change."""
    if isinstance(new, frozenset):
        return encode(old ^ new)
    if isinstance(new, Map) and name != "single":
        keys = {key for key in {*old, *new} if old.get(key) != new.get(key)}
        return encode(Map({key: new[key] if key in new else old[key] for key in keys}))
    return encode(new)


class Server:
    def __init__(self) -> None:
        self.rows: dict[Uuid, dict[str, Any]] = {}

    def dump(self, kind: str = "initial") -> dict[str, Any]:
        return {"T": {uuid: {kind: self._told(row)} for uuid, row in self.rows.items()}}

    def _told(self, row: dict[str, Any]) -> dict[str, Any]:
        return {name: encode(value) for name, value in row.items() if value != BLANK[name]}

    def put(self, uuid: Uuid, columns: dict[str, Any]) -> dict[str, Any]:
        old = self.rows.get(uuid)
        new = {**(old or BLANK), **columns}
        self.rows[uuid] = new
        if old is None:
            return {"T": {uuid: {"insert": self._told(new)}}}
        changed = {name: difference(name, old[name], new[name]) for name in new if new[name] != old[name]}
        return {"T": {uuid: {"modify": changed}}} if changed else {}

    def delete(self, uuid: Uuid) -> dict[str, Any]:
        return {"T": {uuid: {"delete": None}}} if self.rows.pop(uuid, None) is not None else {}


class CopyMachine(RuleBasedStateMachine):
    """Whatever changes, in whatever order: the copy kept by updates is what a fresh dump says."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.copy = Copy(SCHEMA)
        self.copy.update(self.server.dump())

    @rule(uuid=uuids, columns=some_columns)
    def put(self, uuid: Uuid, columns: dict[str, Any]) -> None:
        self.copy.update(self.server.put(uuid, columns))

    @rule(uuid=uuids)
    def delete(self, uuid: Uuid) -> None:
        self.copy.update(self.server.delete(uuid))

    @invariant()
    def copy_is_a_fresh_dump(self) -> None:
        fresh = Copy(SCHEMA)
        fresh.update(self.server.dump())
        assert self.copy.tables == fresh.tables
        assert self.copy.tables["T"] == self.server.rows


TestCopy = CopyMachine.TestCase


def test_column_left_out_has_its_default() -> None:
    """A server says nothing of empty sets, zeros and empty strings."""
    copy = Copy(SCHEMA)
    copy.update({"T": {"u": {"initial": {}}}})
    assert copy.tables["T"][Uuid("u")] == BLANK
    assert (BLANK["name"], BLANK["share"], BLANK["tags"], BLANK["ids"]) == ("", None, frozenset(), Map())


words = st.sampled_from(["set", "map", "uuid", "T", "u", "initial", "insert", "modify", "delete", *COLUMNS])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=12)


@given(json_values | st.fixed_dictionaries({"T": st.dictionaries(st.just("u"), st.dictionaries(
    st.sampled_from(["initial", "modify"]), st.dictionaries(st.sampled_from(list(COLUMNS)), json_values)))}))
def test_update_raises_nothing_but_its_own_error(updates: Any) -> None:
    """What does not fit the schema is refused, whatever it is."""
    copy = Copy(SCHEMA)
    copy.update({"T": {"u": {"initial": {}}}})
    try:
        copy.update(updates)
    except MalformedError:
        return
    assert set(copy.tables) == {"T"}


@pytest.mark.parametrize(
    "change",
    [
        {"initial": {"name": 5}}, {"initial": {"count": True}}, {"initial": {"unknown": 1}},
        {"initial": {"ids": ["set", []]}}, {"initial": {"members": ["set", [["named-uuid", "x"]]]}},
        {"initial": {"members": "x"}}, {"insert": {"name": ["set", []]}}, {"gone": None},
        {"modify": {"name": ["set", ["a", "b"]]}}, {"modify": {"ids": ["map", [["a"]]]}},
    ],
)
def test_update_refuses_what_the_schema_does_not_allow(change: dict[str, Any]) -> None:
    """Wrong kinds, too many values, columns that were not asked for."""
    copy = Copy(SCHEMA)
    copy.update({"T": {"u": {"initial": {}}}})
    with pytest.raises(MalformedError):
        copy.update({"T": {"u": change}})


@pytest.mark.parametrize("uuid", ["modify", "delete"])
def test_update_of_a_row_that_is_not_there_is_refused(uuid: str) -> None:
    """The copy would be another one than the server's."""
    with pytest.raises(MalformedError):
        Copy(SCHEMA).update({"T": {"u": {uuid: {}}}})


@pytest.mark.parametrize(
    "schema", [None, {}, {"tables": []}, {"tables": {"T": {}}}, {"tables": {"T": {"columns": {"c": {}}}}},
               {"tables": {"T": {"columns": {"c": {"type": "colour"}}}}},
               {"tables": {"T": {"columns": {"c": {"type": {"key": []}}}}}}])
def test_schema_without_what_is_needed_is_refused(schema: object) -> None:
    """A server of something else, or far too old."""
    with pytest.raises(MalformedError):
        read_schema(schema, {"T": ("c",)})


def test_atom_is_a_value_or_a_uuid() -> None:
    """Nothing else stands in a set."""
    assert decode_atom(["uuid", "x"]) == Uuid("x")
    for wrong in (None, [], ["uuid"], ["uuid", 5], {}, ["set", []]):
        with pytest.raises(MalformedError):
            decode_atom(wrong)
