"""The file of presets that `evaluate --choose-presets` writes: the points, and what they were chosen on."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from earshot_node.contract.manifest import Sha256
from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError


class ChosenOn(BaseModel):
    """The evidence behind presets.

    Attributes:
        model_sha256: the graph whose posteriors were looked at; with several, the hash over their hashes.
        data_sha256: `dataset_hash` of the recordings; `groups` the originals that they come from.
        graphs: graph hash -> the originals that this graph judged. One entry, or one for each run of a pooled choice.
        figures: label -> preset -> recall, false alarms per hour and the rest of what the points gave on the evidence.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    model_sha256: Sha256
    data_sha256: Sha256
    groups: frozenset[str]
    graphs: dict[Sha256, frozenset[str]] = Field(default_factory=dict)
    figures: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types, groups in order."""
        graphs = {graph: sorted(groups) for graph, groups in self.graphs.items()}
        return self.model_dump() | {"groups": sorted(self.groups), "graphs": graphs}


class PresetsFile(Presets):
    """Presets with their evidence; a file written by hand has none."""

    chosen_on: ChosenOn | None = None

    @property
    def presets(self) -> Presets:
        """The points alone."""
        return Presets(quiet=self.quiet, balanced=self.balanced, sensitive=self.sensitive)


def load_presets_file(path: Path) -> PresetsFile:
    """Read presets from JSON.

    Raises:
        OperatorError: unreadable or not presets.
    """
    try:
        return PresetsFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise OperatorError(f"cannot read presets {path}: {error.strerror}; check the path") from error
    except ValueError as error:
        lines = str(error).splitlines()
        raise OperatorError(
            f"{path} holds no presets: {' '.join(line.strip() for line in lines[1:3]) or lines[0]}; "
            "write them with `trainer-cli evaluate --choose-presets`"
        ) from error


def load_presets(path: Path) -> Presets:
    """Read the points alone; raises like `load_presets_file`."""
    return load_presets_file(path).presets
