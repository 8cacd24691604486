"""Which model a node starts with. Whatever lies on the disk, there is one as long as the installation is whole."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from earshot_node.contract.config import NodeConfig
from earshot_node.deployment.rollback import given_up
from earshot_node.deployment.slots import Slot, Slots, SlotStore, entry
from earshot_node.errors import BundleError, RetryError
from earshot_node.inference.bundle import Bundle, load_bundle, load_bundled
from earshot_node.inference.model import StreamingModel

_log = logging.getLogger(__name__)

MAX_POWER_CUTS: Final = 3


@dataclass(frozen=True, slots=True)
class Boot:
    """What to run.

    Attributes:
        bundle: decides.
        model: its graph, loaded.
        companion: runs beside it: the former model while `bundle` is on trial, or a candidate in the shadow.
        slots: as they are on disk.
        problem: one line when `bundle` is not the one that should be active.
    """

    bundle: Bundle
    model: StreamingModel
    companion: Bundle | None
    slots: Slots
    problem: str = ""


def open_base(config: NodeConfig) -> Bundle:
    """Return the model that the node came with: `model.bundle`, or the package's.

    Raises:
        BundleError: it cannot be trusted or used.
    """
    if config.model.bundle:
        return load_bundle(Path(config.model.bundle), trusted_keys=config.model.trusted_keys)
    return load_bundled()


def open_models(opener: "Opener", store: SlotStore, boot: str) -> Boot:
    """Return the models to start with; one that ended the former process while it was on trial is rolled back.

    So is one that never decided yet and cannot be loaded: its version is not used up, and what it took the place of
    goes on, a trial too. What has decided before and was kept stays the active model, and each start tries it again.

    Args:
        opener: opens them.
        store: the slots.
        boot: id of the machine's boot.

    Raises:
        BundleError: no model at all can be used.
    """
    return _open(opener, store, boot, store.load())


def _open(opener: "Opener", store: SlotStore, boot: str, slots: Slots) -> Boot:
    slots = _begin_trial(store, boot, slots)
    try:
        bundle, model = opener.load(slots.active)
    except BundleError as error:
        if slots.active is None or not slots.active.file:
            raise
        failed = slots.active
        if slots.watch is not None or not slots.has_decided:
            _log.warning("model %s cannot be loaded; going back: %s", failed.version, error)
            after = _change(store, given_up(slots, f"it cannot be loaded: {error}"))
            if slots.replaced is not None:
                return replace(_open(opener, store, boot, after), problem=str(error))
            return Boot(*opener.load_first(after.active, None), None, after, str(error))
        _log.warning("model %s cannot be used, another one is: %s", failed.version, error)
        if not slots.history or slots.history[-1].action != "fell_back":
            slots = _change(store, slots.with_entry(entry("fell_back", failed, reason=str(error))))
        return Boot(*opener.load_first(slots.previous, None), None, slots, str(error))
    decided = slots.decided_by(bundle.manifest.version)
    if slots.active is not None and decided != slots:
        slots = _change(store, decided)
    beside = slots.previous if slots.watch is not None else slots.shadow
    return Boot(bundle, model, opener.open_or_none(beside) if beside is not None else None, slots)


def end_cleanly(store: SlotStore) -> None:
    """Note that the process ends on purpose: the model on trial is not why."""
    if store.load().watch is None:
        return

    def stopped(slots: Slots) -> Slots:
        watch = slots.watch.model_copy(update={"running": False}) if slots.watch is not None else None
        return slots.model_copy(update={"watch": watch})

    try:
        store.change(stopped)
    except RetryError as error:
        _log.warning("%s", error)


def _begin_trial(store: SlotStore, boot: str, slots: Slots) -> Slots:
    """Note that this process runs the model on trial, or give the model up that a former process died of."""
    watch = slots.watch
    if watch is None:
        return slots
    power_cuts = watch.power_cuts + (watch.running and watch.boot != boot)
    if watch.running and (watch.boot == boot or power_cuts >= MAX_POWER_CUTS):
        doing = "the model was on trial" if slots.has_decided else "it loaded the model"
        return _begin_trial(store, boot, _change(store, given_up(slots, f"the node crashed while {doing}")))
    running = watch.model_copy(update={"running": True, "boot": boot, "power_cuts": power_cuts})
    return _change(store, slots.model_copy(update={"watch": running}))


def _change(store: SlotStore, after: Slots) -> Slots:
    """Keep `after`; a disk that refuses it does not keep a node from starting."""
    try:
        return store.change(lambda _slots: after)
    except RetryError as error:
        _log.warning("%s", error)
        return after


class Opener:
    """Opens the bundles of a node.

    Args:
        config: names the model that the node came with.
        store: the slots.
        trusted_keys: whose signatures count.
    """

    def __init__(self, config: NodeConfig, store: SlotStore, trusted_keys: tuple[str, ...]) -> None:
        self._config = config
        self._store = store
        self.trusted_keys = trusted_keys

    @property
    def config(self) -> NodeConfig:
        """Names the model that the node came with, and keys that are trusted."""
        return self._config

    def open(self, slot: Slot | None) -> Bundle:
        """Open a slot's bundle; None is the model that the node came with.

        Raises:
            BundleError: it cannot be trusted or used.
        """
        if slot is None or not slot.file:
            return open_base(self._config)
        return load_bundle(self._store.path_of(slot), trusted_keys=self.trusted_keys)

    def load(self, slot: Slot | None) -> tuple[Bundle, StreamingModel]:
        """Open a slot's bundle and load its graph.

        Raises:
            BundleError: it cannot be trusted or used.
        """
        bundle = self.open(slot)
        return bundle, StreamingModel(bundle.manifest, bundle.model, self._config.labels)

    def load_first(self, *slots: Slot | None) -> tuple[Bundle, StreamingModel]:
        """Open and load the first that can be; the last one's failure is raised."""
        for slot in slots[:-1]:
            try:
                return self.load(slot)
            except BundleError as error:
                _log.warning("%s", error)
        return self.load(slots[-1])

    def open_or_none(self, slot: Slot | None) -> Bundle | None:
        """Open a slot's bundle; None and a line in the log when it cannot be."""
        try:
            return self.open(slot)
        except BundleError as error:
            _log.warning("%s", error)
            return None

    def open_first(self, *slots: Slot | None) -> Bundle:
        """Open the first that can be; the last one's failure is raised."""
        for slot in slots[:-1]:
            if (bundle := self.open_or_none(slot)) is not None:
                return bundle
        return self.open(slots[-1])
