"""The card of a model trained on everything: out-of-fold figures by part, event, condition, rival, speed and preset."""

from typing import Any

import pytest

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_trainer.packaging.card_figures import evaluation_section, title_of
from earshot_trainer.packaging.figures import condense, operating_point_figures

AT_POINT: dict[str, Any] = {
    "events": 48,
    "heard": 40,
    "recall": 0.8333,
    "recall_interval": [0.7, 0.95],
    "delay": {"median_s": 0.8, "p95_s": None, "within_1_s": 0.5, "within_3_s": 0.8},
    "hours": 0.5,
    "extra_per_hour": 2.0,
    "event_based": {"f1": 0.75},
    "outcomes": [{"recording": "secret.opus"}],
}
TAGGING = {
    "auc": 0.98,
    "auc_interval": [0.95, 0.99],
    "average_precision": 0.91,
    "positives": 184,
    "positive_groups": 18,
    "negatives": 1800,
    "best_threshold": 0.5,
    "at_presets": {},
    "at_best": {"precision": 1.0, "recall": 1.0, "f1": 1.0},
}
SWEPT = {"enter": 0.9, "false_alarms": 3, "per_hour": 0.6, "recall": 0.7}
EQUAL = {"label": "siren", "what": "clips", "preset": "balanced", "hours": 5.0, "mine": SWEPT, "mine_curve": [SWEPT]}
SPEED = {
    "throughput": 955.4,
    "live": "0.04 s",
    "live_median_ms": 0.12,
    "live_p99_ms": 0.3,
    "protocol": {"machine": "X"},
}
NEGATIVES = {"groups": ["11"], "folds": [], "sources": [], "data_sha256": "ab" * 32, "recordings": 2300}


def rival(title: str, precision: float, **changes: Any) -> dict[str, Any]:
    tagging = TAGGING | {"average_precision": precision}
    subject = {"title": title, "kind": "tagger", "model_sha256": "99" * 32}
    return {"subject": subject, "labels": {"siren": {"tagging": tagging, "false_alarms": {}}}} | changes


@pytest.fixture
def report() -> dict[str, Any]:
    members = [{"run": f"{part}/model.int8.onnx", "model_sha256": part * 64, "groups": ["11"]} for part in "ab"]
    condition = {"recall": dict.fromkeys(PRESET_SENSITIVITY, 0.5), "auc": 0.9, "missed": ["secret.opus"]}
    condition |= {"recall_interval": {name: [0.4, 0.6] for name in PRESET_SENSITIVITY}}
    tagger = rival("YAMNet", 0.93, equal_alarms=[EQUAL | {"rival": SWEPT | {"recall": 0.65}}], speed=SPEED)
    part = {"name": "b/model.int8.onnx", "positives": 91, "positive_groups": 8, "negatives": 700, "auc": 0.97}
    part |= {"average_precision": 0.9, "clip_recall": None, "hours": 1.5, "false_alarms": 2}
    folds = {"by_label": {"siren": [part]}, "average_precision": {"siren": {"mean": 0.9, "deviation": 0.02}}}
    yelps = [
        {"kind": "yelp", "snr_db": snr, "takes": 12, "heard": {"balanced": n}} for snr, n in ((10.0, 11), (0.0, 0))
    ]
    psds = {"psds1": {"value": 0.6}, "psds2": {"value": 0.8}}
    return {
        "subject": {"title": "out of fold", "kind": "pooled", "model_sha256": "cd" * 32, "runs": members},
        "protocol": NEGATIVES,
        "labels": {"siren": {"tagging": TAGGING, "false_alarms": {}}},
        "folds": folds,
        "events": {
            "label": "siren",
            "by_snr": [{"snr_db": 10.0, "psds": psds, "presets": dict.fromkeys(PRESET_SENSITIVITY, AT_POINT)}],
        },
        "robustness": {
            "label": "siren",
            "positives": 100,
            "groups": 28,
            "negatives": 90,
            "conditions": [
                {"family": "reference", "name": "plain", **condition},
                {"family": "SNR", "name": "SNR +5 dB", **condition},
                {"family": "SNR", "name": "SNR +0 dB", **condition},
            ],
        },
        "kinds": {"kinds": yelps, "protocol": {"sirens": "synthesized", "background": "traffic"}},
        "speed": SPEED | {"throughput": 1200.0, "throughput_in_sirens": 700.0},
        "against": rival("float", 0.911),
        "also_against": [tagger],
    }


