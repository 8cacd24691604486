"""A file as a source: at the speed of a microphone, or as fast as it is taken."""

import numpy as np

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples
from earshot_node.audio.condition import HEALTHY
from earshot_node.audio.delivery import Delivery
from earshot_node.audio.file_reader import read_audio_file
from earshot_node.audio.microphone_child import BLOCK_S
from earshot_node.audio.pcm import rechunk
from earshot_node.audio.stop_signal import StopSignal
from earshot_node.contract.config import FileSource
from earshot_node.errors import AudioFileError

_FALLEN_BEHIND_S = 1.0
_EMPTY: Samples = np.empty(0, dtype=np.float32)


class FileSession:
    """Plays a file once or for ever; nothing of it is dropped, a slow machine makes it slower.

    Every pass of a loop is a stream of its own; its final block is marked `last`.
    """

    def __init__(self, source: FileSource, delivery: Delivery, stop: StopSignal) -> None:
        self._source = source
        self._delivery = delivery
        self._stop = stop
        self._gain = 10.0 ** (source.gain_db / 20.0)
        self._due_s = 0.0
        self._in_stream = False

    def run(self) -> str:
        """See `Session.run`; a file that breaks in the middle is over there, with its problem."""
        self._due_s = self._delivery.clock.monotonic()
        try:
            while self._play() and self._source.loop:
                pass
        except AudioFileError as error:
            if not self._in_stream:
                raise
            self._delivery.put(_EMPTY, HEALTHY, last=True)
            if self._source.loop:
                raise
            return str(error)
        return ""

    def _play(self) -> bool:
        """Deliver the file once; false when the node stops."""
        self._delivery.queue.break_stream()
        self._in_stream = False
        size_samples = round(BLOCK_S * SAMPLE_RATE_HZ) if self._source.real_time else SAMPLE_RATE_HZ
        for samples, last in rechunk(read_audio_file(self._source.path), size_samples):
            amplified: Samples = samples if self._gain == 1.0 else samples * np.float32(self._gain)
            if not self._pace(len(samples)) or not self._delivery.put(amplified, HEALTHY, last=last):
                return False
            self._in_stream = True
        return True

    def _pace(self, count: int) -> bool:
        """Wait until a microphone would have delivered this; false when the node stops."""
        if not self._source.real_time:
            return not self._stop.is_set()
        now_s = self._delivery.clock.monotonic()
        if now_s - self._due_s > _FALLEN_BEHIND_S:
            self._due_s = now_s
        self._due_s += count / SAMPLE_RATE_HZ
        return not self._stop.wait(max(0.0, self._due_s - now_s))
