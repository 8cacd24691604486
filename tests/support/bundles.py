"""Bundles for tests: the shipped one taken apart, changed, and put together again. Needs no torch."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
LIGHT = Path(__file__).resolve().parents[1] / "models" / "siren-without-fold2.earshot"
"""A bundle of `siren` alone whose model asks no second opinion: it opens in a tenth of the shipped one's time."""


def shipped_bytes() -> bytes:
    """The bundle inside the node package."""
    folder = resources.files("earshot_node") / "models"
    return (folder / json.loads((folder / "bundled.json").read_text())["file"]).read_bytes()


def members_of(bundle: bytes) -> dict[str, bytes]:
    """Content by name."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


BUNDLED_VERSION: str = json.loads(members_of(shipped_bytes())[MANIFEST])["version"]
"""Of the model inside the node package."""


def zip_members(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file of `members`, as they are."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def build_bundle(
    edit: Callable[[dict[str, Any]], None] = lambda _: None,
    files: Mapping[str, bytes] | None = None,
    key: Ed25519PrivateKey | None = None,
    of: bytes | None = None,
) -> bytes:
    """A bundle with other `files`, hashes to match, an edited manifest, and signed if there is a key.

    Args:
        edit: changes the manifest.
        files: content by name, in place of the bundle's or beside it.
        key: what signs it.
        of: the bundle that is changed, without any the shipped one.
    """
    members = members_of(of or shipped_bytes()) | dict(files or {})
    members.pop(SIGNATURE, None)
    manifest = json.loads(members.pop(MANIFEST))
    manifest["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    edit(manifest)
    encoded = json.dumps(manifest).encode()
    head = {MANIFEST: encoded} | ({SIGNATURE: key.sign(encoded)} if key else {})
    return zip_members(head | members)
