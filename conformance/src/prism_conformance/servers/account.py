"""The account that servers run under which refuse root, and what it can reach."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path


def unprivileged_user() -> pwd.struct_passwd | None:
    """Returns the user for servers that refuse root; None when we are not root and need no other."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def is_reachable_by_others(path: Path) -> bool:
    """Says whether any user may pass through all of the folders that lead to `path`, `path` included."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))
