"""Slots as the networked plugins will declare them, and configurations written to files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prism.config import ProxyConfig, load_config
from prism.model.errors import InvalidConfig
from prism.plugins.loader import PluginLoader
from prism.plugins.spec import Capability as C
from prism.plugins.spec import SlotKind, SlotSpec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Memory(Options):
    store: str | None = None


class Redis(Options):
    host: str = "localhost"
    port: int = Field(default=6379, ge=1, le=65535)
    password: SecretStr | None = None


class Nats(Options):
    servers: list[str]


class Index(Options):
    field: str
    type: str | None = None


class Postgres(Options):
    connection: str
    schema_name: str = Field(default="prism", alias="schema")
    indexes: tuple[Index, ...] = ()


class Kafka(Options):
    brokers: list[str]
    topic_prefix: str = "prism."
    retention: str = "1d"

    @field_validator("retention")
    @classmethod
    def days(cls, value: str) -> str:
        if not value.endswith("d"):
            raise ValueError("Must be in days, such as 7d")
        return value


class Dynamo(Options):
    table: str
    partition_key: str
    sort_key: str
    ttl_attribute: str
    gsi: list[dict[str, Any]] = []


class Sns(Options):
    topic_prefix: str


def spec(slot: str, name: str, config: type[BaseModel], *capabilities: C) -> SlotSpec:
    return SlotSpec(SlotKind(slot), name, config, "fake:make", frozenset(capabilities))


@pytest.fixture
def loader() -> PluginLoader:
    return PluginLoader.of(
        [
            spec("registry", "memory", Memory, C.STRONG_CONSISTENCY, C.LOW_LATENCY),
            spec("messaging", "memory", Memory, C.LOW_LATENCY),
            spec("durability", "memory", Memory, C.LOW_LATENCY),
            spec("registry", "redis", Redis, C.LOW_LATENCY, C.SHARED, C.NATIVE_TTL),
            spec("messaging", "redis", Redis, C.LOW_LATENCY, C.SHARED),
            spec("durability", "redis", Redis, C.LOW_LATENCY, C.SHARED),
            spec("messaging", "nats", Nats, C.LOW_LATENCY, C.SHARED),
            spec(
                "registry", "postgres", Postgres,
                C.STRONG_CONSISTENCY, C.DURABLE, C.AUDIT, C.SHARED, C.TRANSACTIONAL_OUTBOX,
            ),
            spec("messaging", "kafka", Kafka, C.SHARED, C.ORDERED),
            spec("durability", "kafka", Kafka, C.SHARED, C.DURABLE),
            spec("registry", "dynamodb", Dynamo, C.SHARED, C.DURABLE, C.MULTI_REGION),
            spec("messaging", "sns", Sns, C.SHARED),
        ]
    )  # fmt: skip


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: PluginLoader) -> Callable[[str], ProxyConfig]:
    """Writes a configuration to prism.yaml and reads it."""
    monkeypatch.chdir(tmp_path)

    def read(text: str) -> ProxyConfig:
        Path("prism.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
        return load_config("prism.yaml", loader=loader)

    return read


@pytest.fixture
def mistakes(read: Callable[[str], ProxyConfig]) -> Callable[[str], list[str]]:
    """What is wrong with a configuration, one line each."""

    def mistakes(text: str) -> list[str]:
        with pytest.raises(InvalidConfig) as caught:
            read(text)
        return str(caught.value).splitlines()

    return mistakes
