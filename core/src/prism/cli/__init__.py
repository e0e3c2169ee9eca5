"""The command line: typer and rich, nothing but presentation over the public client. Nothing may import it."""

from __future__ import annotations

import io
import os
import sys
from importlib.util import find_spec

_NEEDED = ("typer", "rich")


def main() -> None:
    """The program `prism`. Says what to install where the command line's own needs are missing."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"prism: the command line needs {' and '.join(missing)}: pip install 'prism-multicast[cli]'\n")
        sys.exit(1)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what gRPC would log we say ourselves, in one line
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # other people's text never ends a command
    from prism.cli.app import app  # noqa: PLC0415 - after the check

    app(prog_name="prism")
