"""Kinds of siren as a part of the report."""

from collections.abc import Callable

from earshot_trainer.evaluate.sections import Material, Section
from earshot_trainer.evaluate.siren_kinds import LABEL, SirenKindFigures, measure_siren_kinds
from earshot_trainer.evaluate.siren_kinds_table import show_siren_kinds
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Scored


def measure_section(
    subject: Subject,
    scored: Scored,  # noqa: ARG001
    material: Material,
    advance: Callable[[int, int], None],
) -> SirenKindFigures | None:
    """Measure all kinds, by the model of each pool in turns; None for a model without the label."""
    if LABEL not in subject.presets.balanced:
        return None
    members = [subject.for_recordings(pool) for pool in material.pools] or [subject]
    return measure_siren_kinds(members, material.seed, jobs=material.jobs, advance=advance)


SIREN_KINDS = Section("kinds", measure_section, show_siren_kinds)
"""Synthesized sirens of every kind and two-tone standard."""
