"""The command line: typer and rich, nothing but presentation over the public client. Nothing may import it."""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib.util import find_spec
from typing import NoReturn

_NEEDED = ("typer", "rich")

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)
"""What writing to standard output fails with: a full disk or quota, a broken device, a reader that has left."""


def main() -> None:
    """The program `prism`. Says what to install where the command line's own needs are missing."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        fix = "from a checkout of Prism: pip install './core[server]'"
        sys.stderr.write(f"prism: the command line needs {' and '.join(missing)}; {fix}\n")
        sys.exit(1)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what gRPC would log we say ourselves, in one line
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # other people's text never ends a command
    from prism.cli.app import app  # noqa: PLC0415 - after the check

    try:
        try:
            app(prog_name="prism")
        finally:
            sys.stdout.flush()  # here, where a failure can still be told
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _end_unwritten(error)


def _end_unwritten(error: OSError) -> NoReturn:
    """One line for output that can't be written, none where its reader simply left."""
    if error.errno != errno.EPIPE:
        sys.stderr.write(f"error: the output can't be written: {error.strerror}\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not tried again at the exit
    sys.exit(1)
