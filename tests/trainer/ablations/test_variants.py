"""Every variant streams like the network: causal, its state explicit, the same however the stream is cut."""

import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from earshot_trainer.ablations.memories import DilatedConvolutions  # noqa: E402
from earshot_trainer.ablations.network import AblatedCrnn  # noqa: E402
from earshot_trainer.ablations.smoothing import BLOCK_FRAMES, smooth  # noqa: E402
from earshot_trainer.ablations.speed import hop_times_ms  # noqa: E402
from earshot_trainer.ablations.variants import VARIANTS  # noqa: E402
from earshot_trainer.network.architecture import FRAMES_PER_HOP, ModelConfig  # noqa: E402
from earshot_trainer.network.model import StreamingCrnn  # noqa: E402
from earshot_trainer.network.state import State  # noqa: E402
from earshot_trainer.training.recipe import Recipe, apply_override  # noqa: E402

pytestmark = pytest.mark.torch
HOPS = 120
"""More than the 75 that attention and convolutions look back."""
NAMES = list(VARIANTS)


def config_of(name: str) -> ModelConfig:
    values = {
        "name": "default",
        "model": ModelConfig(wavelet_channels=16).to_dict(),
        "teacher": {"model": "yamnet.tflite", "classes": ()},
    }
    for setting in VARIANTS[name].settings:
        apply_override(values, setting)
    return Recipe.model_validate(values).model


def build(name: str) -> StreamingCrnn:
    """A variant with random weights, norms that fit noise, and logits that move."""
    torch.manual_seed(5)
    network = VARIANTS[name].build(config_of(name))
    frames = noise_for(network)
    network.set_normalization(frames.mean(dim=(0, 1)), frames.std(dim=(0, 1)))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(frames)
        network.output.weight /= network.eval()(frames)[0].std()
    return network


@pytest.fixture(scope="module")
def networks() -> dict[str, StreamingCrnn]:
    return {name: build(name) for name in NAMES}


