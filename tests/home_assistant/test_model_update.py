"""A model from the trainer in Home Assistant: installed by the update entity's button, refused with a reason."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.bundles import BUNDLED_VERSION
from support.deployed import public_text, signed_bundle
from support.home_assistant.instance import SOON_S, HomeAssistant
from support.live_audio import LiveAudio
from support.mqtt_subscriber import Subscriber
from support.node_process import NodeProcess
from support.trainer_server import TrainerServer, running
from support.waiting import wait_until

from earshot_node.contract.deployment import ModelOffer
from earshot_node.deployment.membership import Membership, save_membership

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto, pytest.mark.usefixtures("quiet_log")]
MODEL, RESULT = "update.updated_model", "sensor.updated_model_result"
OFFER = "earshot/updated/model/offer"


@pytest.fixture
def trainer() -> Iterator[TrainerServer]:
    with running(TrainerServer()) as server:
        yield server


def offer(trainer: TrainerServer, bundle: bytes, version: str) -> bytes:
    """Put a bundle to the trainer and return the offer of it."""
    sha256 = hashlib.sha256(bundle).hexdigest()
    trainer.bundles[f"{sha256}.earshot"] = bundle
    values = {"id": f"deploy-{version}", "version": version, "sha256": sha256, "size_bytes": len(bundle)}
    return ModelOffer.model_validate({**values, "summary": f"What {version} learned"}).encode()


def test_button_installs_a_signed_model_with_progress_and_a_bad_one_shows_its_reason(
    home_assistant: HomeAssistant, live_config: Callable[..., dict[str, object]], trainer: TrainerServer, tmp_path: Path
) -> None:
    node = NodeProcess(tmp_path / "node", live_config("updated"))
    membership = Membership(url=trainer.url, public_key=public_text(), token=SecretStr(trainer.token))
    save_membership(node.state_dir, membership)
    with node, LiveAudio(node), Subscriber(home_assistant.broker.port, OFFER) as station:
        home_assistant.wait_for(MODEL, "off")
        assert home_assistant.attributes(MODEL)["installed_version"] == BUNDLED_VERSION
        station.say(OFFER, offer(trainer, signed_bundle("2099.1.0"), "2099.1.0"), retain=True)
        home_assistant.wait_for(MODEL, "on")
        told = home_assistant.attributes(MODEL)
        assert (told["latest_version"], told["release_summary"]) == ("2099.1.0", "What 2099.1.0 learned")
        seen = len(home_assistant.happened)
        home_assistant.call("update.install", MODEL)
        home_assistant.wait_for(MODEL, "off", 180)
        steps = [state["attributes"] for _, state in home_assistant.changes(MODEL, seen)]
        percentages = [step["update_percentage"] for step in steps if step["in_progress"]]
        assert len([percent for percent in percentages if percent is not None]) >= 3
        assert home_assistant.attributes(MODEL)["installed_version"] == "2099.1.0"
        home_assistant.wait_for(RESULT, "installed")
        home_assistant.wait_for("sensor.updated_model_version", "2099.1.0")

        station.say(OFFER, offer(trainer, signed_bundle("2099.2.0", key=None), "2099.2.0"), retain=True)
        home_assistant.wait_for(MODEL, "on")
        home_assistant.call("update.install", MODEL)
        home_assistant.wait_for(RESULT, "refused")
        assert home_assistant.attributes(RESULT)["version"] == "2099.2.0"
        assert home_assistant.attributes(RESULT)["reason"].startswith("2099.2.0: not signed")
        wait_until(lambda: not home_assistant.attributes(MODEL)["in_progress"], SOON_S, "the end of the installation")
        assert home_assistant.attributes(MODEL)["installed_version"] == "2099.1.0"
