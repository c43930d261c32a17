"""Write the Python stubs of proto/pliant/v1 and its reference, docs/api.md, or check them and lint the contract.

    python proto/generate.py             write pliant/v1/*_pb2.py, *_pb2.pyi, *_pb2_grpc.py, *_pb2_grpc.pyi, docs/api.md
    python proto/generate.py --check     exit 1 if one of them is stale or buf lint complains

The compiler is that of grpcio-tools, pinned in pyproject.toml: the oldest whose stubs every claimed protobuf
runtime reads.  google/api comes from the googleapis-common-protos wheel, so nothing is downloaded.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import grpc_tools  # type: ignore[import-untyped]
from grpc_tools import protoc
from reference import render_reference

ROOT = Path(__file__).resolve().parent
REFERENCE = ROOT.parent / "docs/api.md"
TOOLS = Path(sys.executable).parent
OUTPUTS = ("--python_out=", "--grpc_python_out=", "--mypy_out=quiet:", "--mypy_grpc_out=quiet:")
STUBS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def compile_protos(*outputs: str) -> None:
    """Run protoc on every .proto of pliant/v1 with the given output options."""
    protos = sorted(str(path) for path in (ROOT / "pliant/v1").glob("*.proto"))
    plugins = [f"--plugin={name}={TOOLS / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    includes = [ROOT, Path(grpc_tools.__file__).parent / "_proto", Path(sysconfig.get_paths()["purelib"])]
    status = protoc.main(["protoc", *plugins, *(f"-I{path}" for path in includes), *outputs, *protos])
    if status:
        raise SystemExit(status)


def write_stubs(directory: Path) -> None:
    compile_protos(*(f"{output}{directory}" for output in OUTPUTS))


def write_image(file: Path) -> None:
    """The descriptors, with the comments of their sources."""
    compile_protos(f"--descriptor_set_out={file}", "--include_imports", "--include_source_info")


def write_all() -> None:
    write_stubs(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image.binpb"
        write_image(image)
        REFERENCE.write_text(render_reference(image.read_bytes()))


def stubs_of(directory: Path) -> dict[str, bytes]:
    stubs = directory / "pliant/v1"
    return {path.name: path.read_bytes() for pattern in STUBS for path in stubs.glob(pattern)}


def check() -> int:
    """0 if the stubs are fresh and the contract is clean."""
    with tempfile.TemporaryDirectory() as scratch:
        write_stubs(Path(scratch))
        wanted, found = stubs_of(Path(scratch)), stubs_of(ROOT)
        stale = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        image = Path(scratch) / "image.binpb"
        write_image(image)
        if not REFERENCE.exists() or REFERENCE.read_text() != render_reference(image.read_bytes()):
            stale.append(REFERENCE.name)
        lint = subprocess.run([TOOLS / "buf", "lint", image, "--config", ROOT / "buf.yaml"], check=False)
    if stale:
        print(f"stale, run `make proto`: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else lint.returncode


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        raise SystemExit(check())
    write_all()
