"""The .proto files, as text: every field is explained, and RFC-017's numbers are kept."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prism.v1 import registry_pb2

from .pages import ROOT

PROTOS = sorted((ROOT / "proto" / "prism" / "v1").glob("*.proto"))

_DECLARATION = re.compile(
    r"^\s*(?:(?:message|enum|service)\s+(?P<block>\w+)\s*\{"
    r"|rpc\s+(?P<rpc>\w+)\("
    r"|(?:optional\s+|repeated\s+)?[\w.<>, ]+\s(?P<field>\w+)\s*=\s*\d+;"
    r"|(?P<value>[A-Z][A-Z0-9_]*)\s*=\s*\d+;)"
)

RFC_NUMBERS = {
    "RegisterRequest": {"identity": 1, "metadata": 2, "ttl_seconds": 3, "replace": 4},
    "RegisterResponse": {"success": 1, "error": 2, "registered_at": 3, "expires_at": 4},
    "EnumerateRequest": {"filter": 1, "pagination": 2, "include_metadata": 3, "sort_by": 4},
    "EnumerateResponse": {"identities": 1, "total_count": 2, "next_cursor": 3},
    "Identity": {"identity": 1, "metadata": 2, "registered_at": 3, "expires_at": 4},
    "MulticastRequest": {"filter": 1, "payload": 2, "content_type": 3, "delivery": 4, "timeout_ms": 5},
    "MulticastResponse": {"target_count": 1, "delivered_count": 2, "statuses": 3},
    "DeliveryStatus": {"identity": 1, "status": 2, "error": 3},
    "UnregisterRequest": {"identity": 1},
    "UnregisterResponse": {"success": 1, "error": 2},
}


@dataclass(frozen=True)
class Declaration:
    """A message, enum, service, call, field or enum value, and the comment above it."""

    name: str
    line: int
    comment: str


def declarations(path: Path) -> Iterator[Declaration]:
    comment: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip().startswith("//"):
            comment.append(line.strip().removeprefix("//").strip())
            continue
        if match := _DECLARATION.match(line):
            name = next(group for group in match.groups() if group)
            yield Declaration(name, number, " ".join(comment))
        comment = []


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: path.name)
def test_every_declaration_has_a_comment_above_it(path: Path) -> None:
    found = list(declarations(path))
    assert found
    bare = [f"{path.name}:{each.line} {each.name}" for each in found if len(each.comment) < 3]
    assert bare == []


def test_all_fields_of_the_contract_were_looked_at() -> None:
    seen = {each.name for path in PROTOS for each in declarations(path)}
    messages = registry_pb2.DESCRIPTOR.message_types_by_name.values()
    assert {field.name for message in messages for field in message.fields} <= seen
    assert {message.name for message in messages} <= seen


@pytest.mark.parametrize("message", RFC_NUMBERS)
def test_the_rfcs_fields_keep_their_numbers(message: str) -> None:
    fields = registry_pb2.DESCRIPTOR.message_types_by_name[message].fields_by_name
    assert {name: fields[name].number for name in RFC_NUMBERS[message]} == RFC_NUMBERS[message]


def test_every_request_of_a_call_has_the_namespace_as_field_15() -> None:
    service = registry_pb2.DESCRIPTOR.services_by_name["MulticastRegistryService"]
    numbers = {method.name: method.input_type.fields_by_name["namespace"].number for method in service.methods}
    assert set(numbers.values()) == {15}
