"""How clients of aiokafka are made from the configuration, and why a connection can't be made."""

from __future__ import annotations

import ssl
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from prism.model.errors import InvalidConfig

from prism_kafka.config import KafkaConfig

BATCH_BYTES = 512 * 1024
"""Bytes of records that go to one partition together, at most (a single larger record goes alone).

Never more than `max_message_bytes`, which is to brokers the largest batch.
"""
RETRY_BACKOFF_MS = 100


def make_client(config: KafkaConfig) -> AIOKafkaClient:
    """A client without a connection yet. Raises InvalidConfig where a certificate can't be read."""
    return AIOKafkaClient(**_common(config))


def make_producer(config: KafkaConfig) -> AIOKafkaProducer:
    """An idempotent producer that isn't started. Raises InvalidConfig as above, or for a codec that isn't installed."""
    try:
        return AIOKafkaProducer(
            **_common(config),
            acks="all",
            enable_idempotence=True,
            compression_type=None if config.compression == "none" else config.compression,
            linger_ms=round(config.linger * 1000),
            max_batch_size=min(BATCH_BYTES, config.max_message_bytes),
            max_request_size=config.max_message_bytes,
        )
    except RuntimeError as error:
        fix = "from a checkout of Prism: pip install './plugins/prism-kafka[compression]'"
        raise InvalidConfig(f"compression: {config.compression} needs a library that is missing; {fix}") from error


async def why_not(config: KafkaConfig) -> Exception | None:
    """Tries each broker and returns why the last can't be used; None where one can."""
    reason: Exception | None = None
    for broker in config.brokers:
        host, _, port = broker.rpartition(":")
        options = _common(config)
        options.pop("bootstrap_servers")
        options.pop("retry_backoff_ms")
        try:
            connection = await create_conn(host.strip("[]"), int(port), **options)
        except (OSError, KafkaError, TimeoutError) as error:
            reason = error
        else:
            connection.close()
            return None
    return reason


def _common(config: KafkaConfig) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": list(config.brokers),
        "client_id": config.client_id,
        "request_timeout_ms": round(config.request_timeout * 1000),
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "security_protocol": f"{'SASL_' if config.sasl_mechanism else ''}{'SSL' if config.tls else 'PLAINTEXT'}",
        "ssl_context": _ssl_context(config) if config.tls else None,
    }
    if config.sasl_mechanism is not None and config.password is not None:
        options |= {
            "sasl_mechanism": config.sasl_mechanism,
            "sasl_plain_username": config.username,
            "sasl_plain_password": config.password.get_secret_value(),
        }
    return options


def _ssl_context(config: KafkaConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.tls_ca)
        if config.tls_cert is not None:
            context.load_cert_chain(config.tls_cert, config.tls_key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(filter(None, (config.tls_ca, config.tls_cert, config.tls_key)))
        raise InvalidConfig(f"tls: the certificates ({files}) can't be used: {error}") from error
    if not config.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
