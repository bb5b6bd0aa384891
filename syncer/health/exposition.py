"""Renders metrics in Prometheus' text format; the only importer of prometheus-client, which the first scrape loads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from syncer.health.catalogue import METRICS
from syncer.health.measurements import SECONDS_BOUNDS, Buckets, Labels, Measurements
from syncer.health.samples import Look, Sample, samples

if TYPE_CHECKING:
    from prometheus_client import Metric


def exposition(look: Look, measured: Measurements) -> tuple[bytes, str]:
    """Return everything that there is to measure, with its content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
    from prometheus_client.registry import Collector

    class _Node(Collector):
        def collect(self) -> Iterator[Metric]:
            return families(list(samples(look, measured)), measured)

    registry = CollectorRegistry()
    registry.register(_Node())
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def families(found: Sequence[Sample], measured: Measurements) -> Iterator[Metric]:
    """Yield the metrics of the catalogue that have a value, in its order."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    by_name: dict[str, list[Sample]] = {}
    for sample in found:
        by_name.setdefault(sample.name, []).append(sample)
    for name, metric in METRICS.items():
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(name, metric.meaning, labels=metric.labels)
            for labels, buckets in sorted(measured.histogram(name).items()):
                histogram.add_metric(_texts(labels), _cumulative(buckets), buckets.total)
            if histogram.samples:
                yield histogram
        elif name in by_name:
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(name, metric.meaning, labels=metric.labels)
            for sample in by_name[name]:
                family.add_metric(_texts(sample.labels), float(sample.value))
            yield family


def _texts(labels: Labels) -> list[str]:
    """Return labels as the format can hold them: undecodable bytes of a name (surrogates) written out."""
    return [label.encode("utf-8", "backslashreplace").decode("utf-8") for label in labels]


def _cumulative(buckets: Buckets) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in SECONDS_BOUNDS), "+Inf"]
    return list(zip(bounds, map(float, accumulate(buckets.counts)), strict=True))
