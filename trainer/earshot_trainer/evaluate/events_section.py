"""The event figures as parts of the report: recorded sirens, and synthesized alarms of homes."""

from collections.abc import Callable

from earshot_node.contract.names import SIREN
from earshot_node.synth.alarms import SMOKE_ALARM
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.events import EventFigures, measure_events, measure_soundscapes
from earshot_trainer.evaluate.events_console import print_events
from earshot_trainer.evaluate.sections import Material, Section
from earshot_trainer.evaluate.soundscape_plan import SoundscapeRules
from earshot_trainer.evaluate.soundscapes import plan_alarms
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Scored

ALARM_RULES = SoundscapeRules(length_s=(40.0, 60.0), event_s=(12.0, 20.0), two_events_share=0.0)
"""An alarm sounds on until somebody comes, and one of carbon monoxide has pauses of five seconds."""


def measure_sirens(
    subject: Subject,
    scored: Scored,  # noqa: ARG001
    material: Material,
    advance: Callable[[int, int], None],
) -> EventFigures | None:
    """Measure events of sirens, mixed within each pool; None for a model without the label or without material."""
    if SIREN not in subject.presets.balanced:
        return None
    return measure_events(
        subject, _partitions(material), material.seed, label=SIREN, jobs=material.jobs, advance=advance
    )


def measure_alarms(
    subject: Subject,
    scored: Scored,  # noqa: ARG001
    material: Material,
    advance: Callable[[int, int], None],
) -> EventFigures | None:
    """Measure synthesized alarms, laid over recordings of each pool; None for a model that does not tell of them."""
    if SMOKE_ALARM not in subject.presets.balanced:
        return None
    soundscapes = plan_alarms(_partitions(material), material.seed, ALARM_RULES, SMOKE_ALARM)
    return measure_soundscapes(subject, soundscapes, material.jobs, advance)


def _partitions(material: Material) -> dict[str, tuple[Recording, ...]]:
    return {f"pool{number}": pool for number, pool in enumerate(material.pools)}


EVENTS = Section("events", measure_sirens, print_events)
ALARMS = Section("home_alarms", measure_alarms, print_events)
