"""A running server, as tests hold it."""

from __future__ import annotations

import dataclasses
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from prism_conformance.servers.control import Control, tail
from prism_conformance.servers.errors import SharedServer


@dataclass(frozen=True, slots=True)
class Node:
    """One process of a server.

    Args:
        name: its name within the server, `node0` and on.
        host: always 127.0.0.1.
        port: the port for clients; the same for the server's whole life, restarts included.
        url: what a client library connects to.
        log: the file that its output goes to.
        ports: all its ports, the one for clients first.
    """

    name: str
    host: str
    port: int
    url: str
    log: Path
    ports: tuple[int, ...]


def _fresh_scope() -> str:
    return f"t{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True)
class Server:
    """A real server that runs now.

    Usable from any thread. As a context manager it stops the server on leaving. What controls it (`kill`, `restart`,
    ...) acts on all its nodes, or on one when its index is given; a shared server refuses to be controlled.

    Args:
        kind: what it is, such as `redis`.
        url: what a client library connects to; of several nodes, their URLs joined by commas.
        nodes: its processes, one for all kinds but clusters.
        scope: a name nobody else in the run uses, `[a-z][a-z0-9]*`: put it in front of keys, subjects, schemas and
            namespaces, and tests that share a server don't see each other.
    """

    kind: str
    url: str
    nodes: tuple[Node, ...]
    scope: str = dataclasses.field(default_factory=_fresh_scope)
    _control: Control | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def host(self) -> str:
        """The first node's host, 127.0.0.1."""
        return self.nodes[0].host

    @property
    def port(self) -> int:
        """The first node's port for clients."""
        return self.nodes[0].port

    def with_fresh_scope(self) -> Server:
        """Returns the same server with another `scope`."""
        return dataclasses.replace(self, scope=_fresh_scope())

    def log_tail(self, lines: int = 40, *, node: int = 0) -> str:
        """Returns the last lines of a node's output; empty when it has written none."""
        return tail(self.nodes[node].log, lines)

    def pid(self, *, node: int = 0) -> int:
        """Returns the id of a node's process, the last one it had when it is down."""
        return self._controlled("looked into").pids[self.nodes[node].name]

    def is_running(self, *, node: int = 0) -> bool:
        """Says whether a node's process exists; a paused one does."""
        return self._controlled("watched").is_running(self.nodes[node].name)

    def kill(self, *, node: int | None = None) -> None:
        """Ends nodes at once with SIGKILL, as a crash would, and returns when they are gone."""
        self._controlled("killed").end(self._names(node), signal.SIGKILL)

    def pause(self, *, node: int | None = None) -> None:
        """Stops nodes with SIGSTOP: connections stay open, nothing is answered, until `resume`."""
        self._controlled("paused").send(self._names(node), signal.SIGSTOP)

    def resume(self, *, node: int | None = None) -> None:
        """Lets paused nodes go on."""
        self._controlled("resumed").send(self._names(node), signal.SIGCONT)

    def restart(self, *, node: int | None = None) -> None:
        """Starts nodes again on their ports and folders, ending them first as `stop` does if they run.

        Returns when real operations succeed on all running nodes.

        Raises:
            StartFailed: they do not come back.
        """
        self._controlled("restarted").restart(self._names(node))

    def stop(self) -> None:
        """Ends the server in good order (by SIGKILL if it lingers), frees its ports and removes its folder.

        Harmless when repeated.
        """
        self._controlled("stopped").stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _names(self, node: int | None) -> list[str]:
        return [each.name for each in (self.nodes if node is None else (self.nodes[node],))]

    def _controlled(self, done: str) -> Control:
        if self._control is None:
            raise SharedServer(
                f"{self.kind} on port {self.port} is shared by the run and can't be {done} by one test: "
                f"start your own with start({self.kind!r}) or the fixture start_server"
            )
        return self._control
