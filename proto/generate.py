"""Generates the Python code of the wire contract into core; `--check` says whether what is committed is current.

python proto/generate.py [--check]
"""

from __future__ import annotations

import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT.parent / "core" / "src" / "prism" / "v1"
INIT = '"""The wire contract, generated from proto/prism/v1 by `make proto`. Not edited by hand."""\n'


def generate(into: Path) -> None:
    """Writes prism/v1/*_pb2.py, *_pb2.pyi and the gRPC service stubs below `into`."""
    sources = sorted(str(path) for path in (ROOT / "prism" / "v1").glob("*.proto"))
    service = str(ROOT / "prism" / "v1" / "registry.proto")
    google = resources.files("google.rpc").joinpath("status.proto")
    includes = [
        f"-I{ROOT}",
        f"-I{resources.files('grpc_tools').joinpath('_proto')}",
        f"-I{Path(str(google)).parents[2]}",
    ]
    run = protoc.main(["protoc", *includes, f"--python_out={into}", f"--pyi_out={into}", *sources])
    run = run or protoc.main(["protoc", *includes, f"--grpc_python_out={into}", service])
    if run != 0:
        sys.exit("protoc failed; its messages are above")
    (into / "prism" / "v1" / "__init__.py").write_text(INIT)


def main() -> None:
    """Generates, or compares."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = {path.name: path.read_text() for path in sorted((Path(folder) / "prism" / "v1").glob("*.py*"))}
    committed = {path.name: path.read_text() for path in sorted(PACKAGE.glob("*.py*"))}
    if "--check" in sys.argv[1:]:
        stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
        if stale:
            sys.exit(f"generated code is not current ({', '.join(stale)}); type: make proto")
        return
    for name in committed.keys() - fresh.keys():
        (PACKAGE / name).unlink()
    for name, text in fresh.items():
        (PACKAGE / name).write_text(text)


if __name__ == "__main__":
    main()
