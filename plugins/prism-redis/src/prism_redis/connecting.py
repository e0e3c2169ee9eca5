"""How connections are made: from host and port, from a URL, or to whichever server the Sentinels name."""

from __future__ import annotations

from typing import Any

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.sentinel import Sentinel

from prism_redis.config import RedisConfig, split_address
from prism_redis.errors import ReplyError
from prism_redis.link import Connect

Address = tuple[str, int]


def addresses(config: RedisConfig) -> list[Address]:
    """The servers that the configuration names; none where it names Sentinels or a socket file."""
    if config.sentinels:
        return []
    if not config.urls:
        return [(config.host, config.port)]
    parsed = [parse_url(url) for url in config.urls]
    return [(str(part.get("host", "localhost")), int(part.get("port", 6379))) for part in parsed if "path" not in part]


def to_address(config: RedisConfig, address: Address) -> Connect:
    """Connects to one server, with the login and TLS of the configuration."""
    options = _options(config)
    make = options.pop("connection_class")
    options |= {"host": address[0], "port": address[1]}

    async def connect() -> AbstractConnection:
        connection: AbstractConnection = make(**options)
        await _ready(connection)
        return connection

    return connect


def to_server(config: RedisConfig) -> Connect:
    """Connects to the one server of the configuration."""
    if config.sentinels:
        return _to_master(config)
    if config.urls and config.urls[0].startswith("unix://"):
        return _to_socket(config)
    [address] = addresses(config)
    return to_address(config, address)


def _to_master(config: RedisConfig) -> Connect:
    assert config.master is not None
    name = config.master
    login = {"username": config.sentinel_username, "password": _secret(config.sentinel_password)}
    common = _options(config)
    kept = {key: value for key, value in common.items() if key.startswith(("ssl_", "socket_"))}
    watchers = [split_address(address) for address in config.sentinels]
    options = {**login, **kept, "ssl": config.uses_tls, "protocol": 2}

    async def connect() -> AbstractConnection:
        sentinel: Any = Sentinel(watchers, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        try:
            address = await sentinel.discover_master(name)
        finally:
            for client in sentinel.sentinels:
                await client.aclose()
        return await to_address(config, (str(address[0]), int(address[1])))()

    return connect


def _to_socket(config: RedisConfig) -> Connect:
    options: dict[str, Any] = {**_options(config), **parse_url(config.urls[0])}
    options.pop("connection_class")

    async def connect() -> AbstractConnection:
        connection = UnixDomainSocketConnection(**options)
        await _ready(connection)
        return connection

    return connect


async def _ready(connection: AbstractConnection) -> None:
    """Connects, logs in and selects the database."""
    await connection.connect()  # type: ignore[no-untyped-call]


def _options(config: RedisConfig) -> dict[str, Any]:
    """What redis-py's connection classes take, without host and port."""
    options: dict[str, Any] = {
        "connection_class": SSLConnection if config.uses_tls else Connection,
        "db": config.db,
        "username": config.username,
        "password": _secret(config.password),
        "socket_connect_timeout": config.connect_timeout,
        "protocol": 2,
    }
    if config.uses_tls:
        options |= {
            "ssl_ca_certs": config.tls_ca,
            "ssl_certfile": config.tls_cert,
            "ssl_keyfile": config.tls_key,
            "ssl_cert_reqs": "required" if config.tls_verify else "none",
            "ssl_check_hostname": config.tls_verify,
        }
    if config.urls:
        parsed = dict(parse_url(config.urls[0]))
        for key in ("host", "port", "path", "connection_class"):
            parsed.pop(key, None)
        options |= parsed
    return options


def _secret(value: Any) -> str | None:
    return None if value is None else str(value.get_secret_value())


def is_demoted(replies: list[Any]) -> bool:
    """Whether the server says that it is no master any more."""
    return any(isinstance(reply, ReplyError) and reply.code in {"READONLY", "MASTERDOWN"} for reply in replies)
