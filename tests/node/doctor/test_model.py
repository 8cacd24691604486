"""Doctor: bundle, labels, speed."""

from pathlib import Path

import pytest
from support.bundles import build_bundle

from earshot_node.contract.config import NodeConfig
from earshot_node.doctor.model import check_model, judge_speed


def config(**values: object) -> NodeConfig:
    node = {"node": {"id": "hall"}, "sources": [{"id": "a", "type": "microphone"}]}
    return NodeConfig.model_validate({**node, **values})


def test_bundled_model_passes_its_self_test_here() -> None:
    model, speed = check_model(None)
    assert (model.outcome, model.check) == ("ok", "model")
    assert "hears siren" in model.what
    assert (speed.outcome, speed.check) == ("ok", "speed")


def test_corrupt_bundle_fails(tmp_path: Path) -> None:
    path = tmp_path / "broken.earshot"
    path.write_bytes(build_bundle()[:-2000])
    (finding,) = check_model(config(model={"bundle": str(path)}))
    assert finding.outcome == "fail"
    assert "broken.earshot" in finding.what


def test_unsigned_bundle_fails(tmp_path: Path) -> None:
    path = tmp_path / "mine.earshot"
    path.write_bytes(build_bundle())
    (finding,) = check_model(config(model={"bundle": str(path)}))
    assert finding.outcome == "fail"


def test_label_that_the_model_lacks_fails() -> None:
    findings = check_model(config(labels=["siren", "glass"]))
    assert [(one.check, one.outcome) for one in findings] == [("model", "ok"), ("labels", "fail"), ("speed", "ok")]
    assert "'glass'" in findings[1].what


@pytest.mark.parametrize(
    ("factor", "sources", "outcome"), [(0.01, 4, "ok"), (0.2, 3, "warn"), (0.3, 4, "fail"), (1.0, 1, "fail")]
)
def test_speed_counts_all_sources(factor: float, sources: int, outcome: str) -> None:
    assert judge_speed(factor, sources).outcome == outcome
