"""What is wanted, what is there, and where the two differ: one tracker for each of flows, groups and meters.

The tracker remembers which keys may differ, so finding the difference costs the size of a change, not of the table.
(The idea is Calico Felix's delta tracker: two views and their difference as one value that every driver shares.)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Tracker(Generic[K, V]):
    """Two views of one table: `desired` and `installed` (confirmed by the switch, never hoped)."""

    def __init__(self) -> None:
        self.desired: dict[K, V] = {}
        self.installed: dict[K, V] = {}
        self._differs: set[K] = set()
        self._written: set[K] | None = None
        """keys that the switch confirmed since `begin_read`"""

    def want(self, key: K, value: V | None) -> None:
        """The switch should hold `value` under `key`; None: nothing."""
        if value is None:
            self.desired.pop(key, None)
        else:
            self.desired[key] = value
        self._compare(key)

    def found(self, key: K, value: V | None) -> None:
        """The switch confirmed that it holds `value` under `key`; None: nothing."""
        if value is None:
            self.installed.pop(key, None)
        else:
            self.installed[key] = value
        if self._written is not None:
            self._written.add(key)
        self._compare(key)

    def begin_read(self) -> None:
        """The switch is being read.  What it confirms from here on is newer than what the reading says, or the same."""
        self._written = set()

    def found_all(self, values: Iterable[tuple[K, V]]) -> int:
        """The switch was read: this is all it holds, but for what it confirmed while it was read.

        Returns how many keys differ from what was believed to be installed.
        """
        found, newer = dict(values), self._written or ()
        self._written = None
        # Nearly all is as believed, and stays what it is: the target shares it.
        drifted = [key for key, value in found.items() if self.installed.get(key) != value and key not in newer]
        gone = [key for key in self.installed if key not in found and key not in newer]
        for key in (*drifted, *gone):
            self.found(key, found.get(key))
        return len(drifted) + len(gone)

    def puts(self) -> list[tuple[K, V, V | None]]:
        """(key, wanted, what stands there now or None) for every key to add or change, unordered."""
        return [(key, self.desired[key], self.installed.get(key)) for key in self._differs if key in self.desired]

    def deletes(self) -> list[K]:
        """Keys that the switch holds and should not, unordered."""
        return [key for key in self._differs if key not in self.desired]

    @property
    def in_sync(self) -> bool:
        return not self._differs

    @property
    def is_clean(self) -> bool:
        """Whatever the switch holds is wanted; more may be missing."""
        return not any(key in self.installed for key in self._differs)

    def _compare(self, key: K) -> None:
        if self.desired.get(key) == self.installed.get(key):
            self._differs.discard(key)
        else:
            self._differs.add(key)
