"""Replacing the bundle inside the node package."""

import hashlib
import json
from importlib import resources
from pathlib import Path

from earshot_node.atomic_file import write_atomically
from earshot_node.errors import OperatorError

PIN_NAME = "bundled.json"


def bundled_folder() -> Path:
    """Return the folder of the node package that holds the shipped model.

    Raises:
        OperatorError: the package is not a folder on disk.
    """
    package = Path(str(resources.files("earshot_node")))
    if not package.is_dir():
        raise OperatorError(f"{package} is no folder; use --install in a source checkout")
    return package / "models"


def install_bundled(bundle: Path, name: str, version: str, folder: Path) -> Path:
    """Make `bundle` the shipped one: the file, then the pin with its hash, then the old files go.

    Returns:
        The installed file.
    """
    data = bundle.read_bytes()
    folder.mkdir(exist_ok=True)
    target = folder / f"{name}-{version}.earshot"
    write_atomically(target, data)
    pin = {"file": target.name, "sha256": hashlib.sha256(data).hexdigest()}
    write_atomically(folder / PIN_NAME, (json.dumps(pin, indent=1) + "\n").encode())
    for old in folder.glob("*.earshot"):
        if old != target:
            old.unlink()
    return target
