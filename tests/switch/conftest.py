"""The fabric that the whole-controller tests run on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fabric import Fabric, leaf_spine
from tests.support.rig import Rig


@pytest.fixture
def fabric(ovs: Rig) -> Iterator[Fabric]:
    """Two spines, three leaves, and pliantd that knows all their links."""
    with leaf_spine(ovs) as fabric:
        yield fabric


@pytest.fixture(scope="module")
def shared_fabric() -> Iterator[Fabric]:
    """The same, one for all tests of a module: for tests that leave it as it was, or that share tenants."""
    with Rig() as rig, leaf_spine(rig) as fabric:
        yield fabric
