"""What a training run says about itself (`run.json`), as far as graphs and bundles need it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from earshot_node.atomic_file import write_atomically
from earshot_node.contract.manifest import Lineage, Sha256
from earshot_node.errors import OperatorError
from earshot_trainer.corpus.licences import family_of, forbids_commercial_use, is_unclear

RUN_NAME = "run.json"


class Summary(BaseModel):
    """Counts of one side of a split."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    recordings: int = 0
    hours: float = 0.0
    siren_recordings: int = 0
    siren_groups: int = 0
    folds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


class TeacherRecord(BaseModel):
    """The published tagger whose scores helped in training."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    licence: str
    sha256: Sha256

    def __str__(self) -> str:
        return f"{self.name} ({self.licence}, sha256 {self.sha256})"


class StartRecord(BaseModel):
    """The run whose weights a training began with.

    Attributes:
        segments: those that led to the weights, all runs together.
        heard_besides: the original recordings that the weights had heard and that were not trained on again.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    recipe: str
    segments: int
    seed: int
    code_version: str
    model_sha256: Sha256
    heard_besides: tuple[str, ...] = ()


class FittedTo(BaseModel):
    """How many windows a second opinion's output was fitted to: of recordings, and with a siren in mixtures of them.

    `synthesized_windows` by label are what other outputs were fitted to besides recordings.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    siren_windows: int
    mixed_siren_windows: int = 0
    other_windows: int
    synthesized_windows: dict[str, int] = Field(default_factory=dict)

    def __str__(self) -> str:
        mixed = f", {self.mixed_siren_windows} of mixtures with one" if self.mixed_siren_windows else ""
        return f"{self.siren_windows} windows with a siren{mixed} and {self.other_windows} without"


class SecondOpinionRecord(BaseModel):
    """The deeper network that the run's graphs ask, and what it tells of."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    fitted_to: FittedTo
    labels: tuple[str, ...] = ("siren",)


class OtherLabelsRecord(BaseModel):
    """What the run's outputs for other sounds than sirens were learnt from."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    labels: tuple[str, ...]
    mixtures: int


class RunRecord(BaseModel):
    """The part of `run.json` that graphs, manifest and model card are made and checked by.

    Attributes:
        training_groups: the original recordings that the weights heard, in `started_from` too; so `audio_licences`.
        excluded: names of folds, groups and sources that were kept out of training.
        started_from: whose weights it began with; None for random ones.
        graphs: sha256 -> file name of every graph that `trainer-cli quantize` made of this run's weights.
        retraining: settings of a household's retraining; what its base heard is not among `training_groups`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    recipe: dict[str, Any]
    recipe_file: str = ""
    seed: int
    teacher: TeacherRecord | None = None
    started_from: StartRecord | None = None
    code_version: str
    dataset_sha256: Sha256
    training_groups: frozenset[str]
    excluded: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    graphs: dict[Sha256, str] = Field(default_factory=dict)
    trained_on: Summary
    tested_on: Summary = Summary()
    on_neither_side: Summary = Summary()
    audio_licences: dict[str, int] = Field(min_length=1)
    figures: dict[str, Any] = Field(default_factory=dict)
    retraining: dict[str, Any] | None = None
    second_opinion: SecondOpinionRecord | None = None
    other_labels: OtherLabelsRecord | None = None

    @property
    def recipe_name(self) -> str:
        """The recipe's own name."""
        return str(self.recipe.get("name", "unnamed"))

    @property
    def developed_on(self) -> tuple[str, ...]:
        """Folds and sources whose figures steered the recipe."""
        return tuple(self.recipe.get("developed_on", ()))

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's labels, in the order of its columns.

        Raises:
            OperatorError: the recipe names none.
        """
        labels = self.recipe.get("model", {}).get("labels")
        if not labels:
            raise OperatorError("run.json: its recipe names no model.labels; train again")
        return tuple(labels)

    @property
    def heard_besides(self) -> tuple[str, ...]:
        """The original recordings that only the weights which it began with had heard."""
        return self.started_from.heard_besides if self.started_from is not None else ()

    @property
    def trained_on_everything(self) -> bool:
        """Whether nothing of the corpus was kept out of training."""
        return self.tested_on.recordings + self.on_neither_side.recordings == 0

    def lineage(self) -> Lineage:
        """Return where the weights come from."""
        return Lineage(
            dataset_sha256=self.dataset_sha256,
            code_version=self.code_version,
            recipe=self.recipe_name,
            seed=self.seed,
            teacher=None if self.teacher is None else str(self.teacher),
        )

    def recipe_without_seed(self) -> dict[str, Any]:
        """Return what two runs of one recipe have in common, what they began with among it."""
        training = {key: value for key, value in self.recipe.get("training", {}).items() if key != "seed"}
        start = self.started_from and (self.started_from.recipe, self.started_from.segments)
        return self.recipe | {"training": training, "start": start}

    def licence_families(self) -> dict[str, int]:
        """Return recordings by licence; what differs by recording alone (a Freesound id in brackets) is one family."""
        families: Counter[str] = Counter()
        for text, count in self.audio_licences.items():
            families[family_of(text)] += count
        return dict(sorted(families.items(), key=lambda item: (-item[1], item[0])))

    def weights_licence(self) -> str:
        """Return the licence note of the weights in one sentence."""
        families = self.licence_families()
        barred = [name for name in families if forbids_commercial_use(name)]
        unclear = sum(count for name, count in families.items() if is_unclear(name))
        if not barred and not unclear:
            return "Weights trained on permissively licensed audio only; see MODEL_CARD.md."
        named = [name for name in barred if "UrbanSound8K" in name] or barred[:1]
        because = f"trained on {named[0]} and other audio" if named else "trained on audio of unclear licence"
        return f"Weights for NON-COMMERCIAL use only: {because}; see MODEL_CARD.md. The code is Apache-2.0."


def load_run(folder: Path) -> RunRecord:
    """Read `run.json` of a training run.

    Raises:
        OperatorError: missing or not a run.
    """
    path = folder / RUN_NAME if folder.is_dir() else folder
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise OperatorError(
            f"cannot read {path}: {error.strerror}; name the folder that `trainer-cli train --out` wrote"
        ) from error
    except ValueError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise OperatorError(f"{path} is no training run: {' '.join(lines[1:3]) or lines[0]}") from error


def record_graphs(folder: Path, graphs: Mapping[str, str]) -> None:
    """Add graphs (sha256 -> file name) to the `run.json` in `folder`, so that `package` knows where they come from."""
    values = json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))
    _record(folder, "graphs", values.get("graphs", {}) | dict(graphs))


def record_second_opinion(folder: Path, made_of: Mapping[str, Any]) -> None:
    """Say in the `run.json` in `folder` what the run's second opinion was fitted to."""
    _record(folder, "second_opinion", dict(made_of))


def record_other_labels(folder: Path, first: Sequence[str], others: Sequence[str], mixtures: int) -> None:
    """Say in the `run.json` in `folder` what the network has outputs for, and how many mixtures taught the others."""
    recipe = json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))["recipe"]
    _record(folder, "recipe", recipe | {"model": recipe["model"] | {"labels": [*first, *others]}})
    _record(folder, "other_labels", {"labels": list(others), "mixtures": mixtures})


def _record(folder: Path, key: str, value: Any) -> None:
    path = folder / RUN_NAME
    values = json.loads(path.read_text(encoding="utf-8")) | {key: value}
    write_atomically(path, (json.dumps(values, indent=1) + "\n").encode())
