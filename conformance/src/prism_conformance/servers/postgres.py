"""PostgreSQL, from a template that `initdb` makes once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from prism_conformance.servers.account import is_reachable_by_others, unprivileged_user
from prism_conformance.servers.cache import build_once, cache_folder
from prism_conformance.servers.errors import InstallFailed, NotReady
from prism_conformance.servers.install import Installed, install
from prism_conformance.servers.pg_protocol import Pg
from prism_conformance.servers.pins import POSTGRES
from prism_conformance.servers.recipe import Place, Process, Recipe, Settings

USER = "prism"
DATABASE = "postgres"
_INITDB_TIMEOUT_S = 120.0


class Postgres(Recipe):
    """One server that trusts everyone on loopback; its superuser is `prism`."""

    kind = "postgres"
    summary = "PostgreSQL with contrib"
    pin = POSTGRES
    stop_signal = signal.SIGINT
    """A fast shutdown: SIGTERM would wait for the clients to leave."""

    def install(self) -> Installed:
        """Installs the programs and makes the template, where the account that runs them can reach both."""
        installed = install(self.pin)
        home = cache_folder()
        if unprivileged_user() and not is_reachable_by_others(installed.folder):
            home = _reachable_home()
            relative = installed.binary.relative_to(installed.folder)
            source = installed.folder
            folder = build_once(home / source.name, lambda part: _copy(source, part))
            installed = Installed(folder, folder / relative, installed.env)
        build_once(self._template(home), lambda part: _initialise(installed, part))
        return Installed(home, installed.binary, installed.env)

    def _template(self, home: Path) -> Path:
        return home / f"{self.pin.name}-{self.pin.version}-template"

    def lay_out(self, installed: Installed, places: Sequence[Place], settings: Settings) -> list[Process]:
        """Copies the template. Without `durable`, a commit survives the processes but not the machine."""
        processes = []
        for place in places:
            data = place.folder / "data"
            _copy(self._template(installed.folder) / "data", data)
            entries = {
                "port": str(place.ports[0]),
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": "",
                "dynamic_shared_memory_type": "mmap",  # in the data folder, which goes with the server
                "max_connections": "200",
                "fsync": "on" if settings.durable else "off",
                "full_page_writes": "on" if settings.durable else "off",
                "wal_level": "logical",
                **settings.config,
            }
            options = [word for key, value in entries.items() for word in ("-c", f"{key}={value}")]
            processes.append(
                Process(
                    (str(installed.binary), "-D", str(data), *options),
                    installed.env,
                    unprivileged=True,
                    last_signal=signal.SIGQUIT,  # frees its segment of shared memory, which outlives a killed server
                )
            )
        return processes

    def probe(self, places: Sequence[Place], _settings: Settings) -> None:
        """Writes a row and reads it, in a table that goes with the connection."""
        for place in places:
            with Pg(place.ports[0], user=USER, database=DATABASE) as pg:
                rows = pg.query("CREATE TEMP TABLE ready (n int); INSERT INTO ready VALUES (1); SELECT n FROM ready")
            if rows != [["1"]]:
                raise NotReady(f"a row that was written could not be read: {rows}")

    def url(self, places: Sequence[Place], _settings: Settings) -> str:
        """Returns `postgresql://prism@127.0.0.1:port/postgres`."""
        return ",".join(f"postgresql://{USER}@127.0.0.1:{place.ports[0]}/{DATABASE}" for place in places)


def _reachable_home() -> Path:
    """Returns a folder of ours outside the checkout, for a checkout that lies under someone's private home."""
    home = Path(tempfile.gettempdir()) / f"prism-servers-cache-{os.geteuid()}"
    home.mkdir(mode=0o755, exist_ok=True)
    found = home.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise InstallFailed(f"{home} belongs to user {found.st_uid}, mode {found.st_mode:o}: remove it")
    return home


def _copy(source: Path, target: Path) -> None:
    """Copies a folder with its owners, which Python's own copying does not keep."""
    target.mkdir(exist_ok=True)
    done = subprocess.run(  # noqa: S603 - our own paths
        ["cp", "-a", "--reflink=auto", f"{source}/.", str(target)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InstallFailed(f"{source} could not be copied to {target}: {done.stderr.strip()}")


def _initialise(installed: Installed, part: Path) -> None:
    user = unprivileged_user()
    if user:
        os.chown(part, user.pw_uid, user.pw_gid)
    initdb = installed.binary.with_name("initdb")
    if not initdb.exists():  # a program of one's own: Debian keeps both in its versioned bin folder
        initdb = Path(shutil.which("initdb") or initdb)
    argv = [str(initdb), "-D", str(part / "data"), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            argv,
            cwd=part,
            env={"PATH": os.defpath, "HOME": str(part), **installed.env},
            user=user and user.pw_uid,
            group=user and user.pw_gid,
            extra_groups=[] if user else None,
            capture_output=True,
            text=True,
            timeout=_INITDB_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallFailed(f"{' '.join(argv)}: {error}") from error
    if done.returncode:
        raise InstallFailed(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")


RECIPES: tuple[Recipe, ...] = (Postgres(),)
