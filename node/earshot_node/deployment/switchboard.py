"""Changes models in the running node: warms one up beside the active one, then lets it decide."""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.errors import BundleError, RetryError
from earshot_node.inference.bundle import Bundle
from earshot_node.inference.companion import Companion
from earshot_node.inference.model import StreamingModel
from earshot_node.inference_thread import Step

WARM_S: Final = 60.0
"""Audio after which a recurrent state has all but forgotten that it began with nothing."""
WARM_WITHIN: Final = 3.0
"""A source that gives no audio does not hold a model up for longer than this many times the warm-up."""
SWITCH_WITHIN_S: Final = 30.0

PointsOf = Callable[[BundleManifest], Callable[[str], Mapping[str, OperatingPoint]]]
"""Gives the operating points by source for the labels of a model."""


class Inference(Protocol):
    """The part of the inference thread that changes models."""

    def set_companion(self, companion: Companion | None) -> None:
        """Let a model hear the same; None: nobody."""

    def swap(self, on_done: Callable[[], None], is_wanted: Callable[[], bool]) -> None:
        """Let the companion decide, unless that is not wanted any more by then."""


class Switchboard:
    """Knows which model decides and which runs beside it; lives in the event loop.

    Args:
        inference: runs them.
        manifest: of the model that decides.
        points_of: see `PointsOf`.
        on_model: called in the loop when another model decides.
        warm_s: how much a model hears before it may decide.
        wanted: labels that the node listens for; None for all.
    """

    def __init__(
        self,
        inference: Inference,
        manifest: BundleManifest,
        points_of: PointsOf,
        on_model: Callable[[BundleManifest], None],
        *,
        warm_s: float = WARM_S,
        wanted: Collection[str] | None = None,
    ) -> None:
        self._inference = inference
        self.manifest = manifest
        self._points_of = points_of
        self._on_model = on_model
        self._warm_s = warm_s
        self._wanted = wanted
        self._beside: BundleManifest | None = None
        self._failure: Exception | None = None
        self._heard_s = 0.0
        self._stepped = asyncio.Event()

    def hear(self, step: Step) -> None:
        """Take note of how the companion does."""
        told = step.companion
        if told is not None and self._beside is not None and told.version == self._beside.version:
            self._heard_s, self._failure = told.heard_s, told.failure
        if step.fallen_back is not None and self._beside is not None:
            self._changed(self._beside)
            self._beside = None
        self._stepped.set()

    async def run_beside(self, bundle: Bundle, *, stands_by: bool = False) -> None:
        """Let a model hear the same from now on, in place of another one that may do so.

        Raises:
            BundleError: it cannot be loaded.
        """
        model = await asyncio.to_thread(StreamingModel, bundle.manifest, bundle.model, self._wanted)
        companion = Companion(model, self._points_of(bundle.manifest), stands_by=stands_by)
        self._beside, self._failure, self._heard_s = bundle.manifest, None, 0.0
        self._inference.set_companion(companion)

    async def warm(self, on_progress: Callable[[float], None]) -> None:
        """Return when the model beside has heard enough; tell how much of it, 0 to 1.

        Raises:
            BundleError: it failed on the audio of this node.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WARM_WITHIN * self._warm_s
        while self._heard_s < self._warm_s and loop.time() < deadline:
            on_progress(0.0 if math.isinf(self._heard_s) else self._heard_s / self._warm_s)
            self._stepped.clear()
            try:
                await asyncio.wait_for(self._stepped.wait(), max(0.0, deadline - loop.time()))
            except TimeoutError:
                break
            if self._failure is not None:
                raise BundleError(f"it failed on the audio of this node: {self._failure}")

    async def switch(self) -> None:
        """Let the model beside decide, and the other one go on beside it.

        Raises:
            RetryError: inference does not get round to it; it does not happen later either.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def done_in_thread() -> None:
            loop.call_soon_threadsafe(finish)

        self._inference.swap(done_in_thread, lambda: not done.done())
        try:
            await asyncio.wait_for(done, SWITCH_WITHIN_S)
        except TimeoutError as error:
            raise RetryError("inference does not get round to the switch; restart the node") from error
        new, self._beside = self._beside, self.manifest
        if new is not None:
            self._changed(new)

    async def go_back(self, bundle: Bundle) -> None:
        """Let a former model decide, at once; warm if it runs beside the active one, else from nothing.

        Raises:
            BundleError: it cannot be loaded.
            RetryError: inference does not get round to it.
        """
        if self._beside is None or self._beside.version != bundle.manifest.version or self._failure is not None:
            await self.run_beside(bundle)
        await self.switch()
        self.drop()

    def drop(self) -> None:
        """Only the model that decides runs from now on."""
        self._beside = None
        self._inference.set_companion(None)

    def _changed(self, manifest: BundleManifest) -> None:
        self.manifest = manifest
        self._on_model(manifest)
