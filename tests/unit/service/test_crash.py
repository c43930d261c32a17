"""SIGKILL in the middle of use cases: what was acknowledged is there, whole, after the restart."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

from controller.intent.snapshot import Snapshot
from controller.service.codec import encode
from tests.support.service import NETWORK, Service

ROOT = Path(__file__).resolve().parents[3]

WORK_FOREVER = """
import os, sys
from pathlib import Path
from controller.service.codec import encode
from tests.support.service import NETWORK, TENANT, Service, port

service = Service(Path(sys.argv[1]))
if TENANT not in service.engine.snapshot().tenants:
    service.build()
while True:
    n = service.store.revision()
    old = [f"{NETWORK}/ports/p{n - 9}"]
    outcome = service.engine.apply([port(f"p{n}", dpid=1 + n % 3, port_no=n)], old, request_id=str(n)).result()
    os.write(1, encode(outcome) + b"\\n")
"""


def test_engine_killed_at_any_moment_restarts_with_every_acknowledged_change(tmp_path: Path) -> None:
    """Objects, indexes, keys and answers of the last acknowledged change are there, and none of a later one by half."""
    path, dice = tmp_path / "p.db", random.Random(2)
    for _ in range(5):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORK_FOREVER, str(path)], cwd=ROOT, stdout=subprocess.PIPE,
        )
        assert worker.stdout is not None
        lines = [worker.stdout.readline() for _ in range(dice.randint(1, 150))]
        worker.send_signal(signal.SIGKILL)
        lines += worker.stdout.read().splitlines(keepends=True)
        worker.stdout.close()
        worker.wait()
        last = json.loads([line for line in lines if line.endswith(b"\n")][-1])
        service = Service(path)
        snapshot = service.engine.snapshot()
        generation = last["generation"]
        assert generation <= snapshot.generation <= generation + 1
        (acknowledged,) = last["objects"]
        assert json.loads(encode(snapshot.get(acknowledged["name"]))) == acknowledged
        newest = snapshot.generation
        assert {p.name for p in snapshot.ports.values()} == {
            f"{NETWORK}/ports/p{n}" for n in range(max(1, newest - 9), newest)
        }
        assert set(snapshot.keys.port_keys) == set(snapshot.ports)
        assert Snapshot.rebuild(snapshot.objects(), snapshot.keys, newest) == snapshot
        assert service.store.answer(str(newest - 1)) is not None
        service.stop()
