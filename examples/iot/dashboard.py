"""What operators look at, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from prism import DeliveryStatus, Identity
from rich.console import Console
from rich.table import Table


def floors(devices: Sequence[Identity], low: Iterable[Identity]) -> Table:
    """A building floor by floor: how many devices of each type, and how many have little battery left."""
    table = _table("floor", "#sensors", "#actuators", "#gateways", "#low battery")
    kinds = Counter((device.metadata["location"]["floor"], device.metadata["device_type"]) for device in devices)
    tired = Counter(device.metadata["location"]["floor"] for device in low)
    for floor in sorted({floor for floor, _ in kinds}):
        row = [kinds[floor, kind] for kind in ("sensor", "actuator", "gateway")]
        table.add_row(str(floor), *map(str, row), str(tired[floor]))
    return table


def batteries(devices: Sequence[Identity]) -> Table:
    """Devices with their batteries, as they come."""
    table = _table("station", "country", "#battery", "firmware")
    for device in devices:
        data = device.metadata
        charge = f"{data['battery_level']:.0%}"
        table.add_row(device.identity, data["location"]["country"], charge, data["firmware_version"])
    return table


def results(statuses: Sequence[DeliveryStatus], before: Mapping[str, str], after: Mapping[str, str]) -> Table:
    """What became of a command, device by device."""
    table = _table("device", "before", "now", "status", "why")
    for status in statuses:
        name = status.identity
        table.add_row(name, before[name], after[name], status.status.name, status.error or "")
    return table


def show(console: Console, title: str, table: Table) -> None:
    """A table under its title."""
    console.print(title, style="bold")
    console.print(table)
    console.print()


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removeprefix("#"), justify="right" if column.startswith("#") else "left")
    return table
