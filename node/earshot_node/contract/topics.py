"""Every MQTT topic with its QoS and retain flag; the only place that builds or parses one."""

from dataclasses import dataclass
from typing import Literal

from earshot_node.contract.names import validate_label, validate_slug

SettingName = Literal["enabled", "sensitivity"]
Verdict = Literal["confirm", "reject"]
"""What a person says about an event: it was what it was taken for, or it was not."""
RecorderSetting = Literal["label", "source"]
"""What the next sample will be labelled with, and where it is recorded."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Where a message goes and how."""

    name: str
    qos: Literal[0, 1]
    retain: bool


@dataclass(frozen=True, slots=True)
class SettingCommand:
    """A setting of one source and label was addressed."""

    source: str
    label: str
    setting: SettingName


@dataclass(frozen=True, slots=True)
class FeedbackCommand:
    """Something was said about an event of one source and label."""

    source: str
    label: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class RecorderCommand:
    """A setting of the recorder was addressed."""

    setting: RecorderSetting


@dataclass(frozen=True, slots=True)
class NodeCommand:
    """A command of the node was addressed."""

    command: str


Addressed = SettingCommand | FeedbackCommand | RecorderCommand | NodeCommand


@dataclass(frozen=True, slots=True)
class NodeTopics:
    """The topics of one node below a prefix.

    Layout: `<prefix>/<node>/...` for the node, `<prefix>/<node>/source/<source>/...` for a source,
    `<prefix>/<node>/source/<source>/<label>/...` for what it hears.
    """

    prefix: str
    node: str

    @property
    def base(self) -> str:
        """Common beginning of all of them."""
        return f"{self.prefix}/{self.node}"

    def status(self) -> Topic:
        """`online` or `offline`; the last will."""
        return Topic(f"{self.base}/status", 1, retain=True)

    def info(self) -> Topic:
        """`NodeInfo`: versions, model, sources."""
        return Topic(f"{self.base}/info", 1, retain=True)

    def health(self) -> Topic:
        """`NodeHealth`, every 30 s and at every change."""
        return Topic(f"{self.base}/health", 1, retain=True)

    def reply(self) -> Topic:
        """`Reply` to a command, by its id."""
        return Topic(f"{self.base}/reply", 1, retain=False)

    def command(self, command: str) -> Topic:
        """`Command` to the node."""
        return Topic(f"{self.base}/command/{command}", 1, retain=False)

    def recordings(self) -> Topic:
        """`RecordingsReport`, at every change."""
        return Topic(f"{self.base}/recordings", 1, retain=True)

    def recorder_setting(self, setting: RecorderSetting) -> Topic:
        """Echo of a setting of the recorder: a label or `background`, or a source's id."""
        return Topic(f"{self.base}/recorder/{setting}", 1, retain=True)

    def set_recorder_setting(self, setting: RecorderSetting) -> Topic:
        """Command that changes a setting of the recorder; a retained one is refused."""
        return Topic(f"{self.base}/recorder/{setting}/set", 1, retain=False)

    def update(self) -> Topic:
        """`UpdateState`, for Home Assistant's update entity."""
        return Topic(f"{self.base}/model/update", 1, retain=True)

    def model_offer(self) -> Topic:
        """`ModelOffer` by the trainer: what there is for this node, not a command."""
        return Topic(f"{self.base}/model/offer", 1, retain=True)

    def model_result(self) -> Topic:
        """`InstallResult`: what became of the latest model."""
        return Topic(f"{self.base}/model/result", 1, retain=True)

    def model_shadow(self) -> Topic:
        """`ShadowReport`, while a candidate runs beside the active model."""
        return Topic(f"{self.base}/model/shadow", 1, retain=True)

    def level(self, source: str) -> Topic:
        """Sound level in dBFS as a number, every 5 s."""
        return Topic(f"{self._source(source)}/level", 0, retain=False)

    def source_health(self, source: str) -> Topic:
        """`SourceHealth`, every 30 s and at every change."""
        return Topic(f"{self._source(source)}/health", 1, retain=True)

    def spectrogram(self, source: str) -> Topic:
        """Picture of the last event, PNG: some seconds after its onset, and again at its offset; empty: none."""
        return Topic(f"{self._source(source)}/spectrogram", 1, retain=True)

    def drill_result(self, source: str) -> Topic:
        """`DrillResult` of the last drill."""
        return Topic(f"{self._source(source)}/drill/result", 1, retain=True)

    def state(self, source: str, label: str) -> Topic:
        """`ON` while an event lasts, else `OFF`."""
        return Topic(f"{self._label(source, label)}/state", 1, retain=True)

    def last_event(self, source: str, label: str) -> Topic:
        """The latest `EventMessage` of the label, for attributes; again when a lasting siren's kind becomes clear."""
        return Topic(f"{self._label(source, label)}/last_event", 1, retain=True)

    def confidence(self, source: str, label: str) -> Topic:
        """Highest posterior of the last seconds in percent."""
        return Topic(f"{self._label(source, label)}/confidence", 0, retain=False)

    def onset(self, source: str, label: str) -> Topic:
        """`EventMessage` with phase `onset`, at once."""
        return Topic(f"{self._label(source, label)}/onset", 1, retain=False)

    def offset(self, source: str, label: str) -> Topic:
        """`EventMessage` with phase `offset`, same id."""
        return Topic(f"{self._label(source, label)}/offset", 1, retain=False)

    def late(self, source: str, label: str) -> Topic:
        """`EventMessage` that could not be delivered in time; no entity listens here."""
        return Topic(f"{self._label(source, label)}/late", 1, retain=False)

    def drill(self, source: str, label: str) -> Topic:
        """`EventMessage` with phase `onset` of a drill; no entity listens here."""
        return Topic(f"{self._label(source, label)}/drill", 1, retain=False)

    def setting(self, source: str, label: str, setting: SettingName) -> Topic:
        """Echo of a setting: `ON`/`OFF` or a number from 0 to 100."""
        return Topic(f"{self._label(source, label)}/{setting}", 1, retain=True)

    def set_setting(self, source: str, label: str, setting: SettingName) -> Topic:
        """Command that changes a setting; a retained one is refused."""
        return Topic(f"{self._label(source, label)}/{setting}/set", 1, retain=False)

    def feedback(self, source: str, label: str, verdict: Verdict) -> Topic:
        """`FeedbackMessage` about an event, or an empty payload for the last one; its clip becomes a recording."""
        return Topic(f"{self._label(source, label)}/feedback/{verdict}", 1, retain=False)

    def command_filters(self) -> tuple[str, ...]:
        """Subscriptions that cover every command of this node."""
        return (
            f"{self.base}/command/+",
            f"{self.base}/source/+/+/enabled/set",
            f"{self.base}/source/+/+/sensitivity/set",
            f"{self.base}/source/+/+/feedback/+",
            f"{self.base}/recorder/+/set",
        )

    def parse(self, name: str) -> "Addressed | None":
        """Return what a received topic addresses, None if it is no command topic of this node."""
        if not name.startswith(f"{self.base}/"):
            return None
        match name.removeprefix(f"{self.base}/").split("/"):
            case ["command", command] if command:
                return NodeCommand(command)
            case ["source", source, label, ("enabled" | "sensitivity") as setting, "set"]:
                try:
                    return SettingCommand(validate_slug(source), validate_label(label), setting)
                except ValueError:
                    return None
            case ["source", source, label, "feedback", ("confirm" | "reject") as verdict]:
                try:
                    return FeedbackCommand(validate_slug(source), validate_label(label), verdict)
                except ValueError:
                    return None
            case ["recorder", ("label" | "source") as wanted, "set"]:
                return RecorderCommand(wanted)
            case _:
                return None

    def _source(self, source: str) -> str:
        return f"{self.base}/source/{source}"

    def _label(self, source: str, label: str) -> str:
        return f"{self._source(source)}/{label}"


@dataclass(frozen=True, slots=True)
class DiscoveryTopics:
    """Home Assistant's discovery topics of one node: one device for the node, one for each source.

    A broker ACL can hold a node to `<prefix>/device/<node>/+/config`.
    """

    prefix: str
    node: str

    def node_device(self) -> Topic:
        """Discovery of the node's device."""
        return Topic(f"{self.prefix}/device/{self.node}/node/config", 1, retain=True)

    def source_device(self, source: str) -> Topic:
        """Discovery of a source's device."""
        return Topic(f"{self.prefix}/device/{self.node}/source_{source}/config", 1, retain=True)

    def filter(self) -> str:
        """Subscription that covers both kinds."""
        return f"{self.prefix}/device/{self.node}/+/config"

    def birth(self) -> str:
        """Where Home Assistant says `online` after it started."""
        return f"{self.prefix}/status"
