"""A node that starts for the first time: devices and entities as a person expects them, and no word in the log."""

from collections.abc import Iterator

import pytest
from support.home_assistant.instance import HomeAssistant
from support.node_process import NodeProcess
from support.waiting import wait_until

from earshot_node import __version__

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto]
NODE, STREET, YARD = "earshot/first", "earshot/first/street", "earshot/first/yard"


@pytest.fixture(scope="module")
def node(home_assistant: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """Two sources, one of them broken; in the area Hallway and in the area Garden."""
    folder = tmp_path_factory.mktemp("first")
    config = {
        "node": {"id": "first", "name": "Attic Pi", "area": "Hallway"},
        "sources": [
            {"id": "street", "name": "Street", "type": "stdin"},
            {"id": "yard", "name": "Yard", "type": "url", "url": "rtsp://127.0.0.1:1/none", "area": "Garden"},
        ],
        "mqtt": {"host": "127.0.0.1", "port": home_assistant.broker.port},
    }
    with NodeProcess(folder, config) as running:
        wait_until(lambda: {NODE, STREET, YARD} <= set(home_assistant.devices()), 90, "three devices")
        yield running


def test_devices_have_name_model_version_and_area(home_assistant: HomeAssistant, node: NodeProcess) -> None:
    devices = home_assistant.devices()
    areas = {area["area_id"]: area["name"] for area in home_assistant.api.command("config/area_registry/list")}
    facts = {
        key: (one["name"], one["manufacturer"], one["model"], one["sw_version"], areas.get(one["area_id"]))
        for key, one in devices.items()
        if key.startswith(NODE)
    }
    assert facts == {
        NODE: ("Attic Pi", "Earshot", "Node", __version__, "Hallway"),
        STREET: ("Street", "Earshot", "Standard input", __version__, "Hallway"),
        YARD: ("Yard", "Earshot", "Network stream", __version__, "Garden"),
    }
    assert {devices[source]["via_device_id"] for source in (STREET, YARD)} == {devices[NODE]["id"]}
