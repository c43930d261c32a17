"""What the networks of one tenant claim of each link, all together.

    needs of each network ──► their sum, and the tenant's own pool ──► never more than its limit ──► whole kbit/s

A tenant may cross a thousand links, and one port's guarantee changes what it claims of a few of them.  So the sums are
arrays, and only claims that are others than those of the last call are made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.qos.hose import UNBOUNDED, Footprint, Hose
from controller.qos.ledger import ROUNDING, Claim, Claims

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_POOL_OF_ONE = Hose(sent={}, received={}, open_senders=(), open_receivers=(), pool=1.0)


class Pooled:
    """Of these footprints.  The same hoses give the same claims, whoever asked for which before."""

    def __init__(self, footprints: Sequence[Footprint]) -> None:
        self.footprints = tuple(footprints)
        place: dict[Any, int] = {}
        for footprint in footprints:
            for link in footprint.links:
                place.setdefault(link, len(place))
        self._links = tuple(place)
        self._places = [np.array([place[link] for link in each.links], dtype=np.int64) for each in footprints]
        self._last: tuple[Ints, dict[Any, Claim]] = np.zeros((2, len(place)), dtype=np.int64), {}

    def claims(self, hoses: Sequence[Hose], *, pool: float = 0.0, limit: float = UNBOUNDED) -> Claims:
        """`hoses`: of the first footprints; the others are there for the pool alone, which is on top of the hoses."""
        working, reserved = np.zeros((2, len(self._links)))
        for footprint, places, hose in zip(self.footprints, self._places, hoses, strict=False):
            as_is, at_most = footprint.loads(hose)
            working[places] += as_is
            reserved[places] += at_most
        if pool:
            working += pool * self._largest[0]
            reserved += pool * self._largest[1]
        return self._whole(np.minimum(working, limit), np.minimum(reserved, limit))

    @cached_property
    def _largest(self) -> Floats:
        """The largest fraction of any pair: as things are, and with failures."""
        largest = np.zeros((2, len(self._links)))
        for footprint, places in zip(self.footprints, self._places, strict=True):
            largest[:, places] = np.maximum(largest[:, places], footprint.loads(_POOL_OF_ONE))
        return largest

    def _whole(self, working: Floats, reserved: Floats) -> Claims:
        """Rounded so that it is enough."""
        kbps = np.ceil(np.array([working, reserved]) - ROUNDING).astype(np.int64)
        before, claims = self._last
        differ = np.flatnonzero((kbps != before).any(axis=0))
        claims = dict(claims)
        for i, *each in zip(differ.tolist(), *kbps[:, differ].tolist(), strict=True):
            if each[1]:
                claims[self._links[i]] = Claim(*each)
            else:
                claims.pop(self._links[i], None)
        self._last = kbps, claims
        return claims
