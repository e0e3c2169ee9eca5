"""Where the proxies are: `host:port`, several of them separated by commas."""

from __future__ import annotations

import os

from prism.model.errors import InvalidArgument
from prism.model.json import describe

DEFAULT_PORT = 7070
DEFAULT_ADDRESS = f"127.0.0.1:{DEFAULT_PORT}"
VARIABLE = "PRISM_ADDRESS"

_LOOPBACK = ("127.", "localhost:", "[::1]:", "unix:")


def parse_addresses(address: str | None) -> tuple[str, ...]:
    """The proxies to talk to, in order of preference.

    Args:
        address: `host`, `host:port`, `[v6]:port` or `unix:/path`; several separated by commas. None takes
            PRISM_ADDRESS, or 127.0.0.1:7070 where that isn't set. The port is 7070 unless given.

    Raises:
        InvalidArgument: it isn't an address.
    """
    if address is None:
        address = os.environ.get(VARIABLE) or DEFAULT_ADDRESS
    if not isinstance(address, str):
        raise InvalidArgument.at("address", f"expected text such as {DEFAULT_ADDRESS}, got {describe(address)}")
    return tuple(_parse(part.strip()) for part in address.split(","))


def is_loopback(address: str) -> bool:
    """Whether an address as `parse_addresses` returns it is this machine's own."""
    return address.startswith(_LOOPBACK)


def _parse(text: str) -> str:
    if text.startswith("unix:") and len(text) > len("unix:"):
        return text
    if "://" in text:
        fix = text.partition("://")[2].rstrip("/")
        raise InvalidArgument.at("address", f"{text!r} is a URL; write host:port, here {fix!r}")
    host, port = _split(text)
    if not host or any(character.isspace() or character in "/@" for character in host):
        raise InvalidArgument.at("address", f"{text!r} names no host; write host:port, for instance {DEFAULT_ADDRESS}")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise InvalidArgument.at("address", f"{text!r} has the port {port!r}; a port is a number from 1 to 65535")
    return f"{host}:{port}"


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        if bracket and (not rest or rest.startswith(":")):
            return host + bracket, rest[1:] or str(DEFAULT_PORT)
        return "", ""
    if text.count(":") > 1:
        return f"[{text}]", str(DEFAULT_PORT)
    host, colon, port = text.partition(":")
    return host, port if colon else str(DEFAULT_PORT)
