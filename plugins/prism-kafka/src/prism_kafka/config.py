"""What `type: kafka` takes in a configuration."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from prism.config.duration import parse_duration
from prism.model.time import SECOND, Micros
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

PARTITIONS: Final = 8
"""How many partitions a topic is created with unless the configuration says otherwise."""
OWN_TOPICS: Final = ("topic_prefix", "partitions", "replication", "retention")
"""Options that aren't about connections."""

_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


def _duration(value: Any) -> Any:
    return parse_duration(value)


Duration = Annotated[Micros, BeforeValidator(_duration)]
"""Microseconds, written `7d`, `12h`, `90s`, or as a number of seconds."""


class KafkaConfig(BaseModel):
    """Options of each of the two slots. Slots of one process with the same connection share their producer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    brokers: tuple[str, ...] = Field(default=("localhost:9092",), min_length=1)
    """`host:port` of some brokers; the others are found through them."""
    topic_prefix: str = "prism."
    """What the names of all topics begin with, so that others can share the brokers."""
    partitions: int | None = Field(default=None, ge=1, le=1024)
    """Partitions of each topic. It can't be changed once the topics exist. None takes what exists, else 8."""
    replication: int | None = Field(default=None, ge=1, le=32)
    """Copies of each partition that topics are created with; None is 3, or as many as there are brokers."""
    retention: Duration = 7 * 24 * 3600 * SECOND
    """How long an identity that is away can catch up at most: older messages become gaps."""

    client_id: str = Field(default="prism", min_length=1, max_length=200)
    """What the brokers know us by, in their logs and quotas."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    """What records are compressed with; all but gzip need the extra `compression`."""
    linger: float = Field(default=0.0, ge=0, le=1)
    """Seconds that a record waits for others to share a request with. 0 sends at once what is there."""
    request_timeout: float = Field(default=10.0, gt=0, le=300)
    """Seconds until a call without an answer fails."""
    connect_timeout: float = Field(default=15.0, gt=0, le=300)
    """Seconds to go on trying when no broker answers at start-up."""
    max_message_bytes: int = Field(default=4 * 1024 * 1024, ge=64 * 1024, le=64 * 1024 * 1024)
    """The largest record that topics are created for."""
    snapshot_every: int = Field(default=200_000, ge=100)
    """Queue operations in a partition after which its state is written down and its old records are let go."""
    cache_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """Bytes of payloads kept in memory; others are read from the log again."""

    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How we log in; goes with `username` and `password`."""
    username: str | None = Field(default=None, min_length=1)
    password: SecretStr | None = None

    tls: bool = False
    tls_ca: str | None = None
    """A file of PEM certificates to trust; none trusts the system's."""
    tls_cert: str | None = None
    """A file with our PEM certificate, for brokers that ask for one; goes with `tls_key`."""
    tls_key: str | None = None
    tls_verify: bool = True
    """Whether certificate and host name are checked."""

    @field_validator("topic_prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError("a topic prefix is 1 to 100 letters (a-z, A-Z), digits, dots, underscores and hyphens")
        return prefix

    @field_validator("brokers")
    @classmethod
    def _check_brokers(cls, brokers: tuple[str, ...]) -> tuple[str, ...]:
        for broker in brokers:
            host, _, port = broker.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"{broker!r} is not host:port, e.g. kafka-1:9092")
        return brokers

    @model_validator(mode="after")
    def _check(self) -> Self:
        login = (self.sasl_mechanism, self.username, self.password)
        if any(part is not None for part in login) and None in login:
            raise ValueError("sasl_mechanism, username and password go together: give all or none")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: give both or neither")
        if not self.tls and self.model_fields_set & {"tls_ca", "tls_cert", "tls_key", "tls_verify"}:
            raise ValueError("tls options without tls: set tls: true")
        if self.retention < 60 * SECOND:
            raise ValueError(f"retention: {self.retention / SECOND:g} s is too short; give 60s or more")
        return self
