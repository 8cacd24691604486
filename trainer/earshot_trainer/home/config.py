"""`trainer.yaml`: parsed strictly, every mistake one line with its place."""

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, ValidationError

from earshot_node.configuration.schema import closest
from earshot_node.configuration.text import ConfigText, read_config_text
from earshot_node.contract.config import MqttSection, Section
from earshot_node.contract.joining import TRAINER_URL
from earshot_node.errors import ConfigError

DEFAULT_PORT: Final = 8770


class ServeSection(Section):
    """What `trainer-cli serve` listens on."""

    host: str = Field(default="0.0.0.0", description="Address of this machine; 0.0.0.0: all of them.")  # noqa: S104
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535, description="0: any free port.")
    certificate_file: str = Field(default="", description="PEM; with it HTTPS is spoken.")
    key_file: str = Field(default="", description="The certificate's private key, PEM.")


class AccountsSection(Section):
    """Accounts at a mosquitto whose password file this machine can write; without, accounts are made by hand."""

    passwords_file: str = Field(default="", description="mosquitto's password_file; a node's line is made as it joins.")
    reload: tuple[str, ...] = Field(
        default=(),
        description="Command that makes the broker read it again and that the trainer's user may run; docs/fleet.md.",
    )
    reserved: tuple[str, ...] = Field(
        default=("home_assistant", "homeassistant", "trainer", "admin"), description="Accounts that no node may have."
    )


class TrainerConfig(Section):
    """Everything that the trainer's commands about nodes need."""

    url: str = Field(pattern=TRAINER_URL, max_length=300, description="Where nodes reach `trainer-cli serve`.")
    ca_file: str = Field(
        default="", description="Certificate (PEM) by which nodes check this trainer's HTTPS; default: the system's."
    )
    serve: ServeSection = ServeSection()
    mqtt: MqttSection = Field(default=MqttSection(), description="The broker, as the trainer and every node reach it.")
    broker_accounts: AccountsSection = AccountsSection()
    catalogue: SecretStr = Field(
        default=SecretStr(""), description="URL of a PostgreSQL database; default: catalogue.sqlite in the home."
    )
    recordings: str = Field(
        default="", description="fsspec URL such as s3://bucket/earshot; default: the folder recordings in the home."
    )
    labels_file: str = Field(
        default="",
        description="The household's labels, YAML; collecting tells them to the nodes. Default: siren alone.",
    )


def load_trainer_config(path: Path) -> TrainerConfig:
    """Load and check `trainer.yaml`; relative paths in it are meant from its folder.

    Raises:
        ConfigError: one line with file, line, key and what was expected.
    """
    text = read_config_text(path)
    try:
        config = TrainerConfig.model_validate(text.values)
    except ValidationError as error:
        raise ConfigError(_describe(error, text)) from None
    return _with_absolute_paths(config, path.parent)


def read_pem(path: str, key: str) -> str:
    """Return the text of a file that the configuration names, '' where it names none.

    Raises:
        ConfigError: it cannot be read.
    """
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"{key}: cannot read {path} ({reason}); check path and permissions") from error


def _describe(error: ValidationError, text: ConfigText) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        schema = TrainerConfig.model_json_schema()
        sections = (ServeSection, AccountsSection, MqttSection)
        known = [*schema["properties"], *(name for section in sections for name in section.model_fields)]
        return f"{text.where(first['loc'])}: {key}: unknown key{closest(str(first['loc'][-1]), known)}"
    message = str(first.get("ctx", {}).get("error", "")) or first["msg"]
    return f"{text.where(first['loc'])}: {key}: {message[0].lower() + message[1:]}"


def _with_absolute_paths(config: TrainerConfig, folder: Path) -> TrainerConfig:
    def absolute(path: str) -> str:
        return str(folder.absolute() / Path(path).expanduser()) if path else ""

    serve = config.serve.model_copy(
        update={
            "certificate_file": absolute(config.serve.certificate_file),
            "key_file": absolute(config.serve.key_file),
        }
    )
    mqtt = config.mqtt.model_copy(update={"password_file": absolute(config.mqtt.password_file)})
    if mqtt.tls is not None:
        names = ("ca_file", "cert_file", "key_file")
        tls = mqtt.tls.model_copy(update={name: absolute(getattr(mqtt.tls, name)) for name in names})
        mqtt = mqtt.model_copy(update={"tls": tls})
    files = {name: absolute(getattr(config, name)) for name in ("ca_file", "labels_file")}
    passwords = absolute(config.broker_accounts.passwords_file)
    accounts = config.broker_accounts.model_copy(update={"passwords_file": passwords})
    return config.model_copy(update={"serve": serve, "mqtt": mqtt, "broker_accounts": accounts, **files})
