"""May this bundle follow the active model? Everything that can be said without running it."""

from collections.abc import Collection
from typing import Final

from earshot_node.contract.manifest import BundleManifest
from earshot_node.deployment.slots import Slots
from earshot_node.errors import BundleError
from earshot_node.inference.bundle import Bundle, version_key

_SENSITIVITY_STEP: Final = 10


def check_candidate(
    bundle: Bundle, active: BundleManifest, slots: Slots, sha256: str, *, allow_downgrade: bool = False
) -> None:
    """Refuse what may not take the active model's place.

    Args:
        bundle: verified: signed, whole, not too new for this program.
        active: the model that decides, or did until the node stopped.
        slots: for what was active before.
        sha256: of the candidate's file.
        allow_downgrade: take an older version as well.

    Raises:
        BundleError: one line says why.
    """
    candidate = bundle.manifest
    if slots.active is not None and sha256 == slots.active.sha256:
        raise BundleError(f"{bundle.origin}: {candidate.version} is the active model already; nothing to do")
    _check_labels(bundle.origin, candidate.labels, active.labels)
    _check_presets(bundle.origin, candidate, active)
    if candidate.hop_samples != active.hop_samples:
        raise BundleError(
            f"{bundle.origin}: decides every {candidate.hop_samples} samples, the active model every "
            f"{active.hop_samples}; it cannot follow without a gap; train it with the active model's hop"
        )
    newest = max((active.version, slots.newest or active.version), key=version_key)
    if not allow_downgrade and version_key(candidate.version) <= version_key(newest):
        raise BundleError(
            f"{bundle.origin}: {candidate.version} is not newer than {newest}, which this node has had; "
            "install it with --allow-downgrade if that is meant"
        )


def _check_labels(origin: str, candidate: Collection[str], active: Collection[str]) -> None:
    dropped = [label for label in active if label not in candidate]
    if dropped:
        raise BundleError(
            f"{origin}: does not hear {', '.join(dropped)}, which the active model does; a model may add labels, "
            "never drop one"
        )


def _check_presets(origin: str, candidate: BundleManifest, active: BundleManifest) -> None:
    """Every label that can be listened for now must have an operating point at any sensitivity."""
    for label in active.presets.balanced:
        try:
            for sensitivity in range(0, 101, _SENSITIVITY_STEP):
                candidate.presets.at(label, sensitivity)
        except (ValueError, KeyError) as error:
            raise BundleError(f"{origin}: has no usable operating points for {label}; package it again") from error
