"""What a configuration may say, and what of it is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from prism.model.errors import PrismError
from prism.slots.context import Code, SlotContext
from prism_nats.config import NatsConfig
from prism_nats.messaging import NatsMessaging
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"server": "nats://localhost:4222"}, "server"),
        ({"servers": []}, "servers"),
        ({"servers": ["localhost:4222"]}, "servers"),
        ({"user": "proxy"}, "password"),
        ({"token": "t", "credentials": "a.creds"}, "token and credentials"),
        ({"subject_prefix": "a.*"}, "subject_prefix"),
        ({"subject_prefix": "a..b"}, "a subject prefix is 1 to 4 words"),
        ({"stream": {"replicas": 0}}, "replicas"),
        ({"stream": {"duplicate_window": 60}}, "duplicate_window"),
        ({"tls": {"cert": "a.pem"}}, "key"),
    ],
)
def test_wrong_option_is_refused_by_name(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        NatsConfig(**options)


def test_secrets_are_not_shown() -> None:
    config = NatsConfig.model_validate({"user": "proxy", "password": "very secret"})
    assert "very secret" not in repr(config)


def test_plugin_loads_no_driver() -> None:
    code = "import sys, prism_nats.plugin; sys.exit('nats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_server_that_is_not_there_fails_the_opening() -> None:
    slot = NatsMessaging(NatsConfig(servers=("nats://127.0.0.1:9",), connect_timeout=0.5), SlotContext("room"))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, `classify` must know it
        await slot.open()
    assert not isinstance(caught.value, PrismError)
    assert slot.classify(caught.value) in {Code.UNAVAILABLE, None}
    assert isinstance(caught.value, OSError) or slot.classify(caught.value) is Code.UNAVAILABLE
    await slot.close()
