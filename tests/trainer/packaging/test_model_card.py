"""The model card says what was measured on what, and which weights are in the box."""

from typing import Any

import pytest
from support.bundles import members_of, shipped_bytes

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_node.inference.bundle import load_bundled
from earshot_trainer.packaging.figures import condense
from earshot_trainer.packaging.graph import bare_manifest
from earshot_trainer.packaging.held_out import PointsChosenOn, Whose
from earshot_trainer.packaging.model_card import CardFacts, write_model_card
from earshot_trainer.training.run_record import RunRecord

LABELS = list(load_bundled().manifest.labels)
DECISIONS = {"precision": 0.9, "recall": 0.8, "f1": 0.847, "hits": 8, "misses": 2, "false_alarms": 1}
EVALUATION: dict[str, Any] = {
    "subject": {"title": "fold2.onnx", "model_sha256": "cd" * 32, "presets_origin": "presets.json"},
    "command": "trainer-cli evaluate fold2.onnx --fold us8k-fold2",
    "protocol": {
        "data_sha256": "ef" * 32,
        "folds": ["us8k-fold2"],
        "sources": ["blanket"],
        "groups": ["21", "22"],
        "not_read": 0,
        "recordings": 100,
        "clips": 90,
        "long_recordings": 10,
        "clip_score": "highest posterior",
        "clip_decision": "an event",
    },
    "labels": {
        "siren": {
            "tagging": {
                "positives": 10,
                "positive_groups": 4,
                "negatives": 80,
                "auc": 0.9512345678,
                "auc_interval": [0.9, 0.98],
                "average_precision": 0.87,
                "best_threshold": 0.61,
                "at_best": DECISIONS,
                "at_presets": {"quiet": DECISIONS, "balanced": DECISIONS, "sensitive": DECISIONS},
                "classes": [{"name": "dog"}],
            },
            "false_alarms": {
                "balanced": {
                    "count": 1,
                    "hours": 2.5,
                    "per_hour": 0.4,
                    "per_hour_interval": [0.01, 2.2],
                    "by_class": {"music": [1, 0.5]},
                    "alarms": [{"file": "secret.opus"}],
                }
            },
        }
    },
}
QUANTIZATION: dict[str, Any] = {
    "chosen": "weights",
    "candidates": [
        {
            "name": "weights",
            "mean_deviation": 0.001,
            "relative_time": 1.0,
            "relative_block_time": 1.0,
            "file_bytes": 165000,
            "verdict": "eligible",
        }
    ],
    "float_weight_bytes": 500_000,
    "int8_weight_bytes": 130_000,
    "weight_share": 0.26,
    "operators": [{"layer": "stem", "kind": "Conv", "weights": "int8", "weight_count": 800, "activations": "float32"}],
}
ALL = {"recordings": 2329, "hours": 8.7, "siren_recordings": 194, "siren_groups": 28}


def run(**changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "recipe": {"name": "siren", "model": {"labels": LABELS}, "training": {"steps": 2500, "batch_size": 32}},
        "recipe_file": "siren.yaml",
        "seed": 1,
        "code_version": "2026.11.0",
        "dataset_sha256": "ab" * 32,
        "training_groups": ["11"],
        "trained_on": ALL,
        "audio_licences": {"UrbanSound8K CC BY-NC 3.0 (Freesound id 1: CC0)": 1478, "CC0": 851},
    }
    return RunRecord.model_validate(values | changes)


def card(
    record: RunRecord,
    metrics: dict[str, Any],
    whose: Whose = "none",
    points: PointsChosenOn = "held_out",
    chosen_on: frozenset[str] = frozenset(),
    other_runs: dict[str, RunRecord] | None = None,
) -> str:
    point = OperatingPoint(enter=0.6, leave=0.4, min_length_s=0.4, bridging_s=1, cooldown_s=3)
    presets = Presets(quiet={"siren": point}, balanced={"siren": point}, sensitive={"siren": point})
    model = members_of(shipped_bytes())["model.onnx"]
    manifest = bare_manifest(model, "test", tuple(LABELS), presets)
    changes = {"metrics": condense(metrics), "licence": record.weights_licence()}
    facts = CardFacts(record, whose, points, chosen_on, metrics, other_runs or {})
    return write_model_card(manifest.model_copy(update=changes), model, facts)


