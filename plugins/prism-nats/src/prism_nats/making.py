"""Makes the streams of a namespace, and checks those that are there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from prism_nats.answers import is_busy
from prism_nats.attempts import Attempts
from prism_nats.config import StreamConfig
from prism_nats.errors import NO_STREAM, Rejected, WrongStream

Api: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a request to the JetStream API; raises Rejected."""

_NAME_IN_USE: Final = 10058


async def ensure(api: Api, options: StreamConfig, name: str, wanted: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Makes a stream where there is none; returns its state.

    Args:
        api: how to ask.
        options: storage and replicas of a new stream.
        name: the stream's name.
        wanted: what must be so, whoever made it.
        seconds: how long to go on trying.

    Raises:
        Rejected: JetStream is off, or has no room.
        WrongStream: the stream is there and can't serve.
    """
    full = {
        "name": name,
        "storage": options.storage.value,
        "num_replicas": options.replicas,
        "retention": "limits",
        "allow_direct": True,
        **wanted,
    }
    async for _ in Attempts(seconds):
        try:
            info = await api(f"STREAM.INFO.{name}", {})
        except Rejected as error:
            if error.code == NO_STREAM:
                try:
                    return await api(f"STREAM.CREATE.{name}", full)
                except Rejected as refusal:
                    if refusal.code != _NAME_IN_USE and not is_busy(refusal):
                        raise
                    last = refusal
                    continue
            if not is_busy(error):
                raise
            last = error
        else:
            return await _check(api, name, info, wanted)
    raise last


async def _check(api: Api, name: str, info: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Refuses a stream that can't serve, and gives one room whose queues were shorter before."""
    config = info["config"]
    for key in ("subjects", "discard", "discard_new_per_subject", "allow_rollup_hdrs"):
        if key in wanted and config.get(key) != wanted[key]:
            raise WrongStream(
                f"stream {name}: {key} is {config.get(key)!r} and must be {wanted[key]!r}; "
                f"delete the stream, or give another subject_prefix"
            )
    if not config.get("allow_direct"):
        raise WrongStream(f"stream {name}: allow_direct is off; turn it on")
    larger: dict[str, Any] = {
        key: wanted[key]
        for key in ("max_msgs_per_subject", "duplicate_window")
        if key in wanted and wanted[key] > config[key]
    }
    return await api(f"STREAM.UPDATE.{name}", {**config, **larger}) if larger else info
