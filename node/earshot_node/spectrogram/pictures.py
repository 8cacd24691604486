"""From sketches to pictures: to the broker, and beside the clips."""

import logging
from collections.abc import Callable

from earshot_node.clips.store import ClipStore
from earshot_node.contract.topics import NodeTopics, Topic
from earshot_node.spectrogram.drawing import draw
from earshot_node.spectrogram.sketch import Sketch

_log = logging.getLogger(__name__)


class Pictures:
    """Draws; used by one thread at a time, which is neither the loop nor the inference thread.

    Args:
        topics: the node's.
        publish: called in the same thread with each picture.
        clips: where the picture of an event that has ended is kept too; None for nowhere.
    """

    def __init__(self, topics: NodeTopics, publish: Callable[[Topic, bytes], None], clips: ClipStore | None) -> None:
        self._topics = topics
        self._publish = publish
        self._clips = clips

    def draw(self, sketch: Sketch) -> None:
        """Draw a sketch and tell the picture; a failure is logged and leaves the last one."""
        try:
            png = draw(sketch)
            self._publish(self._topics.spectrogram(sketch.event.source), png)
            if self._clips is not None and sketch.offset_s is not None:
                self._clips.add_picture(sketch.event, png)
        except Exception as error:  # noqa: BLE001 - the top of the thread's work
            _log.warning("spectrogram: no picture of event %s: %s", sketch.event.id, error)
