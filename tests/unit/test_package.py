"""The wheel holds what it should, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def test_wheel_holds_exactly_our_four_packages(tmp_path: Path) -> None:
    """Built from a copy of the sources, offline: controller, apps, topologies, pliant, each with its modules."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("controller", "apps", "topologies", "proto", "pyproject.toml", "LICENSE", "README.md"):
        where = _ROOT / name
        if where.is_dir():
            shutil.copytree(where, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif where.exists():
            shutil.copy(where, source)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr + built.stdout
    (wheel,) = tmp_path.glob("pliant-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"controller", "apps", "topologies", "pliant"}
    for expected in ("controller/model/ids.py", "apps/lab/sandbox.py", "topologies/single.py", "pliant/py.typed"):
        assert expected in names
    assert any(name.startswith("pliant/v1/") and name.endswith(".proto") for name in names)
    (points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "pliantd = apps.pliantd.__main__:main" in zipfile.ZipFile(wheel).read(points).decode()
