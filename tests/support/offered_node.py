"""A node's models and what is offered to it, without audio, MQTT or a proof of the models in a process of their own."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from earshot_node.contract.deployment import ModelOffer
from earshot_node.contract.topics import NodeTopics
from earshot_node.deployment.boot import Opener, open_models
from earshot_node.deployment.deployer import Deployer
from earshot_node.deployment.installer import Stage
from earshot_node.deployment.membership import Membership
from earshot_node.deployment.offers import Offers
from earshot_node.deployment.slots import SlotStore
from earshot_node.deployment.switchboard import Switchboard
from earshot_node.deployment.telling import Telling
from earshot_node.inference.companion import Companion
from support.async_waiting import until
from support.bundles import BUNDLED_VERSION
from support.deployed import CONFIG, public_text, signed_bundle
from support.trainer_server import TrainerServer

VERSION = "2099.1.0"
TOPICS = NodeTopics("earshot", "hall")


@cache
def bundle(version: str) -> bytes:
    return signed_bundle(version)


class Inference:
    """Runs nothing: changes models at once, or when the test lets it."""

    def __init__(self) -> None:
        self.companion: Companion | None = None
        self.is_slow = False
        self.asked: Callable[[], None] | None = None
        self.is_wanted: Callable[[], bool] = lambda: False

    def set_companion(self, companion: Companion | None) -> None:
        self.companion = companion

    def swap(self, on_done: Callable[[], None], is_wanted: Callable[[], bool]) -> None:
        self.asked, self.is_wanted = on_done, is_wanted
        if not self.is_slow:
            on_done()


class OfferedNode:
    """The models of a node that has joined, without audio."""

    def __init__(self, state: Path, trainer: TrainerServer) -> None:
        self.trainer = trainer
        self.store = SlotStore(state)
        self.inference = Inference()
        self.membership: Membership | None = Membership(
            url=trainer.url, public_key=public_text(), token=SecretStr(trainer.token)
        )
        self.told: dict[str, bytes] = {}
        self.progress: list[Stage | None] = []
        telling = Telling(lambda topic, payload: self.told.update({topic.name: payload}), TOPICS, BUNDLED_VERSION)
        opener = Opener(CONFIG, self.store, (public_text(),))
        boot = open_models(opener, self.store, "boot")
        self.switchboard = Switchboard(
            self.inference,
            boot.bundle.manifest,
            lambda _: lambda _: {},
            lambda manifest: telling.model(manifest.version),
            warm_s=0,
        )

        def progress(stage: Stage | None, done: float) -> None:
            self.progress.append(stage)
            telling.progress(stage, done)

        self.deployer = Deployer(
            opener,
            self.store,
            boot,
            "boot",
            self.switchboard,
            tell=telling.slots,
            on_progress=progress,
            on_shadow=telling.shadow,
        )
        self.offers = Offers(
            self.deployer, lambda: self.membership, self.store.staging, telling.offer, progress, again_after_s=0.01
        )

    def offer(self, mode: str, offer_id: str = "first", version: str = VERSION, **fields: Any) -> None:
        """Let the trainer offer a bundle."""
        data = bundle(version)
        sha256 = hashlib.sha256(data).hexdigest()
        self.trainer.bundles[f"{sha256}.earshot"] = data
        values = {"id": offer_id, "version": version, "sha256": sha256, "size_bytes": len(data), "mode": mode}
        values |= {"summary": "the canary was stopped" if mode == "take_back" else "", **fields}
        self.offers.take(ModelOffer.model_validate(values).encode())

    def withdraw(self) -> None:
        """Let the trainer take its offer back."""
        self.offers.take(b"")

    def take_back(self, offer_id: str = "back", version: str = VERSION) -> None:
        """Let the trainer take a model back, whether or not the node has it."""
        self.offer("take_back", offer_id, version)

    async def idle(self) -> None:
        """Return when nothing is being done about any offer."""
        await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "offer"])

    @property
    def update(self) -> dict[str, Any]:
        """What Home Assistant's update entity shows."""
        return dict(json.loads(self.told[TOPICS.update().name]))

    @property
    def actions(self) -> list[str]:
        """What became of models, by the slots on the disk."""
        return [entry.action for entry in self.store.load().history]

    @property
    def active(self) -> str:
        slot = self.store.load().active
        return slot.version if slot is not None else BUNDLED_VERSION

    @property
    def beside(self) -> str:
        companion = self.inference.companion
        return companion.model.manifest.version if companion is not None else ""
