"""Recordings come home whole, once, whatever breaks; nodes are told only when they are safe."""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.async_waiting import until
from support.collecting import BadNetwork, RecordingNode, recording_node
from support.label_terminal import read_until, trainer_terminal
from support.recording_parts import BEGIN
from support.trainer_home import make_home

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting import node_http
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.collecting.collector import Collector, NodeResult, Progress
from earshot_trainer.home.folder import Home

LATER = Labelling(absent=("siren",), by="http", time=BEGIN + timedelta(days=1))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
async def hall(tmp_path: Path, home: Home) -> AsyncIterator[RecordingNode]:
    async with recording_node(tmp_path / "hall", "hall") as node:
        know(home, node.member)
        yield node


def know(home: Home, member: Member) -> Members:
    """Make it one of the home's nodes."""
    members = Members(open_catalogue(home.catalogue_url))
    secret = hashlib.sha256(member.id.encode()).hexdigest()
    now = datetime.now(UTC)
    members.add_invite(secret, "", now, now + timedelta(hours=1))
    members.admit(secret, member, now)
    return members


def collector(home: Home) -> Collector:
    engine = open_catalogue(home.catalogue_url)
    return Collector(Members(engine), Library(engine), open_audio_store(home.recordings_place), home.incoming)


async def collect(home: Home, *members: Member) -> list[NodeResult]:
    return await collector(home).collect(members)


def assert_home_has(home: Home, *infos: RecordingInfo) -> None:
    """Exactly these, each with its whole audio and no left-over."""
    here = collector(home)
    assert sorted(one.sha256 for one in here.library.all()) == sorted(one.sha256 for one in infos)
    for info in infos:
        assert hashlib.sha256(here.audio.read(info.sha256)).hexdigest() == info.sha256
    assert list(home.incoming.iterdir()) == []
    assert len(list((home.folder / "recordings").rglob("*.flac"))) == len(infos)


async def test_all_that_waits_comes_home_and_the_node_is_told(home: Home, hall: RecordingNode) -> None:
    infos = [await hall.add(1), await hall.add(2, None), await hall.add(3, Labelling(by="http", time=BEGIN))]
    (result,) = await collect(home, hall.member)
    size = sum(info.size_bytes for info in infos)
    assert result == NodeResult("hall", stored=3, came_bytes=size)
    assert_home_has(home, *infos)
    assert hall.waiting() == []
    assert collector(home).library.counts() == {"": 1, "background": 1, "siren": 1}
    assert (await collect(home, hall.member))[0] == NodeResult("hall")
    assert collector(home).members.all()[0].collected


async def test_more_than_a_page_comes_home(home: Home, hall: RecordingNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_http, "PAGE", 3)
    infos = [await hall.add(number, seconds=0.01) for number in range(7)]
    assert (await collect(home, hall.member))[0].stored == 7
    assert_home_has(home, *infos)


@pytest.mark.parametrize("lets", [0, 1, 300, 1500, 2600, 9_000, 33_000, 40_000])
async def test_connection_that_breaks_at_any_byte_costs_no_recording(
    home: Home, hall: RecordingNode, lets: int
) -> None:
    infos = [await hall.add(1), await hall.add(2)]
    async with BadNetwork(hall.member.address, lets) as network:
        member = replace(hall.member, address=network.address)
        (first,) = await collect(home, member)
        assert first.problem.startswith("away: ")
        assert len(collector(home).library.all()) == first.stored
        network.mend()
        (second,) = await collect(home, member)
    assert second.problem == ""
    assert_home_has(home, *infos)
    assert hall.waiting() == []


async def test_fetch_goes_on_where_it_broke_off(home: Home, hall: RecordingNode) -> None:
    info = await hall.add(1)
    async with BadNetwork(hall.member.address, 20_000) as network:
        member = replace(hall.member, address=network.address)
        await collect(home, member)
        (part,) = home.incoming.iterdir()
        had = part.stat().st_size
        assert had > 10_000
        network.mend()
        (second,) = await collect(home, member)
    assert second.came_bytes == info.size_bytes - had
    assert_home_has(home, info)


@pytest.mark.parametrize("lets", [20_000, 34_200])
async def test_collection_that_is_killed_leaves_nothing_half_visible_and_the_next_one_goes_on(
    home: Home, hall: RecordingNode, lets: int
) -> None:
    infos = [await hall.add(1), await hall.add(2)]
    async with BadNetwork(hall.member.address, lets, stalls=True) as network:
        collector(home).members.set_address("hall", network.address, datetime.now(UTC))
        command = [sys.executable, "-m", "earshot_trainer", "collect", "--home", str(home.folder)]
        process = await asyncio.create_subprocess_exec(*command)
        await until(lambda: network.is_used_up, 90, "the transfer's middle")
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        visible = collector(home).library.all()
        assert len(visible) < 2
        for one in visible:
            assert hashlib.sha256(collector(home).audio.read(one.sha256)).hexdigest() == one.sha256
        network.mend()
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert process.returncode == 0
    assert b"here now: 2 siren" in out
    assert_home_has(home, *infos)
    assert hall.waiting() == []


