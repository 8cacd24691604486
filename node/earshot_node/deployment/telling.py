"""Tells broker, trainer and Home Assistant which model there is, which one could be, and what became of it."""

from collections.abc import Callable
from typing import Final

from earshot_node.contract.deployment import InstallResult, ModelOffer, ShadowReport, UpdateState
from earshot_node.contract.topics import NodeTopics, Topic
from earshot_node.deployment.installer import Stage
from earshot_node.deployment.slots import HistoryEntry, Slots
from earshot_node.inference.bundle import version_key

Publish = Callable[[Topic, bytes], None]

_PERCENT: Final[dict[Stage, tuple[int, int]]] = {
    "copying": (0, 5),
    "downloading": (0, 40),
    "verifying": (40, 42),
    "testing": (42, 50),
    "warming": (50, 95),
    "switching": (95, 99),
}


class Telling:
    """Publishes changes only.

    Args:
        publish: keeps a message for readers who come later.
        topics: of the node.
        installed: version of the model that decides.
    """

    def __init__(self, publish: Publish, topics: NodeTopics, installed: str) -> None:
        self._publish = publish
        self._topics = topics
        self._installed = installed
        self._last: HistoryEntry | None = None
        self._offer: ModelOffer | None = None
        self._percent: int | None = None
        self._told: dict[Topic, bytes] = {}

    def slots(self, slots: Slots) -> None:
        """Tell the latest that became of a model."""
        self._last = next((one for one in reversed(slots.history) if one.action != "fell_back"), None)
        self._tell_result()
        self._tell_update()

    def model(self, version: str) -> None:
        """Another model decides; the slots were told before it took its place."""
        self._installed = version
        self._tell_result()
        self._tell_update()

    def offer(self, offer: ModelOffer | None) -> None:
        """Another model is there; one for the shadow only is no update."""
        self._offer = offer
        self._tell_update()

    def shadow(self, report: ShadowReport | None) -> None:
        """How the candidate in the shadow compares; None: it has gone."""
        self._tell(self._topics.model_shadow(), report.encode() if report is not None else b"")

    def progress(self, stage: Stage | None, done: float) -> None:
        """How far an installation is; None: it is over."""
        if stage is None:
            self._percent = None
        else:
            begin, end = _PERCENT[stage]
            self._percent = round(begin + (end - begin) * min(1.0, max(0.0, done)))
        self._tell_update()

    def _tell_result(self) -> None:
        last = self._last
        if last is None:
            return
        result = InstallResult(
            id=last.offer,
            version=last.version,
            sha256=last.sha256,
            outcome=last.action,
            reason=last.reason,
            again=last.again,
            active=self._installed,
            time=last.time,
        )
        self._tell(self._topics.model_result(), result.encode())

    def _tell_update(self) -> None:
        offer = self._offer
        if offer is not None and (offer.mode == "shadow" or not _is_newer(offer.version, self._installed)):
            offer = None
        state = UpdateState(
            installed_version=self._installed,
            latest_version=offer.version if offer is not None else self._installed,
            release_summary=offer.summary if offer is not None else "",
            in_progress=self._percent is not None,
            update_percentage=self._percent,
        )
        self._tell(self._topics.update(), state.encode())

    def _tell(self, topic: Topic, payload: bytes) -> None:
        if self._told.get(topic) != payload:
            self._told[topic] = payload
            self._publish(topic, payload)


def _is_newer(version: str, installed: str) -> bool:
    return version_key(version) > version_key(installed)
