"""Configuration of a node: types and defaults; `earshot_node.configuration.file` reads file, environment and flags."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from earshot_node.contract.names import SIREN, Label, Slug
from earshot_node.contract.operating_point import OperatingPoint, PresetName


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeSection(Section):
    """Who this node is."""

    id: Slug = Field(description="Stable id in topics and entity ids; default: the host name.")
    name: str = Field(default="", max_length=80, description="What people call it; default: the id.")
    area: str = Field(default="", max_length=80, description="Suggested Home Assistant area.")
    state_dir: str = Field(
        default="",
        description="Folder for queue, settings and clips; default: STATE_DIRECTORY or ~/.local/state/earshot.",
    )


class SourceSection(Section):
    """What every source has."""

    id: Slug = Field(description="Stable id in topics and entity ids.")
    name: str = Field(default="", max_length=80, description="What people call it; default: the id.")
    area: str = Field(default="", max_length=80, description="Suggested Home Assistant area; default: the node's.")
    gain_db: float = Field(default=0.0, ge=-40, le=60, description="Amplification before anything listens.")


class MicrophoneSource(SourceSection):
    """A microphone by its stable id."""

    type: Literal["microphone"]
    device: str = Field(
        default="default",
        description="Stable id as `node-cli devices` prints it, or 'default' for the system's choice.",
    )


class FileSource(SourceSection):
    """An audio file (WAV, FLAC, OGG, MP3, Opus)."""

    type: Literal["file"]
    path: str
    loop: bool = Field(default=False, description="Begin again at the end.")
    real_time: bool = Field(default=True, description="Play at the speed of a microphone; false: as fast as possible.")


class UrlSource(SourceSection):
    """Anything ffmpeg reads: an RTSP camera, an HTTP stream."""

    type: Literal["url"]
    url: SecretStr = Field(description="May hold a password; it is never logged or shown.")
    ffmpeg_args: tuple[SecretStr, ...] = Field(
        default=(), description="Input options before -i, such as -rtsp_transport tcp."
    )


class StdinSource(SourceSection):
    """Raw PCM, signed 16 bit little endian, from standard input."""

    type: Literal["stdin"]
    rate_hz: int = Field(default=16000, ge=4000, le=384000)
    channels: int = Field(default=1, ge=1, le=32)


Source = Annotated[MicrophoneSource | FileSource | UrlSource | StdinSource, Field(discriminator="type")]


class ModelSection(Section):
    """Which model decides."""

    bundle: str = Field(default="", description="Path of a signed .earshot bundle; default: the one in the package.")
    trusted_keys: tuple[str, ...] = Field(
        default=(), description="Ed25519 public keys (base64) whose signatures count."
    )


class DetectionSection(Section):
    """How posteriors become events."""

    preset: PresetName = "balanced"
    operating_points: dict[Label, OperatingPoint] = Field(
        default={},
        description="Replaces the bundle's operating point of a label; sensitivity then has no effect on it.",
    )


class TlsSection(Section):
    """TLS towards the broker."""

    ca_file: str = Field(default="", description="CA certificate; default: the system's.")
    cert_file: str = Field(default="", description="Client certificate.")
    key_file: str = Field(default="", description="Client key.")

    @model_validator(mode="after")
    def _certificate_needs_key(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together")
        return self


class MqttSection(Section):
    """The broker."""

    enabled: bool = True
    host: str = "localhost"
    port: int = Field(default=0, ge=0, le=65535, description="0: 1883, or 8883 with TLS.")
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: str = Field(default="", description="File that holds the password, instead of `password`.")
    tls: TlsSection | None = None
    protocol: Literal["5", "3.1.1"] = "5"
    prefix: str = Field(default="earshot", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")
    keepalive_s: int = Field(default=30, ge=5, le=600)
    queue_limit: int = Field(
        default=10_000, ge=10, description="Events kept on disk without a broker; the oldest go first."
    )

    @field_validator("protocol", mode="before")
    @classmethod
    def _protocol_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int | float) else value

    @property
    def effective_port(self) -> int:
        """The port, with the protocol's default for 0."""
        return self.port or (8883 if self.tls else 1883)


class HomeAssistantSection(Section):
    """MQTT discovery."""

    enabled: bool = True
    discovery_prefix: str = Field(default="homeassistant", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")


class ClipsSection(Section):
    """Audio kept around events."""

    store: Literal["ram", "disk", "off"] = "ram"
    pre_roll_s: float = Field(default=3.0, ge=0, le=30)
    post_roll_s: float = Field(default=2.0, ge=0, le=30)
    max_length_s: float = Field(default=60.0, ge=1, le=600, description="A longer event keeps its beginning.")
    keep: int = Field(default=20, ge=1, le=1000, description="Clips kept in memory (store: ram).")
    dir: str = Field(default="", description="Folder for clips on disk; default: clips/ in the state folder.")
    quota_mb: float = Field(
        default=500.0, gt=0, description="Megabytes of clips on disk; of the label with most the oldest go first."
    )
    free_floor_mb: float = Field(default=500.0, ge=0, description="Nothing is written when the disk has less free.")
    links: bool = Field(
        default=False,
        description="Events carry a link to their clip: whoever has it can listen for a week; needs http.host.",
    )


class AutoSection(Section):
    """Moments that the node keeps unasked, as unlabelled candidates for training."""

    enabled: bool = Field(
        default=False, description="Keep detected and uncertain moments; what was detected needs clips (store: ram)."
    )
    uncertain_from: float = Field(default=0.3, gt=0, lt=1, description="Lowest posterior that is uncertain.")
    pre_roll_s: float = Field(default=4.0, ge=0, le=20)
    post_roll_s: float = Field(default=4.0, ge=0, le=20)
    per_day_s: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="Audio kept a day of all sources, the same share of each label.",
    )


