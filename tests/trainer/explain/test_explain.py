"""An explanation finds band and time of what a model hears: a model known by design, and the shipped one."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("matplotlib", reason="matplotlib is missing; run scripts/test without --node")
pytest.importorskip("onnx", reason="onnx is missing; run scripts/test without --node")

import onnx
import soundfile
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from earshot_node.contract.manifest import StateTensor
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.errors import AudioFileError, OperatorError
from earshot_node.inference.bundle import load_bundled
from earshot_node.inference.model import StreamingModel
from earshot_trainer.cli.explain import command
from earshot_trainer.explain.command import Explanation, describe, explain
from earshot_trainer.explain.occlusion import Attribution, Patch, attribute, target_frames, without
from earshot_trainer.explain.spectrum import quiet_floor, samples_of, spectrum_of
from earshot_trainer.explain.stretch import find_peak, hear_stretch

pytestmark = pytest.mark.torch

RATE_HZ, HOP_SAMPLES = 16_000, 640
POINT = OperatingPoint(enter=0.5, leave=0.3, min_length_s=0.2, bridging_s=0.1, cooldown_s=1.0)


def band_listener(centre_hz: float) -> StreamingModel:
    """A model that hears one thing: the power around `centre_hz` in its hop, and that of the hop before at a tenth."""
    time_s = np.arange(HOP_SAMPLES) / RATE_HZ
    window = np.hanning(HOP_SAMPLES) / HOP_SAMPLES
    pair = np.stack([np.cos, np.sin])
    waves = np.stack([wave(2 * np.pi * centre_hz * time_s) * window for wave in pair]).astype(np.float32)
    constants = {
        "waves": waves[:, None, :],
        "one": np.array([1], np.int64),
        "gain": np.array(1.5, np.float32),
        "shift": np.array(13.0, np.float32),
        "least": np.array(1e-9, np.float32),
        "share": np.array(0.1, np.float32),
        "last_begin": np.array([-1], np.int64),
        "last_end": np.array([2**31], np.int64),
        "first_begin": np.array([0], np.int64),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["samples", "one"], ["mono"]),
        helper.make_node("Conv", ["mono", "waves"], ["filtered"], strides=[HOP_SAMPLES]),
        helper.make_node("Mul", ["filtered", "filtered"], ["squared"]),
        helper.make_node("ReduceSum", ["squared", "one"], ["power"], keepdims=1),
        helper.make_node("Concat", ["state_power", "power"], ["with_past"], axis=2),
        helper.make_node("Slice", ["with_past", "last_begin", "last_end", "two"], ["next_state_power"]),
        helper.make_node("Slice", ["with_past", "first_begin", "last_begin", "two"], ["past"]),
        helper.make_node("Mul", ["past", "share"], ["faded"]),
        helper.make_node("Add", ["power", "faded"], ["summed"]),
        helper.make_node("Add", ["summed", "least"], ["audible"]),
        helper.make_node("Log", ["audible"], ["level"]),
        helper.make_node("Mul", ["level", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["posteriors"], perm=[0, 2, 1]),
        helper.make_node("Transpose", ["level"], ["log_mel"], perm=[0, 2, 1]),
    ]
    constants["two"] = np.array([2], np.int64)
    numbers = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "band",
        [
            helper.make_tensor_value_info("samples", numbers, ["batch", "n"]),
            helper.make_tensor_value_info("state_power", numbers, ["batch", 1, 1]),
        ],
        [
            helper.make_tensor_value_info("posteriors", numbers, ["batch", "hops", 1]),
            helper.make_tensor_value_info("log_mel", numbers, ["batch", "hops", 1]),
            helper.make_tensor_value_info("next_state_power", numbers, ["batch", 1, 1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    manifest = load_bundled().manifest.model_copy(
        update={"labels": ("siren",), "state_tensors": (StateTensor(name="power", shape=(1, 1)),)}
    )
    return StreamingModel(manifest, model.SerializeToString())


def tones(duration_s: float, parts: list[tuple[float, float, float]]) -> NDArray[np.float32]:
    """Noise with steady tones (frequency, begin, end) in it."""
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    audio = np.random.default_rng(3).normal(0, 0.003, len(time_s))
    for frequency_hz, begin_s, end_s in parts:
        audio += 0.2 * np.sin(2 * np.pi * frequency_hz * time_s) * ((time_s >= begin_s) & (time_s < end_s))
    return audio.astype(np.float32)


def written(folder: Path, samples: NDArray[np.float32]) -> Path:
    path = folder / "recording.flac"
    soundfile.write(path, samples, RATE_HZ)
    return path


@pytest.fixture(scope="module")
def attribution(tmp_path_factory: pytest.TempPathFactory) -> Attribution:
    """A model of 1 kHz hears 1 kHz at 3.0 to 4.2 s beside a louder 3 kHz all the time and 1.9 kHz before."""
    audio = tones(6.0, [(1000, 3.0, 4.2), (3000, 0.0, 6.0), (1900, 1.0, 2.0)])
    model = band_listener(1000)
    stretch = hear_stretch(model, written(tmp_path_factory.mktemp("audio"), audio), 0.0, 6.0)
    return attribute(model, stretch, 0, target_frames(stretch.posteriors[:, 0], POINT))


def test_known_band_and_time_get_the_attribution(attribution: Attribution) -> None:
    time, band = np.unravel_index(attribution.weight.argmax(), attribution.weight.shape)
    assert 3.0 <= attribution.centres_s[time] <= 4.2
    assert attribution.centres_hz[band] == pytest.approx(1000, rel=0.2)
    inside = (attribution.centres_s > 2.6)[:, None] & (attribution.centres_s < 4.6)[:, None]
    inside = inside & (np.abs(np.log2(attribution.centres_hz / 1000)) < 0.6)
    assert np.abs(attribution.weight[inside]).sum() > 0.95 * np.abs(attribution.weight).sum()


def test_what_mattered_most_covers_the_sound_and_little_else(attribution: Attribution) -> None:
    most = attribution.most
    assert most is not None
    assert most.begin_s == pytest.approx(3.0, abs=0.45)
    assert most.end_s == pytest.approx(4.2, abs=0.45)
    assert most.low_hz < 1000 < most.high_hz
    assert most.high_hz < 1900


def test_posterior_without_that_part_shows_that_it_mattered(attribution: Attribution) -> None:
    assert attribution.before > 0.9
    assert attribution.after < attribution.before / 2


def test_frames_that_make_an_event_begin_are_what_is_explained() -> None:
    posteriors = np.array([0.1, 0.4, 0.9, 0.51, 0.29], np.float32)
    assert target_frames(posteriors, POINT).tolist() == [False, False, True, True, False]
    assert target_frames(posteriors / 4, POINT).tolist() == [False, False, True, False, False]


def test_nothing_matters_when_the_posterior_never_moves(tmp_path: Path) -> None:
    model = band_listener(1000)
    stretch = hear_stretch(model, written(tmp_path, tones(2.0, [])), 0.0, 2.0)
    found = attribute(model, stretch, 0, np.ones(len(stretch.posteriors), bool))
    assert found.most is None
    assert found.after == found.before
    assert "no part" in Explanation("siren", stretch, found).words()[-1]


def test_spectrum_gives_its_audio_back() -> None:
    audio = tones(1.3, [(700, 0.2, 0.9)])
    assert np.abs(samples_of(spectrum_of(audio), 0, len(audio)) - audio).max() < 1e-6


def test_patch_is_taken_out_and_the_rest_stays() -> None:
    wanted, other = tones(3.0, [(1000, 1.0, 2.0)]), tones(3.0, [(3000, 0.0, 3.0)])
    audio = wanted + other
    spectrum = spectrum_of(audio)
    left = without(audio, spectrum, quiet_floor(spectrum), Patch(0.9, 2.1, 700, 1400))
    away = np.r_[0 : int(0.7 * RATE_HZ), int(2.3 * RATE_HZ) : len(audio)]
    assert np.abs(left[away] - audio[away]).max() < 1e-6
    power = np.abs(np.fft.rfft(left[RATE_HZ : 2 * RATE_HZ])) ** 2
    before = np.abs(np.fft.rfft(audio[RATE_HZ : 2 * RATE_HZ])) ** 2
    assert 10 * math.log10(power[995:1006].sum() / before[995:1006].sum()) < -25
    assert 10 * math.log10(power[2995:3006].sum() / before[2995:3006].sum()) == pytest.approx(0, abs=0.5)


def test_background_does_not_count_what_sounds_all_the_time() -> None:
    floor = quiet_floor(spectrum_of(tones(2.0, [(1000, 0.0, 2.0)])))
    assert floor[32] < 3 * np.median(floor)


def test_stretch_lies_around_the_highest_posterior_and_hears_what_came_before(tmp_path: Path) -> None:
    model = band_listener(1000)
    path = written(tmp_path, tones(8.0, [(1000, 5.0, 5.6)]))
    assert 5.0 <= find_peak(model, path, 0) <= 5.7
    whole, part = hear_stretch(model, path, 0.0, 8.0), hear_stretch(model, path, 5.04, 2.0)
    first = round(part.begin_s * RATE_HZ) // HOP_SAMPLES
    assert part.begin_s == pytest.approx(5.04, abs=0.04)
    assert np.abs(part.posteriors - whole.posteriors[first : first + len(part.posteriors)]).max() < 1e-5


def test_siren_in_a_street_is_explained_by_the_siren(tmp_path: Path) -> None:
    """The shipped model, whatever it is: half a wail's power below 2 kHz, hiss all along."""
    time_s = np.arange(int(9 * RATE_HZ)) / RATE_HZ
    sweep_hz = 1000 + 350 * np.sin(2 * np.pi * (time_s - 4.0) / 3.0)
    siren = 0.15 * np.sin(2 * np.pi * np.cumsum(sweep_hz) / RATE_HZ) * ((time_s >= 4.0) & (time_s < 8.0))
    audio = (siren + np.random.default_rng(5).normal(0, 0.004, len(time_s))).astype(np.float32)
    bundle = load_bundled()
    found = explain(bundle, "siren", written(tmp_path, audio), 2.0, 6.5).attribution
    heard = np.maximum(found.weight, 0)
    in_time = found.centres_s + 2.0 >= 3.8
    in_band = (found.centres_hz > 450) & (found.centres_hz < 2000)
    assert heard[np.ix_(in_time, in_band)].sum() > 0.6 * heard.sum()
    assert found.most is not None
    assert found.most.begin_s + 2.0 >= 3.5


