"""A label that somebody began on one node is one of the household's everywhere, as soon as it was collected."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from support.collecting import RecordingNode, recording_node
from support.mosquitto import free_port
from support.recording_parts import HEALTHY, SIREN, recording_config
from support.trainer_home import make_home, members_of

from earshot_node.recordings.labels import TOLD_NAME
from earshot_node.recordings.own_studio import OwnStudio
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap
from earshot_trainer.collecting.command import run_collection
from earshot_trainer.home.folder import Home, open_home

TRACTOR = SIREN.model_copy(update={"labels": ("tractor",)})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home", broker_port=free_port())


@pytest.fixture
async def hall(tmp_path: Path, home: Home) -> AsyncIterator[RecordingNode]:
    async with recording_node(tmp_path / "hall", "hall") as node:
        know(home, node)
        yield node


@pytest.fixture
async def attic(tmp_path: Path, home: Home) -> AsyncIterator[RecordingNode]:
    async with recording_node(tmp_path / "attic", "attic") as node:
        know(home, node)
        yield node


def know(home: Home, node: RecordingNode) -> None:
    """Make it one of the home's nodes."""
    secret, now = hashlib.sha256(node.member.id.encode()).hexdigest(), datetime.now(UTC)
    members_of(home).add_invite(secret, "", now, now + timedelta(hours=1))
    members_of(home).admit(secret, node.member, now)


async def collect(home: Home) -> int:
    return await asyncio.to_thread(run_collection, home, (), as_json=False)


async def test_label_begun_on_one_node_needs_no_asking_on_another_also_after_a_restart(
    home: Home, hall: RecordingNode, attic: RecordingNode
) -> None:
    told: list[tuple[str, ...]] = []
    attic.service.on_labels = lambda: told.append(attic.service.labels)
    await hall.add(1, TRACTOR)
    assert await attic.service.known_labels() == ("siren",)
    assert await collect(home) == 0
    assert told == [("siren", "tractor")]
    assert await collect(home) == 0
    assert told == [("siren", "tractor")]
    assert await attic.service.known_labels() == ("siren", "tractor")
    config = recording_config(attic.folder)
    again = RecordingService(config, attic.folder, None, StreamTap(), status=lambda _: HEALTHY)
    assert again.labels == ("siren", "tractor")
    again.close()
    assert OwnStudio(config, attic.folder).describe().labels == ("siren", "tractor")


async def test_labels_of_the_trainers_file_reach_every_node(
    home: Home, hall: RecordingNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.yaml").write_text("labels:\n- name: siren\n- name: doorbell\n")
    with (home.folder / "trainer.yaml").open("a") as file:
        file.write(f"labels_file: {tmp_path / 'labels.yaml'}\n")
    opened = open_home(home.folder)
    assert await collect(opened) == 0
    assert await hall.service.known_labels() == ("siren", "doorbell")
    kept = hall.service.store.folder / TOLD_NAME
    before = kept.stat()
    assert await collect(opened) == 0
    assert kept.stat().st_mtime_ns == before.st_mtime_ns
    (tmp_path / "labels.yaml").write_text("labels: [\n")
    capsys.readouterr()
    assert await collect(opened) == 0
    assert "nodes are not told the labels: " in capsys.readouterr().err
    assert await hall.service.known_labels() == ("siren", "doorbell")


async def test_node_that_cannot_keep_the_labels_is_named(
    home: Home, hall: RecordingNode, capsys: pytest.CaptureFixture[str]
) -> None:
    (hall.service.store.folder / f"{TOLD_NAME}.tmp").mkdir(parents=True)  # where they would be written first
    assert await collect(home) == 0
    assert "hall: not told the labels: it answers 500: " in capsys.readouterr().err
    assert await hall.service.known_labels() == ("siren",)


@pytest.mark.parametrize(
    "body", [{}, {"labels": []}, {"labels": [{"name": "Not A Label"}]}, {"labels": [{"name": "background"}]}]
)
async def test_what_is_no_label_set_is_refused(hall: RecordingNode, body: object) -> None:
    headers = {"Authorization": f"Bearer {hall.member.token}"}
    async with (
        aiohttp.ClientSession(hall.member.address, headers=headers) as session,
        session.put("/api/v1/recordings/labels", json=body) as response,
    ):
        assert response.status == 400
    assert not (hall.service.store.folder / TOLD_NAME).exists()


async def test_damaged_file_of_labels_counts_as_none(hall: RecordingNode) -> None:
    hall.service.store.folder.mkdir(parents=True)
    (hall.service.store.folder / TOLD_NAME).write_bytes(b"{")
    assert OwnStudio(recording_config(hall.folder), hall.folder).describe().labels == ("siren",)
