import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.tiny_corpus import make_corpus, write_recipe  # noqa: E402

from earshot_trainer.corpus.cache import PcmCache  # noqa: E402
from earshot_trainer.corpus.recordings import load_manifest  # noqa: E402
from earshot_trainer.segments import augment  # noqa: E402
from earshot_trainer.segments.mixing import SegmentMixer  # noqa: E402
from earshot_trainer.segments.sounds import Sounds, gather_sounds  # noqa: E402
from earshot_trainer.segments.synthetic import render_pool  # noqa: E402
from earshot_trainer.training.recipe import AugmentRecipe, MixingRecipe, SyntheticRecipe, load_recipe  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Sounds:
    folder = tmp_path_factory.mktemp("corpus")
    recordings = load_manifest(make_corpus(folder))
    cache = PcmCache(folder / "cache")
    cache.add(recordings)
    pool = render_pool(SyntheticRecipe(sirens=2, traps=2, length_s=2.0), seed=1)
    return gather_sounds(recordings, cache, load_recipe(write_recipe(folder)), pool)


def make_mixer(sounds: Sounds, seed: int = 1, **mixing: object) -> SegmentMixer:
    recipe = MixingRecipe.model_validate({"segment_s": 2.0} | mixing)
    return SegmentMixer(sounds, recipe, AugmentRecipe(), seed, CPU)


def test_a_step_gives_the_same_batch_whatever_came_before(sounds: Sounds) -> None:
    first = make_mixer(sounds)
    for step in range(3):
        first.batch(step, 4, sounds.span_odds)
    again = make_mixer(sounds).batch(3, 4, sounds.span_odds)
    batch = first.batch(3, 4, sounds.span_odds)
    assert torch.equal(batch.samples, again.samples)
    assert torch.equal(batch.targets, again.targets)


def test_seed_and_step_change_the_batch(sounds: Sounds) -> None:
    batch = make_mixer(sounds).batch(0, 4, sounds.span_odds)
    assert not torch.equal(batch.samples, make_mixer(sounds).batch(1, 4, sounds.span_odds).samples)
    assert not torch.equal(batch.samples, make_mixer(sounds, seed=2).batch(0, 4, sounds.span_odds).samples)


def test_shapes_and_levels(sounds: Sounds) -> None:
    batch = make_mixer(sounds, level_dbfs=(-40.0, -20.0)).batch(0, 16, sounds.span_odds)
    assert batch.samples.shape == (16, 32_000)
    assert batch.targets.shape == batch.weights.shape == (16, 50)
    assert float(batch.samples.abs().max()) <= 1.0
    level_db = 20 * torch.log10(batch.samples.square().mean(dim=1).sqrt())
    inside = (level_db > -41.0) & (level_db < -19.0)
    assert float(inside.float().mean()) > 0.8


def test_segments_without_sirens_have_no_target_and_full_weight(sounds: Sounds) -> None:
    batch = make_mixer(sounds, positive_share=0.0, trap_share=0.5).batch(0, 32, sounds.span_odds)
    assert float(batch.targets.max()) == 0.0
    assert float(batch.weights.min()) == 1.0


def test_siren_is_audible_where_the_target_says_so(sounds: Sounds) -> None:
    mixer = make_mixer(sounds, positive_share=1.0, synthetic_share=0.0, snr_db=(20.0, 20.0), clean_share=0.0)
    batch = mixer.batch(0, 32, sounds.span_odds)
    power = batch.samples.reshape(32, 50, 640).square().mean(dim=2)
    louder = 0
    for row in range(32):
        sure = batch.weights[row] > 0
        on, off = power[row][sure & (batch.targets[row] > 0)], power[row][sure & (batch.targets[row] == 0)]
        if len(on) > 3 and len(off) > 3:
            assert float(on.median()) > float(off.median())
            louder += 1
    assert louder >= 5


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


def test_playing_faster_raises_the_pitch() -> None:
    time_s = torch.arange(40_000) / 16_000
    tone = torch.sin(2 * np.pi * 500 * time_s)[None]
    still = torch.zeros(1)
    position = augment.positions(32_000, torch.tensor([1.1]), still, still)
    played = augment.read_at(tone, position)
    assert int(torch.fft.rfft(played).abs().argmax()) / 2 == pytest.approx(550, abs=1)


def test_passing_vehicle_falls_in_pitch() -> None:
    position = augment.positions(32_000, torch.ones(1), torch.tensor([0.05]), torch.tensor([0.5]))[0]
    speed = torch.diff(position)
    assert float(speed[:100].mean()) == pytest.approx(1.05, abs=0.01)
    assert float(speed[-100:].mean()) == pytest.approx(0.95, abs=0.01)


def test_room_keeps_length_and_adds_a_tail() -> None:
    pulse = torch.zeros(1, 16_000)
    pulse[0, 0] = 1.0
    generator = torch.Generator().manual_seed(0)
    wet = augment.add_room(pulse, torch.tensor([0.4]), torch.tensor([1.0]), torch.tensor([20_000.0]), generator)
    assert wet.shape == pulse.shape
    early, late = wet[0, 10:1600].square().mean(), wet[0, 4800:6400].square().mean()
    assert float(10 * torch.log10(early / late)) > 20.0


def test_colour_never_falls_below_the_floor() -> None:
    log_mel = torch.full((2, 10, 32), -13.8)
    recipe = AugmentRecipe(band_limit_share=1.0)
    coloured = augment.colour(log_mel, recipe, 1e-6, torch.Generator().manual_seed(0))
    assert float(coloured.min()) >= np.log(1e-6) - 1e-4


def test_mask_hides_whole_bands() -> None:
    log_mel = torch.randn(4, 50, 32, generator=torch.Generator().manual_seed(1))
    masked = augment.mask_spectrum(log_mel, AugmentRecipe(time_mask_s=0.0), torch.Generator().manual_seed(5))
    changed = (masked != log_mel).all(dim=1)
    assert int(changed.sum()) > 0
    assert torch.equal((masked != log_mel).any(dim=1), changed)
