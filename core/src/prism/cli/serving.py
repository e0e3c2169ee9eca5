"""`prism serve` and `prism demo`: running proxies."""

from __future__ import annotations

import dataclasses
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from prism._version import __version__
from prism.cli.connection import needing, reported, run
from prism.cli.exits import ExitCode
from prism.cli.failures import configured_hint, print_problem
from prism.cli.screen import stderr, stdout
from prism.model.errors import Unavailable

if TYPE_CHECKING:
    from prism.config import ProxyConfig
    from prism.server.app import Proxy


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to serve gRPC; port 0 takes a free one.")
    ] = None,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT|off", help="Where to serve /metrics, /health and /ready.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="prism.yaml; without, any namespace in memory."),
    ] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="How much is logged, to standard error.")] = None,
) -> None:
    """Run a proxy.

    Ctrl-C, SIGTERM or SIGHUP drains it and ends with 0; a second one ends it at once. Loopback only by default:
    127.0.0.1:7070 for gRPC, 127.0.0.1:7071 for HTTP.
    """
    with needing("server"):
        from prism.config import load_config  # noqa: PLC0415
        from prism.server.addresses import split_address  # noqa: PLC0415
        from prism.server.app import OFF  # noqa: PLC0415 - gRPC, aiohttp and the like, which only a proxy needs
    with reported():
        for option, address in (("--listen", listen), ("--http", http if http != OFF else None)):
            if address is not None:
                split_address(address, option)
        settings = load_config(config)
    if log_level is not None:
        server = dataclasses.replace(settings.server, log_level=log_level.value)
        settings = dataclasses.replace(settings, server=server)
    run(_serve(settings, listen, http), configured_hint)


def demo(
    count: Annotated[
        int | None, typer.Option(min=500, metavar="N", help="Only so many airports (those that attach are among them).")
    ] = None,
) -> None:
    """Show what Prism does on 28,000 real airports.

    Two proxies, and every claim is checked. Takes some seconds.
    """
    with needing("cli"):
        import airportsdata  # noqa: F401, PLC0415 - so that it is missed before anything is shown

        from prism.cli.demo.run import run_demo  # noqa: PLC0415
        from prism.server.app import Proxy  # noqa: F401, PLC0415

    run(run_demo(stdout(), count))


async def _serve(settings: ProxyConfig, listen: str | None, http: str | None) -> None:
    from prism.server.app import serve as serve_proxy  # noqa: PLC0415

    try:
        await serve_proxy(settings, listen=listen, http_listen=http, ready=_announce)
    except Unavailable as error:
        if "slot" in error.details:  # a backend, not an address of ours
            raise
        fix = "--listen and --http choose other addresses; port 0 takes a free one, --http off serves no HTTP"
        print_problem(stderr(), error.message, fix)
        raise typer.Exit(ExitCode.FAILED) from error


def _announce(proxy: Proxy) -> None:
    """One line on standard output once it serves, with the real ports."""
    http = f", HTTP on http://{proxy.http_address}" if proxy.http_address else ""
    namespaces = ", ".join(proxy.config.namespaces) or "any namespace, in memory"
    stdout().print(Text(f"prism {__version__} serves gRPC on {proxy.address}{http} ({namespaces})"), soft_wrap=True)
    sys.stdout.flush()
