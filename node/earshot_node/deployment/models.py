"""The models of a running node, wired: slots, installation, trial, and what is told about them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earshot_node.companion_listener import CompanionEvent
from earshot_node.configuration.file import state_folder
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.messages import Command
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.deployment.boot import Boot, Opener, open_models
from earshot_node.deployment.deployer import Deployer, Request
from earshot_node.deployment.installer import Stage
from earshot_node.deployment.keys import trusted_keys
from earshot_node.deployment.membership import load_membership
from earshot_node.deployment.offers import Offers
from earshot_node.deployment.rollback import swapped
from earshot_node.deployment.slots import Slots, SlotStore
from earshot_node.deployment.switchboard import Inference, Switchboard
from earshot_node.deployment.telling import Telling
from earshot_node.errors import EarshotError, OperatorError
from earshot_node.inference.bundle import Bundle
from earshot_node.inference_thread import Step
from earshot_node.mqtt.boot_clock import BootClock
from earshot_node.mqtt.settings import LabelSettings

_log = logging.getLogger(__name__)

SettingsOf = Callable[[str, str], LabelSettings]


@dataclass(frozen=True, slots=True)
class Booted:
    """A node's models as it starts.

    Attributes:
        boot: what to run.
        opener: opens bundles.
        store: the slots.
        boot_id: of the machine's boot.
    """

    boot: Boot
    opener: Opener
    store: SlotStore
    boot_id: str

    @property
    def manifest(self) -> BundleManifest:
        """Of the model that decides."""
        return self.boot.bundle.manifest


def boot_models(config: NodeConfig, state_dir: Path) -> Booted:
    """Choose the models to start with; see `open_models`.

    Raises:
        BundleError: there is none that can be used.
    """
    store = SlotStore(state_dir)
    opener = Opener(config, store, trusted_keys(config, state_dir))
    boot_id = BootClock().now().boot
    boot = open_models(opener, store, boot_id)
    store.clean()
    return Booted(boot, opener, store, boot_id)


def active_bundle(config: NodeConfig) -> Bundle:
    """Return the model that a node with this configuration decides with; changes nothing.

    Raises:
        BundleError: it cannot be trusted or used.
    """
    state_dir = state_folder(config)
    store = SlotStore(state_dir)
    return Opener(config, store, trusted_keys(config, state_dir)).open(store.load().active)


class OperatingPoints:
    """By what a model decides, from configuration, its presets and what was commanded.

    Args:
        config: which labels are listened for, and fixed operating points.
        settings: of a source's label; may be called from any thread.
    """

    def __init__(self, config: NodeConfig, settings: SettingsOf) -> None:
        self._config = config
        self._settings = settings

    def of(self, manifest: BundleManifest) -> Callable[[str], Mapping[str, OperatingPoint]]:
        """Return what gives a source's operating points for the labels that this model hears."""

        def points(source: str) -> Mapping[str, OperatingPoint]:
            found = {label: self.point(manifest, label, self._settings(source, label)) for label in self._config.labels}
            return {label: point for label, point in found.items() if point is not None}

        return points

    def point(self, manifest: BundleManifest, label: str, settings: LabelSettings) -> OperatingPoint | None:
        """Return a label's operating point, None if it is switched off or this model cannot decide about it."""
        own = self._config.detection.operating_points
        if not settings.enabled or label not in manifest.decided_labels(own):
            return None
        return own[label] if label in own else manifest.presets.at(label, settings.sensitivity)

    def unheard(self, manifest: BundleManifest) -> list[str]:
        """Return the labels that are to be listened for and that this model cannot decide about."""
        decided = manifest.decided_labels(self._config.detection.operating_points)
        return [label for label in self._config.labels if label not in decided]


