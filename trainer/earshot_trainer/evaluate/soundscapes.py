"""From recordings and a seed to plans of soundscapes.

Clips are often shorter than an event should last. An event is therefore made of several clips of one recording, in
their order, and from the first one again after the last. Events of labels that nearly nobody records are synthesized.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle

import numpy as np
import soundfile

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.event_material import AlarmPiece, Piece, Sound, find_pieces, order_as_recorded
from earshot_trainer.evaluate.soundscape_plan import PlannedEvent, SoundscapePlan, SoundscapeRules, Soundscapes
from earshot_trainer.segments.alarms import signals_of

BACKGROUND_MARGIN_S = 0.5
TOO_FAINT_NOTE = "very faint"
STREAM = 37
"""Of random numbers; keeps alarms here apart from those that are taught."""
Draw = Callable[[np.random.Generator], tuple[Sound, ...]]
"""One event of a group."""


def plan_soundscapes(
    partitions: Mapping[str, Sequence[Recording]],
    seed: int,
    rules: SoundscapeRules | None = None,
    label: str = "siren",
) -> Soundscapes:
    """Plan soundscapes of each partition's own recordings; a partition without events or long negatives gives none.

    Events come from all clips of `label` but for those whose note says that they are very faint: what is loud in them
    is something else. Backgrounds are long recordings without it, each used equally often. A partition's plans depend
    on its name, its recordings and the seed alone.

    Raises:
        AudioFileError: a recording cannot be read.
    """
    rules = rules or SoundscapeRules()
    left_out: dict[str, str] = {}
    plans: list[SoundscapePlan] = []
    for name, recordings in partitions.items():
        groups = _pieces_of_groups(recordings, label, rules, left_out)
        backgrounds = _backgrounds(recordings, label, rules)
        if groups and backgrounds:
            draws: dict[str, Draw] = {group: partial(_draw_event, found, rules) for group, found in groups.items()}
            rng = np.random.default_rng([seed, *name.encode()])
            plans.extend(_plan_partition(name, label, draws, backgrounds, rules, rng))
    return Soundscapes(tuple(plans), label, seed, rules, left_out)


def plan_alarms(
    partitions: Mapping[str, Sequence[Recording]], seed: int, rules: SoundscapeRules, label: str
) -> Soundscapes:
    """Plan soundscapes as `plan_soundscapes` does, whose events are the label's synthesized alarms (`signals_of`)."""
    draws: dict[str, Draw] = {name: partial(_draw_alarm, name, rules) for name in signals_of(label)}
    plans: list[SoundscapePlan] = []
    for name, recordings in partitions.items():
        if draws and (backgrounds := _backgrounds(recordings, label, rules)):
            rng = np.random.default_rng([seed, *name.encode()])
            plans.extend(_plan_partition(name, label, draws, backgrounds, rules, rng))
    return Soundscapes(tuple(plans), label, seed, rules, {}, are_synthesized=True)


def _pieces_of_groups(
    recordings: Sequence[Recording], label: str, rules: SoundscapeRules, left_out: dict[str, str]
) -> dict[str, list[Piece]]:
    """Where each group's recordings sound, in their order; groups by name."""
    found: dict[str, list[Piece]] = defaultdict(list)
    for recording in order_as_recorded(r for r in recordings if label in r.labels):
        if TOO_FAINT_NOTE in recording.note:
            left_out[recording.name] = recording.note
            continue
        if recording.kind == "long" and not rules.long_events:
            left_out[recording.name] = "long, so its label is weak: onsets in it are not known"
            continue
        pieces = find_pieces(recording, rules.active_range_db, rules.bridged_s, rules.least_piece_s)
        if not pieces:
            left_out[recording.name] = f"sounds nowhere for {rules.least_piece_s:g} s"
        found[recording.group].extend(pieces)
    return {group: found[group] for group in sorted(found) if found[group]}


def _backgrounds(recordings: Sequence[Recording], label: str, rules: SoundscapeRules) -> list[Piece]:
    """Whole long recordings without the label, as far as they are long enough."""
    whole = []
    for recording in recordings:
        if recording.kind == "long" and label not in recording.labels:
            usable_s = soundfile.info(recording.path).duration - BACKGROUND_MARGIN_S
            if usable_s >= rules.length_s[0]:
                whole.append(Piece(recording, 0, int(usable_s * SAMPLE_RATE_HZ)))
    return sorted(whole, key=lambda piece: (piece.recording.source, piece.recording.name))


