"""The checkpoint that ships with the trainer is the shipped model's, in floating point."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import load_bundled
from earshot_trainer.packaging.base import base_folder, check_belongs, install_base, load_base

pytestmark = pytest.mark.torch


def test_base_and_bundle_name_the_same_version_and_graph() -> None:
    check_belongs(load_base(), load_bundled())


def test_base_hears_the_reference_clips_as_the_bundle_expects(tmp_path: Path) -> None:
    """Together with whom the bundle's graph asks for a second opinion; that is no part of the base."""
    import onnx

    from earshot_trainer.graph.export import export_float
    from earshot_trainer.graph.session import GraphSession
    from earshot_trainer.network.model import ModelConfig, StreamingCrnn
    from earshot_trainer.second_opinion.joining import join, second_of

    base, bundle = load_base(), load_bundled()
    network = StreamingCrnn(ModelConfig.from_dict(base.values["config"]))
    network.load_state_dict(base.values["network"])
    export_float(network.eval(), tmp_path / "model.onnx")
    if (second := second_of(onnx.load_from_string(bundle.model))) is not None:
        onnx.save(join(onnx.load(tmp_path / "model.onnx"), second, network.config.labels), tmp_path / "model.onnx")
    session = GraphSession(tmp_path / "model.onnx")
    assert len(bundle.manifest.reference_clips) >= 3
    for clip in bundle.manifest.reference_clips:
        samples, expected = bundle.reference(clip)
        found = session.run(samples[: len(expected) * 640][None]).posteriors[0]
        assert np.abs(found - expected).max() < clip.tolerance


def test_base_holds_weights_and_nothing_of_the_optimizer() -> None:
    values = load_base().values
    assert set(values) == {"network", "config", "recipe", "schema"}
    (file,) = base_folder().glob("*.pt")
    numbers = sum(value.numel() for value in values["network"].values())
    assert 4 * numbers < file.stat().st_size < 4 * numbers + 100_000


def test_damaged_base_is_refused(tmp_path: Path) -> None:
    shutil.copytree(base_folder(), tmp_path / "models")
    (file,) = (tmp_path / "models").glob("*.pt")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(OperatorError, match="damaged"):
        load_base(tmp_path / "models")


def test_base_of_another_version_does_not_belong(tmp_path: Path) -> None:
    shutil.copytree(base_folder(), tmp_path / "models")
    pin = json.loads((tmp_path / "models" / "base.json").read_text())
    (tmp_path / "models" / "base.json").write_text(json.dumps(pin | {"version": "2026.1.0"}))
    with pytest.raises(OperatorError, match=r"belongs to model 2026\.1\.0"):
        check_belongs(load_base(tmp_path / "models"), load_bundled())


def test_installed_base_replaces_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "siren-2025.1.0.pt").write_bytes(b"old")
    base = load_base()
    shutil.copyfile(base_folder() / base.pin.file, tmp_path / "model.pt")
    target = install_base(tmp_path, load_bundled(), tmp_path / "models")
    assert [path.name for path in (tmp_path / "models").glob("*.pt")] == [target.name]
    check_belongs(load_base(tmp_path / "models"), load_bundled())
