"""Every condition does what its name says, and keeps the sound where it was."""

from collections.abc import Callable

import numpy as np
import pytest

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.synth.acoustics import doppler_ratio, reception_s
from earshot_node.synth.filters import Samples, rms_dbfs
from earshot_node.synth.reference import reference_clips
from earshot_trainer.evaluate.conditions import background, codec, microphone, room, speed
from earshot_trainer.evaluate.conditions.catalogue import (
    LEVEL_DBFS,
    PLAIN,
    SNR_DB,
    SPEED_FACTOR,
    SPEED_KM_H,
    WIND_SNR_DB,
    all_conditions,
)
from earshot_trainer.evaluate.conditions.take import (
    LEAD_S,
    LEAD_SAMPLES,
    REFERENCE_DBFS,
    SELF_NOISE_DBFS,
    TAKE_SAMPLES,
    Condition,
    Take,
    active_dbfs,
)

SOUND_SAMPLES = TAKE_SAMPLES - LEAD_SAMPLES
TONE_HZ = 1000.0
CONDITIONS = {condition.name: condition for condition in all_conditions() if not condition.missing}
HEARD_ALONE = [
    name
    for name, condition in CONDITIONS.items()
    if condition.family in ("level", "codec", "pass-by", "speed", "microphone") or name in (PLAIN, "as recorded")
]


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def make_take(sound: Samples) -> Take:
    """A take whose sound fills its place; the background is noise with a slow swell."""
    whole = np.zeros(TAKE_SAMPLES, np.float32)
    whole[LEAD_SAMPLES : LEAD_SAMPLES + len(sound)] = sound
    active = np.zeros(TAKE_SAMPLES, np.bool_)
    active[LEAD_SAMPLES : LEAD_SAMPLES + len(sound)] = True
    swell = np.linspace(0.2, 1.0, TAKE_SAMPLES)
    street = (np.random.default_rng(9).standard_normal(TAKE_SAMPLES) * swell * 0.03).astype(np.float32)
    return Take(whole, active, street)


def tone(frequency_hz: float = TONE_HZ, amplitude: float = 0.2) -> Take:
    time_s = np.arange(SOUND_SAMPLES) / SAMPLE_RATE_HZ
    return make_take((amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32))


def hiss() -> Take:
    return make_take((0.1 * np.random.default_rng(3).standard_normal(SOUND_SAMPLES)).astype(np.float32))


@pytest.fixture(scope="module")
def wail() -> Take:
    return make_take(next(clip.samples for clip in reference_clips() if clip.name == "wail")[:SOUND_SAMPLES])


@pytest.fixture(scope="module")
def heard_once(wail: Take) -> dict[str, Samples]:
    return {name: condition.apply(wail, rng()) for name, condition in CONDITIONS.items()}


def pitch_hz(samples: Samples) -> float:
    length = 16 * len(samples)
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples)), length)))) * SAMPLE_RATE_HZ / length


def lag_samples(before: Samples, after: Samples, reach: int = 1600) -> int:
    """By how much `after` is late, the place of the largest cross-correlation."""
    spectrum = np.fft.rfft(after, 2 * TAKE_SAMPLES) * np.conj(np.fft.rfft(before, 2 * TAKE_SAMPLES))
    correlation = np.fft.irfft(spectrum)
    lags = np.arange(-reach, reach + 1)
    return int(lags[np.argmax(correlation[lags])])


