"""A run: what one test run, benchmark or example starts, all held by one supervisor, all gone when its owner is."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from prism_conformance.servers.cache import locked
from prism_conformance.servers.errors import ServerError, SupervisorGone

OWNER_VARIABLE = "PRISM_SERVERS_OWNER"
"""Names the owner of the run, `PID:START`, to the processes it starts: pytest-xdist's workers, nested runs."""

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_PREFIX = "prism-servers"


@dataclass(frozen=True, slots=True)
class Run:
    """The run that a process belongs to.

    Args:
        pid: the owner's process id. When that process ends, by whatever cause, so does the run.
        start: when the owner started, in clock ticks since boot: tells it from a later process with its number.
    """

    pid: int
    start: int

    @staticmethod
    def current() -> Run:
        """Returns the run this process belongs to; begins one, owned by this process, if there is none.

        Raises:
            ServerError: this is not Linux.
        """
        if sys.platform != "linux":
            raise ServerError(f"test servers need Linux (pidfd, PR_SET_PDEATHSIG); this is {sys.platform}")
        pid, _, start = os.environ.get(OWNER_VARIABLE, "").partition(":")
        if pid.isdigit() and start.isdigit() and (run := Run(int(pid), int(start))).is_alive():
            return run
        run = Run(os.getpid(), started_at(os.getpid()))
        os.environ[OWNER_VARIABLE] = f"{run.pid}:{run.start}"
        atexit.register(run.close)
        return run

    def is_alive(self) -> bool:
        """Says whether the owner still runs."""
        try:
            return started_at(self.pid) == self.start
        except ProcessLookupError:
            return False

    @property
    def folder(self) -> Path:
        """The folder of the run; it exists while the run has a supervisor."""
        return Path(tempfile.gettempdir()) / f"{_PREFIX}-{os.geteuid()}-{self.pid}-{self.start}"

    def lease(self) -> SupervisorLease:
        """Returns a new lease: what is started through it ends when it is closed.

        Raises:
            SupervisorGone: the supervisor has died.
            ServerError: the run's folder can't be made, or is not ours.
        """
        self._make_folder()
        with locked(self.folder / "supervisor.lock"):
            if not self._socket_path.exists():
                self._start_supervisor()
        connection = socket.socket(socket.AF_UNIX)
        try:
            with _short(self._socket_path) as path:
                connection.connect(path)
        except OSError as error:
            connection.close()
            raise self.gone() from error
        return SupervisorLease(connection, self)

    def close(self) -> None:
        """Ends the run's servers and removes its folder; does nothing if there are none, or in another process."""
        if os.getpid() != self.pid or not self._socket_path.exists():
            return
        with contextlib.suppress(SupervisorGone), self.lease() as lease:
            lease.request("shutdown")
            lease.wait_closed()

    @property
    def _socket_path(self) -> Path:
        return self.folder / "socket"

    def _make_folder(self) -> None:
        if not self.folder.exists():
            _sweep()
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)
            self.folder.chmod(0o711)  # others may pass through, as PostgreSQL's unprivileged user must; not look around
        found = self.folder.lstat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise ServerError(f"{self.folder} belongs to user {found.st_uid}, mode {found.st_mode:o}: remove it")

    def _start_supervisor(self) -> None:
        """Starts the supervisor on a socket that listens already, so that a connect needs no second try."""
        with socket.socket(socket.AF_UNIX) as listener:
            # Bound under another name first: whoever sees the socket may connect to it.
            hidden = self.folder / "socket.new"
            hidden.unlink(missing_ok=True)
            with _short(hidden) as path:
                listener.bind(path)
            hidden.chmod(0o600)
            listener.listen(64)
            owner = os.pidfd_open(self.pid)
            try:
                if not self.is_alive():  # asked after opening: from now on the pidfd can't mean another process
                    raise ServerError(f"the owner of this run, process {self.pid}, has ended")
                _spawn_supervisor(self.folder, listener.fileno(), owner)
            finally:
                os.close(owner)
            hidden.rename(self._socket_path)

    def gone(self) -> SupervisorGone:
        """Returns the error to raise when the supervisor does not answer, with its log."""
        log = self.folder / "supervisor.log"
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        return SupervisorGone(f"the supervisor of this run's servers has ended, and they with it: {tail or 'no log'}")


class SupervisorLease:
    """A connection to the supervisor. Usable from several threads, one request at a time."""

    def __init__(self, connection: socket.socket, run: Run) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")
        self._run = run
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def request(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Asks the supervisor and returns its answer; see `supervisor.Lease` for the operations.

        Raises:
            ServerError: it refused.
            SupervisorGone: it has died.
        """
        with self._lock:
            try:
                self._connection.sendall(json.dumps({"op": operation, **arguments}).encode() + b"\n")
                line = self._stream.readline()
            except (OSError, ValueError) as error:
                raise self._run.gone() from error
        if not line:
            raise self._run.gone()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ServerError(answer["error"])
        return answer

    def wait_closed(self) -> None:
        """Returns when the supervisor has closed the connection, which it does last of all when it ends."""
        with contextlib.suppress(OSError):
            while self._stream.read(4096):
                pass

    def close(self) -> None:
        """Ends everything that was started through this lease and not kept. Harmless when repeated."""
        self._stream.close()
        self._connection.close()


def started_at(pid: int) -> int:
    """Returns when process `pid` started, in clock ticks since boot; with the pid it names a process for good.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    return int(stat.rpartition(")")[2].split()[19])  # field 22; the name before it may hold spaces


def _spawn_supervisor(folder: Path, listener: int, owner: int) -> None:
    log = folder / "supervisor.log"
    # Copies with high numbers: giving one its number in the child must not overwrite the other.
    copies = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in (listener, owner)]
    try:
        # Not subprocess, which would warn: the supervisor outlives this process on purpose.
        parent = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(folder)],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, copy, number) for number, copy in enumerate(copies, start=3)),
            ],
            setsid=True,
        )
    finally:
        for copy in copies:
            os.close(copy)
    try:
        _, status = os.waitpid(parent, 0)  # it forks the supervisor off, which is thus nobody's child to wait for
    except ChildProcessError:
        return  # someone else in this process has waited for it already
    if status:
        raise ServerError(f"the supervisor did not start: {log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Gives a name of at most 107 bytes to a socket in a folder of any length."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _sweep() -> None:
    """Removes folders of runs whose owner and supervisor were both killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-{os.geteuid()}-*"):
        pid, _, start = folder.name.removeprefix(f"{_PREFIX}-{os.geteuid()}-").partition("-")
        if pid.isdigit() and start.isdigit() and not Run(int(pid), int(start)).is_alive():
            shutil.rmtree(folder, ignore_errors=True)
