"""The weekly drill plays to every source when it is due; one that is refused keeps no other from its turn."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.async_waiting import until
from support.mqtt_node import node_config

from earshot_node.audio.block import Block
from earshot_node.contract.drill import DrillResult
from earshot_node.contract.topics import Topic
from earshot_node.drill.desk import Drills
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import load_bundled
from earshot_node.mqtt.connection import Delivery


class Nothing:
    """No audio, and nobody to tell."""

    problem = ""

    def wait(self, timeout_s: float) -> bool:
        return timeout_s < 0

    def take(self) -> list[Block]:
        return []

    def deliver(self, topic: Topic, payload: bytes) -> asyncio.Future[Delivery]:
        raise AssertionError(topic, payload)

    def publish_retained(self, topic: Topic, payload: bytes) -> None:
        raise AssertionError(topic, payload)


class NotedDrills(Drills):
    """Notes what it would play, and refuses the first source."""

    def __init__(self, folder: Path, weekly: str) -> None:
        nothing: Any = Nothing()
        config = node_config(1883, drill={"weekly": weekly})
        super().__init__(config, folder, nothing, load_bundled().manifest, nothing, nothing, nothing)
        self.played: list[str] = []

    async def run(self, source: str, level_dbfs: float | None = None, drill_id: str = "") -> DrillResult:
        self.played.append(source)
        raise OperatorError(f"drill: a siren sounds at {source} now; {level_dbfs} {drill_id}")


async def test_every_source_has_its_turn_when_the_drill_is_due(tmp_path: Path) -> None:
    began_s, wednesday = time.monotonic(), datetime(2026, 11, 25, 10, 59, 59, 700_000, tzinfo=UTC)
    drills = NotedDrills(tmp_path, "wed 11:00")
    task = asyncio.create_task(drills.run_weekly(lambda: wednesday + timedelta(seconds=time.monotonic() - began_s)))
    await asyncio.sleep(0)
    assert drills.played == []
    await until(lambda: drills.played == ["street", "yard"], 20)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert drills.played == ["street", "yard"]


async def test_drill_that_the_machine_slept_through_is_left_out(tmp_path: Path) -> None:
    times = iter([datetime(2026, 11, 25, 10, 59, tzinfo=UTC), *[datetime(2026, 11, 25, 15, 0, tzinfo=UTC)] * 2])
    asked = asyncio.Event()

    def now() -> datetime:
        found = next(times, None)
        if found is None:
            asked.set()
        return found or datetime(2026, 11, 25, 15, 1, tzinfo=UTC)

    drills = NotedDrills(tmp_path, "wed 11:00")
    task = asyncio.create_task(drills.run_weekly(now))
    await asyncio.wait_for(asked.wait(), 20)
    task.cancel()
    assert drills.played == []


async def test_no_time_configured_is_no_drill(tmp_path: Path) -> None:
    drills = NotedDrills(tmp_path, "")
    await asyncio.wait_for(drills.run_weekly(), 20)
    assert drills.played == []
