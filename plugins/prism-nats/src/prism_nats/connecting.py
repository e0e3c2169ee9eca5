"""Opens connections as a configuration says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from nats import errors as driver

from prism_nats.config import NatsConfig, TlsConfig
from prism_nats.wire import Wire

Callback = Callable[[], Awaitable[None]]
_TRIES = 2
"""Attempts at each server before `open` fails."""


async def connect(config: NatsConfig, on_lost: Callback, on_back: Callback) -> Wire:
    """Connects to one of the servers.

    Raises:
        nats.errors.Error, OSError: none can be reached, or we may not log in; the last server's error.
    """
    wire = Wire()
    last: list[Exception] = []

    async def keep(error: Exception) -> None:
        last.append(error)
        del last[:-1]

    options: dict[str, Any] = {
        "servers": list(config.servers),
        "name": "prism",
        "error_cb": keep,
        "disconnected_cb": on_lost,
        "reconnected_cb": on_back,
        "connect_timeout": config.connect_timeout,
        "max_reconnect_attempts": _TRIES - 1,
        "reconnect_time_wait": 0.05,
        "user": config.user,
        "password": config.password and config.password.get_secret_value(),
        "token": config.token and config.token.get_secret_value(),
        "user_credentials": config.credentials,
        "nkeys_seed_str": config.nkey_seed and config.nkey_seed.get_secret_value(),
    }
    if config.tls is not None:
        options["tls"] = _tls(config.tls)
        options["tls_hostname"] = config.tls.hostname
        options["tls_handshake_first"] = config.tls.handshake_first
    try:
        async with asyncio.timeout(config.connect_timeout * _TRIES * len(config.servers) + 1):
            await wire.connect(**options)
    except (driver.NoServersError, TimeoutError) as error:
        await wire.close()
        raise (last[0] if last else error) from error
    except BaseException:
        await wire.close()
        raise
    wire.options["max_reconnect_attempts"] = config.reconnect.attempts
    wire.options["reconnect_time_wait"] = config.reconnect.wait
    return wire


def _tls(config: TlsConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca)
    if config.cert is not None:
        context.load_cert_chain(config.cert, config.key)
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
