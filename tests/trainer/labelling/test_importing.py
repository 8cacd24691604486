"""A folder comes in once, whole, with the labels that it says; what does not come is named."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner, Result
from support.recording_parts import BEGIN, SIREN, SOURCE
from support.sounds import noise, wail, write_sound
from support.trainer_home import make_home

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.errors import OperatorError
from earshot_node.recordings.draft import draft_from_samples
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.cli.main import cli
from earshot_trainer.collecting.audio_store import AudioFolder, open_audio_store
from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.importing import Importer, Row
from earshot_trainer.labelling.incoming import Naming
from earshot_trainer.labelling.sessions import sessions_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    return tmp_path / "sounds"


def library(home: Home) -> Library:
    return Library(open_catalogue(home.catalogue_url))


def bring(home: Home, folder: Path, *, given: tuple[str, ...] = (), dry: bool = False) -> dict[str, Row]:
    importer = Importer(library(home), open_audio_store(home.recordings_place), home.incoming, dry)
    files = sorted(path for path in folder.rglob("*") if path.suffix not in ("", ".json"))
    rows = importer.bring(files, Naming(folder, given, ("siren",), takes_new=False), lambda: None)
    return {str(row.path.relative_to(folder)): row for row in rows}


def fates(rows: dict[str, Row]) -> dict[str, str]:
    return {name: row.fate for name, row in rows.items()}


def run(home: Home, *words: str) -> Result:
    return CliRunner().invoke(cli, [words[0], "--home", str(home.folder), *words[1:]], standalone_mode=False)


def write_as_node(folder: Path, number: int, labelling: Labelling | None) -> RecordingInfo:
    """FLAC and JSON as a node writes them."""
    draft = draft_from_samples(noise(number), BEGIN + timedelta(hours=number), "hall", SOURCE)
    info = draft.info(labelling)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{info.id}.flac").write_bytes(draft.flac)
    (folder / f"{info.id}.json").write_bytes(info.encode())
    return info


def test_subfolders_name_the_labels_and_the_rest_waits(home: Home, sounds: Path) -> None:
    write_sound(sounds / "siren/a.wav", wail(1))
    write_sound(sounds / "Background/b.flac", noise(2))
    write_sound(sounds / "not siren/c.ogg", noise(3))
    write_sound(sounds / "unlabelled/d.wav", noise(4))
    write_sound(sounds / "e.mp3", noise(5))
    assert set(fates(bring(home, sounds)).values()) == {"new"}
    assert library(home).counts() == {"": 2, "background": 1, "not siren": 1, "siren": 1}


def test_audio_is_kept_as_mono_flac_at_16_khz_under_its_hash(home: Home, sounds: Path) -> None:
    stereo = np.stack([wail(1), wail(1)], axis=1)
    sounds.mkdir()
    sf.write(sounds / "a.wav", np.repeat(stereo, 3, axis=0), 48_000)
    bring(home, sounds)
    (info,) = library(home).all()
    kept = open_audio_store(home.recordings_place).read(info.sha256)
    assert hashlib.sha256(kept).hexdigest() == info.sha256
    (path,) = (home.folder / "recordings").rglob("*.flac")
    about = sf.info(path)
    assert (about.samplerate, about.channels, about.format) == (16_000, 1, "FLAC")
    assert info.duration_s == pytest.approx(1.0, abs=0.01)
    assert list(home.incoming.iterdir()) == []


def test_what_a_node_wrote_comes_as_it_is(home: Home, sounds: Path) -> None:
    infos = [write_as_node(sounds, 1, SIREN), write_as_node(sounds, 2, None)]
    bring(home, sounds)
    assert library(home).all() == infos


def test_same_content_comes_once_whatever_its_name(home: Home, sounds: Path) -> None:
    write_sound(sounds / "a.flac", noise(1))
    shutil.copy(sounds / "a.flac", sounds / "b.flac")
    assert fates(bring(home, sounds)) == {"a.flac": "new", "b.flac": "known"}
    assert fates(bring(home, sounds)) == {"a.flac": "known", "b.flac": "known"}
    assert len(library(home).all()) == 1


def test_flac_without_its_json_is_the_same_content(home: Home, sounds: Path) -> None:
    info = write_as_node(sounds, 1, SIREN)
    bring(home, sounds)
    (sounds / f"{info.id}.json").unlink()
    assert set(fates(bring(home, sounds)).values()) == {"known"}
    assert library(home).all() == [info]


def test_known_content_in_another_folder_gets_its_label_and_what_it_was_is_told(home: Home, sounds: Path) -> None:
    write_sound(sounds / "background/a.flac", wail(1))
    bring(home, sounds)
    (sounds / "background").rename(sounds / "siren")
    row = bring(home, sounds)["siren/a.flac"]
    assert (row.fate, row.title, row.reason) == ("labelled", "siren", "was background")
    assert library(home).counts() == {"siren": 1}
    assert fates(bring(home, sounds)) == {"siren/a.flac": "known"}


def test_option_comes_before_json_and_folder(home: Home, sounds: Path) -> None:
    write_as_node(sounds / "siren", 1, SIREN)
    write_sound(sounds / "siren/b.wav", noise(2))
    bring(home, sounds, given=("background",))
    assert library(home).counts() == {"background": 2}


def test_what_cannot_be_used_is_left_out_with_its_reason_and_the_rest_comes(home: Home, sounds: Path) -> None:
    write_sound(sounds / "good.wav", noise(1))
    write_sound(sounds / "silent.wav", np.zeros(16_000, np.int16))
    write_sound(sounds / "short.wav", noise(2, 0.1))
    write_sound(sounds / "sirene/wrong.wav", wail(3))
    (sounds / "text.wav").write_text("this is no audio")
    write_sound(sounds / "broken.flac", noise(4))
    (sounds / "broken.json").write_text("{")
    changed = write_as_node(sounds, 5, SIREN)
    write_sound(sounds / f"{changed.id}.flac", noise(6))
    rows = bring(home, sounds)
    reasons = {name: row.reason for name, row in rows.items() if row.fate == "left out"}
    assert "silent" in reasons.pop("silent.wav")
    assert "shorter than" in reasons.pop("short.wav")
    assert "did you mean 'siren'" in reasons.pop("sirene/wrong.wav")
    assert "broken.json is no JSON" in reasons.pop("broken.flac")
    assert "not the one that its JSON describes" in reasons.pop(f"{changed.id}.flac")
    assert reasons.pop("text.wav")
    assert reasons == {}
    assert [one.labelling for one in library(home).all()] == [None]


def test_foreign_json_beside_audio_is_passed_over(home: Home, sounds: Path) -> None:
    write_sound(sounds / "a.wav", noise(1))
    (sounds / "a.json").write_text('{"title": "a song"}')
    assert fates(bring(home, sounds)) == {"a.wav": "new"}


def test_each_imported_file_is_a_session_under_its_name(home: Home, sounds: Path) -> None:
    for name in ("Door bell (2)", "___", "x" * 80):
        write_sound(sounds / f"{name}.wav", noise(len(name)))
    for name in sorted(sounds.iterdir()):
        os.utime(name, (1.8e9, 1.8e9))
    apart = [write_as_node(sounds, 0, SIREN), write_as_node(sounds, 1, SIREN)]
    bring(home, sounds)
    infos = library(home).all()
    imported = [one for one in infos if one.node == "imported"]
    assert sorted(one.source[:-9] for one in imported) == ["door-bell-2", "node", "x" * 31]
    assert len({sessions_of(infos)[one.sha256] for one in imported}) == 3
    assert len({sessions_of(infos)[one.sha256] for one in apart}) == 2


def test_dry_run_writes_nothing_and_says_the_same(home: Home, sounds: Path) -> None:
    for number in range(3):
        write_sound(sounds / f"siren/{number}.wav", wail(number))
    shutil.copy(sounds / "siren/0.wav", sounds / "siren/again.wav")
    said = fates(bring(home, sounds, dry=True))
    assert library(home).all() == []
    assert list((home.folder / "recordings").rglob("*.flac")) == []
    assert fates(bring(home, sounds)) == said


class FullAfter(AudioFolder):
    """A store whose disk is full after some recordings."""

    left = 1

    def put(self, sha256: str, file: Path) -> None:
        if not self.left:
            raise OperatorError("no space left")
        self.left -= 1
        super().put(sha256, file)


def test_recording_without_its_audio_is_never_visible_and_the_next_import_goes_on(home: Home, sounds: Path) -> None:
    for number in range(3):
        write_sound(sounds / f"{number}.wav", noise(number))
    files = sorted(sounds.iterdir())
    store = FullAfter(Path(home.recordings_place))
    importer = Importer(library(home), store, home.incoming)
    naming = Naming(sounds, (), ("siren",), takes_new=False)
    with pytest.raises(OperatorError, match="no space left"):
        list(importer.bring(files, naming, lambda: None))
    visible = library(home).all()
    assert len(visible) == 1
    assert all(store.has(one.sha256) for one in visible)
    assert list(home.incoming.iterdir()) == []
    rows = list(replace(importer, audio=AudioFolder(Path(home.recordings_place))).bring(files, naming, lambda: None))
    assert [row.fate for row in rows] == ["known", "new", "new"]


def test_command_line_tells_what_came_and_what_did_not(home: Home, sounds: Path) -> None:
    write_sound(sounds / "siren/a.wav", wail(1))
    write_sound(sounds / "glass/b.wav", wail(2))
    dry = run(home, "import", str(sounds), "--dry-run")
    assert dry.return_value == 3, dry.output
    assert "1 would be new; nothing was written" in dry.output
    came = run(home, "import", str(sounds))
    assert came.return_value == 3
    assert "left out glass/b.wav: 'glass' is no label here; use --new-label" in came.output
    assert "1 new; next: trainer-cli retrain" in came.output
    told = json.loads(run(home, "import", str(sounds), "--new-label", "--json").stdout)
    assert {one["path"]: one["fate"] for one in told["files"]} == {"siren/a.wav": "known", "glass/b.wav": "new"}


def test_unknown_label_or_folder_is_one_line(home: Home, sounds: Path) -> None:
    write_sound(sounds / "a.wav", wail(1))
    assert "did you mean 'siren'?; known are siren, background" in str(
        run(home, "import", str(sounds), "--label", "sirene").exception
    )
    assert "is no folder" in str(run(home, "import", str(sounds / "none")).exception)
    (sounds / "a.wav").unlink()
    assert "no audio files in this folder" in str(run(home, "import", str(sounds)).exception)


def test_label_file_of_the_household_is_read(tmp_path: Path, sounds: Path) -> None:
    (tmp_path / "labels.yaml").write_text("schema: 1\nlabels:\n  - name: glass\n")
    home = make_home(tmp_path / "home", labels_file=str(tmp_path / "labels.yaml"))
    write_sound(sounds / "glass/a.wav", wail(1))
    assert run(home, "import", str(sounds)).return_value == 0


def test_exported_folder_comes_in_elsewhere_as_it_was(home: Home, sounds: Path, tmp_path: Path) -> None:
    write_as_node(sounds, 1, SIREN)
    write_as_node(sounds, 2, None)
    write_as_node(sounds, 3, Labelling(absent=("glass",), by="http", time=NOW))
    write_sound(sounds / "background/b.wav", noise(9))
    bring(home, sounds)
    exported = run(home, "export", str(tmp_path / "out"))
    assert "4 recordings (1 background, 1 not glass, 1 siren, 1 unlabelled)" in exported.output, exported.exception
    elsewhere = make_home(tmp_path / "elsewhere")
    assert run(elsewhere, "import", str(tmp_path / "out")).return_value == 0
    assert library(elsewhere).all() == library(home).all()


def test_training_reads_the_exported_manifest_without_what_says_nothing_of_sirens(
    home: Home, sounds: Path, tmp_path: Path
) -> None:
    write_as_node(sounds, 1, SIREN)
    write_as_node(sounds, 2, None)
    write_as_node(sounds, 3, Labelling(absent=("glass",), by="http", time=NOW))
    write_as_node(sounds, 4, Labelling(absent=("siren",), by="http", time=NOW))
    bring(home, sounds)
    run(home, "export", str(tmp_path / "out"))
    recordings = load_manifest(tmp_path / "out/manifest.csv")
    assert sorted((one.label, *one.labels) for one in recordings) == [("not siren",), ("siren", "siren")]
    assert all(one.path.is_file() for one in recordings)
    assert len({one.group for one in recordings}) == 2  # hours apart


def test_export_takes_what_is_asked_for_and_never_an_existing_folder(home: Home, sounds: Path, tmp_path: Path) -> None:
    infos = [write_as_node(sounds, 1, SIREN), write_as_node(sounds, 30, None), write_as_node(sounds, 60, SIREN)]
    bring(home, sounds)
    since = f"{infos[1].begin:%Y-%m-%dT%H:%M:%S}"
    run(home, "export", str(tmp_path / "a"), "--since", since, "--label", "siren", "--node", "hall")
    assert [one.name.partition("-")[0] for one in (tmp_path / "a").rglob("*.flac")] == [infos[2].id.partition("-")[0]]
    assert "holds something already" in str(run(home, "export", str(tmp_path / "a")).exception)
    assert "none of the 3 recordings" in str(run(home, "export", str(tmp_path / "b"), "--node", "attic").exception)
    assert not (tmp_path / "b").exists()
