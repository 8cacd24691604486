"""Is what is called held out really held out? A card must not claim it otherwise."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.presets import ChosenOn
from earshot_trainer.packaging.figures import held_out_reports, rivals_of
from earshot_trainer.training.run_record import RunRecord

Whose = Literal["none", "this", "other", "pooled"]
PointsChosenOn = Literal["unknown", "trained_on", "other_recipe", "held_out"]
POOLED = "pooled"


@dataclass(frozen=True, slots=True)
class Judge:
    """A graph with the original recordings that it was asked about."""

    model_sha256: str
    groups: frozenset[str]


def check_made_by(model: bytes, run: RunRecord) -> None:
    """Raise OperatorError unless the graph was made of the run's weights."""
    if hashlib.sha256(model).hexdigest() not in run.graphs:
        raise OperatorError(
            "--model: not a graph of --run; make it with `trainer-cli quantize` from that run's model.pt"
        )


def check_held_out(metrics: dict[str, Any], run: RunRecord, other_runs: Sequence[RunRecord]) -> Whose:
    """Return whose the held-out figures are: nobody's, the packaged model's run's, another one's, or several runs'.

    A pooled report is judged member by member: what each graph was asked about, against what its run was trained on.
    Rivals that are graphs of the project are judged alike.

    Args:
        metrics: evaluation reports by name; those called `held_out...` are checked.
        run: the run that trained the packaged model.
        other_runs: the runs of the models that were measured, when they are not `run`.

    Raises:
        OperatorError: a report is incomplete, a graph in it comes from no named run or from another recipe, or was
            trained on what it was measured on.
    """
    runs = (run, *other_runs)
    measured = [_check(f"--metrics {name}", report, runs) for name, report in held_out_reports(metrics).items()]
    if not measured:
        return "none"
    if any(hashes != measured[0] for hashes in measured):
        raise OperatorError("--metrics held_out...: they measure models of different runs; evaluate the same ones")
    if len(measured[0]) > 1:
        return "pooled"
    return "this" if measured[0] <= set(run.graphs) else "other"


def points_chosen_on(chosen_on: ChosenOn | None, run: RunRecord, other_runs: Sequence[RunRecord]) -> PointsChosenOn:
    """Return what kind of recordings presets were chosen on, judged by the runs of the models that were looked at."""
    if chosen_on is None:
        return "unknown"
    found = []
    for graph, groups in (chosen_on.graphs or {chosen_on.model_sha256: chosen_on.groups}).items():
        trained = _run_of(graph, (run, *other_runs))
        if trained is None:
            return "unknown"
        found.append((trained, groups))
    if any(groups & trained.training_groups for trained, groups in found):
        return "trained_on"
    alike = all(trained.recipe_without_seed() == run.recipe_without_seed() for trained, _ in found)
    return "held_out" if alike else "other_recipe"


def _check(where: str, report: Mapping[str, Any], runs: Sequence[RunRecord]) -> frozenset[str]:
    """Return the hashes of the graphs that a report measures, after checking them and the rivals that are graphs."""
    protocol, subject = report.get("protocol", {}), report.get("subject", {})
    members = subject.get("runs", ())
    if not {"groups", "not_read"} <= set(protocol) or not all("groups" in member for member in members):
        raise OperatorError(f"{where}: no evaluation of this version; write it with `trainer-cli evaluate --json`")
    if protocol["not_read"]:
        raise OperatorError(f"{where}: {protocol['not_read']} recordings could not be read; repair them and evaluate")
    groups = frozenset(protocol["groups"])
    judges = _judges(where, subject, groups)
    for judge in judges:
        _check_judge(where, judge, runs)
    for rival in rivals_of(report):
        for judge in _judges(where, rival["subject"], groups) if _is_own(rival["subject"], runs) else ():
            _check_judge(f"{where}, --against", judge, runs)
    return frozenset(judge.model_sha256 for judge in judges)


def _is_own(subject: Mapping[str, Any], runs: Sequence[RunRecord]) -> bool:
    """Tell whether a subject consists of graphs of these runs."""
    hashes = [run["model_sha256"] for run in subject.get("runs", ())] or [subject.get("model_sha256", "")]
    return all(_run_of(graph, runs) is not None for graph in hashes)


def _judges(where: str, subject: Mapping[str, Any], groups: frozenset[str]) -> list[Judge]:
    """Return which graph was asked about what.

    Raises:
        OperatorError: the members of a pooled subject do not add up to it or to the report's recordings.
    """
    if subject.get("kind") != POOLED:
        return [Judge(subject.get("model_sha256", ""), groups)]
    judges = [Judge(member["model_sha256"], frozenset(member["groups"])) for member in subject["runs"]]
    together = hashlib.sha256("".join(judge.model_sha256 for judge in judges).encode()).hexdigest()
    if together != subject["model_sha256"]:
        raise OperatorError(f"{where}: its runs are not those that were measured; evaluate again")
    if missing := sorted(groups - frozenset[str]().union(*(judge.groups for judge in judges))):
        raise OperatorError(f"{where}: no run says that it judged recording {missing[0]}; evaluate again")
    return judges


def _check_judge(where: str, judge: Judge, runs: Sequence[RunRecord]) -> None:
    trained = _run_of(judge.model_sha256, runs)
    if trained is None:
        raise OperatorError(
            f"{where}: graph {judge.model_sha256[:16]} comes from neither --run nor --held-out-run; "
            "name the runs of the measured models"
        )
    if trained.recipe_without_seed() != runs[0].recipe_without_seed():
        raise OperatorError(f"{where}: --held-out-run has another recipe than --run; its figures say nothing of this")
    heard = sorted(judge.groups & trained.training_groups)
    if heard:
        raise OperatorError(
            f"{where}: its model was trained on {len(heard)} of the {len(judge.groups)} original recordings, "
            f"such as {heard[0]}; evaluate what training left out"
        )


def _run_of(model_sha256: str, runs: Sequence[RunRecord]) -> RunRecord | None:
    return next((run for run in runs if model_sha256 in run.graphs), None)
