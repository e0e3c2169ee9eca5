"""Arguments that are a text, the content of a file (`@FILE`), or standard input (`-`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
import typer


def read_bytes(argument: str) -> bytes:
    """What the argument stands for, as bytes. `@@x` is the text `@x`. Raises typer.BadParameter."""
    if argument == "-":
        return sys.stdin.buffer.read()
    if not argument.startswith("@"):
        return argument.encode("utf-8", "surrogateescape")
    if argument.startswith("@@"):
        return argument[1:].encode("utf-8", "surrogateescape")
    try:
        return Path(argument[1:]).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{argument[1:]}: {error.strerror or error}") from error


def read_json_object(argument: str, option: str) -> dict[str, Any]:
    """What the argument stands for, as a JSON object. `option` is what it was given for, for messages."""
    data = read_bytes(argument)
    try:
        value = orjson.loads(data)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f'{option}: expected a JSON object such as {{"room": "engineering"}}')
    return value
