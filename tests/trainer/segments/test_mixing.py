import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.tiny_corpus import make_corpus, write_recipe  # noqa: E402

from earshot_trainer.corpus.cache import PcmCache  # noqa: E402
from earshot_trainer.corpus.recordings import load_manifest  # noqa: E402
from earshot_trainer.network.architecture import ModelConfig  # noqa: E402
from earshot_trainer.segments import augment  # noqa: E402
from earshot_trainer.segments.mixing import OPENING_DECISIONS, SegmentMixer  # noqa: E402
from earshot_trainer.segments.sounds import Sounds, gather_sounds  # noqa: E402
from earshot_trainer.segments.synthetic import render_pool  # noqa: E402
from earshot_trainer.training.recipe import AugmentRecipe, MixingRecipe, SyntheticRecipe, load_recipe  # noqa: E402

CPU = torch.device("cpu")
CONFIG = ModelConfig(n_mels=32)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Sounds:
    folder = tmp_path_factory.mktemp("corpus")
    recordings = load_manifest(make_corpus(folder))
    cache = PcmCache(folder / "cache")
    cache.add(recordings)
    pool = render_pool(SyntheticRecipe(sirens=2, traps=2, length_s=2.0), seed=1)
    return gather_sounds(recordings, cache, load_recipe(write_recipe(folder)), folder / "cache", pool)


def make_mixer(sounds: Sounds, seed: int = 1, **mixing: object) -> SegmentMixer:
    recipe = MixingRecipe.model_validate({"segment_s": 2.0} | mixing)
    return SegmentMixer(sounds, CONFIG, recipe, AugmentRecipe(), seed, CPU)


def test_a_step_gives_the_same_batch_whatever_came_before(sounds: Sounds) -> None:
    first = make_mixer(sounds)
    for step in range(3):
        first.batch(step, 4, sounds.span_odds)
    again = make_mixer(sounds).batch(3, 4, sounds.span_odds)
    batch = first.batch(3, 4, sounds.span_odds)
    assert torch.equal(batch.log_mel, again.log_mel)
    assert torch.equal(batch.targets, again.targets)


def test_seed_and_step_change_the_batch(sounds: Sounds) -> None:
    batch = make_mixer(sounds).batch(0, 4, sounds.span_odds)
    assert not torch.equal(batch.log_mel, make_mixer(sounds).batch(1, 4, sounds.span_odds).log_mel)
    assert not torch.equal(batch.log_mel, make_mixer(sounds, seed=2).batch(0, 4, sounds.span_odds).log_mel)


def test_shapes_and_levels(sounds: Sounds) -> None:
    batch = make_mixer(sounds, level_dbfs=(-40.0, -20.0)).batch(0, 16, sounds.span_odds)
    assert batch.log_mel.shape == (16, 200, 32)
    assert batch.targets.shape == batch.weights.shape == (16, 50)
    power = batch.log_mel.exp().sum(dim=2).mean(dim=1) / augment.full_scale_power(CONFIG)
    level_db = 10 * torch.log10(power)
    assert float(level_db.min()) > -41.0
    assert float(level_db.max()) < -19.0


def test_segments_without_sirens_have_no_target_and_full_weight_after_the_opening(sounds: Sounds) -> None:
    batch = make_mixer(sounds, positive_share=0.0, trap_share=0.5).batch(0, 32, sounds.span_odds)
    assert float(batch.targets.max()) == 0.0
    assert float(batch.weights[:, OPENING_DECISIONS:].min()) == 1.0
    assert float(batch.weights[:, :OPENING_DECISIONS].max()) == 0.0


def test_siren_is_audible_where_the_target_says_so(sounds: Sounds) -> None:
    mixer = make_mixer(sounds, positive_share=1.0, synthetic_share=0.0, snr_db=(20.0, 20.0), clean_share=0.0)
    batch = mixer.batch(0, 32, sounds.span_odds)
    power = batch.log_mel.exp().sum(dim=2).reshape(32, 50, 4).mean(dim=2)
    louder = 0
    for row in range(32):
        sure = batch.weights[row] > 0
        on, off = power[row][sure & (batch.targets[row] > 0)], power[row][sure & (batch.targets[row] == 0)]
        if len(on) > 3 and len(off) > 3:
            assert float(on.median()) > float(off.median())
            louder += 1
    assert louder >= 5


