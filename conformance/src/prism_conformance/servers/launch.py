"""Starts servers: for the caller alone, or once for the whole run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prism_conformance.servers.cache import locked
from prism_conformance.servers.catalog import find
from prism_conformance.servers.control import Control, log_of
from prism_conformance.servers.recipe import Place, Recipe, Settings
from prism_conformance.servers.run import Run
from prism_conformance.servers.server import Node, Server


def start(kind: str, *, durable: bool = False, config: Mapping[str, str] | None = None) -> Server:
    """Starts a server for the caller alone and returns when real operations succeed on it.

    It ends with `stop()`, and at the latest with the run.

    Args:
        kind: one of `catalog.KINDS`.
        durable: what the server acknowledged survives its being killed.
        config: entries of the server's own configuration.

    Raises:
        InstallFailed: the server can't be had; says what to type.
        StartFailed: it does not come up; ends with its log.
        ServerError: there is no such kind.
    """
    return start_recipe(find(kind), Settings(durable, dict(config or {})))


def shared(kind: str, *, durable: bool = False, config: Mapping[str, str] | None = None) -> Server:
    """Returns the run's one server of this kind and settings, starting it when this is the first call in the run.

    All processes of the run get the same one, each call with a `scope` of its own. Arguments and errors as `start`.
    """
    recipe, settings, run = find(kind), Settings(durable, dict(config or {})), Run.current()
    key = hashlib.sha256(json.dumps([durable, sorted(settings.config.items())]).encode()).hexdigest()[:8]
    with _known_lock:
        known = _known.get((run, kind, key))
        path = run.folder / f"{kind}-{key}.json"
        if known is None or not path.exists():  # the record goes with the run's folder when a run is closed
            run.lease().close()  # makes sure there is a supervisor, and with it the folder
            with locked(path.with_suffix(".lock")):
                known = _recorded(path) or _started_for_all(recipe, settings, path)
            _known[run, kind, key] = known
    return known.with_fresh_scope()


_known: dict[tuple[Run, str, str], Server] = {}
_known_lock = threading.Lock()


def _started_for_all(recipe: Recipe, settings: Settings, path: Path) -> Server:
    own = start_recipe(recipe, settings)
    if own._control is None:
        raise AssertionError("a launched server is controlled by its launcher")
    own._control.give_to_run()
    server = dataclasses.replace(own, _control=None)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_as_record(server)))
    part.rename(path)
    return server


def _as_record(server: Server) -> dict[str, Any]:
    nodes = [{**dataclasses.asdict(node), "log": str(node.log)} for node in server.nodes]
    return {"kind": server.kind, "url": server.url, "nodes": nodes}


def _recorded(path: Path) -> Server | None:
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    nodes = tuple(Node(**{**node, "log": Path(node["log"]), "ports": tuple(node["ports"])}) for node in record["nodes"])
    return Server(record["kind"], record["url"], nodes)


def start_recipe(recipe: Recipe, settings: Settings) -> Server:
    """As `start`, of a kind that isn't in the catalog."""
    installed = recipe.install()
    lease = Run.current().lease()
    try:
        ports = iter(lease.request("ports", count=recipe.nodes * recipe.ports)["ports"])
        folder = Path(lease.request("folder", name=recipe.kind)["folder"])
        places = []
        for index in range(recipe.nodes):
            place = Place(f"node{index}", folder / f"node{index}", tuple(next(ports) for _ in range(recipe.ports)))
            place.folder.mkdir(mode=0o711)
            places.append(place)
        processes = recipe.lay_out(installed, places, settings)
        control = Control(recipe, settings, lease, tuple(places), tuple(processes))
        control.spawn(places)
        control.wait_ready(recipe.form, places)
        control.wait_ready(recipe.probe, places)
    except BaseException:
        lease.close()
        raise
    nodes = tuple(
        Node(place.name, "127.0.0.1", place.ports[0], recipe.url([place], settings), log_of(place), place.ports)
        for place in places
    )
    return Server(recipe.kind, recipe.url(places, settings), nodes, _control=control)
