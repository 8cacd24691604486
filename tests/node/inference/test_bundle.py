"""A node opens what is right and refuses everything else with one clear line."""

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bundles import MANIFEST, SIGNATURE, build_bundle, members_of, shipped_bytes, zip_members

from earshot_node.contract.manifest import MAX_BUNDLE_BYTES, MAX_MODEL_BYTES
from earshot_node.errors import BundleError
from earshot_node.inference.bundle import load_bundle, load_bundle_unsigned, load_bundled
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.self_test import self_test


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def public_text(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def written(folder: Path, data: bytes) -> Path:
    path = folder / "test.earshot"
    path.write_bytes(data)
    return path


def refusal(path: Path, *trusted: str) -> str:
    """The one line with which a bundle is refused; unsigned ones are looked at when no key is given."""
    with pytest.raises(BundleError) as caught:
        load_bundle(path, trusted_keys=trusted) if trusted else load_bundle_unsigned(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_shipped_bundle_opens_and_passes_its_self_test() -> None:
    bundle = load_bundled()
    assert bundle.signed
    assert bundle.manifest.labels[0] == "siren"
    assert len(bundle.model) <= 2_500_000
    result = self_test(bundle, StreamingModel(bundle.manifest, bundle.model))
    assert result.deviation <= 0.1


def test_shipped_bundle_has_a_model_card_that_names_its_licence() -> None:
    bundle = load_bundled()
    assert bundle.model_card.startswith("# ")
    assert "non-commercial" in bundle.manifest.licence.lower()
    assert bundle.manifest.licence in bundle.model_card


def test_bundle_signed_by_a_trusted_key_opens(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    path = written(tmp_path, build_bundle(key=key))
    other = Ed25519PrivateKey.generate()
    assert load_bundle(path, trusted_keys=[public_text(other), public_text(key)]).signed


def test_unsigned_bundle_opens_for_looking_and_says_that_it_is_unsigned(tmp_path: Path) -> None:
    assert not load_bundle_unsigned(written(tmp_path, build_bundle())).signed


def test_unsigned_bundle_is_refused_where_a_signature_is_needed(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    assert "not signed" in refusal(written(tmp_path, build_bundle()), public_text(key))


def test_bundle_signed_by_another_key_is_refused(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    path = written(tmp_path, build_bundle(key=Ed25519PrivateKey.generate()))
    assert "not signed by a key in model.trusted_keys" in refusal(path, public_text(key))


def test_no_trusted_key_at_all_is_said(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    path = written(tmp_path, build_bundle(key=key))
    with pytest.raises(BundleError, match=r"no key is trusted; add .* model\.trusted_keys"):
        load_bundle(path, trusted_keys=[])


def test_trusted_key_that_is_no_key_is_named(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    path = written(tmp_path, build_bundle(key=key))
    with pytest.raises(BundleError, match=r"trusted key hello.* is not a base64 Ed25519 public key"):
        load_bundle(path, trusted_keys=["hello"])


def test_manifest_changed_after_signing_is_refused(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    members = members_of(build_bundle(key=key))
    manifest = json.loads(members[MANIFEST])
    manifest["presets"]["balanced"]["siren"]["enter"] = 1.0
    path = written(tmp_path, zip_members(members | {MANIFEST: json.dumps(manifest).encode()}))
    assert "not signed by a key" in refusal(path, public_text(key))


def test_signature_of_the_wrong_length_is_refused(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    members = members_of(build_bundle(key=key))
    path = written(tmp_path, zip_members(members | {SIGNATURE: b"short"}))
    assert "not signed by a key" in refusal(path, public_text(key))


def test_altered_file_is_named(tmp_path: Path) -> None:
    members = members_of(build_bundle())
    altered = bytearray(members["model.onnx"])
    altered[len(altered) // 2] ^= 1
    path = written(tmp_path, zip_members(members | {"model.onnx": bytes(altered)}))
    assert "model.onnx was altered or damaged" in refusal(path)


def test_file_that_the_manifest_does_not_list_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, zip_members(members_of(build_bundle()) | {"extra.py": b"print()"}))
    assert "extra.py" in refusal(path)


def test_file_that_is_missing_is_named(tmp_path: Path) -> None:
    members = members_of(build_bundle())
    del members["model.onnx"]
    assert "model.onnx" in refusal(written(tmp_path, zip_members(members)))


def test_missing_manifest_is_said(tmp_path: Path) -> None:
    members = members_of(build_bundle())
    del members[MANIFEST]
    assert "no manifest.json inside; this is not an Earshot bundle" in refusal(written(tmp_path, zip_members(members)))


@pytest.mark.parametrize("data", [b"", b"not a zip at all", b"PK\x03\x04" + bytes(100)])
def test_file_that_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "damaged or not a bundle" in refusal(written(tmp_path, data))


def test_truncated_bundle_is_refused(tmp_path: Path) -> None:
    whole = shipped_bytes()
    assert "fetch it again" in refusal(written(tmp_path, whole[: len(whole) // 2]))


def test_bit_flip_inside_the_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(shipped_bytes())
    data[len(data) // 2] ^= 0x10
    assert "damaged" in refusal(written(tmp_path, bytes(data)))


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, zip_members(members_of(build_bundle()), zipfile.ZIP_DEFLATED))
    assert "compressed" in refusal(path)


def test_bundle_for_a_newer_node_says_which(tmp_path: Path) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["min_node_version"] = "2099.1.0"
        manifest["presets"]["quiet"]["siren"]["invented_later"] = 1

    text = refusal(written(tmp_path, build_bundle(edit)))
    assert "needs earshot 2099.1.0 or newer" in text
    assert "update the node" in text


def test_manifest_of_another_schema_is_refused(tmp_path: Path) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["schema"] = 2

    assert "the manifest is not valid" in refusal(written(tmp_path, build_bundle(edit)))


def test_unknown_field_of_a_newer_manifest_is_ignored(tmp_path: Path) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["invented_later"] = {"a": 1}

    assert load_bundle_unsigned(written(tmp_path, build_bundle(edit))).manifest.name == "siren"


def test_bundle_larger_than_allowed_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "test.earshot"
    with path.open("wb") as stream:
        stream.truncate(MAX_BUNDLE_BYTES + 1)
    assert "larger than a bundle may be" in refusal(path)


def test_model_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, build_bundle(files={"model.onnx": bytes(MAX_MODEL_BYTES + 1)}))
    assert "model.onnx is missing or larger" in refusal(path)


def test_more_files_than_a_bundle_may_hold_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, build_bundle(files={f"file{i}": b"" for i in range(40)}))
    assert "holds more than a bundle may" in refusal(path)


def test_missing_file_is_said(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.earshot")


def test_folder_in_place_of_a_bundle_is_said(tmp_path: Path) -> None:
    assert "cannot read the bundle" in refusal(tmp_path)


def test_model_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    bundle = load_bundle_unsigned(written(tmp_path, build_bundle(files={"model.onnx": b"no graph"})))
    with pytest.raises(BundleError, match="graph cannot be loaded"):
        StreamingModel(bundle.manifest, bundle.model)


def test_graph_and_manifest_that_disagree_about_state_are_refused(tmp_path: Path) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["state_tensors"][0]["name"] = "renamed"

    bundle = load_bundle_unsigned(written(tmp_path, build_bundle(edit)))
    with pytest.raises(BundleError, match=r"disagree about .*state_renamed"):
        StreamingModel(bundle.manifest, bundle.model)


def test_self_test_fails_when_the_posteriors_are_off(tmp_path: Path) -> None:
    clip = load_bundled().manifest.reference_clips[0]
    expected = json.loads(members_of(shipped_bytes())[clip.posteriors])
    expected["posteriors"] = [[1.0 - p for p in row] for row in expected["posteriors"]]
    data = build_bundle(files={clip.posteriors: json.dumps(expected).encode()})
    bundle = load_bundle_unsigned(written(tmp_path, data))
    with pytest.raises(BundleError, match=r"self-test on .* failed: posteriors are off by"):
        self_test(bundle, StreamingModel(bundle.manifest, bundle.model))


@pytest.mark.parametrize("content", [b"", b"not json", b'{"posteriors": 3}', b'{"posteriors": [["a"]]}', b"{}"])
def test_damaged_reference_clip_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    clip = load_bundled().manifest.reference_clips[0]
    bundle = load_bundle_unsigned(written(tmp_path, build_bundle(files={clip.posteriors: content})))
    with pytest.raises(BundleError, match="reference clip"):
        bundle.reference(clip)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_any_changed_byte_is_refused_or_changes_nothing(tmp_path: Path, position: float, bits: int) -> None:
    data = bytearray(shipped_bytes())
    data[int(position * len(data))] ^= bits
    path = written(tmp_path, bytes(data))
    try:
        bundle = load_bundle_unsigned(path)
    except BundleError:
        return  # any other exception fails the test
    assert bundle.files == load_bundled().files
    assert bundle.manifest == load_bundled().manifest
