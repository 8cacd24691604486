"""The event figures as a part of the report."""

from collections.abc import Callable

from earshot_trainer.evaluate.events import EventFigures, measure_events
from earshot_trainer.evaluate.events_console import print_events
from earshot_trainer.evaluate.sections import Material, Section
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Scored

LABEL = "siren"


def measure_section(
    subject: Subject,
    scored: Scored,  # noqa: ARG001
    material: Material,
    advance: Callable[[int, int], None],
) -> EventFigures | None:
    """Measure events of sirens, mixed within each pool; None for a model without the label or without material."""
    if LABEL not in subject.presets.balanced:
        return None
    partitions = {f"pool{number}": pool for number, pool in enumerate(material.pools)}
    return measure_events(subject, partitions, material.seed, label=LABEL, jobs=material.jobs, advance=advance)


EVENTS = Section("events", measure_section, print_events)
