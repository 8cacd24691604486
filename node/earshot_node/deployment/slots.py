"""The node's model slots: one small document says which bundle is active, and which one was before.

    <state>/models/slots.json                         the truth; replaced as a whole, so a switch is one rename
    <state>/models/siren-2026.12.0-1a2b3c4d5e6f.earshot   bundles, each under the beginning of its hash

A slot without a file means the model that the node came with (the package's, or `model.bundle`).
"""

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from earshot_node.contract.deployment import Outcome
from earshot_node.contract.manifest import BundleManifest, Sha256, Version
from earshot_node.contract.messages import Time
from earshot_node.contract.names import Label
from earshot_node.deployment.durable import locked, make_folder, part_of, remove_file, write_file
from earshot_node.errors import RetryError
from earshot_node.inference.bundle import version_key

_log = logging.getLogger(__name__)

SLOTS_NAME: Final = "slots.json"
SLOTS_LOCK: Final = ".slots.lock"
FOLDER_NAME: Final = "models"
HISTORY_KEPT: Final = 100
ASIDE_DAYS: Final = 30
_MAX_DOCUMENT_BYTES: Final = 1_000_000

Action = Outcome | Literal["fell_back"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Slot(_Part):
    """A model that this node has.

    Attributes:
        file: its name in the models folder; '' for the one that the node came with.
        sha256: of the whole bundle; '' for the one that the node came with.
    """

    name: Label
    version: Version
    file: str = ""
    sha256: Sha256 | Literal[""] = ""


class Watch(_Part):
    """The time in which a model that was just installed has to prove itself.

    Attributes:
        begun: when it was installed.
        span_s: how much it has to hear before it is kept.
        heard_s: how much it has heard; sources that hear at the same time count once.
        labels: those that the former model hears, too; what a model has learnt besides is no alarm too many. Empty:
            all are compared.
        alarms: onsets of the new model so far.
        former_alarms: onsets of the former model on the same audio.
        running: a process runs it now, or ended without saying so.
        boot: the boot in which that process began.
        power_cuts: how often the machine went down under it.
    """

    begun: Time
    span_s: float = Field(gt=0)
    heard_s: float = Field(default=0.0, ge=0)
    labels: tuple[Label, ...] = ()
    alarms: int = Field(default=0, ge=0)
    former_alarms: int = Field(default=0, ge=0)
    running: bool = False
    boot: str = ""
    power_cuts: int = Field(default=0, ge=0)


class Replaced(_Part):
    """What a model that was installed while the node stood still took the place of.

    Attributes:
        active: decided until then; `watch` holds if it was on trial.
        previous: what a rollback went back to.
    """

    active: Slot
    previous: Slot | None = None
    watch: Watch | None = None


class HistoryEntry(_Part):
    """Something that happened to a slot: the model it was about and, unless all went well, why.

    Attributes:
        version: of the model; the name of the file when it could not be told.
        former: what was active before.
        offer: id of the trainer's offer that it came from, or ''.
        again: what was refused for now is tried again.
    """

    time: Time
    action: Action
    version: str
    sha256: str = ""
    former: str = ""
    reason: str = ""
    offer: str = ""
    again: bool = False


class Slots(_Part):
    """The document.

    Attributes:
        active: the model in use; None as long as none was ever installed.
        previous: what a rollback goes back to.
        shadow: a candidate that runs beside the active one and alarms nobody.
        watch: holds while `active` is on trial.
        replaced: holds while `active` was installed but never started; what goes on if it cannot be.
        newest: the newest version that ever decided; what is not newer is a replay.
        offer: id of the last offer that was acted on.
        history: the latest entries, oldest first.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    active: Slot | None = None
    previous: Slot | None = None
    shadow: Slot | None = None
    watch: Watch | None = None
    replaced: Replaced | None = None
    newest: Version | None = None
    offer: str = ""
    history: tuple[HistoryEntry, ...] = ()

    def with_entry(self, entry: HistoryEntry) -> Self:
        """Return the slots with one more entry in their history."""
        return self.model_copy(update={"history": (*self.history, entry)[-HISTORY_KEPT:]})

    def decided_by(self, version: str) -> Self:
        """Return the slots when a model of this version decides: from then on the version is used up."""
        newest = max(version, self.newest or version, key=version_key)
        return self.model_copy(update={"newest": newest, "replaced": None})

    @property
    def without_pending(self) -> Self:
        """The slots as they were before a model was installed that never started."""
        before = self.replaced
        if before is None:
            return self
        restored = {"active": before.active, "previous": before.previous, "watch": before.watch}
        return self.model_copy(update={**restored, "replaced": None})

    @property
    def has_decided(self) -> bool:
        """Whether the active model has ever decided; by its version where it is not known to wait for its start."""
        if self.active is None:
            return True
        if self.replaced is not None:
            return False
        return self.newest is not None and version_key(self.active.version) <= version_key(self.newest)

    @property
    def files(self) -> set[str]:
        """Names of the bundles that a slot holds."""
        before = (self.replaced.active, self.replaced.previous) if self.replaced is not None else ()
        held = (self.active, self.previous, self.shadow, *before)
        return {slot.file for slot in held if slot is not None and slot.file}


def entry(action: Action, slot: Slot, former: Slot | None = None, reason: str = "", offer: str = "") -> HistoryEntry:
    """Return an entry about `slot`, of now."""
    return HistoryEntry(
        time=datetime.now(UTC),
        action=action,
        version=slot.version,
        sha256=slot.sha256,
        former=former.version if former is not None else "",
        reason=reason,
        offer=offer,
    )


class SlotStore:
    """The models folder of one node; several processes may use it.

    Args:
        state_dir: the node's state folder; the models folder is made when something is written.
    """

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / FOLDER_NAME
        self.staging = self.folder / "staging"
        self._path = self.folder / SLOTS_NAME
        self._aside = self.folder / f"{SLOTS_NAME}.unreadable"

    def path_of(self, slot: Slot) -> Path:
        """Where a slot's bundle lies."""
        return self.folder / Path(slot.file).name

    def load(self) -> Slots:
        """Return the slots; empty ones when there are none or when they cannot be read, which is logged.

        A node must start with the model it came with rather than not at all.
        """
        return self._read() or Slots()

    def _read(self) -> Slots | None:
        """Return the slots, None when there is a document that cannot be read."""
        try:
            with self._path.open("rb") as stream:
                return Slots.model_validate_json(stream.read(_MAX_DOCUMENT_BYTES))
        except FileNotFoundError:
            return Slots()
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a slots document"
            _log.warning("%s: cannot be used (%s); the model that the node came with is", self._path, reason)
            return None

    def change(self, change: Callable[[Slots], Slots]) -> Slots:
        """Replace the document by what `change` makes of it, undisturbed by other processes; return the new one.

        One that cannot be read is put aside.

        Raises:
            RetryError: the disk does not take it; the former document stands.
        """
        try:
            make_folder(self.folder)
            with locked(self.folder / SLOTS_LOCK):
                slots = self._read()
                if slots is None:
                    self._path.replace(self._aside)
                    os.utime(self._aside)  # its age counts from here on
                encoded = change(slots or Slots()).model_dump_json(by_alias=True, indent=1)
                write_file(self._path, f"{encoded}\n".encode())
        except OSError as error:
            raise RetryError(f"{self._path}: cannot be written ({error.strerror}); check space and owner") from error
        return Slots.model_validate_json(encoded)

    def clean(self) -> None:
        """Remove bundles that no slot holds and documents that were never finished; never fails.

        Not while something is being installed: a bundle has its place before a slot holds it. Nor while it is not known
        what the slots held: the household's models are kept for `ASIDE_DAYS` then.
        """
        try:
            slots = self._read()
            if slots is None or self._is_aside():
                return
            held = slots.files
            for path in sorted(self.folder.glob("*.earshot")):
                if path.name not in held:
                    remove_file(path)
            remove_file(part_of(self._path))
        except OSError as error:
            _log.warning("%s: cannot be cleaned up: %s", self.folder, error.strerror)

    def _is_aside(self) -> bool:
        """Tell whether a document that could not be read lies aside; an old one is removed."""
        try:
            age_s = time.time() - self._aside.stat().st_mtime
        except FileNotFoundError:
            return False
        if age_s > ASIDE_DAYS * 86_400:
            remove_file(self._aside)
            return False
        return True

    def slot_for(self, manifest: BundleManifest, sha256: str) -> Slot:
        """Return the slot that a bundle would take; `sha256` is that of its file."""
        return Slot(
            name=manifest.name,
            version=manifest.version,
            file=f"{manifest.name}-{manifest.version}-{sha256[:12]}.earshot",
            sha256=sha256,
        )
