"""The blocking client."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from prism.client.client import DEFAULT_TIMEOUT
from prism.client.client import Client as AsyncClient
from prism.model.operations import DEFAULT_NAMESPACE
from prism.sync.registry import Registry
from prism.sync.thread import LoopThread

if TYPE_CHECKING:
    from prism.client.embedded import ConfigSource


class Client:
    """See `prism.Client`; the arguments are the same. It may be left open: it closes at the end of the process."""

    def __init__(
        self, namespace: str = DEFAULT_NAMESPACE, address: str | None = None, *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self._wrap(AsyncClient(namespace, address, timeout=timeout))

    @classmethod
    def embedded(
        cls, namespace: str = DEFAULT_NAMESPACE, config: ConfigSource = None, *, timeout: float = DEFAULT_TIMEOUT
    ) -> Self:
        """See `prism.Client.embedded`."""
        self = cls.__new__(cls)
        self._wrap(AsyncClient.embedded(namespace, config, timeout=timeout))
        return self

    def _wrap(self, client: AsyncClient) -> None:
        self.namespace = client.namespace
        self.address = client.address
        self.timeout = client.timeout
        self._client = client
        self._thread = LoopThread(client)
        self.registry = Registry(client.registry, self._thread)
        """The operations."""

    def __enter__(self) -> Self:
        self._thread.run(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leaves every open inbox, closes the connections or the coordinator, ends the thread. Idempotent."""
        self._thread.close()
