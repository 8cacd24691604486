"""Doctor: clock, state folder, disk, HTTP port."""

import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from earshot_node.contract.config import ClipsSection, HttpSection
from earshot_node.doctor.machine import check_clock, check_http, check_state_folder
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.http.server import HttpServer


def test_clock_of_the_seventies_fails() -> None:
    finding = check_clock(datetime(1970, 1, 1, tzinfo=UTC), synchronized=True)
    assert finding.outcome == "fail"
    assert "the year is 1970" in finding.what


def test_clock_without_a_time_server_is_a_warning() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    assert check_clock(now, synchronized=False).outcome == "warn"
    assert check_clock(now, synchronized=True).outcome == "ok"


def test_kernel_is_asked_about_the_clock() -> None:
    assert check_clock().outcome in ("ok", "warn")


def test_state_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    findings = check_state_folder(folder, ClipsSection())
    assert [finding.outcome for finding in findings] == ["ok", "ok"]
    assert list(folder.iterdir()) == []


def test_state_folder_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (finding,) = check_state_folder(tmp_path / "file" / "state", ClipsSection())
    assert finding.outcome == "fail"
    assert "node.state_dir" in finding.fix


def test_disk_below_the_clips_floor_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=300e6))
    assert check_state_folder(tmp_path, ClipsSection(store="ram"))[1].outcome == "ok"
    finding = check_state_folder(tmp_path, ClipsSection(store="disk", free_floor_mb=400))[1]
    assert finding.outcome == "warn"
    assert "300 MB free" in finding.what


def test_free_port_is_ok() -> None:
    assert check_http(HttpSection(port=0)).outcome == "ok"
    assert check_http(HttpSection(enabled=False)).what == "switched off"


def test_port_of_another_program_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        finding = check_http(HttpSection(port=port))
    assert finding.outcome == "fail"
    assert "another program" in finding.what


async def test_port_of_a_running_node_is_ok() -> None:
    import asyncio

    report = HealthReport("deaf", (), "1", "1", connected=True)
    server = HttpServer(HttpSection(port=0), "token", lambda: report, Metrics("1", "1"))
    await server.start()
    try:
        finding = await asyncio.to_thread(check_http, HttpSection(port=server.port))
    finally:
        await server.stop()
    assert finding.outcome == "ok"
    assert finding.what.endswith(": deaf")


def test_address_of_another_machine_fails() -> None:
    finding = check_http(HttpSection(host="192.0.2.1", port=0))
    assert finding.outcome == "fail"
    assert "set http.host" in finding.fix
