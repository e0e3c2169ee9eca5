"""The topics of a namespace: made with the right settings, or checked and refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from prism.model.errors import InvalidConfig, Violation
from prism.model.time import Micros

from prism_kafka.config import PARTITIONS, KafkaConfig
from prism_kafka.errors import NotConnected
from prism_kafka.link import Link, patiently

_TOPIC: Final = 2
"""The resource type of a topic, in requests about settings."""
_REPLICAS: Final = 3
_FORBIDDEN: Final = (ClusterAuthorizationFailedError, TopicAuthorizationFailedError)


@dataclass(frozen=True, slots=True)
class Plan:
    """A topic that must be there. `settings` are made so and must be so; `at_least` may be larger.

    `partitions` None takes as many as there are.
    """

    name: str
    partitions: int | None
    settings: Mapping[str, str]
    at_least: Mapping[str, int] = field(default_factory=dict)


def publications(name: str, config: KafkaConfig, retention: Micros) -> Plan:
    """A topic that live publications pass through. Its time is the broker's, so that our clock may be wrong."""
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": str(retention // 1000),
        "message.timestamp.type": "LogAppendTime",
    }
    return Plan(name, config.partitions, settings, {"max.message.bytes": config.max_message_bytes})


def log(name: str, partitions: int | None, config: KafkaConfig) -> Plan:
    """A topic that nothing may leave but by our own hand, and whose time is the broker's."""
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
    }
    return Plan(name, partitions, settings, {"max.message.bytes": config.max_message_bytes})


def compacted(name: str, config: KafkaConfig) -> Plan:
    """A topic that keeps the last record of each key."""
    settings = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}
    return Plan(name, 1, settings, {"max.message.bytes": config.max_message_bytes})


async def ensure(link: Link, plans: Iterable[Plan]) -> dict[str, int]:
    """Makes the topics that are missing, checks the others, and returns how many partitions each has.

    Raises:
        InvalidConfig: one has other settings, or is missing and we may not make it.
        NotConnected: the controller doesn't answer.
    """
    wanted = {plan.name: plan for plan in plans}
    found = await patiently(link, lambda: _create(link, wanted))
    there = [wanted[name] for name in wanted if name in found]
    await patiently(link, lambda: _check_settings(link, there, forbidden=found))
    counts = await link.follow(list(wanted))
    for name, plan in wanted.items():
        if plan.partitions is not None and counts[name] != plan.partitions:
            text = f"{plan.partitions}, but topic {name} has {counts[name]}; leave the option out or set it to that"
            raise InvalidConfig(f"partitions: {text}", violations=(Violation("partitions", text),))
    return counts


async def _create(link: Link, wanted: Mapping[str, Plan]) -> dict[str, bool]:
    """Makes what is missing; of those that weren't made: whether we lack the right to make them."""
    client = await link.client()
    brokers = max(1, len(client.cluster.brokers()))
    replication = link.config.replication or min(_REPLICAS, brokers)
    topics: list[Any] = []
    for plan in wanted.values():
        settings = {**plan.settings, **{name: str(value) for name, value in plan.at_least.items()}}
        topics.append((plan.name, plan.partitions or PARTITIONS, replication, [], list(settings.items())))
    timeout = round(link.config.request_timeout * 1000)
    controller = client.cluster.controller
    if controller is None:
        raise NotConnected("no Kafka controller is known")
    request = CreateTopicsRequest(topics, timeout, False)
    answer = await client.send(controller.nodeId, request)
    found: dict[str, bool] = {}
    for name, code, message in answer.topic_errors:
        kind = for_code(code)
        if kind is TopicAlreadyExistsError or issubclass(kind, _FORBIDDEN):
            found[name] = kind is not TopicAlreadyExistsError
        elif code:
            raise kind(f"topic {name} can't be made: {message}")
    return found


async def _check_settings(link: Link, plans: list[Plan], forbidden: Mapping[str, bool]) -> None:
    if not plans:
        return
    described = await _described(link, plans, forbidden)
    for plan in plans:
        for setting, value in plan.settings.items():
            _refuse(plan.name, setting, described[plan.name].get(setting), value)
        for setting, least in plan.at_least.items():
            stands = described[plan.name].get(setting)
            if stands is None or int(stands) < least:
                _refuse(plan.name, setting, stands, str(least))


async def _described(link: Link, plans: list[Plan], forbidden: Mapping[str, bool]) -> dict[str, dict[str, str | None]]:
    """The settings of topics. Raises what passes for one that was just made and isn't known to every broker yet."""
    names = sorted({name for plan in plans for name in (*plan.settings, *plan.at_least)})
    client = await link.client()
    node = client.get_random_node()
    if node is None:
        raise NotConnected("no Kafka broker is known")
    answer = await client.send(node, DescribeConfigsRequest([(_TOPIC, plan.name, names) for plan in plans]))
    described: dict[str, dict[str, str | None]] = {}
    for code, message, _, name, entries in answer.resources:
        kind = for_code(code)
        if kind is UnknownTopicOrPartitionError and forbidden[name]:
            raise InvalidConfig(f"topic {name} is missing and we may not make it; make it, or allow CREATE on it")
        if code:
            raise kind(f"the settings of topic {name} can't be read: {message}")
        described[name] = {entry[0]: entry[1] for entry in entries}
    return described


def _refuse(topic: str, setting: str, stands: str | None, value: str) -> None:
    if stands != value:
        text = (
            f"{setting} is {stands}, and has to be {value}; change it with kafka-configs.sh "
            f"--alter --topic {topic} --add-config {setting}={value}, or use another topic_prefix"
        )
        raise InvalidConfig(f"topic {topic}: {text}", violations=(Violation(f"topic {topic}", text),))
