"""Identities and their registrations."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prism.model import json
from prism.model.errors import InvalidArgument, Violation
from prism.model.limits import check_size

if TYPE_CHECKING:
    from prism.model.time import Micros


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registry holds of one identity (design: slot contracts).

    `registration_id` is the fencing token: a renewal or removal that names another one is refused.
    `revision` rises with every write of the identity and is never used twice, not even after the identity
    was removed and registered again. Times are microseconds since the epoch by the backend's clock.
    `address` is the inbox of the proxy that hosts the identity's stream, "" when it isn't attached.
    `owner` is the principal that registered it, "" where nobody is authenticated.
    """

    identity: str
    metadata_json: bytes
    registration_id: str
    revision: int
    registered_at: Micros
    updated_at: Micros
    expires_at: Micros | None
    address: str = ""
    owner: str = ""

    @property
    def metadata(self) -> json.Document:
        """The metadata, decoded afresh at each call."""
        return json.decode(self.metadata_json)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Target:
    """The part of a registration that a multicast needs."""

    identity: str
    registration_id: str
    address: str


def new_registration_id() -> str:
    """A fresh fencing token: 96 random bits as 24 hexadecimal digits."""
    return secrets.token_hex(12)


def check_identity(identity: object, limit: int, field: str = "identity") -> str:
    """Returns the identity, or raises InvalidArgument: empty, too long, or with control characters.

    The limit is bytes of UTF-8. Control characters (line breaks among them) are refused because identities
    end up in topics, logs and terminals.
    """
    if not isinstance(identity, str):
        raise InvalidArgument.at(field, f"expected a string, got {json.describe(identity)}")
    if not identity:
        raise InvalidArgument.at(field, "is empty; it needs at least one character")
    problems: list[Violation] = []
    json.normalise(identity, field, problems)
    if problems:
        raise InvalidArgument.of(problems)
    check_size(field, len(identity.encode()), limit, "bytes", "use a shorter identity")
    if not identity.isprintable():
        for i, character in enumerate(identity):
            if ord(character) < 32 or 127 <= ord(character) < 160 or character in "\u2028\u2029":
                text = f"has the control character U+{ord(character):04X} at position {i}; remove it"
                raise InvalidArgument.at(field, text)
    return identity


def check_namespace(namespace: object, field: str = "namespace") -> str:
    """Returns the namespace, or raises InvalidArgument. At most 128 bytes of UTF-8, same rules as an identity."""
    return check_identity(namespace, 128, field)
