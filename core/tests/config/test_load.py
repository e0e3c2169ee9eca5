"""What a configuration comes to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prism.config import NamespaceConfig, ProxyConfig, find_namespace, load_config, memory_namespace
from prism.model.errors import InvalidArgument, InvalidConfig, NotFound
from prism.model.message import DeliverySemantics
from prism.model.time import SECOND
from prism.plugins.loader import PluginLoader
from prism.slots.context import IndexedField

Read = Callable[[str], ProxyConfig]


@pytest.fixture
def one(loader: PluginLoader) -> Callable[..., NamespaceConfig]:
    """One namespace from the keys of its block."""

    def one(**block: Any) -> NamespaceConfig:
        config = load_config({"namespaces": [{"name": "n", **block}]}, loader=loader)
        return config.namespaces["n"]

    return one


One = Callable[..., NamespaceConfig]


def test_no_configuration_accepts_any_namespace_on_loopback() -> None:
    config = load_config(None)
    assert config.any_namespace
    assert config.namespaces == {}
    assert config.server.listen == "127.0.0.1:7070"
    assert config.server.http_listen == "127.0.0.1:7071"


def test_without_backend_slots_memory_fills_all_three(one: One) -> None:
    namespace = one()
    assert [slot.type for slot in namespace.slots.values()] == ["memory"] * 3
    assert namespace.schema is None
    assert namespace.ttl_default is None
    assert namespace.attach_ttl == 30 * SECOND
    assert namespace.timeout == SECOND


def test_a_missing_registry_or_messaging_is_memory_and_a_missing_durability_is_none(one: One) -> None:
    assert [slot.type for slot in one(backend_slots={}).slots.values()] == ["memory", "memory"]
    namespace = one(backend_slots={"messaging": {"type": "redis"}})
    assert [slot.type for slot in namespace.slots.values()] == ["memory", "redis"]


def test_durability_of_its_own_reads_the_queues_policy(one: One) -> None:
    block = {"type": "redis", "visibility": "10s", "max_messages": 5, "max_attempts": 2, "message_ttl": "7d"}
    slots = {"registry": {"type": "redis"}, "messaging": {"type": "redis"}, "durability": {**block, "host": "h"}}
    namespace = one(backend_slots=slots)
    assert namespace.durability is not None
    assert namespace.durability.options == {"host": "h"}
    assert namespace.queues.visibility == 10 * SECOND
    assert (namespace.queues.max_messages, namespace.queues.max_attempts) == (5, 2)
    assert namespace.queues.message_ttl == 7 * 86_400 * SECOND


@pytest.mark.parametrize("forever", [None, 0])
def test_messages_can_be_kept_for_ever(one: One, forever: int | None) -> None:
    namespace = one(backend_slots={"durability": {"type": "memory", "message_ttl": forever}})
    assert namespace.queues.message_ttl is None


def test_use_messaging_lets_the_queues_policy_stand_beside_it(one: One) -> None:
    slots = {"messaging": {"type": "memory", "store": "s"}, "durability": {"use_messaging": True, "max_attempts": 9}}
    namespace = one(backend_slots=slots)
    assert namespace.durability is not None
    assert namespace.durability.options == {"store": "s"}
    assert namespace.queues.max_attempts == 9


def test_delivery_is_the_namespaces_default(one: One) -> None:
    slots = {"messaging": {"type": "memory", "delivery": "at-least-once"}, "durability": {"type": "memory"}}
    assert one(backend_slots=slots).delivery is DeliverySemantics.AT_LEAST_ONCE


def test_ttl_times_are_read(one: One) -> None:
    namespace = one(ttl={"default": "5m", "max": "1h", "attach": 20})
    assert namespace.ttl_default == 300 * SECOND
    assert namespace.max_ttl == 3600 * SECOND
    assert namespace.attach_ttl == 20 * SECOND


def test_where_a_longest_ttl_is_set_it_is_the_default_too(one: One) -> None:
    namespace = one(ttl={"max": 10})
    assert namespace.ttl_default == 10 * SECOND
    assert namespace.attach_ttl == 10 * SECOND


def test_a_default_ttl_of_zero_is_no_expiry(one: One) -> None:
    assert one(backend_slots={"registry": {"type": "memory", "ttl_default": 0}}).ttl_default is None


def test_limits_are_read_and_the_rest_stays_as_usual(one: One) -> None:
    limits = one(limits={"metadata_bytes": 100, "registrations": 5}).limits
    assert (limits.metadata_bytes, limits.registrations, limits.identity_bytes) == (100, 5, 512)


def test_timeout_and_sweep_interval_are_read(one: One) -> None:
    namespace = one(timeout_ms=0, sweep_interval="250ms")
    assert (namespace.timeout, namespace.sweep_interval) == (0, SECOND // 4)


def test_indexed_schema_fields_reach_the_slots(one: One) -> None:
    namespace = one(identity_schema={"room": {"type": "string", "index": True}}, limits={"page_size": 7})
    context = namespace.slot_context(lambda: 42)
    assert context.indexes == (IndexedField(("room",), "string"),)
    assert (context.namespace, context.limits.page_size, context.clock()) == ("n", 7, 42)


def test_server_settings_are_read(read: Read) -> None:
    config = read(
        """
        server:
          listen: "[::1]:9000"
          http_listen: null
          drain_grace: 30s
          log_level: debug
          allow_unlisted_namespaces: true
          limits: {streams: 10}
        """
    )
    assert config.server.listen == "[::1]:9000"
    assert config.server.http_listen is None
    assert config.server.drain_grace == 30 * SECOND
    assert config.server.log_level == "debug"
    assert config.any_namespace
    assert config.limits.streams == 10


def test_changing_the_mapping_afterwards_changes_nothing(loader: PluginLoader) -> None:
    block: dict[str, Any] = {"type": "nats", "servers": ["a"]}
    source = {"namespaces": [{"name": "n", "backend_slots": {"messaging": block}}]}
    config = load_config(source, loader=loader)
    block["servers"].append("b")
    assert config.namespaces["n"].messaging.config.model_dump() == {"servers": ["a"]}


def test_a_path_object_is_read_like_its_text(tmp_path: Path, loader: PluginLoader) -> None:
    path = tmp_path / "prism.yaml"
    path.write_text("namespaces: [{name: n}]")
    assert load_config(path, loader=loader) == load_config(str(path), loader=loader)


def test_json_is_yaml_too(read: Read) -> None:
    assert list(read('{"namespaces": [{"name": "n"}]}').namespaces) == ["n"]


def test_anchors_and_merge_keys_share_a_block(read: Read) -> None:
    config = read(
        """
        namespaces:
          - &usual
            name: a
            timeout_ms: 5
            limits: {page_size: 3}
          - <<: *usual
            name: b
            timeout_ms: 6
        """
    )
    assert config.namespaces["b"].limits.page_size == 3
    assert [namespace.timeout for namespace in config.namespaces.values()] == [5_000, 6_000]


def test_dates_and_words_like_on_stay_text_where_text_is_wanted(read: Read) -> None:
    config = read("namespaces: [{name: n, identity_schema: {on: bool, 2025-10-09: string}}]")
    schema = config.namespaces["n"].schema
    assert schema is not None
    assert [field.name for field in schema.fields] == ["on", "2025-10-09"]


def test_an_unlisted_namespace_is_on_memory_where_any_is_accepted(loader: PluginLoader) -> None:
    namespace = find_namespace(ProxyConfig(), "whatever", loader=loader)
    assert namespace.name == "whatever"
    assert namespace == memory_namespace("whatever", loader=loader)


def test_a_listed_namespace_is_found_by_name(read: Read) -> None:
    config = read("namespaces: [{name: n, timeout_ms: 7}]")
    assert find_namespace(config, "n").timeout == 7_000


def test_an_unlisted_namespace_is_not_found_where_only_listed_ones_are_accepted(read: Read) -> None:
    with pytest.raises(NotFound, match='namespace "other" is not configured'):
        find_namespace(read("namespaces: [{name: n}]"), "other")


def test_an_unlisted_namespace_needs_a_sound_name(loader: PluginLoader) -> None:
    with pytest.raises(InvalidArgument, match="namespace: is empty"):
        find_namespace(ProxyConfig(), "", loader=loader)


def test_the_installed_memory_backend_serves_a_namespace() -> None:
    assert memory_namespace("n").registry.spec.type == "memory"


def test_a_missing_yaml_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prism.yaml").write_text("namespaces: []")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InvalidConfig, match=r"pip install './core\[server\]'"):
        load_config(tmp_path / "prism.yaml")


def test_importing_configuration_loads_neither_yaml_nor_pydantic() -> None:
    code = (
        "import sys, prism.config, prism.schema; print(sorted({'yaml', 'pydantic', 'grpc', 're2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
