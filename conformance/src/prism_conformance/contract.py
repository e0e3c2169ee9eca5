"""What the contract classes share: the backend under test, and the fixtures that open its slots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from prism.plugins.spec import SlotKind

from prism_conformance.checks import verify
from prism_conformance.harness import Opener, Subject


class SlotContract:
    """The base of the contract classes. Name the backend in a subclass:

        class TestExampleRegistry(RegistryContract):
            type = "example"
            config = {"url": "example://localhost"}

    Override the fixture `subject` instead where the configuration is only known when the test runs, or where the
    backend takes its clock from the context and the tests can turn it.
    """

    __prism_contract__ = True

    kind: ClassVar[SlotKind]
    type: ClassVar[str] = ""
    """The name of the plugin's entry point."""
    config: ClassVar[Mapping[str, Any]] = {}
    """Options of the slot, as in a configuration. Slots opened with the same ones must share what they hold."""
    known_failures: ClassVar[Mapping[str, str]] = {}
    """Ids of checks (or `REG-050[case]`) that fail, each with the reason. One that passes after all is a failure."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        verify(cls)

    @pytest.fixture
    def subject(self) -> Subject:
        """The backend under test."""
        if not self.type:
            name = self.__class__.__name__
            raise NotImplementedError(f"set {name}.type to the entry point of the plugin")
        return Subject(self.type, self.config)

    @pytest_asyncio.fixture
    async def opener(self, subject: Subject) -> AsyncIterator[Opener]:
        """Opens slots for one check, and closes them after it."""
        opener = Opener(subject)
        yield opener
        await opener.close()

    @pytest.fixture
    def advance(self, subject: Subject) -> Callable[[float], Awaitable[None]]:
        """Lets seconds pass on the backend's clock."""
        return subject.advance
