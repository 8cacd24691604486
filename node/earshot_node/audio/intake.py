"""All audio of a node: one supervised source per entry of the configuration, blocks out in order."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import random as system_random
from typing import Final

from earshot_node.audio.backoff import Backoff
from earshot_node.audio.block import Block
from earshot_node.audio.block_queue import BlockQueue
from earshot_node.audio.clock import Clock, SystemClock
from earshot_node.audio.delivery import Delivery
from earshot_node.audio.file_session import FileSession
from earshot_node.audio.live_input import microphone_input, stdin_input, url_input
from earshot_node.audio.live_session import LiveSession
from earshot_node.audio.pipe_reader import Patience, StalledError
from earshot_node.audio.session import Session
from earshot_node.audio.stop_signal import StopSignal
from earshot_node.audio.supervision import Phase, Supervision
from earshot_node.contract.config import FileSource, MicrophoneSource, Source, StdinSource, UrlSource
from earshot_node.contract.messages import SourceState
from earshot_node.errors import EarshotError

logger = logging.getLogger(__name__)

QUEUE_S: Final = 4.0
"""Well below the age at which an event is late, so that a node that falls behind still alarms."""
_JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source is.

    Attributes:
        state: as the contract names it.
        problem: one line for a person, empty when fine.
        dropped_s: audio that inference did not take in time.
        delivered_s: audio handed on.
        reopened: how often it delivered again after it had broken off.
    """

    state: SourceState
    problem: str
    dropped_s: float
    delivered_s: float
    reopened: int


StatusListener = Callable[[str, SourceStatus], None]


class Intake:
    """Reads every source in a thread of its own and opens it again for ever.

    Args:
        sources: their ids are unique.
        on_status: called from the audio threads at each change of a source's state or problem.
        queue_s: audio kept per source while nobody takes it; older audio of live sources is dropped and counted,
            files and standard input wait.
        patience: when a live source counts as stalled.
        clock: stamps blocks.
        random: jitter of the back-off, 0 to 1.
        ffmpeg: program for url sources.
        stdin: descriptor that a stdin source reads.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        on_status: StatusListener,
        *,
        queue_s: float = QUEUE_S,
        patience: Patience = Patience(),  # noqa: B008 (immutable)
        clock: Clock | None = None,
        random: Callable[[], float] = system_random,
        ffmpeg: str = "ffmpeg",
        stdin: int = 0,
    ) -> None:
        self._changed = threading.Condition()
        self._stop = StopSignal()
        self._stopped = False
        clock = clock or SystemClock()
        self._sources: dict[str, _SupervisedSource] = {}
        for source in sources:
            queue = BlockQueue(source.id, queue_s, self._changed)
            supervised = _SupervisedSource(source.id, queue, Backoff(random=random), on_status, self._stop)
            wait_for_room = isinstance(source, FileSource | StdinSource)
            delivery = Delivery(queue, supervised.supervision, clock, wait_for_room=wait_for_room)
            supervised.session = self._session(source, delivery, patience, ffmpeg, stdin)
            self._sources[source.id] = supervised

    def start(self) -> None:
        """Start the threads; returns at once, whatever the sources do."""
        for source in self._sources.values():
            source.thread.start()

    def stop(self) -> None:
        """End threads and children within seconds; waiting blocks can still be taken. Doing it again is fine."""
        if self._stopped:
            return
        self._stopped = True
        self._stop.set()
        for source in self._sources.values():
            source.queue.close()
        ended = [source.join(_JOIN_S) for source in self._sources.values()]
        if all(ended):
            self._stop.close()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a block waits, at most `timeout_s`; whether one does. A stop ends the sleep."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_blocks(), timeout_s)
            return self._has_blocks()

    def take(self) -> list[Block]:
        """Return all waiting blocks, source by source, in order."""
        return [block for source in self._sources.values() for block in source.queue.take()]

    def status(self, source_id: str) -> SourceStatus:
        """How a source is now.

        Raises:
            KeyError: no such source.
        """
        return self._sources[source_id].status()

    @property
    def ended(self) -> bool:
        """Every source was finite, is over and all of its blocks were taken."""
        return not self._has_blocks() and all(
            source.supervision.phase is Phase.ENDED for source in self._sources.values()
        )

    def _session(self, source: Source, delivery: Delivery, patience: Patience, ffmpeg: str, stdin: int) -> Session:
        match source:
            case FileSource():
                return FileSession(source, delivery, self._stop)
            case MicrophoneSource():
                live_input = microphone_input(source)
            case UrlSource():
                live_input = url_input(source, ffmpeg)
            case StdinSource():
                live_input = stdin_input(source, stdin)
        return LiveSession(live_input, delivery, source.gain_db, self._stop, patience)

    def _has_blocks(self) -> bool:
        return any(len(source.queue) for source in self._sources.values())


class _SupervisedSource:
    """One source with its thread, queue and state machine."""

    session: Session

    def __init__(
        self, source: str, queue: BlockQueue, backoff: Backoff, on_status: StatusListener, stop: StopSignal
    ) -> None:
        self.queue = queue
        self.supervision = Supervision(source, backoff, lambda: on_status(source, self.status()))
        self.thread = threading.Thread(target=self._run, name=f"audio-{source}", daemon=True)
        self._id = source
        self._stop = stop

    def status(self) -> SourceStatus:
        supervision, queue = self.supervision, self.queue
        return SourceStatus(
            supervision.state, supervision.problem, queue.dropped_s, queue.delivered_s, supervision.reopened
        )

    def join(self, timeout_s: float) -> bool:
        if self.thread.ident is not None:
            self.thread.join(timeout_s)
        return not self.thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            delay_s = self._open_once()
            if delay_s is None:
                return
            self._stop.wait(delay_s)

    def _open_once(self) -> float | None:
        """Open, deliver until it is over; return the delay before the next opening, None when there is none."""
        self.supervision.opening()
        try:
            problem = self.session.run()
        except StalledError as error:
            return self.supervision.failed(str(error), "stalled")
        except EarshotError as error:
            return self.supervision.failed(str(error))
        except Exception as error:
            logger.exception("source %s: unexpected error", self._id)
            return self.supervision.failed(f"unexpected error: {type(error).__name__}; see the log")
        if not self._stop.is_set():
            self.supervision.ended(problem)
        return None
