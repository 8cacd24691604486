"""A bundle is fetched whole or not at all, from the trainer alone, and goes on where it broke off."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr
from support.deployed import public_text
from support.trainer_server import TrainerServer, running

from earshot_node.deployment import download as module
from earshot_node.deployment.download import Wanted, download
from earshot_node.deployment.membership import Membership
from earshot_node.errors import BundleError, RetryError

DATA = bytes(range(256)) * 1000
WANTED = Wanted(hashlib.sha256(DATA).hexdigest(), len(DATA))


@pytest.fixture
def trainer() -> Iterator[TrainerServer]:
    with running(TrainerServer({f"{WANTED.sha256}.earshot": DATA})) as server:
        yield server


def member(server: TrainerServer, token: str = "node-token") -> Membership:
    return Membership(url=server.url, public_key=public_text(), token=SecretStr(token))


async def fetch(server: TrainerServer, folder: Path, wanted: Wanted = WANTED) -> Path:
    return await download(member(server), wanted, folder, lambda _: None)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_bundle_arrives_whole_and_progress_ends_at_one(trainer: TrainerServer, tmp_path: Path) -> None:
    done: list[float] = []
    path = await download(member(trainer), WANTED, tmp_path, done.append)
    assert path.read_bytes() == DATA
    assert done == sorted(done)
    assert done[-1] == 1.0


async def test_download_goes_on_where_it_broke_off(trainer: TrainerServer, tmp_path: Path) -> None:
    trainer.break_after = [100_000, 50_000]
    for _ in range(2):
        with pytest.raises(RetryError, match=r"broke off|cannot be fetched"):
            await fetch(trainer, tmp_path)
        assert [name for name in names(tmp_path) if not name.endswith(".part")] == []
    path = await fetch(trainer, tmp_path)
    assert path.read_bytes() == DATA
    assert trainer.ranges[0] == ""
    begins = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in trainer.ranges[1:]]
    assert 0 < begins[0] < begins[1] <= 150_000


async def test_bundle_that_is_there_is_not_fetched_again(trainer: TrainerServer, tmp_path: Path) -> None:
    await fetch(trainer, tmp_path)
    await fetch(trainer, tmp_path)
    assert len(trainer.ranges) == 1


async def test_other_content_of_the_same_length_is_thrown_away(trainer: TrainerServer, tmp_path: Path) -> None:
    trainer.bundles[f"{WANTED.sha256}.earshot"] = bytes(len(DATA))
    with pytest.raises(BundleError, match="has another hash"):
        await fetch(trainer, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", [f"{WANTED.sha256}.earshot.part", f"{WANTED.sha256}.earshot"])
async def test_what_the_disk_lost_of_an_earlier_attempt_is_not_blamed_on_the_trainer(
    trainer: TrainerServer, tmp_path: Path, name: str
) -> None:
    size_bytes = 100_000 if name.endswith(".part") else len(DATA)
    (tmp_path / name).write_bytes(bytes(size_bytes))
    with pytest.raises(RetryError, match="was damaged on the disk"):
        await fetch(trainer, tmp_path)
    assert (await fetch(trainer, tmp_path)).read_bytes() == DATA


async def test_more_bytes_than_offered_are_not_even_kept(trainer: TrainerServer, tmp_path: Path) -> None:
    trainer.bundles[f"{WANTED.sha256}.earshot"] = DATA * 40
    with pytest.raises(BundleError, match="sends more than"):
        await fetch(trainer, tmp_path)
    assert names(tmp_path) == []


async def test_endless_answer_without_a_length_is_cut_off(trainer: TrainerServer, tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65_536))

    trainer.answer = endless
    with pytest.raises(BundleError, match="sends more than"):
        await fetch(trainer, tmp_path)


async def test_trickle_is_given_up_in_the_end(
    trainer: TrainerServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)
    monkeypatch.setattr(module, "SLOWEST_BYTES_PER_S", 10**9)

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.02)

    trainer.answer = trickle
    with pytest.raises(RetryError, match="comes too slowly"):
        await fetch(trainer, tmp_path)


async def test_wrong_token_and_missing_bundle_can_pass_by_themselves(trainer: TrainerServer, tmp_path: Path) -> None:
    with pytest.raises(RetryError, match="answers 401"):
        await download(member(trainer, "revoked"), WANTED, tmp_path, lambda _: None)
    with pytest.raises(RetryError, match="answers 404"):
        await fetch(trainer, tmp_path, Wanted("00" * 32, 5))


async def test_redirect_is_not_followed_with_the_token(trainer: TrainerServer, tmp_path: Path) -> None:
    async def elsewhere(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://127.0.0.1:1/steal")

    trainer.answer = elsewhere
    with pytest.raises(RetryError, match="answers 302"):
        await fetch(trainer, tmp_path)


async def test_trainer_that_is_away_is_tried_later(tmp_path: Path) -> None:
    with pytest.raises(RetryError, match="cannot be fetched") as caught:
        await fetch(TrainerServer(), tmp_path)
    assert "node-token" not in str(caught.value)


async def test_another_part_than_asked_for_is_not_appended(trainer: TrainerServer, tmp_path: Path) -> None:
    trainer.break_after = [1000]
    with pytest.raises(RetryError):
        await fetch(trainer, tmp_path)
    kept = (tmp_path / f"{WANTED.sha256}.earshot.part").read_bytes()

    async def other_part(_request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=206, body=DATA[5:], headers={"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"}
        )

    trainer.answer = other_part
    with pytest.raises(RetryError, match="another part"):
        await fetch(trainer, tmp_path)
    assert (tmp_path / f"{WANTED.sha256}.earshot.part").read_bytes() == kept
