"""The rows of a database as Python values, and how the server's updates change them.  Pure.

    one value      str, int, float, bool, Uuid       at most one    the same, or None
    a set          frozenset                          a map          immutables.Map

What a server leaves out of a row has its default.  An update2 gives the new value of a column that holds at most one,
and of any other the difference to the old one.  (The ovsdb-server(7) manual page, section 4.1.14.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from immutables import Map

MAX_ROWS = 200_000
_SCALARS = {"string": str, "integer": int, "real": float, "boolean": bool}
_DEFAULTS: dict[str, Atom] = {"string": "", "integer": 0, "real": 0.0, "boolean": False}


class MalformedError(Exception):
    """What the server sent does not fit its own schema; the message says where."""


class Uuid(str):
    """The name of a row."""

    __slots__ = ()


NO_ROW = Uuid("00000000-0000-0000-0000-000000000000")

Atom = str | int | float | bool | Uuid
Value = Atom | None | frozenset[Atom] | Map[Atom, Atom]
Row = Mapping[str, Any]
"""Column -> Value.  `Any`: which kind of value a column holds is known to whoever names it."""


def decode_atom(json: object) -> Atom:
    if isinstance(json, str | int | float):
        return json
    match json:
        case ["uuid", str(text)]:
            return Uuid(text)
    raise MalformedError(f"no value: {json!r:.80}")


def encode_atom(atom: Atom) -> Any:
    return ["uuid", str(atom)] if isinstance(atom, Uuid) else atom


def encode_map(values: Mapping[str, str]) -> list[Any]:
    return ["map", [[key, value] for key, value in sorted(values.items())]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a schema says of a column, as far as it decides how the column is read."""

    kind: str
    """the type of its values, or of its map's keys"""
    is_map: bool = False
    at_least_one: bool = True
    at_most_one: bool = True

    @classmethod
    def of(cls, schema: object) -> Self:
        """From the "type" of a column in a schema."""
        if isinstance(schema, str):
            schema = {"key": schema}
        if not isinstance(schema, dict):
            raise MalformedError(f"no type of a column: {schema!r:.80}")
        key = schema.get("key")
        kind = key.get("type") if isinstance(key, dict) else key
        if not isinstance(kind, str) or kind not in (*_SCALARS, "uuid"):
            raise MalformedError(f"no type of a column: {schema!r:.80}")
        return cls(
            kind=kind, is_map="value" in schema, at_least_one=schema.get("min", 1) != 0,
            at_most_one=schema.get("max", 1) == 1)

    @property
    def default(self) -> Value:
        if self.is_map:
            return Map()
        if not self.at_most_one:
            return frozenset()
        return _DEFAULTS.get(self.kind, NO_ROW) if self.at_least_one else None

    def decode(self, json: object) -> Value:
        """A value as it stands in a whole row."""
        if self.is_map:
            return Map(self._pairs(json))
        atoms = list(self._atoms(json))
        if not self.at_most_one:
            return frozenset(atoms)
        if len(atoms) > 1 or (self.at_least_one and not atoms):
            raise MalformedError(f"{len(atoms)} values in a column of one")
        return atoms[0] if atoms else None

    def modify(self, old: Any, json: object) -> Value:
        """The value after an update2's "modify"."""
        if self.at_most_one:
            return self.decode(json)
        if not self.is_map:
            changed: frozenset[Atom] = old ^ frozenset(self._atoms(json))
            return changed
        with old.mutate() as new:
            for key, value in self._pairs(json):
                if key in old and old[key] == value:
                    del new[key]
                else:
                    new[key] = value
            pairs: Map[Atom, Atom] = new.finish()
        return pairs

    def _atoms(self, json: object) -> Iterator[Atom]:
        match json:
            case ["set", list(members)]:
                yield from map(self._atom, members)
            case _:
                yield self._atom(json)

    def _pairs(self, json: object) -> Iterator[tuple[Atom, Atom]]:
        match json:
            case ["map", list(pairs)]:
                for pair in pairs:
                    match pair:
                        case [key, value]:
                            yield self._atom(key), decode_atom(value)
                        case _:
                            raise MalformedError(f"no pair of a map: {pair!r:.80}")
            case _:
                raise MalformedError(f"no map: {json!r:.80}")

    def _atom(self, json: object) -> Atom:
        atom = decode_atom(json)
        wanted = Uuid if self.kind == "uuid" else _SCALARS[self.kind]
        if self.kind == "real" and type(atom) is int:
            return float(atom)
        if type(atom) is not wanted:
            raise MalformedError(f"{atom!r:.80} is no {self.kind}")
        return atom


Schema = Mapping[str, Mapping[str, Column]]


def read_schema(json: object, wanted: Mapping[str, tuple[str, ...]]) -> Schema:
    """The wanted columns, from a get_schema's answer."""
    return {
        table: {name: Column.of(_descend(json, "tables", table, "columns", name, "type")) for name in names}
        for table, names in wanted.items()}


def _descend(json: object, *path: str) -> object:
    for key in path:
        if not isinstance(json, dict) or key not in json:
            raise MalformedError(f"the schema has no {'/'.join(path)}")
        json = json[key]
    return json


class Copy:
    """A database's rows, as of the last update of the server."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._blank = {
            table: {name: column.default for name, column in columns.items()} for table, columns in schema.items()}
        self.tables: dict[str, dict[Uuid, Row]] = {table: {} for table in schema}

    def update(self, updates: object) -> None:
        """Work in a <table-updates2>.  MalformedError if it cannot be one; the copy is of no use then."""
        if not isinstance(updates, dict):
            raise MalformedError(f"no updates: {updates!r:.80}")
        for table, changes in updates.items():
            if table not in self._schema or not isinstance(changes, dict):
                raise MalformedError(f"no updates of a table that was asked for: {table!r:.80}")
            for uuid, change in changes.items():
                self._change(table, Uuid(uuid), change)
        if sum(map(len, self.tables.values())) > MAX_ROWS:
            raise MalformedError(f"more than {MAX_ROWS} rows")

    def _change(self, table: str, uuid: Uuid, change: object) -> None:
        rows, blank = self.tables[table], self._blank[table]
        match change:
            case {"initial": dict(columns)} | {"insert": dict(columns)}:
                rows[uuid] = {**blank, **{name: self._column(table, name).decode(columns[name]) for name in columns}}
            case {"modify": dict(columns)} if uuid in rows:
                old = rows[uuid]
                rows[uuid] = {
                    **old, **{name: self._column(table, name).modify(old[name], columns[name]) for name in columns}}
            case {"delete": _} if uuid in rows:
                del rows[uuid]
            case _:
                raise MalformedError(f"no change of a row of {table}: {change!r:.80}")

    def _column(self, table: str, name: str) -> Column:
        column = self._schema[table].get(name)
        if column is None:
            raise MalformedError(f"a column of {table} that was not asked for: {name!r:.80}")
        return column
