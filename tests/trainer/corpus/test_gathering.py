"""A folder of sounds becomes a corpus without sirens: what is taken, what is left out, and why."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.gathering import GatherOrder, gather
from earshot_trainer.corpus.recordings import load_manifest

ORDER = GatherOrder("game", "GPL-2+", most_s=12.0)
RATE_HZ = 22_050


class HearsSirens:
    """A tagger that hears a siren in what is loud, and nothing else."""

    classes = ("Music", "Siren")
    digest = "0" * 64

    def score(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """Scores [1, 2]: the siren's is the peak."""
        return np.array([[0.0, np.abs(samples).max() / 32768.0]], dtype=np.float32)


def _write(folder: Path, name: str, seconds: float, level: float = 0.02, seed: int = 0) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-level, level, (round(seconds * RATE_HZ), 2))
    soundfile.write(path, noise, RATE_HZ)


@pytest.fixture
def game(tmp_path: Path) -> Path:
    folder = tmp_path / "game"
    _write(folder, "music/theme.ogg", 20.0)
    _write(folder, "jump.wav", 1.0, seed=1)
    _write(folder, "again/jump.wav", 1.0, seed=1)
    _write(folder, "click.wav", 0.1, seed=2)
    _write(folder, "nothing.wav", 1.0, level=0.0)
    _write(folder, "loud.wav", 1.0, level=0.8, seed=3)
    _write(folder, "Fire_Alarm.wav", 1.0, seed=4)
    (folder / "broken.ogg").write_bytes(b"OggS and no more")
    (folder / "readme.txt").write_text("no sound")
    (folder / "link.wav").symlink_to(folder / "jump.wav")
    return folder


def test_each_useful_file_once_as_background_of_its_own_group(game: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    gathered = gather(game, tmp_path / "out", ORDER, HearsSirens(), steps.append)
    taken = load_manifest(gathered.manifest)
    assert [(one.label, one.kind, one.source, one.licence) for one in taken] == [
        ("sound", "clip", "game", "GPL-2+"),
        ("recording", "long", "game", "GPL-2+"),
    ]
    assert not any(one.labels for one in taken)
    assert len({one.group for one in taken}) == 2
    assert [one.duration_s for one in taken] == [1.0, 12.0]
    assert gathered.taken == 2
    assert gathered.duration_s == pytest.approx(13.0, abs=0.01)
    assert gathered.left_out == {
        "may be a siren": 2,
        "there twice": 1,
        "shorter than 0.3 s": 1,
        "silent": 1,
        "cannot be read": 1,
    }
    assert sum(steps) == 8
    for one in taken:
        samples, rate_hz = soundfile.read(one.path)
        assert rate_hz == 16_000
        assert samples.shape == (round(one.duration_s * 16_000),)
        assert 0.003 < np.sqrt(np.mean(samples**2)) < 0.02


def test_what_may_be_a_siren_is_listed_with_the_reason_and_without_audio(game: Path, tmp_path: Path) -> None:
    with gather(game, tmp_path / "out", ORDER, HearsSirens()).manifest.open(newline="") as stream:
        notes = {
            row["orig"]: (row["note"], (tmp_path / "out" / row["path"]).exists()) for row in csv.DictReader(stream)
        }
    assert notes["Fire_Alarm.wav"] == ("leave out: may be a siren by its name (alarm)", False)
    note, is_there = notes["loud.wav"]
    assert note.startswith("leave out: the teacher hears a siren (0.")
    assert not is_there
    assert notes["music/theme.ogg"] == ("", True)


def test_without_a_teacher_only_names_tell(game: Path, tmp_path: Path) -> None:
    assert gather(game, tmp_path / "out", ORDER, None).left_out["may be a siren"] == 1


def test_the_excerpt_is_the_middle(tmp_path: Path) -> None:
    samples = np.concatenate([np.full(RATE_HZ * 4, 0.01), np.full(RATE_HZ * 4, 0.5), np.full(RATE_HZ * 4, 0.01)])
    soundfile.write(
        _folder(tmp_path) / "rise.wav", samples * np.random.default_rng(1).choice([-1, 1], len(samples)), RATE_HZ
    )
    gathered = gather(_folder(tmp_path), tmp_path / "out", GatherOrder("one", most_s=4.0), None)
    heard, _ = soundfile.read(load_manifest(gathered.manifest)[0].path)
    assert len(heard) == 64_000
    assert np.abs(heard[2000:-2000]).reshape(-1, 1000).max(axis=1).min() > 0.1


@pytest.mark.parametrize(("name", "message"), [("missing", "is no folder"), ("empty", "holds no audio")])
def test_nothing_to_gather_is_one_clear_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OperatorError, match=message):
        gather(tmp_path / name, tmp_path / "out", ORDER, None)


def test_interrupted_leaves_no_manifest_that_says_it_is_whole(game: Path, tmp_path: Path) -> None:
    gather(game, tmp_path / "out", ORDER, None)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(game, tmp_path / "out", ORDER, None, stop)
    assert not (tmp_path / "out" / "manifest.csv").exists()


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    folder.mkdir(exist_ok=True)
    return folder
