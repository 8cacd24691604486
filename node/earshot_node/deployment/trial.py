"""Judges a model on trial while it listens, against its predecessor on the same audio. Pure: counts audio and work."""

from dataclasses import dataclass, field
from typing import Final

from earshot_node.deployment.slots import Slots, Watch, entry
from earshot_node.health import RealTimeFactor
from earshot_node.inference_thread import Step

SLOW_FOR_S: Final = 60.0
MANY_TIMES: Final = 3
MANY_ALARMS: Final = 5
HURRY_FOR_S: Final = 10.0


@dataclass(slots=True)
class _Slowness:
    """How long the work has taken longer than the audio lasts."""

    factor: RealTimeFactor = field(default_factory=RealTimeFactor)
    lasting_s: float = 0.0

    def push(self, audio_s: float, work_s: float) -> None:
        if audio_s > 0:
            self.factor.push(audio_s, work_s)
            self.lasting_s = self.lasting_s + max(audio_s, work_s) if self.factor.value > 1 else 0.0


class Trial:
    """The watch after a switch; `hear` every step, then look at `failure` and `passed`.

    A model fails if it stays slower than real time for `SLOW_FOR_S`, or if it has alarmed at least `MANY_ALARMS` times
    and over `MANY_TIMES` as often as the former model did on the same audio, by labels that both hear. Where the former
    model could not run beside it, its alarms so far stand for what it would have told.

    Args:
        watch: as on disk; the trial goes on from there.
        candidate: version on trial.
        former: version of its predecessor.
    """

    def __init__(self, watch: Watch, candidate: str, former: str) -> None:
        self.watch = watch
        self.former = former
        self._candidate = candidate
        self._slow = _Slowness()
        self._hurry = _Slowness()
        self._compared_s = watch.heard_s
        self.failure = ""

    def hear(self, step: Step) -> None:
        """Take a step of the inference thread."""
        beside = step.companion if step.companion is not None and step.companion.version == self.former else None
        hearing = len({heard.source for heard in step.heard if heard.levels_dbfs})
        heard_s = step.audio_s / max(1, hearing)
        spent_s = step.companion.work_s if step.companion is not None else 0.0
        self._slow.push(heard_s, step.work_s - spent_s)
        self._hurry.push(heard_s, step.work_s)
        told = [event for heard in step.heard for event in heard.events if event.phase == "onset"]
        onsets = [event for event in told if not self.watch.labels or event.event_type in self.watch.labels]
        former = [event for event in beside.events if event.offset is None] if beside is not None else []
        if beside is not None and beside.failure is None:
            self._compared_s += heard_s
        self.watch = self.watch.model_copy(
            update={
                "heard_s": self.watch.heard_s + heard_s,
                "alarms": self.watch.alarms + len(onsets),
                "former_alarms": self.watch.former_alarms + len(former),
            }
        )
        self.failure = self.failure or self._judge()

    @property
    def passed(self) -> bool:
        """Whether the model has proven itself."""
        return not self.failure and self.watch.heard_s >= self.watch.span_s

    @property
    def is_too_much(self) -> bool:
        """Whether two models at once are more than this machine can do; the former one should go."""
        return self._hurry.lasting_s >= HURRY_FOR_S

    def _judge(self) -> str:
        if self._slow.lasting_s >= SLOW_FOR_S:
            return f"{self._candidate} is slower than real time here for {SLOW_FOR_S:.0f} s"
        if self._compared_s <= 0 or self.watch.alarms < MANY_ALARMS:
            return ""
        expected = self.watch.former_alarms * self.watch.heard_s / self._compared_s
        if self.watch.alarms > MANY_TIMES * expected:
            return (
                f"{self._candidate} has alarmed {self.watch.alarms} times in {self.watch.heard_s / 60:.0f} min, "
                f"{self.former} {self.watch.former_alarms} times on the same audio"
            )
        return ""


def with_watch(slots: Slots, trial: Trial) -> Slots:
    """Return the slots with how far the trial is, unless theirs is over."""
    if slots.watch is None:
        return slots
    running = {"running": slots.watch.running, "boot": slots.watch.boot, "power_cuts": slots.watch.power_cuts}
    return slots.model_copy(update={"watch": trial.watch.model_copy(update=running)})


def kept(slots: Slots) -> Slots:
    """Return the slots after a trial that was passed."""
    if slots.active is None:
        return slots
    return slots.model_copy(update={"watch": None}).with_entry(entry("kept", slots.active, slots.previous))
