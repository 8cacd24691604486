"""`trainer-cli retrain`: all stages of a run in order, going on with one that was interrupted."""

from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_PARTLY
from earshot_node.contract.recordings import RecordingInfo
from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.corpora import Corpora
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.members import Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.corpus.recordings import expand_path
from earshot_trainer.evaluate.console import say
from earshot_trainer.home.folder import Home
from earshot_trainer.retraining.new_labels import count_labels
from earshot_trainer.retraining.own import name_sessions, usable
from earshot_trainer.retraining.run_folder import (
    STAGES,
    RunFolder,
    RunRequest,
    StageName,
    find_run,
    new_run,
    runs_of,
)
from earshot_trainer.retraining.stage import EXIT_STOPPED, Stage, run_stage, time_line

PURPOSES: Final[dict[StageName, str]] = {
    "collect": "brings the recordings of all nodes here",
    "split": "keeps some of the household's sessions to compare on; says which labels become outputs",
    "train": "fine-tunes the shipped model on them, with replay",
    "quantize": "exports it and stores its weights as INT8",
    "calibrate": "moves its thresholds to mean the same as the active model's; chooses those of new labels",
    "evaluate": "hears the base test set, long negatives and what was kept, with both models",
    "gate": "compares; stops what is worse or gains nothing (exit code 4)",
    "package": "makes a bundle with card, reference clips and what the gate said",
    "sign": "signs it with the home's key and makes it a release",
    "deploy": "gives it to the nodes: to decide, or to hear in the shadow",
}


def work_of(name: StageName) -> Callable[[Stage], None]:
    """Return a stage's function; what it needs is imported only then."""
    if name in ("collect", "split", "train", "quantize"):
        from earshot_trainer.retraining import learning_stages as module
    elif name in ("calibrate", "evaluate", "gate"):
        from earshot_trainer.retraining import comparing_stages as module  # type: ignore[no-redef]
    else:
        from earshot_trainer.retraining import releasing_stages as module  # type: ignore[no-redef]
    work: Callable[[Stage], None] = getattr(module, name)
    return work


def retrain(home: Home, request: RunRequest, console: Console, *, new: bool = False, run_name: str = "") -> int:
    """Run what is left of a run; returns 0, 4 where the gate stopped it, 3 where a part was left undone, or 1.

    Args:
        home: whose.
        request: for a new run.
        console: for people.
        new: begin a new one, whatever is unfinished.
        run_name: go on with this one; '' with the newest if it is unfinished, else with a new one.

    Raises:
        OperatorError: a stage cannot do its work; the run can be gone on with.
    """
    with home.alone("retrain"):
        run = _chosen_run(home, request, new=new, run_name=run_name, console=console)
        code = 0
        for name in STAGES:
            if (stamp := run.stamp(name)) is not None and not _is_to_be_done_again(run, name):
                say(console, f"{name}: done before ({time_line(stamp)})")
                if name == "gate" and _outcome(run) == "stop":
                    code = EXIT_STOPPED
                    break
                continue
            console.rule(f"[bold]{name}[/]: {PURPOSES[name]}", align="left")
            code = run_stage(home, run, name, work_of(name), console, say_next=False)
            if code:
                break
        _tell_end(run, console, code)
        return code or (EXIT_PARTLY if _left_undone(run) else EXIT_DONE)


def run_alone(home: Home, name: StageName, run_name: str, console: Console) -> int:
    """Run one stage of a run (the newest for ''), whether or not it was done; those after it are to be done again.

    Raises:
        OperatorError: a stage before it was not run, or its work cannot be done.
    """
    with home.alone("retrain"):
        run = find_run(home.folder, run_name)
        for earlier in STAGES[: STAGES.index(name)]:
            if run.stamp(earlier) is None:
                raise OperatorError(f"run {run.name}: {earlier} comes before {name}; next: trainer-cli retrain")
        return run_stage(home, run, name, work_of(name), console)


def prepare_split(home: Home, request: RunRequest, console: Console) -> int:
    """Begin a new run with its split alone; nothing is collected.

    Raises:
        OperatorError: too few recordings.
    """
    with home.alone("retrain"):
        run = new_run(home.folder, request.model_copy(update={"collect": False}))
        run_stage(home, run, "collect", work_of("collect"), console, say_next=False)
        return run_stage(home, run, "split", work_of("split"), console)