def band_dbfs(samples: Samples, low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequency_hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    inside = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
    return float(10 * np.log10(spectrum[inside].sum() * 2 / len(samples) ** 2 + 1e-30))


def test_conditions_have_names_of_their_own_and_plain_leads() -> None:
    every = all_conditions()
    assert len({condition.name for condition in every}) == len(every) == 42
    assert every[0].name == PLAIN


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_condition_is_a_pure_function(condition: Condition, wail: Take, heard_once: dict[str, Samples]) -> None:
    before = wail.sound.copy(), wail.background.copy()
    heard = condition.apply(wail, rng())
    assert np.array_equal(heard, heard_once[condition.name])
    assert np.array_equal(before[0], wail.sound)
    assert np.array_equal(before[1], wail.background)
    assert (heard.dtype, heard.shape) == (np.float32, (TAKE_SAMPLES,))
    assert 0.001 < np.abs(heard).max() <= 1.05


@pytest.mark.parametrize("name", HEARD_ALONE)
def test_nothing_is_heard_before_the_sound_and_the_sound_is_not_late(name: str, heard_once: dict[str, Samples]) -> None:
    heard = heard_once[name]
    lead, start = heard[: LEAD_SAMPLES - 800], heard[LEAD_SAMPLES : LEAD_SAMPLES + 800]
    quiet_dbfs = rms_dbfs(lead - lead.mean())
    noise_dbfs = {"self-noise -50 dBFS": -50.0, "mains hum -25 dBFS": -25.0}.get(name, -60.0)
    assert quiet_dbfs < noise_dbfs + 0.5
    if "hum" not in name and "110" not in name:
        assert rms_dbfs(start - start.mean()) > quiet_dbfs + 6


@pytest.mark.parametrize("snr_db", SNR_DB)
def test_snr_measured_in_the_recording_is_the_one_that_was_asked_for(snr_db: int, wail: Take) -> None:
    heard = CONDITIONS[f"SNR {snr_db:+d} dB"].apply(wail, rng())
    parts = np.stack([wail.sound, wail.background], axis=1)
    (sound_gain, background_gain), *_ = np.linalg.lstsq(parts, heard, rcond=None)
    sound_dbfs = active_dbfs(wail.sound * sound_gain, wail.active)
    background_dbfs = rms_dbfs(wail.background[LEAD_SAMPLES:] * background_gain)
    assert sound_dbfs - background_dbfs == pytest.approx(snr_db, abs=0.1)
    assert active_dbfs(heard, wail.active) == pytest.approx(REFERENCE_DBFS, abs=0.3)


@pytest.mark.parametrize("snr_db", WIND_SNR_DB)
def test_wind_is_as_loud_as_asked_for(snr_db: int, wail: Take) -> None:
    heard = background.in_wind(wail, rng(), snr_db)
    gain = np.dot(heard, wail.sound) / np.dot(wail.sound, wail.sound)
    rest = heard - gain * wail.sound
    measured = active_dbfs(gain * wail.sound, wail.active) - rms_dbfs(rest[LEAD_SAMPLES:])
    assert measured == pytest.approx(snr_db, abs=1.0)
    assert band_dbfs(rest, 20, 400) > band_dbfs(rest, 1000, 8000) + 10


def test_silent_background_is_refused(wail: Take) -> None:
    with pytest.raises(ValueError, match="silent"):
        background.mix_at(wail, np.zeros(TAKE_SAMPLES, np.float32), 0.0)


def test_background_alone_holds_none_of_the_sound(wail: Take) -> None:
    heard = background.background_alone(wail, rng())
    assert abs(np.corrcoef(heard, wail.sound)[0, 1]) < 0.02
    assert rms_dbfs(heard[LEAD_SAMPLES:]) == pytest.approx(REFERENCE_DBFS, abs=0.05)


@pytest.mark.parametrize("level_dbfs", LEVEL_DBFS)
def test_level_is_that_of_the_name_over_self_noise(level_dbfs: int) -> None:
    take = tone(amplitude=0.03)
    heard = CONDITIONS[f"level {level_dbfs} dBFS"].apply(take, rng())
    assert active_dbfs(heard, take.active) == pytest.approx(level_dbfs, abs=0.1)
    assert rms_dbfs(heard[:LEAD_SAMPLES]) == pytest.approx(SELF_NOISE_DBFS, abs=0.2)
    steps = heard * 32768
    assert np.array_equal(steps, np.rint(steps))


@pytest.mark.parametrize("law", ["ALAW", "ULAW"])
def test_g711_ends_below_4_khz_and_leaves_the_rest_in_place(law: str) -> None:
    plain = background.at_level(hiss(), rng())
    heard = codec.g711(plain, law)
    assert band_dbfs(heard, 4200, 8000) < band_dbfs(plain, 4200, 8000) - 40
    assert band_dbfs(heard, 300, 3400) == pytest.approx(band_dbfs(plain, 300, 3400), abs=0.3)
    assert lag_samples(plain, heard) == 0


@pytest.mark.parametrize("law", ["ALAW", "ULAW"])
def test_g711_noise_is_that_of_eight_companded_bits(law: str) -> None:
    plain = background.at_level(tone(), rng())
    error = codec.g711(plain, law) - plain
    ratio_db = rms_dbfs(plain[LEAD_SAMPLES:-100]) - band_dbfs(error[LEAD_SAMPLES:-100], 20, 3800)
    assert 34 < ratio_db < 41


def test_opus_has_the_bit_rate_of_its_name_and_no_delay(wail: Take) -> None:
    plain = background.at_level(wail, rng())
    coded = codec.encode_opus(plain, 24_000)
    assert len(coded.getvalue()) * 8 * SAMPLE_RATE_HZ / len(plain) == pytest.approx(24_000, rel=0.25)
    heard = codec.opus(plain, 24_000)
    assert lag_samples(plain, heard) == 0
    assert 0.8 < np.corrcoef(plain, heard)[0, 1] < 0.9999


@pytest.mark.ffmpeg
def test_aac_leaves_no_delay(wail: Take) -> None:
    plain = background.at_level(wail, rng())
    heard = codec.aac(plain, 32_000)
    assert lag_samples(plain, heard) == 0
    assert 0.8 < np.corrcoef(plain, heard)[0, 1] < 0.9999


def test_aac_without_ffmpeg_says_why_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    missing = {condition.name: condition.missing for condition in all_conditions() if condition.missing}
    assert missing == {"AAC 32 kbit/s": "ffmpeg is not installed; try `sudo apt-get install ffmpeg`"}


@pytest.mark.parametrize("shape", [room.SMALL_ROOM, room.LARGE_ROOM])
def test_room_falls_60_db_in_its_reverberation_time(shape: room.Room) -> None:
    response = room.room_response(shape)
    decay_db = 10 * np.log10(np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1] + 1e-30)
    decay_db -= decay_db[0]
    first, last = np.argmax(decay_db < -5), np.argmax(decay_db < -25)
    measured_s = 3.0 * (last - first) / SAMPLE_RATE_HZ
    assert measured_s == pytest.approx(shape.reverberation_s, rel=0.1)


