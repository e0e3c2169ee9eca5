"""`prism send` and `prism attach` against a real proxy, the receiver in a process of its own."""

from __future__ import annotations

import base64
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

Cli = Callable[..., Any]
Attached = Callable[..., "subprocess.Popen[str]"]


def lines(process: subprocess.Popen[str]) -> list[str]:
    """What the process wrote until it ended by itself."""
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return out.splitlines()


def messages(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in lines(process)]


def test_attached_identity_prints_its_message(prism: Cli, attached: Attached) -> None:
    receiver = attached("lamp-1", "--set", "room=kitchen", "--count", "1")
    sent = prism("send", "lights off", "--where", "room=kitchen")
    assert sent.code == 0
    assert "DELIVERED" in sent.out
    assert "1 matched: 1 delivered" in sent.out
    [line] = lines(receiver)
    assert line.endswith(" lights off")


def test_receipts_are_grouped_by_status_with_reasons(prism: Cli, attached: Attached) -> None:
    attached("lamp-1", "--set", "room=kitchen")
    for number in range(2, 7):
        prism("register", f"lamp-{number}", "room=kitchen")
    sent = prism("send", "x", "--where", "room=kitchen")
    assert sent.code == 4
    rows = {line.split()[0]: line for line in sent.out.splitlines()[1:3]}
    assert rows["DELIVERED"].split()[1] == "1"
    assert rows["FAILED"].split()[1] == "5"
    assert "and 2 more" in rows["FAILED"]
    assert "6 matched: 1 delivered, 5 failed" in sent.out


def test_send_as_json_has_every_receipt(prism: Cli, attached: Attached) -> None:
    attached("lamp-1", "--set", "room=kitchen")
    prism("register", "lamp-2", "room=kitchen")
    sent = prism("send", "x", "--where", "room=kitchen", "--json")
    assert sent.code == 4
    result = sent.json
    assert (result["target_count"], result["delivered_count"], result["failed_count"]) == (2, 1, 1)
    statuses = {receipt["identity"]: receipt for receipt in result["statuses"]}
    assert statuses["lamp-1"] == {"identity": "lamp-1", "status": "DELIVERED", "error": None}
    assert statuses["lamp-2"]["status"] == "FAILED"
    assert statuses["lamp-2"]["error"]


@pytest.mark.parametrize("arguments", [(), ("--filter", "{}"), ("--all", "--where", "room=kitchen"), ("--where", "")])
def test_send_refuses_what_could_reach_everyone_by_accident(prism: Cli, arguments: tuple[str, ...]) -> None:
    refused = prism("send", "x", *arguments)
    assert refused.code == 2
    assert refused.out == ""


def test_send_to_all_reaches_everyone(prism: Cli, attached: Attached) -> None:
    receiver = attached("lamp-1", "--set", "room=kitchen", "--count", "1")
    assert prism("send", "x", "--all").code == 0
    assert len(lines(receiver)) == 1


def test_sending_to_nobody_says_so(prism: Cli) -> None:
    sent = prism("send", "x", "--where", "room=cellar")
    assert sent.code == 0
    assert "matched nobody" in sent.out


def test_content_keeps_its_type(prism: Cli, attached: Attached, tmp_path: Path) -> None:
    receiver = attached("lamp-1", "--set", "room=kitchen", "--json", "--count", "4")
    binary = tmp_path / "picture"
    binary.write_bytes(b"\xff\x00")
    where = ("--where", "room=kitchen")
    assert prism("send", "text", *where).code == 0
    assert prism("send", '{"on": false}', "--json-body", *where).code == 0
    assert prism("send", f"@{binary}", *where).code == 0
    assert prism("send", "-", "--content-type", "text/csv", *where, stdin="a,b").code == 0
    text, json, octets, csv = messages(receiver)
    assert (text["content"], text["content_type"]) == ("text", "text/plain; charset=utf-8")
    assert (json["content"], json["content_type"]) == ({"on": False}, "application/json")
    assert base64.b64decode(octets["payload_base64"]) == b"\xff\x00"
    assert octets["content_type"] == "application/octet-stream"
    assert (csv["content"], csv["content_type"]) == ("a,b", "text/csv")


def test_body_that_is_no_json_is_refused(prism: Cli) -> None:
    refused = prism("send", "{", "--json-body", "--all")
    assert refused.code == 2
    assert "--json-body" in refused.err


def test_at_least_once_waits_for_an_identity_that_left(prism: Cli, attached: Attached) -> None:
    first = attached("lamp-1", "--set", "room=kitchen", "--ttl", "5m", "--keep", "--count", "1")
    assert prism("send", "one", "--where", "room=kitchen").code == 0
    lines(first)
    sent = prism("send", "two", "--where", "room=kitchen", "--delivery", "at-least-once", "--timeout", "50ms", "--json")
    assert sent.code == 0
    assert [receipt["status"] for receipt in sent.json["statuses"]] == ["PENDING"]
    [message] = messages(attached("lamp-1", "--json", "--count", "1"))
    assert (message["content"], message["id"]) == ("two", sent.json["message_id"])


def test_unacknowledged_message_comes_again(prism: Cli, attached: Attached) -> None:
    first = attached("lamp-1", "--set", "room=kitchen", "--ttl", "5m", "--keep", "--no-ack", "--count", "1")
    sent = prism("send", "x", "--where", "room=kitchen", "--delivery", "at-least-once", "--timeout", "0")
    assert sent.code == 0
    assert len(lines(first)) == 1
    [line] = lines(attached("lamp-1", "--count", "1"))
    assert " x" in line


def test_leaving_unregisters_unless_kept(prism: Cli, attached: Attached) -> None:
    leaving = attached("lamp-1", "--set", "room=kitchen", "--count", "1")
    keeping = attached("lamp-2", "--set", "room=kitchen", "--keep", "--count", "1")
    prism("send", "x", "--where", "room=kitchen")
    lines(leaving)
    lines(keeping)
    assert [found["identity"] for found in prism("ls", "--json").json] == ["lamp-2"]


def test_several_identities_share_a_stream(prism: Cli, attached: Attached) -> None:
    receiver = attached("lamp-1", "lamp-2", "--set", "room=kitchen", "--json", "--count", "2")
    assert prism("send", "x", "--where", "room=kitchen").code == 0
    assert {message["identity"] for message in messages(receiver)} == {"lamp-1", "lamp-2"}


def test_attaching_without_metadata_takes_over_a_registration(prism: Cli, attached: Attached) -> None:
    prism("register", "lamp-1", "room=kitchen")
    attached("lamp-1")
    lamp = prism("get", "lamp-1", "--json").json
    assert (lamp["attached"], lamp["metadata"]) == (True, {"room": "kitchen"})


def test_attaching_an_unknown_identity_without_metadata_ends_with_3(prism: Cli) -> None:
    refused = prism("attach", "lamp-1")
    assert refused.code == 3
    assert refused.err.startswith("error: ")


def test_interrupt_leaves_and_ends_with_130(prism: Cli, attached: Attached) -> None:
    receiver = attached("lamp-1", "--set", "room=kitchen")
    receiver.send_signal(signal.SIGINT)
    _, err = receiver.communicate(timeout=20)
    assert receiver.returncode == 130
    assert "Traceback" not in err
    assert prism("ls", "--count").out == "0\n"


def test_newer_session_ends_the_older_one_with_its_reason(attached: Attached) -> None:
    older = attached("lamp-1", "--set", "room=kitchen")
    attached("lamp-1", "--set", "room=hall")
    _, err = older.communicate(timeout=20)
    assert older.returncode == 1
    assert "error: " in err
    assert "Traceback" not in err
