"""A blocking connection for probes: connects, greets, and never leaks its socket when either fails."""

from __future__ import annotations

import socket
from typing import Self


class RawConnection:
    """A connection to one server on loopback. Subclasses speak a protocol on `_socket` and `_stream`.

    Args:
        port: a port of 127.0.0.1.
        timeout_s: seconds for connecting, and for each answer.

    Raises:
        OSError: the server can't be reached or ended the connection.
        NotReady: it refused the greeting.
    """

    def __init__(self, port: int, *, timeout_s: float = 2.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._stream = self._socket.makefile("rb")
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        """Says what the protocol wants to hear first."""

    def close(self) -> None:
        """Closes the connection. Harmless when repeated."""
        self._stream.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _exactly(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise ConnectionError("the server closed the connection")
        return data
