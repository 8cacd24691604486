"""What holds for the repository as a whole: its size rules, its scripts, and that README.md tells the truth."""

import ast
import os
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import yaml

from earshot_node.cli.main import cli as node_cli
from earshot_node.configuration.file import load_config
from earshot_node.configuration.schema import environment_names
from earshot_node.contract.messages import ModelInfo, NodeInfo
from earshot_node.mqtt.discovery import announcements

REPOSITORY = Path(__file__).resolve().parent.parent
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
UNWANTED_NAMES = {"utils.py", "helpers.py", "manager.py"}
# Written in two parts, so that this file passes its own test.
MACHINE_PATHS = ("/wo" + "rk/", "/tmp/" + "venv", "/ro" + "ot/.")
REGISTRY_HOSTS = ("pypi" + ".org", "python" + "hosted", "deb." + "debian.org", "npm" + "js.", "astral" + ".sh")
OWN_FOLDERS = ("node", "trainer", "config", "deploy", "scripts", "tests", ".ci")


def own_files() -> list[Path]:
    """Every text file of the project."""
    folders = [path for name in OWN_FOLDERS for path in (REPOSITORY / name).rglob("*")]
    files = [*folders, REPOSITORY / "README.md", REPOSITORY / "pyproject.toml"]
    binary = {".earshot", ".onnx", ".pt", ".pyc", ".flac", ".wav"}
    return [path for path in files if path.is_file() and path.suffix not in binary]


def python_files() -> list[Path]:
    return [path for path in own_files() if path.suffix == ".py"]


