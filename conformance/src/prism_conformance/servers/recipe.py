"""What a kind of server is: how it is installed, laid out, started, formed into a cluster, and known to be ready."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prism_conformance.servers.install import Installed, install
from prism_conformance.servers.pins import Pin


@dataclass(frozen=True, slots=True)
class Settings:
    """What a test may choose about a server.

    Args:
        durable: what the server has acknowledged survives its being killed. Servers for which that is dear
            (Redis writes an append-only file, PostgreSQL syncs) keep it off in ordinary tests.
        config: entries of the server's own configuration, over those of the recipe.
    """

    durable: bool = False
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is to live: a folder of its own, and ports that are reserved for it (the client's first)."""

    name: str
    folder: Path
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Process:
    """How to run a node.

    Args:
        argv: the program and its arguments.
        env: environment variables beside `PATH` and `HOME`, which is the node's folder.
        unprivileged: run it as an unprivileged user when we are root; the node's folder is then that user's.
        last_signal: a signal to send when the run ends, a second before SIGKILL: for a server that would leave
            something behind in the kernel.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    unprivileged: bool = False
    last_signal: signal.Signals | None = None


class Recipe(ABC):
    """A kind of server. Adding one is a subclass and a line in `catalog`.

    Recipes hold no state. All methods block; starting calls them in the order they stand here.
    """

    kind: str
    """The name that tests ask for."""
    summary: str
    """One line for `list`."""
    pin: Pin
    """What is installed."""
    nodes: int = 1
    """How many processes make one server of this kind."""
    ports: int = 1
    """How many ports each node needs."""
    start_timeout_s: float = 20.0
    """How long the nodes together may take until a real operation succeeds."""
    stop_signal: signal.Signals = signal.SIGTERM
    """What asks a node to end in good order."""
    stop_grace_s: float = 5.0
    """How long a node may take to end in good order, before it is killed."""

    def install(self) -> Installed:
        """Returns the installed server, fetching it first when needed.

        Raises:
            InstallFailed: it can't be had; says what to type.
        """
        return install(self.pin)

    @abstractmethod
    def lay_out(self, installed: Installed, places: Sequence[Place], settings: Settings) -> list[Process]:
        """Writes configuration into the places and returns one process for each, in order. Starts nothing."""

    def form(self, places: Sequence[Place], settings: Settings, /) -> None:  # noqa: B027 - most kinds are one node
        """Makes one cluster of freshly started nodes. Called until it raises nothing, so it must bear repetition.

        Raises:
            OSError, NotReady: not yet; call again.
        """

    @abstractmethod
    def probe(self, places: Sequence[Place], settings: Settings, /) -> None:
        """Carries out a real operation on each node (a write and a read), leaving nothing behind.

        Args:
            places: the running nodes; fewer than `nodes` when a test has some of them down.
            settings: what the server was started with.

        Raises:
            OSError, NotReady: not yet; call again.
        """

    @abstractmethod
    def url(self, places: Sequence[Place], settings: Settings, /) -> str:
        """Returns what a client library connects to; of several nodes, their addresses joined by commas."""
