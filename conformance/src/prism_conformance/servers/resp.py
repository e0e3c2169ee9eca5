"""The few lines of RESP2 that are needed to ask a Redis or Valkey whether it works. Not a client."""

from __future__ import annotations

from prism_conformance.servers.errors import NotReady
from prism_conformance.servers.raw_connection import RawConnection

Reply = str | int | list["Reply"] | None


class Resp(RawConnection):
    """A blocking connection to one server.

    Args:
        port: a port of 127.0.0.1.
        timeout_s: seconds for connecting, and for each answer.
        password: sent with AUTH first, when given.
    """

    def __init__(self, port: int, *, timeout_s: float = 2.0, password: str | None = None) -> None:
        self._password = password
        super().__init__(port, timeout_s=timeout_s)

    def _greet(self) -> None:
        if self._password:
            self.call("AUTH", self._password)

    def call(self, *words: str | int) -> Reply:
        """Sends one command and returns its reply.

        Raises:
            OSError: the connection failed or the answer took too long.
            NotReady: the server answered with an error, such as LOADING or CLUSTERDOWN.
        """
        parts = [str(word).encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self._reply()

    def _reply(self) -> Reply:
        line = self._stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        mark, rest = line[:1], line[1:-2].decode()
        if mark == b"-":
            raise NotReady(rest)
        if mark == b"+":
            return rest
        if mark == b":":
            return int(rest)
        if mark == b"*":
            return [self._reply() for _ in range(int(rest))]
        if int(rest) < 0:
            return None
        return self._exactly(int(rest) + 2)[:-2].decode()
