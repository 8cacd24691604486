"""The model card's operating points: their settings, and what each preset gives."""

from collections.abc import Mapping
from typing import Any

from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_trainer.evaluate.point_settings import CERTAIN_MEANS, SETTINGS, settings_of
from earshot_trainer.packaging.figures import OPERATING_POINTS
from earshot_trainer.packaging.markdown import table

GIVES = (
    "What each preset gave on the recordings that it was chosen on, and in brackets what points chosen in the same way "
    "on the other parts gave on a part that had no say in it: the more honest figure."
)


def points_section(manifest: BundleManifest) -> str:
    """Return the settings of every preset, and what it gives where the manifest says so."""
    blocks = ["\n".join(_settings(manifest)), f"{CERTAIN_MEANS}."]
    if short := manifest.metrics.get(OPERATING_POINTS):
        blocks += [GIVES, "\n".join(_figures(short))]
    return "\n\n".join(blocks)


def _settings(manifest: BundleManifest) -> list[str]:
    header = ("preset (sensitivity)", "label", *SETTINGS)
    rows = []
    for preset, sensitivity in PRESET_SENSITIVITY.items():
        for label, point in getattr(manifest.presets, preset).items():
            rows.append((f"{preset} ({sensitivity:g})", label, *settings_of(point)))
    return table(header, rows)


def _figures(short: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    header = ("preset", "label", "recall of recordings", "of events at +10 dB", "false alarms", "per hour", "95 %")
    rows = []
    for label, presets in short.items():
        for preset in PRESET_SENSITIVITY:
            if (one := presets.get(preset)) is None:
                continue
            other = one.get("not_chosen_on", {})
            low, high = one["false_alarms_per_hour_interval"]
            rows.append(
                (
                    preset,
                    label,
                    f"{one['recall']:.3f}" + (f" ({other['recall']:.3f})" if other else ""),
                    "-" if one["event_recall"] is None else f"{one['event_recall']:.3f}",
                    f"{one['false_alarms']} in {one['hours']:.2f} h",
                    f"{one['false_alarms_per_hour']:.2f}"
                    + (f" ({other['false_alarms_per_hour']:.2f})" if other else ""),
                    f"{low:.2f} to {high:.2f}",
                )
            )
    return table(header, rows)
