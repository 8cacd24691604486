"""`scripts/debian-sounds` fetches packages, gathers their audio and keeps their copyright file; by real packages."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TRAINER = """\
#!/usr/bin/env bash
# Stands for the trainer: writes down what it was asked for and what audio lay there.
echo "$*" >>calls.txt
(cd "$3" && find . -type f | LC_ALL=C sort) >files.txt
mkdir -p "$7" && touch "$7/manifest.csv"
"""
APT_GET = """\
#!/usr/bin/env bash
# Stands for apt-get: its archive is a folder.
echo "$3" >>"$ARCHIVE/fetched.txt"
[ -f "$ARCHIVE/$3_1_all.deb" ] || { echo "E: Unable to locate package $3" && exit 100; }
cp "$ARCHIVE/$3_1_all.deb" .
"""

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is missing: apt-get install dpkg")


@pytest.fixture
def clone(repository: Path, tmp_path: Path) -> Path:
    """The scripts in a folder of their own, with a trainer that only notes its calls, and an archive of one package."""
    folder, archive = tmp_path / "clone", tmp_path / "archive"
    shutil.copytree(repository / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "scripts/trainer").write_text(TRAINER)
    for name, text in (("DEBIAN/control", CONTROL), ("usr/share/doc/a-game-data/copyright", "GPL-2+\n")):
        _write(tmp_path / "package" / name, text)
    for name in ("music/theme.ogg", "shots/LASER.WAV", "pictures/hero.png"):
        _write(tmp_path / "package/usr/share/games/a-game" / name, "content")
    for name in ("data/README", "models/yamnet.tflite", "models/yamnet_class_map.csv"):
        _write(tmp_path / name, "content")
    archive.mkdir()
    _write(tmp_path / "bin/apt-get", APT_GET)
    (tmp_path / "bin/apt-get").chmod(0o755)
    command = ["dpkg-deb", "--build", "--root-owner-group", tmp_path / "package", archive / "a-game-data_1_all.deb"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


CONTROL = """\
Package: a-game-data
Version: 1
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: sounds of a game
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def fetch(clone: Path, *arguments: str) -> tuple[int, str]:
    """Run the script; returns its exit code and what it printed."""
    environ = os.environ | {
        "EARSHOT_DATA": str(clone.parent / "data"),
        "ARCHIVE": str(clone.parent / "archive"),
        "PATH": f"{clone.parent / 'bin'}:{os.environ['PATH']}",
    }
    command = [clone / "scripts/debian-sounds", "--out", clone / "sounds", *arguments]
    done = subprocess.run(command, env=environ, cwd=clone, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_audio_of_a_package_is_gathered_with_the_teacher_listening(clone: Path) -> None:
    code, text = fetch(clone, "--package", "a-game-data")
    assert code == 0, text
    assert (clone / "files.txt").read_text().split() == [
        "./usr/share/games/a-game/music/theme.ogg",
        "./usr/share/games/a-game/shots/LASER.WAV",
    ]
    call = (clone / "calls.txt").read_text()
    assert "--name Debian games --out" in call  # all packages are one source
    assert f"--teacher {clone.parent}/data/../models/yamnet.tflite" in call
    assert (clone / "sounds/a-game-data/copyright").read_text() == "GPL-2+\n"


def test_what_is_there_is_not_fetched_again(clone: Path) -> None:
    for _ in range(2):
        fetch(clone, "--package", "a-game-data")
    assert (clone.parent / "archive/fetched.txt").read_text().split() == ["a-game-data"]


def test_a_package_that_this_release_lacks_is_left_out_and_named(clone: Path) -> None:
    code, text = fetch(clone, "--package", "no-game-data", "--package", "a-game-data")
    assert code == 0
    assert "Unable to locate package no-game-data" in text
    assert "left out: no-game-data" in text
    assert (clone / "sounds/a-game-data/manifest.csv").exists()


def test_no_package_at_all_is_an_error(clone: Path) -> None:
    code, text = fetch(clone, "--package", "no-game-data")
    assert code == 1
    assert "no package could be had" in text


@pytest.mark.parametrize("name", ["yamnet.tflite", "yamnet_class_map.csv"])
def test_nothing_is_fetched_without_the_teacher_that_is_to_listen(clone: Path, name: str) -> None:
    (clone.parent / "models" / name).unlink()
    code, text = fetch(clone, "--package", "a-game-data")
    assert code == 1
    file = f"{clone.parent}/data/../models/{name}"
    assert text == f"error: the teacher's file {file} is missing; put it there, or build --without-sounds\n"
    assert not (clone.parent / "archive/fetched.txt").exists()


def test_sounds_that_are_there_already_need_no_teacher(clone: Path) -> None:
    fetch(clone, "--package", "a-game-data")
    (clone.parent / "models/yamnet.tflite").unlink()
    assert fetch(clone, "--package", "a-game-data") == (0, "")


def test_packages_are_listed_without_fetching_any(clone: Path) -> None:
    code, text = fetch(clone, "--list")
    assert code == 0
    assert "warzone2100-music" in text.split()
    assert not {"naev-data", "hyperrogue-music"} & set(text.split())
    assert not (clone.parent / "archive/fetched.txt").exists()
