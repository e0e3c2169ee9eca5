"""What the three slots share: connecting, checking the server, capabilities, errors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar, Final

from prism.model.errors import InternalError, InvalidConfig, Violation
from prism.plugins.spec import Capability, SlotSpec
from prism.slots.context import Backend, Code, SlotContext

from prism_redis import servers as shared
from prism_redis.config import RedisConfig
from prism_redis.errors import classify, raise_errors
from prism_redis.keys import Partition, partitions
from prism_redis.serverinfo import ServerInfo, read_info
from prism_redis.servers import Servers

logger = logging.getLogger(__name__)

OLDEST: Final = (7, 0)
"""The oldest Redis that has all we use; Valkey counts as the Redis that it says it is compatible with."""
CLUSTER_PARTITIONS: Final = 16


class RedisSlot(Backend):
    """A slot of one namespace."""

    spec: ClassVar[SlotSpec]

    def __init__(self, config: RedisConfig, context: SlotContext) -> None:
        self._config = config
        self._context = context
        self._joined: Servers | None = None
        self._partitions: tuple[Partition, ...] = ()
        self._capabilities = self.spec.capabilities

    @property
    def _servers(self) -> Servers:
        if self._joined is None:
            raise InternalError(f"{type(self).__name__} is not open; await open() first and don't use it after close()")
        return self._joined

    async def open(self) -> None:
        """Connects, checks version and persistence, and settles how many partitions there are.

        Raises InvalidConfig for a server that is too old, or where the partitions aren't those of the stored data.
        """
        if self._joined is None:
            self._joined = shared.join(self._config)
        await self._joined.open()
        info = await read_info(self._joined)
        if info.version < OLDEST:
            found = ".".join(map(str, info.version))
            raise InvalidConfig(f"the Redis server is version {found}; upgrade it to {OLDEST[0]}.{OLDEST[1]} or newer")
        self._capabilities = self._found_capabilities(info)
        self._partitions = partitions(
            self._config.key_prefix, self._context.namespace, await self._settle_partitions(self._joined)
        )

    async def close(self) -> None:
        """Leaves the connections; the last slot that uses them ends them."""
        joined, self._joined = self._joined, None
        if joined is not None:
            await shared.leave(self._config, joined)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the plugin declares; DURABLE only where the server's persistence keeps it."""
        return self._capabilities

    async def check(self) -> None:
        """Pings every server."""
        for replies in await self._servers.each([("PING",)]):
            raise_errors(replies[0])

    def classify(self, error: Exception) -> Code | None:
        """Says what an exception of ours or of redis-py means."""
        return classify(error)

    def _default_partitions(self) -> int:
        return CLUSTER_PARTITIONS if self._config.cluster else 1

    async def _settle_partitions(self, joined: Servers) -> int:
        """How many partitions the slot's data has: what is stored, else what is configured, which is then stored."""
        wanted = self._config.partitions
        [home] = partitions(self._config.key_prefix, self._context.namespace, 1)
        key, field = home.tag + b":layout", self.spec.slot.value
        commands = [("HSETNX", key, field, wanted or self._default_partitions()), ("HGET", key, field)]
        replies = await joined.call(home.slot, commands, harmless=True)
        for reply in replies:
            raise_errors(reply)
        found = int(replies[1])
        if wanted is not None and wanted != found:
            text = (
                f"{wanted}, but the {self.spec.slot} of namespace {self._context.namespace!r} is stored in {found}; "
                f"leave the option out or set it to {found}, or move to another key_prefix"
            )
            raise InvalidConfig(f"partitions: {text}", violations=(Violation("partitions", text),))
        return found

    def _found_capabilities(self, info: ServerInfo) -> frozenset[Capability]:
        declared = self.spec.capabilities
        if Capability.DURABLE not in declared:
            return declared
        if info.why_not_durable is None:
            return declared
        logger.info(
            "%s of namespace %r is not durable: %s", self.spec.slot, self._context.namespace, info.why_not_durable
        )
        return declared - {Capability.DURABLE}


def first_error(replies: Sequence[object]) -> None:
    """Raises the first reply that is an error."""
    for reply in replies:
        raise_errors(reply)
