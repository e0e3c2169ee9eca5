"""Proxies as processes of their own, `prism serve`: started, killed, paused and restarted like any other server."""

from __future__ import annotations

import http.client
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prism._version import __version__

from prism_conformance.servers import Server
from prism_conformance.servers.errors import NotReady
from prism_conformance.servers.install import Installed
from prism_conformance.servers.launch import start_recipe
from prism_conformance.servers.pins import Pin, Route
from prism_conformance.servers.recipe import Place, Process, Recipe, Settings


class Proxies(Recipe):
    """A number of proxies with one configuration."""

    kind = "prism"
    summary = "Prism proxies"
    pin = Pin("prism", __version__, Route.WHEEL, ("prism-multicast",), "prism", __version__)
    ports = 2
    start_timeout_s = 60.0

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes

    def install(self) -> Installed:
        """The proxy of this environment."""
        return Installed(Path(sys.prefix), Path(sys.executable))

    def lay_out(self, installed: Installed, places: Sequence[Place], settings: Settings) -> list[Process]:
        """Writes the configuration, which is JSON and therefore YAML, and passes the addresses."""
        processes = []
        for place in places:
            path = place.folder / "prism.yaml"
            path.write_text(settings.config["prism.yaml"], encoding="utf-8")
            argv = (str(installed.binary), "-m", "prism", "serve", "--config", str(path), "--log-level", "warning")
            listen, http_listen = (f"127.0.0.1:{port}" for port in place.ports)
            processes.append(Process((*argv, "--listen", listen, "--http", http_listen)))
        return processes

    def probe(self, places: Sequence[Place], _settings: Settings) -> None:
        """Asks each whether it is ready, which does an operation on every slot."""
        for place in places:
            status, text = _get(place.ports[1], "/ready")
            if status != http.client.OK:
                raise NotReady(f"{place.name} answers {status}: {text[:500]}")

    def url(self, places: Sequence[Place], _settings: Settings) -> str:
        """Returns `127.0.0.1:port` of each, joined by commas: what a client takes as its address."""
        return ",".join(f"127.0.0.1:{place.ports[0]}" for place in places)


def start_proxies(config: Mapping[str, Any], nodes: int = 2) -> Server:
    """Starts proxies and returns when all are ready. `stop()` ends them; at the latest they end with the run.

    Args:
        config: what `prism.yaml` says.
        nodes: how many.

    Raises:
        StartFailed: one doesn't come up; ends with its log.
    """
    return start_recipe(Proxies(nodes), Settings(config={"prism.yaml": json.dumps(config)}))


def counted(proxies: Server, name: str) -> list[float]:
    """What each running proxy has counted, the sum over all labels; 0 for one that is down.

    Args:
        proxies: what `start_proxies` returned.
        name: such as `prism_expired_total`.
    """
    return [_counted(node.ports[1], name) for node in proxies.nodes]


def _counted(port: int, name: str) -> float:
    try:
        _, text = _get(port, "/metrics")
    except OSError:
        return 0
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def _get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except http.client.HTTPException as error:
        raise NotReady(f"port {port}: {error!r}") from error
    finally:
        connection.close()
