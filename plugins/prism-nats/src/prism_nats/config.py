"""What `type: nats` takes in a configuration."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,32}(\.[A-Za-z0-9_-]{1,32}){0,3}")

ServerUrl = Annotated[str, StringConstraints(pattern=r"^(nats|tls)://[^\s,]+$")]
"""`nats://host:port`, or `tls://host:port`: no connection without encryption."""


class Storage(StrEnum):
    """Where JetStream keeps the queues."""

    FILE = "file"
    MEMORY = "memory"


class TlsConfig(BaseModel):
    """How connections are encrypted. Files are PEM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca: str | None = None
    """A file of certificates to trust; none trusts the system's."""
    cert: str | None = None
    """A file with our certificate, for servers that ask for one; goes with `key`."""
    key: str | None = None
    verify: bool = True
    """Whether certificate and host name are checked."""
    hostname: str | None = None
    """The name to check instead of the URL's."""
    handshake_first: bool = False
    """Whether TLS starts before the server's first word, as servers with `handshake_first` want."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together: give both or neither")
        return self


class ReconnectConfig(BaseModel):
    """What happens when the connection is lost. Calls in the meantime fail as UNAVAILABLE."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wait: float = Field(default=0.25, gt=0, le=60)
    """Seconds between two attempts at one server."""
    attempts: int = Field(default=-1, ge=-1)
    """Attempts at each server until the connection is given up; -1 is for ever."""


class StreamConfig(BaseModel):
    """The JetStream streams of a namespace. Used when they are made; what exists is only checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    replicas: int = Field(default=1, ge=1, le=5)
    """Servers that hold a copy; 3 outlasts the loss of one."""
    storage: Storage = Storage.FILE
    max_bytes: int = Field(default=-1, ge=-1)
    """Bytes that the messages of all queues may take; enqueueing fails beyond it. -1 is without bound."""
    duplicate_window: float = Field(default=300.0, ge=120, le=86_400)
    """Seconds after an enqueue for which its repetition is recognised."""


class NatsConfig(BaseModel):
    """Options of each of the two slots. Slots of one process with the same options share one connection."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: tuple[ServerUrl, ...] = Field(default=("nats://localhost:4222",), min_length=1)
    """Any servers of the cluster; the others are found through them."""
    user: str | None = Field(default=None, min_length=1)
    password: SecretStr | None = None
    token: SecretStr | None = None
    credentials: str | None = None
    """A `.creds` file (JWT and seed). Needs the extra `nkeys`."""
    nkey_seed: SecretStr | None = None
    """An nkey seed, `SU...`. Needs the extra `nkeys`."""
    tls: TlsConfig | None = None
    reconnect: ReconnectConfig = ReconnectConfig()
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    """Seconds until an attempt to connect fails."""
    timeout: float = Field(default=5.0, gt=0, le=300)
    """Seconds without any answer until a call fails."""
    subject_prefix: str = "prism"
    """What every subject begins with, so that others can share the server."""
    stream: StreamConfig = StreamConfig()

    @field_validator("subject_prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            tokens = "1 to 4 words of 1 to 32 letters (a-z, A-Z), digits, underscores and hyphens"
            raise ValueError(f"a subject prefix is {tokens}, joined by dots")
        return prefix

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together: give both or neither")
        ways = [
            name
            for name, value in (
                ("user", self.user),
                ("token", self.token),
                ("credentials", self.credentials),
                ("nkey_seed", self.nkey_seed),
            )
            if value is not None
        ]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} are each a way to log in: give one")
        return self
