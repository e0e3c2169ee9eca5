"""What the proxy counts, as Prometheus reads it. Counting is plain arithmetic; labels are made when it is read."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from prism.coordinator.coordinator import Coordinator
    from prism.sessions.hub import Hub

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency histogram, seconds."""

_BY_NAMESPACE = {
    "registered": "Registrations stored.",
    "unregistered": "Registrations removed by request.",
    "expired": "Registrations removed by this proxy because their TTL ran out.",
    "renewed": "Registrations renewed.",
    "multicasts": "Multicasts sent.",
    "overflows": "At-most-once messages dropped because an inbox was full.",
    "frames_sent": "Frames published to other proxies.",
    "frames_received": "Frames that came in from other proxies.",
    "redelivered": "At-least-once messages handed out more than once.",
}


class MethodCalls:
    """The calls of one method so far: by status code, and a histogram of seconds."""

    __slots__ = ("buckets", "codes", "name", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.codes: Counter[str] = Counter()
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    def ended(self, code: str, seconds: float | None) -> None:
        """Counts a call; `seconds` None where its duration says nothing about speed."""
        self.codes[code] += 1
        if seconds is not None:
            self.seconds += seconds
            self.buckets[bisect_left(BUCKETS, seconds)] += 1


class CallMetrics:
    """The calls of every method."""

    def __init__(self) -> None:
        self.methods: dict[str, MethodCalls] = {}

    def method(self, name: str) -> MethodCalls:
        """The counts of one method, made when first asked for."""
        return self.methods.setdefault(name, MethodCalls(name))


class ProxyCollector(Collector):
    """Reads coordinator, sessions and calls whenever Prometheus asks."""

    def __init__(self, coordinator: Coordinator, hub: Hub, calls: CallMetrics) -> None:
        self._coordinator = coordinator
        self._operations = coordinator.metrics
        self._hub = hub
        self._calls = calls

    def collect(self) -> Iterator[Any]:
        """The metric families."""
        yield from self._counted()
        yield from self._sessions()
        yield from self._slots()
        yield from self._grpc()

    def _counted(self) -> Iterator[Any]:
        for name, text in _BY_NAMESPACE.items():
            family = CounterMetricFamily(f"prism_{name}", text, labels=["namespace"])
            for namespace, count in getattr(self._operations, name).items():
                family.add_metric([namespace], count)
            yield family
        deliveries = CounterMetricFamily(
            "prism_deliveries", "Delivery statuses reported to senders.", labels=["namespace", "status"]
        )
        for (namespace, status), count in self._operations.deliveries.items():
            deliveries.add_metric([namespace, status], count)
        yield deliveries
        failures = CounterMetricFamily(
            "prism_background_failures", "Failures of background work that was tried again.", labels=["task"]
        )
        for task, count in self._operations.background_failures.items():
            failures.add_metric([task], count)
        yield failures

    def _sessions(self) -> Iterator[Any]:
        streams = GaugeMetricFamily("prism_streams", "Open Attach streams.")
        streams.add_metric([], self._hub.sessions)
        yield streams
        attached = GaugeMetricFamily("prism_attached", "Identities attached to this proxy.", labels=["namespace"])
        for namespace, count in self._hub.attached.items():
            attached.add_metric([namespace], count)
        yield attached

    def _slots(self) -> Iterator[Any]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for namespace, slot, measure in self._coordinator.measures():
            metric = "prism_" + re.sub(r"[^a-z0-9_]", "_", measure.name)
            if metric not in families:
                kind = CounterMetricFamily if measure.counts else GaugeMetricFamily
                families[metric] = kind(metric, measure.meaning, labels=["namespace", "slot"])
            families[metric].add_metric([namespace, slot], measure.value)
        yield from families.values()

    def _grpc(self) -> Iterator[Any]:
        calls = CounterMetricFamily("prism_grpc_calls", "Calls that ended.", labels=["method", "code"])
        latency = HistogramMetricFamily("prism_grpc_seconds", "Duration of calls.", labels=["method"])
        for method in self._calls.methods.values():
            for code, count in method.codes.items():
                calls.add_metric([method.name, code], count)
            totals = list(accumulate(method.buckets))
            if totals[-1]:
                bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
                latency.add_metric([method.name], list(zip(bounds, totals, strict=True)), method.seconds)
        yield calls
        yield latency
