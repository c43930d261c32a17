"""One engine per test, stopped at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """An engine on an empty store."""
    service = Service(tmp_path / "pliant.db")
    yield service
    service.engine.close()
    service.store.close()
