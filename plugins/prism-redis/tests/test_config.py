"""Which options there are, and which can't stand together."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from prism_redis.config import RedisConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": "redis://a", "host": "b"}, "host"),
        ({"url": "http://a"}, "redis://"),
        ({"url": "redis://a,redis://b"}, "cluster: true"),
        ({"sentinels": ["a:1"]}, "master"),
        ({"master": "m"}, "sentinels"),
        ({"sentinels": ["a"], "master": "m"}, "host:port"),
        ({"sentinels": ["a:1"], "master": "m", "cluster": True}, "cluster"),
        ({"tls_ca": "ca.pem"}, "tls: true"),
        ({"tls": True, "tls_cert": "c.pem"}, "tls_key"),
        ({"cluster": True, "db": 1}, "database 0"),
        ({"key_prefix": "a:b"}, "a key prefix is 1 to 64 letters"),
        ({"key_prefix": "{x}"}, "key_prefix"),
        ({"port": 0}, "port"),
        ({"partitions": 0}, "partitions"),
        ({"pool_size": 0}, "pool_size"),
        ({"hots": "x"}, "hots"),
    ],
)
def test_options_that_cannot_be_used_are_refused_by_name(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        RedisConfig(**options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "redis.internal", "port": 6380},
        {"url": "rediss://user:secret@redis.internal:6380/2", "tls_ca": "ca.pem"},
        {"url": "redis://a:1,redis://b:2", "cluster": True, "partitions": 4},
        {"sentinels": ["a:26379", "[::1]:26379"], "master": "main", "db": 3},
        {"url": "unix:///run/redis.sock"},
    ],
)
def test_usual_options_are_taken(options: dict[str, Any]) -> None:
    assert RedisConfig(**options).key_prefix == "prism"


def test_secrets_do_not_show() -> None:
    config = RedisConfig(password="hunter2", sentinels=["a:1"], master="m", sentinel_password="hunter3")
    assert "hunter" not in repr(config)
    assert "hunter" not in repr(RedisConfig(url="redis://:hunter2@a"))


def test_plugin_module_loads_no_driver() -> None:
    code = "import sys, prism_redis.plugin; print([m for m in ('redis', 'hiredis', 'grpc') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