def test_siren_stands_at_the_asked_ratio_over_the_background(sounds: Sounds) -> None:
    kept = {"positive_share": 1.0, "synthetic_share": 0.0, "clean_share": 0.0, "second_background_share": 0.0}
    still = AugmentRecipe(
        pitch=(1, 1), background_pitch=(1, 1), tempo=(1, 1), room_share=0, mix_room_share=0, distance_share=0
    )
    ratios = []
    for snr_db in (20.0, 0.0):
        recipe = MixingRecipe.model_validate({"segment_s": 2.0, "snr_db": (snr_db, snr_db)} | kept)
        batch = SegmentMixer(sounds, CONFIG, recipe, still, 1, CPU).batch(0, 64, sounds.span_odds)
        power = batch.log_mel.exp().sum(dim=2).reshape(64, 50, 4).mean(dim=2)
        for row in range(64):
            on, off = batch.targets[row] * batch.weights[row] > 0, (1 - batch.targets[row]) * batch.weights[row] > 0
            if on.sum() > 8 and off.sum() > 8:
                measured = 10 * torch.log10(power[row][on].mean() / power[row][off].mean())
                ratios.append(float(measured) - 10 * math.log10(1 + 10 ** (snr_db / 10)))
    assert len(ratios) >= 10
    assert np.median(np.abs(ratios)) < 1.0


def test_first_frames_after_an_onset_are_not_scored(sounds: Sounds) -> None:
    mixer = make_mixer(sounds, positive_share=1.0, onset_grace_s=0.4)
    batch = mixer.batch(0, 32, sounds.span_odds)
    onsets = 0
    for target, weight in zip(batch.targets, batch.weights, strict=True):
        edges = torch.nonzero(torch.diff(target, prepend=torch.zeros(1)) > 0).flatten()
        for edge in edges:
            assert float(weight[edge : edge + 10].max()) == 0.0
            onsets += 1
    assert onsets >= 16


def tone_frames(frequency_hz: float) -> "torch.Tensor":
    from earshot_trainer.network.features import LogMel

    time_s = torch.arange(16_000) / 16_000
    log_mel = LogMel(CONFIG)
    frames, _ = log_mel(torch.sin(2 * math.pi * frequency_hz * time_s)[None], log_mel.initial_cache(1))
    return frames[:, 4:]


def test_full_scale_power_is_that_of_noise_of_rms_one() -> None:
    from earshot_trainer.network.features import LogMel

    log_mel = LogMel(CONFIG)
    noise = torch.randn(1, 64_000, generator=torch.Generator().manual_seed(1))
    frames, _ = log_mel(noise, log_mel.initial_cache(1))
    power = float(frames.exp().sum(dim=2).mean())
    assert 10 * math.log10(power / augment.full_scale_power(CONFIG)) == pytest.approx(0.0, abs=0.5)


def test_shifted_pitch_is_the_spectrum_of_the_shifted_tone() -> None:
    shifted = augment.shift_pitch(tone_frames(1000.0), torch.tensor([1.25]), CONFIG)
    assert int(shifted[0, 50].argmax()) == int(tone_frames(1250.0)[0, 50].argmax())
    same = augment.shift_pitch(tone_frames(1000.0), torch.tensor([1.0]), CONFIG)
    assert torch.allclose(same, tone_frames(1000.0), atol=1e-3)


def test_reading_faster_shortens() -> None:
    ramp = torch.arange(100.0)[None, :, None].expand(1, 100, 3)
    read = augment.read_at(ramp, 1.5 * torch.arange(40.0)[None])
    assert torch.allclose(read[0, :, 2], 1.5 * torch.arange(40.0))


def test_room_keeps_length_and_rings_down_by_sixty_decibels_in_its_time() -> None:
    power = torch.zeros(1, 200, 3)
    power[:, 10] = 1.0
    wet = augment.add_room(power, torch.tensor([0.5]), torch.tensor([1.0]))
    assert wet.shape == power.shape
    assert float(wet[0, :10].max()) < 1e-6
    assert 10 * math.log10(float(wet[0, 20, 0] / wet[0, 45, 0])) == pytest.approx(30.0, abs=0.5)
    assert float(wet[0, 10:, 0].sum()) == pytest.approx(2.0, rel=0.02)


def test_low_pass_takes_half_at_its_cut_off_and_more_above() -> None:
    gain_db = augment.low_pass_log(torch.tensor([1000.0]), CONFIG)[0, 0] * 10 / math.log(10)
    centres = augment.mel_centres_hz(CONFIG)
    nearest = int((centres - 1000).abs().argmin())
    assert float(gain_db[nearest]) == pytest.approx(-3.0, abs=1.0)
    assert float(gain_db[-1]) < -30.0


def test_colour_never_falls_below_the_floor() -> None:
    log_mel = torch.full((2, 10, 32), -13.8)
    recipe = AugmentRecipe(band_limit_share=1.0)
    coloured = augment.colour(log_mel, recipe, CONFIG, torch.Generator().manual_seed(0))
    assert float(coloured.min()) >= math.log(1e-6) - 1e-4


def test_mask_hides_whole_bands() -> None:
    log_mel = torch.randn(4, 50, 32, generator=torch.Generator().manual_seed(1))
    masked = augment.mask_spectrum(log_mel, AugmentRecipe(time_mask_s=0.0), torch.Generator().manual_seed(5))
    changed = (masked != log_mel).all(dim=1)
    assert int(changed.sum()) > 0
    assert torch.equal((masked != log_mel).any(dim=1), changed)
