"""`prism dead-letters` against a real proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prism.sync import Client, Inbox

Cli = Callable[..., Any]
ATTEMPTS = 5
"""The default of `durability.max_attempts`."""


@pytest.fixture
def inbox(target: tuple[str, str]) -> Iterator[Inbox]:
    """A receiver that has given up on two messages."""
    address, namespace = target
    with Client(namespace, address) as client, client.registry.attach("lamp-1", {}) as inbox:
        for message in ({"poison": "\x1b[31m"}, b"\xff"):
            client.registry.multicast({}, message, delivery="at-least-once", timeout=0)
            for _ in range(ATTEMPTS):
                inbox.receive(timeout=10).nack()
        while len(client.registry.dead_letters("lamp-1")) < 2:
            pass
        yield inbox


@pytest.mark.usefixtures("inbox")
def test_the_table_has_a_row_for_each_dead_letter(prism: Cli) -> None:
    shown = prism("dead-letters", "lamp-1")
    assert shown.code == 0
    assert shown.out.split()[:2] == ["message", "died_at"]
    assert "1 bytes of" in shown.out
    assert "\x1b" not in shown.out
    assert shown.out.splitlines()[-1] == "2 dead letters of lamp-1"


@pytest.mark.usefixtures("inbox")
def test_json_has_all_of_each(prism: Cli) -> None:
    first, second = prism("dead-letters", "lamp-1", "--json").json
    assert (first["identity"], first["content"], first["attempts"]) == ("lamp-1", {"poison": "\x1b[31m"}, ATTEMPTS)
    assert second["payload_base64"] == "/w=="
    assert first["died_at"] >= first["sent_at"]
    assert first["died_at"].endswith("Z")
    assert len(prism("dead-letters", "lamp-1", "--json", "--limit", "1").json) == 1


def test_replaying_delivers_what_is_listed_anew(prism: Cli, inbox: Inbox) -> None:
    done = prism("dead-letters", "lamp-1", "--replay", "--limit", "1", "--json")
    assert done.json["replayed"] == 1
    assert inbox.receive(timeout=10).id == done.json["dead_letters"][0]["id"]
    shown = prism("dead-letters", "lamp-1", "--replay")
    assert shown.out.splitlines()[-1] == "1 dead letter of lamp-1; 1 put back into its queue"
    assert inbox.receive(timeout=10).payload == b"\xff"
    assert prism("dead-letters", "lamp-1").out == "0 dead letters of lamp-1\n"


def test_who_is_not_registered_ends_with_3(prism: Cli) -> None:
    missing = prism("dead-letters", "nobody")
    assert missing.code == 3
    assert "'nobody' is not registered" in missing.err
