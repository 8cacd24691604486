"""The street scene's references hold, and the reference clips are stable."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earshot_node.synth.audibility import audible_interval, signal_to_noise_db
from earshot_node.synth.filters import rms_dbfs
from earshot_node.synth.reference import reference_clips
from earshot_node.synth.scene import StreetScene, street_scene

RATE_HZ = 16000
RELEASED = [(-19.94, 9318), (-19.93, 7345), (-19.93, 8843), (-27.58, 11627)]  # level in dBFS, zero crossings


@pytest.fixture(scope="module")
def scene() -> StreetScene:
    return street_scene()


def band_dbfs(samples: np.ndarray) -> float:
    """Level between 300 and 5000 Hz, by a brick-wall transform of its own."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1.0 / RATE_HZ)
    spectrum[(hz < 300.0) | (hz > 5000.0)] = 0.0
    return rms_dbfs(np.fft.irfft(spectrum, len(samples)))


def test_scene_is_a_minute_within_full_scale_with_three_sirens_and_three_traps(scene):
    assert scene.duration_s == 60.0
    assert scene.samples.dtype == np.float32
    assert np.isfinite(scene.samples).all()
    assert 0.1 < np.max(np.abs(scene.samples)) <= 0.95
    assert [event.kind for event in scene.sirens] == ["wail", "yelp", "hilo"]
    assert [event.kind for event in scene.traps] == ["car_horn", "melody", "reversing_beeper"]


def test_references_lie_in_order_within_the_scene_and_do_not_overlap(scene):
    assert len(scene.events) == 6
    for event in scene.events:
        assert event.present_from_s <= event.onset_s < event.offset_s <= event.present_until_s <= scene.duration_s
    for earlier, later in zip(scene.events, scene.events[1:], strict=False):
        assert earlier.present_until_s <= later.onset_s


def test_events_stand_out_from_the_quiet_stretches_as_much_as_they_claim(scene):
    quiet = scene.samples[: 2 * RATE_HZ]
    for event in scene.events:
        part = scene.samples[int(event.onset_s * RATE_HZ) : int(event.offset_s * RATE_HZ)]
        loudest = max(band_dbfs(part[at : at + RATE_HZ // 2]) for at in range(0, len(part) - RATE_HZ // 2, 800))
        assert loudest - band_dbfs(quiet) == pytest.approx(event.peak_snr_db, abs=6.0)
        assert event.peak_snr_db > 10.0


def test_siren_at_its_onset_and_offset_is_about_as_loud_as_the_background(scene):
    quiet_dbfs = band_dbfs(scene.samples[: 2 * RATE_HZ])
    for event in scene.sirens:
        for moment_s in (event.onset_s, event.offset_s):
            around = scene.samples[int((moment_s - 0.25) * RATE_HZ) : int((moment_s + 0.25) * RATE_HZ)]
            assert band_dbfs(around) - quiet_dbfs == pytest.approx(3.0, abs=6.0)


def test_background_is_there_all_the_time_at_a_realistic_level(scene):
    seconds = [rms_dbfs(scene.samples[at : at + RATE_HZ]) for at in range(0, 60 * RATE_HZ, RATE_HZ)]
    assert len(seconds) == 60
    assert min(seconds) > -55.0
    assert max(seconds) < -10.0


def test_same_seed_gives_the_same_scene_and_another_seed_another(scene):
    again = street_scene()
    np.testing.assert_array_equal(scene.samples, again.samples)
    assert scene.events == again.events
    assert not np.array_equal(scene.samples, street_scene(seed=4).samples)


def test_longer_scene_repeats_the_script_with_other_sounds(scene):
    longer = street_scene(duration_s=150.0)
    assert longer.duration_s == 150.0
    assert len(longer.sirens) == 7
    assert len(longer.traps) == 8
    assert [event.onset_s for event in longer.events] == sorted(event.onset_s for event in longer.events)
    assert {event.note for event in longer.sirens[3:]}.isdisjoint(event.note for event in scene.sirens)


def test_short_scene_leaves_out_what_does_not_fit():
    short = street_scene(duration_s=10.0)
    assert len(short.samples) == 10 * RATE_HZ
    assert [event.kind for event in short.events] == ["car_horn"]


def test_duration_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        street_scene(duration_s=0.0)


def test_wav_holds_the_scene_to_within_a_step_of_quantisation(scene, tmp_path: Path):
    scene.write_wav(tmp_path / "street.wav")
    samples, rate_hz = soundfile.read(tmp_path / "street.wav", dtype="float32")
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(samples, scene.samples, atol=1.0 / 32768)


def test_audible_interval_of_a_tone_burst_is_where_it_sounds():
    rng = np.random.default_rng(0)
    noise = (0.01 * rng.standard_normal(4 * RATE_HZ)).astype(np.float32)
    burst = np.zeros(4 * RATE_HZ, dtype=np.float32)
    burst[RATE_HZ : 3 * RATE_HZ] = 0.3 * np.sin(2.0 * np.pi * 1000.0 * np.arange(2 * RATE_HZ) / RATE_HZ)
    heard = audible_interval(burst, noise, RATE_HZ)
    assert heard is not None
    assert heard.onset_s == pytest.approx(1.0, abs=0.3)
    assert heard.offset_s == pytest.approx(3.0, abs=0.3)
    assert heard.peak_snr_db == pytest.approx(28.9, abs=1.0)  # 0.045 against 1e-4 * 4700 / 8000
    assert audible_interval(burst * 1e-4, noise, RATE_HZ) is None
    with pytest.raises(ValueError, match="samples"):
        signal_to_noise_db(burst, noise[:-1], RATE_HZ)


def test_reference_clips_are_short_sixteen_bit_and_bit_stable():
    clips = reference_clips()
    assert [(clip.name, clip.is_siren) for clip in clips] == [
        ("wail", True),
        ("yelp", True),
        ("hilo", True),
        ("traffic_and_horn", False),
    ]
    for clip, again in zip(clips, reference_clips(), strict=True):
        assert clip.pcm.dtype == np.int16
        assert 2.0 <= len(clip.pcm) / RATE_HZ <= 4.0
        assert len(clip.pcm) % 640 == 0
        np.testing.assert_array_equal(clip.pcm, again.pcm)
        np.testing.assert_array_equal(np.rint(clip.samples * 32768.0).astype(np.int16), clip.pcm)
        assert -30.0 < rms_dbfs(clip.samples) < -15.0
        assert np.max(np.abs(clip.samples)) < 0.95


def test_reference_clips_are_the_ones_that_were_released():
    """Levels and zero crossings of each clip, as first made: a change here changes every bundle's self-test."""
    facts = [
        (round(rms_dbfs(clip.samples), 2), int(np.count_nonzero(np.diff(np.signbit(clip.pcm)))))
        for clip in reference_clips()
    ]
    assert len(facts) == 4
    for (level_dbfs, crossings), (known_dbfs, known_crossings) in zip(facts, RELEASED, strict=True):
        assert level_dbfs == pytest.approx(known_dbfs, abs=0.02)
        assert crossings == pytest.approx(known_crossings, abs=20)
