"""Opening a bundle: parse, verify, and only then use."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earshot_node import __version__
from earshot_node.audio.block import Samples
from earshot_node.contract.manifest import (
    MANIFEST_NAME,
    MAX_BUNDLE_BYTES,
    MAX_MODEL_BYTES,
    MODEL_CARD_NAME,
    MODEL_NAME,
    SIGNATURE_NAME,
    BundleManifest,
    ReferenceClip,
    decode_manifest,
    needed_node_version,
)
from earshot_node.errors import BundleError

_MAX_FILES = 32


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files match its manifest.

    Attributes:
        origin: where it came from, for messages.
        manifest: what it claims to be.
        files: content by name, without manifest and signature.
        signed: whether a trusted key signed it, or the package vouches for it by hash.
    """

    origin: str
    manifest: BundleManifest
    files: dict[str, bytes]
    signed: bool

    @property
    def model(self) -> bytes:
        """The ONNX graph."""
        return self.files[MODEL_NAME]

    @property
    def model_card(self) -> str:
        """The model card, Markdown."""
        return self.files.get(MODEL_CARD_NAME, b"").decode(errors="replace")

    def reference(self, clip: ReferenceClip) -> tuple[Samples, NDArray[np.float32]]:
        """Return a reference clip's samples and its expected posteriors float32[frames, labels].

        Raises:
            BundleError: it is damaged.
        """
        import soundfile

        from earshot_node.audio.flac import decode_flac

        try:
            samples, rate_hz = decode_flac(self.files[clip.audio])
            posteriors = np.asarray(json.loads(self.files[clip.posteriors])["posteriors"], np.float32)
        except (soundfile.SoundFileError, KeyError, ValueError, TypeError) as error:
            raise BundleError(f"{self.origin}: reference clip {clip.audio} is damaged: {error}") from error
        if rate_hz != self.manifest.sample_rate_hz or posteriors.ndim != 2:
            raise BundleError(f"{self.origin}: reference clip {clip.audio} has the wrong rate or shape")
        return samples, posteriors


def load_bundled() -> Bundle:
    """Return the bundle inside the package, trusted by the hash that the package holds.

    Raises:
        BundleError: the installation is damaged.
    """
    folder = resources.files("earshot_node") / "models"
    try:
        pinned = json.loads((folder / "bundled.json").read_text())
        data = (folder / pinned["file"]).read_bytes()
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"the model of this installation is missing ({error}); install earshot again") from error
    if hashlib.sha256(data).hexdigest() != pinned["sha256"]:
        raise BundleError("the model of this installation is damaged (its hash is wrong); install earshot again")
    return _open(data, f"bundled {pinned['file']}", trusted_keys=None)


def load_bundle(path: Path, *, trusted_keys: Iterable[str]) -> Bundle:
    """Open a bundle that must be signed by one of `trusted_keys` (base64 of 32 bytes).

    Raises:
        BundleError: missing, damaged, incompatible, unsigned, or signed by somebody else.
    """
    return _open(_read(path), str(path), trusted_keys=tuple(trusted_keys))


def load_bundle_unsigned(path: Path) -> Bundle:
    """Open a bundle whoever made it, for looking at it with one's own eyes; `signed` is False.

    Raises:
        BundleError: missing, damaged or incompatible.
    """
    bundle = _open(_read(path), str(path), trusted_keys=None)
    return Bundle(bundle.origin, bundle.manifest, bundle.files, signed=False)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BUNDLE_BYTES:
            raise BundleError(f"{path}: larger than a bundle may be ({MAX_BUNDLE_BYTES // 1_000_000} MB)")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot read the bundle: {error.strerror or error}") from error


def _open(data: bytes, origin: str, *, trusted_keys: tuple[str, ...] | None) -> Bundle:
    files = _unzip(data, origin)
    try:
        manifest_bytes = files.pop(MANIFEST_NAME)
    except KeyError:
        raise BundleError(f"{origin}: no {MANIFEST_NAME} inside; this is not an Earshot bundle") from None
    signature = files.pop(SIGNATURE_NAME, None)
    if trusted_keys is not None:
        _verify_signature(manifest_bytes, signature, trusted_keys, origin)
    try:
        needed = needed_node_version(manifest_bytes)
        if version_key(needed) > version_key(__version__):
            raise BundleError(f"{origin}: needs earshot {needed} or newer, this is {__version__}; update the node")
        manifest = decode_manifest(manifest_bytes)
    except ValueError as error:
        detail = str(error).splitlines()
        raise BundleError(f"{origin}: the manifest is not valid: {' '.join(detail[1:3]) or detail[0]}") from error
    _verify_files(manifest, files, origin)
    return Bundle(origin, manifest, files, signed=True)


def _unzip(data: bytes, origin: str) -> dict[str, bytes]:
    """Read every member in memory; nothing is extracted, so names cannot lead anywhere."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MAX_FILES or sum(m.file_size for m in members) > MAX_BUNDLE_BYTES:
                raise BundleError(f"{origin}: holds more than a bundle may")
            if any(m.compress_type != zipfile.ZIP_STORED for m in members):
                raise BundleError(f"{origin}: its files are compressed, a bundle's are stored")
            return {m.filename: archive.read(m) for m in members}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleError(f"{origin}: damaged or not a bundle: {error}; fetch it again") from error


def _verify_files(manifest: BundleManifest, files: dict[str, bytes], origin: str) -> None:
    if set(files) != set(manifest.files):
        odd = ", ".join(sorted(set(files) ^ set(manifest.files)))
        raise BundleError(f"{origin}: its files are not those of its manifest: {odd}")
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != manifest.files[name]:
            raise BundleError(f"{origin}: {name} was altered or damaged (its hash is wrong); fetch the bundle again")
    if MODEL_NAME not in files or len(files[MODEL_NAME]) > MAX_MODEL_BYTES:
        raise BundleError(f"{origin}: {MODEL_NAME} is missing or larger than {MAX_MODEL_BYTES // 1_000_000} MB")


def _verify_signature(manifest: bytes, signature: bytes | None, trusted_keys: tuple[str, ...], origin: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not trusted_keys:
        raise BundleError(f"{origin}: no key is trusted; add the trainer's public key to model.trusted_keys")
    if signature is None:
        raise BundleError(f"{origin}: not signed; sign it with `trainer-cli package --key`")
    for text in trusted_keys:
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
        except ValueError as error:
            raise BundleError(f"trusted key {text[:12]}... is not a base64 Ed25519 public key") from error
        try:
            key.verify(signature, manifest)
        except InvalidSignature:
            continue
        return
    raise BundleError(f"{origin}: not signed by a key in model.trusted_keys")


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by."""
    return tuple(int(part) for part in version.split("."))
