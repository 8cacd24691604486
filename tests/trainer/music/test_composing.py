"""Pieces: drawn the same each time, within their length, and of every role."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from earshot_trainer.music.composing import DRUM_KEYS, GLIDE_TURN, HELD_S, KEYS, ROLES, compose


def test_the_same_draw_is_the_same_piece_and_another_is_another() -> None:
    first, again, other = (compose(np.random.default_rng(seed), 20.0) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@given(seed=st.integers(0, 2**32), seconds=st.floats(1.0, 60.0))
def test_notes_begin_within_the_piece_and_can_be_played(seed: int, seconds: float) -> None:
    piece = compose(np.random.default_rng(seed), seconds)
    assert 1 <= len(piece.parts) <= 5
    for part in piece.parts:
        for note in part.notes:
            assert 0.0 <= note.start_s < seconds
            assert note.end_s > note.start_s
            assert note.key in KEYS
            assert 1 <= note.velocity <= 127
            assert -8192 <= note.glide <= 8191
            assert not note.glide or note.start_s < note.glide_end_s <= note.end_s + 1e-9
        for value in (part.volume, part.reverb, part.vibrato):
            assert 0 <= value <= 127


def test_every_role_is_drawn_and_plays_what_it_says() -> None:
    parts = [part for seed in range(300) for part in compose(np.random.default_rng(seed), 20.0).parts]
    by_role = {role: [part for part in parts if part.role == role] for role in (*ROLES, "drums")}
    assert min(len(found) for found in by_role.values()) > 20
    held = [note.end_s - note.start_s for part in by_role["held"] for note in part.notes]
    assert min(held) > 0.5 * HELD_S[0]
    assert max(held) <= HELD_S[1]
    assert {note.key for part in by_role["drums"] for note in part.notes} == set(DRUM_KEYS)
    assert all(part.program is None for part in by_role["drums"])
    chord = next(part for part in by_role["chords"] if part.notes)
    assert len({note.start_s for note in chord.notes}) < len(chord.notes)
    slides = [
        (abs(note.glide) / 8192 * part.wheel_semitones, note.glide > 0)
        for part in by_role["slides"]
        for note in part.notes
    ]
    assert min(semitones for semitones, _ in slides) > 2.0
    assert max(semitones for semitones, _ in slides) > 20.0
    assert 0.4 < np.mean([rises for _, rises in slides]) < 0.6
    assert max(abs(note.glide) for part in by_role["melody"] for note in part.notes) == GLIDE_TURN
    programs = {part.program for part in parts} - {None}
    assert len(programs) > 100


def test_a_piece_says_what_plays() -> None:
    piece = compose(np.random.default_rng(1), 5.0)
    assert str(piece).count(",") == len(piece.parts) - 1
    assert str(piece).startswith(f"{piece.parts[0].role} {piece.parts[0].program}")
