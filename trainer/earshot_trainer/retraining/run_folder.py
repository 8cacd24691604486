"""A retraining's folder in the trainer's home: what was asked for, what each stage made, and which are done.

A stage's stamp is written after all that it made, and names it with hashes; so a run that was killed anywhere goes on
with the stage that has no stamp, or whose files changed.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from earshot_node.deployment.durable import make_folder, write_file
from earshot_node.errors import OperatorError
from earshot_trainer.retraining.settings import RetrainSettings

StageName = Literal[
    "collect", "split", "train", "quantize", "calibrate", "evaluate", "gate", "package", "sign", "deploy"
]
STAGES: Final[tuple[StageName, ...]] = (
    "collect", "split", "train", "quantize", "calibrate", "evaluate", "gate", "package", "sign", "deploy",
)  # fmt: skip
RUNS: Final = "runs"
REQUEST_NAME: Final = "request.json"


class RunRequest(BaseModel):
    """What a retraining was asked for.

    Attributes:
        manifests: corpora besides those of the catalogue.
        split, hold_out: split file and its part that is kept to compare on; else the corpora are parted by the seed.
        without_groups: original recordings of the corpora that are in none of the sets.
        active: bundle to compare with; '' takes the one that nodes installed last, else the one that ships.
        base: folder of another checkpoint to begin with; '' takes the one that ships.
        held_out_from: own recordings of this time and later are held out; None: drawn.
        nodes: to collect from and to deploy to; none: all that have joined.
        canary, watch_s: deploy to this node first, and watch it so long before the others get the model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: RetrainSettings = RetrainSettings()
    manifests: tuple[str, ...] = ()
    split: str = ""
    hold_out: str = ""
    without_groups: tuple[str, ...] = ()
    active: str = ""
    base: str = ""
    held_out_from: datetime | None = None
    nodes: tuple[str, ...] = ()
    canary: str = ""
    watch_s: float = 1800.0
    collect: bool = True
    deploy: bool = True
    force: bool = False


class Stamp(BaseModel):
    """What a finished stage left.

    Attributes:
        wrote: file in the run's folder -> sha256.
        said: what it told people.
        skipped: why it did nothing, '' if it did.
        partly: what it left undone, '' if nothing.
        wall_s, cpu_s: time that it took, by the clock and of processors.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    stage: StageName
    wrote: dict[str, str]
    said: tuple[str, ...] = ()
    skipped: str = ""
    partly: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0


class RunFolder:
    """One run.

    Args:
        folder: existing, with its request.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.request = RunRequest.model_validate_json((folder / REQUEST_NAME).read_bytes())
        except (OSError, ValidationError) as error:
            raise OperatorError(f"{folder} is no run of `trainer-cli retrain`; begin one with --new") from error

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.name

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def stamp(self, stage: StageName) -> Stamp | None:
        """Return what a stage left; None if it is not done, or what it wrote is no longer that."""
        try:
            stamp = Stamp.model_validate_json(self._stamp_path(stage).read_bytes())
        except (OSError, ValidationError):
            return None
        if any(_sha256(self.folder / name) != sha256 for name, sha256 in stamp.wrote.items()):
            return None
        return stamp

    def next_stage(self) -> StageName | None:
        """Return the first stage that is not done; None if all are."""
        return next((stage for stage in STAGES if self.stamp(stage) is None), None)

    def finish(
        self,
        stage: StageName,
        wrote: Sequence[Path],
        said: Sequence[str],
        wall_s: float,
        cpu_s: float,
        skipped: str = "",
        partly: str = "",
    ) -> Stamp:
        """Stamp a stage as done, and those after it as not done."""
        hashes = {str(path.relative_to(self.folder)): _sha256(path) for path in wrote}
        done = {"skipped": skipped, "partly": partly, "wall_s": wall_s, "cpu_s": cpu_s}
        stamp = Stamp.model_validate({"stage": stage, "wrote": hashes, "said": tuple(said), **done})
        for later in STAGES[STAGES.index(stage) + 1 :]:
            self._stamp_path(later).unlink(missing_ok=True)
        make_folder(self.folder / "stages")
        write_file(self._stamp_path(stage), (stamp.model_dump_json(indent=1) + "\n").encode())
        return stamp

    def forced(self) -> "RunFolder":
        """Return the run with `--force` asked for; its gate and what follows are to be run again."""
        request = self.request.model_copy(update={"force": True})
        write_file(self.folder / REQUEST_NAME, (request.model_dump_json(indent=1) + "\n").encode())
        for later in STAGES[STAGES.index("gate") :]:
            self._stamp_path(later).unlink(missing_ok=True)
        return RunFolder(self.folder)

    def write(self, name: str, values: dict[str, Any]) -> Path:
        """Write JSON into the folder, whole or not at all; returns where."""
        write_file(self.folder / name, (json.dumps(values, indent=1) + "\n").encode())
        return self.folder / name

    def read(self, name: str, stage: StageName) -> dict[str, Any]:
        """Read JSON that a stage wrote.

        Raises:
            OperatorError: the stage was not run.
        """
        try:
            values: dict[str, Any] = json.loads((self.folder / name).read_bytes())
        except (OSError, ValueError) as error:
            raise OperatorError(f"{self.folder / name} is not there; first: {command_of(stage, self)}") from error
        return values

    def _stamp_path(self, stage: StageName) -> Path:
        return self.folder / "stages" / f"{stage}.json"


def new_run(home: Path, request: RunRequest) -> RunFolder:
    """Begin a run in the home."""
    folder = home / RUNS / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    make_folder(folder.parent)
    make_folder(folder)
    write_file(folder / REQUEST_NAME, (request.model_dump_json(indent=1) + "\n").encode())
    return RunFolder(folder)


def runs_of(home: Path) -> list[RunFolder]:
    """Return the runs of a home, oldest first."""
    found = sorted((home / RUNS).glob(f"*/{REQUEST_NAME}"))
    return [RunFolder(path.parent) for path in found]


def find_run(home: Path, name: str = "") -> RunFolder:
    """Return a run by name, or the newest.

    Raises:
        OperatorError: there is none.
    """
    if name:
        folder = Path(name) if "/" in name else home / RUNS / name
        return RunFolder(folder)
    if runs := runs_of(home):
        return runs[-1]
    raise OperatorError("no retraining has begun here; next: trainer-cli retrain --dry-run")


def command_of(stage: StageName, run: RunFolder) -> str:
    """Return the command that runs one stage of a run again."""
    alone = {"split": "split", "train": "tune", "calibrate": "calibrate", "gate": "gate", "sign": "sign"}
    if stage in alone:
        return f"trainer-cli {alone[stage]} --run {run.name}"
    return f"trainer-cli retrain --run {run.name} --only {stage}"


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
