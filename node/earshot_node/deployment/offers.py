"""Acts on the trainer's offers: fetches the bundle and installs it, at once or when somebody wants it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from earshot_node.contract.deployment import ModelOffer
from earshot_node.deployment.deployer import Deployer, Request
from earshot_node.deployment.download import Wanted, download
from earshot_node.deployment.durable import remove_file
from earshot_node.deployment.installer import Stage
from earshot_node.deployment.membership import Membership
from earshot_node.errors import EarshotError, MessageError, OperatorError, RetryError

_log = logging.getLogger(__name__)

AGAIN_AFTER_S: Final = 30.0
AGAIN_AT_MOST_S: Final = 3600.0


class Offers:
    """Holds the latest offer; lives in the event loop.

    A bundle that was refused is not fetched again for the same offer; whatever may pass by itself is tried again, less
    and less often, as long as the offer stands. An offer that is taken back or replaced is given up at once, but for a
    switch that has begun: that is finished. What was fetched of it stays until another bundle is. A model that the
    trainer takes back is let go once, whenever the node hears of it.

    Args:
        deployer: installs.
        trainer: gives the trainer that the node has joined, None if it has not.
        staging: folder for what is fetched.
        on_offer: told which offer there is.
        on_progress: see `Progress`; None: it is over.
        again_after_s: pause before the second attempt.
    """

    def __init__(
        self,
        deployer: Deployer,
        trainer: Callable[[], Membership | None],
        staging: Path,
        on_offer: Callable[[ModelOffer | None], None],
        on_progress: Callable[[Stage | None, float], None],
        *,
        again_after_s: float = AGAIN_AFTER_S,
    ) -> None:
        self._deployer = deployer
        self._trainer = trainer
        self._staging = staging
        self._on_offer = on_offer
        self._on_progress = on_progress
        self._again_after_s = again_after_s
        self._offer: ModelOffer | None = None
        self._work: dict[asyncio.Task[None], ModelOffer] = {}
        self._one_at_a_time = asyncio.Lock()
        self._malformed = b""

    def take(self, payload: bytes) -> None:
        """Take an offer, whatever its bytes; an empty one takes the last one back."""
        if not payload:
            self._offer = None
            self._give_up()
            self._on_offer(None)
            return
        try:
            offer = ModelOffer.decode(payload)
        except MessageError as error:
            if payload != self._malformed:
                _log.warning("a model offer makes no sense: %s", error)
            self._malformed = payload
            return
        known = self._stands(offer)
        self._offer = offer
        if not known:
            self._give_up()
        self._on_offer(offer if offer.mode != "take_back" else None)
        if not known and self._is_due(offer):
            self._begin(offer)

    def try_again(self) -> None:
        """The node has joined a trainer, or another one: act on what is offered as if it had come now."""
        offer = self._offer
        if offer is not None and self._is_due(offer):
            self._give_up()
            self._begin(offer)

    def install(self) -> None:
        """Install what is offered, because somebody wants it.

        Raises:
            OperatorError: nothing is offered, or only for the shadow, or it is being installed.
        """
        offer = self._offer
        if offer is None or offer.mode == "take_back":
            raise OperatorError("no model is offered; the trainer has to deploy one")
        if offer.mode == "shadow":
            raise OperatorError(
                f"model {offer.version} may only run in the shadow; "
                f"`trainer-cli deploy {offer.version} --force` lets it decide"
            )
        if not all(task.done() for task in self._work):
            raise OperatorError("a model is being installed; wait for it")
        self._begin(offer)

    async def close(self) -> None:
        """Stop; what was fetched so far stays."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def _stands(self, offer: ModelOffer) -> bool:
        return self._offer is not None and self._offer.id == offer.id

    def _is_due(self, offer: ModelOffer) -> bool:
        """Whether it waits for nobody and was not acted on before, nor is it past the point of no return."""
        return offer.mode != "offer" and offer.id not in (self._deployer.slots.offer, self._deployer.switching)

    def _give_up(self) -> None:
        """Cancel what is being done about any offer, but for a switch that has begun."""
        for task, offer in self._work.items():
            if offer.id != self._deployer.switching and not task.cancelling():
                task.cancel()

    def _begin(self, offer: ModelOffer) -> None:
        task = asyncio.create_task(self._in_turn(offer), name="offer")
        self._work[task] = offer
        task.add_done_callback(self._work.pop)

    async def _in_turn(self, offer: ModelOffer) -> None:
        try:
            async with self._one_at_a_time:
                await self._until_done(offer)
        except asyncio.CancelledError:
            if not self._stands(offer) and offer.mode != "take_back":
                _log.info("model %s: its offer is taken back; it is not installed", offer.version)
            raise
        except Exception:  # noqa: BLE001 - the top of a task
            _log.exception("offer %s cannot be acted on", offer.id)

    async def _until_done(self, offer: ModelOffer) -> None:
        pause_s = self._again_after_s
        while True:
            try:
                await self._act(offer)
            except RetryError as error:
                if not self._stands(offer):
                    return  # taken back while it switched
                _log.warning("model %s: %s; trying again", offer.version, error)
            except EarshotError:
                return  # told by the deployer
            else:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, AGAIN_AT_MOST_S)

    async def _act(self, offer: ModelOffer) -> None:
        if offer.mode == "take_back":
            await self._deployer.let_go(offer.version, offer.sha256, offer.summary, offer.id)
        else:
            await self._fetch_and_install(offer)

    async def _fetch_and_install(self, offer: ModelOffer) -> None:
        trainer = self._trainer()
        try:
            if trainer is None:
                raise RetryError("this node has not joined a trainer; `node-cli join` does that")
            wanted = Wanted(offer.sha256, offer.size_bytes)
            await asyncio.to_thread(self._forget_others, offer.sha256)
            self._on_progress("downloading", 0.0)
            staged = await download(trainer, wanted, self._staging, lambda done: self._on_progress("downloading", done))
        except asyncio.CancelledError:
            self._on_progress(None, 0.0)
            raise
        except EarshotError as error:
            self._on_progress(None, 0.0)
            await self._deployer.refuse(offer.version, error, offer.id)
            raise
        shadow = offer.mode == "shadow"
        request = Request(staged, offer.version, offer=offer.id, shadow=shadow, watch_s=offer.watch_s)
        await self._deployer.install(request)

    def _forget_others(self, sha256: str) -> None:
        """Remove what former offers left half fetched."""
        with contextlib.suppress(OSError):
            for path in self._staging.glob("*.earshot*"):
                if not path.name.startswith((sha256, "local-")):
                    remove_file(path)
