"""What one `trainer-cli evaluate` was asked for."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from earshot_trainer.evaluate.evaluation import Selection


@dataclass(frozen=True)
class EvaluateRequest:
    """What the command line asked for.

    Attributes:
        model: a bundle, graph or tagger; None for the shipped model, or with `runs`.
        runs: runs whose models are measured out of fold, instead of `model`.
        against: further subjects, measured on the same audio in the same run; `against_runs` are one, out of fold.
        skipped: keys of the parts that are left out.
        seed: of everything random.
    """

    model: Path | None
    selection: Selection
    runs: tuple[Path, ...] = ()
    labels: tuple[str, ...] = ()
    presets: Path | None = None
    against: tuple[Path, ...] = ()
    against_runs: tuple[Path, ...] = ()
    choose_presets: Path | None = None
    jobs: int | None = None
    json_path: Path | None = None
    report: Path | None = None
    skipped: frozenset[str] = field(default_factory=frozenset)
    seed: int = 1

    def command_line(self) -> str:
        """Return the command that measures the model again, without `--against`; report and card carry it.

        Cards go out with bundles: models that lie outside of the working directory are named without their folders.
        """
        words = ["trainer-cli", "evaluate"]
        if self.model is not None:
            words += ["--onnx", _named(self.model)] if self.model.suffix == ".onnx" else [_named(self.model)]
        selection = self.selection
        options: dict[str, tuple[object, ...]] = {
            "--run": tuple(map(_named, self.runs)),
            "--label": self.labels,
            "--presets": (_named(self.presets),) if self.presets else (),
            "--data": selection.manifests,
            "--fold": selection.folds,
            "--source": selection.sources,
            "--exclude-group": selection.excluded_groups,
            "--seed": () if self.seed == 1 else (self.seed,),
            "--skip": tuple(sorted(self.skipped)),
        }
        words += [word for option, values in options.items() for value in values for word in (option, str(value))]
        return shlex.join(words)


def _named(path: Path) -> str:
    """Return `path` from the working directory, or its last two parts where it lies elsewhere."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return "/".join(path.absolute().parts[-2:])
