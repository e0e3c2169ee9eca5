"""Redis and Valkey: one server, and a cluster of three primaries."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from prism_conformance.servers.errors import NotReady
from prism_conformance.servers.install import Installed
from prism_conformance.servers.pins import REDIS, VALKEY, Pin
from prism_conformance.servers.recipe import Place, Process, Recipe, Settings
from prism_conformance.servers.resp import Resp

_SLOTS = 16384
_PROBE_KEY = "prism:ready"


class Redis(Recipe):
    """One standalone server."""

    def __init__(self, kind: str, pin: Pin, summary: str) -> None:
        self.kind = kind
        self.pin = pin
        self.summary = summary

    def lay_out(self, installed: Installed, places: Sequence[Place], settings: Settings) -> list[Process]:
        """Passes everything on the command line, so that a process list tells what runs."""
        processes = []
        for place in places:
            entries = {
                "port": str(place.ports[0]),
                "bind": "127.0.0.1",
                "dir": str(place.folder),
                "save": "",
                # An append-only file is written before a command is answered: it outlives the process, and `fsync`
                # would add only that it outlives the machine.
                "appendonly": "yes" if settings.durable else "no",
                "appendfsync": "no",
                **self._cluster_entries(place),
                **settings.config,
            }
            options = [word for key, value in entries.items() for word in (f"--{key}", *_words(key, value))]
            processes.append(Process((str(installed.binary), *options), installed.env))
        return processes

    def _cluster_entries(self, _place: Place) -> dict[str, str]:
        return {}

    def probe(self, places: Sequence[Place], settings: Settings) -> None:
        """Sets, reads and deletes a key."""
        for place in places:
            with _connect(place, settings) as redis:
                redis.call("SET", _PROBE_KEY, place.name, "EX", 60)
                if redis.call("GET", _PROBE_KEY) != place.name:
                    raise NotReady("a key that was set could not be read")
                redis.call("DEL", _PROBE_KEY)

    def url(self, places: Sequence[Place], settings: Settings) -> str:
        """Returns `redis://[:password@]127.0.0.1:port`, of a cluster one for each node."""
        password = settings.config.get("requirepass")
        login = f":{quote(password, safe='')}@" if password else ""
        return ",".join(f"redis://{login}127.0.0.1:{place.ports[0]}" for place in places)


class RedisCluster(Redis):
    """Three primaries that share the slots evenly, without replicas."""

    nodes = 3
    ports = 2
    start_timeout_s = 30.0

    def _cluster_entries(self, place: Place) -> dict[str, str]:
        return {
            "cluster-enabled": "yes",
            "cluster-port": str(place.ports[1]),
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": "2000",
        }

    def form(self, places: Sequence[Place], settings: Settings) -> None:
        """Gives each node its slots and introduces the nodes to each other."""
        share = _SLOTS // self.nodes
        for index, place in enumerate(places):
            last = _SLOTS - 1 if index == self.nodes - 1 else (index + 1) * share - 1
            with _connect(place, settings) as redis:
                info = _cluster_info(redis)
                if info["cluster_my_epoch"] == "0" and info["cluster_known_nodes"] == "1":
                    redis.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
                if info["cluster_slots_assigned"] == "0":
                    redis.call("CLUSTER", "ADDSLOTSRANGE", index * share, last)
        with _connect(places[0], settings) as redis:
            for place in places[1:]:
                redis.call("CLUSTER", "MEET", "127.0.0.1", *place.ports)

    def probe(self, places: Sequence[Place], settings: Settings) -> None:
        """Asks each node for the cluster's state and, when all are there, writes a key in its own slots."""
        for index, place in enumerate(places):
            with _connect(place, settings) as redis:
                if len(places) < self.nodes:
                    redis.call("PING")
                    continue
                info = _cluster_info(redis)
                if (info["cluster_state"], info["cluster_known_nodes"]) != ("ok", str(self.nodes)):
                    raise NotReady(f"node {index}: {info}")
                key = _key_of(redis, index * (_SLOTS // self.nodes), _SLOTS // self.nodes)
                redis.call("SET", key, place.name, "EX", 60)
                if redis.call("GET", key) != place.name:
                    raise NotReady("a key that was set could not be read")
                redis.call("DEL", key)


def _words(key: str, value: str) -> list[str]:
    """`save ""` and passwords are one word; what Redis takes as a list is given as several."""
    return [value] if key in {"save", "requirepass", "masterauth"} else value.split()


def _connect(place: Place, settings: Settings) -> Resp:
    return Resp(place.ports[0], password=settings.config.get("requirepass"))


def _cluster_info(redis: Resp) -> dict[str, str]:
    lines = str(redis.call("CLUSTER", "INFO")).split()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _key_of(redis: Resp, first: int, count: int) -> str:
    """Returns a key whose slot is one of `count` from `first`."""
    for number in range(1000):
        key = f"{_PROBE_KEY}:{number}"
        slot = redis.call("CLUSTER", "KEYSLOT", key)
        if isinstance(slot, int) and first <= slot < first + count:
            return key
    raise NotReady(f"no probe key falls into the slots {first} to {first + count - 1}")


RECIPES: tuple[Recipe, ...] = (
    Redis("redis", REDIS, "Redis as Debian ships it"),
    Redis("valkey", VALKEY, "Valkey"),
    RedisCluster("redis_cluster", REDIS, "three Redis primaries that share the slots"),
    RedisCluster("valkey_cluster", VALKEY, "three Valkey primaries that share the slots"),
)
