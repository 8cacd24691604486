"""Prometheus metrics, read back by prometheus-client's own parser."""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from earshot_node.contract.messages import SourceState
from earshot_node.http.metrics import Metrics


@dataclass(frozen=True)
class Status:
    """A source's status."""

    state: SourceState = "healthy"
    dropped_s: float = 0.0
    delivered_s: float = 0.0
    reopened: int = 0


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    found = [
        one.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for one in family.samples
        if one.name == name and labels.items() <= one.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])


def test_events_are_counted_by_source_and_label() -> None:
    metrics = Metrics("1", "2")
    for source in ("a", "a", "b"):
        metrics.count_event(source, "siren")
    assert sample(metrics, "earshot_events_total", source="a", label="siren") == 2
    assert sample(metrics, "earshot_events_total", source="b", label="siren") == 1


def test_steps_are_a_histogram_with_hops_and_audio() -> None:
    metrics = Metrics("1", "2")
    metrics.observe_inference(0.0004, 0.08, 2)
    metrics.observe_inference(0.003, 0.04, 1)
    assert sample(metrics, "earshot_step_seconds_count") == 2
    assert sample(metrics, "earshot_step_seconds_bucket", le="0.0005") == 1
    assert sample(metrics, "earshot_hops_total") == 3
    assert round(sample(metrics, "earshot_audio_seconds_total"), 6) == 0.12


def test_source_counters_follow_totals_and_never_fall() -> None:
    metrics = Metrics("1", "2")
    metrics.set_source("a", Status(delivered_s=5, dropped_s=1))
    metrics.set_source("a", Status(delivered_s=7, dropped_s=1, reopened=2))
    metrics.set_source("a", Status(delivered_s=6, dropped_s=1, reopened=2))
    metrics.set_source("b", Status(delivered_s=3))
    assert sample(metrics, "earshot_delivered_seconds_total", source="a") == 7
    assert sample(metrics, "earshot_delivered_seconds_total", source="b") == 3
    assert sample(metrics, "earshot_dropped_seconds_total", source="a") == 1
    assert sample(metrics, "earshot_source_reopened_total", source="a") == 2


def test_exactly_one_source_state_is_set() -> None:
    metrics = Metrics("1", "2")
    metrics.set_source("a", Status("healthy"))
    metrics.set_source("a", Status("frozen"))
    assert sample(metrics, "earshot_source_state", source="a", state="frozen") == 1
    assert sample(metrics, "earshot_source_state", source="a", state="healthy") == 0


def test_gauges_hold_the_last_value() -> None:
    metrics = Metrics("1", "2")
    metrics.set_level("a", -43.5)
    metrics.set_publisher(connected=True, queued=3)
    metrics.set_real_time_factor(0.01)
    assert sample(metrics, "earshot_level_dbfs", source="a") == -43.5
    assert sample(metrics, "earshot_broker_connected") == 1
    assert sample(metrics, "earshot_queued_events") == 3
    assert sample(metrics, "earshot_real_time_factor") == 0.01
    assert sample(metrics, "earshot_node_info", version="1", model="2") == 1


def test_two_nodes_in_a_process_have_metrics_of_their_own() -> None:
    one, other = Metrics("1", "2"), Metrics("1", "2")
    one.count_event("a", "siren")
    assert b'source="a"' not in other.render()
