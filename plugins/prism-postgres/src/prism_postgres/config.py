"""What `type: postgres` takes in a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

SCHEMES = ("postgres://", "postgresql://")


_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class IndexType(StrEnum):
    """What kind of index a field gets."""

    BTREE = "btree"
    """Equality, `in`, ranges and prefixes of one scalar field."""
    GIN = "gin"
    """Equality and membership in arrays, of one field or (`field: "*"`) of the whole document."""
    GIST = "gist"
    """`near` and `within` of a point with `lat` and `lon`."""


class Index(BaseModel):
    """One entry of `indexes:`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1)
    """The dotted path of a metadata field; `*` with `type: gin` is the whole document."""
    type: IndexType | None = None
    """None takes what suits the schema's type: gist for a geo_point, gin for arrays and objects, else btree."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.field == "*" and self.type is not IndexType.GIN:
            raise ValueError('field: "*" is the whole document, which only `type: gin` can index')
        return self


class PostgresConfig(BaseModel):
    """Options of each of the three slots. Slots of one process with the same connection share their pool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connection: SecretStr = SecretStr("postgres://localhost:5432/postgres")
    """`postgres://user:password@host:port/database`. Several hosts, joined by commas, are tried in turn for the one
    that can be written to. What is left out comes from PGUSER, PGPASSWORD and the rest of libpq's environment."""
    db_schema: str = Field(default="prism", alias="schema")
    """The database schema that holds our tables. One for each namespace is best."""
    indexes: tuple[Index, ...] = ()
    """Fields to index besides those that the identity schema marks `index: true`."""
    auto_migrate: bool = False
    """Whether tables and indexes are made and brought up to date at start-up, rather than by `prism migrate`."""

    audit_days: int | None = Field(default=None, ge=1, le=36_500)
    """Days that the audit is kept at least, with `needs: audit`; then it goes by whole months. None is for ever."""

    pool_min: int = Field(default=0, ge=0, le=1000)
    """Connections kept open when nothing happens."""
    pool_size: int = Field(default=10, ge=1, le=1000)
    """Connections at most, shared by the slots of this process with the same options."""
    acquire_timeout: float = Field(default=10.0, gt=0, le=300)
    """Seconds that a call waits for a free connection."""
    connect_timeout: float = Field(default=5.0, gt=0, le=300)
    """Seconds until an attempt to connect fails."""
    statement_timeout: float = Field(default=30.0, gt=0, le=3600)
    """Seconds until a statement is given up, by the server and by us."""
    random_page_cost: float | None = Field(default=1.1, ge=0.1, le=100)
    """The planner's `random_page_cost` in our sessions: tables that are read all the time are in memory. None, like a
    pooler, leaves the server's own, whose default of 4 is that of a disk with a moving head."""
    pooler: bool = False
    """Whether a pooler in transaction mode (PgBouncer, for example) stands in between: nothing then outlives a
    transaction, neither prepared statements nor settings. LISTEN can't work there; see `listen`."""
    listen: bool | None = None
    """Whether connections of our own may LISTEN; none is the opposite of `pooler`. Without, queues are polled."""

    tls: bool = False
    """Whether connections must be encrypted. Without, the URL's `sslmode` decides, by default `prefer`."""
    tls_ca: str | None = None
    """A file of PEM certificates to trust; none trusts the system's."""
    tls_cert: str | None = None
    """A file with our PEM certificate, for servers that ask for one; goes with `tls_key`."""
    tls_key: str | None = None
    tls_verify: bool = True
    """Whether certificate and host name are checked."""

    @field_validator("connection", mode="before")
    @classmethod
    def _check_connection(cls, given: Any) -> Any:
        """Says nothing of a text's content: there is a password in it."""
        url = given.get_secret_value() if isinstance(given, SecretStr) else given
        if not isinstance(url, str):
            text = "must be a URL such as postgres://user:password@host:5432/database"
            raise ValueError(text)  # noqa: TRY004 - of which pydantic makes a mistake in the configuration
        if not url.startswith(SCHEMES):
            raise ValueError("must begin with postgres:// or postgresql://")
        try:
            _options(url)
        except ValueError as error:
            raise ValueError(f"is not a URL: {error}") from error
        return given

    @field_validator("db_schema")
    @classmethod
    def _check_schema(cls, name: str) -> str:
        if not _SCHEMA.fullmatch(name):
            raise ValueError("a schema's name is 1 to 63 letters (a-z, A-Z), digits and underscores, no digit first")
        return name

    @model_validator(mode="after")
    def _check(self) -> Self:
        options = _options(self.url)
        given = self.model_fields_set
        if self.tls and "sslmode" in options:
            raise ValueError("tls can't stand beside sslmode in the connection: leave one out")
        if not self.tls and given & {"tls_ca", "tls_cert", "tls_key", "tls_verify"}:
            raise ValueError("tls options without tls: set tls: true")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: give both or neither")
        if self.pool_min > self.pool_size:
            raise ValueError(f"pool_min is {self.pool_min}, more than pool_size, {self.pool_size}")
        if self.pooler and self.listen:
            raise ValueError("listen: a pooler in transaction mode can't LISTEN; leave listen out")
        if len(set(self.indexes)) < len(self.indexes):
            doubled = next(index.field for index in self.indexes if self.indexes.count(index) > 1)
            raise ValueError(f"indexes: {doubled} is there more than once with the same type")
        return self

    @property
    def url(self) -> str:
        """The connection URL, with what is secret in it."""
        return self.connection.get_secret_value()

    @property
    def may_listen(self) -> bool:
        """Whether connections may LISTEN."""
        return not self.pooler if self.listen is None else self.listen


def _options(url: str) -> Mapping[str, list[str]]:
    """What stands behind the question mark. Raises ValueError where it isn't a URL."""
    return parse_qs(urlsplit(url.replace(",", "%2C")).query)
