"""`trainer-cli corpora compose`: a corpus that trains like any other."""

from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner
from support.soundfonts import SOUNDFONT

from earshot_node.errors import OperatorError
from earshot_trainer.cli.main import cli
from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.music.corpus_folder import MusicOrder, write_music

pytestmark = pytest.mark.soundfont
ORDER = MusicOrder(pieces=3, seconds=4.0, seed=1, licence="GPL-2")


def test_pieces_are_background_each_of_its_own_group(tmp_path: Path) -> None:
    done: list[int] = []
    recordings = load_manifest(write_music(SOUNDFONT, tmp_path / "music", ORDER, done.append))
    assert done == [1, 1, 1]
    assert len({recording.group for recording in recordings}) == 3
    for recording in recordings:
        assert (recording.labels, recording.label, recording.kind) == ({"music"}, "music", "long")
        assert (recording.source, recording.licence, recording.duration_s) == ("TimGM6mb", "GPL-2", 4.0)
        info = soundfile.info(recording.path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "OPUS")
        assert info.duration == pytest.approx(4.0, abs=0.02)
        assert recording.path.stat().st_size < 4.0 * 40_000 / 8  # 24 kbit/s, and what a container needs


def test_the_same_order_gives_the_same_sound_and_another_seed_another(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "again", "other")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        write_music(SOUNDFONT, folder, MusicOrder(1, 4.0, seed))
    first, again, other = (soundfile.read(folder / "TimGM6mb_0000.opus")[0] for folder in folders)
    assert (first == again).all()
    assert (first != other).any()


def test_a_folder_without_a_manifest_was_not_finished(tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(_: int) -> None:
        raise StoppedError

    write_music(SOUNDFONT, tmp_path, ORDER)
    with pytest.raises(StoppedError):
        write_music(SOUNDFONT, tmp_path, ORDER, stop)
    assert not (tmp_path / "manifest.csv").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match=r"cannot write music to .*file"):
        write_music(SOUNDFONT, tmp_path / "file" / "music", ORDER)


def test_the_command_says_what_it_wrote_and_what_comes_next(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    arguments = ["corpora", "compose", str(SOUNDFONT), "--out", str(folder), "--pieces", "2", "--seconds", "2"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert f"wrote 2 pieces, 0.0 h, and {folder / 'manifest.csv'}" in result.output
    assert f"trainer-cli corpora add music {folder}" in result.output
    assert len(load_manifest(folder / "manifest.csv")) == 2
