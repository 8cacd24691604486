from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

import soundfile as sf  # noqa: E402

from earshot_trainer.corpus.cache import PcmCache  # noqa: E402
from earshot_trainer.corpus.recordings import Recording, load_manifest  # noqa: E402
from earshot_trainer.network.model import ModelConfig, StreamingCrnn  # noqa: E402
from earshot_trainer.training import tagging  # noqa: E402

CPU = torch.device("cpu")


def make_recordings(folder: Path, seconds: list[float]) -> tuple[list[Recording], PcmCache]:
    rng = np.random.default_rng(3)
    rows = ["path,label"]
    for index, length_s in enumerate(seconds):
        sf.write(folder / f"{index}.wav", 0.1 * rng.standard_normal(int(length_s * 16_000)), 16_000)
        rows.append(f"{index}.wav,noise")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    recordings = load_manifest(folder / "manifest.csv")
    cache = PcmCache(folder / "cache")
    cache.add(recordings)
    return recordings, cache


def test_track_does_not_depend_on_what_shares_the_batch(tmp_path: Path) -> None:
    recordings, cache = make_recordings(tmp_path, [0.5, 1.0, 1.33, 0.02])
    torch.manual_seed(1)
    network = StreamingCrnn(ModelConfig(n_mels=32, channels=(4, 4, 8, 8), embedding=8, hidden=8)).eval()
    together = tagging.track_posteriors(network, recordings, cache, CPU)
    assert [len(track) for track in together] == [12, 25, 33, 1]
    for recording, track in zip(recordings, together, strict=True):
        (alone,) = tagging.track_posteriors(network, [recording], cache, CPU)
        assert alone == pytest.approx(track, abs=1e-5)


def test_long_recording_in_blocks_equals_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings, cache = make_recordings(tmp_path, [3.0])
    torch.manual_seed(1)
    network = StreamingCrnn(ModelConfig(n_mels=32, channels=(4, 4, 8, 8), embedding=8, hidden=8)).eval()
    (whole,) = tagging.track_posteriors(network, recordings, cache, CPU)
    monkeypatch.setattr(tagging, "BLOCK_SAMPLES", 6400)
    (blocks,) = tagging.track_posteriors(network, recordings, cache, CPU)
    assert blocks == pytest.approx(whole, abs=1e-5)


def test_clip_figures_agree_with_a_count_by_hand() -> None:
    tracks = [np.array([0.1, peak, 0.1], dtype=np.float32) for peak in (0.9, 0.4, 0.6, 0.2)]
    figures = tagging.clip_figures(tracks, [True, True, False, False])
    assert figures.auc == pytest.approx(3 / 4)
    assert figures.average_precision == pytest.approx((1.0 + 2 / 3) / 2)
    assert (figures.sirens, figures.others) == (2, 2)


def test_alarms_within_ten_seconds_count_once() -> None:
    track = np.zeros(25 * 60, dtype=np.float32)
    for second in (5, 9, 30):
        track[second * 25 : second * 25 + 20] = 1.0
    assert tagging.count_alarms(track, 0.9) == 2


def test_blip_shorter_than_the_average_is_no_alarm() -> None:
    track = np.zeros(250, dtype=np.float32)
    track[100:103] = 1.0
    assert tagging.count_alarms(track, 0.5) == 0
