"""Doctor: a real broker that lets in, refuses, or is away."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto, free_port
from support.mqtt_subscriber import retained

from earshot_node.contract.config import NodeConfig
from earshot_node.doctor.broker import check_broker


def config(port: int, **mqtt: object) -> NodeConfig:
    values = {
        "node": {"id": "hall"},
        "sources": [{"id": "a", "type": "microphone"}],
        "mqtt": {"host": "127.0.0.1", "port": port, **mqtt},
    }
    return NodeConfig.model_validate(values)


@pytest.fixture
def strict_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker whose rules let anybody read and write below earshot/other only."""
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite earshot/other/#\n")
    acl.chmod(0o600)
    with Mosquitto(tmp_path, extra=f"acl_file {acl}") as running:
        yield running


@pytest.mark.mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_broker_that_lets_in_is_ok_and_nothing_is_left_there(broker: Mosquitto, protocol: str) -> None:
    before = retained(broker.port)
    findings = check_broker(config(broker.port, protocol=protocol))
    assert [(one.check, one.outcome) for one in findings] == [("broker", "ok"), ("broker rights", "ok")]
    assert retained(broker.port) == before


@pytest.mark.mosquitto
def test_denied_topics_fail(strict_broker: Mosquitto) -> None:
    findings = check_broker(config(strict_broker.port))
    assert [(one.check, one.outcome) for one in findings] == [("broker", "ok"), ("broker rights", "fail")]
    assert "publish earshot/hall/reply" in findings[1].what
    assert "publish homeassistant/device/hall/" in findings[1].what


@pytest.mark.mosquitto
def test_broker_that_wants_a_password_fails_with_the_keys_to_set(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, anonymous=False) as running:
        (finding,) = check_broker(config(running.port))
        assert finding.outcome == "fail"
        assert "mqtt.username" in finding.fix
        (finding,) = check_broker(config(running.port, username="hall", password="hunter2"))
    assert finding.outcome == "fail"
    assert "refused user 'hall'" in finding.what
    assert "hunter2" not in finding.what + finding.fix


def test_nothing_there_fails() -> None:
    (finding,) = check_broker(config(free_port()))
    assert finding.outcome == "fail"
    assert "refused" in finding.what
    assert finding.fix


def test_unknown_host_fails() -> None:
    (finding,) = check_broker(config(0, host="broker.invalid"))
    assert "'broker.invalid' not found" in finding.what


def test_switched_off_broker_is_not_asked() -> None:
    (finding,) = check_broker(config(free_port(), enabled=False))
    assert (finding.outcome, finding.what) == ("ok", "switched off")
