import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.tiny_corpus import TINY_RECIPE, make_corpus, write_recipe  # noqa: E402
from support.waiting import wait_until  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_trainer.corpus.cache import PcmCache  # noqa: E402
from earshot_trainer.packaging.held_out import check_held_out  # noqa: E402
from earshot_trainer.training import lineage  # noqa: E402
from earshot_trainer.training.checkpoint import load_checkpoint  # noqa: E402
from earshot_trainer.training.command import RunRequest, load_network, run_training  # noqa: E402
from earshot_trainer.training.run_record import load_run  # noqa: E402


def request(folder: Path, out: str, **values: object) -> RunRequest:
    manifest = folder / "corpus" / "manifest.csv"
    if not manifest.exists():
        make_corpus(manifest.parent)
    recipe = folder / "tiny.yaml"
    if not recipe.exists():
        write_recipe(folder)
    return RunRequest(
        recipe_path=recipe,
        manifests=(str(manifest),),
        out=folder / out,
        device="cpu",
        threads=1,
        cache=folder / "cache",
        **values,  # type: ignore[arg-type]
    )


def weights(model: Path) -> dict[str, "torch.Tensor"]:
    values: dict[str, torch.Tensor] = load_checkpoint(model)["network"]
    return values


def run_json(run: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run / "run.json").read_text())
    return values


def rewrite_manifest(run: RunRequest, change: Callable[[str], str | None]) -> None:
    """Change the recordings' lines; None takes one away."""
    manifest = Path(run.manifests[0])
    head, *lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([head, *filter(None, map(change, lines))]) + "\n")


