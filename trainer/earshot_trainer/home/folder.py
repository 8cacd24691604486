"""The folder that is a trainer's home: made once, never overwritten."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from earshot_node.deployment.durable import locked, write_file
from earshot_node.errors import OperatorError
from earshot_trainer.home.config import TrainerConfig, load_trainer_config
from earshot_trainer.packaging.keys import create_key, load_key, public_key_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CONFIG_NAME: Final = "trainer.yaml"
FOLDERS: Final = ("recordings", "models", "keys", "incoming")
_OURS: Final = {CONFIG_NAME, "catalogue.sqlite", *FOLDERS}


@dataclass(frozen=True)
class Home:
    """An existing home.

    Attributes:
        folder: only its owner can enter it.
        config: what `trainer.yaml` says.
    """

    folder: Path
    config: TrainerConfig

    @property
    def key_file(self) -> Path:
        """The private key that signs grants and bundles."""
        return self.folder / "keys" / "trainer.key"

    @property
    def incoming(self) -> Path:
        """Where what is being fetched lies until it is whole."""
        return self.folder / "incoming"

    @property
    def catalogue_url(self) -> str:
        """Where the catalogue is; may hold a password."""
        return self.config.catalogue.get_secret_value() or f"sqlite:///{self.folder / 'catalogue.sqlite'}"

    @property
    def recordings_place(self) -> str:
        """A folder or an fsspec URL."""
        return self.config.recordings or str(self.folder / "recordings")

    @cached_property
    def key(self) -> "Ed25519PrivateKey":
        """The private key itself."""
        return load_key(self.key_file)

    @property
    def public_key(self) -> str:
        """What nodes pin; base64 of 32 bytes."""
        return public_key_text(self.key)

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Keep a second `what` on this home out as long as this one runs.

        Raises:
            OperatorError: there is one already.
        """
        lock = locked(self.folder / f".{what}.lock")
        try:
            lock.__enter__()
        except BlockingIOError as error:
            raise OperatorError(f"{self.folder}: another `trainer-cli {what}` runs; wait for its end") from error
        try:
            yield
        finally:
            lock.__exit__(None, None, None)


def home_folder(option: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """Return where the home is: by flag, `EARSHOT_HOME`, or `earshot-trainer` among the user's data."""
    variables = os.environ if environ is None else environ
    if option is not None:
        return option.absolute()
    if variables.get("EARSHOT_HOME"):
        return Path(variables["EARSHOT_HOME"]).expanduser().absolute()
    return Path(variables.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "earshot-trainer"


def open_home(option: Path | None) -> Home:
    """Return the home that is there.

    Raises:
        OperatorError: there is none.
        ConfigError: its configuration is wrong.
    """
    folder = home_folder(option)
    path = folder / CONFIG_NAME
    if not path.exists():
        raise OperatorError(f"{folder} is no trainer's home; make it with `trainer-cli init`, or name it with --home")
    return Home(folder, load_trainer_config(path))


def create_home(folder: Path, settings: dict[str, Any]) -> tuple[Home, list[Path]]:
    """Make a home, or complete one; nothing that is there is changed. Return it and what was written.

    `trainer.yaml` is written last: with it the home is complete.

    Args:
        folder: existing only if empty or a home.
        settings: what `trainer.yaml` is to say; checked against one that is there.

    Raises:
        OperatorError: the folder holds something else, or a home with other settings.
    """
    path = folder / CONFIG_NAME
    try:
        _refuse_other_folders(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        written = []
        for name in FOLDERS:
            if not (folder / name).is_dir():
                (folder / name).mkdir(mode=0o700)
                written.append(folder / name)
        key = folder / "keys" / "trainer.key"
        if not key.exists():
            create_key(key)
            written.append(key)
        if path.exists():
            _refuse_other_settings(path, settings)
        else:
            write_file(path, yaml.safe_dump(settings, sort_keys=False).encode())
            written.append(path)
    except OSError as error:
        raise OperatorError(f"{folder}: cannot be made ({error.strerror}); name another with --home") from error
    return Home(folder, load_trainer_config(path)), written


def _refuse_other_folders(folder: Path) -> None:
    if folder.is_dir() and not (folder / CONFIG_NAME).exists():
        others = sorted(one.name for one in folder.iterdir() if not _is_ours(one.name))
        if others:
            raise OperatorError(f"{folder} holds other files, such as {others[0]}; name a new folder with --home")


def _is_ours(name: str) -> bool:
    return name.removesuffix(".part") in _OURS or name.endswith(".lock")


def _refuse_other_settings(path: Path, settings: dict[str, Any]) -> None:
    there = load_trainer_config(path)
    wanted = TrainerConfig.model_validate({"url": there.url, **settings})
    if "url" in settings and wanted.url != there.url:
        raise OperatorError(f"{path} says url: {there.url}; edit it there, nothing is overwritten")
    for name in settings.get("mqtt", {}):
        if getattr(wanted.mqtt, name) != getattr(there.mqtt, name):
            raise OperatorError(f"{path} says mqtt.{name}: {getattr(there.mqtt, name)}; edit it there")
