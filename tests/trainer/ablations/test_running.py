"""Runs on a tiny corpus: each gives a line once, and an interrupted one goes on."""

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

import soundfile as sf  # noqa: E402
from rich.console import Console  # noqa: E402
from support.tiny_corpus import RATE_HZ, TINY_RECIPE, make_corpus, write_recipe  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_trainer.ablations import running  # noqa: E402
from earshot_trainer.ablations.results import RESULTS_NAME, Result, read_results  # noqa: E402
from earshot_trainer.ablations.running import Plan, Run, run_missing  # noqa: E402
from earshot_trainer.ablations.variants import VARIANTS  # noqa: E402
from earshot_trainer.training.checkpoint import CHECKPOINT_NAME, load_checkpoint  # noqa: E402
from earshot_trainer.training.command import load_network  # noqa: E402

pytestmark = pytest.mark.torch
SMALL = TINY_RECIPE.replace("synthetic: {sirens: 2, traps: 1, length_s: 1.5}", "synthetic: {sirens: 2, length_s: 1.5}")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Six steps on seven clips of two seconds; a fold and 20 s of ambience are held out."""
    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache"))
    ambience = tmp_path / "ambience"
    ambience.mkdir()
    noise = 0.02 * np.random.default_rng(5).standard_normal(20 * RATE_HZ)
    sf.write(ambience / "park.wav", noise, RATE_HZ, subtype="PCM_16")
    (ambience / "manifest.csv").write_text("path,label,kind,source,dur,licence\npark.wav,park,long,parks,20,CC0\n")
    split = tmp_path / "split.yaml"
    split.write_text("b: {folds: [fold1], sources: [parks]}\nempty: {sources: [parks]}\n")
    return Plan(
        recipe=write_recipe(tmp_path, SMALL),
        split=split,
        manifests=(str(make_corpus(tmp_path / "corpus")), str(ambience / "manifest.csv")),
        steps=6,
        out=tmp_path / "out",
    )


def make(plan: Plan, *names: str, jobs: int = 1, part: str = "b") -> tuple[list[Run], str]:
    """Run variants; returns those that failed and what was said."""
    console = Console(file=StringIO(), width=200)
    failed = run_missing(plan, [Run(name, part, 1) for name in names], jobs, console)
    assert isinstance(console.file, StringIO)
    return failed, console.file.getvalue()


def test_run_gives_a_line_with_its_figures_and_is_not_made_again(plan: Plan) -> None:
    failed, said = make(plan, "pcen")
    assert failed == []
    assert "0 of 1 runs were done before" in said
    (line,) = (plan.out / RESULTS_NAME).read_text().splitlines()
    values = json.loads(line)
    assert (values["variant"], values["seed"], values["part"], values["steps"]) == ("pcen", 1, "b", 6)
    network = load_network(plan.folder(Run("pcen", "b", 1)) / "model.pt", VARIANTS["pcen"].build)
    assert values["parameters"] == sum(weight.numel() for weight in network.parameters())
    assert all(0 <= values[name] <= 1 for name in ("auc", "ap", "recall_at_1", "recall_at_4", "recall_at_12"))
    assert values["recall_at_1"] <= values["recall_at_4"] <= values["recall_at_12"]
    assert values["ms_per_hop"] > 0
    assert values["trained_s"] > 0

    _, said = make(plan, "pcen")
    assert said.startswith("1 of 1 runs were done before")
    assert (plan.out / RESULTS_NAME).read_text().splitlines() == [line]


def test_other_settings_or_steps_are_other_runs(plan: Plan) -> None:
    make(plan, "base")
    longer = Plan(plan.recipe, plan.split, plan.manifests, 7, plan.out, plan.settings)
    make(longer, "base")
    assert [result.steps for result in read_results(plan.out / RESULTS_NAME)] == [6, 7]
    assert [result.steps for result in longer.done()] == [7]


def test_interrupted_run_goes_on_to_what_an_uninterrupted_one_gives(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(plan, "lstm")
    (whole,) = plan.done()
    stopped = Plan(plan.recipe, plan.split, plan.manifests, plan.steps, plan.out.with_name("stopped"))
    with monkeypatch.context() as patch:
        patch.setattr("earshot_trainer.training.train._Pace.tell", interrupt_after(2))
        with pytest.raises(KeyboardInterrupt):
            make(stopped, "lstm")
    assert stopped.done() == []
    folder = stopped.folder(Run("lstm", "b", 1))
    assert load_checkpoint(folder / CHECKPOINT_NAME)["steps_done"] == 4
    assert make(stopped, "lstm")[0] == []
    (resumed,) = stopped.done()
    assert figures(resumed) == figures(whole)
    weights = [load_checkpoint(one.folder(Run("lstm", "b", 1)) / "model.pt")["network"] for one in (plan, stopped)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def interrupt_after(calls: int) -> object:
    """A listener that raises KeyboardInterrupt at a later call."""
    count = iter(range(calls + 1))

    def tell(*_: object) -> None:
        if next(count) == calls:
            raise KeyboardInterrupt

    return tell


def figures(result: Result) -> dict[str, object]:
    return result.model_dump(exclude={"ms_per_hop", "base_ms_per_hop", "trained_s"})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_at_a_time_give_what_one_after_the_other_does(plan: Plan) -> None:
    make(plan, "base", "mean-subtraction")
    both = Plan(plan.recipe, plan.split, plan.manifests, plan.steps, plan.out.with_name("both"))
    assert make(both, "base", "mean-subtraction", jobs=2)[0] == []
    results = [{result.variant: figures(result) for result in one.done()} for one in (plan, both)]
    assert results[0] == results[1]
    assert len(results[0]) == 2


def test_run_that_fails_is_told_and_the_others_are_made(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    train_and_measure = running.train_and_measure

    def fails_for_lstm(plan: Plan, run: Run) -> Result:
        if run.variant == "lstm":
            raise OperatorError("the disk is full; make room")
        return train_and_measure(plan, run)

    monkeypatch.setattr(running, "train_and_measure", fails_for_lstm)
    failed, said = make(plan, "lstm", "base")
    assert failed == [Run("lstm", "b", 1)]
    assert "lstm, part b, seed 1: failed: the disk is full; make room" in said
    assert [result.variant for result in plan.done()] == ["base"]


def test_part_without_clips_of_sirens_is_told(plan: Plan) -> None:
    failed, said = make(plan, "base", part="empty")
    assert len(failed) == 1
    assert "part empty holds out no clips of sirens and others" in said


def test_unknown_part_and_damaged_results_end_it_at_once(plan: Plan) -> None:
    with pytest.raises(OperatorError, match="has no part 'z'; it has b, empty"):
        make(plan, "base", part="z")
    plan.out.mkdir()
    (plan.out / RESULTS_NAME).write_text('{"variant": "ba')
    with pytest.raises(OperatorError, match=r"results\.jsonl, line 1, is no result"):
        make(plan, "base")


def test_two_commands_do_not_work_in_one_folder(plan: Plan) -> None:
    plan.out.mkdir()
    with running._locked(plan.out / "lock", "held"), pytest.raises(OperatorError, match="another process works here"):
        make(plan, "base")