def show_plan(home: Home, request: RunRequest, console: Console) -> None:
    """Print what a retraining would do, and with what; changes nothing."""
    engine = open_catalogue(home.catalogue_url)
    nodes, counts = Members(engine).chosen(request.nodes), Library(engine).counts()
    corpora = [one.name for one in Corpora(engine).all()] + list(request.manifests)
    here = ", ".join(f"{count} {title or 'unlabelled'}" for title, count in counts.items())
    say(console, f"nodes: {', '.join(one.id for one in nodes) or 'none has joined'}")
    say(console, f"recordings here: {here or 'none'}")
    for line in _label_lines(Library(engine).all(), request):
        say(console, line)
    say(console, f"corpora: {', '.join(corpora) or 'none; synthesized material only, so shadow at most'}")
    unfinished = _unfinished(home)
    if unfinished is not None:
        say(console, f"unfinished: {unfinished.name}, next stage {unfinished.next_stage()}; --new leaves it")
    table = Table(box=None, show_header=False)
    for name in STAGES:
        done = "done" if unfinished is not None and unfinished.stamp(name) is not None else ""
        table.add_row(name, PURPOSES[name], done)
    console.print(table)
    say(console, "nothing was changed; next: trainer-cli retrain")


def _label_lines(infos: Sequence[RecordingInfo], request: RunRequest) -> list[str]:
    """Tell of every label that the base has no output for, whether it would get one."""
    from earshot_trainer.packaging.base import load_base

    known = load_base(expand_path(request.base) if request.base else None).values["config"]["labels"]
    kept, _ = usable(infos)
    return [str(one) for one in count_labels(kept, known, name_sessions(kept, request.settings.split.session_gap_s))]


def _chosen_run(home: Home, request: RunRequest, *, new: bool, run_name: str, console: Console) -> RunFolder:
    if run_name:
        run = find_run(home.folder, run_name)
        if request.force and not run.request.force:
            run = run.forced()
        say(console, f"run {run.folder}")
        return run
    unfinished = None if new else _unfinished(home)
    if unfinished is None:
        run = new_run(home.folder, request)
        say(console, f"run {run.folder}")
        return run
    if unfinished.request != request:
        raise OperatorError(
            f"run {unfinished.name} is unfinished and was asked for with other options; go on with it by "
            f"`trainer-cli retrain --run {unfinished.name}`, or leave it and begin with `trainer-cli retrain --new ...`"
        )
    say(console, f"going on with run {unfinished.folder}; --new leaves it")
    return unfinished


def _unfinished(home: Home) -> RunFolder | None:
    """Return the newest run if it was interrupted; one that the gate stopped is over."""
    runs = runs_of(home.folder)
    if not runs or runs[-1].next_stage() is None:
        return None
    if runs[-1].next_stage() == "package" and _outcome(runs[-1]) == "stop":
        return None
    return runs[-1]


def _is_to_be_done_again(run: RunFolder, name: StageName) -> bool:
    """Tell whether a stage is done anew: as long as nothing is split, the nodes may have recorded what was missing."""
    return name == "collect" and run.stamp("split") is None


def _outcome(run: RunFolder) -> str:
    return str(run.read("gate.json", "gate")["outcome"])


def _left_undone(run: RunFolder) -> list[str]:
    return [stamp.partly for name in STAGES if (stamp := run.stamp(name)) is not None and stamp.partly]


def _tell_end(run: RunFolder, console: Console, code: int) -> None:
    stamps = [stamp for name in STAGES if (stamp := run.stamp(name)) is not None]
    wall_s, cpu_s = sum(one.wall_s for one in stamps), sum(one.cpu_s for one in stamps)
    say(console, f"all stages: {wall_s:.0f} s, {cpu_s:.0f} s of processors; {run.folder}")
    for left in _left_undone(run):
        say(console, f"note: {left}")
    if code == EXIT_STOPPED:
        say(console, f"next: record what it still gets wrong, or trainer-cli retrain --run {run.name} --force")
    elif not code:
        say(console, "next: trainer-cli releases lists it and where it runs; trainer-cli rollback takes it back")
