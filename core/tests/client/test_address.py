"""Where a client looks for its proxies."""

from __future__ import annotations

import pytest
from prism import Client, InvalidArgument
from prism.client.address import parse_addresses


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("example.org:80", ("example.org:80",)),
        ("example.org", ("example.org:7070",)),
        ("[::1]:7000", ("[::1]:7000",)),
        ("::1", ("[::1]:7070",)),
        ("unix:/run/prism.sock", ("unix:/run/prism.sock",)),
        ("a:1, b:2", ("a:1", "b:2")),
    ],
)
def test_an_address_is_completed(text: str, parsed: tuple[str, ...]) -> None:
    assert parse_addresses(text) == parsed


def test_the_environment_says_where_the_proxy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_ADDRESS", "example.org:9")
    assert Client().address == "example.org:9"


def test_loopback_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRISM_ADDRESS", raising=False)
    assert Client().address == "127.0.0.1:7070"


@pytest.mark.parametrize(
    "text", ["", ":7070", "a:b", "a:0", "a:70000", "a b:1", "http" + "://a:1", "[::1", "a,,b", 7070]
)
def test_what_is_no_address_is_refused_at_once(text: str) -> None:
    with pytest.raises(InvalidArgument, match="address: "):
        Client(address=text)


@pytest.mark.parametrize("timeout", [0, -1, "1", True, float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout: object) -> None:
    with pytest.raises(InvalidArgument, match="timeout: "):
        Client(timeout=timeout)  # type: ignore[arg-type]


@pytest.mark.parametrize("namespace", ["", "a\nb", "x" * 129, 5])
def test_a_namespace_that_can_be_none_is_refused(namespace: object) -> None:
    with pytest.raises(InvalidArgument, match="namespace: "):
        Client(namespace)  # type: ignore[arg-type]


def test_an_empty_namespace_is_not_called_an_identity() -> None:
    with pytest.raises(InvalidArgument, match=r"^namespace: is empty; it needs at least one character$"):
        Client("")