def readme_blocks(language: str) -> list[str]:
    text = (REPOSITORY / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def readme_commands() -> list[list[str]]:
    """Every command line of README.md, in words; comments and line continuations resolved."""
    text = "\n".join(readme_blocks("sh")).replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def parse_by(group: click.Command, words: list[str]) -> None:
    """Let click parse a command line as it would before running it; raises what a user would be told."""
    context = click.Context(group, info_name="program")
    while words and isinstance(group, click.Group):
        command = group.get_command(context, words[0])
        assert command is not None, f"no command {words[0]!r}"
        group, words = command, words[1:]
    group.make_context("program", list(words), parent=context)


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {path: path.read_text().count("\n") for path in python_files()}
    assert len(lengths) > 100
    assert {str(path): lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    def functions() -> Iterator[tuple[str, int]]:
        for path in python_files():
            for found in ast.walk(ast.parse(path.read_text())):
                if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{path}:{found.lineno} {found.name}", (found.end_lineno or 0) - found.lineno + 1

    lengths = dict(functions())
    assert len(lengths) > 500
    assert {where: lines for where, lines in lengths.items() if lines > MOST_FUNCTION_LINES} == {}


def test_file_names_say_what_is_inside() -> None:
    assert [path for path in python_files() if path.name in UNWANTED_NAMES or path.name.startswith("process_")] == []


def test_no_file_names_a_machine_or_a_package_registry() -> None:
    found = [
        f"{path}: {word}"
        for path in own_files()
        for word in (*MACHINE_PATHS, *REGISTRY_HOSTS)
        if word in path.read_text(errors="replace")
    ]
    assert found == []


def test_no_text_asks_an_index_for_a_package_of_our_name() -> None:
    by_name = re.compile(r"pip install (?:-\S+ )*['\"]?earshot\b")
    assert by_name.search("pip" + " install 'earshot[mic]'")
    others = [path for name in ("docs", "homeassistant") for path in (REPOSITORY / name).rglob("*") if path.is_file()]
    files = [*own_files(), *others]
    assert len(others) > 20
    assert [str(path) for path in files if by_name.search(path.read_text(errors="replace"))] == []


def test_microphones_of_the_examples_are_named_as_the_node_names_them() -> None:
    texts = [(REPOSITORY / "README.md").read_text(), *(path.read_text() for path in REPOSITORY.glob("config/*.yaml"))]
    named = [device for text in texts for device in re.findall(r"^ +device: (usb-\S+)", text, re.MULTILINE)]
    vendor_product_serial_controller_ports = (
        r"usb-[0-9a-f]{4}_[0-9a-f]{4}(_\S+)?-[0-9a-f]{4}(:[0-9a-f]{2}){2}\.\d-[\d.]+"
    )
    assert len(named) >= 3
    assert [device for device in named if not re.fullmatch(vendor_product_serial_controller_ports, device)] == []


def test_node_imports_neither_torch_nor_the_trainer() -> None:
    files = sorted((REPOSITORY / "node").rglob("*.py"))
    imported = {
        (str(path), name.split(".")[0])
        for path in files
        for found in ast.walk(ast.parse(path.read_text()))
        for name in imported_names(found)
    }
    assert len(files) > 50
    assert [pair for pair in imported if pair[1] in ("torch", "torchaudio", "earshot_trainer")] == []


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []


def test_every_script_is_executable_and_begins_with_how_to_use_it() -> None:
    scripts = [path for path in (REPOSITORY / "scripts").iterdir() if path.is_file() and not path.suffix]
    scripts += [REPOSITORY / ".ci/run", *(REPOSITORY / "deploy").rglob("*.sh")]
    assert len(scripts) >= 8
    for script in scripts:
        first, second, *_ = script.read_text().splitlines()
        assert (first, second[:2]) == ("#!/usr/bin/env bash", "# "), script
        assert os.access(script, os.X_OK), script


def test_readme_names_files_that_exist() -> None:
    text = (REPOSITORY / "README.md").read_text()
    named = re.findall(r"`((?:scripts|config|deploy|docs|homeassistant|node|trainer|\.ci)/[^\s`*]+)[^`]*`", text)
    assert len(named) > 10
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_readme_commands_of_the_node_are_understood_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    (tmp_path / "node.yaml").symlink_to(REPOSITORY / "config/node.yaml")
    monkeypatch.chdir(tmp_path)
    commands = [words[1:] for words in readme_commands() if words[0] in ("scripts/node", "node-cli")]
    assert len(commands) >= 4
    for words in commands:
        parse_by(node_cli, words)


@pytest.mark.torch
def test_readme_commands_of_the_trainer_are_understood_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from earshot_trainer.cli.main import cli as trainer_cli

    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    for name in ("a/model.pt", "a/run.json"):
        (tmp_path / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / name).touch()
    monkeypatch.chdir(tmp_path)
    commands = [words[1:] for words in readme_commands() if words[0] == "scripts/trainer"]
    assert len(commands) >= 9
    for words in commands:
        parse_by(trainer_cli, words)


def test_a_command_with_a_wrong_option_would_be_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parse_by(node_cli, ["devices", "--colour"])


def test_readme_configuration_is_valid_and_its_entities_are_those_announced(tmp_path: Path) -> None:
    example = next(block for block in readme_blocks("yaml") if "sources:" in block)
    (tmp_path / "node.yaml").write_text(example)
    (tmp_path / "mqtt-password").write_text("secret")
    config = load_config(tmp_path / "node.yaml", {})
    info = NodeInfo(
        node=config.node.id,
        name="",
        version="1",
        model=ModelInfo(name="siren", version="1", labels=config.labels),
        labels=config.labels,
        sources=(),
        started=datetime.now(UTC),
    )
    payloads = announcements(config, info)
    announced = {part["default_entity_id"] for payload in payloads.values() for part in payload["components"].values()}
    text = (REPOSITORY / "README.md").read_text()
    named = set(re.findall(r"\b(?:binary_sensor|button|event|image|number|sensor|switch|update)\.attic\w*", text))
    assert len(named) >= 8
    assert named <= announced


def test_readme_automation_is_yaml_of_today() -> None:
    automation = yaml.safe_load(next(block for block in readme_blocks("yaml") if "triggers:" in block))
    assert {"triggers", "actions"} <= set(automation)


def test_readme_names_environment_variables_that_exist() -> None:
    named = set(re.findall(r"EARSHOT_[A-Z_]+", (REPOSITORY / "README.md").read_text())) - {"EARSHOT_DATA"}
    assert named
    assert named <= set(dict(environment_names()))