async def test_same_content_on_two_nodes_is_stored_once(home: Home, hall: RecordingNode, tmp_path: Path) -> None:
    async with recording_node(tmp_path / "attic", "attic") as attic:
        know(home, attic.member)
        info = await hall.add(1, sound=7)
        same = await attic.add(5, sound=7)
        assert info.sha256 == same.sha256
        results = await collect(home, hall.member, attic.member)
        assert sorted((one.stored, one.known) for one in results) == [(0, 1), (1, 0)]
        assert sum(one.came_bytes for one in results) == info.size_bytes
        assert_home_has(home, info)
        assert hall.waiting() == attic.waiting() == []


async def test_later_labelling_replaces_the_earlier_one_without_audio(home: Home, hall: RecordingNode) -> None:
    info = await hall.add(1, None)
    await collect(home, hall.member)
    newer = await asyncio.to_thread(hall.service.store.label, info.id, LATER)
    (result,) = await collect(home, hall.member)
    assert (result.known, result.labelled, result.came_bytes) == (1, 1, 0)
    assert collector(home).library.all() == [newer]
    assert hall.waiting() == []


async def test_node_that_is_away_is_named_and_the_others_go_on(
    home: Home, hall: RecordingNode, capfd: pytest.CaptureFixture[str]
) -> None:
    info = await hall.add(1)
    know(home, Member("attic", "t" * 20, "http://127.0.0.1:1", "1", "", ""))
    command = [sys.executable, "-m", "earshot_trainer", "collect"]
    environ = {**os.environ, "EARSHOT_HOME": str(home.folder)}
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    assert await process.wait() == 3
    out, err = capfd.readouterr()
    assert "hall: 1 new recordings" in out
    assert "attic: 0 new recordings, 0.0 MB; not all: away: " in err
    assert_home_has(home, info)


async def test_node_that_stands_still_holds_up_no_other_and_each_tells_how_far_it_is(
    home: Home, hall: RecordingNode, tmp_path: Path
) -> None:
    told: list[Progress] = []
    async with (
        recording_node(tmp_path / "attic", "attic") as attic,
        BadNetwork(hall.member.address, 20_000, stalls=True) as network,
    ):
        know(home, attic.member)
        infos = [await hall.add(1), await attic.add(2), await attic.add(3)]
        nodes = [replace(hall.member, address=network.address), attic.member]
        work = asyncio.create_task(replace(collector(home), on_progress=told.append).collect(nodes))
        await until(lambda: network.is_used_up and attic.waiting() == [], 60, "the attic's recordings")
        assert not work.done()
        assert len(hall.waiting()) == 1
        so_far = max(one.done_bytes for one in told if one.node == "hall")
        assert 10_000 < so_far < infos[0].size_bytes
        network.mend()
        results = await work
    assert [(one.node, one.stored, one.problem) for one in results] == [("hall", 1, ""), ("attic", 2, "")]
    assert_home_has(home, *infos)
    by_node = {name: [one for one in told if one.node == name] for name in ("hall", "attic")}
    for name, its in (("hall", infos[:1]), ("attic", infos[1:])):
        total, done = sum(info.size_bytes for info in its), [one.done_bytes for one in by_node[name]]
        assert {one.total_bytes for one in by_node[name]} == {total}
        assert (done[0], done[-1], done) == (0, total, sorted(done))
        assert len(set(done)) > 2


async def test_terminal_shows_a_bar_for_each_node_while_they_are_collected(
    home: Home, hall: RecordingNode, tmp_path: Path
) -> None:
    async with (
        recording_node(tmp_path / "attic", "attic") as attic,
        BadNetwork(hall.member.address, 20_000, stalls=True) as network,
    ):
        know(home, attic.member)
        collector(home).members.set_address("hall", network.address, datetime.now(UTC))
        infos = [await hall.add(1), await attic.add(2, seconds=2.0)]
        of_hall, of_attic = (f"/{info.size_bytes / 1000:.1f} kB" for info in infos)
        with trainer_terminal(home, "collect") as (terminal, process):
            shown = await asyncio.to_thread(read_until, terminal, f"{infos[1].size_bytes / 1000:.1f}{of_attic}", 90)
            assert f"{infos[0].size_bytes / 1000:.1f}{of_hall}" not in shown
            await asyncio.to_thread(read_until, terminal, of_hall)
            network.mend()
            end = await asyncio.to_thread(read_until, terminal, "here now: 2 siren")
            assert await asyncio.to_thread(process.wait, 30) == 0
    assert all(f"{node}: 1 new recordings" in end for node in ("hall", "attic"))
    assert_home_has(home, *infos)


