"""The few lines of PostgreSQL's protocol that are needed to ask a server whether it works. Not a client."""

from __future__ import annotations

import struct

from prism_conformance.servers.errors import NotReady
from prism_conformance.servers.raw_connection import RawConnection

_VERSION_3 = 196608


class Pg(RawConnection):
    """A blocking connection to one server that trusts us.

    Args:
        port: a port of 127.0.0.1.
        user: the user to be.
        database: the database to use.
        timeout_s: seconds for connecting, and for each answer.
    """

    def __init__(self, port: int, *, user: str, database: str, timeout_s: float = 2.0) -> None:
        self._settings = {"user": user, "database": database}
        super().__init__(port, timeout_s=timeout_s)

    def _greet(self) -> None:
        settings = "".join(f"{key}\0{value}\0" for key, value in self._settings.items()).encode() + b"\0"
        self._socket.sendall(struct.pack("!ii", len(settings) + 8, _VERSION_3) + settings)
        self._rows()

    def query(self, sql: str) -> list[list[str | None]]:
        """Runs statements and returns the rows of all of them.

        Raises:
            OSError: the connection failed or the answer took too long.
            NotReady: the server answered with an error, such as "the database system is starting up".
        """
        body = sql.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        return self._rows()

    def _rows(self) -> list[list[str | None]]:
        """Reads messages up to ReadyForQuery."""
        rows: list[list[str | None]] = []
        while True:
            kind, length = struct.unpack("!ci", self._exactly(5))
            body = self._exactly(length - 4)
            if kind == b"E":
                fields = {field[:1]: field[1:].decode() for field in body.split(b"\0") if field}
                raise NotReady(fields.get(b"M", "an error without a message"))
            if kind == b"R" and struct.unpack("!i", body[:4])[0] != 0:
                raise NotReady("the server asks for a password; test servers trust everyone on loopback")
            if kind == b"D":
                rows.append(_cells(body))
            if kind == b"Z":
                return rows


def _cells(body: bytes) -> list[str | None]:
    """Takes a DataRow apart."""
    cells: list[str | None] = []
    at = 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        (size,) = struct.unpack("!i", body[at : at + 4])
        at += 4
        cells.append(None if size < 0 else body[at : at + size].decode())
        at += max(size, 0)
    return cells
