"""Opens connections as a configuration says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nats import errors as driver

from prism_nats.config import NatsConfig
from prism_nats.login import check_keys, explained, tls_context
from prism_nats.wire import Wire

Callback = Callable[[], Awaitable[None]]
_TRIES = 2
"""Attempts at each server before `open` fails."""


async def connect(config: NatsConfig, on_lost: Callback, on_back: Callback) -> Wire:
    """Connects to one of the servers.

    Raises:
        Misconfigured: a server doesn't let us in, and why.
        nats.errors.Error, OSError: none can be reached; the last server's error.
    """
    check_keys(config)
    wire = Wire()
    wire.must_encrypt = config.tls is not None or any(url.startswith("tls://") for url in config.servers)
    options: dict[str, Any] = {
        "servers": list(config.servers),
        "name": "prism",
        "error_cb": _ignore,
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
        options["tls"] = tls_context(config.tls)
        options["tls_hostname"] = config.tls.hostname
        options["tls_handshake_first"] = config.tls.handshake_first
    try:
        async with asyncio.timeout(config.connect_timeout * _TRIES * len(config.servers) + 1):
            await wire.connect(**options)
    except (driver.NoServersError, TimeoutError) as error:
        await wire.close()
        raise (explained(config, wire.failures) or error) from error
    except BaseException:
        await wire.close()
        raise
    wire.failures.clear()
    wire.options["max_reconnect_attempts"] = config.reconnect.attempts
    wire.options["reconnect_time_wait"] = config.reconnect.wait
    return wire


async def _ignore(_error: Exception) -> None:
    """nats-py tells more errors than those of a connection, such as of clearing away a broken one."""
