"""A home is made once, closed to others, completed after a cut, and never overwritten."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.trainer_home import make_home

from earshot_node.errors import ConfigError, OperatorError
from earshot_trainer.cli.init import command
from earshot_trainer.home.config import load_trainer_config
from earshot_trainer.home.folder import create_home, home_folder, open_home

SETTINGS = {"url": "http://trainer.lan:8770", "mqtt": {"host": "broker.lan"}}


def init(folder: Path, *options: str) -> str:
    result = CliRunner().invoke(command, ["--home", str(folder), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def modes(folder: Path) -> dict[str, int]:
    return {str(one.relative_to(folder)): stat.S_IMODE(one.stat().st_mode) for one in folder.rglob("*")}


def test_new_home_is_closed_to_everybody_else(tmp_path: Path) -> None:
    init(tmp_path / "home")
    found = modes(tmp_path)
    assert found.pop("home") == 0o700
    assert found.pop("home/keys/trainer.key") == 0o600
    assert found == {
        "home/catalogue.sqlite": 0o600,
        "home/incoming": 0o700,
        "home/keys": 0o700,
        "home/models": 0o700,
        "home/recordings": 0o700,
        "home/trainer.yaml": 0o600,
    }


def test_second_init_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    init(home, "--url", "http://trainer.lan:8770", "--broker", "broker.lan")
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert "nothing was changed" in init(home, "--url", "http://trainer.lan:8770")
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"url": "http://other:1"}, "url: http://trainer.lan:8770"), ({"mqtt": {"host": "other"}}, "mqtt.host")],
)
def test_other_settings_are_refused_and_nothing_is_overwritten(
    tmp_path: Path, settings: dict[str, object], text: str
) -> None:
    create_home(tmp_path / "home", SETTINGS)
    before = (tmp_path / "home" / "trainer.yaml").read_text()
    with pytest.raises(OperatorError, match=text):
        create_home(tmp_path / "home", settings)
    assert (tmp_path / "home" / "trainer.yaml").read_text() == before


def test_half_made_home_is_completed_and_keeps_its_key(tmp_path: Path) -> None:
    home, _ = create_home(tmp_path / "home", SETTINGS)
    key = home.key_file.read_bytes()
    (home.folder / "trainer.yaml").unlink()
    (home.folder / "recordings").rmdir()
    again, written = create_home(tmp_path / "home", SETTINGS)
    assert again.key_file.read_bytes() == key
    assert {path.name for path in written} == {"recordings", "trainer.yaml"}


def test_folder_with_other_files_is_not_made_a_home(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OperatorError, match=r"holds other files, such as letter\.txt"):
        create_home(tmp_path, SETTINGS)
    assert [one.name for one in tmp_path.iterdir()] == ["letter.txt"]


def test_home_is_found_by_flag_then_by_environment(tmp_path: Path) -> None:
    assert home_folder(tmp_path, {"EARSHOT_HOME": "/other"}) == tmp_path
    assert home_folder(None, {"EARSHOT_HOME": "/other"}) == Path("/other")
    assert home_folder(None, {"XDG_DATA_HOME": "/data"}) == Path("/data/earshot-trainer")
    with pytest.raises(OperatorError, match="trainer-cli init"):
        open_home(tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("url: http://a\nmqtt: {hosst: b}", r"trainer\.yaml:2: mqtt\.hosst: unknown key; did you mean 'host'\?"),
        ("url: ftp://a", r"trainer\.yaml:1: url: "),
        ("mqtt: {host: b}", r"trainer\.yaml: url: field required"),
        ("url: http://a\nurl: http://b", r"trainer\.yaml:2: 'url' stands here and in line 1"),
    ],
)
def test_mistake_in_the_configuration_is_one_line_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "trainer.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_trainer_config(path)
    assert "\n" not in str(caught.value)


def test_database_password_does_not_show(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", catalogue="postgresql://u:hunter2@db/earshot")
    assert "hunter2" not in repr(home)
