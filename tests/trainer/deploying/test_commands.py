"""What the command line of deploy, rollback and releases takes, and says without a node or a broker."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.deploying import release_file
from support.trainer_home import make_home

from earshot_node.errors import BundleError, EarshotError, OperatorError
from earshot_trainer.cli.duration import Duration
from earshot_trainer.cli.main import cli
from earshot_trainer.home.folder import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    made = make_home(tmp_path / "home", broker_port=1)  # nobody listens there
    monkeypatch.setenv("EARSHOT_HOME", str(made.folder))
    return made


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("30m", 1800.0), ("2h", 7200.0), ("1d", 86400.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "5 m", "5w", "1e9", "nan"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


@pytest.mark.parametrize(
    "words",
    [["--shadow", "--offer"], ["--canary", "hall", "--no-wait"], ["--canary", "hall", "--offer"], ["--watch", "5m"]],
)
def test_contradictions_are_usage_errors(words: list[str]) -> None:
    assert CliRunner().invoke(cli, ["deploy", *words]).exit_code == 2


@pytest.mark.parametrize("command", ["deploy", "retrain"])
def test_watch_without_a_canary_is_refused_in_one_line(home: Home, command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--watch", "5m"])
    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == (
        "Error: --watch is how long a canary is watched; name one with --canary NODE"
    )
    assert not (home.folder / "runs").exists()


def failure(*words: str) -> EarshotError:
    result = CliRunner().invoke(cli, list(words))
    assert isinstance(result.exception, EarshotError), result.output
    assert "\n" not in str(result.exception)
    return result.exception


def test_empty_home_says_what_to_do(home: Home) -> None:
    assert "there is no release" in str(failure("deploy"))
    assert "no node has joined" in str(failure("rollback"))
    result = CliRunner().invoke(cli, ["releases"])
    assert "no release yet; next:" in result.output


def test_file_that_this_trainer_has_not_signed_becomes_no_release(home: Home, tmp_path: Path) -> None:
    for key in (None, make_home(tmp_path / "other").key):
        bundle = release_file(home, tmp_path, "2099.1.0", key=key)
        error = failure("deploy", str(bundle))
        assert isinstance(error, BundleError)
        assert "signed" in str(error)
    assert list((home.folder / "models").iterdir()) == []


def test_version_is_one_bundle_for_ever(home: Home, tmp_path: Path) -> None:
    first = release_file(home, tmp_path, "2099.1.0")
    assert "no node has joined" in str(failure("deploy", str(first)))  # it is a release by now
    other = release_file(home, tmp_path, "2099.1.0", edit=lambda manifest: manifest.update(licence="another"))
    error = failure("deploy", str(other))
    assert isinstance(error, OperatorError)
    assert "another bundle of version 2099.1.0" in str(error)
    assert len(list((home.folder / "models").iterdir())) == 1
