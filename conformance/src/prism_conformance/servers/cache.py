"""The folder that installed servers live in, shared by every run of a checkout."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def cache_folder() -> Path:
    """Returns the folder for installed servers; it need not exist yet.

    `PRISM_CACHE` names the parent folder. Without it the parent is `.cache` of the checkout that holds this
    package, else of the checkout that is worked in, else the user's cache folder.
    """
    if given := os.environ.get("PRISM_CACHE"):
        return Path(given).expanduser().absolute() / "servers"
    for start in (Path(__file__).resolve(), Path.cwd()):
        for folder in (start, *start.parents):
            if (folder / ".git").exists():
                return folder / ".cache" / "servers"
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user) / "prism" / "servers"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on `path` between processes; the kernel frees it if the holder is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One description per holder, so that two threads of one process exclude each other as two processes do.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def build_once(final: Path, build: Callable[[Path], None]) -> Path:
    """Makes the folder `final` once, however many processes ask; nobody ever sees half of it.

    Args:
        final: the folder to make. When it exists it is whole.
        build: fills the empty folder it is given. What it raises is raised, and its folder is removed.

    Returns:
        `final`.
    """
    if final.is_dir():
        return final
    with locked(final.with_name(f".{final.name}.lock")):
        if final.is_dir():
            return final
        for stale in final.parent.glob(f".{final.name}.part-*"):  # of a process that was killed: we hold the lock
            shutil.rmtree(stale, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f".{final.name}.part-", dir=final.parent))
        try:
            build(part)
            part.chmod(0o755)
            part.rename(final)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return final
