"""The float checkpoint of the shipped model, which ships with the trainer: what a retraining begins with."""

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from earshot_node.atomic_file import write_atomically
from earshot_node.contract.manifest import Sha256, Version
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import Bundle
from earshot_trainer.training.checkpoint import MODEL_NAME, load_checkpoint, save_atomically

PIN_NAME: Final = "base.json"
_KEPT: Final = ("network", "config", "recipe")


class BasePin(BaseModel):
    """What stands beside the checkpoint.

    Attributes:
        file: the checkpoint's name; `sha256` of its bytes.
        version: of the bundle that was made of the same weights.
        model_sha256: of that bundle's graph.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    file: str
    sha256: Sha256
    name: str
    version: Version
    model_sha256: Sha256


@dataclass(frozen=True)
class Base:
    """Weights to begin with.

    Attributes:
        values: `network`, `config` and `recipe` of the checkpoint, on the CPU.
    """

    pin: BasePin
    values: dict[str, Any]


def base_folder() -> Path:
    """Return the folder of the trainer package that holds the checkpoint.

    Raises:
        OperatorError: the package is not a folder on disk.
    """
    package = Path(str(resources.files("earshot_trainer")))
    if not package.is_dir():
        raise OperatorError(f"{package} is no folder; install the trainer from a wheel or a source checkout")
    return package / "models"


def load_base(folder: Path | None = None) -> Base:
    """Return the shipped checkpoint.

    Raises:
        OperatorError: it is missing or damaged.
    """
    folder = folder or base_folder()
    try:
        pin = BasePin.model_validate_json((folder / PIN_NAME).read_bytes())
        data = (folder / pin.file).read_bytes()
    except (OSError, ValueError) as error:
        raise OperatorError(f"{folder}: the checkpoint to begin with is missing; install the trainer again") from error
    if hashlib.sha256(data).hexdigest() != pin.sha256:
        raise OperatorError(f"{folder / pin.file} is damaged (its hash is wrong); install the trainer again")
    return Base(pin, load_checkpoint(folder / pin.file))


def check_belongs(base: Base, bundle: Bundle) -> None:
    """Raise OperatorError unless checkpoint and bundle were made of the same weights."""
    model_sha256 = hashlib.sha256(bundle.model).hexdigest()
    if (base.pin.version, base.pin.model_sha256) != (bundle.manifest.version, model_sha256):
        raise OperatorError(
            f"the trainer's checkpoint belongs to model {base.pin.version}, the bundle is {bundle.manifest.version}; "
            "install node and trainer of one version"
        )


def install_base(run: Path, bundle: Bundle, folder: Path | None = None) -> Path:
    """Put a run's weights beside the trainer as the ones to begin with; older ones go.

    Args:
        run: folder of the training run that the bundle was made of; its `model.pt` is stripped to what is needed.
        bundle: made of that run's graph.
        folder: instead of the trainer package's.

    Raises:
        OperatorError: the run has no weights.
    """
    folder = folder or base_folder()
    folder.mkdir(exist_ok=True)
    values = load_checkpoint(run / MODEL_NAME)
    target = folder / f"{bundle.manifest.name}-{bundle.manifest.version}.pt"
    save_atomically({key: values[key] for key in _KEPT}, target)
    pin = BasePin(
        file=target.name,
        sha256=hashlib.sha256(target.read_bytes()).hexdigest(),
        name=bundle.manifest.name,
        version=bundle.manifest.version,
        model_sha256=hashlib.sha256(bundle.model).hexdigest(),
    )
    write_atomically(folder / PIN_NAME, (json.dumps(pin.model_dump(), indent=1) + "\n").encode())
    for old in folder.glob("*.pt"):
        if old != target:
            old.unlink()
    return target
