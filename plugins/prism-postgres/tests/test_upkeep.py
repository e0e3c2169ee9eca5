"""`prism migrate`, `prism audit` and `prism explain`, and what a changed schema means to what is registered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml
from prism import Client
from prism.cli.app import app
from prism.config import load_config
from prism.model.errors import InvalidMetadata
from prism.server.app import Proxy
from typer.testing import CliRunner, Result

from .conftest import config_of

NS = "devices"
SCHEMA: dict[str, Any] = {"kind": "enum[sensor, actuator, gateway]", "level": "float", "place": "geo_point"}


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "prism.yaml", config_of(auto_migrate=False))


class Written:
    """A configuration file that tests write anew, and the command run with it."""

    def __init__(self, path: Path, slot: dict[str, Any]) -> None:
        self.path = path
        self.slot = {"type": "postgres", **slot}

    def write(self, schema: Any, **registry: Any) -> dict[str, Any]:
        """Writes a configuration with this schema and options of the registry, and returns it."""
        slots = {"registry": {**self.slot, **registry}, "messaging": self.slot, "durability": self.slot}
        namespace = {"name": NS, "pattern": "multicast-registry", "identity_schema": schema, "needs": {"audit": True}}
        source: dict[str, Any] = {"namespaces": [{**namespace, "backend_slots": slots}]}
        self.path.write_text(yaml.safe_dump(source))
        return source

    async def run(self, command: str, *arguments: str) -> Result:
        """Runs the command in a thread: it has an event loop of its own."""
        words = [command, "-c", str(self.path), *arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, words, prog_name="prism")

    async def migrated(self, *arguments: str) -> dict[str, Any]:
        """What `prism migrate --json` says of the namespace."""
        [found] = json.loads((await self.run("migrate", "--json", *arguments)).stdout)
        return found

    async def lines(self, *arguments: str) -> list[str]:
        return [line for slot in (await self.migrated(*arguments))["work"] for line in slot["lines"]]


def client(source: dict[str, Any]) -> Client:
    return Client.embedded(NS, source)


async def test_check_says_what_migrate_then_does_once(written: Written) -> None:
    written.write(SCHEMA, indexes=[{"field": "kind"}, {"field": "place"}])
    checked = await written.run("migrate", "--check")
    assert checked.exit_code == 1
    assert "to do  registry (postgres)  tables: registry, step 1" in checked.stdout
    promised = await written.lines("--check")
    assert {"index: kind (text)", "index: place (place)"} <= set(promised)
    done = await written.migrated()
    assert done["done"]
    assert set(promised) <= {line for slot in done["work"] for line in slot["lines"]}
    assert await written.lines() == []
    again = await written.run("migrate", "--check")
    assert (again.exit_code, "up to date" in again.stdout) == (0, True)


async def test_new_field_is_accepted_and_its_index_made_under_way(written: Written) -> None:
    source = written.write(SCHEMA)
    await written.run("migrate")
    async with client(source) as devices:
        await devices.registry.register("old", {"kind": "sensor"})
        source = written.write({"fields": {**SCHEMA, "firmware": {"type": "version", "index": True}}})
        checked = await written.run("migrate", "--check")
        assert checked.exit_code == 1
        assert "index: firmware (version)" in checked.stdout
        assert "1 registrations checked, 0 don't fit" in checked.stdout
        assert (await written.run("migrate")).exit_code == 0
        assert (await written.run("migrate", "--check")).exit_code == 0
    async with client(source) as devices:
        await devices.registry.register("new", {"kind": "sensor", "firmware": "1.10"})
        found = await devices.registry.enumerate({"firmware.gt": "1.9"})
        assert [identity.identity for identity in found] == ["new"]
        assert await devices.registry.count() == 2


async def test_narrowed_enum_is_refused_while_registrations_do_not_fit(
    written: Written, bare: asyncpg.Connection
) -> None:
    source = written.write(SCHEMA)
    await written.run("migrate")
    async with client(source) as devices:
        for i, kind in enumerate(["sensor", "gateway", "gateway", "actuator"]):
            await devices.registry.register(f"d{i}", {"kind": kind})
    narrowed = {**SCHEMA, "kind": "enum[sensor, actuator]"}
    source = written.write(narrowed, indexes=[{"field": "kind"}])
    for arguments in (("--check",), ()):
        refused = await written.run("migrate", *arguments)
        assert refused.exit_code == 1
        assert '2 with metadata.kind: "gateway" is not one of sensor, actuator' in refused.stdout
        assert "(d1, d2)" in refused.stdout
    report = await written.migrated("--check")
    assert (report["checked"], report["misfitting"], report["done"]) == (4, 2, False)
    assert "index: kind (text)" in await written.lines("--check")  # nothing was changed

    assert (await written.run("migrate", "--accept-misfits")).exit_code == 0
    assert await written.lines("--check", "--accept-misfits") == []
    async with client(source) as devices:  # they live on, are found, and must fit when they are next written
        assert await devices.registry.count({"kind": "sensor"}) == 1
        assert [item.identity for item in await devices.registry.enumerate({"level.exists": False})] == [
            "d0",
            "d1",
            "d2",
            "d3",
        ]
        with pytest.raises(InvalidMetadata, match="gateway"):
            await devices.registry.update("d1", {"level": 0.5})
        await devices.registry.update("d1", {"kind": "sensor"})
        await devices.registry.unregister("d2")
    assert (await written.run("migrate", "--check")).exit_code == 0


async def test_other_type_and_new_required_field_are_misfits_too(written: Written) -> None:
    source = written.write(SCHEMA)
    await written.run("migrate")
    async with client(source) as devices:
        await devices.registry.register("a", {"kind": "sensor", "level": 0.5, "tags": ["x", 5, 6]})
    changed = {
        "kind": "string",
        "level": "string",
        "owner": {"type": "string", "required": True},
        "tags": "array[string]",
    }
    written.write({"fields": changed})
    report = await written.migrated("--check")
    assert report["misfitting"] == 1
    assert [each["place"] for each in report["misfits"]] == ["metadata.level", "metadata.owner", "metadata.tags[]"]
    defaulted = {**changed, "owner": {"type": "string", "default": "nobody"}, "level": "float", "tags": "array"}
    written.write({"fields": defaulted})
    assert (await written.migrated("--check"))["misfitting"] == 0


async def test_prune_drops_what_is_not_configured_any_more(written: Written) -> None:
    written.write(SCHEMA, indexes=[{"field": "kind"}, {"field": "level"}])
    await written.run("migrate")
    written.write(SCHEMA, indexes=[{"field": "kind"}])
    assert await written.lines("--check") == []
    [dropped] = await written.lines("--check", "--prune")
    assert dropped == "drop: index level (number)"
    assert await written.lines("--prune") == [dropped]
    assert await written.lines("--check", "--prune") == []


async def test_proxy_says_at_its_start_which_indexes_are_missing(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    written.write(SCHEMA)
    await written.run("migrate")
    source = written.write(SCHEMA, indexes=[{"field": "kind"}, {"field": "knid"}])
    with caplog.at_level("INFO", "prism"):
        async with client(source) as devices:
            await devices.registry.count()
    assert "indexes that aren't there yet: kind (text), knid (number), knid (text); `prism migrate`" in caplog.text
    assert 'indexes[1].field: the schema has no field "knid"; did you mean "kind"?' in caplog.text
    await written.run("migrate")
    caplog.clear()
    with caplog.at_level("INFO", "prism"):
        async with client(source) as devices:
            await devices.registry.count()
    assert "aren't there yet" not in caplog.text


async def test_audit_lists_and_filters(written: Written) -> None:
    source = written.write(SCHEMA)
    await written.run("migrate")
    async with client(source) as devices:
        await devices.registry.register("d1", {"kind": "sensor"})
        await devices.registry.register("d2", {"kind": "gateway"})
        await devices.registry.unregister("d2")
        sent = await devices.registry.multicast({"kind": "sensor"}, b"x", timeout=0)

    async def listed(*arguments: str) -> list[dict[str, Any]]:
        result = await written.run("audit", "-n", NS, "--json", *arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    assert [entry["kind"] for entry in await listed()] == [
        "multicast_result", "multicast", "unregister", "register", "register",
    ]  # fmt: skip
    assert [entry["identity"] for entry in await listed("--kind", "register")] == ["d2", "d1"]
    assert [entry["kind"] for entry in await listed("--identity", "d2")] == ["unregister", "register"]
    [result, _] = await listed("--message-id", sent.message_id)
    assert (result["targets"], result["filter"]) == (1, {"kind": "sensor"})
    assert await listed("--until", "1h") == []
    assert len(await listed("--since", "1h", "--limit", "2")) == 2
    assert await listed("--actor", "nobody") == []
    table = (await written.run("audit", "-n", NS)).stdout
    assert "unregister" in table
    assert "1 targets" in " ".join(table.split())
    other = await written.run("audit", "-n", "other")
    assert other.exit_code == 3
    assert f"has no namespace 'other'; it has {NS}" in other.stderr
    assert "prism ls" not in other.stderr
    assert (await written.run("audit", "-n", NS, "--since", "yesterday")).exit_code == 2


async def test_explain_shows_the_servers_own_plan(written: Written) -> None:
    source = written.write(SCHEMA, indexes=[{"field": "kind"}])
    await written.run("migrate")
    async with (
        Proxy(load_config(source), listen="127.0.0.1:0", http_listen="127.0.0.1:0") as proxy,
        Client(NS, proxy.address) as c,
    ):
        await c.registry.register("d1", {"kind": "sensor"})
        plan = await c.registry.explain({"kind": "sensor", "place.near": {"lat": 1, "lon": 2, "radius_m": 3}})
        assert [part.support for part in plan.parts] == ["exact", "inexact"]
        assert "Scan" in plan.backend_plan
        assert "registrations" in plan.backend_plan
        assert "sensor" in plan.backend_plan


async def test_looking_changes_nothing(written: Written, bare: asyncpg.Connection) -> None:
    source = written.write(SCHEMA)
    await written.run("migrate")
    async with client(source) as devices:
        await devices.registry.register("d1", {"kind": "sensor"})
    await bare.execute(f"SET search_path = {written.slot['schema']}")
    await bare.execute(
        "CREATE TABLE audit_202001 PARTITION OF audit FOR VALUES FROM ('2020-01-01 UTC') TO ('2020-02-01 UTC');"
        "INSERT INTO audit (at, namespace, kind, actor, identity)"
        " SELECT '2020-01-09 UTC', number, 'register', '', 'old' FROM namespaces"
    )
    written.write(SCHEMA, audit_days=30, auto_migrate=True, indexes=[{"field": "kind"}])
    before = await found_in(bare)
    checked = await written.run("migrate", "--check")
    assert "to do  registry (postgres)  drop: audit_202001, kept no longer" in checked.stdout
    assert "to do  registry (postgres)  index: kind (text)" in checked.stdout
    assert len((await written.run("audit", "--json", "-n", NS)).stdout.splitlines()) == 2
    assert await found_in(bare) == before
    assert {"drop: audit_202001, kept no longer", "index: kind (text)"} <= set(await written.lines())


async def found_in(bare: asyncpg.Connection) -> list[str]:
    """The relations there are, and the namespaces."""
    relations = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    rows = await bare.fetch(f"{relations} UNION ALL SELECT n::text FROM namespaces n ORDER BY 1")
    return [row[0] for row in rows]
