"""The HTTP server over real sockets."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from earshot_node.contract.config import HttpSection
from earshot_node.errors import OperatorError
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.http.server import HttpServer

TOKEN = "correct-horse"


class Health:
    """A node's health that a test can change."""

    def __init__(self) -> None:
        self.report = HealthReport("healthy", (), "2026.1.0", "2026.1.1", connected=True)

    def __call__(self) -> HealthReport:
        return self.report


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def url(health: Health) -> AsyncIterator[str]:
    metrics = Metrics("2026.1.0", "2026.1.1")
    metrics.count_event("hallway", "siren")
    server = HttpServer(HttpSection(port=0), TOKEN, health, metrics)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()
    await server.stop()


async def get(url: str, authorization: str | None = None, method: str = "GET") -> tuple[int, str]:
    headers = {"Authorization": authorization} if authorization is not None else {}
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as response:
        return response.status, await response.text()


async def test_healthz_needs_no_token_and_says_the_state(url: str, health: Health) -> None:
    status, body = await get(f"{url}/healthz")
    assert status == 200
    assert json.loads(body) == {
        "state": "healthy",
        "problem_count": 0,
        "version": "2026.1.0",
        "model": "2026.1.1",
        "connected": True,
    }
    health.report = HealthReport("starting", (), "1", "1", connected=False)
    assert (await get(f"{url}/healthz"))[0] == 200


async def test_deaf_node_is_unhealthy_and_says_why(url: str, health: Health) -> None:
    health.report = HealthReport("deaf", ("hallway: no sound card",), "1", "1", connected=True)
    status, body = await get(f"{url}/healthz", f"Bearer {TOKEN}")
    assert status == 503
    assert json.loads(body)["problems"] == ["hallway: no sound card"]


async def test_problems_which_name_devices_and_hosts_need_the_token(url: str, health: Health) -> None:
    health.report = HealthReport("deaf", ("hallway: no sound card",), "1", "1", connected=True)
    _, body = await get(f"{url}/healthz")
    assert "hallway" not in body
    assert json.loads(body)["problem_count"] == 1


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ä"]
)
async def test_metrics_without_the_token_are_refused(url: str, authorization: str | None) -> None:
    status, body = await get(f"{url}/metrics", authorization)
    assert status == 401
    assert "earshot_events" not in body


async def test_metrics_with_the_token_are_shown(url: str) -> None:
    status, body = await get(f"{url}/metrics", f"Bearer {TOKEN}")
    assert status == 200
    assert 'earshot_events_total{label="siren",source="hallway"} 1.0' in body


async def test_other_paths_are_401_without_and_404_with_the_token(url: str) -> None:
    for path in ("/", "/healthz/", "/metrics/x", "/..%2f..%2fetc/passwd", "//healthz"):
        assert (await get(f"{url}{path}"))[0] == 401
        assert (await get(f"{url}{path}", f"Bearer {TOKEN}"))[0] == 404


async def test_other_methods_are_refused(url: str) -> None:
    assert (await get(f"{url}/healthz", method="POST"))[0] == 405
    assert (await get(f"{url}/metrics", f"Bearer {TOKEN}", "DELETE"))[0] == 405


async def test_empty_token_lets_nobody_in(health: Health) -> None:
    server = HttpServer(HttpSection(port=0), "", health, Metrics("1", "1"))
    await server.start()
    try:
        assert (await get(f"http://127.0.0.1:{server.port}/metrics", "Bearer "))[0] == 401
    finally:
        await server.stop()


async def test_port_in_use_is_told_in_a_line(url: str, health: Health) -> None:
    port = int(url.rpartition(":")[2])
    server = HttpServer(HttpSection(port=port), TOKEN, health, Metrics("1", "1"))
    with pytest.raises(OperatorError, match=rf"127.0.0.1:{port}: the port is in use; set http.port"):
        await server.start()
    await server.stop()
