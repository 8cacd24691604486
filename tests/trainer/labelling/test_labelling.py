"""One key is one word, kept at once; each can be taken back; what waits comes in the order of what it teaches."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine
from support.kept_recordings import keep_recording
from support.label_terminal import label_terminal, read_until
from support.recording_parts import BEGIN
from support.sounds import wail
from support.trainer_home import make_home, trainer_cli

from earshot_node.contract.deployment import Disagreement, ShadowReport
from earshot_node.contract.recordings import Candidate, Labelling, RecordingInfo
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import load_bundled
from earshot_trainer.catalogue.disagreements import Disagreements
from earshot_trainer.catalogue.labellings import Labellings, SaidMeanwhileError
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.keys import keys_of
from earshot_trainer.labelling.picture import picture
from earshot_trainer.labelling.session import LabelSession, Suggestion
from earshot_trainer.labelling.view import Ear, samples_of
from earshot_trainer.labelling.waiting import Waiting, what_waits

UNCERTAIN = Candidate(reason="uncertain", label="siren", posterior=0.4, model="2026.11.1")
DETECTED = Candidate(reason="detected", label="siren", posterior=0.9, model="2026.11.1")
CONFIRMED = Labelling(labels=("siren",), by="home_assistant", time=BEGIN)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def engine(home: Home) -> Engine:
    return open_catalogue(home.catalogue_url)


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear(load_bundled())


def titles(engine: Engine) -> list[str]:
    return [info.labelling.title if info.labelling else "" for info in Library(engine).all()]


def session(engine: Engine, *infos: RecordingInfo, labels: tuple[str, ...] = ("siren", "glass")) -> LabelSession:
    return LabelSession([Waiting(info, "unlabelled") for info in infos], labels, Labellings(engine), "ada")


def test_what_waits_comes_in_the_order_of_what_it_teaches(home: Home, engine: Engine) -> None:
    feedback, plain = keep_recording(home, 1, CONFIRMED), keep_recording(home, 2)
    detected, uncertain = keep_recording(home, 3, None, DETECTED), keep_recording(home, 4, None, UNCERTAIN)
    disputed = keep_recording(home, 5, None, DETECTED)
    keep_recording(home, 6, Labelling(labels=("siren",), by="command_line", time=BEGIN))
    onset = disputed.begin + timedelta(seconds=0.2)
    event = Disagreement(
        id="e1", heard_by="candidate", source="street", label="siren", onset=onset, offset=onset, peak=0.8
    )
    report = ShadowReport(
        active="2026.11.1", candidate="2026.11.2", sha256="a" * 64, begun=BEGIN, heard_s=60, agreed=0, only_active=0,
        only_candidate=1, latest=(event,), real_time_factor=0.1,
    )  # fmt: skip
    Disagreements(engine).note("hall", report, NOW)
    waiting = what_waits(engine)
    assert [(one.info.id, one.why) for one in waiting] == [
        (disputed.id, "disagreement"),
        (uncertain.id, "uncertain"),
        (detected.id, "detected"),
        (plain.id, "unlabelled"),
        (feedback.id, "feedback"),
    ]
    assert "2026.11.2 heard siren (80%), 2026.11.1 did not" in waiting[0].note
    assert what_waits(engine, ("attic",)) == []


def test_confirmed_feedback_does_not_come_back(home: Home, engine: Engine) -> None:
    here = session(engine, keep_recording(home, 1, CONFIRMED))
    assert len(what_waits(engine)) == 1
    here.suggested = Suggestion(("siren",))
    here.press("y")
    assert what_waits(engine) == []
    here.press("u")
    assert len(what_waits(engine)) == 1


def test_each_key_is_kept_at_once_and_can_be_taken_back(home: Home, engine: Engine) -> None:
    here = session(engine, *(keep_recording(home, hour) for hour in range(4)))
    assert here.press("s") == "next"
    assert titles(engine) == ["siren", "", "", ""]
    here.press("b")
    here.press(" ")
    here.press("g")
    assert titles(engine) == ["siren", "background", "", "glass"]
    assert here.current is None
    for expected in (["siren", "background", "", ""], ["siren", "background", "", ""], ["siren", "", "", ""]):
        here.press("u")
        assert titles(engine) == expected
    assert here.position == 1
    here.press("u")
    assert titles(engine) == [""] * 4
    assert (here.press("u"), here.told) == ("stay", "nothing to take back")


def test_taking_back_restores_what_was_said_before(home: Home, engine: Engine) -> None:
    info = keep_recording(home, 1, CONFIRMED)
    here = session(engine, info)
    here.press("b")
    here.press("u")
    assert Library(engine).get(info.sha256) == info


def test_what_was_labelled_meanwhile_is_not_taken_back(home: Home, engine: Engine) -> None:
    info = keep_recording(home, 1)
    here = session(engine, info)
    here.press("b")
    later = Labelling(labels=("siren",), by="home_assistant", time=datetime.now(UTC) + timedelta(seconds=5))
    Library(engine).add(info.model_copy(update={"labelling": later}), NOW)
    here.press("u")
    assert "labelled anew since" in here.told
    assert titles(engine) == ["siren"]
    with pytest.raises(SaidMeanwhileError):
        Labellings(engine).take_back(info.sha256)


def test_several_labels_are_chosen_one_after_the_other(home: Home, engine: Engine) -> None:
    here = session(engine, keep_recording(home, 1))
    for key in "+sgsgs":
        here.press(key)
    assert (here.several, titles(engine)) == (["siren"], [""])
    for key in "g\n":
        here.press(key)
    assert titles(engine) == ["siren + glass"]


def test_yes_confirms_what_certainly_does_not_sound(home: Home, engine: Engine, ear: Ear) -> None:
    said = Labelling(absent=("siren",), by="home_assistant", time=BEGIN)
    here = session(engine, keep_recording(home, 1, said))
    waiting = what_waits(engine)[0]
    here.suggested = Suggestion.of(waiting, ear.hear(np.zeros(1600, np.float32)))
    assert here.suggested.title == "not siren"
    here.press("y")
    assert titles(engine) == ["not siren"]


def test_unknown_keys_change_nothing(home: Home, engine: Engine) -> None:
    here = session(engine, keep_recording(home, 1))
    assert {here.press(key) for key in ("x", "y", "\x1b", "7")} == {"stay"}
    assert titles(engine) == [""]


def test_word_about_an_unknown_recording_is_refused(engine: Engine) -> None:
    with pytest.raises(OperatorError, match="there is no recording abababababab"):
        Labellings(engine).say("ab" * 32, CONFIRMED, NOW)


def test_every_label_has_a_key_that_means_nothing_else() -> None:
    keys = keys_of(("siren", "smoke_alarm", "baby", "b", "yell", "quup", "glass"))
    assert list(keys.values()) == ["siren", "smoke_alarm", "baby", "b", "yell", "quup", "glass"]
    assert keys["s"] == "siren"
    assert not set(keys) & set("byupq+ \n")


@pytest.mark.parametrize("in_colour", [True, False])
def test_picture_shows_a_tone_where_it_is_and_fits(ear: Ear, in_colour: bool) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000).astype(np.float32)
    tone[:16_000] = 0.0001 * np.random.default_rng(1).standard_normal(16_000)
    for width in (40, 80, 120):
        lines = picture(ear.hear(tone), width, 12, in_colour=in_colour)
        assert len(lines) == 14
        assert max(len(line.plain) for line in lines) <= width
    if not in_colour:
        loudest = next(line.plain for line in lines[:12] if line.plain.startswith("   1k"))
        assert "@" not in loudest[: 6 + 40]
        assert loudest[6 + 75] in "#%@"


def test_view_names_the_siren_that_is_there(ear: Ear) -> None:
    view = ear.hear(np.concatenate([wail(3, 4.0), wail(3, 2.0)]).astype(np.float32) / 32768)
    assert len(view.posteriors) == 150
    assert view.told().startswith(f"model {view.model} hears siren ")
    assert view.peak("glass") == 0.0


def test_audio_that_is_no_audio_is_one_line() -> None:
    with pytest.raises(OperatorError, match="recording x cannot be decoded"):
        samples_of(b"no audio", "x")


def test_person_labels_in_a_terminal_and_a_kill_loses_nothing(home: Home, engine: Engine) -> None:
    keep_recording(home, 1, None, UNCERTAIN, wail(1, 3.0))
    keep_recording(home, 2, None, DETECTED)
    with label_terminal(home) as (descriptor, process):
        shown = read_until(descriptor, "[q] quit")
        assert "1 of 2" in shown
        assert "the model was not sure; model 2026.11.1 gave siren 0.40" in shown
        os.write(descriptor, b"s")
        read_until(descriptor, "2 of 2")
        process.kill()
        process.wait()
    assert titles(engine) == ["siren", ""]
    with label_terminal(home) as (descriptor, process):
        read_until(descriptor, "[q] quit")
        os.write(descriptor, b"b")
        read_until(descriptor, "That was the last of 1; 1 labelled")
        os.write(descriptor, b"\n")
        read_until(descriptor, "1 labelled, 0 skipped; next: trainer-cli retrain")
        assert process.wait(20) == 0
    assert titles(engine) == ["siren", "background"]


def test_without_a_terminal_it_says_what_to_do_and_lists(home: Home) -> None:
    keep_recording(home, 1, None, UNCERTAIN)
    asked = trainer_cli(home, "label", timeout_s=110)
    assert asked.returncode == 1
    assert asked.stderr.strip().startswith("error: labelling needs a terminal; `trainer-cli label --list`")
    listed = trainer_cli(home, "label", "--list", timeout_s=110)
    assert "hall/street  2026-11-22 09:30:00 UTC  1.0 s" in listed.stdout
    assert "1 wait (1 kept unasked, the model was not sure); next: trainer-cli label" in listed.stdout
