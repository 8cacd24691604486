"""Recordings in S3: the same as in a folder, whole or absent; a server that is away is one line."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer
from support.mosquitto import free_port
from support.sounds import noise, wail, write_sound
from support.trainer_home import make_home

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.labelling.export_command import run_export
from earshot_trainer.labelling.exporting import Wanted
from earshot_trainer.labelling.import_command import run_import

PLACE = "s3://household/earshot"
SHA = "ab" * 32


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A local server that speaks S3, with an empty bucket `household`."""
    running = ThreadedMotoServer("127.0.0.1", 0)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")):
            patch.setenv(name, value)
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(
            Bucket="household", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(autouse=True)
def at_the_server(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What FSSPEC_S3_ENDPOINT_URL says in a program's environment."""
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": server})


def names_in_bucket(server: str) -> list[str]:
    listed = boto3.client("s3", endpoint_url=server).list_objects_v2(Bucket="household")
    return [one["Key"] for one in listed.get("Contents", [])]


def test_what_is_put_is_there_under_its_hash_and_comes_back(server: str, tmp_path: Path) -> None:
    data = hashlib.sha256(b"x").digest() * 10_000
    (tmp_path / "audio").write_bytes(data)
    store = open_audio_store(PLACE)
    assert not store.has(SHA)
    store.put(SHA, tmp_path / "audio")
    store.put(SHA, tmp_path / "audio")
    assert store.has(SHA)
    assert store.read(SHA) == data
    assert names_in_bucket(server) == [f"earshot/ab/{SHA}.flac"]


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"s3://household/earshot: cdcdcdcdcdcd cannot be read: "):
        open_audio_store(PLACE).read("cd" * 32)
    (tmp_path / "audio").write_bytes(b"x")
    with pytest.raises(OperatorError, match=r"s3://nobody/x: cdcdcdcdcdcd cannot be written: "):
        open_audio_store("s3://nobody/x").put("cd" * 32, tmp_path / "audio")


def test_server_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    away = {"endpoint_url": f"http://127.0.0.1:{free_port()}", "config_kwargs": {"retries": {"max_attempts": 0}}}
    monkeypatch.setitem(fsspec.config.conf, "s3", away)
    with pytest.raises(OperatorError, match=r"^s3://household/earshot: ") as told:
        open_audio_store(PLACE).has(SHA)
    assert "\n" not in str(told.value)


def test_home_with_recordings_in_s3_takes_in_and_gives_out(server: str, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", recordings="s3://household/home")
    sounds = tmp_path / "sounds"
    write_sound(sounds / "siren/a.wav", wail(1))
    write_sound(sounds / "background/b.wav", noise(2))
    assert run_import(home, sounds, (), takes_new=False, is_dry=False, as_json=False) == 0
    infos = Library(open_catalogue(home.catalogue_url)).all()
    kept = {name for name in names_in_bucket(server) if name.startswith("home/")}
    assert kept == {f"home/{info.sha256[:2]}/{info.sha256}.flac" for info in infos}
    run_export(home, tmp_path / "out", Wanted(), as_json=False)
    written = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "out").rglob("*.flac")}
    assert written == {info.sha256 for info in infos}
    assert list((home.folder / "recordings").iterdir()) == []


def test_error_of_a_server_s_own_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class HttpError(Exception):
        """As some servers' libraries raise: no OSError."""

    def refuse(*_: object, **__: object) -> bool:
        raise HttpError("403\nforbidden")

    store = open_audio_store("memory://refused/earshot")
    monkeypatch.setattr(type(store._filesystem), "exists", refuse)  # type: ignore[attr-defined]
    with pytest.raises(OperatorError, match=r"cannot be reached: 403 forbidden$"):
        store.has(SHA)
