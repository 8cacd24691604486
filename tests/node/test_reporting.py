"""Levels, confidence and health are told when they are due, and no more often."""

from datetime import UTC, datetime

import pytest

from earshot_node.audio.intake import SourceStatus
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import NodeHealth, SourceHealth, SourceState
from earshot_node.http.metrics import Metrics
from earshot_node.inference_thread import Step
from earshot_node.listener import Heard
from earshot_node.reporting import Reporter

CONFIG = NodeConfig.model_validate(
    {"node": {"id": "hall"}, "sources": [{"id": "mic", "type": "microphone"}], "labels": ["siren"]}
)


class Told:
    """A publisher that remembers."""

    connected = True
    queued = 3

    def __init__(self) -> None:
        self.problem = ""
        self.levels: list[float] = []
        self.percents: list[float] = []
        self.healths: list[NodeHealth] = []
        self.sources: list[SourceHealth] = []

    def publish_level(self, source: str, dbfs: float) -> None:
        self.levels.append(dbfs)

    def publish_confidence(self, source: str, label: str, percent: float) -> None:
        assert label == "siren"
        self.percents.append(percent)

    def publish_health(self, health: NodeHealth) -> None:
        self.healths.append(health)

    def publish_source_health(self, health: SourceHealth) -> None:
        self.sources.append(health)


def status(state: SourceState = "healthy", delivered_s: float = 0.0, problem: str = "") -> dict[str, SourceStatus]:
    return {"mic": SourceStatus(state, problem, 1.25, delivered_s, 2)}


def reporter(told: Told) -> Reporter:
    clock = datetime(2026, 11, 22, tzinfo=UTC)
    return Reporter(
        CONFIG, "2026.11.0", told, Metrics("1", "2"), status("starting"), {"mic": 3600.0}, clock=lambda: clock
    )


def step(level_dbfs: float, siren: float) -> Step:
    return Step((Heard("mic", levels_dbfs=((level_dbfs, 25),), peaks={"siren": siren, "dog": 0.9}),), 1.0, 0.02, 25)


def test_level_is_the_mean_power_of_five_seconds() -> None:
    told = Told()
    report = reporter(told)
    report.tick(status(), 0.0)
    for level in (-20.0, -80.0, -80.0, -80.0, -80.0):
        report.hear(step(level, 0.0))
        report.tick(status(), 0.0)
    assert told.levels == [pytest.approx(-27.0, abs=0.05)]


def test_confidence_is_the_peak_of_five_seconds_and_told_when_it_moves() -> None:
    told = Told()
    report = reporter(told)
    report.tick(status(), 0.0)
    for siren in (0.1, 0.934, 0.2, 0.1, 0.1, 0.93, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05):
        report.hear(step(-40.0, siren))
        report.tick(status(), 0.0)
    assert told.percents == [93, 5]


def test_confidence_that_does_not_move_is_told_often_enough_to_be_there_soon_after_a_restart() -> None:
    told = Told()
    report = reporter(told)
    for _ in range(60):
        report.hear(step(-40.0, 0.02))
        report.tick(status(), 0.0)
    assert told.percents == [2] * 6


def test_health_is_told_at_each_change_and_every_thirty_seconds() -> None:
    told = Told()
    report = reporter(told)
    for _ in range(3):
        report.tick(status(), 0.0)
    for _ in range(30):
        report.tick(status("silent", problem="no sound at all"), 0.0)
    assert [health.state for health in told.healths] == ["healthy", "deaf", "deaf"]
    assert told.healths[1].problems == ("mic: no sound at all",)


def test_work_for_several_sources_counts_against_the_time_that_they_share() -> None:
    told = Told()
    report = reporter(told)
    report.tick(status(), 0.0)
    heard = tuple(Heard(f"mic{number}", levels_dbfs=((-40.0, 25),)) for number in range(4))
    for _ in range(40):
        report.hear(Step(heard, 4.0, 1.6, 100))
        verdict = report.tick(status(), 0.0)
    assert verdict.state == "deaf"
    assert told.healths[-1].real_time_factor == pytest.approx(1.6, abs=0.01)


def test_audio_that_is_lost_now_makes_the_node_deaf() -> None:
    report = reporter(Told())
    conditions = [SourceStatus("healthy", "", dropped_s, 0.0, 0) for dropped_s in (0.0, 0.2, 0.6, 1.1)]
    states = [report.tick({"mic": one}, 0.0).state for one in conditions]
    assert states == ["healthy", "healthy", "healthy", "deaf"]


def test_hours_go_on_from_before_the_start() -> None:
    told = Told()
    report = reporter(told)
    report.tick(status(delivered_s=1800.0), 0.0)
    assert told.healths[0].hours_listened == 1.5
    assert told.sources[0].hours_listened == 1.5
    assert report.listened_s == {"mic": 5400.0}


def test_change_of_a_source_is_told_at_once() -> None:
    told = Told()
    reporter(told).source_changed("mic", status("absent", problem="unplugged")["mic"])
    assert (told.sources[0].state, told.sources[0].problem, told.sources[0].reopened) == ("absent", "unplugged", 2)


def test_broker_that_is_away_is_a_problem_of_the_node() -> None:
    told = Told()
    told.problem = "MQTT: refused"
    verdict = reporter(told).tick(status(), 0.0)
    assert verdict.problems == ("MQTT: refused",)
