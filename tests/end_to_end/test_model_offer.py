"""A model from the trainer: offered over MQTT, fetched over HTTP, installed, refused with a reason that is told."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from support.bundles import BUNDLED_VERSION
from support.deployed import public_text, signed_bundle
from support.mosquitto import Mosquitto
from support.mqtt_subscriber import Subscriber, retained
from support.node_process import NodeProcess
from support.trainer_server import TrainerServer, running
from support.waiting import wait_until

from earshot_node.contract.deployment import ModelOffer
from earshot_node.deployment.membership import Membership, load_membership, save_membership

RNG = np.random.default_rng(4)
NEVER = {"siren": {"enter": 1.0, "leave": 1.0, "min_length_s": 5.0, "bridging_s": 0.0, "cooldown_s": 0.0}}


@pytest.fixture
def trainer() -> Iterator[TrainerServer]:
    with running(TrainerServer()) as server:
        yield server


def joined_node(folder: Path, broker: Mosquitto, trainer: TrainerServer, node_id: str) -> NodeProcess:
    config = {
        "node": {"id": node_id},
        "sources": [{"id": "street", "type": "stdin"}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "detection": {"operating_points": NEVER},
    }
    node = NodeProcess(folder, config)
    membership = Membership(url=trainer.url, public_key=public_text(), token=SecretStr(trainer.token))
    save_membership(node.state_dir, membership)
    return node


def offer(trainer: TrainerServer, bundle: bytes, version: str, **fields: Any) -> bytes:
    """Put a bundle to the trainer and return the offer of it."""
    sha256 = hashlib.sha256(bundle).hexdigest()
    trainer.bundles[f"{sha256}.earshot"] = bundle
    values = {"id": f"deploy-{version}", "version": version, "sha256": sha256, "size_bytes": len(bundle), **fields}
    return ModelOffer.model_validate(values).encode()


def fed_until(node: NodeProcess, condition: Callable[[], object], timeout_s: float = 100.0) -> None:
    """Keep audio coming until something is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, node.log[-3000:]
        node.feed((300 * RNG.standard_normal(16000)).astype("<i2").tobytes())


def latest(subscriber: Subscriber, topic: str) -> dict[str, Any]:
    payloads = subscriber.payloads(topic)
    return dict(json.loads(payloads[-1])) if payloads else {}


@pytest.mark.mosquitto
def test_offer_is_shown_installed_on_request_and_told(
    broker: Mosquitto, trainer: TrainerServer, tmp_path: Path
) -> None:
    base = "earshot/offered"
    node = joined_node(tmp_path / "node", broker, trainer, "offered")
    with Subscriber(broker.port, f"{base}/#") as subscriber, node:
        wait_until(lambda: latest(subscriber, f"{base}/model/update"), 90)
        idle = latest(subscriber, f"{base}/model/update")
        assert (idle["installed_version"], idle["latest_version"], idle["in_progress"]) == (
            BUNDLED_VERSION,
            BUNDLED_VERSION,
            False,
        )
        payload = offer(trainer, signed_bundle("2099.1.0"), "2099.1.0", summary="Learned your street")
        subscriber.say(f"{base}/model/offer", payload, retain=True)
        wait_until(lambda: latest(subscriber, f"{base}/model/update")["latest_version"] == "2099.1.0", 30)
        assert trainer.ranges == []  # nobody asked for it yet
        subscriber.say(f"{base}/command/install_model", b"{}")
        fed_until(node, lambda: latest(subscriber, f"{base}/model/result"))
        assert latest(subscriber, f"{base}/model/result")["outcome"] == "installed"
        wait_until(lambda: latest(subscriber, f"{base}/model/update")["in_progress"] is False, 30)
        updates = [json.loads(one) for one in subscriber.payloads(f"{base}/model/update")]
        percentages = [one["update_percentage"] for one in updates if one["in_progress"]]
        assert percentages == sorted(percentages)
        assert len(percentages) > 5
        assert updates[-1]["installed_version"] == "2099.1.0"
        assert latest(subscriber, f"{base}/info")["model"]["version"] == "2099.1.0"
    assert json.loads(retained(broker.port, f"{base}/model/#")[f"{base}/model/result"])["id"] == "deploy-2099.1.0"
    assert trainer.token not in node.log


@pytest.mark.mosquitto
def test_refusal_is_told_once_and_the_offer_is_not_fetched_again(
    broker: Mosquitto, trainer: TrainerServer, tmp_path: Path
) -> None:
    base = "earshot/refusing"
    node = joined_node(tmp_path / "node", broker, trainer, "refusing")
    payload = offer(trainer, signed_bundle("2099.1.0", key=None), "2099.1.0", mode="install")
    with Subscriber(broker.port, f"{base}/#") as subscriber:
        subscriber.say(f"{base}/model/offer", payload, retain=True)  # the node is away
        with node:
            wait_until(lambda: latest(subscriber, f"{base}/model/result"), 90)
            result = latest(subscriber, f"{base}/model/result")
            assert (result["outcome"], result["version"], result["id"]) == ("refused", "2099.1.0", "deploy-2099.1.0")
            assert result["reason"].startswith("2099.1.0: not signed")
            assert result["active"] == BUNDLED_VERSION
        with node:
            wait_until(lambda: node.log.count("MQTT: connected") == 2, 90)

            def answered() -> bool:
                subscriber.say(f"{base}/command/announce", b"{}")
                return bool(subscriber.payloads(f"{base}/reply"))

            wait_until(answered, 90)
        assert len(trainer.ranges) == 1


