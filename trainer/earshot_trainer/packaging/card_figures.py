"""The model card's measured part: evaluation reports and quantization as Markdown."""

from typing import Any

from earshot_trainer.packaging.card_parts import (
    events_section,
    kinds_section,
    parts_section,
    robustness_section,
    speed_section,
)
from earshot_trainer.packaging.card_rivals import rivals_section
from earshot_trainer.packaging.figures import is_pooled
from earshot_trainer.packaging.markdown import table

WEIGHTS_ONLY = "weights"


def evaluation_section(report: dict[str, Any]) -> str:
    """Return an evaluation report (`trainer-cli evaluate --json`): protocol first, then each label's figures."""
    protocol = report.get("protocol", {})
    selected = [
        *(f"fold {name}" for name in protocol.get("folds", ())),
        *(f"source {name}" for name in protocol.get("sources", ())),
        *(f"without group {name}" for name in protocol.get("excluded_groups", ())),
    ]
    subject = report.get("subject", {})
    hashed = "hash over the graphs' hashes" if is_pooled(report) else "graph sha256"
    text = (
        f"Protocol: {protocol.get('recordings', '?')} recordings ({protocol.get('clips', '?')} clips, "
        f"{protocol.get('long_recordings', '?')} long), {', '.join(selected) or 'everything in the manifests'}; "
        f"data sha256 `{protocol.get('data_sha256', '?')[:16]}`; {hashed} "
        f"`{subject.get('model_sha256', '?')[:16]}`; clip score = {protocol.get('clip_score', '?')}; decision = "
        f"{protocol.get('clip_decision', '?')}; operating points: {subject.get('presets_origin', '?')}."
    )
    parts = [
        text,
        f"To measure it again:\n\n```sh\n{command}\n```" if (command := report.get("command")) else "",
        *(_label_figures(label, figures) for label, figures in report.get("labels", {}).items()),
        parts_section(report),
        rivals_section(report),
        events_section(report.get("events")),
        events_section(report.get("home_alarms")),
        robustness_section(report),
        kinds_section(report),
        speed_section(report),
    ]
    return "\n\n".join(part for part in parts if part)


def title_of(report: dict[str, Any]) -> str:
    """Return what an evaluation measured, in a few words for a heading."""
    protocol = report.get("protocol", {})
    folds, sources = protocol.get("folds", ()), protocol.get("sources", ())
    where = " and ".join([*folds, *([f"{len(sources)} held-out sources"] if sources else [])]) or "all recordings"
    labels = report.get("labels", {})
    ranked = [label for label, figures in labels.items() if figures.get("tagging")]
    found = [f"{', '.join(ranked)} against the rest"] if ranked else []
    found += ["false alarms"] if any(figures.get("false_alarms") for figures in labels.values()) else []
    how = ", out of fold" if is_pooled(report) else ""
    return f"{' and '.join(found) or 'evaluation'} on {where}{how}"


def quantization_section(report: dict[str, Any]) -> str:
    """Return the quantization report: what was tried, and which operator is stored and computed how."""
    candidates = (
        (
            c["name"],
            f"{c['mean_deviation']:.5f}",
            f"{c['relative_time']:.2f}",
            f"{c['relative_block_time']:.2f}",
            c["file_bytes"],
            c["verdict"],
        )
        for c in report.get("candidates", ())
    )
    weighted = [o for o in report["operators"] if o["weights"] != "none"]
    operators = ((o["layer"], o["kind"], o["weights"], o["weight_count"], o["activations"]) for o in weighted)
    rest = [o["activations"] for o in report["operators"] if o["weights"] == "none"]
    in_int8 = rest.count("int8")
    text = (
        f"Stored tensors take {report['int8_weight_bytes']} bytes, {report.get('weight_share', 0):.0%} of the float "
        f"graph's {report['float_weight_bytes']}. Chosen: `{report['chosen']}`."
    )
    if report["chosen"] == WEIGHTS_ONLY:
        text += (
            " onnxruntime restores them to float when it loads the graph: INT8 is how the weights are stored and sent; "
            "speed and memory at run time are the float graph's. INT8 activations were tried and measured as below."
        )
    tried = table(("candidate", "mean deviation", "time, 40 ms", "time, 10 s", "bytes", "verdict"), candidates)
    made_of = table(("layer", "operator", "weights", "how many", "activations"), operators)
    return "\n".join(
        [
            text,
            "",
            *tried,
            "",
            *made_of,
            "",
            f"The other {len(rest)} operators hold no weights: {_precisions(in_int8, len(rest) - in_int8)}.",
        ]
    )


def _precisions(in_int8: int, in_float: int) -> str:
    return f"{in_int8} INT8, {in_float} float32" if in_int8 else "float32"


def _label_figures(label: str, figures: dict[str, Any]) -> str:
    parts = []
    if tagging := figures.get("tagging"):
        parts += [_tagging_text(label, tagging), "\n".join(_tagging_table(tagging))]
    if alarms := figures.get("false_alarms"):
        rows = (
            (
                preset,
                found["count"],
                f"{found['hours']:.2f}",
                f"{found['per_hour']:.2f}",
                "{:.2f} to {:.2f}".format(*found["per_hour_interval"]),
                ", ".join(f"{name} {count}" for name, (count, _) in found["by_class"].items()) or "none",
            )
            for preset, found in alarms.items()
        )
        header = ("preset", f"false alarms ({label})", "hours", "per hour", "95 %, exact Poisson", "caused by")
        parts.append("\n".join(table(header, rows)))
    return "\n\n".join(parts)


def _tagging_text(label: str, tagging: dict[str, Any]) -> str:
    low, high = tagging["auc_interval"]
    return (
        f"**{label}**: AUC {tagging['auc']:.4f} (95 % {low:.3f} to {high:.3f}, resampling recordings), average "
        f"precision {tagging['average_precision']:.4f}; {tagging['positives']} clips of "
        f"{tagging['positive_groups']} recordings against {tagging['negatives']} others."
    )


def _tagging_table(tagging: dict[str, Any]) -> list[str]:
    best = f"score >= {tagging['best_threshold']:.3f} (best F1, chosen on these clips)"
    decided = {**tagging["at_presets"], best: tagging["at_best"]}
    rows = ((name, *(f"{d[key]:.3f}" for key in ("precision", "recall", "f1"))) for name, d in decided.items())
    return table(("clips decided by", "precision", "recall", "F1"), rows)
