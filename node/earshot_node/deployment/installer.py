"""Installs a bundle step by step: stage, verify, prove, switch. Blocking; nothing is changed before the last step."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from earshot_node.contract.manifest import MAX_BUNDLE_BYTES, BundleManifest
from earshot_node.deployment.durable import copy_file, locked, make_folder, move_file, remove_file
from earshot_node.deployment.proving import prove
from earshot_node.deployment.slots import HistoryEntry, Replaced, Slot, Slots, SlotStore, Watch, entry
from earshot_node.deployment.verification import check_candidate
from earshot_node.errors import BundleError, EarshotError, OperatorError, RetryError
from earshot_node.inference.bundle import Bundle, load_bundle
from earshot_node.inference.self_test import SelfTest

WATCH_S: Final = 1800.0
INSTALL_LOCK: Final = ".install.lock"

Stage = Literal["copying", "downloading", "verifying", "testing", "warming", "switching"]
Progress = Callable[[Stage, float], None]
"""Called with the stage and how much of it is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bundle that may be switched to: verified and proven, in its place, held by no slot yet."""

    slot: Slot
    bundle: Bundle
    result: SelfTest


class Installer:
    """Installs into one node's slots.

    Args:
        store: the slots.
        trusted_keys: public keys whose signatures count, base64.
        base: the model that the node came with.
        on_progress: see `Progress`.
    """

    def __init__(
        self,
        store: SlotStore,
        trusted_keys: Sequence[str],
        base: BundleManifest,
        on_progress: Progress = lambda _stage, _done: None,
    ) -> None:
        self._store = store
        self._trusted_keys = tuple(trusted_keys)
        self._base = base
        self._on_progress = on_progress

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold everybody else from installing, in any process.

        Raises:
            RetryError: somebody else installs now.
            OperatorError: the folder cannot be used.
        """
        folder = self._store.folder
        try:
            make_folder(folder)
            with locked(folder / INSTALL_LOCK):
                yield
        except BlockingIOError as error:
            raise RetryError("another model is being installed; try again in a minute") from error
        except PermissionError as error:
            raise OperatorError(
                f"{folder}: permission denied; run this as the service's user, such as sudo -u earshot"
            ) from error

    def stage(self, path: Path, name: str = "local.earshot") -> Path:
        """Copy a local file to where an installation begins, under another name; return the copy.

        Raises:
            BundleError: it cannot be read, or is too large.
            RetryError: it cannot be written.
        """
        staged = self.staging / name
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise BundleError(f"{path}: cannot read the bundle: {error.strerror or error}") from error
        try:
            make_folder(self.staging)
            copy_file(path, staged, MAX_BUNDLE_BYTES, lambda done, total: self._on_progress("copying", done / total))
        except ValueError as error:
            raise BundleError(f"{path}: larger than a bundle may be ({MAX_BUNDLE_BYTES // 1_000_000} MB)") from error
        except OSError as error:
            raise RetryError(f"{staged}: cannot be written ({error.strerror}); free some space") from error
        return staged

    @property
    def staging(self) -> Path:
        """Folder of what is not verified yet."""
        return self._store.staging

    def prepare(self, staged: Path, name: str = "", *, allow_downgrade: bool = False) -> Candidate:
        """Verify a staged file, run its self-test, and put it beside the slots' bundles; `name` is for messages.

        Raises:
            BundleError: refused; the staged file is gone.
            RetryError: this machine cannot do it now.
        """
        try:
            self._on_progress("verifying", 0.0)
            bundle = load_bundle(staged, trusted_keys=self._trusted_keys)
            slot = self._slot(bundle, staged)
            slots = self._store.load()
            check_candidate(bundle, self._deciding(slots), slots, slot.sha256, allow_downgrade=allow_downgrade)
            self._on_progress("testing", 0.0)
            result = prove(staged)
            move_file(staged, self._store.path_of(slot))
        except BundleError as error:
            remove_file(staged)
            told = str(error).replace(str(staged), name or staged.name).replace(staged.name, name or staged.name)
            raise BundleError(told) from error
        except OSError as error:
            raise RetryError(f"{staged}: cannot be installed ({error.strerror}); check space and owner") from error
        return Candidate(slot, bundle, result)

    def switch(
        self, candidate: Candidate, *, watch_s: float = WATCH_S, running: bool, boot: str = "", offer: str = ""
    ) -> Slots:
        """Make a candidate the active model, in one step; the one that was is the previous.

        Args:
            candidate: from `prepare`.
            watch_s: how long it is on trial; 0 to trust it.
            running: this process runs it from now on; else the next one that starts.
            boot: id of the machine's boot.
            offer: id of the offer that it came with.

        Raises:
            RetryError: the disk does not take it; nothing has changed.
        """
        self._on_progress("switching", 0.0)

        def change(now: Slots) -> Slots:
            # A node that runs has started what it has; else what never started leaves no trace.
            slots = now if running else now.without_pending
            active = slots.active or Slot(name=self._base.name, version=self._base.version)
            # What has not proven itself is nothing to go back to.
            on_trial = slots.watch if slots.previous is not None else None
            former = active if slots.previous is None or on_trial is None else slots.previous
            labels = on_trial.labels if on_trial is not None else self._deciding(slots).decided_labels()
            watch = None
            if watch_s:
                watch = Watch(begun=datetime.now(UTC), span_s=watch_s, labels=labels, running=running, boot=boot)
            replaced = None if running else Replaced(active=active, previous=slots.previous, watch=slots.watch)
            had = slots if slots.newest is not None else slots.decided_by(active.version)
            # What nobody runs yet is used up by the start that runs it.
            return (
                (had.decided_by(candidate.slot.version) if running else had)
                .model_copy(
                    update={
                        "active": candidate.slot,
                        "previous": former,
                        "watch": watch,
                        "replaced": replaced,
                        "offer": offer or slots.offer,
                        "shadow": None if slots.shadow == candidate.slot else slots.shadow,
                    }
                )
                .with_entry(entry("installed", candidate.slot, active, offer=offer))
            )

        return self._store.change(change)

    def shadow(self, candidate: Candidate, offer: str = "") -> Slots:
        """Let a candidate run beside the active model from now on and after every start.

        Raises:
            RetryError: the disk does not take it; nothing has changed.
        """

        def change(slots: Slots) -> Slots:
            after = slots.model_copy(update={"shadow": candidate.slot, "offer": offer or slots.offer})
            return after.with_entry(entry("shadowed", candidate.slot, slots.active, offer=offer))

        return self._store.change(change)

    def refuse(self, what: str, error: EarshotError, offer: str = "") -> None:
        """Write a refusal into the history; never fails.

        Args:
            what: version of the model, or name of its file.
            error: why.
            offer: id of the offer that it came with; a refused bundle's is not acted on again, it stays what it is.
        """
        again = bool(offer) and isinstance(error, RetryError)
        told = HistoryEntry(
            time=datetime.now(UTC), action="refused", version=what, reason=str(error), offer=offer, again=again
        )
        settled = offer if isinstance(error, BundleError) else ""

        def change(slots: Slots) -> Slots:
            after = slots.model_copy(update={"offer": settled or slots.offer})
            last = slots.history[-1] if slots.history else None
            is_repeated = last is not None and last.model_copy(update={"time": told.time}) == told
            return after if is_repeated else after.with_entry(told)

        with suppress(RetryError):
            self._store.change(change)

    def _deciding(self, slots: Slots) -> BundleManifest:
        """Return the model that a candidate has to follow: one that never started holds none back."""
        active = slots.without_pending.active
        if active is None or not active.file:
            return self._base
        try:
            return load_bundle(self._store.path_of(active), trusted_keys=self._trusted_keys).manifest
        except BundleError:
            return self._base  # what cannot be loaded holds no candidate back

    def _slot(self, bundle: Bundle, staged: Path) -> Slot:
        return self._store.slot_for(bundle.manifest, hashlib.sha256(staged.read_bytes()).hexdigest())
