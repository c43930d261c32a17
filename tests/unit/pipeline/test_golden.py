"""The pipeline as text: what changes in it shows in a diff that a reviewer reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.files import expected


@pytest.mark.parametrize("path", sorted(expected()), ids=lambda path: path.name)
def test_generated_file_is_fresh(path: Path) -> None:
    """docs/pipeline.md and each golden program are what `make golden` writes."""
    assert path.read_text() == expected()[path], f"{path.name} is stale: run `make golden` and read the diff"
