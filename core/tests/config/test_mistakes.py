"""Every mistake names file, line, key, what is allowed, and a near match; all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prism.config import load_config
from prism.config.declared import undeclared_indexes
from prism.model.errors import InvalidConfig
from prism.plugins.loader import PluginLoader

Mistakes = Callable[[str], list[str]]

HEAD = "namespaces:\n- name: n\n"


def test_a_misspelt_key_is_told_with_file_line_place_and_near_match(mistakes: Mistakes) -> None:
    (text,) = mistakes(HEAD + "  pattrn: multicast-registry\n")
    assert text.startswith('prism.yaml:3: namespaces[0].pattrn: unknown key; did you mean "pattern"? allowed are name')


def test_a_misspelt_type_key_is_told_as_such(mistakes: Mistakes) -> None:
    found = mistakes(HEAD + "  backend_slots:\n    registry:\n      host: h\n      typ: redis\n")
    place = "prism.yaml:6: namespaces[0].backend_slots.registry.typ"
    assert found == [f'{place}: unknown key; did you mean "type"?']


def test_a_missing_type_says_what_to_write(mistakes: Mistakes) -> None:
    (text,) = mistakes(HEAD + "  backend_slots:\n    registry:\n      host: h\n")
    assert text == (
        "prism.yaml:4: namespaces[0].backend_slots.registry.type: is missing; "
        "name the plugin that fills registry, e.g. type: memory"
    )


def test_a_misspelt_plugin_option_has_a_near_match_among_the_plugins_options(mistakes: Mistakes) -> None:
    (text,) = mistakes(HEAD + "  backend_slots:\n    registry:\n      type: redis\n      prot: 6379\n")
    place = "prism.yaml:6: namespaces[0].backend_slots.registry.prot"
    assert text == (f'{place}: unknown key; did you mean "port"? allowed are type, ttl_default, host, port, password')


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(mistakes: Mistakes) -> None:
    found = mistakes(
        """
        server: {log_level: loud}
        namespaces:
          - name: a
            timeout_ms: soon
            identity_schema: {x: strng}
          - name: a
            needs: {latency: fast}
        surplus: 1
        """
    )
    assert [text.split(": ")[0] for text in found] == [f"prism.yaml:{line}" for line in (2, 5, 6, 7, 8, 9)]


def test_violations_hold_the_places(loader: PluginLoader) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_config({"namespaces": [{"name": "n", "timeout_ms": -1}]}, loader=loader)
    assert [violation.field for violation in caught.value.violations] == ["namespaces[0].timeout_ms"]
    assert str(caught.value) == "namespaces[0].timeout_ms: expected a whole number from 0, got the number -1"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("pattern: queue", '3: namespaces[0].pattern: "queue" is not one of multicast-registry'),
        ("timeout_ms: 1.5", "3: namespaces[0].timeout_ms: expected a whole number from 0, got the number 1.5"),
        ("timeout_ms: true", "timeout_ms: expected a whole number from 0, got the boolean true"),
        ("sweep_interval: 5 parsecs", 'sweep_interval: expected seconds as a number or a text like "30s"'),
        ("sweep_interval: 0", "sweep_interval: expected a longer time than the number 0"),
        ("sweep_interval: -1", "sweep_interval: expected a duration between 0 and 100 years"),
        ("sweep_interval: .inf", "sweep_interval: expected a duration between 0 and 100 years"),
        ("sweep_interval: .nan", "sweep_interval: expected a duration between 0 and 100 years"),
        ("identity_schema: [a]", "identity_schema: expected a mapping of field names to types, got a list"),
        ("identity_schema: {s: [online, away]}", "write the allowed values as enum[a, b]"),
        ("limits: {page_sise: 5}", 'limits.page_sise: unknown key; did you mean "page_size"?'),
        ("limits: {page_size: 0}", "limits.page_size: expected a whole number from 1"),
        ("limits: 5", "limits: expected a mapping, got the number 5"),
        ("ttl: {default: 10, max: 5}", "ttl.default: 10 s is over max, 5 s"),
        ("ttl: {attach: 10, max: 5}", "ttl.attach: 10 s is over max, 5 s"),
        ("ttl: {default: 0, max: 5}", "ttl.default: 0 asks for no expiry, and max allows 5 s at most"),
        ("ttl: {default: null}", "ttl.default: expected seconds as a number or a text"),
        ("needs: {latancy: <10ms}", 'needs.latancy: unknown key; did you mean "latency"?'),
        ("needs: {consistency: strng}", 'needs.consistency: "strng" is not one of eventual, strong; did you mean "str'),
        ("needs: {audit: 1}", "needs.audit: expected true or false, got the number 1"),
        ("needs: {latency: fast}", 'needs.latency: expected seconds as a number or a text like "30s"'),
        ("needs: {latency: <1ms}", "needs.latency: <1ms is shorter than any slot promises; the shortest is <10ms"),
        ("needs: {scale: many}", 'needs.scale: expected a number or a text like "10000+ services"'),
        ("needs: {region: everywhere}", 'needs.region: "everywhere" is not one of single-region, multi-region'),
        ("backend_slots: {registri: {type: redis}}", 'backend_slots.registri: unknown key; did you mean "registry"?'),
        ("backend_slots: {registry: redis}", 'backend_slots.registry: expected a mapping, got the string "redis"'),
        ("backend_slots: {registry: {type: 5}}", "backend_slots.registry.type: expected a text, got the number 5"),
        ("backend_slots: {registry: {type: redi}}", 'no installed plugin has the type "redi"'),
        ("backend_slots: {registry: {type: redi}}", 'did you mean "redis"?'),
        ("backend_slots: {registry: {type: aws}}", "backend_slots.registry.type: no installed plugin has the type"),
        ("backend_slots: {registry: {type: aws}}", "pip install ./plugins/prism-aws"),
        ("backend_slots: {registry: {type: nats}}", 'type "nats" fills messaging, not registry; installed types that'),
        ("backend_slots: {registry: {type: redis, port: x}}", "registry.port: input should be a valid integer"),
        ("backend_slots: {registry: {type: redis, port: x}}", 'got the string "x"'),
        ("backend_slots: {registry: {type: redis, port: 0}}", "port: input should be greater than or equal to 1"),
        ("backend_slots: {messaging: {type: nats}}", 'messaging.servers: is missing; type "nats" needs it'),
        ("backend_slots: {messaging: {type: nats, servers: [1]}}", "messaging.servers[0]: input should be a valid str"),
        (
            "backend_slots: {messaging: {type: kafka, brokers: [b], retention: 7h}}",
            'messaging.retention: must be in days, such as 7d, got the string "7h"',
        ),
        ("backend_slots: {registry: {type: redis, ttl_default: x}}", "registry.ttl_default: expected seconds"),
        (
            "backend_slots: {messaging: {type: memory, delivery: twice}}",
            'messaging.delivery: "twice" is not one of at-most-once, at-least-once, exactly-once',
        ),
        (
            "backend_slots: {messaging: {type: memory, delivery: at-least-once}}",
            "messaging.delivery: at-least-once needs a durability slot",
        ),
        (
            "backend_slots: {messaging: {type: memory, delivery: exactly-once}}",
            'exactly-once needs a registry slot with a transactional outbox, which "memory" hasn\'t '
            "(installed types that have: postgres); use at-least-once and remove duplicates by message id",
        ),
        (
            "backend_slots: {messaging: {type: sns, topic_prefix: x}, durability: {use_messaging: true}}",
            'type "sns" fills messaging, not durability; installed types that fill durability: kafka, memory, redis',
        ),
        (
            "backend_slots: {durability: {use_messaging: true, type: redis}}",
            "durability.type: can't stand beside `use_messaging: true`",
        ),
        (
            "backend_slots: {durability: {type: memory, max_attempts: 0}}",
            "max_attempts: expected a whole number from 1",
        ),
        (
            "backend_slots: {composition: {pattern: outbox}}",
            "composition: is unsupported here: none of the slots (memory) has a transactional outbox",
        ),
        ("backend_slots: {composition: {pattern: saga}}", 'composition.pattern: "saga" is not one of outbox'),
        ("backend_slots: {composition: {poll: 1s}}", "composition.poll: unknown key"),
    ],
)
def test_a_mistake_in_a_namespace_names_value_and_fix(mistakes: Mistakes, block: str, expected: str) -> None:
    found = mistakes(f"{HEAD}  {block}\n")
    assert any(expected in text for text in found), found
    assert all(text.startswith("prism.yaml:3: namespaces[0].") for text in found)


def test_two_different_default_ttls_are_refused(mistakes: Mistakes) -> None:
    slots = "backend_slots: {registry: {type: memory, ttl_default: 5}}"
    (text,) = mistakes(f"{HEAD}  {slots}\n  ttl: {{default: 6}}\n")
    assert "ttl.default: differs from backend_slots.registry.ttl_default" in text


def test_a_wrong_use_messaging_is_one_mistake(mistakes: Mistakes) -> None:
    slots = "{messaging: {type: memory, delivery: at-least-once}, durability: {use_messaging: maybe}}"
    (text,) = mistakes(f"{HEAD}  backend_slots: {slots}\n")
    assert "durability.use_messaging: expected true or false" in text


def test_an_unknown_key_within_an_option_gets_its_near_match(mistakes: Mistakes) -> None:
    slots = "{registry: {type: postgres, connection: c, indexes: [{field: a, tipe: gin}]}}"
    found = mistakes(f"{HEAD}  backend_slots: {slots}\n")
    place = "prism.yaml:3: namespaces[0].backend_slots.registry.indexes[0].tipe"
    assert f'{place}: unknown key; did you mean "type"? allowed are field, type' in found


INDEXED = """  identity_schema:
    additional_fields: {open}
    fields: {{firmware_version: string, place: {{type: object, fields: {{floor: int}}}}, more: object}}
  backend_slots:
    registry: {{type: postgres, connection: c, indexes: [{{field: {field}}}]}}
    messaging: {{type: nats, servers: [s]}}
