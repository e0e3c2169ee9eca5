"""Registrations as rows of the table, and back."""

from __future__ import annotations

from typing import Any

from prism.model import json
from prism.model.identity import Registration, Target

SCHEMA = """
CREATE TABLE IF NOT EXISTS registrations (
    namespace TEXT NOT NULL,
    identity TEXT NOT NULL,
    metadata BLOB NOT NULL,
    registration_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    registered_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    address TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (namespace, identity)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS expiries ON registrations (namespace, expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS revisions (namespace TEXT PRIMARY KEY, last INTEGER NOT NULL);
"""

COLUMNS = "identity, metadata, registration_id, revision, registered_at, updated_at, expires_at, address, owner"
LIVE = "namespace = :namespace AND (expires_at IS NULL OR expires_at > :now)"
"""The expired are invisible to every statement, whether or not they are still there."""

GET = f"SELECT {COLUMNS} FROM registrations WHERE {LIVE} AND identity = :identity"  # noqa: S608 - no user's text
PAGE = f"SELECT {COLUMNS} FROM registrations WHERE {LIVE} AND identity > :after ORDER BY identity LIMIT :size"  # noqa: S608
ALL = f"SELECT {COLUMNS} FROM registrations WHERE {LIVE}"  # noqa: S608
COUNT = f"SELECT count(*) FROM registrations WHERE {LIVE}"  # noqa: S608
EXPIRED = f"""
DELETE FROM registrations WHERE namespace = :namespace AND identity IN (
    SELECT identity FROM registrations WHERE namespace = :namespace AND expires_at <= :now
    ORDER BY expires_at LIMIT :limit
) RETURNING {COLUMNS}
"""  # noqa: S608
PUT = f"INSERT OR REPLACE INTO registrations (namespace, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
REMOVE = "DELETE FROM registrations WHERE namespace = :namespace AND identity = :identity"
RENEW = "UPDATE registrations SET expires_at = :expires_at WHERE namespace = :namespace AND identity = :identity"
REVISION = """
INSERT INTO revisions VALUES (:namespace, :now)
ON CONFLICT (namespace) DO UPDATE SET last = max(last + 1, excluded.last) RETURNING last
"""


def values(namespace: str, item: Registration) -> tuple[Any, ...]:
    """What PUT stores."""
    return (
        namespace,
        item.identity,
        item.metadata_json,
        item.registration_id,
        item.revision,
        item.registered_at,
        item.updated_at,
        item.expires_at,
        item.address,
        item.owner,
    )


def registration(row: tuple[Any, ...]) -> Registration:
    """A row of COLUMNS as a registration."""
    return Registration(*row)


def target(item: Registration) -> Target:
    """What a multicast needs of it."""
    return Target(item.identity, item.registration_id, item.address)


class Row:
    """A registration with its decoded document, as sort orders see it."""

    __slots__ = ("document", "registration")

    def __init__(self, item: Registration) -> None:
        self.registration = item
        self.document = json.decode(item.metadata_json)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.registration, name)
