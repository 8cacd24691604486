"""Makes a signed bundle a release: checked as a node checks it, copied into the home, entered in the catalogue."""

import getpass
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from earshot_node.contract.deployment import MAX_SUMMARY_CHARS
from earshot_node.deployment.durable import make_folder, remove_file, write_file
from earshot_node.errors import BundleError, OperatorError
from earshot_node.inference.bundle import load_bundle
from earshot_trainer.catalogue.releases import Gate, Release, Releases
from earshot_trainer.catalogue.schema import stamp
from earshot_trainer.home.folder import Home


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What the gate found.

    Attributes:
        gate: see `Gate`.
        reason: what it compared, or what got worse; one line.
        is_forced: somebody wants it all the same.
    """

    gate: Gate = ""
    reason: str = ""
    is_forced: bool = False


def register_release(
    home: Home, releases: Releases, bundle: Path, *, made_by: str = "", summary: str = "", verdict: GateVerdict
) -> Release:
    """Make a bundle a release and return it; the same bundle again is the release that it was.

    Args:
        home: whose key must have signed it.
        releases: where it is entered.
        bundle: the file; it stays.
        made_by: who or what made it; '' for the user who runs this.
        summary: what is new, one line for people.
        verdict: what the gate found.

    Raises:
        BundleError: it is damaged or not signed by this trainer.
        OperatorError: another bundle has its version, or the home cannot be written.
    """
    opened = load_bundle(bundle, trusted_keys=(home.public_key,))
    manifest = opened.manifest
    data = bundle.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    known = releases.find(sha256)
    release = known or Release(
        sha256=sha256,
        version=manifest.version,
        name=manifest.name,
        size_bytes=len(data),
        labels=manifest.labels,
        parent=manifest.lineage.parent or "",
        summary=" ".join(summary.split())[:MAX_SUMMARY_CHARS],
        made_by=(made_by or current_user())[:80],
        gate=verdict.gate,
        gate_reason=" ".join(verdict.reason.split()),
        is_forced=verdict.is_forced,
        registered=stamp(datetime.now(UTC)),
    )
    path = bundle_path(home, sha256)
    try:
        make_folder(path.parent)
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            write_file(path, data)
    except OSError as error:
        raise OperatorError(f"{path}: cannot be written ({error.strerror}); free some space") from error
    try:
        releases.add(release)
    except OperatorError:
        if known is None:
            remove_file(path)
        raise
    return release


def bundle_path(home: Home, sha256: str) -> Path:
    """Where a release's bundle lies."""
    return home.folder / "models" / f"{sha256}.earshot"


def check_bundle(home: Home, release: Release) -> None:
    """Look at a release's file before it is offered.

    Raises:
        BundleError: it is gone, or is not what was registered.
    """
    path = bundle_path(home, release.sha256)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"release {release.version}: {path} cannot be read ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != release.sha256:
        raise BundleError(f"release {release.version}: {path} was altered; register the bundle's file again")


def current_user() -> str:
    """Return who runs this, for the records."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a name for its user
        return "unknown"