async def test_trainers_token_opens_recordings_and_nothing_else_of_a_node(home: Home, hall: RecordingNode) -> None:
    info = await hall.add(1)
    stranger = replace(hall.member, token="x" * 20)
    (result,) = await collect(home, stranger)
    assert "does not know this trainer" in result.problem
    import aiohttp

    headers = {"Authorization": f"Bearer {hall.member.token}"}
    async with aiohttp.ClientSession(hall.member.address, headers=headers) as session:
        for path, status in (
            (f"/api/v1/recordings/{info.id}", 200),
            ("/api/v1/recorder", 401),
            ("/api/v1/recordingsx", 401),
            ("/metrics", 401),
        ):
            async with session.get(path) as response:
                assert (path, response.status) == (path, status)


@pytest.mark.parametrize(
    ("change", "audio", "problem"),
    [
        ({}, b"other bytes", "its audio ends after 11 of the "),
        ({"size_bytes": 11}, b"other bytes", "has another hash"),
        ({"size_bytes": 5}, b"other bytes", "has more than the 5 bytes"),
        ({"size_bytes": 1 << 40}, b"", "has more than 64 MB"),
        ({"node": "attic"}, b"", "another node answers"),
        ({"id": "../../etc/passwd"}, b"", "makes no sense"),
        ({"sha256": "../x"}, b"", "makes no sense"),
    ],
)
async def test_node_that_lies_leaves_nothing_behind(
    home: Home, hall: RecordingNode, change: dict[str, object], audio: bytes, problem: str
) -> None:
    told = {**(await hall.add(1)).model_dump(mode="json", by_alias=True), **change}

    async def listed(_request: web.Request) -> web.Response:
        return web.json_response({"schema": 1, "node": "hall", "total": 1, "recordings": [told], "next": None})

    async def sent(_request: web.Request) -> web.Response:
        return web.Response(body=audio)

    app = web.Application()
    app.router.add_get("/api/v1/recordings", listed)
    app.router.add_get("/api/v1/recordings/{id}/audio", sent)
    async with TestServer(app) as server:
        (result,) = await collect(home, replace(hall.member, address=str(server.make_url("")).rstrip("/")))
    assert problem in "; ".join([result.problem, *(one.problem for one in result.missing)])
    assert list(home.incoming.iterdir()) == []
    assert collector(home).library.all() == []
    assert list((home.folder / "recordings").iterdir()) == []


@pytest.mark.parametrize(
    ("status", "headers", "body", "problem"),
    [
        (200, {}, "[" * 100_000, "not JSON"),
        (429, {"Retry-After": "\u00b2"}, "", "429"),
        (503, {"Retry-After": "-1"}, "", "503"),
    ],
    ids=["deep JSON", "pause that is no number", "negative pause"],
)
async def test_node_that_answers_nonsense_does_not_stop_the_others(
    home: Home,
    hall: RecordingNode,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    headers: dict[str, str],
    body: str,
    problem: str,
) -> None:
    monkeypatch.setattr(node_http, "_LONGEST_PAUSE_S", 0.01)
    await hall.add(1)

    async def nonsense(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers, text=body)

    app = web.Application()
    app.router.add_get("/api/v1/recordings", nonsense)
    async with TestServer(app) as server:
        attic = replace(hall.member, id="attic", address=str(server.make_url("")).rstrip("/"))
        know(home, attic)
        by_node = {one.node: one for one in await collect(home, attic, hall.member)}
    assert problem in by_node["attic"].problem
    assert by_node["hall"].problem == ""
    assert by_node["hall"].stored == 1


async def test_recordings_go_to_an_object_store_whole(hall: RecordingNode, tmp_path: Path) -> None:
    home = make_home(tmp_path / "other", recordings=f"memory://bucket-{tmp_path.name}/earshot")
    know(home, hall.member)
    info = await hall.add(1)
    assert (await collect(home, hall.member))[0].stored == 1
    store = open_audio_store(home.recordings_place)
    assert store.has(info.sha256)
    assert hashlib.sha256(store.read(info.sha256)).hexdigest() == info.sha256
    assert list(home.incoming.iterdir()) == []
    assert hall.waiting() == []
