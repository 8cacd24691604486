"""Messages about models: golden, and within what Home Assistant takes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.golden import GOLDEN, assert_golden
from support.mqtt_node import LONG_AGO

from earshot_node.contract.deployment import Disagreement, InstallResult, ModelOffer, ShadowReport, UpdateState
from earshot_node.contract.messages import Message
from earshot_node.errors import MessageError

SHA = "ab" * 32
MESSAGES: dict[str, Message] = {
    "model_offer": ModelOffer(
        id="d-17", version="2026.12.0", sha256=SHA, size_bytes=900_000, summary="Learned your street", mode="install"
    ),
    "model_result": InstallResult(
        id="d-17",
        version="2026.12.0",
        sha256=SHA,
        outcome="refused",
        reason="not signed by a key in model.trusted_keys",
        active="2026.11.0",
        time=LONG_AGO,
    ),
    "model_shadow": ShadowReport(
        active="2026.11.0",
        candidate="2026.12.0",
        sha256=SHA,
        begun=LONG_AGO,
        heard_s=3600.5,
        agreed=3,
        only_active=1,
        only_candidate=0,
        latest=(
            Disagreement(
                id="street-00000001",
                heard_by="active",
                source="street",
                label="siren",
                onset=LONG_AGO,
                offset=LONG_AGO,
                peak=0.93,
            ),
        ),
        real_time_factor=0.003,
    ),
}
# Any other key makes Home Assistant refuse the message.
HOME_ASSISTANT_KEYS = {
    "installed_version",
    "latest_version",
    "title",
    "release_summary",
    "release_url",
    "entity_picture",
    "in_progress",
    "update_percentage",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_payload_matches_its_golden_file_and_back(name: str) -> None:
    assert_golden(name, json.loads(MESSAGES[name].encode()))
    assert type(MESSAGES[name]).decode((GOLDEN / f"{name}.json").read_bytes()) == MESSAGES[name]


def test_update_state_holds_what_home_assistant_takes_and_nothing_else() -> None:
    state = UpdateState(
        installed_version="2026.11.0", latest_version="2026.12.0", in_progress=True, update_percentage=40
    )
    body = json.loads(state.encode())
    assert_golden("update_state", body)
    assert set(body) <= HOME_ASSISTANT_KEYS
    idle = json.loads(UpdateState(installed_version="2026.11.0", latest_version="2026.11.0").encode())
    assert (idle["in_progress"], idle["update_percentage"]) == (False, None)


@pytest.mark.parametrize(
    "changed", [{"size_bytes": 0}, {"size_bytes": 10**9}, {"sha256": "../../etc"}, {"mode": "now"}]
)
def test_offer_that_makes_no_sense_is_rejected(changed: dict[str, Any]) -> None:
    body = json.loads(MESSAGES["model_offer"].encode()) | changed
    with pytest.raises(MessageError, match=next(iter(changed))):
        ModelOffer.decode(json.dumps(body).encode())


def test_summary_longer_than_home_assistant_takes_is_rejected() -> None:
    with pytest.raises(ValidationError):
        UpdateState(installed_version="a", latest_version="b", release_summary="x" * 256)


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_message_error(payload: bytes) -> None:
    for kind in (ModelOffer, InstallResult, ShadowReport):
        with pytest.raises(MessageError):
            kind.decode(payload)