class Models:
    """What the node's wiring has to do with its models; lives in the event loop.

    Args:
        booted: with what the node started.
        inference: runs the models.
        points: by what they decide.
        telling: tells of them.
        state_dir: the node's.
        on_model: called in the loop when another model decides.
    """

    def __init__(
        self,
        booted: Booted,
        inference: Inference,
        points: OperatingPoints,
        telling: Telling,
        state_dir: Path,
        on_model: Callable[[BundleManifest], None],
    ) -> None:
        self._booted = booted
        self._points = points
        self._state_dir = state_dir
        self._telling = telling
        self._tell_model = on_model
        self._switchboard = Switchboard(
            inference, booted.manifest, points.of, self._on_model, wanted=booted.opener.config.labels
        )
        self._progress: set[Callable[[Stage | None, float], None]] = set()
        self._deployer = Deployer(
            booted.opener,
            booted.store,
            booted.boot,
            booted.boot_id,
            self._switchboard,
            tell=telling.slots,
            on_progress=self._on_progress,
            on_shadow=telling.shadow,
        )
        self._offers = Offers(
            self._deployer,
            lambda: load_membership(state_dir),
            booted.store.staging,
            telling.offer,
            self._on_progress,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def manifest(self) -> BundleManifest:
        """Of the model that decides."""
        return self._switchboard.manifest

    @property
    def problems(self) -> list[str]:
        """One line for each label that is wanted and not heard by this model, and if another one should decide."""
        manifest, boot = self.manifest, self._booted.boot
        deaf = [f"{label}: model {manifest.version} does not hear it" for label in self._points.unheard(manifest)]
        active = self._deployer.slots.active
        if not boot.problem or active is None or manifest is not self._booted.manifest:
            return deaf
        if active.version == manifest.version:
            return deaf
        return [*deaf, f"model {active.version} cannot be used, {manifest.version} is: {boot.problem}"]

    async def start(self) -> None:
        """Go on with what the last process was about."""
        self._telling.slots(self._deployer.slots)
        await self._deployer.start(self._booted.boot)

    def hear(self, step: Step) -> None:
        """Take a step of the inference thread."""
        self._deployer.hear(step)

    def heard_in_shadow(self, step: Step) -> tuple[CompanionEvent, ...]:
        """Return what the candidate in the shadow heard in a step."""
        shadow, beside = self._deployer.slots.shadow, step.companion
        if shadow is None or beside is None or beside.version != shadow.version:
            return ()
        return beside.events

    async def install(self, request: Request, on_progress: Callable[[Stage | None, float], None]) -> Slots:
        """See `Deployer.install`; `on_progress` is called in the loop."""
        self._progress.add(on_progress)
        try:
            return await self._deployer.install(request)
        finally:
            self._progress.discard(on_progress)

    async def roll_back(self) -> Slots:
        """See `Deployer.roll_back`."""
        return await self._deployer.roll_back()

    def use_membership(self) -> None:
        """The node has joined a trainer, or left it: other signatures count from now on."""
        self._booted.opener.trusted_keys = trusted_keys(self._booted.opener.config, self._state_dir)
        self._offers.try_again()

    def take_offer(self, payload: bytes) -> None:
        """See `Offers.take`."""
        self._offers.take(payload)

    def install_offered(self, _command: Command) -> None:
        """The command `install_model`; see `Offers.install`."""
        self._offers.install()

    def roll_back_now(self, _command: Command) -> None:
        """The command `roll_back_model`: answered at once, its outcome is told as a result.

        Raises:
            OperatorError: there is no previous model.
        """
        swapped(self._deployer.slots, "on request")
        self._begin(self._deployer.roll_back(), "the model is not taken back")

    def end_shadow_now(self, _command: Command) -> None:
        """The command `end_shadow`: answered at once; its report is gone when it is done.

        Raises:
            OperatorError: no model runs in the shadow.
        """
        if self._deployer.slots.shadow is None:
            raise OperatorError("no model runs in the shadow")
        self._begin(self._deployer.end_shadow(), "the model in the shadow goes on")

    async def close(self, *, crashed: bool) -> None:
        """The node stops; a model on trial that made inference fail is not let off."""
        await self._offers.close()
        await self._deployer.close(crashed=crashed)

    def staged(self, name: str) -> Path:
        """Where a command has put a file to install."""
        return self._booted.store.staging / name

    def _begin(self, work: Coroutine[Any, Any, object], otherwise: str) -> None:
        async def run() -> None:
            try:
                await work
            except EarshotError as error:
                _log.warning("%s: %s", otherwise, error)

        task = asyncio.create_task(run(), name="model on request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_model(self, manifest: BundleManifest) -> None:
        self._telling.model(manifest.version)
        self._tell_model(manifest)

    def _on_progress(self, stage: Stage | None, done: float) -> None:
        self._telling.progress(stage, done)
        for listener in tuple(self._progress):
            listener(stage, done)