"""


def test_an_index_on_a_field_that_a_closed_schema_refuses_is_a_mistake(mistakes: Mistakes) -> None:
    (text,) = mistakes(HEAD + INDEXED.format(open="false", field="firmware_versoin"))
    place = "prism.yaml:7: namespaces[0].backend_slots.registry.indexes[0].field"
    assert text == f'{place}: the schema has no field "firmware_versoin"; did you mean "firmware_version"?'


@pytest.mark.parametrize("field", ["firmware_version", "place.floor", "more.of.it", "place.flor"])
def test_an_index_on_a_field_that_may_exist_is_none(loader: PluginLoader, field: str) -> None:
    source = yaml.safe_load(HEAD + INDEXED.format(open="false", field=field))
    namespace = load_config(source, loader=loader).namespaces["n"]
    told = [found.text for found in undeclared_indexes(namespace.schema, namespace.registry.options)]
    assert bool(told) is (field == "place.flor")  # its object is open: a warning at the start


def test_a_wrong_messaging_block_is_told_once_even_when_durability_uses_it(mistakes: Mistakes) -> None:
    slots = "backend_slots: {messaging: {type: kafka}, durability: {use_messaging: true}}"
    assert len(mistakes(f"{HEAD}  {slots}\n")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "prism.yaml:1: namespaces: lists none; add one, or set server.allow_unlisted_namespaces: true"),
        ("namespaces: []", "prism.yaml:1: namespaces: lists none"),
        ("namespaces: {a: b}", "namespaces: expected a list of namespaces (`- name: presence`), got an object"),
        ("namespaces: [5]", "namespaces[0]: expected a mapping, got the number 5"),
        ("namespaces: [{pattern: multicast-registry}]", "namespaces[0].name: is missing"),
        ("namespaces: [{name: ''}]", "namespaces[0].name: is empty"),
        ("namespaces: [{name: 5}]", "namespaces[0].name: expected a string, got the number 5"),
        ("namespaces: [{name: a}, {name: a}]", '[1].name: "a" is the name of namespaces[0] too; names are unique'),
        ("[1, 2]", "prism.yaml:1: expected a mapping, got a list"),
        ("namespace: [{name: a}]", 'namespace: unknown key; did you mean "namespaces"?'),
        ("server: {listen: localhost}", 'server.listen: expected host:port, such as "127.0.0.1:7070"'),
        ("server: {listen: 'h:70000'}", "server.listen: expected host:port"),
        ("server: {listen: null}", "server.listen: expected host:port"),
        ("server: {http_listen: 7071}", "server.http_listen: expected host:port"),
        ("server: {log_level: inf}", '"inf" is not one of debug, info, warning, error; did you mean "info"?'),
        ("server: {limits: {streams: 0}}", "server.limits.streams: expected a whole number from 1"),
        ("server: {lisen: 'h:1'}", 'server.lisen: unknown key; did you mean "listen"?'),
        ("a: 1\na: 2", "a: stands there again in line 2; remove one of the two"),
        ("a: !!python/name:os.system", "the YAML tag tag:yaml.org,2002:python/name:os.system is not supported"),
        ("a: !!binary aGk=", "the YAML tag tag:yaml.org,2002:binary is not supported"),
        ("a: &a [*a]", "a[0]: refers to what it is part of"),
        ("a: &a {<<: *a}", "<< refers to what it is part of"),
        ("<<: 5", "<< takes a mapping, or a list of mappings"),
        ("? [1]\n: 2", "a key must be plain text"),
        ("a: [", "prism.yaml:1: is not valid YAML"),
        ("a: b\n  c: d", "prism.yaml:2: is not valid YAML: mapping values are not allowed"),
        ("a: 1\n---\nb: 2", "prism.yaml:2: is not valid YAML: expected a single document"),
        ("a: \x07", "prism.yaml: is not valid YAML"),
        ("a: *nowhere", "is not valid YAML: found undefined alias"),
    ],
)
def test_a_mistake_in_the_file_itself_is_told(mistakes: Mistakes, text: str, expected: str) -> None:
    found = mistakes(text)
    assert any(expected in line for line in found), found


def test_an_alias_bomb_is_refused(mistakes: Mistakes) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert mistakes("\n".join(lines)) == ["prism.yaml: holds more than 100,000 values once aliases are written out"]


def test_a_merge_bomb_is_refused(mistakes: Mistakes) -> None:
    lines = ["a0: &a0 {}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 10)]
    assert mistakes("\n".join(lines)) == ["prism.yaml: holds more than 100,000 values once aliases are written out"]


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- "])
def test_endless_nesting_is_refused(mistakes: Mistakes, bracket: str) -> None:
    (text, *_) = mistakes(bracket * 50_000)
    assert text.startswith("prism.yaml")


def test_a_file_over_the_size_limit_is_refused(mistakes: Mistakes) -> None:
    (text,) = mistakes("#" * (1024 * 1024 + 1))
    assert text.startswith("prism.yaml: is over the limit of 1,048,576 bytes")


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(InvalidConfig, match=r"missing\.yaml: can't be read: No such file"):
        load_config("missing.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prism.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InvalidConfig, match="is not valid YAML: 'utf-8' codec"):
        load_config(tmp_path / "prism.yaml")


@pytest.mark.parametrize("key", ["password: [hunter2]", "host: {a: hunter2}", "port: user:hunter2@h"])
def test_a_wrong_value_that_may_be_a_secret_is_not_repeated(mistakes: Mistakes, key: str) -> None:
    found = mistakes(f"{HEAD}  backend_slots:\n    registry:\n      type: redis\n      {key}\n")
    assert "hunter2" not in "\n".join(found)
