"""The model card: Markdown written from the manifest, the training run and what was measured."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.names import SIREN
from earshot_trainer.network.architecture import HOP_SAMPLES, SAMPLE_RATE_HZ, TAGGER_CONVOLUTIONS, TAGGER_FROZEN_LAYERS
from earshot_trainer.packaging.card_figures import evaluation_section, quantization_section, title_of
from earshot_trainer.packaging.card_points import points_section
from earshot_trainer.packaging.figures import QUANTIZATION, SHIPPED, condense, held_out_reports
from earshot_trainer.packaging.held_out import PointsChosenOn, Whose
from earshot_trainer.packaging.markdown import table
from earshot_trainer.second_opinion.joining_others import EVERY
from earshot_trainer.training.run_record import RunRecord, SecondOpinionRecord, Summary

INTENDED_USE = """\
Home use: a microphone tells a smart home that an emergency vehicle's siren is to be heard, so that a person or an
automation takes notice. It is not a safety device. Do not let it replace a smoke alarm, a warning system or your own
ears, and let nothing dangerous depend on it alone.
"""

LIMITS = """\
- Trained on few original siren recordings (counted above): a country's siren may be missing among them.
- Steady tones (civil defence, a single-tone alarm) are the weak spot: they sound like machines and music.
- What sweeps or alternates between two tones may raise a false alarm: music, whistling, animals, horns, games,
  television.
