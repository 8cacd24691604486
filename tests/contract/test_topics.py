"""Topics are what their golden file says, and parsing is the inverse of building."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import assert_golden

from earshot_node.contract.topics import (
    DiscoveryTopics,
    FeedbackCommand,
    NodeCommand,
    NodeTopics,
    RecorderCommand,
    SettingCommand,
    Topic,
)

TOPICS = NodeTopics("earshot", "hall")
DISCOVERY = DiscoveryTopics("homeassistant", "hall")


def every_topic() -> dict[str, Topic]:
    return {
        "status": TOPICS.status(),
        "info": TOPICS.info(),
        "health": TOPICS.health(),
        "reply": TOPICS.reply(),
        "command": TOPICS.command("announce"),
        "update": TOPICS.update(),
        "model_offer": TOPICS.model_offer(),
        "model_result": TOPICS.model_result(),
        "model_shadow": TOPICS.model_shadow(),
        "level": TOPICS.level("street"),
        "source_health": TOPICS.source_health("street"),
        "state": TOPICS.state("street", "siren"),
        "last_event": TOPICS.last_event("street", "siren"),
        "confidence": TOPICS.confidence("street", "siren"),
        "onset": TOPICS.onset("street", "siren"),
        "offset": TOPICS.offset("street", "siren"),
        "late": TOPICS.late("street", "siren"),
        "setting_enabled": TOPICS.setting("street", "siren", "enabled"),
        "setting_sensitivity": TOPICS.setting("street", "siren", "sensitivity"),
        "set_setting_enabled": TOPICS.set_setting("street", "siren", "enabled"),
        "set_setting_sensitivity": TOPICS.set_setting("street", "siren", "sensitivity"),
        "recordings": TOPICS.recordings(),
        "recorder_setting_label": TOPICS.recorder_setting("label"),
        "recorder_setting_source": TOPICS.recorder_setting("source"),
        "set_recorder_setting_label": TOPICS.set_recorder_setting("label"),
        "set_recorder_setting_source": TOPICS.set_recorder_setting("source"),
        "feedback_confirm": TOPICS.feedback("street", "siren", "confirm"),
        "feedback_reject": TOPICS.feedback("street", "siren", "reject"),
        "spectrogram": TOPICS.spectrogram("street"),
        "drill": TOPICS.drill("street", "siren"),
        "drill_result": TOPICS.drill_result("street"),
        "discovery_node": DISCOVERY.node_device(),
        "discovery_source": DISCOVERY.source_device("street"),
    }


def test_topics_match_their_golden_file() -> None:
    subscriptions = {
        "commands": list(TOPICS.command_filters()),
        "discovery": DISCOVERY.filter(),
        "birth": DISCOVERY.birth(),
    }
    topics = {name: asdict(topic) for name, topic in every_topic().items()}
    assert_golden("topics", {"topics": topics, "subscriptions": subscriptions})


def test_golden_file_holds_every_method_that_builds_a_topic() -> None:
    parameters = {"command", "onset", "parse", "command_filters", "base", "filter", "birth", "prefix", "node"}
    public = {name for kind in (NodeTopics, DiscoveryTopics) for name in vars(kind) if not name.startswith("_")}
    known = {name.removesuffix("_enabled").removesuffix("_sensitivity") for name in every_topic()}
    known |= {"node_device", "source_device", "recorder_setting", "set_recorder_setting", "feedback"}
    assert public - known - parameters == set()


def test_every_entity_has_a_topic_of_its_own() -> None:
    names = [topic.name for topic in every_topic().values()]
    assert len(set(names)) == len(names)


def test_events_and_commands_are_never_retained() -> None:
    retained = {name for name, topic in every_topic().items() if topic.retain}
    assert retained.isdisjoint({"onset", "offset", "late", "reply", "command", "level", "confidence", "drill"})
    assert retained.isdisjoint({"feedback_confirm", "feedback_reject"})
    assert not {name for name in retained if name.startswith("set_")}


@pytest.mark.parametrize("setting", ["enabled", "sensitivity"])
def test_setting_command_topic_parses_back(setting: str) -> None:
    topic = TOPICS.set_setting("street", "siren", setting)  # type: ignore[arg-type]
    assert TOPICS.parse(topic.name) == SettingCommand("street", "siren", setting)  # type: ignore[arg-type]


@pytest.mark.parametrize("verdict", ["confirm", "reject"])
def test_feedback_topic_parses_back(verdict: str) -> None:
    topic = TOPICS.feedback("street", "siren", verdict)  # type: ignore[arg-type]
    assert TOPICS.parse(topic.name) == FeedbackCommand("street", "siren", verdict)  # type: ignore[arg-type]


@pytest.mark.parametrize("setting", ["label", "source"])
def test_recorder_topic_parses_back(setting: str) -> None:
    topic = TOPICS.set_recorder_setting(setting)  # type: ignore[arg-type]
    assert TOPICS.parse(topic.name) == RecorderCommand(setting)  # type: ignore[arg-type]


def test_node_command_topic_parses_back() -> None:
    assert TOPICS.parse(TOPICS.command("announce").name) == NodeCommand("announce")


@pytest.mark.parametrize(
    "name",
    [
        "earshot/other/command/announce",
        "earshot/hall/command/",
        "earshot/hall/source/street/siren/enabled",
        "earshot/hall/source/STREET/siren/enabled/set",
        "earshot/hall/source/street/Siren!/enabled/set",
        "earshot/hall/source/street/siren/volume/set",
        "earshot/hall",
        "earshot/hall/source/street/siren/feedback/maybe",
        "earshot/hall/source/STREET/siren/feedback/confirm",
        "earshot/hall/recorder/volume/set",
        "earshot/hall/recorder/label",
    ],
)
def test_other_topics_are_no_commands(name: str) -> None:
    assert TOPICS.parse(name) is None


@given(st.text(max_size=80))
def test_parsing_any_text_never_raises(text: str) -> None:
    assert TOPICS.parse(text) is None or text.startswith("earshot/hall/")
    parsed = TOPICS.parse(f"earshot/hall/source/{text}/enabled/set")
    assert parsed is None or isinstance(parsed, SettingCommand)
