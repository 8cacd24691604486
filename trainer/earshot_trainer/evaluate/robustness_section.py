"""Robustness as a part of the report."""

from collections.abc import Callable

from earshot_trainer.evaluate.robustness import RobustnessFigures, measure_robustness
from earshot_trainer.evaluate.robustness_table import show_robustness
from earshot_trainer.evaluate.robustness_takes import what_is_missing
from earshot_trainer.evaluate.sections import Material, Section
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Scored

LABEL = "siren"


def measure_section(
    subject: Subject,
    scored: Scored,  # noqa: ARG001
    material: Material,
    advance: Callable[[int, int], None],
) -> RobustnessFigures | None:
    """Measure sirens under changed conditions, mixed within each pool; None without the label or without material."""
    if LABEL not in subject.presets.balanced or all(what_is_missing(pool, LABEL) for pool in material.pools):
        return None
    return measure_robustness(subject, material.pools, material.seed, label=LABEL, jobs=material.jobs, advance=advance)


ROBUSTNESS = Section("robustness", measure_section, show_robustness)
"""Recall by SNR, level, wind, codec, room, speed and microphone."""