- A siren on television is a siren to it. It cannot tell direction or distance.
- Sirens far below the background are missed. Distance, windows and codecs cost recall.
- Few hours of ambience stand behind the false alarm rates; the interval beside each rate says how little they prove.
"""

EXPECT = "These are the figures to expect on sounds that the model never heard."
HELD_OUT_NOTES: dict[Whose, str] = {
    "none": "No held-out figures were given when this bundle was made: nothing is known about new sounds.",
    "this": f"{EXPECT} They belong to the weights in this bundle.",
    "other": (
        f"{EXPECT} They belong to a second model of the same recipe that was trained without what it is measured on, "
        "not to the weights in this bundle."
    ),
    "pooled": (
        f"{EXPECT} They are out of fold: the recipe was trained several times more, each time without another part of "
        "the recordings, and each recording was judged by a model that had not heard its original. They belong to "
        "those models, not to the weights in this bundle."
    ),
}
CHOSEN_NOTE = (
    "The operating points were chosen on these very recordings, so the figures at the presets are somewhat optimistic."
)
POINTS_NOTES: dict[PointsChosenOn, str] = {
    "unknown": "What they were chosen on is not known.",
    "trained_on": "They were chosen on recordings that the model was trained on: too bold for new sounds.",
    "other_recipe": "They were chosen with a model of another recipe: they may not fit this one.",
    "held_out": "They were chosen on recordings that the model looked at was not trained on.",
}
SHIPPED_NOTE = "A check that the bundle works and can be reproduced, not a promise."


@dataclass(frozen=True)
class CardFacts:
    """What the card says beyond the manifest.

    Attributes:
        run: the run that trained the weights in the bundle.
        whose: whose figures the held-out ones are; `other_runs` trained the other models, by name, if they are others'.
        points: what kind of recordings the operating points were chosen on; `chosen_on` are their groups.
        metrics: evaluation and quantization reports in full.
    """

    run: RunRecord
    whose: Whose
    points: PointsChosenOn
    chosen_on: frozenset[str]
    metrics: dict[str, Any]
    other_runs: Mapping[str, RunRecord] = field(default_factory=dict)


def write_model_card(manifest: BundleManifest, model: bytes, facts: CardFacts) -> str:
    """Return the card as Markdown."""
    run = facts.run
    sections = [
        f"# Earshot model `{manifest.name}` {manifest.version}",
        _summary(manifest, model),
        f"## Intended use\n\n{INTENDED_USE}",
        f"## Licence\n\n{_licence(manifest, run)}",
        f"## Training\n\n{_training(run)}",
        f"## Figures\n\n{_figures(facts)}",
        f"## Operating points\n\n{POINTS_NOTES[facts.points]}\n\n{points_section(manifest)}",
    ]
    if "operators" in facts.metrics.get(QUANTIZATION, {}):
        sections.append(f"## Precision of every operator\n\n{quantization_section(facts.metrics[QUANTIZATION])}")
    others = [label for label in manifest.labels if label != SIREN]
    sections.append(f"## Limits\n\n{LIMITS}{_limits_of(others) if others else ''}")
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _limits_of(others: Sequence[str]) -> str:
    return (
        f"- What it says of {', '.join(others)} comes along for free: fewer recordings stand behind it than behind "
        "sirens, and the false alarms of its presets may be above what presets promise for sirens.\n"
    )


def _summary(manifest: BundleManifest, model: bytes) -> str:
    return (
        f"Hears {', '.join(manifest.labels)} in 16 kHz mono audio: a causal streaming network with its log-mel front "
        f"end ({manifest.mels} bands) inside, one posterior per label every {1000 * manifest.hop_s:.0f} ms. "
        f"`model.onnx` has {len(model) / 1000:.0f} kB, sha256 `{hashlib.sha256(model).hexdigest()[:16]}`."
    )


def _licence(manifest: BundleManifest, run: RunRecord) -> str:
    families = run.licence_families()
    lines = [f"**{manifest.licence}**", ""]
    if any("UrbanSound8K" in name for name in families):
        lines += [
            "Sirens and street sounds come in large part from UrbanSound8K (CC BY-NC 3.0), which bars commercial use.",
            "Many other recordings state no licence.",
        ]
    if run.heard_besides:
        lines.append("All runs that led to the weights are counted; of a licence in several, the largest number.")
    lines += ["The reference clips in this bundle are synthesized by the project.", ""]
    lines += table(("recordings", "licence as stated"), ((count, name) for name, count in families.items()))
    return "\n".join(lines)


def _training(run: RunRecord) -> str:
    sides = {"trained on": run.trained_on, "tested on": run.tested_on, "on neither side": run.on_neither_side}
    rows = [(name, *_counts(summary)) for name, summary in sides.items() if summary.recordings]
    settings = run.recipe.get("training", {})
    text = (
        f"Recipe `{run.recipe_name}` ({run.recipe_file or 'no file'}), {settings.get('steps', '?')} steps of "
        f"{settings.get('batch_size', '?')} segments, seed {run.seed}, code {run.code_version}. Training data sha256 "
        f"`{run.dataset_sha256}`. Besides recordings, training uses sirens and siren-like traps that the project "
        "synthesizes; they are never test material."
    )
    if run.started_from is not None:
        text += (
            f" It went on from a run of recipe `{run.started_from.recipe}` (seed {run.started_from.seed}, "
            f"{run.started_from.segments} segments, code {run.started_from.code_version}) "
        )
        text += f"that also heard {_besides(run)}." if run.heard_besides else "on the same recordings."
    if run.teacher is not None:
        text += f" A published tagger helped as teacher: {run.teacher}; {_of_tagger(run)}."
    if distillation := run.recipe.get("distillation"):
        text += (
            f" In each step the network also learnt what that teacher hears in {distillation['batch_size']} of "
            f"{distillation['mixtures']} mixtures of the recordings and of synthesized sounds."
        )
    if run.other_labels is not None:
        text += (
            f" What it says of {', '.join(run.other_labels.labels)} was learnt afterwards, by an output on what the "
            f"network remembers, from how sure that teacher is of these in {run.other_labels.mixtures} of the "
            "mixtures; nothing else changed by it."
        )
    if run.trained_on_everything:
        kept = "The weights in this bundle were trained on everything below."
    else:
        names = ", ".join([*run.tested_on.folds, *run.tested_on.sources])
        kept = f"The weights in this bundle were NOT trained on everything; tested on: {names}."
    header = ("", "recordings", "hours", "siren recordings", "original siren recordings")
    return "\n".join([text, "", kept, "", *table(header, rows)])


def _of_tagger(run: RunRecord) -> str:
    """What of the tagger is in the bundle; its licence asks that changes are told."""
    layers = run.recipe.get("model", {}).get("tagger_layers", 0)
    if not layers:
        return "nothing of it is in this bundle"
    began = (
        f"the network began with its first {layers} convolutions, the first {TAGGER_FROZEN_LAYERS} of them as they "
        "were but for INT8"
    )
    second = run.second_opinion
    if second is None:
        return f"{began}; nothing else of it is in this bundle"
    return (
        f"{began}; where it suspects a siren, it asks all {TAGGER_CONVOLUTIONS} of them, rounded to four bits, with an "
        f"output of the project's own, fitted to {second.fitted_to} of .96 s{_also_told(second)}"
    )


def _also_told(second: SecondOpinionRecord) -> str:
    others = [label for label in second.labels if label != SIREN]
    if not others:
        return ""
    return (
        f"; {', '.join(others)} are told by such outputs alone, every {EVERY * HOP_SAMPLES / SAMPLE_RATE_HZ:g} s, to "
        "nodes that listen for them"
        + "".join(
            f"; {label} was taught by {count} windows of synthesized alarms in mixtures as well"
            for label, count in second.fitted_to.synthesized_windows.items()
        )
    )


def _counts(summary: Summary) -> tuple[str, ...]:
    values = (summary.recordings, f"{summary.hours:.2f}", summary.siren_recordings, summary.siren_groups)
    return tuple(str(value) for value in values)


def _figures(facts: CardFacts) -> str:
    parts = [HELD_OUT_NOTES[facts.whose]]
    if facts.whose == "other":
        parts += [_other_training(run) for run in facts.other_runs.values()]
    elif facts.whose == "pooled":
        parts.append(_pooled_training(facts.other_runs))
    for report in held_out_reports(facts.metrics).values():
        parts += [f"### Held out: {title_of(report)}", *_caveats(report, facts), evaluation_section(condense(report))]
    if shipped := facts.metrics.get(SHIPPED):
        where = ", on data that they were trained on" if facts.run.trained_on_everything else ""
        parts += [f"### The shipped weights{where}", SHIPPED_NOTE, evaluation_section(condense(shipped))]
    return "\n\n".join(parts)


def _other_training(run: RunRecord) -> str:
    trained = run.trained_on
    kept_out = "; ".join(f"{what} {', '.join(names)}" for what, names in run.excluded.items() if names)
    return (
        f"The second model was trained on {trained.recordings} recordings ({trained.siren_recordings} of sirens; data "
        f"sha256 `{run.dataset_sha256}`), code {run.code_version}, seed {run.seed}, without {kept_out or 'nothing'}"
        f"{f'; it began with weights that also heard {_besides(run)}' if run.heard_besides else ''}."
    )


def _pooled_training(runs: Mapping[str, RunRecord]) -> str:
    header = ("run", "recordings", "sirens", "data sha256", "code", "seed", "trained without")
    rows = (
        (
            name,
            run.trained_on.recordings,
            run.trained_on.siren_recordings,
            f"`{run.dataset_sha256[:16]}`",
            run.code_version,
            run.seed,
            _kept_out(run),
        )
        for name, run in runs.items()
    )
    return "\n".join(table(header, rows))


def _kept_out(run: RunRecord) -> str:
    """Return the folds by name, groups and sources by number."""
    names = ", ".join(run.excluded.get("folds", ()))
    counts = [f"{len(run.excluded[what])} {what}" for what in ("sources", "groups") if run.excluded.get(what)]
    kept_out = ", ".join([*([names] if names else []), *counts]) or "nothing"
    return f"{kept_out}; begun with weights that also heard {_besides(run)}" if run.heard_besides else kept_out


def _besides(run: RunRecord) -> str:
    return f"{len(run.heard_besides)} original recordings outside this training"


def _caveats(report: dict[str, Any], facts: CardFacts) -> list[str]:
    """Return what makes held-out figures look better than new sounds would."""
    protocol, notes = report["protocol"], []
    measured = (*protocol["folds"], *protocol["sources"]) or facts.run.developed_on
    steered = [name for name in measured if name in facts.run.developed_on]
    if steered:
        notes.append(
            f"The recipe was developed by its figures on {', '.join(steered)}: model selection makes them somewhat "
            "optimistic."
        )
    if facts.chosen_on & set(protocol["groups"]):
        notes.append(CHOSEN_NOTE)
    return notes
