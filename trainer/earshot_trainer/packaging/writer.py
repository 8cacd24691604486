"""Putting a bundle together: the same parts give the same bytes."""

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from earshot_node.contract.manifest import MANIFEST_NAME, SIGNATURE_NAME, BundleManifest, encode_manifest
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import Bundle, load_bundle, load_bundle_unsigned
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.self_test import SelfTest, self_test
from earshot_trainer.packaging.keys import public_key_text

_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644


def seal(manifest: BundleManifest, files: Mapping[str, bytes], key: Ed25519PrivateKey | None = None) -> bytes:
    """Return the bundle's bytes: the manifest with the hashes of `files`, its signature if there is a key, the files.

    Args:
        manifest: complete but for `files`, which is replaced.
        files: content by name.
        key: signs the manifest.
    """
    hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    encoded = encode_manifest(manifest.model_copy(update={"files": hashes}))
    members = {MANIFEST_NAME: encoded}
    if key is not None:
        members[SIGNATURE_NAME] = key.sign(encoded)
    return _zip(members | {name: files[name] for name in sorted(files)})


def write_verified(data: bytes, path: Path, key: Ed25519PrivateKey | None = None) -> tuple[Bundle, SelfTest]:
    """Open the bundle as a node does, run its self-test, and only then put it in place of `path`.

    Raises:
        BundleError: a node would refuse it.
        OperatorError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if key is None:
            bundle = load_bundle_unsigned(temporary)
        else:
            bundle = load_bundle(temporary, trusted_keys=[public_key_text(key)])
        result = self_test(bundle, StreamingModel(bundle.manifest, bundle.model))
        temporary.replace(path)
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error.strerror}; name another file with --out") from error
    finally:
        temporary.unlink(missing_ok=True)
    return bundle, result


def _zip(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _FIXED_TIME)
            info.create_system = 3
            info.external_attr = _FILE_MODE << 16
            archive.writestr(info, content)
    return stream.getvalue()
