"""The options that many commands share, so that they read and behave alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from prism.cli.durations import seconds, whole_seconds

Namespace: TypeAlias = Annotated[
    str, typer.Option("--namespace", "-n", envvar="PRISM_NAMESPACE", help="The namespace to work in.", metavar="NAME")
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address", "-a", envvar="PRISM_ADDRESS", help="The proxy; 127.0.0.1:7070 by default.", metavar="HOST:PORT"
    ),
]
Config: TypeAlias = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", help="The proxies' prism.yaml.", show_default=False)
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")]
Where: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        "-w",
        metavar="CLAUSE",
        help="Who is meant; several have to hold together. = != < <= > >= compare, ^= begins with, $= ends with, "
        "~= contains; FIELD has a value, !FIELD has none; FIELD in A,B; FIELD near LAT,LON,RADIUS (200km); "
        "FIELD within SOUTH,WEST,NORTH,EAST; FIELD.OPERATOR=VALUE is any operator, such as name.regex=^A. "
        'Quote a value to take it as text: \'code="007"\'. For "or" there are in and --filter.',
    ),
]
FilterJson: TypeAlias = Annotated[
    str | None, typer.Option("--filter", metavar="JSON|@FILE|-", help="The same as an RFC-017 filter in JSON.")
]
Ttl: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--ttl",
        parser=whole_seconds,
        metavar="DURATION",
        help="Time to live: 30, 30s, 5m, 1h, 7d; 0 is never. Default: the namespace's.",
    ),
]
Timeout: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=seconds,
        metavar="DURATION",
        help="How long to wait for receipts: 250ms, 2s; 0 waits for none. Default: the namespace's.",
    ),
]
