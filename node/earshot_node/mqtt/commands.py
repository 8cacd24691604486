"""What arrives on command topics, read without acting: a request, or a refusal with its reason."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import COMMAND_TYPES, Command, FeedbackMessage
from earshot_node.contract.topics import (
    FeedbackCommand,
    NodeCommand,
    NodeTopics,
    RecorderCommand,
    RecorderSetting,
    SettingCommand,
    SettingName,
    Verdict,
)
from earshot_node.errors import MessageError
from earshot_node.mqtt.connection import Received

_NUMBER: Final = re.compile(rb"[0-9]{1,3}(\.[0-9]{1,3})?")
_MAX_ECHO: Final = 120
_RETAINED: Final = "retained commands are refused; publish without the retain flag"


@dataclass(frozen=True, slots=True)
class SettingRequest:
    """A setting shall change; `value` is a bool for `enabled`, a number from 0 to 100 for `sensitivity`."""

    source: str
    label: str
    name: SettingName
    value: bool | float


@dataclass(frozen=True, slots=True)
class FeedbackRequest:
    """Something is said about an event; `message.event` is '' for the last one."""

    source: str
    label: str
    verdict: Verdict
    message: FeedbackMessage

    @property
    def name(self) -> str:
        """What was addressed, for the reply."""
        return f"source/{self.source}/{self.label}/feedback/{self.verdict}"


@dataclass(frozen=True, slots=True)
class RecorderRequest:
    """A setting of the recorder shall change."""

    setting: RecorderSetting
    value: str


@dataclass(frozen=True, slots=True)
class NodeRequest:
    """A known command of the node."""

    name: str
    command: Command


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that is not done.

    Attributes:
        command: what was addressed, for the reply.
        reason: one line.
        setting: whose current value is told once more, None if no setting was addressed.
        id: the command's id, '' if it had none.
    """

    command: str
    reason: str
    setting: SettingCommand | None = None
    id: str = ""


Request = SettingRequest | FeedbackRequest | RecorderRequest | NodeRequest


def read_command(
    config: NodeConfig,
    topics: NodeTopics,
    known: Collection[str],
    message: Received,
    options: Mapping[RecorderSetting, Collection[str]] = MappingProxyType({}),
) -> Request | Refusal | None:
    """Return what a message on a command topic asks for; never raises, whatever the bytes.

    Args:
        config: which sources and labels there are.
        topics: of this node.
        known: names of the node's commands.
        message: as it came.
        options: what the recorder can be set to.

    Returns:
        None for the empty message that clears a retained command.
    """
    name = message.topic.removeprefix(f"{topics.base}/")[:_MAX_ECHO]
    if message.retained and not message.payload:
        return None
    match topics.parse(message.topic):
        case SettingCommand() as addressed:
            return _read_setting(config, name.removesuffix("/set"), addressed, message)
        case FeedbackCommand() as feedback:
            return _read_feedback(config, name, feedback, message)
        case RecorderCommand(setting):
            return _read_recorder(name.removesuffix("/set"), setting, options.get(setting, ()), message)
        case NodeCommand(command):
            return _read_node_command(command[:_MAX_ECHO], known, message)
        case None:
            return Refusal(name, "no such command")


def _read_setting(
    config: NodeConfig, name: str, setting: SettingCommand, message: Received
) -> SettingRequest | Refusal:
    if setting.source not in {source.id for source in config.sources}:
        return Refusal(name, f"this node has no source {setting.source!r}")
    if setting.label not in config.labels:
        return Refusal(name, f"this node does not listen for {setting.label!r}")
    if message.retained:
        return Refusal(name, _RETAINED, setting)
    if setting.setting == "sensitivity" and setting.label in config.detection.operating_points:
        return Refusal(name, "sensitivity is fixed by detection.operating_points in the configuration", setting)
    try:
        return SettingRequest(setting.source, setting.label, setting.setting, _value(setting.setting, message.payload))
    except MessageError as error:
        return Refusal(name, str(error), setting)


def _read_feedback(
    config: NodeConfig, name: str, feedback: FeedbackCommand, message: Received
) -> FeedbackRequest | Refusal:
    if feedback.source not in {source.id for source in config.sources}:
        return Refusal(name, f"this node has no source {feedback.source!r}")
    if feedback.label not in config.labels:
        return Refusal(name, f"this node does not listen for {feedback.label!r}")
    if message.retained:
        return Refusal(name, _RETAINED)
    try:
        told = FeedbackMessage.decode(message.payload or b"{}")
    except MessageError as error:
        return Refusal(name, str(error))
    return FeedbackRequest(feedback.source, feedback.label, feedback.verdict, told)


def _read_recorder(
    name: str, setting: RecorderSetting, options: Collection[str], message: Received
) -> RecorderRequest | Refusal:
    if message.retained:
        return Refusal(name, _RETAINED)
    value = message.payload[:_MAX_ECHO].decode("utf-8", "replace")
    if value not in options:
        return Refusal(name, f"expected one of {', '.join(options)}")
    return RecorderRequest(setting, value)


def _read_node_command(command: str, known: Collection[str], message: Received) -> NodeRequest | Refusal:
    if message.retained:
        return Refusal(command, _RETAINED)
    try:
        request = COMMAND_TYPES.get(command, Command).decode(message.payload or b"{}")
    except MessageError as error:
        return Refusal(command, str(error))
    if command not in known:
        return Refusal(command, f"unknown command; known are: {', '.join(sorted(known))}", id=request.id)
    return NodeRequest(command, request)


def _value(name: SettingName, payload: bytes) -> bool | float:
    if name == "enabled":
        if payload in {b"ON", b"OFF"}:
            return payload == b"ON"
        raise MessageError("expected ON or OFF")
    if _NUMBER.fullmatch(payload) and float(payload) <= 100:
        return float(payload)
    raise MessageError("expected a number from 0 to 100")
