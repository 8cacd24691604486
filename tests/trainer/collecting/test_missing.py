"""A recording that cannot be had is told, and holds up no other; a node of which none can be had is left at once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.collecting import BadNetwork, RecordingNode, recording_node
from support.mosquitto import free_port
from support.recording_parts import SIREN
from support.trainer_home import make_home, members_of

from earshot_node.contract.recordings import RecordingInfo
from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.collecting.collector import Collector, Missing, NodeResult, Progress
from earshot_trainer.collecting.command import run_collection
from earshot_trainer.home.folder import Home

OTHER_HASH = "its audio has another hash than was told; it is thrown away"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home", broker_port=free_port())


@pytest.fixture
async def hall(tmp_path: Path, home: Home) -> AsyncIterator[RecordingNode]:
    async with recording_node(tmp_path / "hall", "hall") as node:
        secret, now = hashlib.sha256(b"hall").hexdigest(), datetime.now(UTC)
        members_of(home).add_invite(secret, "", now, now + timedelta(hours=1))
        members_of(home).admit(secret, node.member, now)
        yield node


def collector(home: Home) -> Collector:
    library = Library(open_catalogue(home.catalogue_url))
    return Collector(members_of(home), library, open_audio_store(home.recordings_place), home.incoming)


async def collected(home: Home, hall: RecordingNode) -> NodeResult:
    (result,) = await collector(home).collect([hall.member])
    return result


def audio_of(hall: RecordingNode, info: RecordingInfo) -> Path:
    return hall.service.store.audio_path(info.id)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def make_unreadable(path: Path) -> None:
    path.unlink()
    path.mkdir()


def evict(hall: RecordingNode, info: RecordingInfo) -> None:
    """The node needs the room."""
    audio_of(hall, info).with_suffix(".json").unlink()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(flip_a_bit, OTHER_HASH), (cut_short, "yet the node is there"), (make_unreadable, "yet the node is there")],
    ids=["a bit", "cut short", "unreadable"],
)
async def test_damaged_recording_is_told_each_time_and_the_others_come_home(
    home: Home, hall: RecordingNode, damage: Callable[[Path], None], problem: str
) -> None:
    infos = [await hall.add(number) for number in range(4)]
    damage(audio_of(hall, infos[1]))
    sound = [infos[0], infos[2], infos[3]]
    for stored, waiting in ((3, 4), (0, 1)):
        result = await collected(home, hall)
        assert (result.stored, result.broke_off) == (stored, False)
        assert result.problem == f"1 of {waiting} recordings could not be collected"
        (missing,) = result.missing
        assert missing.recording == infos[1].id
        assert missing.problem.endswith(problem)
        assert not missing.problem.startswith("away")
    assert sorted(one.id for one in collector(home).library.all()) == [one.id for one in sound]
    assert hall.waiting() == [infos[1].id]
    assert members_of(home).all()[0].collected == ""
    evict(hall, infos[1])
    assert (await collected(home, hall)).problem == ""
    assert members_of(home).all()[0].collected


async def test_recording_that_the_node_evicts_before_its_turn_is_told_once(home: Home, hall: RecordingNode) -> None:
    infos = [await hall.add(number, None) for number in range(3)]

    def evict_the_second(progress: Progress) -> None:
        if progress.done_bytes == 0 and infos[1].id in hall.waiting():
            evict(hall, infos[1])

    (result,) = await replace(collector(home), on_progress=evict_the_second).collect([hall.member])
    assert (result.stored, [one.recording for one in result.missing]) == (2, [infos[1].id])
    assert result.missing[0].problem == f'it answers 404: {{"error": "this node has no recording {infos[1].id}"}}'
    assert await collected(home, hall) == NodeResult("hall")


async def test_recording_that_the_node_evicts_once_it_was_fetched_is_no_problem(
    home: Home, hall: RecordingNode
) -> None:
    info = await hall.add(1, None)

    def evict_it(progress: Progress) -> None:
        if progress.done_bytes == info.size_bytes and hall.waiting():
            evict(hall, info)

    (result,) = await replace(collector(home), on_progress=evict_it).collect([hall.member])
    assert result == NodeResult("hall", stored=1, came_bytes=info.size_bytes)
    assert collector(home).library.has(info.sha256)


async def test_node_that_goes_away_is_left_at_once_and_what_came_is_counted(home: Home, hall: RecordingNode) -> None:
    infos = [await hall.add(number) for number in range(4)]
    flip_a_bit(audio_of(hall, infos[0]))
    async with BadNetwork(hall.member.address, infos[0].size_bytes + infos[1].size_bytes + 20_000) as network:
        (result,) = await collector(home).collect([replace(hall.member, address=network.address)])
    assert (result.stored, result.broke_off, result.missing) == (1, True, (Missing(infos[0].id, OTHER_HASH),))
    assert result.problem.startswith("away: ")
    assert result.problem.endswith("; 1 of 4 recordings could not be collected")


@dataclass
class FullDisk:
    """Takes nothing; knows what it was to take."""

    asked: list[str] = field(default_factory=list)

    def has(self, _sha256: str) -> bool:
        return False

    def put(self, sha256: str, _file: Path) -> None:
        self.asked.append(sha256)
        raise OperatorError("recordings: cannot be written (No space left on device); free some space")

    def read(self, _sha256: str) -> bytes:
        raise OperatorError("it is not there")


async def test_full_disk_here_ends_the_collection(home: Home, hall: RecordingNode) -> None:
    infos = [await hall.add(number) for number in range(3)]
    disk = FullDisk()
    (result,) = await replace(collector(home), audio=disk).collect([hall.member])
    assert (disk.asked, result.missing, result.broke_off) == ([infos[0].sha256], (), True)
    assert "No space left" in result.problem


@pytest.mark.parametrize(
    ("status", "problem"), [(401, "does not know this trainer"), (403, "does not let this trainer")]
)
async def test_node_that_does_not_let_the_trainer_in_any_more_is_asked_for_nothing_else(
    home: Home, hall: RecordingNode, status: int, problem: str
) -> None:
    told = [(await hall.add(number)).model_dump(mode="json", by_alias=True) for number in range(3)]
    asked: list[str] = []

    async def listed(_request: web.Request) -> web.Response:
        return web.json_response({"schema": 1, "node": "hall", "total": 3, "recordings": told, "next": None})

    async def refused(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/api/v1/recordings", listed)
    app.router.add_get("/api/v1/recordings/{id}/audio", refused)
    async with TestServer(app) as server:
        member = replace(hall.member, address=str(server.make_url("")).rstrip("/"))
        (result,) = await collector(home).collect([member])
    assert (len(asked), result.missing, result.broke_off) == (1, (), True)
    assert problem in result.problem


async def test_command_names_each_missing_recording_counts_them_and_tells_the_labels_all_the_same(
    home: Home, hall: RecordingNode, capsys: pytest.CaptureFixture[str]
) -> None:
    tractor = SIREN.model_copy(update={"labels": ("tractor",)})
    infos = [await hall.add(1), await hall.add(2, tractor), await hall.add(3)]
    for info in (infos[0], infos[2]):
        flip_a_bit(audio_of(hall, info))
    assert await asyncio.to_thread(run_collection, home, (), as_json=False) == 3
    out, err = capsys.readouterr()
    came = f"1 new recordings, {infos[1].size_bytes / 1e6:.1f} MB"
    assert err.splitlines() == [
        f"hall: {infos[0].id}: {OTHER_HASH}",
        f"hall: {infos[2].id}: {OTHER_HASH}",
        f"hall: {came}; not all: 2 of 3 recordings could not be collected",
    ]
    assert out == "here now: 1 tractor\n"
    assert await hall.service.known_labels() == ("siren", "tractor")