@pytest.mark.mosquitto
def test_candidate_in_the_shadow_is_reported_and_decides_nothing(
    broker: Mosquitto, trainer: TrainerServer, tmp_path: Path
) -> None:
    base = "earshot/shaded"
    node = joined_node(tmp_path / "node", broker, trainer, "shaded")
    with Subscriber(broker.port, f"{base}/#") as subscriber, node:
        subscriber.say(f"{base}/model/offer", offer(trainer, signed_bundle(), "2099.1.0", mode="shadow"), retain=True)
        fed_until(node, lambda: latest(subscriber, f"{base}/model/shadow"))
        report = latest(subscriber, f"{base}/model/shadow")
        assert (report["active"], report["candidate"], report["problem"]) == (BUNDLED_VERSION, "2099.1.0", "")
        assert latest(subscriber, f"{base}/model/result")["outcome"] == "shadowed"
        assert latest(subscriber, f"{base}/info")["model"]["version"] == BUNDLED_VERSION
        heard_s = report["heard_s"]
        fed_until(node, lambda: latest(subscriber, f"{base}/model/shadow")["heard_s"] > heard_s + 30)

        subscriber.say(f"{base}/command/end_shadow", b'{"id": "enough"}')
        fed_until(node, lambda: subscriber.payloads(f"{base}/model/shadow")[-1] == b"")
        wait_until(lambda: not list((node.state_dir / "models").rglob("*2099.1.0*")), 30, "its file gone")
        assert node.terminate() == 0
        with node:  # the offer still stands, and is settled
            wait_until(lambda: node.log.count("MQTT: connected") == 2, 90)

            def has_none() -> bool:
                subscriber.say(f"{base}/command/end_shadow", b'{"id": "again"}')
                return b"no model runs in the shadow" in subscriber.payloads(f"{base}/reply")[-1]

            wait_until(has_none, 90, every_s=0.5)


@pytest.mark.mosquitto
@pytest.mark.timeout(300)
def test_node_that_was_away_while_its_model_was_taken_back_goes_back_when_it_returns(
    broker: Mosquitto, trainer: TrainerServer, tmp_path: Path
) -> None:
    base = "earshot/returning"
    node, bundle = joined_node(tmp_path / "node", broker, trainer, "returning"), signed_bundle()
    with Subscriber(broker.port, f"{base}/#") as subscriber:
        with node:
            payload = offer(trainer, bundle, "2099.1.0", mode="install")
            subscriber.say(f"{base}/model/offer", payload, retain=True)
            fed_until(node, lambda: latest(subscriber, f"{base}/model/result").get("active") == "2099.1.0")
            assert node.terminate() == 0
        word = offer(trainer, bundle, "2099.1.0", mode="take_back", id="back-1", summary="hall is away")
        subscriber.say(f"{base}/model/offer", word, retain=True)
        with node:
            wait_until(lambda: latest(subscriber, f"{base}/info")["model"]["version"] == BUNDLED_VERSION, 180)
            result = latest(subscriber, f"{base}/model/result")
            assert (result["outcome"], result["version"], result["active"]) == (
                "rolled_back",
                "2099.1.0",
                BUNDLED_VERSION,
            )
            assert result["reason"] == "taken back by the trainer: hall is away"
            assert latest(subscriber, f"{base}/model/update")["latest_version"] == BUNDLED_VERSION
            wait_until(lambda: not list((node.state_dir / "models").rglob("*2099.1.0*")), 30, "its file gone")
        assert len(trainer.ranges) == 1


@pytest.mark.mosquitto
def test_offer_from_before_joining_is_taken_up_when_the_node_joins(
    broker: Mosquitto, trainer: TrainerServer, tmp_path: Path
) -> None:
    base = "earshot/early"
    node = joined_node(tmp_path / "node", broker, trainer, "early")
    membership = load_membership(node.state_dir)
    assert membership is not None
    (node.state_dir / "trainer.json").unlink()
    with Subscriber(broker.port, f"{base}/#") as subscriber, node:
        subscriber.say(f"{base}/model/offer", offer(trainer, signed_bundle(), "2099.1.0", mode="shadow"), retain=True)
        wait_until(lambda: latest(subscriber, f"{base}/model/result"), 90)
        result = latest(subscriber, f"{base}/model/result")
        assert (result["outcome"], result["again"]) == ("refused", True)
        assert trainer.ranges == []
        save_membership(node.state_dir, membership)
        fed_until(node, lambda: latest(subscriber, f"{base}/model/result")["outcome"] == "shadowed")


@pytest.mark.mosquitto
def test_node_that_has_not_joined_says_so_and_one_without_an_offer_too(broker: Mosquitto, tmp_path: Path) -> None:
    base = "earshot/alone"
    config = {
        "node": {"id": "alone"},
        "sources": [{"id": "street", "type": "stdin"}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
    }
    node = NodeProcess(tmp_path / "node", config)
    with Subscriber(broker.port, f"{base}/#") as subscriber, node:
        wait_until(lambda: subscriber.payloads(f"{base}/model/update"), 90)
        for command in ("install_model", "roll_back_model"):
            subscriber.say(f"{base}/command/{command}", b'{"id": "1"}')
        wait_until(lambda: len(subscriber.payloads(f"{base}/reply")) == 2, 30)
        reasons = [json.loads(one)["reason"] for one in subscriber.payloads(f"{base}/reply")]
        assert "no model is offered" in reasons[0]
        assert "there is no previous model" in reasons[1]
        subscriber.say(f"{base}/model/offer", b"{nonsense")
        subscriber.say(f"{base}/model/offer", offer(TrainerServer(), b"x", "2099.1.0", mode="install"))
        wait_until(lambda: latest(subscriber, f"{base}/model/result"), 30)
        assert "has not joined a trainer" in latest(subscriber, f"{base}/model/result")["reason"]
