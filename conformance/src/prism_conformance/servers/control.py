"""The power over a server's processes: starting, signalling and ending them, and waiting until they are ready."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from prism_conformance.servers.account import unprivileged_user
from prism_conformance.servers.errors import NotReady, StartFailed
from prism_conformance.servers.recipe import Place, Process, Recipe, Settings
from prism_conformance.servers.run import SupervisorLease

_POLL_S = 0.005
_TAIL_BYTES = 64 * 1024


class Control:
    """The power over a server's processes, through a lease that nobody else has."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        lease: SupervisorLease,
        places: tuple[Place, ...],
        processes: tuple[Process, ...],
    ) -> None:
        self._recipe = recipe
        self._settings = settings
        self._lease = lease
        self._places = {place.name: place for place in places}
        self._processes = dict(zip(self._places, processes, strict=True))
        self._stopped = False
        self.pids: dict[str, int] = {}
        """The last process id of each node."""

    def spawn(self, places: Sequence[Place]) -> None:
        """Starts the processes of nodes; does not wait for them."""
        for place in places:
            process = self._processes[place.name]
            user = unprivileged_user() if process.unprivileged else None
            if user:
                os.chown(place.folder, user.pw_uid, user.pw_gid)
            answer = self._lease.request(
                "spawn",
                name=place.name,
                argv=process.argv,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(place.folder), **process.env},
                cwd=str(place.folder),
                log=str(log_of(place)),
                uid=user and user.pw_uid,
                gid=user and user.pw_gid,
                last_signal=process.last_signal,
            )
            self.pids[place.name] = answer["pid"]

    def wait_ready(self, step: Callable[[Sequence[Place], Settings], None], places: Sequence[Place]) -> None:
        """Repeats `step` on nodes until it succeeds.

        Args:
            step: the recipe's `form` or `probe`.
            places: the nodes that must run; one of them that ends is a failure at once.

        Raises:
            StartFailed: a node ended, or `step` did not succeed in time.
        """
        deadline = time.monotonic() + self._recipe.start_timeout_s
        names = [place.name for place in places]
        while True:
            try:
                return step(places, self._settings)
            except (OSError, NotReady) as error:
                # Waiting for an exit is the pause between two tries.
                codes = self._lease.request("exits", names=names, all=False, timeout=_POLL_S)["codes"]
                if not codes and time.monotonic() < deadline:
                    continue
                what = (
                    f"ended with {', '.join(f'exit code {code} ({name})' for name, code in codes.items())}"
                    if codes
                    else f"was not ready within {self._recipe.start_timeout_s:g} s: {error}"
                )
                logs = "".join(f"\n--- {name}\n{tail(log_of(self._places[name]), 20)}" for name in codes or names)
                raise StartFailed(f"{self._recipe.kind} {self._recipe.pin.version} {what}{logs}") from error

    def is_running(self, name: str) -> bool:
        """Says whether a node's process exists."""
        return not self._stopped and not self._lease.request("exits", names=[name], all=True, timeout=0)["codes"]

    def send(self, names: list[str], number: signal.Signals) -> None:
        """Sends a signal to nodes and their children."""
        self._lease.request("signal", names=names, signal=number)

    def end(self, names: list[str], number: signal.Signals) -> None:
        """Ends nodes by a signal, by SIGKILL if they linger, and returns when they are gone."""
        self.send(names, number)
        if number is not signal.SIGKILL:
            self.send(names, signal.SIGCONT)  # a paused process sees no SIGTERM
        grace = self._recipe.stop_grace_s
        codes = self._lease.request("exits", names=names, all=True, timeout=grace)["codes"]
        if lingering := [name for name in names if name not in codes]:
            if number is signal.SIGKILL:
                raise StartFailed(f"{self._recipe.kind}: {lingering} still there {grace:g} s after SIGKILL")
            self.end(lingering, signal.SIGKILL)

    def restart(self, names: list[str]) -> None:
        """Ends nodes if they run, starts them, and returns when they are ready."""
        self.end(names, self._recipe.stop_signal)
        # Told before they start: a node that ends at once must not pass for one that a test has down.
        wanted = [place for name, place in self._places.items() if name in names or self.is_running(name)]
        self.spawn([self._places[name] for name in names])
        self.wait_ready(self._recipe.probe, wanted)

    def stop(self) -> None:
        """Ends all nodes and gives up the lease."""
        if self._stopped:
            return
        self._stopped = True
        try:
            self.end(list(self._places), self._recipe.stop_signal)
            self._lease.request("release")
        finally:
            self._lease.close()

    def give_to_run(self) -> None:
        """Lets the server live as long as the run; this process has no more power over it."""
        self._lease.request("keep")
        self._lease.close()


def log_of(place: Place) -> Path:
    """Returns the file that a node's output goes to."""
    return place.folder.with_suffix(".log")


def tail(path: Path, lines: int) -> str:
    """Returns the last lines of a log; empty when there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
