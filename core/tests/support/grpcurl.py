"""Stock grpcurl, built once and kept in the checkout's .cache."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

VERSION = "v1.9.3"
MODULE = f"github.com/fullstorydev/grpcurl/cmd/grpcurl@{VERSION}"
FOLDER = Path(__file__).resolve().parents[3] / ".cache" / "bin"
BUILD_TIMEOUT = 420
"""Seconds; a build from nothing takes about 100."""


def grpcurl_path() -> Path:
    """The program, built where it is missing. Safe to call from several processes."""
    program = FOLDER / "grpcurl"
    if program.exists():
        return program
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "grpcurl.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(program)
    return program


def _build(program: Path) -> None:
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if go is None:
        raise RuntimeError("these tests call the proxy with grpcurl, which is built with Go; install Go >= 1.21")
    into = program.parent / "building"
    environment = {**os.environ, "GOBIN": str(into), "GOFLAGS": "-mod=mod"}
    subprocess.run([go, "install", MODULE], env=environment, check=True, timeout=BUILD_TIMEOUT)
    (into / "grpcurl").replace(program)


async def grpcurl(program: Path, address: str, *command: str, data: str | None = None) -> tuple[int, str]:
    """Runs it against a proxy; exit code, and what it printed."""
    options = ["-plaintext", "-max-time", "20", *([] if data is None else ["-d", data])]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        program, *options, address, *command, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def called(program: Path, address: str, method: str, request: Any) -> Any:
    """The answer to one call, decoded."""
    code, printed = await grpcurl(
        program, address, f"prism.v1.MulticastRegistryService/{method}", data=json.dumps(request)
    )
    assert code == 0, printed
    return json.loads(printed)
