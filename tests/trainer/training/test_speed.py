import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.training import speed as speed_module  # noqa: E402
from earshot_trainer.training.speed import StepClock, describe_speed, speed_line  # noqa: E402


class Watch:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(speed_module.time, "perf_counter", lambda: self.now_s)


def walk(clock: StepClock, watch: Watch, steps: int) -> None:
    for _ in range(steps):
        clock.begin_step()
        for name, seconds in (("waiting for data", 1.0), ("forward", 3.0), ("backward", 5.0)):
            with clock.part(name):
                watch.now_s += seconds
        watch.now_s += 1.0


def test_shares_add_up_and_what_no_part_covers_is_named_other(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    clock = StepClock(torch.device("cpu"))
    clock.start({})
    walk(clock, watch, 4)
    speed = describe_speed(clock.state_dict(), batch_size=20, segment_s=4.0)
    assert speed["steps"] == 4
    assert speed["segments_per_s"] == 2.0
    assert speed["times_real_time"] == 8.0
    assert speed["shares"] == {"waiting for data": 0.1, "forward": 0.3, "backward": 0.5, "other": 0.1}
    assert speed_line(speed).startswith("2.0 segments/s (8 times real time); time: waiting for data 10%, forward 30%")


def test_time_between_two_sessions_of_a_run_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    first = StepClock(torch.device("cpu"))
    first.start({})
    walk(first, watch, 2)
    kept = first.state_dict()
    watch.now_s += 1000.0
    second = StepClock(torch.device("cpu"))
    second.start(kept)
    walk(second, watch, 2)
    speed = describe_speed(second.state_dict(), batch_size=20, segment_s=4.0)
    assert (speed["steps"], speed["segments_per_s"]) == (4, 2.0)


def test_a_queueing_device_is_drained_in_few_steps_that_stand_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    drained = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: drained.append(device))
    clock = StepClock(torch.device("cuda"))
    clock.start({})
    walk(clock, watch, 50)
    assert len(drained) == 2 * 3 * 2
    assert describe_speed(clock.state_dict(), 1, 1.0)["shares"]["backward"] == 0.5
