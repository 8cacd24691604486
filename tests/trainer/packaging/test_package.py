"""What `package` writes is what nodes open, byte for byte the same each time."""

import base64
import hashlib
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.bundles import members_of, shipped_bytes

from earshot_node.analysis import analyze_files
from earshot_node.errors import BundleError, OperatorError
from earshot_node.inference.bundle import load_bundle, load_bundle_unsigned, load_bundled
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.self_test import self_test
from earshot_trainer.cli.key import command as key_command
from earshot_trainer.packaging.command import PackageRequest, run_packaging
from earshot_trainer.packaging.install import install_bundled
from earshot_trainer.packaging.keys import create_key, load_key

POINT = {"enter": 0.6, "leave": 0.4, "min_length_s": 0.4, "bridging_s": 1.0, "cooldown_s": 3.0}
LABELS = list(load_bundled().manifest.labels)
RUN: dict[str, Any] = {
    "recipe_file": "siren.yaml",
    "recipe": {"name": "siren", "model": {"labels": LABELS}, "training": {"steps": 2500, "batch_size": 32}},
    "seed": 7,
    "code_version": "2026.11.0+abc",
    "dataset_sha256": "ab" * 32,
    "training_groups": ["11"],
    "graphs": {hashlib.sha256(members_of(shipped_bytes())["model.onnx"]).hexdigest(): "model.onnx"},
    "trained_on": {"recordings": 3, "hours": 1.5, "siren_recordings": 1, "siren_groups": 1},
    "audio_licences": {
        "UrbanSound8K CC BY-NC 3.0 (Freesound id 1: per-clip licence unknown)": 1,
        "UrbanSound8K CC BY-NC 3.0 (Freesound id 2: CC-BY)": 1,
        "CC0": 1,
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with model, run and presets as the commands before `package` leave them."""
    (tmp_path / "model.onnx").write_bytes(members_of(shipped_bytes())["model.onnx"])
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    presets = {name: {"siren": POINT} for name in ("quiet", "balanced", "sensitive")}
    (tmp_path / "presets.json").write_text(json.dumps(presets))
    return tmp_path


def request(folder: Path, **changes: Any) -> PackageRequest:
    values: dict[str, Any] = {
        "model": folder / "model.onnx",
        "run": folder,
        "presets": folder / "presets.json",
        "metrics": (),
        "name": "siren",
        "version": "2026.11.3",
        "out": folder / "siren.earshot",
    }
    return PackageRequest(**(values | changes))


def test_bundle_opens_on_a_node_and_passes_its_self_test(folder: Path) -> None:
    bundle = load_bundle_unsigned(run_packaging(request(folder)))
    assert self_test(bundle, StreamingModel(bundle.manifest, bundle.model)).deviation < 1e-4
    assert bundle.manifest.version == "2026.11.3"
    assert bundle.manifest.lineage.seed == 7
    assert bundle.manifest.presets.balanced["siren"].enter == 0.6


def test_same_inputs_give_the_same_bytes(folder: Path) -> None:
    create_key(folder / "key")
    first = run_packaging(request(folder, key=folder / "key", out=folder / "a.earshot"))
    second = run_packaging(request(folder, key=folder / "key", out=folder / "b.earshot"))
    assert first.read_bytes() == second.read_bytes()


def test_bundle_is_stored_not_compressed_and_leads_with_its_manifest(folder: Path) -> None:
    with zipfile.ZipFile(run_packaging(request(folder))) as archive:
        members = archive.infolist()
    assert members[0].filename == "manifest.json"
    assert {member.compress_type for member in members} == {zipfile.ZIP_STORED}
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}


def test_signed_bundle_is_trusted_by_its_public_key_alone(folder: Path) -> None:
    public = create_key(folder / "key")
    bundle = run_packaging(request(folder, key=folder / "key"))
    assert load_bundle(bundle, trusted_keys=[public]).signed
    with pytest.raises(BundleError, match="not signed by a key"):
        load_bundle(bundle, trusted_keys=[base64.b64encode(bytes(32)).decode()])


def test_reference_clips_hold_sirens_and_a_trap_with_a_frame_for_every_hop(folder: Path) -> None:
    bundle = load_bundle_unsigned(run_packaging(request(folder)))
    names = [clip.audio for clip in bundle.manifest.reference_clips]
    assert len(names) >= 3
    for clip in bundle.manifest.reference_clips:
        samples, posteriors = bundle.reference(clip)
        assert posteriors.shape == (len(samples) // 640, len(LABELS))


def test_node_analyzes_a_file_with_the_bundle(folder: Path) -> None:
    bundle = load_bundle_unsigned(run_packaging(request(folder)))
    audio = folder / "wail.flac"
    audio.write_bytes(bundle.files[bundle.manifest.reference_clips[0].audio])
    (analysis,) = analyze_files([audio], bundle)
    assert analysis.problem == ""
    _, expected = bundle.reference(bundle.manifest.reference_clips[0])
    assert analysis.posteriors.shape == expected.shape


def test_licences_of_single_recordings_are_counted_by_family(folder: Path) -> None:
    manifest = load_bundle_unsigned(run_packaging(request(folder))).manifest
    assert manifest.audio_licences == {"UrbanSound8K CC BY-NC 3.0": 2, "CC0": 1}
    assert "NON-COMMERCIAL" in manifest.licence
    assert "UrbanSound8K" in manifest.licence


def test_weights_of_free_audio_alone_are_not_called_non_commercial(folder: Path) -> None:
    (folder / "run.json").write_text(json.dumps(RUN | {"audio_licences": {"CC0": 3}}))
    bundle = load_bundle_unsigned(run_packaging(request(folder)))
    assert "commercial" not in bundle.manifest.licence.lower()
    assert "UrbanSound8K" not in bundle.model_card


def test_bundle_that_a_node_would_refuse_is_not_left_behind(folder: Path) -> None:
    target = folder / "siren.earshot"
    target.write_bytes(b"the one before")
    (folder / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(OperatorError, match="is no ONNX graph"):
        run_packaging(request(folder))
    assert target.read_bytes() == b"the one before"
    assert not list(folder.glob("*.part")) + list(folder.glob(".*.part"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "1.0"}, "version"),
        ({"name": "Not A Label"}, "name"),
        ({"run": Path("absent")}, "cannot read absent"),
        ({"model": Path("absent.onnx")}, "absent.onnx"),
        ({"presets": Path("absent.json")}, "absent.json"),
        ({"key": Path("absent.key")}, "trainer-cli key create"),
        ({"metrics": ("no-name",)}, "expected NAME=FILE"),
        ({"metrics": ("held_out=absent.json",)}, "absent.json"),
        ({"parent": "x"}, "parent"),
    ],
)
def test_bad_input_is_one_line_that_names_it(folder: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(OperatorError) as caught:
        run_packaging(request(folder, **changes))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_run_of_another_model_is_refused(folder: Path) -> None:
    recipe = RUN["recipe"] | {"model": {"labels": ["siren", "glass"]}}
    (folder / "run.json").write_text(json.dumps(RUN | {"recipe": recipe}))
    with pytest.raises(
        OperatorError, match=rf"gives {len(LABELS)} posteriors a frame, but the labels are siren, glass"
    ):
        run_packaging(request(folder))


def test_installed_bundle_replaces_the_shipped_one_and_its_pin(folder: Path) -> None:
    bundle = run_packaging(request(folder))
    models = folder / "models"
    models.mkdir()
    (models / "siren-2026.1.0.earshot").write_bytes(b"old")
    target = install_bundled(bundle, "siren", "2026.11.3", models)
    assert sorted(path.name for path in models.iterdir()) == ["bundled.json", "siren-2026.11.3.earshot"]
    assert target.read_bytes() == bundle.read_bytes()
    assert json.loads((models / "bundled.json").read_text())["file"] == target.name


def test_key_file_is_readable_by_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "trainer.key"
    public = create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(base64.b64decode(public)) == 32
    before = path.read_bytes()
    with pytest.raises(OperatorError, match="exists and is not overwritten"):
        create_key(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(OperatorError, match="is no private key"):
        load_key(tmp_path / "key")


def test_key_command_prints_the_line_that_nodes_need(tmp_path: Path) -> None:
    path = str(tmp_path / "trainer.key")
    created = CliRunner().invoke(key_command, ["create", path])
    shown = CliRunner().invoke(key_command, ["show", path])
    assert created.exit_code == shown.exit_code == 0
    assert f'trusted_keys: ["{shown.output.strip()}"]' in created.output
