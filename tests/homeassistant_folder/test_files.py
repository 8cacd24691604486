"""What people copy from homeassistant/ and read about it: well-formed, complete, and of no machine in particular."""

import re
import subprocess
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "homeassistant"
PAGE = REPOSITORY / "docs/home-assistant.md"
# Written in two parts, as in test_repository.py.
UNWANTED = (
    "/wo" + "rk/",
    "/tmp/" + "venv",
    "/ro" + "ot/.",
    "pypi" + ".org",
    "python" + "hosted",
    "deb." + "debian.org",
)


def tracked(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_no_file_names_a_machine_or_a_package_registry() -> None:
    files = [path for path in tracked(FOLDER) if path.suffix != ".png"] + [PAGE]
    assert len(files) > 20
    assert [(path, word) for path in files for word in UNWANTED if word in path.read_text()] == []


def test_yaml_files_are_yaml() -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!input", lambda _loader, node: node.value)
    files = [path for path in tracked(FOLDER) if path.suffix == ".yaml"]
    assert len(files) >= 11
    for path in files:
        assert isinstance(yaml.load(path.read_text(), Loader), dict), path


def test_page_names_every_blueprint_and_shows_pictures_that_exist() -> None:
    text = PAGE.read_text()
    blueprints = {path.name for path in (FOLDER / "blueprints/automation/earshot").glob("*.yaml")}
    assert set(re.findall(r"^\| `(\w+\.yaml)` \|", text, re.MULTILINE)) == blueprints
    pictures = [PAGE.parent / name for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)]
    assert len(pictures) >= 3
    for picture in pictures:
        assert picture.stat().st_size < 150_000, picture


def test_build_script_says_how_to_use_it() -> None:
    done = subprocess.run([FOLDER / "apps/build", "--help"], capture_output=True, text=True, check=True)
    assert "homeassistant/apps/build [OUT]" in done.stdout


def test_pictures_of_the_apps_are_what_the_script_draws(tmp_path: Path) -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("draw_icons", FOLDER / "apps/draw_icons.py")
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    for app, colour in drawing.COLOURS.items():
        assert (FOLDER / "apps" / app / "icon.png").read_bytes() == drawing.encode_png(drawing.draw(128, 128, colour))
