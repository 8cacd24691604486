"""What `serve` notes of what nodes tell: results, disagreements with their audio, and how often they alarm."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.async_waiting import until
from support.household import Household

from earshot_node.contract.deployment import Disagreement, InstallResult, ShadowReport
from earshot_node.contract.messages import EventMessage, NodeHealth
from earshot_node.contract.recordings import RecordingInfo
from earshot_node.contract.topics import NodeTopics, Topic
from earshot_node.mqtt.connection import Received
from earshot_trainer.catalogue.alarms import AlarmRate, Alarms
from earshot_trainer.catalogue.disagreements import MOST_OF_A_NODE, Disagreements
from earshot_trainer.catalogue.library import Library
from earshot_trainer.deploying.fleet_recorder import AlarmCounter, FleetRecorder

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HALL = NodeTopics("home", "hall")
GOLDEN = Path(__file__).resolve().parents[2] / "contract/golden/recording.json"


def report(*events: str, onset: datetime = NOW, sha256: str = "ab" * 32) -> ShadowReport:
    told = [
        Disagreement(
            id=event,
            heard_by="candidate",
            source="street",
            label="siren",
            onset=onset,
            offset=onset + timedelta(seconds=4),
            peak=0.8,
        )
        for event in events
    ]
    return ShadowReport(
        active="2026.11.1",
        candidate="2099.1.0",
        sha256=sha256,
        begun=NOW,
        heard_s=60,
        agreed=0,
        only_active=0,
        only_candidate=len(told),
        latest=tuple(told),
        real_time_factor=0.1,
    )


def health(at_s: float, state: str = "healthy") -> Received:
    values: dict[str, Any] = {"real_time_factor": 0.1, "hours_listened": 1, "dropped_s": 0, "queued_events": 0}
    told = NodeHealth.model_validate(
        {**values, "state": state, "problems": (), "model_version": "1", "time": NOW + timedelta(seconds=at_s)}
    )
    return Received(HALL.health().name, told.encode(), retained=False)


def onset(event_id: str, node: str = "hall") -> Received:
    told = EventMessage(
        id=event_id,
        phase="onset",
        event_type="siren",
        node=node,
        source="street",
        source_name="Street",
        onset=NOW,
        peak=1,
        confidence=100,
        level_dbfs=-20,
        model="1",
    )
    return Received(HALL.onset("street", "siren").name, told.encode(), retained=False)


def test_alarms_and_listening_are_counted_once() -> None:
    counter = AlarmCounter("home")
    for message in (health(0), health(30), onset("event-00001"), onset("event-00001"), health(60)):
        counter.push(message)
    assert counter.take() == {"hall": AlarmRate(1, 60.0)}
    assert counter.take() == {}


def test_time_that_nobody_heard_of_and_starting_do_not_count_as_listening() -> None:
    counter = AlarmCounter("home")
    for message in (health(0), health(3600), health(3630), health(3640, "starting"), health(3670)):
        counter.push(message)
    assert counter.take() == {"hall": AlarmRate(0, 40.0)}


def test_one_node_cannot_alarm_in_anothers_name() -> None:
    counter = AlarmCounter("home")
    counter.push(onset("event-00001", node="attic"))
    counter.push(Received(HALL.onset("street", "siren").name, b"{nonsense", retained=False))
    assert counter.take() == {}


@pytest.mark.mosquitto
def test_past_of_a_node_is_what_was_counted_since(household: Household) -> None:
    alarms = Alarms(household.engine)
    for hours_ago, rate in ((30, AlarmRate(7, 100.0)), (2, AlarmRate(1, 1800.0)), (2, AlarmRate(2, 600.0))):
        alarms.add("hall", NOW - timedelta(hours=hours_ago), rate)
    assert alarms.past("hall", NOW - timedelta(hours=24)) == AlarmRate(3, 2400.0)
    assert alarms.past("attic", NOW - timedelta(hours=24)) == AlarmRate()


@pytest.mark.mosquitto
def test_disagreement_is_kept_once_with_the_recording_that_holds_its_audio(household: Household) -> None:
    disagreements = Disagreements(household.engine)
    assert disagreements.note("hall", report("a"), NOW) == 1
    assert disagreements.note("hall", report("a", "b", onset=NOW + timedelta(hours=1)), NOW) == 1
    library = Library(household.engine)
    for begin, sha256 in ((NOW - timedelta(seconds=3), "c" * 64), (NOW + timedelta(minutes=30), "d" * 64)):
        library.keep(recorded(begin, sha256), "hall", 0, NOW)
    found = {one.event: one for one in disagreements.all()}
    assert (found["a"].recordings, found["b"].recordings) == (("c" * 64,), ())
    assert found["a"].opinions == "2099.1.0 heard siren (80%), 2026.11.1 did not"
    assert disagreements.counts() == {"ab" * 32: 2}


@pytest.mark.mosquitto
def test_node_that_disagrees_for_ever_does_not_fill_the_catalogue(household: Household) -> None:
    disagreements = Disagreements(household.engine)
    for batch in range(0, MOST_OF_A_NODE + 40, 20):
        now = NOW + timedelta(seconds=batch)
        disagreements.note("hall", report(*(f"event-{batch + number}" for number in range(20))), now)
    kept = {one.event for one in disagreements.all()}
    assert len(kept) == MOST_OF_A_NODE
    assert f"event-{MOST_OF_A_NODE + 39}" in kept


@contextlib.asynccontextmanager
async def recording(household: Household) -> AsyncIterator[Callable[[Topic, bytes], None]]:
    task = asyncio.create_task(FleetRecorder(household.home, household.engine).run())
    with household.node("hall") as hall:
        yield hall.say
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.mosquitto
async def test_serve_notes_results_and_disagreements_as_they_come(household: Household) -> None:
    release = household.release()
    await asyncio.to_thread(household.deploy, release, nodes=("hall",), wait_s=0.0)
    topics = NodeTopics(household.prefix, "hall")
    async with recording(household) as say:
        say(topics.model_shadow(), report("a", sha256=release.sha256).encode())
        await until(lambda: Disagreements(household.engine).counts() == {release.sha256: 1}, 60, "the disagreement")
        await until(lambda: household.releases.offers()[0].outcome == "installed", 60, "the result")
        say(topics.model_shadow(), b"{nonsense")
        later = {"version": "2099.1.0", "sha256": release.sha256, "outcome": "rolled_back", "active": "2026.11.0"}
        result = InstallResult.model_validate({**later, "reason": "it alarmed", "time": datetime.now(UTC)})
        say(topics.model_result(), result.encode())
        await until(lambda: household.releases.offers()[0].outcome == "rolled_back", 60, "the rollback")
    assert household.releases.offers()[0].reason == "it alarmed"


def recorded(begin: datetime, sha256: str) -> RecordingInfo:
    """A recording of ten seconds."""
    golden = RecordingInfo.decode(GOLDEN.read_bytes())
    return golden.model_copy(update={"begin": begin, "sha256": sha256, "duration_s": 10.0, "labelling": None})