def same(first: dict[str, "torch.Tensor"], second: dict[str, "torch.Tensor"]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_run_writes_model_and_what_it_was_made_of(tmp_path: Path) -> None:
    model = run_training(request(tmp_path, "run", folds=("fold1",), groups=("102",)))
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert load_network(model).config.labels == ("siren",)
    assert run["trained_on"]["siren_recordings"] == 1
    assert run["tested_on"]["siren_recordings"] == 1
    assert run["on_neither_side"]["siren_recordings"] == 1
    assert run["audio_licences"] == {"CC-BY": 2, "CC0": 1}
    assert len(run["dataset_sha256"]) == 64
    assert run["excluded"] == {"folds": ["fold1"], "groups": ["102"], "sources": []}
    assert run["training_groups"] == ["100", "200", "202"]
    assert run["teacher"] is None
    assert run["seed"] == 3
    assert 0.0 <= run["figures"]["clips"]["auc"] <= 1.0


def test_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first = weights(run_training(request(tmp_path, "first")))
    assert same(first, weights(run_training(request(tmp_path, "second"))))
    assert not same(first, weights(run_training(request(tmp_path, "third", overrides=("training.seed=4",)))))


@pytest.mark.slow
def test_killed_run_resumes_to_what_an_uninterrupted_one_gives(tmp_path: Path) -> None:
    longer = ("training.steps=60",)
    killed = request(tmp_path, "killed", overrides=longer)
    whole = weights(run_training(request(tmp_path, "whole", overrides=longer)))
    arguments = ["train", "--recipe", str(killed.recipe_path), "--data", killed.manifests[0], "--out", str(killed.out)]
    arguments += ["--set", longer[0], "--device", "cpu", "--threads", "1", "--cache", str(killed.cache)]
    program = [sys.executable, "-c", "from earshot_trainer.cli.main import main; main()", *arguments]
    with subprocess.Popen(program, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as child:
        wait_until(lambda: (killed.out / "checkpoint.pt").exists() or child.poll() is not None, 90.0, "a checkpoint")
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert not (killed.out / "model.pt").exists()
    done = load_checkpoint(killed.out / "checkpoint.pt")["steps_done"]
    assert 0 < done < 60
    assert same(weights(run_training(killed)), whole)


def test_another_recipe_does_not_resume_a_run(tmp_path: Path) -> None:
    run_training(request(tmp_path, "run"))
    with pytest.raises(OperatorError, match="another recipe"):
        run_training(request(tmp_path, "run", overrides=("training.learning_rate=0.001",)))


def test_other_siren_recordings_do_not_resume_a_run(tmp_path: Path) -> None:
    run_training(request(tmp_path, "run"))
    with pytest.raises(OperatorError, match="trained on other recordings") as caught:
        run_training(request(tmp_path, "run", groups=("100",)))
    assert "\n" not in str(caught.value)


def test_run_names_the_code_that_began_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "code_version", lambda: "began")
    run_training(request(tmp_path, "run"))
    (tmp_path / "run" / "run.json").unlink()
    monkeypatch.setattr(lineage, "code_version", lambda: "resumed")
    run_training(request(tmp_path, "run"))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["code_version"] == "began"


def test_finished_run_is_left_as_it_is_without_a_look_at_the_audio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = run_training(request(tmp_path, "run"))
    before = {path: path.stat().st_mtime_ns for path in model.parent.iterdir()}
    monkeypatch.setattr(PcmCache, "add", None)
    assert run_training(request(tmp_path, "run")) == model
    assert {path: path.stat().st_mtime_ns for path in model.parent.iterdir()} == before
    with pytest.raises(OperatorError, match="another recipe"):
        run_training(request(tmp_path, "run", overrides=("training.seed=4",)))


def test_finished_run_is_measured_again_on_other_recordings_and_where_what_it_says_is_cut(tmp_path: Path) -> None:
    held_out = request(tmp_path, "run", folds=("fold1",))
    model = run_training(held_out)
    trained, tested_on = model.read_bytes(), run_json(model.parent)["tested_on"]
    manifest = Path(held_out.manifests[0])
    lines = manifest.read_text().splitlines()
    without = next(line for line in lines if ",fold1" in line and "siren" not in line)
    manifest.write_text("\n".join(line for line in lines if line != without) + "\n")
    run_training(held_out)
    assert run_json(model.parent)["tested_on"]["recordings"] == tested_on["recordings"] - 1
    (model.parent / "run.json").write_text('{"cut": ')
    run_training(held_out)
    assert run_json(model.parent)["excluded"]["folds"] == ["fold1"]
    assert model.read_bytes() == trained


def test_curves_are_written_for_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_training(request(tmp_path, "run"))
    curves = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [point.step for point in curves.Scalars("loss")] == [10]
    assert curves.Scalars("segments_per_s")[0].value > 0


def test_missing_teacher_is_told_before_anything_is_decoded(tmp_path: Path) -> None:
    write_recipe(tmp_path, TINY_RECIPE + "teacher: {model: absent/yamnet.tflite, classes: [Dog]}\n")
    with pytest.raises(OperatorError, match=r"absent/yamnet\.tflite is missing; put yamnet\.tflite and .* there"):
        run_training(request(tmp_path, "run"))
    assert not (tmp_path / "cache").exists()
    run_training(request(tmp_path, "run", overrides=("teacher=null",)))


def test_corpus_without_sirens_is_an_error(tmp_path: Path) -> None:
    make_corpus(tmp_path / "corpus", sirens=0)
    write_recipe(tmp_path, TINY_RECIPE.replace("sirens: 2", "sirens: 0"))
    with pytest.raises(OperatorError, match="no siren to learn from"):
        run_training(request(tmp_path, "run"))


def test_absent_cuda_is_said_and_refused_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    from earshot_trainer.training.command import choose_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto", Console()).type == "cpu"
    assert "no CUDA device: training on the CPU" in capsys.readouterr().out
    with pytest.raises(OperatorError, match="no CUDA device here"):
        choose_device("cuda", Console())
    with pytest.raises(OperatorError, match="unknown device"):
        choose_device("abacus", Console())


def test_damaged_checkpoint_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(OperatorError, match="cannot be read as a checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_training_goes_on_from_an_earlier_model_and_says_so(tmp_path: Path) -> None:
    first = run_training(request(tmp_path, "first", folds=("fold1",)))
    no_step = ("training.learning_rate=1e-12", "training.weight_decay=0", "training.seed=8")
    model = run_training(request(tmp_path, "more", folds=("fold1",), start=tmp_path / "first", overrides=no_step))
    started = weights(first)
    learned = {name: value for name, value in weights(model).items() if "running" not in name}
    assert all(torch.allclose(value.float(), started[name].float()) for name, value in learned.items() if value.ndim)
    record = json.loads((tmp_path / "more" / "run.json").read_text())["started_from"]
    settings = json.loads((tmp_path / "first" / "run.json").read_text())["recipe"]["training"]
    assert (record["recipe"], record["seed"]) == ("tiny", 3)
    assert record["segments"] == settings["steps"] * settings["batch_size"]
    again = run_training(request(tmp_path, "again", folds=("fold1",), start=tmp_path / "more"))
    assert not same(weights(model), weights(again))
    record = json.loads((tmp_path / "again" / "run.json").read_text())["started_from"]
    assert record["segments"] == 2 * settings["steps"] * settings["batch_size"]


def test_training_starts_from_no_model_that_heard_what_is_held_out_or_has_another_network(tmp_path: Path) -> None:
    run_training(request(tmp_path, "first"))
    start = tmp_path / "first"
    with pytest.raises(
        OperatorError, match=r"first: it was trained on \d original recordings that this training keeps"
    ):
        run_training(request(tmp_path, "held", folds=("fold1",), start=start))
    with pytest.raises(OperatorError, match=r"its model\.hidden differs from the recipe's"):
        run_training(request(tmp_path, "other", start=start, overrides=("model.hidden=24",)))


def test_training_starts_from_no_retraining(tmp_path: Path) -> None:
    run_training(request(tmp_path, "first"))
    record = tmp_path / "first" / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"retraining": {"seed": 1}}))
    with pytest.raises(OperatorError, match=r"a household's retraining, which does not list what its base heard"):
        run_training(request(tmp_path, "more", start=tmp_path / "first"))


