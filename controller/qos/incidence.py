r"""Which aggregate crosses which resource, and with what fraction of its rate: a sparse matrix in two orders.

    rate of aggregates   [ 30  10 ]
                            | \   |
    fraction               1  .5  1        load of a resource = sum of fraction x rate over who crosses it
                            |   \ |
    load of resources    [ 30   25 ]

Aggregates and resources are numbers here.  Knows nothing of what they stand for, nor of capacities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Incidence:
    """One entry for each crossing, by ascending aggregate.  Each fraction is above 0."""

    n_aggregates: int
    n_resources: int
    aggregate: Ints
    resource: Ints
    fraction: Floats

    def load(self, rate: Floats) -> Floats:
        """What each resource carries when the aggregates have these rates."""
        carried = self.fraction * rate[self.aggregate]
        load = np.bincount(self.resource, weights=carried, minlength=self.n_resources)
        return load.astype(np.float64, copy=False)

    def of(self, members: Flags) -> Self:
        """The part of some aggregates, renumbered in their order, on the same resources."""
        kept = members[self.aggregate]
        number = np.cumsum(members) - 1
        return type(self)(
            n_aggregates=int(members.sum()), n_resources=self.n_resources,
            aggregate=number[self.aggregate[kept]], resource=self.resource[kept], fraction=self.fraction[kept],
        )