def test_held_out_figures_are_told_from_the_weights_trained_on_everything() -> None:
    text = card(run(), {"held_out": EVALUATION}, "other")
    assert "trained on everything below" in text
    assert "They belong to a second model of the same recipe" in text
    assert "AUC 0.9512 (95 % 0.900 to 0.980" in text
    assert "fold us8k-fold2, source blanket" in text


def test_weights_that_left_something_out_say_what() -> None:
    record = run(tested_on={"recordings": 100, "folds": ["us8k-fold2"], "sources": ["us8k"]})
    text = card(record, {"held_out": EVALUATION}, "this")
    assert "NOT trained on everything; tested on: us8k-fold2, us8k" in text
    assert "They belong to the weights in this bundle" in text


def test_run_that_the_weights_began_with_is_told() -> None:
    start = {"recipe": "first", "segments": 180_000, "seed": 4, "code_version": "1.2", "model_sha256": "ab" * 32}
    assert "went on from a run of recipe `first` (seed 4, 180000 segments, code 1.2)" in card(
        run(started_from=start), {}
    )


def test_recordings_that_only_the_run_before_heard_are_told() -> None:
    start = {"recipe": "first", "segments": 9, "seed": 4, "code_version": "1.2", "model_sha256": "ab" * 32}
    plain, more = (run(started_from=start | {"heard_besides": groups}) for groups in ((), ("7", "8")))
    besides = "also heard 2 original recordings outside this training"
    assert f"code 1.2) that {besides}." in card(more, {})
    assert "of a licence in several, the largest number" in card(more, {})
    assert f"without nothing; it began with weights that {besides}." in card(
        run(), {"held_out": EVALUATION}, "other", other_runs={"b": more}
    )
    pooled = {"held_out": EVALUATION}, "pooled"
    assert f"| nothing; begun with weights that {besides} |" in card(run(), *pooled, other_runs={"a": plain, "b": more})
    assert "on the same recordings." in card(plain, {})
    assert "in several" not in card(plain, {})
    assert "outside this training" not in card(plain, {})


def test_operating_points_chosen_on_the_measured_recordings_are_told() -> None:
    same, others = frozenset({"22", "23"}), frozenset({"31"})
    assert "chosen on these very recordings" in card(run(), {"held_out": EVALUATION}, "other", chosen_on=same)
    assert "chosen on these very recordings" not in card(run(), {"held_out": EVALUATION}, "other", chosen_on=others)


def test_fold_that_steered_the_recipe_is_told_where_everything_is_measured() -> None:
    steered = run(recipe={"name": "siren", "developed_on": ["us8k-fold2"], "model": {"labels": LABELS}})
    everything = EVALUATION | {"protocol": EVALUATION["protocol"] | {"folds": [], "sources": []}}
    assert "developed by its figures on us8k-fold2: model selection" in card(steered, {"held_out": everything}, "other")


def test_points_chosen_on_training_data_or_unknown_data_are_told() -> None:
    assert "too bold for new sounds" in card(run(), {}, points="trained_on")
    assert "What they were chosen on is not known" in card(run(), {}, points="unknown")


def test_fold_that_steered_the_recipe_is_told_beside_its_figures() -> None:
    steered = run(recipe={"name": "siren", "developed_on": ["us8k-fold2"], "model": {"labels": LABELS}})
    assert "developed by its figures on us8k-fold2: model selection" in card(steered, {"held_out": EVALUATION}, "other")
    assert "model selection" not in card(run(), {"held_out": EVALUATION}, "other")


def test_each_held_out_report_has_a_heading_and_the_command_that_measures_it_again() -> None:
    ambience = {"protocol": EVALUATION["protocol"] | {"folds": []}, "labels": {"siren": {"false_alarms": {}}}}
    alarms = {"siren": {"false_alarms": EVALUATION["labels"]["siren"]["false_alarms"]}}
    clips = {"siren": {"tagging": EVALUATION["labels"]["siren"]["tagging"]}}
    fold = EVALUATION | {"labels": clips, "protocol": EVALUATION["protocol"] | {"sources": []}}
    text = card(run(), {"held_out": fold, "held_out_ambience": EVALUATION | ambience | {"labels": alarms}}, "other")
    assert "\n### Held out: siren against the rest on us8k-fold2\n" in text
    assert "\n### Held out: false alarms on 1 held-out sources\n" in text
    assert text.count("```sh\ntrainer-cli evaluate fold2.onnx --fold us8k-fold2\n```") == 2