def test_recordings_that_only_the_start_heard_are_told_with_their_licences_and_stay_heard(tmp_path: Path) -> None:
    first, more, last = (request(tmp_path, name) for name in ("first", "more", "last"))
    rewrite_manifest(first, lambda line: line.replace("CC-BY", "CC BY-NC 3.0") if line.startswith("noise0") else line)
    run_training(first)
    rewrite_manifest(more, lambda line: None if line.startswith(("siren2", "noise0")) else line)
    run_training(replace(more, start=first.out))
    run_training(replace(last, start=more.out))
    assert run_json(more.out)["trained_on"]["recordings"] == 5
    for run in (more.out, last.out):
        values = run_json(run)
        assert values["training_groups"] == run_json(first.out)["training_groups"]
        assert values["started_from"]["heard_besides"] == ["102", "200"]
        assert values["audio_licences"] == {"CC BY-NC 3.0": 1, "CC-BY": 3, "CC0": 3}
        assert "NON-COMMERCIAL" in load_run(run).weights_licence()


@pytest.mark.parametrize("kept_out", [{"folds": ("fold1",)}, {"groups": ("102",)}, {"groups": ("200",)}])
def test_training_starts_from_no_model_that_heard_what_is_tested_or_kept_out(
    tmp_path: Path, kept_out: dict[str, tuple[str, ...]]
) -> None:
    first, more = request(tmp_path, "first"), request(tmp_path, "more", **kept_out)
    run_training(first)
    rewrite_manifest(more, lambda line: None if line.startswith("noise0") else line)  # 200 is named though it is gone
    with pytest.raises(OperatorError, match="original recordings that this training keeps out, such as"):
        run_training(replace(more, start=first.out))


def test_start_may_have_heard_what_is_gone_where_another_part_is_held_out(tmp_path: Path) -> None:
    first, more = (request(tmp_path, name, folds=("fold1",)) for name in ("first", "more"))
    run_training(first)
    rewrite_manifest(more, lambda line: None if line.startswith("siren2") else line)
    run_training(replace(more, start=first.out))
    record = load_run(more.out).model_copy(update={"graphs": {"cd" * 32: "int8.onnx"}})
    for group, problem in (("101", None), ("102", "its model was trained on 1 of the 1 original recordings")):
        measured = {"subject": {"model_sha256": "cd" * 32}, "protocol": {"groups": [group], "not_read": 0}}
        with nullcontext() if problem is None else pytest.raises(OperatorError, match=problem):
            assert check_held_out({"held_out": measured}, record, ()) == "this"


def test_checkpoint_that_began_with_other_weights_is_not_resumed(tmp_path: Path) -> None:
    run_training(request(tmp_path, "first"))
    run_training(request(tmp_path, "more"))
    with pytest.raises(OperatorError, match="began with other weights"):
        run_training(request(tmp_path, "more", start=tmp_path / "first"))