def test_command_says_and_draws_what_mattered(tmp_path: Path) -> None:
    path = written(tmp_path, tones(3.0, [(900, 0.5, 1.5), (1100, 1.5, 2.5)]))
    out = tmp_path / "picture.png"
    arguments = ["bundled", str(path), "--at", "0.5", "--seconds", "1.5", "--out", str(out)]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "siren, 0.5 to 2.0 s" in result.output
    assert f"wrote {out}" in result.output
    assert out.read_bytes().startswith(b"\x89PNG")


def test_words_name_band_and_time_of_the_recording() -> None:
    assert describe(Patch(0.24, 1.04, 612.0, 1480.0), 3.0) == "0.6-1.5 kHz, 3.2-4.0 s"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--label", "doorbell"], "the bundle hears siren"), (["--at", "90"], "choose --at before that")],
)
def test_what_cannot_be_explained_is_refused_in_a_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = written(tmp_path, tones(1.0, []))
    with pytest.raises(OperatorError, match=message):
        CliRunner().invoke(command, ["bundled", str(path), *arguments], catch_exceptions=False)


def test_file_that_is_no_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"text")
    with pytest.raises(AudioFileError):
        CliRunner().invoke(command, ["bundled", str(tmp_path / "x.wav")], catch_exceptions=False)