def test_room_response_begins_with_the_direct_sound_and_its_first_reflection_is_the_floor() -> None:
    shape = room.Room((10.0, 10.0, 10.0), (3.0, 5.0, 1.0), (7.0, 5.0, 1.0), 1.0)
    response = room.room_response(shape)
    assert response[0] == 1.0
    late_s = (np.hypot(4.0, 2.0) - 4.0) / 343.0
    first = int(np.flatnonzero(np.abs(response[1:]) > 0.1)[0]) + 1
    assert first / SAMPLE_RATE_HZ == pytest.approx(late_s, abs=0.05 / 343.0 + 1 / SAMPLE_RATE_HZ)


def test_large_room_reverberates_longer_after_the_sound_than_the_small_one() -> None:
    take = make_take(hiss().sound[LEAD_SAMPLES : LEAD_SAMPLES + SOUND_SAMPLES // 2])
    tail = slice(LEAD_SAMPLES + SOUND_SAMPLES // 2 + 4000, None)
    small, large = (room.in_room(take, rng(), shape) for shape in (room.SMALL_ROOM, room.LARGE_ROOM))
    assert rms_dbfs(large[tail]) > rms_dbfs(small[tail]) + 6
    assert active_dbfs(large, take.active) == pytest.approx(REFERENCE_DBFS, abs=0.1)


def test_wall_adds_echoes_but_the_direct_sound_stays_where_it_was() -> None:
    take = make_take(np.eye(1, 400, dtype=np.float32)[0])
    heard = room.before_wall(take, rng())
    assert abs(int(np.argmax(np.abs(heard))) - LEAD_SAMPLES) <= 1
    wall_late_s = (np.abs(2 * room.STREET.wall_m - room.STREET_DISTANCE_M) - room.STREET_DISTANCE_M) / 343.0
    around = LEAD_SAMPLES + round(wall_late_s * SAMPLE_RATE_HZ)
    assert np.abs(heard[around - 3 : around + 4]).max() > 5 * np.sqrt(np.mean(np.square(heard[around + 50 :])))


def test_across_a_town_the_echo_outlasts_the_sound_and_high_tones_fade() -> None:
    take = make_take(hiss().sound[LEAD_SAMPLES : LEAD_SAMPLES + SOUND_SAMPLES // 2])
    near, far = room.in_room(take, rng(), room.LARGE_ROOM), room.across_town(take, rng())
    tail = slice(LEAD_SAMPLES + SOUND_SAMPLES // 2 + 8000, None)
    assert rms_dbfs(far[tail]) > rms_dbfs(near[tail]) + 6
    assert active_dbfs(far, take.active) == pytest.approx(REFERENCE_DBFS, abs=0.1)
    lost_db = [band_dbfs(near, *band) - band_dbfs(far, *band) for band in ((300, 1000), (4000, 7000))]
    assert lost_db[1] > lost_db[0] + 10


@pytest.mark.parametrize(("low_hz", "high_hz", "loss_db"), [(225, 275, 12.0), (950, 1050, 22.0), (1900, 2100, 27.0)])
def test_closed_window_takes_what_a_closed_window_takes(low_hz: float, high_hz: float, loss_db: float) -> None:
    take = hiss()
    plain, heard = background.at_level(take, rng()), room.behind_window(take, rng())
    # A room is never flat: a few decibels either way in a narrow band.
    assert band_dbfs(plain, low_hz, high_hz) - band_dbfs(heard, low_hz, high_hz) == pytest.approx(loss_db, abs=4.0)


def test_snr_behind_a_window_is_that_of_what_is_left_of_the_sound(wail: Take) -> None:
    heard = room.behind_window_at_snr(wail, rng(), 5.0)
    gain = np.dot(heard[:LEAD_SAMPLES], wail.background[:LEAD_SAMPLES]) / np.sum(wail.background[:LEAD_SAMPLES] ** 2)
    rest = heard - gain * wail.background
    measured = active_dbfs(rest, wail.active) - rms_dbfs(gain * wail.background[LEAD_SAMPLES:])
    assert measured == pytest.approx(5.0, abs=0.3)


@pytest.mark.parametrize("speed_km_h", SPEED_KM_H)
@pytest.mark.parametrize("heard_s", [LEAD_S + 0.4, LEAD_S + 3.4])
def test_pitch_of_a_passing_tone_follows_the_doppler_ratio(speed_km_h: float, heard_s: float) -> None:
    passage = speed.passage_at(speed_km_h)
    heard = speed.passing_by(tone(), rng(), speed_km_h)
    sent_s = np.linspace(0.0, 7.0, 7001)
    onset_delay_s = reception_s(passage, np.array([LEAD_S]))[0] - LEAD_S
    emission_s = float(np.interp(heard_s + onset_delay_s, reception_s(passage, sent_s), sent_s))
    middle = round(heard_s * SAMPLE_RATE_HZ)
    measured = pitch_hz(heard[middle - 1200 : middle + 1200]) / TONE_HZ
    assert measured == pytest.approx(doppler_ratio(passage, emission_s), abs=0.003)
    assert (measured > 1.0) == (heard_s < LEAD_S + 2.0)


def test_passing_vehicle_is_loudest_in_the_middle() -> None:
    take = tone()
    heard = speed.passing_by(take, rng(), 80.0)
    assert active_dbfs(heard, take.active) == pytest.approx(REFERENCE_DBFS, abs=0.1)
    start, middle = (heard[LEAD_SAMPLES + at : LEAD_SAMPLES + at + 8000] for at in (0, 28_000))
    assert rms_dbfs(middle) > rms_dbfs(start) + 6


@pytest.mark.parametrize("factor", SPEED_FACTOR)
def test_speed_factor_raises_pitch_and_shortens_by_the_same(factor: float) -> None:
    take = make_take(tone().sound[LEAD_SAMPLES : LEAD_SAMPLES + 32_000])
    heard = speed.at_speed(take, rng(), factor)
    assert pitch_hz(heard[LEAD_SAMPLES : LEAD_SAMPLES + 16_000]) == pytest.approx(TONE_HZ * factor, rel=0.002)
    end = LEAD_SAMPLES + round(32_000 / factor)
    assert rms_dbfs(heard[end - 1000 : end - 100]) == pytest.approx(REFERENCE_DBFS, abs=0.3)
    assert rms_dbfs(heard[end + 200 :]) < SELF_NOISE_DBFS + 3


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_node_resampler_gives_the_plain_take_back(rate_hz: int, wail: Take) -> None:
    plain = background.at_level(wail, rng())
    heard = microphone.captured_at(wail, rng(), rate_hz)
    assert lag_samples(plain, heard) == 0
    assert rms_dbfs(heard - plain) < REFERENCE_DBFS - 30


def test_dc_offset_is_added_to_everything(wail: Take) -> None:
    heard = microphone.with_dc(wail, rng(), 0.1)
    assert heard[:LEAD_SAMPLES].mean() == pytest.approx(0.1, abs=1e-4)


def test_overdriven_tone_is_cut_where_it_passes_full_scale() -> None:
    heard = microphone.overdriven(tone(), rng(), 12.0)[LEAD_SAMPLES:]
    expected = 1.0 - 2.0 / np.pi * np.arcsin(10 ** (-12.0 / 20.0))
    assert np.mean(np.abs(heard) > 0.999) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("apply", "level_dbfs"),
    [
        (lambda take: microphone.with_noise(take, rng(), -50.0), -50.0),
        (lambda take: background.mains_hum(take, rng(), -25.0), -25.0),
    ],
)
def test_noise_of_the_microphone_has_its_level(apply: Callable[[Take], Samples], level_dbfs: float, wail: Take) -> None:
    assert rms_dbfs(apply(wail)[:LEAD_SAMPLES]) == pytest.approx(level_dbfs, abs=0.2)
