"""The model card's tables of one evaluation report: parts, events, changed conditions, kinds of siren, speed."""

from collections.abc import Mapping
from typing import Any

from earshot_trainer.packaging.figures import rivals_of
from earshot_trainer.packaging.markdown import table

PRESET = "balanced"
NONE = "-"


def parts_section(report: Mapping[str, Any]) -> str:
    """Return a table of the parts, each judged by the model that was trained without it; empty without several."""
    blocks = []
    for label, parts in report.get("folds", {}).get("by_label", {}).items():
        rows = [
            (
                part["name"].partition("/")[0],
                f"{part['positives']} of {part['positive_groups']}",
                part["negatives"],
                _figure(part["auc"]),
                _figure(part["average_precision"]),
                _figure(part["clip_recall"]),
                f"{part['false_alarms']} in {part['hours']:.2f} h",
            )
            for part in parts
        ]
        header = ("judged by run", f"{label} clips, recordings", "other clips", "AUC", "AP", "recall", "false alarms")
        spread = _spread(report["folds"], label)
        blocks.append("\n".join([f"Part by part (recall and alarms at `{PRESET}`){spread}:", "", *table(header, rows)]))
    return "\n\n".join(blocks)


def events_section(events: Mapping[str, Any] | None) -> str:
    """Return how many events of soundscapes were heard, how soon, and the PSDS, by SNR; empty where not measured."""
    if not events:
        return ""
    rows = []
    for at_snr in events["by_snr"]:
        presets, psds = at_snr["presets"], at_snr["psds"]
        found = presets[PRESET]
        low, high = found["recall_interval"]
        rows.append(
            (
                f"{at_snr['snr_db']:+g} dB",
                f"{found['recall']:.3f} ({low:.2f} to {high:.2f})",
                *(f"{presets[name]['recall']:.3f}" for name in ("quiet", "sensitive")),
                _seconds(found["delay"]["median_s"]),
                _seconds(found["delay"]["p95_s"]),
                f"{found['extra_per_hour']:.2f}",
                f"{found['event_based']['f1']:.3f}",
                *(f"{psds[name]['value']:.3f}" for name in psds),
            )
        )
    first = events["by_snr"][0]
    header = (
        "SNR", f"recall, `{PRESET}` (95 %)", "`quiet`", "`sensitive`", "median delay", "p95", "false per hour",
        "event F1", *(name.upper() for name in first["psds"]),
    )  # fmt: skip
    count = first["presets"][PRESET]["events"]
    made_of = events.get("protocol", {}).get("events_of", "")
    of = f"{events['label']} ({made_of})" if made_of else events["label"]
    text = (
        f"Events: {count} of {of} at each SNR, mixed at known onsets into long "
        f"recordings without it, {first['presets'][PRESET]['hours']:.2f} h at each SNR; delays from the true onset, of "
        f"the events that were heard, at `{PRESET}`:"
    )
    return "\n".join([text, "", *table(header, rows)])


def robustness_section(report: Mapping[str, Any]) -> str:
    """Return recall under changed conditions, a line for each family of them; empty where not measured."""
    found = report.get("robustness")
    if not found:
        return ""
    families: dict[str, list[str]] = {}
    for one in found["conditions"]:
        name = one["name"].removeprefix(one["family"]).strip() or one["name"]
        families.setdefault(one["family"], []).append(f"{name}: {one['recall'][PRESET]:.2f}")
    plain = found["conditions"][0]
    low, high = plain["recall_interval"][PRESET]
    text = (
        f"Changed conditions: the same {found['positives']} takes of {found['groups']} recordings with "
        f"{found['label']} under each; recall at `{PRESET}`, the mean over recordings. Under the first, "
        f"{plain['name']}, the 95 % interval is {low:.2f} to {high:.2f}, `quiet` finds {plain['recall']['quiet']:.2f} "
        f"and `sensitive` {plain['recall']['sensitive']:.2f}; intervals of the others stand in the report."
    )
    rows = ((family, "; ".join(names)) for family, names in families.items())
    return "\n".join([text, "", *table(("condition", "recall"), rows)])


def kinds_section(report: Mapping[str, Any]) -> str:
    """Return which synthesized sirens are heard at PRESET, by kind and standard; empty where not measured."""
    kinds = report.get("kinds", {})
    if not kinds.get("kinds"):
        return ""
    protocol = kinds["protocol"]
    levels = list(dict.fromkeys(one["snr_db"] for one in kinds["kinds"]))
    heard: dict[str, list[str]] = {}
    for one in kinds["kinds"]:
        heard.setdefault(one["kind"], []).append(f"{one['heard'][PRESET]} of {one['takes']}")
    text = (
        f"Kinds of siren heard at `{PRESET}`, {protocol['sirens']}; {protocol['background']}. Training draws from the "
        "same synthesizer: what is not heard here is not heard outside either, what is heard here may be missed there."
    )
    header = ("siren", *(f"{snr_db:+g} dB" for snr_db in levels))
    return "\n".join([text, "", *table(header, [(kind, *counts) for kind, counts in heard.items()])])


def speed_section(report: Mapping[str, Any]) -> str:
    """Return throughput and the time of a live decision beside the rivals'; empty where not measured."""
    rows, machine = [], ""
    for measured in (report, *rivals_of(report)):
        speed = measured.get("speed", {})
        if "throughput" not in speed:
            continue
        machine = machine or speed["protocol"]["machine"]
        live = f"{speed['live_median_ms']:.2f} ms (p99 {speed['live_p99_ms']:.2f}) each {speed['live']}"
        rates = [f"{speed[name]:.0f}" if name in speed else NONE for name in ("throughput", "throughput_in_sirens")]
        rows.append((measured["subject"]["title"], *rates, live))
    if not rows:
        return ""
    header = ("model", "audio seconds per core second", "in sirens", "one live decision")
    return "\n".join([f"Speed, one thread, {machine}:", "", *table(header, rows)])


def _spread(folds: Mapping[str, Any], label: str) -> str:
    found = folds.get("average_precision", {}).get(label)
    return f", mean AP {found['mean']:.3f} with a deviation of {found['deviation']:.3f}" if found else ""


def _figure(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f} s"
