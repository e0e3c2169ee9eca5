"""What `type: redis` takes in a configuration."""

from __future__ import annotations

import re
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

HostPort = str
"""`host:port`; an IPv6 address stands in brackets."""


class RedisConfig(BaseModel):
    """Options of each of the three slots. Slots of one process with the same options share their connections."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="localhost", min_length=1)
    """The server; of a cluster, any of its nodes."""
    port: int = Field(default=6379, ge=1, le=65535)
    url: SecretStr | None = None
    """`redis://`, `rediss://` or `unix://`, instead of host, port, db, username, password and tls. Of a cluster,
    several may be given, joined by commas."""
    db: int = Field(default=0, ge=0)
    username: str | None = Field(default=None, min_length=1)
    """The ACL user; none is the server's default user."""
    password: SecretStr | None = None

    tls: bool = False
    tls_ca: str | None = None
    """A file of PEM certificates to trust; none trusts the system's."""
    tls_cert: str | None = None
    """A file with our PEM certificate, for servers that ask for one; goes with `tls_key`."""
    tls_key: str | None = None
    tls_verify: bool = True
    """Whether certificate and host name are checked."""

    sentinels: tuple[HostPort, ...] = ()
    """Sentinels that know where the master is, instead of host and port; goes with `master`."""
    master: str | None = Field(default=None, min_length=1)
    """The name that the Sentinels know the master by."""
    sentinel_username: str | None = None
    sentinel_password: SecretStr | None = None

    cluster: bool = False
    """Whether the server is a Redis Cluster."""
    partitions: int | None = Field(default=None, ge=1, le=1024)
    """Into how many parts a namespace is split, each of which is on one node. It can't be changed once the namespace
    has data. None takes what is stored, else 1, or 16 on a cluster (1 where registrations are limited)."""

    pool_size: int = Field(default=4, ge=1, le=256)
    """Connections to each server at most. Each carries many calls at a time."""
    timeout: float = Field(default=5.0, gt=0, le=300)
    """Seconds until a call without an answer fails."""
    connect_timeout: float = Field(default=3.0, gt=0, le=300)
    """Seconds until an attempt to connect fails."""
    key_prefix: str = "prism"
    """What every key and channel begins with, so that others can share the server."""

    @field_validator("key_prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError("a key prefix is 1 to 64 letters (a-z, A-Z), digits, dots, underscores and hyphens")
        return prefix

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set
        if self.url is not None:
            self._check_url()
            clash = sorted(given & {"host", "port", "db", "username", "password", "tls", "sentinels", "master"})
            if clash:
                raise ValueError(f"url can't stand beside {', '.join(clash)}: put them into the url")
        if bool(self.sentinels) != (self.master is not None):
            raise ValueError("sentinels and master go together: give both or neither")
        if self.sentinels:
            clash = sorted(given & {"host", "port"})
            if clash or self.cluster:
                raise ValueError(f"sentinels can't stand beside {', '.join(clash) or 'cluster'}; remove it")
        for address in self.sentinels:
            host, port = split_address(address)
            if not host or not 0 < port < 65536:
                raise ValueError(f"sentinels: {address!r} is not host:port, e.g. sentinel-1:26379")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: give both or neither")
        if not self.uses_tls and given & {"tls_ca", "tls_cert", "tls_key", "tls_verify"}:
            raise ValueError("tls options without tls: set tls: true, or use a rediss:// url")
        if self.cluster and self.db:
            raise ValueError(f"db: a cluster has only database 0, not {self.db}")
        return self

    def _check_url(self) -> None:
        urls = self.urls
        if not all(url.startswith(("redis://", "rediss://", "unix://")) for url in urls):
            raise ValueError("url must begin with redis://, rediss:// or unix://")
        if len(urls) > 1 and not self.cluster:
            raise ValueError("url: several are for a cluster; set cluster: true")

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs, none where host and port are used."""
        if self.url is None:
            return ()
        return tuple(part.strip() for part in self.url.get_secret_value().split(",") if part.strip())

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.tls or any(url.startswith("rediss://") for url in self.urls)


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port`; port 0 where there is none."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port) if port.isdecimal() else 0
