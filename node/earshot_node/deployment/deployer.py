"""Installs models into the running node, watches the new one, and goes back by itself. Lives in the event loop.

staged file -> verified, proven (a thread, a child process) -> hears beside the active model until it is warm
            -> slots on disk -> switch between two hops -> trial -> kept, or back to the former model
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from earshot_node.contract.deployment import ShadowReport
from earshot_node.deployment.boot import Boot, Opener, end_cleanly
from earshot_node.deployment.installer import WATCH_S, Candidate, Installer, Stage
from earshot_node.deployment.rollback import rolled_back, swapped, undone
from earshot_node.deployment.shadow import Shadow
from earshot_node.deployment.slots import Slot, Slots, SlotStore
from earshot_node.deployment.switchboard import Switchboard
from earshot_node.deployment.trial import Trial, kept, with_watch
from earshot_node.deployment.undisturbed import to_its_end
from earshot_node.errors import BundleError, EarshotError, OperatorError, RetryError
from earshot_node.inference.bundle import Bundle
from earshot_node.inference_thread import Step

_log = logging.getLogger(__name__)

SAVE_TRIAL_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """What to do with a staged file.

    Attributes:
        staged: the file; consumed.
        name: what to call it in messages.
        offer: id of the offer that it came with, or ''.
        allow_downgrade: take an older version as well.
        shadow: only run it beside the active model.
        watch_s: how long it is on trial.
    """

    staged: Path
    name: str
    offer: str = ""
    allow_downgrade: bool = False
    shadow: bool = False
    watch_s: float = WATCH_S


class Deployer:
    """One per node; made inside its event loop.

    Args:
        opener: opens bundles.
        store: the slots.
        boot: with what the node started.
        boot_id: of the machine's boot.
        switchboard: changes models.
        tell: called in the loop whenever the slots' history has grown or a trial has moved on.
        on_progress: called in the loop while something is being installed, and with None when that is over.
        on_shadow: called in the loop with reports about the candidate in the shadow; None: it has gone.

    Attributes:
        slots: as they were last told.
        switching: id of the offer whose model takes its place at this moment, or ''; not to be cancelled.
    """

    def __init__(
        self,
        opener: Opener,
        store: SlotStore,
        boot: Boot,
        boot_id: str,
        switchboard: Switchboard,
        *,
        tell: Callable[[Slots], None],
        on_progress: Callable[[Stage | None, float], None],
        on_shadow: Callable[[ShadowReport | None], None],
    ) -> None:
        self._opener = opener
        self._store = store
        self._boot_id = boot_id
        self._switchboard = switchboard
        self._tell = tell
        self._on_progress = on_progress
        self._on_shadow = on_shadow
        self._shadow: Shadow | None = None
        self._loop = asyncio.get_running_loop()
        self._working = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._saved_s = 0.0
        self.slots = boot.slots
        self.switching = ""
        self._trial = self._begin_trial()
        self._watch_shadow()

    async def start(self, boot: Boot) -> None:
        """Let the model run that the last process had beside the active one."""
        if boot.companion is None:
            return
        try:
            await self._switchboard.run_beside(boot.companion, stands_by=self._trial is not None)
        except BundleError as error:
            _log.warning("%s", error)

    def hear(self, step: Step) -> None:
        """Take a step of the inference thread."""
        self._switchboard.hear(step)
        if self._shadow is not None:
            self._shadow.hear(step)
        trial = self._trial
        if trial is None:
            return
        if step.fallen_back is not None:
            self._trial = None
            self._later(self._fall_back(f"it failed: {step.fallen_back}"))
            return
        trial.hear(step)
        if trial.failure:
            self._trial = None
            self._later(self._fail(trial.failure))
        elif trial.passed:
            self._trial = None
            self._later(self._keep())
        elif trial.is_too_much and step.companion is not None:
            _log.warning("two models at once are too much here; %s stops", trial.former)
            self._switchboard.drop()
        elif trial.watch.heard_s - self._saved_s >= SAVE_TRIAL_EVERY_S:
            self._saved_s = trial.watch.heard_s
            self._later(self._change(lambda slots: with_watch(slots, trial)))

    async def install(self, request: Request) -> Slots:
        """Install a staged file, or let it run in the shadow; return when it decides.

        Cancelled before it begins to switch, nothing has changed; later is for a node that stops.

        Raises:
            BundleError: refused; the history says so.
            EarshotError: it could not be done now.
        """
        if self._working.locked():
            raise RetryError("another model is being installed; try again in a minute")
        async with self._working:
            installer = self._installer()
            try:
                return await self._install(installer, request)
            except EarshotError as error:
                await self.refuse(request.name, error, request.offer)
                raise
            finally:
                self._on_progress(None, 0.0)

    async def refuse(self, what: str, error: EarshotError, offer: str = "") -> None:
        """Tell why a model is not installed; see `Installer.refuse`."""
        _log.warning("model %s is not installed: %s", what, error)
        await asyncio.to_thread(self._installer().refuse, what, error, offer)
        self._note(await asyncio.to_thread(self._store.load))

    async def roll_back(self) -> Slots:
        """Go back to the previous model because somebody wants to.

        Raises:
            OperatorError: there is none.
            EarshotError: it could not be done now.
        """
        if self._working.locked():
            raise RetryError("a model is being installed; try again in a minute")
        async with self._working:
            slots = self._store.load()
            after = swapped(slots, "on request")
            if after.active is None:
                raise OperatorError("there is no previous model")
            bundle = await asyncio.to_thread(self._opener.open, after.active)
            self._trial = None
            slots = await self._change(lambda now: swapped(now, "on request"))
            await self._switchboard.go_back(bundle)
            await self._beside_again(slots)
            return slots

    async def end_shadow(self) -> Slots:
        """Let no candidate run in the shadow any more.

        Raises:
            OperatorError: there is none.
            RetryError: a model is being installed.
        """
        if self._working.locked():
            raise RetryError("a model is being installed; try again in a minute")
        async with self._working:
            if self.slots.shadow is None:
                raise OperatorError("no model runs in the shadow")
            return await self._end_shadow()

    async def let_go(self, version: str, sha256: str, why: str, offer: str) -> None:
        """Do without the model that the trainer takes back: the former one decides, or nothing runs in the shadow.

        A node that has it in neither place, or not any more, only takes note of the offer.

        Raises:
            RetryError: a model is being installed.
            EarshotError: it could not be done; the history says so.
        """
        if self._working.locked():
            raise RetryError("a model is being installed; it is let go when that is over")
        async with self._working:
            self.switching = offer
            try:
                slots = self._store.load()
                if slots.active is not None and slots.active.sha256 == sha256:
                    await self._let_active_go(slots, f"taken back by the trainer{': ' if why else ''}{why}")
                elif slots.shadow is not None and slots.shadow.sha256 == sha256:
                    await self._end_shadow()
                await self._change(lambda now: now.model_copy(update={"offer": offer}))
                await asyncio.to_thread(self._store.clean)
            except EarshotError as error:
                await self.refuse(version, error, offer)
                raise
            finally:
                self.switching = ""

    async def close(self, *, crashed: bool) -> None:
        """The node stops; on purpose, unless its inference has failed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        trial = self._trial
        if trial is not None:
            await self._change(lambda slots: with_watch(slots, trial))
        if not crashed:
            await asyncio.to_thread(end_cleanly, self._store)

    async def _install(self, installer: Installer, request: Request) -> Slots:
        candidate = await to_its_end(self._prepare, installer, request)
        if request.shadow and self._trial is not None:
            return await self._wait_in_shadow(installer, candidate, request)
        try:
            await self._switchboard.run_beside(candidate.bundle)
            if not request.shadow:
                await self._switchboard.warm(partial(self._on_progress, "warming"))
            self.switching = request.offer
            if request.shadow:
                return await self._run_in_shadow(installer, candidate, request)
            return await self._switch(installer, candidate, request)
        except (EarshotError, asyncio.CancelledError):
            await self._beside_again()
            raise
        finally:
            self.switching = ""

    def _prepare(self, installer: Installer, request: Request) -> Candidate:
        with installer.alone():
            return installer.prepare(request.staged, request.name, allow_downgrade=request.allow_downgrade)

    async def _run_in_shadow(self, installer: Installer, candidate: Candidate, request: Request) -> Slots:
        slots = await asyncio.to_thread(installer.shadow, candidate, request.offer)
        self._note(slots)
        return slots

    async def _wait_in_shadow(self, installer: Installer, candidate: Candidate, request: Request) -> Slots:
        """A model is on trial, and the one beside it is its way back: the candidate hears when the trial is over."""
        slots = await self._run_in_shadow(installer, candidate, request)
        if self._trial is None:  # it ended meanwhile
            await self._beside_again(slots)
        return slots

    async def _switch(self, installer: Installer, candidate: Candidate, request: Request) -> Slots:
        """The disk first: a node that dies in between starts with the new model and takes it for crashed."""
        switch = partial(
            installer.switch, watch_s=request.watch_s, running=True, boot=self._boot_id, offer=request.offer
        )
        before = await asyncio.to_thread(self._store.load)
        slots = await asyncio.to_thread(switch, candidate)
        try:
            await self._switchboard.switch()
        except RetryError as error:
            reason = str(error)
            await self._change(lambda now: undone(now, before, candidate.slot, reason))
            raise
        self._trial = None
        self._note(slots)
        self._trial = self._begin_trial()
        if self._trial is None:
            self._switchboard.drop()
        await asyncio.to_thread(self._store.clean)
        return slots

    def _begin_trial(self) -> Trial | None:
        slots = self.slots
        if slots.watch is None or slots.active is None or slots.previous is None:
            return None
        self._saved_s = slots.watch.heard_s
        return Trial(slots.watch, slots.active.version, slots.previous.version)

    async def _let_active_go(self, slots: Slots, reason: str) -> None:
        if slots.previous is None:
            raise OperatorError("there is no previous model to go back to")
        bundle = await asyncio.to_thread(self._open_first, slots.previous)
        self._trial = None
        after = await self._change(lambda now: rolled_back(now, reason))
        await self._switchboard.go_back(bundle)
        await self._beside_again(after)

    async def _end_shadow(self) -> Slots:
        slots = await self._change(lambda now: now.model_copy(update={"shadow": None}))
        if self._trial is None:  # else the former model runs beside the active one
            self._switchboard.drop()
        await asyncio.to_thread(self._store.clean)
        return slots

    async def _fail(self, reason: str) -> None:
        _log.warning("%s; going back", reason)
        previous = self.slots.previous
        slots = await self._change(lambda now: rolled_back(now, reason))
        try:
            await self._switchboard.go_back(await asyncio.to_thread(self._open_first, previous))
        except EarshotError as error:
            _log.error("going back has to wait for the next start: %s", error)
        await self._beside_again(slots)

    async def _fall_back(self, reason: str) -> None:
        """Inference has gone back already."""
        await self._beside_again(await self._change(lambda slots: rolled_back(slots, reason)))

    async def _keep(self) -> None:
        _log.info("the model has proven itself and is kept")
        self._switchboard.drop()
        await self._beside_again(await self._change(kept))

    async def _beside_again(self, slots: Slots | None = None) -> None:
        """Let the candidate in the shadow run again, or the former model of a trial, after an installation."""
        slots = slots if slots is not None else self.slots
        slot = slots.previous if self._trial is not None else slots.shadow
        if slot is None:
            self._switchboard.drop()
            return
        try:
            bundle = await asyncio.to_thread(self._opener.open, slot)
            await self._switchboard.run_beside(bundle, stands_by=self._trial is not None)
        except BundleError as error:
            _log.warning("%s", error)
            self._switchboard.drop()

    async def _change(self, change: Callable[[Slots], Slots]) -> Slots:
        """Change the slots on disk; when it refuses, what was meant holds until the next start."""
        try:
            slots = await asyncio.to_thread(self._store.change, change)
        except RetryError as error:
            _log.error("%s", error)
            slots = change(self.slots)
        self._note(slots)
        return slots

    def _note(self, slots: Slots) -> None:
        self.slots = slots
        self._tell(slots)
        self._watch_shadow()

    def _watch_shadow(self) -> None:
        """Begin to compare anew when either model is another one."""
        candidate, active = self.slots.shadow, self._switchboard.manifest.version
        if candidate is None:
            if self._shadow is not None:
                self._on_shadow(None)
            self._shadow = None
        elif self._shadow is None or (self._shadow.candidate, self._shadow.active) != (candidate, active):
            self._shadow = Shadow(candidate, active, self._on_shadow)

    def _open_first(self, slot: Slot | None) -> Bundle:
        return self._opener.open_first(slot, None)

    def _installer(self) -> Installer:
        def progress(stage: Stage, done: float) -> None:
            self._loop.call_soon_threadsafe(self._on_progress, stage, done)

        return Installer(self._store, self._opener.trusted_keys, self._opener.open(None).manifest, progress)

    def _later(self, work: Coroutine[Any, Any, object]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception:  # noqa: BLE001 - the top of a task
                _log.exception("a model's trial could not be ended")

        task = asyncio.create_task(run(), name="deployment")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
