"""Options: what is taken, what is refused, and the RFC's examples as printed."""

from __future__ import annotations

from typing import Any

import pytest
from prism.config import load_config
from prism.model.errors import InvalidConfig
from prism.model.time import SECOND
from prism.plugins.spec import SlotKind
from prism_kafka.config import KafkaConfig
from prism_kafka.naming import LONGEST, Part, partition_of, topic_of
from pydantic import ValidationError

DAY = 24 * 3600 * SECOND


def namespace(messaging: dict[str, Any], durability: dict[str, Any]) -> dict[str, Any]:
    slots = {"registry": {"type": "redis"}, "messaging": messaging, "durability": durability}
    return {"namespaces": [{"name": "iot-devices", "pattern": "multicast-registry", "backend_slots": slots}]}


def test_slots_of_the_rfcs_second_example_are_taken_as_printed() -> None:
    messaging = {
        "type": "kafka",
        "brokers": ["localhost:9092"],
        "topic_prefix": "iot.commands.",
        "delivery": "at-least-once",
        "retention": "7d",
    }
    [found] = load_config(namespace(messaging, {"use_messaging": True})).namespaces.values()
    for kind in (SlotKind.MESSAGING, SlotKind.DURABILITY):
        config = found.slots[kind].config
        assert isinstance(config, KafkaConfig)
        assert (config.brokers, config.topic_prefix) == (("localhost:9092",), "iot.commands.")
        assert config.retention == 7 * DAY


def test_slots_of_the_rfcs_fourth_example_are_taken_as_printed() -> None:
    messaging = {"type": "kafka", "brokers": ["localhost:9092"]}
    [found] = load_config(namespace(messaging, {"use_messaging": True})).namespaces.values()
    assert found.slots[SlotKind.DURABILITY].type == "kafka"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"brokers": []}, "at least 1"),
        ({"brokers": ["localhost"]}, "'localhost' is not host:port, e.g. kafka-1:9092"),
        ({"brokers": ["localhost:0"]}, "not host:port"),
        ({"brokers": ["localhost:65536"]}, "not host:port"),
        ({"topic_prefix": "a/b"}, "a topic prefix is 1 to 100 letters"),
        ({"topic_prefix": ""}, "topic_prefix"),
        ({"partitions": 0}, "partitions"),
        ({"retention": "7 fortnights"}, "expected seconds as a number or a text"),
        ({"retention": "30s"}, "30 s is too short; give 60s or more"),
        ({"compression": "rar"}, "compression"),
        ({"acks": 1}, "acks"),
        ({"username": "me"}, "sasl_mechanism, username and password go together"),
        ({"sasl_mechanism": "PLAIN", "username": "me"}, "go together"),
        ({"sasl_mechanism": "GSSAPI", "username": "me", "password": "x"}, "sasl_mechanism"),
        ({"tls": True, "tls_cert": "a.pem"}, "tls_cert and tls_key go together"),
        ({"tls_ca": "a.pem"}, "tls options without tls: set tls: true"),
    ],
)
def test_mistake_is_refused_and_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        KafkaConfig(**options)


def test_password_is_not_shown() -> None:
    config = KafkaConfig(sasl_mechanism="PLAIN", username="me", password="secret")
    assert "secret" not in repr(config)


def test_unknown_option_names_the_place_and_what_was_meant() -> None:
    with pytest.raises(InvalidConfig, match=r"topic_prefx.*topic_prefix"):
        load_config(namespace({"type": "kafka", "topic_prefx": "a."}, {"use_messaging": True}))


def test_topics_are_named_by_prefix_namespace_and_part() -> None:
    assert topic_of("iot.commands.", "iot-devices", Part.LOG) == "iot.commands.iot-devices.log"


def test_namespaces_never_share_a_topic_nor_differ_by_dot_and_underscore_alone() -> None:
    names = ["a", "A", "a.b", "a_b", "a-b", "a b", "a/b", "a_2e_b", "\u00e9", "e\u0301", "\U0001f600"]
    names += ["x" * 300, "x" * 301, "\u00e9" * 100, "\u00e9" * 101, "x" * 300 + "."]
    topics = [topic_of("p.", name, part) for name in names for part in Part]
    # Kafka refuses a topic whose name is another's but for dots and underscores.
    assert len({topic.replace(".", "_") for topic in topics}) == len(topics)
    for topic in topics:
        assert len(topic) <= LONGEST
        assert all(char.isascii() and (char.isalnum() or char in "._-") for char in topic)


def test_partition_of_a_name_stays_the_same_for_ever() -> None:
    assert [partition_of(name, 8) for name in ("alice", "bob", "", "\u00e9")] == [7, 0, 0, 6]


def test_wrong_duration_is_told_once() -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_config(namespace({"type": "kafka", "retention": "7dd"}, {"use_messaging": True}))
    assert str(caught.value).count('got the string "7dd"') == 1
