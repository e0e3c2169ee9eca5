"""Draws what was measured: small PNG pictures beside the JSON results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from benchmarks.harness import RESULTS, Figure

OURS, BARE, TARGET = "#2f6f9f", "#b8bfc6", "#b5452c"
GROWTH = ("redis_growth", "postgres_growth")
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


def results() -> dict[str, dict[str, Any]]:
    """The reports that were written, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def figures(report: dict[str, Any]) -> list[Figure]:
    """The figures of a report."""
    return [
        Figure(each["name"], each["value"], each["unit"], each["target"], each["at_most"]) for each in report["figures"]
    ]


def draw(reports: Mapping[str, dict[str, Any]], into: Path = RESULTS) -> list[Path]:
    """Draws reports into a folder; the pictures."""
    pictures = []
    promised = [
        replace(figure, name=f"{name}: {figure.name}")
        for name, report in reports.items()
        for figure in figures(report)
        if figure.target is not None
    ]
    if promised:
        pictures.append(_against_targets(promised, into / "targets.png"))
    if "filters" in reports:
        shown = [figure for figure in figures(reports["filters"]) if figure.unit == "ns/document"]
        pictures.append(_bars("A filter of 3 clauses, ns a document", shown, into / "filters.png", logarithmic=True))
    if "multicast" in reports:
        shown = [figure for figure in figures(reports["multicast"]) if figure.unit == "deliveries/s"]
        pictures.append(_bars("Multicast, deliveries a second", shown, into / "multicast.png", logarithmic=True))
    pictures += [_curves(reports[name], into / f"{name}.png") for name in GROWTH if name in reports]
    return pictures


def _curves(report: dict[str, Any], path: Path) -> Path:
    """Milliseconds against what grows: a panel for each."""
    canvas = Canvas(figsize=(9, 3.6), layout="constrained")
    titles = {"size": "identities in the registry", "hits": "hits of an indexed filter"}
    for axes, (what, points) in zip(canvas.subplots(1, len(titles)), report["points"].items(), strict=True):
        for name, seconds in report["rounds"].items():
            if name.startswith(f"{what}: "):
                axes.plot(
                    points, [each * 1e3 for each in seconds], marker="o", markersize=3, label=name[len(what) + 2 :]
                )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(0.05, 20 if what == "size" else None)
        axes.set_xlabel(titles[what])
        axes.set_ylabel("ms")
        axes.legend(fontsize=7, loc="best")
        axes.invert_yaxis()  # which saving turns round
    return _save(canvas, path)


def _against_targets(promised: Sequence[Figure], path: Path) -> Path:
    """How far each figure is from its target: to the right of the line it is reached."""
    scores = [figure.target / figure.value if figure.at_most else figure.value / figure.target for figure in promised]  # type: ignore[operator]
    canvas = Canvas(figsize=(9, 0.34 * len(promised) + 1), layout="constrained")
    axes = canvas.subplots()
    axes.barh([figure.name for figure in promised], scores, color=[OURS if score >= 1 else TARGET for score in scores])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlim(min(*scores, 0.5) / 1.3, max(*scores, 2) * 1.3)
    axes.set_xlabel("times better than the target (left of 1: not reached)")
    return _save(canvas, path)


def _bars(title: str, shown: Sequence[Figure], path: Path, *, logarithmic: bool) -> Path:
    """One bar for each figure; what is bare or by hand is grey."""
    canvas = Canvas(figsize=(9, 0.34 * len(shown) + 1), layout="constrained")
    axes = canvas.subplots()
    bare = ("bare", "written by hand", "mongoquery")
    bars = axes.barh(
        [figure.name for figure in shown],
        [figure.value for figure in shown],
        color=[BARE if figure.name.startswith(bare) else OURS for figure in shown],
    )
    axes.bar_label(bars, labels=[f"{figure.value:,.0f}" for figure in shown], padding=3, fontsize=8)
    if logarithmic:
        axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_title(title, fontsize=10)
    return _save(canvas, path)


def _save(canvas: Canvas, path: Path) -> Path:
    with mpl.rc_context({"font.size": 8}):
        for axes in canvas.axes:
            axes.invert_yaxis()
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.savefig(path, dpi=90)
    return path
