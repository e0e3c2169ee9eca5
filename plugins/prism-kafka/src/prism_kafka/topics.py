"""The topics of a namespace: made with the right settings, or checked and refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.protocol.metadata import MetadataRequest
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


async def ensure(link: Link, plans: Iterable[Plan], *, alike: bool = False) -> dict[str, int]:
    """Checks the topics that are there, then makes those that are missing, and returns how many partitions each has.

    `alike` is whether all must have as many partitions as the first of them that is there.

    Raises:
        InvalidConfig: with all that is wrong, before anything is made; or some are missing and we may not make them.
        NotConnected: the controller doesn't answer.
    """
    wanted = {plan.name: plan for plan in plans}
    described = await patiently(link, lambda: _described(link, wanted, complete=False))
    there = await patiently(link, lambda: _counted(link, list(described)))
    _refuse_wrong(wanted, described, there, alike=alike)
    if alike and there:
        count = next(iter(there.values()))
        wanted = {name: replace(plan, partitions=count) for name, plan in wanted.items()}
    # Those that are there as well: the broker that we asked may not know yet that one was deleted.
    await patiently(link, lambda: _create(link, list(wanted.values()), described))
    # Somebody else may have made them meanwhile, otherwise.
    described = await patiently(link, lambda: _described(link, wanted, complete=True))
    counts = await link.follow(list(wanted))
    _refuse_wrong(wanted, described, counts, alike=alike)
    return counts


def _refuse_wrong(
    wanted: Mapping[str, Plan],
    described: Mapping[str, Mapping[str, str | None]],
    counts: Mapping[str, int],
    *,
    alike: bool,
) -> None:
    """Raises InvalidConfig with all that is wrong with topics that are there."""
    first = next(iter(counts), "")
    found: list[Violation] = []
    for name, settings in described.items():
        plan, count = wanted[name], counts.get(name)
        found += _wrong_settings(plan, settings)
        if count is None:
            continue
        if alike and count != counts[first]:
            text = (
                f"topic {first} has {counts[first]} and topic {name} {count}, which must be as many; remove the latter"
            )
            found.append(Violation("partitions", f"{text} if it is empty, or use another topic_prefix"))
        elif plan.partitions is not None and count != plan.partitions:
            text = f"{plan.partitions}, but topic {name} has {count}; leave the option out or set it to that"
            found.append(Violation("partitions", text))
    if found:
        raise InvalidConfig("; ".join(map(str, found)), violations=found)


async def _counted(link: Link, names: list[str]) -> dict[str, int]:
    """How many partitions topics have, led or not; without those that a broker doesn't know."""
    if not names:
        return {}
    client = await link.client()
    node = client.get_random_node()
    if node is None:
        raise NotConnected("no Kafka broker is known")
    answer = await client.send(node, MetadataRequest(names, allow_auto_topic_creation=False))
    counts = {topic: len(partitions) for code, topic, _, partitions in answer.topics if not code}
    return {name: counts[name] for name in names if name in counts}


async def _create(link: Link, plans: Sequence[Plan], known: Collection[str]) -> None:
    """Makes topics; those that are there are left as they are, and needn't be allowed where they are `known`."""
    client = await link.client()
    brokers = max(1, len(client.cluster.brokers()))
    replication = link.config.replication or min(_REPLICAS, brokers)
    topics: list[Any] = []
    for plan in plans:
        settings = {**plan.settings, **{name: str(value) for name, value in plan.at_least.items()}}
        topics.append((plan.name, plan.partitions or PARTITIONS, replication, [], list(settings.items())))
    timeout = round(link.config.request_timeout * 1000)
    controller = client.cluster.controller
    if controller is None:
        raise NotConnected("no Kafka controller is known")
    request = CreateTopicsRequest(topics, timeout, False)
    answer = await client.send(controller.nodeId, request)
    refused = [name for name, code, _ in answer.topic_errors if issubclass(for_code(code), _FORBIDDEN)]
    if forbidden := [name for name in refused if name not in known]:
        found = [
            Violation(f"topic {name}", "is missing and we may not make it; make it, or allow CREATE on it")
            for name in forbidden
        ]
        raise InvalidConfig("; ".join(map(str, found)), violations=found)
    for name, code, message in answer.topic_errors:
        kind = for_code(code)
        if kind is InvalidReplicationFactorError:
            text = f"{replication} copies of topic {name} can't be made by {brokers} brokers: {message}"
            raise InvalidConfig(f"replication: {text}", violations=(Violation("replication", text),))
        if code and kind is not TopicAlreadyExistsError and name not in refused:
            raise kind(f"topic {name} can't be made: {message}")


async def _described(link: Link, plans: Mapping[str, Plan], *, complete: bool) -> dict[str, dict[str, str | None]]:
    """The settings of the topics that are there.

    With `complete` all have to be: raises what passes for one that was just made and isn't known to every broker yet.
    """
    names = sorted({name for plan in plans.values() for name in (*plan.settings, *plan.at_least)})
    client = await link.client()
    node = client.get_random_node()
    if node is None:
        raise NotConnected("no Kafka broker is known")
    answer = await client.send(node, DescribeConfigsRequest([(_TOPIC, name, names) for name in plans]))
    described: dict[str, dict[str, str | None]] = {}
    for code, message, _, name, entries in answer.resources:
        kind = for_code(code)
        if kind is UnknownTopicOrPartitionError and not complete:
            continue
        if code:
            raise kind(f"the settings of topic {name} can't be read: {message}")
        described[name] = {entry[0]: entry[1] for entry in entries}
    return {name: described[name] for name in plans if name in described}


def _wrong_settings(plan: Plan, stand: Mapping[str, str | None]) -> Iterator[Violation]:
    """What is wrong with a topic's settings, and the command that mends all of it."""
    wrong = {name: value for name, value in plan.settings.items() if stand.get(name) != value}
    texts = [f"{name} is {stand.get(name)}, and has to be {value}" for name, value in wrong.items()]
    for name, least in plan.at_least.items():
        value = stand.get(name)
        if value is None or int(value) < least:
            wrong[name] = str(least)
            texts.append(f"{name} is {value}, and has to be {least} or more")
    if wrong:
        settings = ",".join(f"{name}={value}" for name, value in wrong.items())
        fix = f"kafka-configs.sh --bootstrap-server BROKER --alter --topic {plan.name} --add-config {settings}"
        text = f"{', '.join(texts)}; change it with {fix}, or use another topic_prefix"
        yield Violation(f"topic {plan.name}", text)
