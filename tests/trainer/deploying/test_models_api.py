"""Bundles over real HTTP and HTTPS: for members only, from any byte on, by hash and by no other name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, update
from support.async_waiting import until_answered
from support.certificates import Authority
from support.deploying import release_file
from support.trainer_home import make_home, members_of

from earshot_node.deployment.download import Wanted, download
from earshot_node.deployment.membership import Membership
from earshot_node.errors import RetryError
from earshot_trainer.catalogue.members import Member
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.releases import Release, Releases
from earshot_trainer.catalogue.schema import releases
from earshot_trainer.deploying import models_api
from earshot_trainer.deploying.registering import GateVerdict, bundle_path, register_release
from earshot_trainer.fleet.server import TrainerServer
from earshot_trainer.home.folder import Home

TOKEN = "the-token-of-the-hall-00"
HALL = {"Authorization": f"Bearer {TOKEN}"}


class Trainer:
    """A home with one member and one release, and its server."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.home: Home = make_home(folder / "home", **settings)
        self.engine: Engine = open_catalogue(self.home.catalogue_url)
        now = datetime.now(UTC)
        members_of(self.home).add_invite("0" * 64, "hall", now, now + timedelta(hours=1))
        members_of(self.home).admit("0" * 64, Member("hall", TOKEN, "", "1", "", ""), now)
        known = Releases(self.engine)
        bundle = release_file(self.home, folder, "2099.1.0")
        self.release: Release = register_release(self.home, known, bundle, verdict=GateVerdict())
        self.content = bundle.read_bytes()
        self.sent: list[tuple[str, float]] = []
        self.server = TrainerServer(self.home, self.engine, lambda node, _, done: self.sent.append((node, done)))

    @property
    def path(self) -> str:
        return f"/api/v1/models/{self.release.sha256}.earshot"

    @asynccontextmanager
    async def asked_by(self, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
        async with aiohttp.ClientSession(self.home.config.url, headers=headers) as session:
            yield session


@pytest.fixture
async def trainer(tmp_path: Path) -> AsyncIterator[Trainer]:
    made = Trainer(tmp_path)
    await made.server.start()
    yield made
    await made.server.stop()


async def status(trainer: Trainer, path: str, headers: dict[str, str] | None = None) -> int:
    async with trainer.asked_by(HALL if headers is None else headers) as session, session.get(path) as response:
        return response.status


async def test_member_gets_the_bundle_and_its_progress_is_told(trainer: Trainer) -> None:
    async with trainer.asked_by(HALL) as session, session.get(trainer.path) as response:
        assert (response.status, await response.read()) == (200, trainer.content)
        assert response.content_type == "application/octet-stream"
        assert response.headers["ETag"] == f'"{trainer.release.sha256}"'
    assert trainer.sent[-1] == ("hall", 1.0)


async def test_download_goes_on_at_any_byte_and_not_behind_the_end(trainer: Trainer) -> None:
    size = len(trainer.content)
    for begin in (0, 1, size // 2, size - 1):
        async with (
            trainer.asked_by({**HALL, "Range": f"bytes={begin}-"}) as session,
            session.get(trainer.path) as response,
        ):
            assert (response.status, await response.read()) == (206, trainer.content[begin:])
            assert response.headers["Content-Range"] == f"bytes {begin}-{size - 1}/{size}"
    assert await status(trainer, trainer.path, {**HALL, "Range": f"bytes={size}-"}) == 416


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"]
)
async def test_nobody_else_gets_it(trainer: Trainer, header: str | None) -> None:
    assert await status(trainer, trainer.path, {"Authorization": header} if header else {}) == 401


async def test_removed_node_gets_nothing_more(trainer: Trainer) -> None:
    members_of(trainer.home).remove("hall", datetime.now(UTC))
    assert await status(trainer, trainer.path) == 401
    assert await status(trainer, trainer.path, {"Authorization": "Bearer "}) == 401  # a removed node's token is ''


async def test_guessing_is_slowed_down_even_for_the_right_token(trainer: Trainer) -> None:
    for _ in range(models_api.WRONG_BURST):
        assert await status(trainer, trainer.path, {"Authorization": "Bearer guess"}) == 401
    assert await status(trainer, trainer.path) == 429


@pytest.mark.parametrize(
    "name",
    [
        "0" * 64 + ".earshot",
        "..%2F..%2Fkeys%2Ftrainer.key",
        "%2Fetc%2Fpasswd",
        "..%2ftrainer.yaml",
        "{sha256}.earshot%00",
        "{sha256}.EARSHOT",
        "{sha256}",
        "../models/{sha256}.earshot%2f..",
    ],
)
async def test_no_other_name_opens_a_file(trainer: Trainer, name: str) -> None:
    outside = bundle_path(trainer.home, "0" * 64)
    outside.write_bytes(b"a file that is no release")
    assert await status(trainer, f"/api/v1/models/{name.format(sha256=trainer.release.sha256)}") == 404


async def test_bundle_that_was_cut_short_in_the_home_is_not_sent(trainer: Trainer) -> None:
    path = bundle_path(trainer.home, trainer.release.sha256)
    path.write_bytes(trainer.content[:-1])
    assert await status(trainer, trainer.path) == 404


async def test_downloads_at_once_are_limited(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_api, "MAX_DOWNLOADS", 0)
    async with trainer.asked_by(HALL) as session, session.get(trainer.path) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")


async def test_download_that_nobody_reads_is_cut_off_and_leaves_room(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle_path(trainer.home, trainer.release.sha256)
    large = trainer.content + bytes(64 << 20)  # more than sockets take by themselves
    path.write_bytes(large)
    monkeypatch.setattr(models_api, "PATIENCE_S", 3.0)
    monkeypatch.setattr(models_api, "SLOWEST_BYTES_PER_S", 1 << 40)
    monkeypatch.setattr(models_api, "MAX_DOWNLOADS", 1)
    with trainer.engine.begin() as connection:
        connection.execute(update(releases).values(size_bytes=len(large)))

    async def has_room() -> bool:
        return await status(trainer, trainer.path, {**HALL, "Range": "bytes=0-9"}) == 206

    async with trainer.asked_by(HALL) as session, session.get(trainer.path) as stuck:
        assert stuck.status == 200
        assert not await has_room()
        await until_answered(has_room, what="room for another download")
        with pytest.raises(aiohttp.ClientError):
            await stuck.read()


async def test_bundles_are_readable_by_their_owner_only(trainer: Trainer) -> None:
    path = bundle_path(trainer.home, trainer.release.sha256)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_node_fetches_over_https_by_the_authority_it_was_given_and_by_no_other(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("trainer")
    files = {"certificate_file": str(certificate), "key_file": str(key)}
    plain = make_home(tmp_path / "port").config.serve
    trainer = Trainer(
        tmp_path,
        url=f"https://127.0.0.1:{plain.port}",
        serve={"host": "127.0.0.1", "port": plain.port, **files},
        ca_file=str(authority.certificate),
    )
    await trainer.server.start()
    wanted = Wanted(trainer.release.sha256, trainer.release.size_bytes)

    def member(ca: Path) -> Membership:
        url, key_text = trainer.home.config.url, trainer.home.public_key
        return Membership(url=url, public_key=key_text, token=SecretStr(TOKEN), ca=ca.read_text())

    try:
        fetched = await download(member(authority.certificate), wanted, tmp_path / "staging", lambda _: None)
        assert fetched.read_bytes() == trainer.content
        stranger = Authority(tmp_path, "stranger").certificate
        with pytest.raises(RetryError, match="certificate"):
            await download(member(stranger), wanted, tmp_path / "other", lambda _: None)
        assert list((tmp_path / "other").iterdir()) == []
    finally:
        await trainer.server.stop()
