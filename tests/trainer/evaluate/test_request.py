"""The command that cards and reports carry."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.evaluate.evaluation import Selection
from earshot_trainer.evaluate.request import EvaluateRequest

SELECTION = Selection(("$EARSHOT_DATA/urban/manifest.csv",), ("us8k-fold2",), (), ())


def test_models_are_named_from_the_working_directory_and_others_without_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    runs = (Path("runs/a"), tmp_path / "here" / "runs" / "b", tmp_path / "private" / "runs" / "c")
    line = EvaluateRequest(None, SELECTION, runs=runs, presets=Path("presets.json"), seed=2).command_line()
    assert line == (
        "trainer-cli evaluate --run runs/a --run runs/b --run runs/c --presets presets.json "
        "--data '$EARSHOT_DATA/urban/manifest.csv' --fold us8k-fold2 --seed 2"
    )


def test_graph_is_named_as_such() -> None:
    request = EvaluateRequest(Path("/elsewhere/runs/a/model.int8.onnx"), SELECTION)
    assert request.command_line().startswith("trainer-cli evaluate --onnx a/model.int8.onnx --data ")
