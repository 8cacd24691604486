from pathlib import Path

import pytest

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import dataset_hash, expand_path, load_manifest, load_manifests

HEADER = "path,label,is_siren,kind,source,orig,licence,fsid,fold,dur,note\n"


def write_manifest(folder: Path, *rows: str, header: str = HEADER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "manifest.csv"
    path.write_text(header + "".join(row + "\n" for row in rows))
    return path


def test_row_becomes_recording_with_path_beside_the_manifest(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, "a/x.opus,siren,1,clip,us8k,7-0,CC0,77,fold1,4.0,")
    (recording,) = load_manifest(manifest)
    assert recording.path == tmp_path / "a/x.opus"
    assert recording.is_siren
    assert (recording.group, recording.fold, recording.duration_s) == ("77", "fold1", 4.0)


def test_label_decides_where_is_siren_is_absent(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, "x.wav,siren", "y.wav,dog", header="path,label\n")
    assert [recording.is_siren for recording in load_manifest(manifest)] == [True, False]


def test_clips_of_one_original_share_a_group_and_joined_clips_do_not(tmp_path: Path) -> None:
    manifest = write_manifest(
        tmp_path,
        "a.opus,dog,0,clip,repo,one.wav,CC0,,,1,",
        "b.opus,dog,0,clip,repo,one.wav,CC0,,,1,",
        'c.opus,dog,0,long,repo,"one.wav (+19 more, see parts.csv)",CC0,,,1,',
    )
    first, second, joined = load_manifest(manifest)
    assert first.group == second.group
    assert joined.group != first.group


def test_like_named_files_of_two_folders_are_two_originals(tmp_path: Path) -> None:
    manifests = [write_manifest(tmp_path / name, "1.wav,siren", header="path,label\n") for name in ("attic", "yard")]
    assert [recording.group for recording in load_manifests(manifests)] == ["attic/1.wav", "yard/1.wav"]


def test_row_noted_to_be_left_out_is_left_out(tmp_path: Path) -> None:
    manifest = write_manifest(
        tmp_path,
        "a.opus,dog,0,clip,s,,CC0,1,,1,",
        "b.opus,dog,0,clip,s,,CC0,2,,1,siren-like tone: leave out of negatives",
    )
    assert [recording.name for recording in load_manifest(manifest)] == ["a.opus"]


def test_missing_column_is_named(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, "x.wav", header="path\n")
    with pytest.raises(OperatorError, match="label"):
        load_manifest(manifest)


def test_bad_duration_is_reported_with_its_line(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, "a.opus,dog,0,clip,s,,CC0,1,,1,", "b.opus,dog,0,clip,s,,CC0,1,,long,")
    with pytest.raises(OperatorError, match="line 3: dur is 'long'"):
        load_manifest(manifest)


def test_absent_manifest_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"nothing\.csv: No such file"):
        load_manifest(tmp_path / "nothing.csv")


def test_binary_manifest_is_an_operator_error(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(OperatorError, match="no CSV file"):
        load_manifest(path)


def test_file_listed_in_two_manifests_is_an_error(tmp_path: Path) -> None:
    first = write_manifest(tmp_path, "x.wav,dog", header="path,label\n")
    second = tmp_path / "again.csv"
    second.write_text("path,label\nx.wav,dog\n")
    with pytest.raises(OperatorError, match="also listed"):
        load_manifests([first, second])


def test_dataset_hash_does_not_depend_on_folder_or_order_but_on_labels(tmp_path: Path) -> None:
    hashes = []
    for name, rows in (("one", ("x.wav,dog", "y.wav,siren")), ("two", ("y.wav,siren", "x.wav,dog"))):
        manifest = write_manifest(tmp_path / name / "data", *rows, header="path,label\n")
        for audio in ("x.wav", "y.wav"):
            (manifest.parent / audio).write_bytes(b"sound")
        hashes.append(dataset_hash(load_manifest(manifest)))
    assert hashes[0] == hashes[1]
    relabelled = write_manifest(tmp_path / "one" / "data", "x.wav,siren", "y.wav,siren", header="path,label\n")
    assert dataset_hash(load_manifest(relabelled)) != hashes[0]


def test_unset_environment_variable_in_a_path_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARSHOT_DATA", raising=False)
    with pytest.raises(OperatorError, match="environment variable"):
        expand_path("$EARSHOT_DATA/urban/manifest.csv")
    monkeypatch.setenv("EARSHOT_DATA", "/audio")
    assert expand_path("$EARSHOT_DATA/manifest.csv") == Path("/audio/manifest.csv")


@pytest.mark.audio_data
def test_real_manifests_load_whole(audio_data: Path) -> None:
    recordings = load_manifests([audio_data / "urban/manifest.csv", audio_data / "negatives/manifest.csv"])
    assert len(recordings) == 2328
    assert sum(recording.is_siren for recording in recordings) == 194
    assert sum(recording.is_siren for recording in recordings if recording.fold == "us8k-fold2") == 91
    assert all(recording.path.is_file() for recording in recordings)
