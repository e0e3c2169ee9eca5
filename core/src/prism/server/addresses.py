"""`host:port`, as configurations and messages write it; IPv6 hosts in brackets."""

from __future__ import annotations

import socket

from prism.model.errors import InvalidConfig


def split_address(address: str, field: str = "listen") -> tuple[str, int]:
    """Host and port. Raises InvalidConfig when it isn't `host:port`."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise InvalidConfig.at(field, f'expected HOST:PORT such as "127.0.0.1:7070", got "{address}"')
    return host, int(port)


def why_not(host: str, port: int) -> str:
    """Why nothing can listen there, in the system's words: gRPC keeps the reason to itself."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(address)
    except socket.gaierror as error:
        return f'the host "{host}" is unknown ({error.strerror})'
    except OSError as error:
        return error.strerror or str(error)
    return "the address is taken"


def join_address(host: str, port: int) -> str:
    """The inverse of `split_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
