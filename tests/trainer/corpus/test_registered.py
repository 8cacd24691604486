"""Corpora are known by their layout, keep what their authors held together, and stay where they are."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.public_corpora import make_esc50, make_urbansound8k
from support.tiny_corpus import make_corpus
from support.trainer_home import make_home

from earshot_node.errors import EarshotError, OperatorError
from earshot_trainer.catalogue.corpora import Corpora
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.cli.main import cli
from earshot_trainer.corpus.cache import decode_blocks
from earshot_trainer.corpus.recordings import Recording, load_manifest
from earshot_trainer.corpus.registered import register, registered_recordings
from earshot_trainer.corpus.splits import hold_out
from earshot_trainer.home.folder import Home

STREET = [
    ("102305-6-0-0.wav", "102305", 1, "gun_shot"),
    ("159738-8-0-0.wav", "159738", 1, "siren"),
    ("159747-8-0-1.wav", "159747", 2, "siren"),
    ("43805-8-0-0.wav", "43805", 3, "siren"),
    ("17615-3-0-6.wav", "17615", 1, "dog_bark"),
]
ENVIRONMENT = [
    ("1-100032-A-0.wav", 1, "dog", True, "100032"),
    ("1-31482-A-42.wav", 1, "siren", False, "31482"),
    ("1-31482-B-42.wav", 1, "siren", False, "31482"),
    ("5-9032-A-0.wav", 5, "church_bells", False, "9032"),
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def corpora(home: Home) -> Corpora:
    return Corpora(open_catalogue(home.catalogue_url))


def named(recordings: list[Recording]) -> dict[str, Recording]:
    return {one.name: one for one in recordings}


def run(home: Home, *words: str) -> Result:
    return CliRunner().invoke(cli, ["corpora", "--home", str(home.folder), *words], standalone_mode=False)


def test_urbansound8k_is_known_by_its_layout_and_keeps_folds_and_recordings(tmp_path: Path, corpora: Corpora) -> None:
    folder = make_urbansound8k(tmp_path / "UrbanSound8K", STREET)
    corpus, found = register(corpora, "us8k", folder, None)
    assert (corpus.layout, corpus.recordings, found.missing) == ("urbansound8k", 4, 0)
    here = named(registered_recordings(corpora))
    siren = here["43805-8-0-0.wav"]
    assert siren.labels == {"siren"}
    assert (siren.group, siren.fold, siren.duration_s) == ("43805", "us8k-fold3", 4.0)
    assert siren.licence == "UrbanSound8K CC BY-NC 3.0"
    assert here["102305-6-0-0.wav"].labels == frozenset()
    assert sum(len(block) for block in decode_blocks(siren.path)) == 3200  # mono at 16 kHz


def test_recordist_who_is_in_several_folds_is_on_one_side_of_a_split(tmp_path: Path, corpora: Corpora) -> None:
    register(corpora, "us8k", make_urbansound8k(tmp_path / "u", STREET), None)
    split = hold_out(registered_recordings(corpora), folds=("us8k-fold1",))
    assert {one.name for one in split.test} == {"102305-6-0-0.wav", "159738-8-0-0.wav"}
    assert {one.name for one in split.train} == {"43805-8-0-0.wav"}
    assert {one.name for one in split.unused} == {"159747-8-0-1.wav"}


def test_clip_that_is_listed_under_a_wrong_class_is_left_out(tmp_path: Path, corpora: Corpora) -> None:
    register(corpora, "us8k", make_urbansound8k(tmp_path / "u", STREET), None)
    assert "17615-3-0-6.wav" not in named(registered_recordings(corpora))


def test_esc50_keeps_folds_and_recordings_and_says_which_part_has_which_licence(
    tmp_path: Path, corpora: Corpora
) -> None:
    register(corpora, "esc50", make_esc50(tmp_path / "ESC-50", ENVIRONMENT), None)
    here = named(registered_recordings(corpora))
    assert {name for name, one in here.items() if one.is_siren} == {"1-31482-A-42.wav", "1-31482-B-42.wav"}
    assert here["1-31482-A-42.wav"].group == here["1-31482-B-42.wav"].group == "31482"
    assert {one.licence for one in here.values()} == {"ESC-10 CC BY 3.0", "ESC-50 CC BY-NC 3.0"}
    assert (here["5-9032-A-0.wav"].fold, here["1-100032-A-0.wav"].fold) == ("esc50-fold5", "esc10-fold1")


def test_public_corpus_may_be_there_in_part(tmp_path: Path, corpora: Corpora) -> None:
    folder = make_urbansound8k(tmp_path / "u", STREET)
    shutil.rmtree(folder / "audio/fold3")
    _, found = register(corpora, "us8k", folder, None)
    assert (len(found.recordings), found.missing) == (3, 1)


def test_own_manifest_is_read_as_training_reads_it(tmp_path: Path, corpora: Corpora) -> None:
    manifest = make_corpus(tmp_path / "mine")
    register(corpora, "mine", tmp_path / "mine", None)
    assert registered_recordings(corpora) == load_manifest(manifest)


def test_own_manifest_with_missing_files_is_refused(tmp_path: Path, corpora: Corpora) -> None:
    make_corpus(tmp_path / "mine")
    (tmp_path / "mine/siren1.wav").unlink()
    with pytest.raises(OperatorError, match="1 of its files are not there"):
        register(corpora, "mine", tmp_path / "mine", None)
    assert corpora.all() == []


def test_manifest_elsewhere_and_manifest_as_path_are_the_same(tmp_path: Path, corpora: Corpora) -> None:
    manifest = make_corpus(tmp_path / "mine")
    register(corpora, "a", tmp_path, manifest)
    with pytest.raises(OperatorError, match="is the corpus 'a' already"):
        register(corpora, "b", manifest, None)


def test_recording_that_two_corpora_list_comes_once(tmp_path: Path, corpora: Corpora) -> None:
    manifest = make_corpus(tmp_path / "mine")
    second = manifest.with_name("second.csv")
    second.write_text("path,label\nsiren0.wav,siren\n")
    register(corpora, "a", manifest, None)
    register(corpora, "b", second, None)
    assert len(registered_recordings(corpora)) == len(load_manifest(manifest))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slice_file_name,fsID\na.wav,1\n", "line 2: not as its authors made it"),
        ("", "lists no recording"),
        ("slice_file_name,fsID,start,end,salience,fold,classID,class\n../x.wav,1,a,b,1,1,1,siren\n", "line 2"),
    ],
)
def test_damaged_table_is_one_line_with_its_place(tmp_path: Path, corpora: Corpora, text: str, message: str) -> None:
    folder = make_urbansound8k(tmp_path / "u", STREET)
    (folder / "metadata/UrbanSound8K.csv").write_text(text)
    with pytest.raises(OperatorError, match=message):
        register(corpora, "us8k", folder, None)


def test_folder_without_a_corpus_says_what_was_looked_for(tmp_path: Path, corpora: Corpora) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OperatorError, match=r"metadata/UrbanSound8K.csv, meta/esc50.csv, manifest.csv"):
        register(corpora, "x", tmp_path / "empty", None)


def test_added_listed_removed_by_the_command_line(tmp_path: Path, home: Home) -> None:
    folder = make_urbansound8k(tmp_path / "UrbanSound8K", STREET)
    added = run(home, "add", "us8k", str(folder))
    assert added.return_value is None, added.output
    assert "4 recordings" in added.output
    assert "3 with a siren, 1 background" in added.output
    assert "UrbanSound8K CC BY-NC 3.0 (4)" in added.output
    assert "not for commercial use" in added.output
    (listed,) = json.loads(run(home, "list", "--json").output)["corpora"]
    assert (listed["name"], listed["layout"], listed["recordings"], listed["problem"]) == (
        "us8k",
        "urbansound8k",
        4,
        "",
    )
    shutil.rmtree(folder / "audio")
    gone = run(home, "list")
    assert gone.return_value == 3
    assert "none of the 4 listed audio files is there" in gone.output
    assert "removed us8k" in run(home, "remove", "us8k").output
    assert "no corpus is registered" in run(home, "list").output


def test_wrong_names_are_told(tmp_path: Path, home: Home) -> None:
    assert "not a valid id" in str(run(home, "add", "My Corpus", str(tmp_path)).exception)
    error = run(home, "remove", "none").exception
    assert isinstance(error, EarshotError)
    assert "no corpus 'none'" in str(error)
