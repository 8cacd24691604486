"""What a household says over MQTT: that was a siren, that was none, record a sample. Each becomes a recording."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from earshot_node.clips.store import ClipStore
from earshot_node.contract.messages import Command, EventMessage, RecordCommand
from earshot_node.contract.recordings import Labelling
from earshot_node.errors import EarshotError, OperatorError, SourceError
from earshot_node.mqtt.commands import FeedbackRequest
from earshot_node.recordings.errors import UnknownRecordingError
from earshot_node.recordings.labels import make_labelling, parse_labels, unknown_labels
from earshot_node.recordings.service import Finished, RecordingService
from earshot_node.recordings.take import WARNING_TEXTS, warnings

_log = logging.getLogger(__name__)
T = TypeVar("T")

_REMEMBERED: Final = 100


class Feedback:
    """Lives in the event loop.

    Args:
        service: keeps recordings.
        clips: audio around events, None if there is none.
        last: the events that Home Assistant shows as the last ones, by source and label.
    """

    def __init__(
        self,
        service: RecordingService,
        clips: ClipStore | None,
        last: Mapping[tuple[str, str], EventMessage] | None = None,
    ) -> None:
        self._service = service
        self._clips = clips
        self._last = {key: event.id for key, event in (last or {}).items()}
        self._without_clip: OrderedDict[str, Labelling | None] = OrderedDict()
        self._labelling: set[asyncio.Task[None]] = set()

    def heard(self, event: EventMessage) -> None:
        """An event has begun or ended."""
        if event.phase != "onset":
            return
        self._last[event.source, event.event_type] = event.id
        if self._clips is not None:
            self._without_clip[event.id] = None
            while len(self._without_clip) > _REMEMBERED:
                _tell_loss(*self._without_clip.popitem(last=False))

    def clip_kept(self, event_id: str) -> bool:
        """The clip of an event is there now; return whether something was said about it before, which is done now."""
        labelling = self._without_clip.pop(event_id, None)
        if labelling is not None:
            task = asyncio.create_task(self._label_late(event_id, labelling), name=f"label {event_id}")
            self._labelling.add(task)
            task.add_done_callback(self._labelling.discard)
        return labelling is not None

    async def judge(self, request: FeedbackRequest) -> None:
        """Make a labelled recording of an event's clip; while the event lasts, as soon as its clip is complete.

        A stop of the node completes it, see `close`; a power cut before takes audio and verdict along.

        Raises:
            UnknownRecordingError: there is no such event, or its clip is gone.
            NoRoomError: it cannot be kept.
        """
        event_id = request.message.event or await self._last_event(request.source, request.label)
        right, wrong = ((request.label,), ()) if request.verdict == "confirm" else ((), (request.label,))
        labelling = make_labelling(right, wrong, by="home_assistant")
        if event_id in self._without_clip:
            self._without_clip[event_id] = labelling
            return
        await self._service.label_event(event_id, labelling)

    async def close(self) -> None:
        """Finish what is being labelled, once no more clips come; tell which verdicts are lost for want of a clip."""
        await asyncio.gather(*self._labelling, return_exceptions=True)
        while self._without_clip:
            _tell_loss(*self._without_clip.popitem(last=False))

    async def sample(self, command: Command) -> None:
        """Record a sample from now on.

        Raises:
            OperatorError: the command is not complete, or its label is unknown.
            SourceError: nothing is heard.
            NoRoomError: it cannot be kept.
        """
        if not isinstance(command, RecordCommand) or command.label is None or command.source is None:
            raise OperatorError("record: label and source are needed")
        labels = parse_labels([command.label])
        problem = unknown_labels(labels, await self._service.known_labels())
        if problem:
            raise OperatorError(problem)
        try:
            async for step in self._service.record(command.source, command.seconds):
                if isinstance(step, Finished):
                    await self._keep(step, labels)
        except EarshotError as error:
            await self._service.report(problem=str(error))
            raise

    async def _keep(self, take: Finished, labels: tuple[str, ...]) -> None:
        if "silent" in warnings(take.draft.info(None), background=not labels):
            self._service.drop(take.take_id)
            raise SourceError(f"nothing was recorded: {WARNING_TEXTS['silent']}")
        await self._service.keep(take.take_id, make_labelling(labels, by="home_assistant"))

    async def _last_event(self, source: str, label: str) -> str:
        known = self._last.get((source, label))
        if known is not None:
            return known
        clips = self._clips
        found = await self._on_disk(lambda: clips.latest_event(source, label)) if clips is not None else None
        if found is None:
            raise UnknownRecordingError(f"{source}: no {label} was heard whose audio is still there")
        return found

    async def _on_disk(self, action: Callable[[], T]) -> T:
        return await self._service.on_disk(action)

    async def _label_late(self, event_id: str, labelling: Labelling) -> None:
        try:
            await self._service.label_event(event_id, labelling)
        except EarshotError as error:
            _log.warning("recordings: event %s is not labelled: %s", event_id, error)
            await self._service.report(problem=str(error))


def _tell_loss(event_id: str, labelling: Labelling | None) -> None:
    if labelling is not None:
        _log.warning("recordings: event %s is not labelled %s: its clip was never completed", event_id, labelling.title)
