"""What the plugin's tests share: real brokers, configurations for them, and opened slots."""

from __future__ import annotations

from typing import Any

from prism_conformance.servers import shared


def config_of(**more: Any) -> dict[str, Any]:
    """The configuration for the run's broker, under topic names that no other test has."""
    server = shared("kafka")
    return {"brokers": [server.url], "topic_prefix": f"{server.scope}.", "partitions": 3, **more}