def noise(rows: int, seed: int = 1, mels: int = 80) -> "torch.Tensor":
    """Log-mel frames [rows, 4 * HOPS, mels]: noise with a loud second."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(rows, FRAMES_PER_HOP * HOPS, mels, generator=generator) * 2 - 8
    frames[:, 100:200] += 5
    return frames


def noise_for(network: StreamingCrnn, seed: int = 1) -> "torch.Tensor":
    return noise(2, seed, network.config.n_mels)


def hear(network: StreamingCrnn, frames: "torch.Tensor", cuts: list[int]) -> tuple["torch.Tensor", State]:
    """Logits of frames given in calls of `cuts` hops and what is left, and the state at the end."""
    state, pieces, place = network.initial_state(len(frames)), [], 0
    for hops in (*cuts, HOPS - sum(cuts)):
        with torch.no_grad():
            piece, state = network(frames[:, place : place + FRAMES_PER_HOP * hops], state)
        pieces.append(piece)
        place += FRAMES_PER_HOP * hops
    return torch.cat(pieces, dim=1), state


def test_all_eleven_variants_are_here() -> None:
    assert len(NAMES) == 11


@pytest.mark.parametrize("name", NAMES)
def test_later_frames_do_not_change_earlier_outputs(networks: dict[str, StreamingCrnn], name: str) -> None:
    frames, others = noise_for(networks[name]), noise_for(networks[name], seed=2)
    whole, _ = hear(networks[name], frames, [])
    for hop in (1, 57, HOPS - 1):
        changed = frames.clone()
        changed[:, FRAMES_PER_HOP * hop :] = others[:, FRAMES_PER_HOP * hop :] + 3
        other, _ = hear(networks[name], changed, [])
        torch.testing.assert_close(other[:, :hop], whole[:, :hop], rtol=0, atol=1e-4)
        assert (other[:, hop] - whole[:, hop]).abs().max() > 1e-3


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=3))
@pytest.mark.parametrize("name", NAMES)
def test_stream_in_any_pieces_equals_the_whole(networks: dict[str, StreamingCrnn], name: str, cuts: list[int]) -> None:
    frames = noise_for(networks[name])
    whole, end = hear(networks[name], frames, [])
    pieces, end_of_pieces = hear(networks[name], frames, cuts)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-4)
    assert list(end_of_pieces) == list(end)
    for key, value in end.items():
        torch.testing.assert_close(end_of_pieces[key], value, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_state_holds_all_that_a_call_leaves_row_by_row(networks: dict[str, StreamingCrnn], name: str) -> None:
    network = networks[name]
    frames = noise_for(network)
    before, state = hear(network, frames, [])
    fresh = network.initial_state(2)
    assert set(state) == set(fresh)
    assert {key: value.shape for key, value in state.items()} == {key: value.shape for key, value in fresh.items()}
    assert not any(value.any() for value in fresh.values())
    mixed = {key: torch.stack([value[0], fresh[key][1]]) for key, value in state.items()}
    with torch.no_grad():
        after, _ = network(frames, mixed)
        carried, _ = network(frames, state)
    torch.testing.assert_close(after[1], before[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(after[0], carried[0], rtol=0, atol=1e-4)
    assert (after[0, 0] - before[0, 0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_all_weights_learn(name: str) -> None:
    network = VARIANTS[name].build(config_of(name)).train()
    network(noise_for(network))[0].square().sum().backward()
    weights = {key: value for key, value in network.named_parameters() if value.requires_grad}
    assert [key for key, value in weights.items() if value.grad is None or not value.grad.any()] == []


def test_variants_but_the_wider_one_have_about_as_many_weights(networks: dict[str, StreamingCrnn]) -> None:
    counts = {name: sum(weight.numel() for weight in network.parameters()) for name, network in networks.items()}
    assert counts.pop("tagger") > counts["base"]
    assert counts.pop("wide") == pytest.approx(1.9 * counts["base"], rel=0.01)
    assert all(count == pytest.approx(counts["base"], rel=0.04) for count in counts.values())


def test_smoothing_follows_its_recursion() -> None:
    generator = torch.Generator().manual_seed(4)
    x = torch.rand(2, 2 * BLOCK_FRAMES + 7, 3, generator=generator)
    share, last = torch.tensor([0.01, 0.2, 0.9]), torch.rand(2, 3, generator=generator)
    expected, value = [], last
    for frame in x.unbind(1):
        value = (1 - share) * value + share * frame
        expected.append(value)
    torch.testing.assert_close(smooth(x, share, last), torch.stack(expected, dim=1))


def test_pcen_of_a_steady_sound_does_not_depend_on_its_level() -> None:
    network = VARIANTS["pcen"].build(ModelConfig())
    loud = torch.zeros(1, 40, 80)
    with torch.no_grad():
        channels = [network._see(frames, network.initial_state(1))[0][:, 0] for frames in (loud, loud - 3)]
    assert (channels[0] - channels[1]).abs().max() < 0.02
    assert float(channels[0].mean()) == pytest.approx(3**0.5 - 2**0.5, abs=1e-3)


def test_in_logarithmic_frequency_an_octave_is_the_same_shift_everywhere() -> None:
    network = VARIANTS["log-frequency"].build(ModelConfig())
    assert isinstance(network, AblatedCrnn)
    assert network.front_end is not None
    reading = network.front_end.reading
    torch.testing.assert_close(reading.sum(dim=0), torch.ones(80))
    place = (reading * torch.arange(80.0)[:, None]).sum(dim=0)
    hertz = 700 * torch.expm1((place + 1) / 81 * (torch.log1p(torch.tensor(8000 / 700)) - 0.0690) + 0.0690)
    ratios = hertz[41:70] / hertz[40:69]
    torch.testing.assert_close(ratios, torch.full_like(ratios, 80 ** (1 / 79)), rtol=1e-3, atol=0)


def test_stationary_sound_leaves_nothing_above_its_running_mean() -> None:
    network = VARIANTS["mean-subtraction"].build(ModelConfig())
    frames = torch.full((1, 80, 80), -4.0)
    frames[:, 60:] += 2
    above = network._see(frames, network.initial_state(1))[0][:, 2]
    torch.testing.assert_close(above[:, :60], torch.zeros(1, 60, 80), rtol=0, atol=1e-4)
    assert (above[:, 60:] > 1).all()


def test_convolutions_take_no_other_width_than_the_embedding() -> None:
    with pytest.raises(ValueError, match=r"model\.hidden: 112: need model\.embedding, 96"):
        DilatedConvolutions(ModelConfig())


def test_hop_times_are_positive_and_one_for_each_network(networks: dict[str, StreamingCrnn]) -> None:
    times_ms = hop_times_ms([networks["base"], networks["lstm"]], calls=5)
    assert len(times_ms) == 2
    assert all(time_ms > 0 for time_ms in times_ms)
