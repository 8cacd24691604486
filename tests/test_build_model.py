"""`scripts/build-model` goes on where it was: a step is done once for the same recipe, split and manifests."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support.waiting import wait_until

TRAINER = """\
#!/usr/bin/env bash
# Stands for the trainer: writes down what it was asked for and makes the files that the next step reads.
echo "$*" >>calls.txt
[ ! -f stop-at ] || [ "$(cat stop-at)" != "$1" ] || exit 1
if [ -f endless ] && [ "$1" = train ]; then
    echo $$ >>endless
    while [ -f endless ]; do sleep 0.1; done
fi
if [ -f slowly ] && [ "$1" = train ]; then
    mkdir -p alive && touch "alive/$$" && ls alive | wc -l >>beside.txt && sleep 0.5 && rm "alive/$$"
fi
while [ "$#" -gt 0 ]; do
    case "$1" in
    --out)
        case "$2" in
        *.earshot) echo bundle >"$2" ;;
        *) mkdir -p "$2" && touch "$2"/{model.pt,model.int8.onnx,run.json,manifest.csv} ;;
        esac
        ;;
    --json | --choose-presets) echo "{}" >"$2" ;;
    esac
    shift
done
"""

DEBIAN_SOUNDS = """\
#!/usr/bin/env bash
# Stands for scripts/debian-sounds, which fetches packages: two corpora.
[ ! -f no-teacher ] || exit 1
[ "${3:-}" != --check ] || exit 0
[ ! -f no-sounds ] || exit 1
mkdir -p "$2"/{one-music,two-data} && echo path,label | tee "$2"/{one-music,two-data}/manifest.csv >/dev/null
"""

RECIPES = ["config/recipes/siren.yaml"]
SOUNDFONTS = ("sf2/FluidR3_GM.sf2", "sf3/MuseScore_General.sf3", "sf2/OPL-3_FM_128M.sf2")
MUSIC = ["corpora"] * len(SOUNDFONTS)
LEARNING = ("train", "other-labels", "second-opinion")
MODEL = (*("train" for _ in RECIPES), "other-labels", "second-opinion", "quantize")


@pytest.fixture
def clone(repository: Path, tmp_path: Path) -> Path:
    """The script in a folder of its own, with a trainer that only notes its calls, and a corpus of two manifests."""
    folder = tmp_path / "clone"
    shutil.copytree(repository / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(repository / "config", folder / "config")
    (folder / "scripts/trainer").write_text(TRAINER)
    (folder / "scripts/debian-sounds").write_text(DEBIAN_SOUNDS)
    (folder / "node/earshot_node/models").mkdir(parents=True)
    (folder / "node/earshot_node/models/bundled.json").write_text('{"sha256": "none"}')
    for name in ("urban", "negatives"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "manifest.csv").write_text("path,label\n")
    for name in SOUNDFONTS:
        (tmp_path / "sounds" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sounds" / name).write_text("instruments")
    return folder


def build(clone: Path, *arguments: str) -> tuple[int, list[str], str]:
    """Run the script; returns its exit code, the trainer's commands in order, and what it printed."""
    (clone / "calls.txt").write_text("")
    environ = os.environ | {"EARSHOT_DATA": str(clone.parent / "data")}
    command = [clone / "scripts/build-model", "--soundfonts", clone.parent / "sounds", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, (clone / "calls.txt").read_text().splitlines(), done.stdout + done.stderr


def kinds(calls: list[str]) -> list[str]:
    return [call.split()[0] for call in calls]


def test_every_part_is_held_out_once_and_the_shipped_weights_hear_everything(clone: Path) -> None:
    code, calls, text = build(clone)
    assert code == 0, text
    assert kinds(calls) == [*MUSIC, *MODEL * 4, "evaluate", "evaluate", "package"]
    calls = calls[len(MUSIC) :]
    parts = "".join(part * len(MODEL) for part in "abc")
    for call, part in zip(calls[: len(parts)], parts, strict=True):
        assert (f"--hold-out {part}" in call) == (call.split()[0] == "train"), call
    *everything, evaluation, fold, package = calls[len(parts) :]
    assert not any("--hold-out " in call for call in everything)
    assert "--fold us8k-fold2" in fold
    assert package.count("--held-out-run") == 3
    assert "--install" not in package
    assert all(f"--run runs/model/{part}" in evaluation for part in "abc")


def test_music_is_composed_and_trained_on_and_not_measured_on(clone: Path) -> None:
    _, calls, _ = build(clone)
    names = [Path(name).stem for name in SOUNDFONTS]
    for call, soundfont, name in zip(calls, SOUNDFONTS, names, strict=False):
        assert f"/{soundfont} --out runs/model/music/{name} --pieces" in call
    assert [call.rpartition("--licence ")[2] for call in calls[: len(MUSIC)]] == ["MIT", "MIT", "CC BY-SA 4.0"]
    for call in calls[len(MUSIC) :]:
        heard = [f"--data runs/model/music/{name}/manifest.csv" in call for name in names]
        assert heard == [call.split()[0] in LEARNING] * len(names), call
    without = build(clone, "--without-music")[1]
    assert "/music/" not in "".join(without)
    assert kinds(without)[0] == "train"


def test_sounds_of_games_are_trained_on_and_not_measured_on(clone: Path) -> None:
    _, calls, _ = build(clone)
    for call in calls[len(MUSIC) :]:
        heard = [f"--data runs/model/sounds/{name}/manifest.csv" in call for name in ("one-music", "two-data")]
        assert heard == [call.split()[0] in LEARNING] * 2, call
    assert "model/sounds/" not in "".join(build(clone, "--without-sounds")[1])


def test_without_the_teacher_nothing_is_composed(clone: Path) -> None:
    (clone / "no-teacher").touch()
    assert build(clone)[:2] == (1, [])
    assert kinds(build(clone, "--without-sounds")[1])[0] == "corpora"


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_trainings_end_with_the_script(clone: Path, way: signal.Signals) -> None:
    endless = clone / "endless"
    endless.touch()
    command = [clone / "scripts/build-model", "--without-music", "--without-sounds", "--jobs", "2"]
    environ = os.environ | {"EARSHOT_DATA": str(clone.parent / "data")}
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as script:
        wait_until(lambda: len(endless.read_text().split()) == 2, what="two trainings")
        script.send_signal(way)
        assert script.wait(timeout=10) == -way
    trainings = [Path("/proc") / number for number in endless.read_text().split()]
    try:
        wait_until(lambda: not any(training.exists() for training in trainings), what="their end")
    finally:
        endless.unlink()


def test_without_any_sounds_of_games_the_way_out_is_named(clone: Path) -> None:
    (clone / "no-sounds").touch()
    code, calls, text = build(clone)
    assert code == 1
    assert "train" not in kinds(calls)
    assert "go on with --without-sounds" in text


def test_a_soundfont_that_is_not_there_is_named_with_its_package(clone: Path) -> None:
    (clone.parent / "sounds/sf2/OPL-3_FM_128M.sf2").unlink()
    code, calls, text = build(clone)
    assert (code, calls) == (1, [])
    assert "OPL-3_FM_128M.sf2 is missing; apt-get install" in text


def test_each_recipe_goes_on_from_the_run_before(clone: Path) -> None:
    recipes = [*RECIPES, "config/recipes/siren-own.yaml", "config/recipes/siren.yaml"]
    _, calls, _ = build(clone, *(word for recipe in recipes for word in ("--recipe", recipe)))
    *runs, others, second, quantize = (call.split() for call in calls[len(MUSIC) :][: len(recipes) + 3])
    assert [run[run.index("--recipe") + 1] for run in runs] == recipes
    begun = ["runs/model/a/1", "runs/model/a/2"]
    assert [run[run.index("--out") + 1] for run in runs] == [*begun, "runs/model/a"]
    assert [run[run.index("--start") + 1] for run in runs[1:]] == begun
    assert "--start" not in runs[0]
    assert others[1] == second[1] == quantize[1] == "runs/model/a/model.pt"
    _, calls, _ = build(clone)
    assert kinds(calls[: len(MODEL)]) == list(MODEL)
    assert "--start" not in calls[0]


def test_recipe_without_a_tagger_learns_sirens_alone_and_has_nobody_to_ask(clone: Path) -> None:
    assert set(LEARNING) & set(kinds(build(clone, "--recipe", "config/recipes/siren-own.yaml")[1])) == {"train"}


def test_second_run_does_no_finished_step_again(clone: Path) -> None:
    build(clone)
    code, calls, text = build(clone, "--install")
    assert (code, kinds(calls)) == (0, ["package"]), text
    assert calls[0].endswith("--install --if-better")
    assert build(clone, "--install", "--force")[1][0].endswith("--install")


def test_another_recipe_or_other_data_do_everything_again(clone: Path) -> None:
    build(clone)
    with (clone / "config/recipes/siren.yaml").open("a") as recipe:
        recipe.write("# changed\n")
    assert kinds(build(clone)[1]).count("train") == 4 * len(RECIPES)
    (clone.parent / "data/urban/manifest.csv").write_text("path,label\na.wav,siren\n")
    assert kinds(build(clone)[1]).count("train") == 4 * len(RECIPES)
    assert kinds(build(clone, "--set", "training.steps=20")[1]).count("train") == 4 * len(RECIPES)


def test_interrupted_build_goes_on_where_it_was(clone: Path) -> None:
    (clone / "stop-at").write_text("evaluate")
    code, calls, text = build(clone)
    assert (code, kinds(calls)) == (1, [*MUSIC, *MODEL * 4, "evaluate"])
    assert "out_of_fold.json was not made" in text
    (clone / "stop-at").unlink()
    assert kinds(build(clone)[1]) == ["evaluate", "evaluate", "package"]


def test_trainings_side_by_side_make_the_same_and_each_has_its_log(clone: Path) -> None:
    expected = build(clone)[1]
    shutil.rmtree(clone / "runs")
    (clone / "slowly").touch()
    code, calls, text = build(clone, "--jobs", "3")
    assert max(map(int, (clone / "beside.txt").read_text().split())) == 3
    assert code == 0, text
    assert sorted(calls) == sorted(expected)
    assert kinds(calls)[-3:] == ["evaluate", "evaluate", "package"]
    for part in ("a", "b", "c", "everything"):
        assert f"making runs/model/{part}/model.int8.onnx" in (clone / f"runs/model/{part}.log").read_text()
    assert kinds(build(clone, "--jobs", "3")[1]) == ["package"]


def test_training_side_by_side_that_fails_is_named_with_its_log_and_the_others_are_kept(clone: Path) -> None:
    (clone / "stop-at").write_text("quantize")
    code, calls, text = build(clone, "--jobs", "2")
    assert code == 1
    assert "evaluate" not in kinds(calls)
    assert "see the end of runs/model/a.log runs/model/b.log" in text
    assert "Run scripts/build-model again" in (clone / "runs/model/a.log").read_text()
    (clone / "stop-at").unlink()
    assert build(clone, "--jobs", "2")[0] == 0


@pytest.mark.parametrize("arguments", [("--wrong",), ("--out",), ("--jobs", "many"), ("--jobs", "0")])
def test_wrong_option_does_nothing(clone: Path, arguments: tuple[str, ...]) -> None:
    code, calls, _ = build(clone, *arguments)
    assert code != 0
    assert calls == []