class SpectrogramSection(Section):
    """A picture of the last event's sound, for phones and dashboards."""

    enabled: bool = Field(default=True, description="Publish it; false also removes the last one from the broker.")


class DrillSection(Section):
    """A siren that the node plays to itself, to see whether it would be heard and told."""

    weekly: str = Field(
        default="",
        pattern=r"^$|^(mon|tue|wed|thu|fri|sat|sun) ([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="Local time of a weekly drill of every source, such as 'wed 11:00'; default: none.",
    )
    level_dbfs: float = Field(default=-30.0, ge=-60, le=-3, description="How loud the siren is mixed in.")


class HouseSection(Section):
    """One alarm for the whole house out of all nodes at the broker; one node of the house has this enabled."""

    enabled: bool = False
    needed: int = Field(
        default=1, ge=1, le=100, description="Microphones that must hear it; all that listen, if fewer do."
    )
    window_s: float = Field(default=10.0, ge=1, le=120, description="Within this time of each other.")
    quiet_s: float = Field(
        default=10.0, ge=0, le=300, description="Nobody hears it for so long: it is over. Rooms hear it in turn."
    )


class RecordingsSection(Section):
    """Audio recorded on purpose for training; labelled and not collected, it is never deleted to make room."""

    dir: str = Field(default="", description="Folder; default: recordings/ in the state folder.")
    labels_file: str = Field(default="", description="The household's labels, YAML; default: the labels of `labels`.")
    quota_mb: float = Field(default=1000.0, gt=0, description="Bytes of all recordings.")
    free_floor_mb: float = Field(default=500.0, ge=0, description="Nothing is recorded when the disk has less free.")
    keep_collected_days: float = Field(default=7.0, ge=0, description="Days after collection until they are deleted.")
    auto: AutoSection = AutoSection()


class HttpSection(Section):
    """Health, metrics and recordings over HTTP."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(default=8765, ge=0, le=65535, description="0: any free port.")
    token: SecretStr = Field(
        default=SecretStr(""), description="Bearer token; default: made once, kept in the state folder."
    )
    https: bool = Field(
        default=False, description="Speak HTTPS; without certificate_file with a certificate made once by the node."
    )
    certificate_file: str = Field(default="", description="PEM; with it HTTPS is spoken.")
    key_file: str = Field(default="", description="The certificate's private key, PEM; default: in the same file.")
    announce: str = Field(
        default="",
        pattern=r"^(?:https?://[^\s/?#@]+/?)?$",
        description="Address by which the trainer reaches this node; default: found out where host is 0.0.0.0.",
    )

    @property
    def speaks_https(self) -> bool:
        """Whether HTTPS is spoken and nothing else."""
        return self.https or bool(self.certificate_file)


class NodeConfig(Section):
    """Everything `node-cli run` needs."""

    node: NodeSection
    sources: tuple[Source, ...] = Field(min_length=1)
    labels: tuple[Label, ...] = Field(
        default=(SIREN,),
        min_length=1,
        description="What is listened for: labels of the model that are announced and published.",
    )
    model: ModelSection = ModelSection()
    detection: DetectionSection = DetectionSection()
    mqtt: MqttSection = MqttSection()
    home_assistant: HomeAssistantSection = HomeAssistantSection()
    clips: ClipsSection = ClipsSection()
    recordings: RecordingsSection = RecordingsSection()
    spectrogram: SpectrogramSection = SpectrogramSection()
    drill: DrillSection = DrillSection()
    house: HouseSection = HouseSection()
    http: HttpSection = HttpSection()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        ids = [source.id for source in self.sources]
        for repeated in sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"two sources have the id {repeated!r}; give each its own")
        if sum(source.type == "stdin" for source in self.sources) > 1:
            raise ValueError("only one source can read standard input")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label is listed twice")
        self._links_lead_somewhere()
        return self

    def _links_lead_somewhere(self) -> None:
        if not self.clips.links:
            return
        if self.clips.store == "off":
            raise ValueError("clips.links needs clips; set clips.store to ram or disk")
        if not self.http.enabled or (self.http.host in ("127.0.0.1", "::1", "localhost") and not self.http.announce):
            raise ValueError("clips.links needs HTTP that phones reach; set http.host to 0.0.0.0")
