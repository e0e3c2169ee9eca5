"""Options: what is taken, what is refused, and who shares connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prism.config import load_config
from prism.model.errors import InvalidConfig
from prism.plugins.spec import SlotKind
from prism.slots.context import IndexedField
from prism_conformance.rfc import EXAMPLE_2
from prism_postgres.config import IndexType, PostgresConfig
from prism_postgres.errors import ConnectionLost, NoConnection, StatementTimeout, classify
from prism_postgres.indexes import FieldIndex, wanted
from prism_postgres.pool import borrow, give_back, hosts
from pydantic import ValidationError


def test_example_of_the_rfc_is_read_as_printed(tmp_path: Path) -> None:
    path = tmp_path / "prism.yaml"
    path.write_text(EXAMPLE_2)
    namespace = load_config(path).namespaces["iot-devices"]
    config = namespace.slots[SlotKind.REGISTRY].config
    assert isinstance(config, PostgresConfig)
    assert (config.url, config.db_schema) == ("postgres://localhost:5432/prism", "iot_registry")
    context = namespace.slot_context()
    assert context.audit
    assert wanted(config.indexes, context.indexes, context.kinds) == (
        FieldIndex(("device_type",), IndexType.BTREE, "enum"),
        FieldIndex(("firmware_version",), IndexType.BTREE, "string"),
        FieldIndex(("location",), IndexType.GIST, "geo_point"),
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"connection": "mysql://localhost/x"}, "must begin with postgres://"),
        ({"connection": 5432}, "must be a URL such as postgres://user"),
        ({"connection": "postgres://[::1/x"}, "is not a URL"),
        ({"schema": 'x"; DROP SCHEMA public; --'}, "letters .*, digits and underscores"),
        ({"schema": "a.b"}, "letters .*, digits and underscores"),
        ({"schema": "x\n"}, "letters .*, digits and underscores"),
        ({"schema": "1x"}, "no digit first"),
        ({"pool_min": 5, "pool_size": 2}, "more than pool_size"),
        ({"tls_ca": "ca.pem"}, "set tls: true"),
        ({"tls": True, "tls_cert": "c.pem"}, "tls_cert and tls_key"),
        ({"tls": True, "connection": "postgres://h/d?sslmode=disable"}, "sslmode"),
        ({"pooler": True, "listen": True}, "can't LISTEN"),
        ({"indexes": [{"field": "a"}, {"field": "a"}]}, "more than once"),
        ({"indexes": [{"field": "*"}]}, "whole document"),
        ({"indexes": [{"field": "a", "type": "bitmap"}]}, "btree"),
        ({"audit_days": 0}, "greater than or equal to 1"),
        ({"tables": 1}, "Extra inputs"),
    ],
)
def test_what_can_not_be_meant_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        PostgresConfig(**options)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "prism.yaml"
    path.write_text(
        EXAMPLE_2.replace("postgres://localhost:5432/prism", 'mysql://ops:hunter2@h/d"\n        pool_size: "0')
    )
    with pytest.raises(InvalidConfig) as caught:
        load_config(path)
    assert "connection: must begin with postgres:// or postgresql://" in str(caught.value)
    assert "pool_size: input should be greater than or equal to 1, got" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    path.write_text(EXAMPLE_2.replace("schema: iot_registry", "schema: Fleet X"))
    with pytest.raises(InvalidConfig, match=r'schema: a schema\'s name is .* no digit first, got .*"Fleet X"'):
        load_config(path)


def test_no_message_holds_the_password() -> None:
    with pytest.raises(ValidationError) as caught:
        PostgresConfig(connection="postgres://ops:hunter2@h/d", pool_size=0)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(PostgresConfig(connection="postgres://ops:hunter2@h/d"))


def test_hosts_of_a_connection() -> None:
    assert hosts(PostgresConfig(connection="postgres://u:p@a:1,b:2,c/d?x=y")) == ["a:1", "b:2", "c"]


def test_a_pooler_can_not_listen_unless_there_is_none() -> None:
    assert PostgresConfig().may_listen
    assert not PostgresConfig(pooler=True).may_listen
    assert not PostgresConfig(listen=False).may_listen


def test_index_suits_the_type_of_the_schema() -> None:
    declared = [IndexedField(("tags",), "array"), IndexedField(("place",), "geo_point"), IndexedField(("n",), "int")]
    assert [index.type for index in wanted([], declared, {})] == [IndexType.GIN, IndexType.GIST, IndexType.BTREE]


async def test_slots_with_one_connection_share_their_pool(config: dict[str, Any]) -> None:
    one, other = PostgresConfig(**config), PostgresConfig(**{**config, "schema": "elsewhere", "auto_migrate": False})
    first, second = await borrow(one), await borrow(other)
    third = await borrow(PostgresConfig(**{**config, "pool_size": 3}))
    assert first is second
    assert third is not first
    for database in (first, second, third):
        await give_back(database)
    again = await borrow(one)
    assert again is not first
    await give_back(again)


def test_errors_of_our_own_are_classified() -> None:
    assert classify(ConnectionLost("x", harmless=True)) == "unavailable"
    assert classify(ConnectionLost("x", harmless=False)) == "deadline_exceeded"
    assert classify(StatementTimeout("x")) == "deadline_exceeded"
    assert classify(NoConnection("x")) == "unavailable"
    assert classify(ValueError("x")) is None
