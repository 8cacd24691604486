"""Bundles that mean harm, signed even by a trusted key: bombs stay folded, and no name leads out of the archive."""

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.bundles import build_bundle
from support.deployed import KEY, public_text

from earshot_node.contract.manifest import MAX_BUNDLE_BYTES
from earshot_node.errors import BundleError
from earshot_node.inference.bundle import load_bundle

MEGABYTE = 1_000_000


def refused(folder: Path, data: bytes) -> str:
    path = folder / "hostile.earshot"
    path.write_bytes(data)
    with pytest.raises(BundleError) as caught:
        load_bundle(path, trusted_keys=[public_text()])
    return str(caught.value)


def test_deflated_bomb_is_refused_before_it_is_unfolded(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("manifest.json", bytes(15 * MEGABYTE))
    assert len(stream.getvalue()) < 20_000
    tracemalloc.start()
    try:
        assert "compressed" in refused(tmp_path, stream.getvalue())
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * MEGABYTE


def test_bomb_whose_members_share_their_bytes_is_refused_unread(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("part-00", bytes(MEGABYTE))
    data = stream.getvalue()
    at = data.rindex(b"PK\x05\x06")
    entry_at = struct.unpack("<I", data[at + 16 : at + 20])[0]
    entry = data[entry_at:at]
    entries = b"".join(entry.replace(b"part-00", f"part-{number:02d}".encode()) for number in range(30))
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 30, 30, len(entries), entry_at, 0)
    bomb = data[:entry_at] + entries + end
    assert len(zipfile.ZipFile(io.BytesIO(bomb)).infolist()) == 30
    assert len(bomb) < MAX_BUNDLE_BYTES
    assert "holds more than a bundle may" in refused(tmp_path, bomb)


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped-from-a-bundle", "folder/../../escaped", "C:\\escaped"])
def test_name_that_leads_elsewhere_leads_nowhere(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    path = inside / "odd.earshot"
    path.write_bytes(build_bundle(lambda manifest: manifest.update(version="2099.1.0"), {name: b"out"}, KEY))
    bundle = load_bundle(path, trusted_keys=[public_text()])
    assert bundle.files[name] == b"out"  # in memory, under its name, and nowhere else
    assert [one.name for one in tmp_path.rglob("*") if one.is_file()] == ["odd.earshot"]
    assert not Path("/tmp/escaped-from-a-bundle").exists()


def test_old_signature_does_not_cover_another_manifest(tmp_path: Path) -> None:
    signed = build_bundle(key=KEY)
    other = build_bundle(lambda manifest: manifest.update(version="2099.9.0"), key=Ed25519PrivateKey.generate())
    with zipfile.ZipFile(io.BytesIO(signed)) as archive:
        signature = archive.read("manifest.sig")
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(other)) as source, zipfile.ZipFile(stream, "w") as target:
        for member in source.namelist():
            target.writestr(member, signature if member == "manifest.sig" else source.read(member))
    assert "not signed by a key" in refused(tmp_path, stream.getvalue())
