"""The few lines of the NATS protocol that are needed to ask a server whether it works. Not a client."""

from __future__ import annotations

import json
import secrets
from typing import Any

from prism_conformance.servers.errors import NotReady
from prism_conformance.servers.raw_connection import RawConnection


class Nats(RawConnection):
    """A blocking connection to one server.

    Args:
        port: a port of 127.0.0.1.
        timeout_s: seconds for connecting, and for each answer.
    """

    def __init__(self, port: int, *, timeout_s: float = 2.0) -> None:
        self.info: dict[str, Any] = {}
        """What the server says of itself."""
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        super().__init__(port, timeout_s=timeout_s)

    def _greet(self) -> None:
        self.info = json.loads(self._line("INFO"))
        self._send(b'CONNECT {"verbose":false,"pedantic":false,"lang":"probe","version":"0"}')
        self._send(b"PING")
        self._line("PONG")
        self._send(f"SUB {self._inbox} 1".encode())

    def request(self, subject: str, body: bytes = b"") -> dict[str, Any]:
        """Sends a request to JetStream and returns its answer.

        Raises:
            OSError: the connection failed or the answer took too long.
            NotReady: JetStream answered with an error.
        """
        self._send(f"PUB {subject} {self._inbox} {len(body)}".encode(), body)
        size = int(self._line("MSG").split()[-1])
        answer: dict[str, Any] = json.loads(self._exactly(size + 2))
        if "error" in answer:
            raise NotReady(f"{subject}: {answer['error']}")
        return answer

    def _send(self, *lines: bytes) -> None:
        self._socket.sendall(b"".join(line + b"\r\n" for line in lines))

    def _line(self, wanted: str) -> str:
        """Returns what follows `wanted` on the next line that starts with it; answers pings on the way."""
        while line := self._stream.readline().decode():
            word, _, rest = line.strip().partition(" ")
            if word == wanted:
                return rest
            if word == "PING":
                self._send(b"PONG")
            elif word == "-ERR":
                raise NotReady(rest)
        raise ConnectionError("the server closed the connection")