def test_what_the_measured_model_was_trained_without_is_told() -> None:
    other = run(excluded={"folds": ["us8k-fold2"], "groups": ["159738", "159742"], "sources": []}, seed=5)
    text = card(run(), {"held_out": EVALUATION}, "other", other_runs={"fold2": other})
    assert "code 2026.11.0, seed 5, without folds us8k-fold2; groups 159738, 159742." in text
    assert "The second model was trained" not in card(
        run(), {"held_out": EVALUATION}, "this", other_runs={"fold2": other}
    )


def test_teacher_is_named_with_licence_and_hash() -> None:
    teacher = {"name": "YAMNet", "licence": "Apache-2.0", "sha256": "cd" * 32}
    assert f"YAMNet (Apache-2.0, sha256 {'cd' * 32})" in card(run(teacher=teacher), {})
    assert run(teacher=teacher).lineage().teacher == f"YAMNet (Apache-2.0, sha256 {'cd' * 32})"
    assert "teacher" not in card(run(), {})


def test_what_of_the_teacher_is_in_the_bundle_is_told() -> None:
    teacher = {"name": "YAMNet", "licence": "Apache-2.0", "sha256": "cd" * 32}
    recipe = run().recipe | {"model": {"labels": ["siren"], "tagger_layers": 9}}
    assert "nothing of it is in this bundle" in card(run(teacher=teacher), {})
    assert "its first 9 convolutions" in card(run(teacher=teacher, recipe=recipe), {})
    assert "nothing else of it" in card(run(teacher=teacher, recipe=recipe), {})
    second = {"fitted_to": {"siren_windows": 12, "other_windows": 345}}
    whole = card(run(teacher=teacher, recipe=recipe, second_opinion=second), {})
    assert "asks all 27 of them, rounded to four bits" in whole
    assert "12 windows with a siren and 345 without of .96 s" in whole
    assert "nothing else" not in whole
    second["fitted_to"]["mixed_siren_windows"] = 67
    mixed = card(run(teacher=teacher, recipe=recipe, second_opinion=second), {})
    assert "12 windows with a siren, 67 of mixtures with one and 345 without" in mixed
    second |= {"labels": ["siren", "smoke_alarm"]}
    second["fitted_to"]["synthesized_windows"] = {"smoke_alarm": 89}
    taught = card(run(teacher=teacher, recipe=recipe, second_opinion=second), {})
    assert "smoke_alarm was taught by 89 windows of synthesized alarms in mixtures as well" in taught


def test_mixtures_that_the_teacher_heard_are_told() -> None:
    recipe = run().recipe | {"distillation": {"mixtures": 1200, "batch_size": 8}}
    assert "what that teacher hears in 8 of 1200 mixtures" in card(run(recipe=recipe), {})
    assert "mixtures" not in card(run(), {})


def test_card_without_held_out_figures_says_that_nothing_is_known() -> None:
    assert "nothing is known about new sounds" in card(run(), {})


def test_shipped_figures_are_marked_as_measured_on_training_data() -> None:
    assert "### The shipped weights, on data that they were trained on" in card(run(), {"shipped": EVALUATION})


def test_non_commercial_training_audio_is_named_with_its_counts() -> None:
    text = card(run(), {})
    assert "NON-COMMERCIAL" in text
    assert "| 1478 | UrbanSound8K CC BY-NC 3.0 |" in text


def test_false_alarms_stand_with_hours_and_interval() -> None:
    assert "| balanced | 1 | 2.50 | 0.40 | 0.01 to 2.20 | music 1 |" in card(run(), {"held_out": EVALUATION})


def test_every_operator_stands_with_its_precision() -> None:
    text = card(run(), {"quantization": QUANTIZATION})
    assert "| stem | Conv | int8 | 800 | float32 |" in text
    assert "26%" in text
    assert "speed and memory at run time are the float graph's" in text
    assert "at run time" not in card(run(), {"quantization": QUANTIZATION | {"chosen": "embedding"}})


@pytest.mark.parametrize("heading", ["Intended use", "Licence", "Training", "Figures", "Operating points", "Limits"])
def test_card_has_the_section(heading: str) -> None:
    assert f"\n## {heading}\n" in card(run(), {})


def test_single_alarms_and_classes_do_not_travel_with_the_model() -> None:
    kept = condense(EVALUATION)
    assert "alarms" not in kept["labels"]["siren"]["false_alarms"]["balanced"]
    assert "classes" not in kept["labels"]["siren"]["tagging"]
    assert kept["labels"]["siren"]["tagging"]["auc"] == 0.951235
