"""One opening of a live source: from the pipe of a child, or standard input, to delivered blocks."""

import logging
import math
from dataclasses import replace

from earshot_node.audio.children import ChildProcess
from earshot_node.audio.condition import ConditionMonitor
from earshot_node.audio.delivery import Delivery
from earshot_node.audio.live_input import LiveInput
from earshot_node.audio.pcm import PcmConverter, PcmFormat
from earshot_node.audio.pipe_reader import Patience, PipeReader
from earshot_node.audio.stop_signal import StopSignal
from earshot_node.errors import SourceError

logger = logging.getLogger(__name__)

_LONGEST_READ_S = 0.2
_FASTEST = 1.1
"""A sound card's clock may be a little faster than ours; a stream with more than this is a file on a server."""


class LiveSession:
    """A microphone, a url or standard input."""

    def __init__(
        self, live_input: LiveInput, delivery: Delivery, gain_db: float, stop: StopSignal, patience: Patience
    ) -> None:
        self._input = live_input
        self._delivery = delivery
        self._gain_db = gain_db
        self._stop = stop
        self._patience = patience

    def run(self) -> str:
        """See `Session.run`; a child that ends is a SourceError, the end of standard input is not."""
        if isinstance(self._input.origin, int):
            patience = replace(self._patience, give_up_s=math.inf, burst_s=math.inf)
            self._listen(self._reader(self._input.origin, None, patience), patience)
            return "standard input has ended; whoever wrote to it is gone"
        child = ChildProcess(self._input.origin())
        try:
            reader = self._reader(child.stdout, child.stderr, self._patience)
            self._listen(reader, self._patience)
            if self._stop.is_set():
                return ""
            raise SourceError(self._input.explain(reader.last_words()))
        finally:
            child.close()

    def _reader(self, pcm_fd: int, stderr_fd: int | None, patience: Patience) -> PipeReader:
        return PipeReader(
            pcm_fd,
            stderr_fd,
            stop=self._stop,
            patience=patience,
            silent_problem=self._input.silent_problem,
            on_stall=self._delivery.supervision.stalled,
            clock=self._delivery.clock,
        )

    def _listen(self, reader: PipeReader, patience: Patience) -> None:
        header = b""
        listening: _Listening | None = None
        try:
            while data := reader.read():
                if listening is None:
                    header += data
                    parsed = self._input.parse_header(header)
                    if parsed is None:
                        continue
                    pcm_format, begin = parsed
                    listening = _Listening(pcm_format, self._delivery, self._gain_db)
                    reader.read_bytes = int(pcm_format.bytes_per_s * _LONGEST_READ_S)
                    data = header[begin:]
                if reader.take_overflow():
                    listening.restart()
                if not listening.push(data):
                    return
                if (ahead_s := listening.ahead_s(patience.burst_s)) > 0:
                    self._stop.wait(ahead_s)
                    reader.restart_patience()
        finally:
            if listening is not None and not self._stop.is_set():
                listening.finish()


class _Listening:
    """The signal path of one opening, once its format is known."""

    def __init__(self, pcm_format: PcmFormat, delivery: Delivery, gain_db: float) -> None:
        self._format = pcm_format
        self._delivery = delivery
        self._gain_db = gain_db
        self._monitor = ConditionMonitor(pcm_format)
        self._converter = PcmConverter(pcm_format, gain_db)
        self._opened_s = delivery.clock.monotonic()
        self._received_bytes = 0
        delivery.queue.break_stream()

    def restart(self) -> None:
        """Audio was lost: what comes next does not join what came before."""
        logger.debug("audio was lost between the device and its process; a new stream begins")
        self._converter = PcmConverter(self._format, self._gain_db)
        self._delivery.queue.break_stream()

    def push(self, pcm: bytes) -> bool:
        """Deliver what becomes ready; false when the node is stopping."""
        self._received_bytes += len(pcm)
        condition = self._monitor.push(pcm)
        samples = self._converter.push(pcm)
        return not len(samples) or self._delivery.put(samples, condition, age_s=self._converter.pending_s)

    def ahead_s(self, burst_s: float) -> float:
        """How long to wait until the stream is no longer more than `burst_s` ahead of real time."""
        allowed_s = burst_s + _FASTEST * (self._delivery.clock.monotonic() - self._opened_s)
        return self._received_bytes / self._format.bytes_per_s - allowed_s

    def finish(self) -> None:
        """Deliver the rest, perhaps nothing, as the end of the stream."""
        self._delivery.put(self._converter.flush(), None, last=True)
