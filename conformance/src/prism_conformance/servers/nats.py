"""NATS with JetStream: one server, and a cluster of three."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPConnection

from prism_conformance.servers.errors import NotReady
from prism_conformance.servers.install import Installed
from prism_conformance.servers.nats_protocol import Nats
from prism_conformance.servers.pins import NATS
from prism_conformance.servers.recipe import Place, Process, Recipe, Settings

_GUARDS = {"authorization", "accounts", "operator", "tls"}
"""Entries with which a server doesn't let just anybody in."""


class NatsServer(Recipe):
    """One server with JetStream on files."""

    kind = "nats"
    summary = "NATS with JetStream"
    pin = NATS
    ports = 2

    def lay_out(self, installed: Installed, places: Sequence[Place], settings: Settings) -> list[Process]:
        """Writes `nats.conf`. What JetStream acknowledges is in a file, so `durable` changes nothing for a killed
        process; give `{"jetstream.sync_interval": "always"}` where the machine is to be able to die."""
        processes = []
        for place in places:
            path = place.folder / "nats.conf"
            path.write_text(_render({**self._entries(place, places), **settings.config}))
            processes.append(Process((str(installed.binary), "-c", str(path)), installed.env))
        return processes

    def _entries(self, place: Place, _places: Sequence[Place]) -> dict[str, str]:
        return {
            "listen": f"127.0.0.1:{place.ports[0]}",
            "http": f"127.0.0.1:{place.ports[1]}",
            "server_name": place.name,
            "jetstream.store_dir": json.dumps(str(place.folder)),
            "jetstream.max_memory_store": "256MB",
            "jetstream.max_file_store": "4GB",
        }

    def probe(self, places: Sequence[Place], settings: Settings) -> None:
        """Makes a stream over all running nodes, stores a message through each node, and deletes the stream.

        Where a test configures encryption or logins without a `no_auth_user`, each node's own health check is asked.
        """
        if _admits_nobody(settings):
            for place in places:
                _check_health(place.ports[1])
            return
        names = {place.name for place in places}
        for place in places:
            with Nats(place.ports[0]) as nats:
                if nats.info["server_name"] not in names:
                    raise NotReady(f"port {place.ports[0]} is the server {nats.info['server_name']!r}")
        # One name for all tries: creating what is there already succeeds, so a lost answer leaves nothing behind.
        replicas = self._replicas(places)
        stream = f"PRISM_READY_{replicas}"
        with Nats(places[0].ports[0]) as nats:
            wanted = {"name": stream, "subjects": [stream], "num_replicas": replicas, "storage": "file"}
            nats.request(f"$JS.API.STREAM.CREATE.{stream}", json.dumps(wanted).encode())
        for place in places:
            with Nats(place.ports[0]) as nats:
                nats.request(stream, b"ready")
        with Nats(places[0].ports[0]) as nats:
            nats.request(f"$JS.API.STREAM.DELETE.{stream}")

    def _replicas(self, _places: Sequence[Place]) -> int:
        return 1

    def url(self, places: Sequence[Place], _settings: Settings) -> str:
        """Returns `nats://127.0.0.1:port`, of a cluster one for each node."""
        return ",".join(f"nats://127.0.0.1:{place.ports[0]}" for place in places)


class NatsCluster(NatsServer):
    """Three servers that replicate streams."""

    kind = "nats_cluster"
    summary = "three NATS servers with JetStream, one cluster"
    nodes = 3
    ports = 3
    start_timeout_s = 30.0

    def _entries(self, place: Place, places: Sequence[Place]) -> dict[str, str]:
        routes = ", ".join(f"nats-route://127.0.0.1:{other.ports[2]}" for other in places if other is not place)
        return {
            **super()._entries(place, places),
            "cluster.name": "prism",
            "cluster.listen": f"127.0.0.1:{place.ports[2]}",
            "cluster.routes": f"[{routes}]",
        }

    def _replicas(self, places: Sequence[Place]) -> int:
        return self.nodes if len(places) == self.nodes else 1


def _admits_nobody(settings: Settings) -> bool:
    guards = _GUARDS & {key.partition(".")[0] for key in settings.config}
    return bool(guards) and "no_auth_user" not in settings.config


def _check_health(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise NotReady(f"its health check on port {port} says {text}")


def _render(entries: dict[str, str]) -> str:
    """Writes `a.b: c` entries as NATS's nested blocks."""
    blocks: dict[str, list[str]] = {}
    for key, value in entries.items():
        block, dot, name = key.rpartition(".")
        blocks.setdefault(block if dot else "", []).append(f"{name}: {value}")
    lines = blocks.pop("", [])
    for block, inner in blocks.items():
        lines += [f"{block} {{", *(f"  {line}" for line in inner), "}"]
    return "\n".join(lines) + "\n"


RECIPES: tuple[Recipe, ...] = (NatsServer(), NatsCluster())
