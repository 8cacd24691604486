"""Is what is called held out really held out? A card must not claim it otherwise."""

import hashlib
from typing import Any, Literal

from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.presets import ChosenOn
from earshot_trainer.packaging.figures import held_out_reports
from earshot_trainer.training.run_record import RunRecord

Whose = Literal["none", "this", "other"]
PointsChosenOn = Literal["unknown", "trained_on", "held_out"]


def check_made_by(model: bytes, run: RunRecord) -> None:
    """Raise OperatorError unless the graph was made of the run's weights."""
    if hashlib.sha256(model).hexdigest() not in run.graphs:
        raise OperatorError(
            "--model: not a graph of --run; make it with `trainer-cli quantize` from that run's model.pt"
        )


def check_held_out(metrics: dict[str, Any], run: RunRecord, other_run: RunRecord | None) -> Whose:
    """Return whose the held-out figures are: nobody's, those of the packaged model's run, or of a second run.

    Args:
        metrics: evaluation reports by name; those called `held_out...` are checked.
        run: the run that trained the packaged model.
        other_run: the run of the model that was measured, when it is not `run`.

    Raises:
        OperatorError: a report is incomplete, its model comes from neither run or from another recipe, or was trained
            on what it was measured on.
    """
    measured = [_check(name, report, run, other_run) for name, report in held_out_reports(metrics).items()]
    if not measured:
        return "none"
    if any(trained is not measured[0] for trained in measured):
        raise OperatorError("--metrics held_out...: they measure models of different runs; evaluate one model")
    return "this" if measured[0] is run else "other"


def points_chosen_on(chosen_on: ChosenOn | None, run: RunRecord, other_run: RunRecord | None) -> PointsChosenOn:
    """Return what kind of recordings presets were chosen on, judged by the run of the model that was looked at."""
    trained = None if chosen_on is None else _run_of(chosen_on.model_sha256, run, other_run)
    if chosen_on is None or trained is None:
        return "unknown"
    return "trained_on" if chosen_on.groups & trained.training_groups else "held_out"


def _check(name: str, report: dict[str, Any], run: RunRecord, other_run: RunRecord | None) -> RunRecord:
    where, protocol = f"--metrics {name}", report.get("protocol", {})
    if "groups" not in protocol or "not_read" not in protocol:
        raise OperatorError(f"{where}: no evaluation of this version; write it with `trainer-cli evaluate --json`")
    if protocol["not_read"]:
        raise OperatorError(f"{where}: {protocol['not_read']} recordings could not be read; repair them and evaluate")
    trained = _run_of(report.get("subject", {}).get("model_sha256", ""), run, other_run)
    if trained is None:
        raise OperatorError(
            f"{where}: its graph comes from neither --run nor --held-out-run; name the run of the measured model"
        )
    if trained.recipe_without_seed() != run.recipe_without_seed():
        raise OperatorError(f"{where}: --held-out-run has another recipe than --run; its figures say nothing of this")
    heard = sorted(set(protocol["groups"]) & trained.training_groups)
    if heard:
        raise OperatorError(
            f"{where}: its model was trained on {len(heard)} of the {len(protocol['groups'])} original recordings, "
            f"such as {heard[0]}; evaluate what training left out"
        )
    return trained


def _run_of(model_sha256: str, run: RunRecord, other_run: RunRecord | None) -> RunRecord | None:
    return next((r for r in (run, other_run) if r is not None and model_sha256 in r.graphs), None)
