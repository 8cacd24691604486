"""`node-cli record` finds the running node, or says why it may not use it."""

import asyncio
from pathlib import Path

import pytest
from support.mosquitto import free_port
from support.recording_parts import HEALTHY, recording_config

from earshot_node.contract.config import HttpSection
from earshot_node.errors import OperatorError
from earshot_node.http import address
from earshot_node.http.address import forget_address, keep_address, read_address
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.http.server import HttpServer
from earshot_node.http.takes_api import TakesApi
from earshot_node.recordings.node_studio import find_node
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap


def test_no_node_was_ever_here(tmp_path: Path) -> None:
    assert find_node(tmp_path, "") is None
    assert find_node(tmp_path / "absent", "") is None


def test_node_that_has_gone_is_no_node(tmp_path: Path) -> None:
    keep_address(tmp_path, "127.0.0.1", free_port())
    assert find_node(tmp_path, "token") is None


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("0.0.0.0", "http://127.0.0.1:8765"),
        ("::", "http://[::1]:8765"),
        ("", "http://127.0.0.1:8765"),
        ("192.0.2.7", "http://192.0.2.7:8765"),
        ("fd00::1", "http://[fd00::1]:8765"),
    ],
)
def test_address_is_one_that_can_be_reached_from_here(tmp_path: Path, host: str, shown: str) -> None:
    keep_address(tmp_path, host, 8765)
    assert read_address(tmp_path) == shown
    forget_address(tmp_path)
    forget_address(tmp_path)
    assert read_address(tmp_path) == ""


def test_folder_of_another_user_is_told_with_the_command_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(address.Path, "read_text", forbidden)
    with pytest.raises(OperatorError, match=rf"sudo -u {tmp_path.owner()} node-cli record"):
        find_node(tmp_path, "")


async def test_wrong_token_is_told_and_not_taken_for_no_node(tmp_path: Path) -> None:
    service = RecordingService(recording_config(tmp_path), tmp_path, None, StreamTap(), status=lambda _: HEALTHY)
    health = HealthReport("healthy", (), "1", "1", connected=True)
    server = HttpServer(
        HttpSection(port=0), "right", lambda: health, Metrics("1", "1"), routes=TakesApi(service).routes()
    )
    await server.start()
    keep_address(tmp_path, "127.0.0.1", server.port)
    with pytest.raises(OperatorError, match=r"401 .* http.token must be the running node's"):
        await asyncio.to_thread(find_node, tmp_path, "wrong")
    studio = await asyncio.to_thread(find_node, tmp_path, "right")
    assert studio is not None
    assert (await asyncio.to_thread(studio.describe)).sources == {"street": "Street"}
    await server.stop()
    service.close()
