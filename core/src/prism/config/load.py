"""Reads a whole configuration (RFC: configuration examples)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from prism.config.namespace import NamespaceReader
from prism.config.section import Section
from prism.config.settings import NamespaceConfig, ProxyConfig, ServerConfig
from prism.config.source import Source, read_source
from prism.model.errors import InvalidConfig, NotFound
from prism.model.identity import check_namespace
from prism.model.json import describe
from prism.model.limits import ProxyLimits
from prism.plugins.loader import PluginLoader, default_loader
from prism.schema.place import Mistake

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/]+):(\d{1,5})", re.ASCII)
LOG_LEVELS = ("debug", "info", "warning", "error")


def load_config(
    source: Path | str | Mapping[str, Any] | None = None, *, loader: PluginLoader | None = None
) -> ProxyConfig:
    """Reads a YAML file (by its path) or the same as a mapping; None is any namespace on memory slots.

    Plugins that the configuration names are imported and their options checked; nothing is connected yet.

    Raises:
        InvalidConfig: with every mistake at once, each like
            `prism.yaml:12: namespaces[0].backend_slots.registry.typ: unknown key; did you mean "type"?`
    """
    if source is None:
        return ProxyConfig()
    read = read_source(source)
    config = _Reader(read, loader or default_loader()).config()
    read.check()
    return config


def memory_namespace(name: str, *, loader: PluginLoader | None = None) -> NamespaceConfig:
    """A namespace that no configuration lists: any metadata, memory in all three slots.

    Raises InvalidArgument when the name can't be a namespace's.
    """
    check_namespace(name)
    mistakes: list[Mistake] = []
    namespace = NamespaceReader(loader or default_loader(), mistakes).read(Section({"name": name}, (), mistakes))
    Source({}, mistakes=mistakes).check()
    if namespace is None:
        raise InvalidConfig(f"namespace {name!r} can't be made")
    return namespace


def find_namespace(config: ProxyConfig, name: str, *, loader: PluginLoader | None = None) -> NamespaceConfig:
    """The configured namespace of this name, or one on memory slots where any is accepted.

    Raises:
        NotFound: it isn't listed, and only listed ones are accepted.
        InvalidArgument: the name can't be a namespace's.
    """
    if name in config.namespaces:
        return config.namespaces[name]
    if config.any_namespace:
        return memory_namespace(name, loader=loader)
    raise NotFound(f'namespace "{name}" is not configured here; the operator lists it under `namespaces:`')


class _Reader:
    def __init__(self, source: Source, loader: PluginLoader) -> None:
        self._mistakes = source.mistakes
        self._top = Section(source.data, (), self._mistakes)
        self._namespaces = NamespaceReader(loader, self._mistakes)

    def config(self) -> ProxyConfig:
        """What the source says; only good when no mistake was noted."""
        server = self._top.section("server") or Section({}, ("server",), self._mistakes)
        any_namespace = server.boolean("allow_unlisted_namespaces", False)
        settings = _server(server)
        limits = _proxy_limits(server)
        namespaces = self._read_namespaces(any_namespace)
        server.finish()
        self._top.finish()
        return ProxyConfig(namespaces, any_namespace, settings, limits)

    def _read_namespaces(self, any_namespace: bool) -> dict[str, NamespaceConfig]:
        blocks = self._top.value("namespaces")
        if blocks is None or blocks == []:
            if not any_namespace:
                text = "lists none; add one, or set server.allow_unlisted_namespaces: true"
                self._top.wrong("namespaces", text)
            return {}
        if not isinstance(blocks, (list, tuple)):
            text = f"expected a list of namespaces (`- name: presence`), got {describe(blocks)}"
            self._top.wrong("namespaces", text)
            return {}
        namespaces: dict[str, NamespaceConfig] = {}
        seen: dict[object, int] = {}
        for i, block in enumerate(blocks):
            section = Section(block, ("namespaces", i), self._mistakes)
            name = section.value("name")
            namespace = self._namespaces.read(section)
            if isinstance(name, str) and seen.setdefault(name, i) != i:
                section.wrong("name", f'"{name}" is the name of namespaces[{seen[name]}] too; names are unique')
            elif namespace is not None:
                namespaces[namespace.name] = namespace
        return namespaces


def _server(section: Section) -> ServerConfig:
    usual = ServerConfig()
    return ServerConfig(
        listen=_address(section, "listen", usual.listen) or usual.listen,
        http_listen=_address(section, "http_listen", usual.http_listen, optional=True),
        drain_grace=section.duration("drain_grace", usual.drain_grace, minimum=0),
        log_level=section.choice("log_level", usual.log_level, LOG_LEVELS) or usual.log_level,
    )


def _address(section: Section, key: str, default: str | None, *, optional: bool = False) -> str | None:
    if not section.has(key):
        return default
    value = section.value(key)
    if value is None and optional:
        return None
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[2]) > 65_535:
        section.wrong(key, f'expected host:port, such as "127.0.0.1:7070" or "[::1]:7070", got {describe(value)}')
        return default
    return match[0]


def _proxy_limits(section: Section) -> ProxyLimits:
    block = section.section("limits")
    if block is None:
        return ProxyLimits()
    usual = ProxyLimits()
    limits = ProxyLimits(**{each.name: block.whole(each.name, getattr(usual, each.name)) for each in fields(usual)})
    block.finish()
    return limits
