"""The model card: Markdown written from the manifest, the training run and what was measured."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_trainer.packaging.figures import HELD_OUT, QUANTIZATION, SHIPPED
from earshot_trainer.packaging.run_record import RunRecord, Summary

INTENDED_USE = """\
Home use: a microphone tells a smart home that an emergency vehicle's siren is to be heard, so that a person or an
automation takes notice. It is not a safety device. Do not let it replace a smoke alarm, a warning system or your own
ears, and do not let anything dangerous depend on it alone.
"""

LIMITS = """\
- Trained on few siren recordings, many of them from North America and Europe. Sirens of other regions are covered by
  synthesized ones only.
- Steady tones (civil defence, a single-tone alarm) are the weak spot: they sound like machines and music.
- What sounds like a sweep or a two-tone call may raise a false alarm: music, whistling, animals, horns, games, television.
- A siren on television is a siren to it. It cannot tell direction or distance.
- Very faint sirens (far below the background) are missed. Distance, windows and codecs cost recall.
- Few hours of ambience stand behind the false alarm rates; the interval beside each rate says how little they prove.
"""


def write_model_card(manifest: BundleManifest, model: bytes, run: RunRecord) -> str:
    """Return the card as Markdown."""
    sections = [
        f"# Earshot model `{manifest.name}` {manifest.version}",
        _summary(manifest, model),
        "## Intended use",
        INTENDED_USE,
        "## Licence",
        _licence(manifest, run),
        "## Training",
        _training(run),
        "## Figures",
        _figures(manifest.metrics, run),
        "## Operating points",
        _operating_points(manifest),
        *_quantization(manifest.metrics.get(QUANTIZATION)),
        "## Limits",
        LIMITS,
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _summary(manifest: BundleManifest, model: bytes) -> str:
    decision_ms = 1000 * manifest.hop_s
    return (
        f"Hears {', '.join(manifest.labels)} in 16 kHz mono audio: a causal streaming network with the log-mel front end "
        f"({manifest.mels} bands) inside, one posterior per label every {decision_ms:.0f} ms. "
        f"`model.onnx` has {len(model) / 1000:.0f} kB, sha256 `{hashlib.sha256(model).hexdigest()[:16]}`."
    )


def _licence(manifest: BundleManifest, run: RunRecord) -> str:
    families = run.licence_families()
    lines = [
        f"**{manifest.licence}**",
        "",
        "Sirens and street sounds come in large part from UrbanSound8K (CC BY-NC 3.0), which bars commercial use; many "
        "other recordings state no licence. The reference clips in this bundle are synthesized by the project.",
        "",
        *_table(("recordings", "licence as stated"), ((count, name) for name, count in families.items())),
    ]
    if not any("UrbanSound8K" in name for name in families):
        lines[2] = "The reference clips in this bundle are synthesized by the project."
    return "\n".join(lines)


def _training(run: RunRecord) -> str:
    sides = {
        "trained on": run.trained_on,
        "tested on": run.tested_on,
        "on neither side": run.on_neither_side,
    }
    rows = [(name, *_side(summary)) for name, summary in sides.items() if summary.recordings]
    training = run.recipe.get("training", {})
    told = "" if run.trained_on_everything else f" {_kept_out(run)}"
    return "\n".join(
        [
            f"Recipe `{run.recipe_name}` ({run.recipe_file}), {training.get('steps', '?')} steps of "
            f"{training.get('batch_size', '?')} segments, seed {run.seed}, code {run.code_version}. "
            f"Training data sha256 `{run.dataset_sha256}`. Besides recordings, training uses sirens and siren-like traps "
            f"synthesized by the project, never as test material.{told}",
            "",
            *_table(("", "recordings", "hours", "siren recordings", "of original recordings"), rows),
        ]
    )


def _side(summary: Summary) -> tuple[str, ...]:
    values = (summary.recordings, f"{summary.hours:.2f}", summary.siren_recordings, summary.siren_groups)
    return tuple(str(value) for value in values)


def _kept_out(run: RunRecord) -> str:
    kept = ", ".join([*run.tested_on.folds, *run.tested_on.sources])
    return f"These weights were NOT trained on everything; kept out: {kept}."


def _figures(metrics: dict[str, Any], run: RunRecord) -> str:
    parts = []
    if HELD_OUT in metrics:
        parts.append(
            "### Held out: the same recipe, trained without what it is measured on\n\n"
            "These are the figures to expect on sounds that the model never heard. "
            + (
                "They belong to a second model of the same recipe and seed, not to the shipped weights, which were trained "
                "on everything afterwards and therefore cannot be measured on this data."
                if run.trained_on_everything
                else "They belong to the weights in this bundle."
            )
            + "\n\n"
            + _evaluation(metrics[HELD_OUT])
        )
    else:
        parts.append("No held-out figures were given when this bundle was made: nothing is known about new sounds.")
    if SHIPPED in metrics:
        parts.append(
            "### The shipped weights"
            + (" on data that they were trained on" if run.trained_on_everything else "")
            + "\n\nA check that the bundle works and is reproducible, not a promise.\n\n"
            + _evaluation(metrics[SHIPPED])
        )
    return "\n\n".join(parts)


def _evaluation(report: dict[str, Any]) -> str:
    protocol = report.get("protocol", {})
    selected = [
        *(f"fold {name}" for name in protocol.get("folds", ())),
        *(f"source {name}" for name in protocol.get("sources", ())),
        *(f"without group {name}" for name in protocol.get("excluded_groups", ())),
    ]
    lines = [
        f"Protocol: {protocol.get('recordings', '?')} recordings ({protocol.get('clips', '?')} clips, "
        f"{protocol.get('long_recordings', '?')} long), {', '.join(selected) or 'everything in the manifests'}; data sha256 "
        f"`{protocol.get('data_sha256', '?')[:16]}`; clip score = {protocol.get('clip_score', '?')}; decision = "
        f"{protocol.get('clip_decision', '?')}. Reproduce with `trainer-cli evaluate`.",
    ]
    for label, figures in report.get("labels", {}).items():
        lines += ["", *_label_figures(label, figures)]
    return "\n".join(lines)


def _label_figures(label: str, figures: dict[str, Any]) -> list[str]:
    lines = []
    if tagging := figures.get("tagging"):
        low, high = tagging["auc_interval"]
        lines += [
            f"**{label}**: AUC {tagging['auc']:.4f} (95 % {low:.3f} to {high:.3f}, resampling recordings), average precision "
            f"{tagging['average_precision']:.4f}; {tagging['positives']} clips of {tagging['positive_groups']} recordings "
            f"against {tagging['negatives']} others.",
            "",
            *_table(
                ("clips decided by", "precision", "recall", "F1"),
                [
                    *((name, *_shares(values)) for name, values in tagging["at_presets"].items()),
                    (
                        f"score >= {tagging['best_threshold']:.3f} (best F1, chosen on these clips)",
                        *_shares(tagging["at_best"]),
                    ),
                ],
            ),
            "",
        ]
    if alarms := figures.get("false_alarms"):
        rows = [
            (
                name,
                v["count"],
                f"{v['hours']:.2f}",
                f"{v['per_hour']:.2f}",
                "{:.2f} to {:.2f}".format(*v["per_hour_interval"]),
            )
            for name, v in alarms.items()
        ]
        lines += _table(("preset", f"false alarms ({label})", "hours", "per hour", "95 % interval"), rows)
    return lines


def _shares(values: dict[str, Any]) -> tuple[str, str, str]:
    return f"{values['precision']:.3f}", f"{values['recall']:.3f}", f"{values['f1']:.3f}"


def _operating_points(manifest: BundleManifest) -> str:
    columns = ("preset (sensitivity)", "label", "enter", "leave", "min length", "bridging", "cooldown")
    rows = []
    for preset, sensitivity in PRESET_SENSITIVITY.items():
        for label, point in getattr(manifest.presets, preset).items():
            seconds = (f"{value:g} s" for value in (point.min_length_s, point.bridging_s, point.cooldown_s))
            rows.append((f"{preset} ({sensitivity:g})", label, f"{point.enter:g}", f"{point.leave:g}", *seconds))
    return "\n".join(_table(columns, rows))


def _quantization(report: dict[str, Any] | None) -> Sequence[str]:
    if not report or "operators" not in report:
        return ()
    operators = (
        (o["layer"], o["kind"], o["weights"], o["weight_count"], o["activations"]) for o in report["operators"]
    )
    candidates = (
        (c["name"], f"{c['mean_deviation']:.5f}", f"{c['relative_time']:.2f}", c["file_bytes"], c["verdict"])
        for c in report.get("candidates", ())
    )
    text = [
        f"Stored tensors take {report['int8_weight_bytes']} bytes, {report.get('weight_share', 0):.0%} of the float graph's "
        f"{report['float_weight_bytes']}. Chosen: `{report['chosen']}`.",
        "",
        *_table(("candidate", "mean deviation", "time", "bytes", "verdict"), candidates),
        "",
        *_table(("layer", "operator", "weights", "how many", "activations"), operators),
    ]
    return ("## Precision of every operator", "\n".join(text))


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a Markdown table's lines."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows]
    return lines
