"""Where a source's thread puts audio: the queue, the state machine and the time of each block."""

import math

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples
from earshot_node.audio.block_queue import BlockQueue
from earshot_node.audio.clock import Clock
from earshot_node.audio.condition import Condition
from earshot_node.audio.supervision import Supervision


class Delivery:
    """Hands blocks of one source over."""

    def __init__(self, queue: BlockQueue, supervision: Supervision, clock: Clock, *, wait_for_room: bool) -> None:
        self.queue = queue
        self.supervision = supervision
        self.clock = clock
        self._wait_for_room = wait_for_room
        self._newest_s = -math.inf

    def put(self, samples: Samples, condition: Condition | None, *, age_s: float = 0.0, last: bool = False) -> bool:
        """Deliver samples whose last one is `age_s` old; false when the node is stopping.

        Times never go back, also when audio comes faster than real time.
        """
        now_s = self.clock.monotonic()
        monotonic_s = self._newest_s = min(now_s, max(self._newest_s, now_s - age_s))
        wall_s = self.clock.wall() - (now_s - monotonic_s)
        if not self._wait_for_room:
            self.queue.put(samples, wall_s, monotonic_s, last=last)
        elif not self.queue.put_when_room(samples, wall_s, monotonic_s, last=last):
            return False
        self.supervision.delivered(len(samples) / SAMPLE_RATE_HZ, condition)
        return True