def _plan_partition(
    partition: str,
    label: str,
    draws: Mapping[str, Draw],
    backgrounds: Sequence[Piece],
    rules: SoundscapeRules,
    rng: np.random.Generator,
) -> list[SoundscapePlan]:
    names = list(draws)
    waiting = [names[i] for _ in range(rules.events_per_group) for i in rng.permutation(len(names))]
    order = cycle(rng.permutation(len(backgrounds)))
    plans: list[SoundscapePlan] = []
    while waiting:
        background = _cut_background(backgrounds[next(order)], rules, rng)
        wanted = waiting[: 1 + int(rng.random() < rules.two_events_share)]
        events = _place([(group, draws[group](rng)) for group in wanted], background, rules, rng)
        del waiting[: len(events)]
        level_dbfs = round(float(rng.uniform(*rules.level_dbfs)), 2)
        layout = len(plans) // len(rules.snr_db)
        plans.extend(
            SoundscapePlan(
                partition=partition,
                layout=layout,
                label=label,
                background=background,
                events=events,
                snr_db=snr_db,
                level_dbfs=level_dbfs,
                crossfade_samples=round(rules.crossfade_s * SAMPLE_RATE_HZ),
                fade_samples=round(rules.fade_s * SAMPLE_RATE_HZ),
            )
            for snr_db in rules.snr_db
        )
    return plans


def _cut_background(whole: Piece, rules: SoundscapeRules, rng: np.random.Generator) -> Piece:
    shortest, longest = (int(seconds * SAMPLE_RATE_HZ) for seconds in rules.length_s)
    samples = int(rng.integers(shortest, min(longest, whole.samples) + 1))
    return Piece(whole.recording, int(rng.integers(0, whole.samples - samples + 1)), samples)


def _draw_alarm(signal: str, rules: SoundscapeRules, rng: np.random.Generator) -> tuple[AlarmPiece]:
    samples = round(rng.uniform(*rules.event_s) * SAMPLE_RATE_HZ)
    return (AlarmPiece(signal, (STREAM, int(rng.integers(2**31))), samples),)


def _draw_event(pieces: Sequence[Piece], rules: SoundscapeRules, rng: np.random.Generator) -> tuple[Piece, ...]:
    """Pieces from a random one on, starting over after the last, until they fill a random length."""
    wanted = round(rng.uniform(*rules.event_s) * SAMPLE_RATE_HZ)
    crossfade = round(rules.crossfade_s * SAMPLE_RATE_HZ)
    number = int(rng.integers(len(pieces)))
    first = pieces[number]
    spare = max(0, first.samples - wanted)
    begin = int(rng.integers(0, spare + 1))
    drawn = [Piece(first.recording, first.begin_sample + begin, min(wanted, first.samples))]
    missing = wanted - drawn[0].samples
    while missing > 0:
        number += 1
        piece = pieces[number % len(pieces)]
        samples = min(piece.samples, missing + crossfade)
        if samples <= 2 * crossfade:
            break
        drawn.append(Piece(piece.recording, piece.begin_sample, samples))
        missing -= samples - crossfade
    return tuple(drawn)


def _place(
    drawn: Sequence[tuple[str, tuple[Sound, ...]]],
    background: Piece,
    rules: SoundscapeRules,
    rng: np.random.Generator,
) -> tuple[PlannedEvent, ...]:
    """Lay as many of the events as fit, at least the first one, with the spare time shared out at random."""
    lead, gap, tail = (round(s * SAMPLE_RATE_HZ) for s in (rules.lead_s, rules.gap_s, rules.tail_s))
    crossfade = round(rules.crossfade_s * SAMPLE_RATE_HZ)
    lengths = [sum(p.samples for p in pieces) - crossfade * (len(pieces) - 1) for _, pieces in drawn]
    needed = lead + sum(lengths) + gap * (len(lengths) - 1) + tail
    if needed > background.samples and len(drawn) > 1:
        return _place(drawn[:1], background, rules, rng)
    shifts = np.sort(rng.integers(0, max(background.samples - needed, 0) + 1, size=len(drawn)))
    events, position = [], lead
    for (group, pieces), length, shift in zip(drawn, lengths, shifts, strict=True):
        onset = position + int(shift)
        events.append(PlannedEvent(group, pieces, onset, onset + length))
        position += length + gap
    return tuple(events)
