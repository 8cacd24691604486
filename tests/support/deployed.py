"""Signed bundles of other versions, and a node's slots to install them into."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.manifest import MODEL_NAME
from earshot_node.deployment.installer import Candidate, Installer
from earshot_node.deployment.slots import Slots, SlotStore
from earshot_node.inference.bundle import load_bundled
from earshot_node.inference.self_test import SelfTest
from support.bundles import build_bundle

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
CONFIG = NodeConfig.model_validate({"node": {"id": "hall"}, "sources": [{"id": "mic", "type": "microphone"}]})


def public_text(key: Ed25519PrivateKey = KEY) -> str:
    """The public half as configurations hold it."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def signed_bundle(
    version: str = "2099.1.0",
    *,
    key: Ed25519PrivateKey | None = KEY,
    edit: Callable[[dict[str, Any]], None] = lambda _: None,
    files: Mapping[str, bytes] | None = None,
    of: bytes | None = None,
) -> bytes:
    """The shipped model, or that `of` another bundle, as another version, with other `files` if they are given."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["version"] = version
        edit(manifest)

    return build_bundle(change, files, key, of)


def write_bundle(folder: Path, version: str = "2099.1.0", **options: Any) -> Path:
    """The same in a file."""
    path = folder / f"{version}.earshot"
    path.write_bytes(signed_bundle(version, **options))
    return path


def write_broken_bundle(folder: Path, version: str = "2099.1.0") -> Path:
    """A file whose signature and hashes are right, and whose graph no runtime takes."""
    folder.mkdir(exist_ok=True)
    return write_bundle(folder, version, files={MODEL_NAME: b"no graph"})


def slots_on_disk(state_dir: Path) -> dict[str, Any]:
    """The document as it lies there."""
    return dict(json.loads((state_dir / "models" / "slots.json").read_text()))


def installer(state_dir: Path, *trusted: str) -> Installer:
    """An installer into a node's slots."""
    return Installer(SlotStore(state_dir), trusted or (public_text(),), load_bundled().manifest)


def without_proof(_path: Path) -> SelfTest:
    """In place of the self-test where it is not what is tested."""
    return SelfTest(0.0, 0.01)


def install(state_dir: Path, path: Path, *, running: bool = False, boot: str = "", watch_s: float = 1800.0) -> Slots:
    """Install a file in one go."""
    one = installer(state_dir)
    with one.alone():
        candidate: Candidate = one.prepare(one.stage(path))
        return one.switch(candidate, running=running, boot=boot, watch_s=watch_s)