def test_every_part_of_the_report_stands_in_a_table(report: dict[str, Any]) -> None:
    text = evaluation_section(condense(report))
    assert "| b | 91 of 8 | 700 | 0.970 | 0.900 | - | 2 in 1.50 h |" in text
    assert "| +10 dB | 0.833 (0.70 to 0.95) | 0.833 | 0.833 | 0.80 s | - | 2.00 | 0.750 | 0.600 | 0.800 |" in text
    assert "the same 100 takes of 28 recordings" in text
    assert "| SNR | +5 dB: 0.50; +0 dB: 0.50 |" in text
    assert "| siren | YAMNet | 0.9800 | 0.9800 | 0.9100 | 0.9300 | -2.00 |" in text
    assert "| siren: clips | YAMNet | balanced, 3 in 5.00 h | 0.700 | 0.650 |" in text
    assert "| yelp | 11 of 12 | 0 of 12 |" in text
    assert "| out of fold | 1200 | 700 | 0.12 ms (p99 0.30) each 0.04 s |" in text
    assert "| YAMNet | 955 |" in text
    assert title_of(report).endswith("on all recordings, out of fold")


def test_alarms_that_nobody_recorded_are_told_as_such(report: dict[str, Any]) -> None:
    text = evaluation_section(condense(report))
    assert "48 of siren at each SNR, mixed" in text
    assert "smoke_alarm" not in text
    made = {"label": "smoke_alarm", "protocol": {"events_of": "5 synthesized signals", "groups": ["temporal_3"]}}
    text = evaluation_section(condense(report | {"home_alarms": report["events"] | made}))
    assert "48 of siren at each SNR, mixed" in text
    assert "48 of smoke_alarm (5 synthesized signals) at each SNR, mixed" in text


def test_rival_that_no_threshold_of_ours_matches_is_told(report: dict[str, Any]) -> None:
    report["also_against"][0]["equal_alarms"][0] |= {"mine": None}
    assert "| balanced, 3 in 5.00 h | none strict enough | 0.650 |" in evaluation_section(condense(report))


def test_parts_that_were_not_measured_leave_no_heading(report: dict[str, Any]) -> None:
    for key in ("folds", "events", "robustness", "kinds", "speed", "against", "also_against"):
        del report[key]
    text = evaluation_section(condense(report))
    assert "AUC 0.9800" in text
    for heading in (
        "Part by part",
        "Events:",
        "Changed conditions",
        "Kinds of siren",
        "Speed",
        "On the same clips",
        "At equal",
    ):
        assert heading not in text


def test_no_list_of_clips_events_or_thresholds_travels_with_the_model(report: dict[str, Any]) -> None:
    text = str(condense(report))
    for word in ("secret.opus", "outcomes", "mine_curve"):
        assert word not in text


def test_presets_stand_in_short_with_what_they_gave_and_what_they_give_elsewhere() -> None:
    chosen = {"recall": 0.8, "event_recall": 0.9, "false_alarms": 1, "hours": 5.0, "per_hour": 0.2}
    nested = {"recall": 0.7, "per_hour": 0.4, "per_hour_interval": (0.05, 1.4), "points": []}
    found = operating_point_figures({"siren": {"balanced": chosen}}, {"siren": {"balanced": nested}})
    short = found["siren"]["balanced"]
    assert (short["recall"], short["event_recall"], short["false_alarms_per_hour"]) == (0.8, 0.9, 0.2)
    assert short["false_alarms_per_hour_interval"] == pytest.approx([0.005064, 1.114329], abs=1e-5)
    assert short["not_chosen_on"]["recall"] == 0.7
    assert "not_chosen_on" not in operating_point_figures({"siren": {"balanced": chosen}}, {})["siren"]["balanced"]
