"""`node-cli config`."""

import json
from pathlib import Path

import pytest
import yaml

from earshot_node.cli.lazy_group import run_program
from earshot_node.cli.main import cli
from earshot_node.configuration.schema import config_schema
from earshot_node.inference.bundle import load_bundled


def test_check_prints_the_effective_configuration(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(repository / "config" / "house.yaml")
    assert run_program(cli, "node-cli", ["config", "check", path, "--set", "mqtt.host=flag.lan"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["mqtt"]["host"] == "flag.lan"
    assert shown["mqtt"]["keepalive_s"] == 30
    assert "change-me" not in str(shown)


def test_check_lists_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("sources: [{id: a, type: microfone}]\nmqtt: {prot: 1}\n")
    assert run_program(cli, "node-cli", ["config", "check", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(": ")[:2] for line in captured.err.splitlines()] == [
        ["error", f"{path}:1"],
        ["error", f"{path}:2"],
    ]


def test_check_compares_labels_with_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("sources: [{id: a, type: microphone}]\nlabels:\n  - siren\n  - sirene\n")
    assert run_program(cli, "node-cli", ["config", "check", str(path)]) == 1
    known = ", ".join(load_bundled().manifest.labels)
    assert capsys.readouterr().err == (
        f"error: {path}:4: labels: the model does not know 'sirene', it hears {known}; did you mean 'siren'?\n"
    )


def test_check_opens_the_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("sources: [{id: a, type: microphone}]\nmodel: {bundle: absent.earshot}\n")
    assert run_program(cli, "node-cli", ["config", "check", str(path)]) == 1
    assert "absent.earshot: cannot read the bundle" in capsys.readouterr().err


def test_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(cli, "node-cli", ["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == config_schema()
