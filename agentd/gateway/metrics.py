"""`/metrics`: the node in the Prometheus text format, base units, counters ending in `_total`.

Naming: https://prometheus.io/docs/practices/naming/. Quantiles are those of the last minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agentd.gateway.readings import Readings
from agentd.gateway.status_cache import StatusCache
from agentd.gateway.stream import Stream
from agentd.status import ActuatorStatus, LoopStatus, NodeStatus, Quantiles

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LOOP_STATES = ("starting", "running", "backing off", "latched", "stopped")
PART_STATES = ("ok", "degraded", "quarantined", "waiting")
_US_PER_S = 1e6


class NodeCollector(Collector):
    """Turns the status and the latest values into metrics, when they are asked for."""

    def __init__(self, readings: Readings, statuses: StatusCache, stream: Stream) -> None:
        self._readings, self._statuses, self._stream = readings, statuses, stream

    def collect(self) -> Iterator[Metric]:
        """Every metric of the node."""
        status = self._statuses.get()
        yield from _node(status)
        yield from _loops(status.loops)
        yield from _parts(status.loops)
        yield from _actuators(status.actuators)
        yield from _record(status)
        yield from self._signals()
        yield _gauge("agentd_http_streams", "Readers of /events.", [((), len(self._stream.clients))])
        dropped = self._stream.dropped_clients_total
        yield _counter("agentd_http_streams_dropped", "Readers of /events that took nothing.", [((), dropped)])

    def _signals(self) -> Iterator[Metric]:
        value = GaugeMetricFamily("agentd_signal_value", "Latest value of a signal.", labels=("signal", "unit", "loop"))
        age = GaugeMetricFamily("agentd_signal_age_seconds", "Age of a signal's value.", labels=("signal", "loop"))
        for reading in self._readings.all():
            if reading.value is not None:
                value.add_metric((reading.name, reading.unit, reading.loop), float(reading.value))
            if reading.age_s is not None:
                age.add_metric((reading.name, reading.loop), reading.age_s)
        yield value
        yield age


class Metrics:
    """The handler."""

    def __init__(self, readings: Readings, statuses: StatusCache, stream: Stream) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(readings, statuses, stream))
        ProcessCollector(registry=self._registry)

    def routes(self) -> list[web.RouteDef]:
        """Where the handler is."""
        return [web.get("/metrics", self.metrics)]

    async def metrics(self, _request: web.Request) -> web.Response:
        """The text format, version 0.0.4."""
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


Labelled = Iterable[tuple[tuple[str, ...], float]]


def _gauge(name: str, doc: str, samples: Labelled, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, doc, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _counter(name: str, doc: str, samples: Labelled, labels: tuple[str, ...] = ()) -> Metric:
    family = CounterMetricFamily(name, doc, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _summary(name: str, doc: str, samples: Iterable[tuple[dict[str, str], Quantiles]]) -> Metric:
    family = Metric(name, doc, "summary")
    for labels, found in samples:
        for quantile, value in (("0.5", found.p50_us), ("0.99", found.p99_us), ("0.999", found.p999_us)):
            family.add_sample(name, {**labels, "quantile": quantile}, value / _US_PER_S)
    return family


def _node(status: NodeStatus) -> Iterator[Metric]:
    labels = ("node", "version")
    yield _gauge("agentd_build_info", "Node and version.", [((status.node, status.version), 1)], labels)
    yield _gauge("agentd_live", "The daemon's own work is on time.", [((), status.live)])
    yield _gauge("agentd_ready", "Every loop runs.", [((), status.ready)])
    yield _gauge("agentd_problems", "What keeps the node from being well.", [((), len(status.problems))])
    yield _gauge("agentd_uptime_seconds", "Since the daemon started.", [((), status.uptime_s)])
    yield _gauge("agentd_emergency_stop", "The emergency stop is pulled.", [((), bool(status.emergency_stop))])


def _loops(loops: tuple[LoopStatus, ...]) -> Iterator[Metric]:
    by = ("loop",)
    yield _gauge("agentd_loop_rate_hertz", "Configured.", [((p.name,), p.rate_hz) for p in loops], by)
    yield _gauge("agentd_loop_measured_rate_hertz", "Measured.", [((p.name,), p.measured_hz) for p in loops], by)
    yield _gauge("agentd_loop_realtime", "Real-time scheduling.", [((p.name,), p.realtime) for p in loops], by)
    states = [((p.name, state.replace(" ", "_")), p.state == state) for p in loops for state in LOOP_STATES]
    yield _gauge("agentd_loop_state", "1 for the state the loop is in.", states, ("loop", "state"))
    for name, doc, samples in (
        ("agentd_loop_ticks", "Ticks run.", [((p.name,), p.ticks_total) for p in loops]),
        ("agentd_loop_missed_ticks", "Ticks that ended late.", [((p.name,), p.missed_total) for p in loops]),
        ("agentd_loop_skipped_ticks", "Ticks never run.", [((p.name,), p.skipped_total) for p in loops]),
        ("agentd_loop_restarts", "Restarts of its worker.", [((p.name,), p.restarts_total) for p in loops]),
    ):
        yield _counter(name, doc, samples, by)
    for name, doc, found in (
        ("agentd_loop_wake_latency_seconds", "How late a tick began.", [({"loop": p.name}, p.wake) for p in loops]),
        ("agentd_loop_duration_seconds", "A whole tick.", [({"loop": p.name}, p.duration) for p in loops]),
        (
            "agentd_loop_bookkeeping_seconds",
            "A tick without devices and agents.",
            [({"loop": p.name}, p.bookkeeping) for p in loops],
        ),
    ):
        yield _summary(name, doc, found)


def _parts(loops: tuple[LoopStatus, ...]) -> Iterator[Metric]:
    both = [(loop, part) for loop in loops for part in loop.parts]
    states = [((p.name, p.kind, state), p.state == state) for _loop, p in both for state in PART_STATES]
    yield _gauge("agentd_part_state", "1 for the state the part is in.", states, ("part", "kind", "state"))
    found = [({"loop": loop.name, "part": p.name, "kind": p.kind}, p.duration) for loop, p in both]
    yield _summary("agentd_part_duration_seconds", "One device's or agent's share of a tick.", found)


def _actuators(actuators: tuple[ActuatorStatus, ...]) -> Iterator[Metric]:
    by = ("signal",)
    safe = [((a.signal,), a.verdict.startswith("safe")) for a in actuators]
    yield _gauge("agentd_actuator_safe", "The guard holds the safe value.", safe, by)
    counts = [((a.signal,), a.interventions_total) for a in actuators]
    yield _counter("agentd_actuator_interventions", "Times the guard stepped in.", counts, by)


def _record(status: NodeStatus) -> Iterator[Metric]:
    record = status.record
    yield _counter("agentd_record_samples", "Samples recorded.", [((), record.samples_total)])
    yield _counter("agentd_record_lost_rows", "Rows overwritten before they were read.", [((), record.lost_rows_total)])
    yield _gauge("agentd_record_bytes", "Size of the record.", [((), record.bytes)])
    yield _gauge("agentd_record_budget_bytes", "What the record may use.", [((), record.budget_bytes)])
