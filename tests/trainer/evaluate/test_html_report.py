"""The report is one page that shows what was measured, plays what fooled the model, and trusts no file name."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")
pytest.importorskip("matplotlib", reason="matplotlib is missing; run scripts/test without --node")

import soundfile
from support.findings import (
    equal_alarms,
    event_figures,
    fold_figures,
    kind_figures,
    nested_figures,
    robustness_figures,
    speed_figures,
)
from support.recordings import write_corpus
from support.subjects import sirens_alone

from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import Recording, load_manifest
from earshot_trainer.evaluate.evaluation import Selection, figures_of
from earshot_trainer.evaluate.html.moments import CUT_OUT_S, worst_false_alarms, worst_misses
from earshot_trainer.evaluate.html.pages import write_report
from earshot_trainer.evaluate.html.report_input import ReportInput, ShownModel
from earshot_trainer.evaluate.html.spectrogram import log_mel_picture
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Scored, Track

pytestmark = pytest.mark.torch

HOSTILE = '<script>alert("1")</script> & $x_{2}$ \\frac'
HOP_S = 0.04


class Page(HTMLParser):
    """What a browser would make of the page: its elements, and the text in each kind."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def attributes(self, tag: str, name: str) -> list[str]:
        return [value for found, values in self.elements if found == tag and (value := values.get(name)) is not None]

    def text(self, tag: str) -> str:
        return " ".join(self.texts.get(tag, []))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    """Seven little recordings whose texts come from somebody hostile."""
    corpus = load_manifest(write_corpus(tmp_path_factory.mktemp("corpus")))
    return [
        replace(recording, name=f"{recording.name} {HOSTILE}", licence=HOSTILE, label=f"{recording.label} {HOSTILE}")
        for recording in corpus
    ]


def invented(recordings: Sequence[Recording], alarming: Sequence[str], deaf_to: Sequence[str] = ()) -> Scored:
    """Posteriors that rise for two seconds in sirens and in the recordings named."""
    tracks = []
    for recording in recordings:
        posteriors = np.full(int(recording.duration_s / HOP_S), 0.02, np.float32)
        name = recording.path.stem
        if (recording.is_siren and name not in deaf_to) or name in alarming:
            posteriors[25:75] = 0.99
        tracks.append(Track(recording, recording.duration_s, posteriors, HOP_S))
    return Scored({"siren": tracks}, ["broken.flac: cannot be decoded <b>"])


def measured(subject: Subject, scored: Scored, title: str) -> ShownModel:
    evaluation = figures_of(subject, scored, Selection((HOSTILE,)))
    return ShownModel(title, evaluation, scored)


@pytest.fixture(scope="module")
def report(recordings: list[Recording]) -> ReportInput:
    subject = sirens_alone()
    first = measured(subject, invented(recordings, ["street", "horn"], ["hilo"]), f"first {HOSTILE}")
    second = measured(subject, invented(recordings, ["room", "street", "hiss"]), "second")
    return ReportInput((first, second), command=f"trainer-cli evaluate {HOSTILE}", document={"figure": HOSTILE})


@pytest.fixture(scope="module")
def folder(report: ReportInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "report"
    assert write_report(folder, report) == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def headline(page_text: str) -> dict[str, list[str]]:
    """Cells of the headline table by their row's name."""
    table = page_text[page_text.index('<table class="headline">') :]
    rows = re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", table[: table.index("</table>")], flags=re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)(?:<small>.*?)?</t[hd]>", row) for row in rows]
    return {row[0]: row[1:] for row in cells}


def test_headline_shows_the_figures_of_both_models(folder: Path, report: ReportInput) -> None:
    shown = headline((folder / "index.html").read_text())
    for number, model in enumerate(report.models):
        figures = model.evaluation.labels["siren"]
        assert figures.tagging is not None
        assert shown["average precision"][number] == f"{figures.tagging.average_precision:.4f}"
        assert shown["recall"][number] == f"{figures.tagging.at_presets['balanced'].recall:.3f}"
        rate = figures.false_alarms["balanced"].per_hour
        assert shown["false alarms per hour, balanced"][number] == f"{rate:.2f}"
    assert shown["recall"][:2] == ["0.500", "1.000"]


def test_protocol_and_command_are_on_the_page(page: Page, report: ReportInput) -> None:
    protocol = report.subject.evaluation.protocol
    assert protocol["data_sha256"] in page.text("dd")
    assert report.subject.evaluation.subject["model_sha256"] in page.text("dd")
    assert report.command in page.text("pre")
    assert "enter" in page.text("th")


def test_text_from_outside_never_becomes_an_element(page: Page, folder: Path) -> None:
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "alert" not in page.text("script")
    assert HOSTILE in page.text("b")
    assert HOSTILE in page.text("h1")
    assert "broken.flac: cannot be decoded <b>" in page.text("li")
    assert not [values for _, values in page.elements if any(name.startswith("on") for name in values)]
    assert "alert" not in "".join(name.name for name in folder.rglob("*"))


def test_page_loads_nothing_from_elsewhere(page: Page, folder: Path) -> None:
    loaded = [value for tag, _ in page.elements for value in page.attributes(tag, "src")]
    assert loaded
    assert all((folder / name).is_file() for name in loaded)
    assert all((folder / name).is_file() for name in page.attributes("a", "href"))
    links = [
        v for tag in ("image", "use", "link") for name in ("href", "xlink:href") for v in page.attributes(tag, name)
    ]
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    styles = (folder / "index.html").read_text()
    assert "@import" not in styles
    assert "://" not in re.sub(r'xmlns(:xlink)?="http[^"]*"', "", styles)


def test_every_id_that_a_picture_points_to_is_there(page: Page, folder: Path) -> None:
    text = (folder / "index.html").read_text()
    wanted = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'xlink:href="#([^"]+)"', text))
    assert wanted
    assert wanted <= {value for tag, values in page.elements if (value := values.get("id"))}


def test_pictures_follow_the_theme_and_say_what_they_show(page: Page, folder: Path) -> None:
    labels = [v["aria-label"] for tag, v in page.elements if tag == "svg"]
    assert len(labels) >= 8
    assert all(labels)
    text = (folder / "index.html").read_text()
    assert "var(--one)" in text
    assert "var(--ink)" in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"#0[1-7]0[1-7]0[1-7]", text), "a stand-in colour is left"


def test_worst_moments_can_be_heard_where_they_were(folder: Path, page: Page, recordings: list[Recording]) -> None:
    files = page.attributes("audio", "src")
    assert files == ["audio/siren-false-alarm-01.flac", "audio/siren-false-alarm-02.flac", "audio/siren-miss-01.flac"]
    miss, rate_hz = soundfile.read(folder / files[2], dtype="float32")
    hilo = next(recording for recording in recordings if recording.path.stem == "hilo")
    original, _ = soundfile.read(hilo.path, dtype="float32")
    assert rate_hz == 16_000
    assert np.abs(miss - original[: len(miss)]).max() < 1e-3
    assert len(miss) == min(len(original), CUT_OUT_S * rate_hz)


def test_figures_stand_beside_the_page(folder: Path) -> None:
    assert json.loads((folder / "report.json").read_text()) == {"figure": HOSTILE}


def test_second_report_into_the_folder_leaves_no_audio_of_the_first(
    tmp_path: Path, report: ReportInput, recordings: list[Recording]
) -> None:
    alone = replace(report, models=report.models[:1])
    write_report(tmp_path, replace(alone, most_moments=2))
    assert len(list((tmp_path / "audio").iterdir())) == 3
    write_report(tmp_path, replace(alone, most_moments=1))
    assert sorted(path.name for path in (tmp_path / "audio").iterdir()) == [
        "siren-false-alarm-01.flac",
        "siren-miss-01.flac",
    ]


def test_same_input_gives_the_same_page(tmp_path: Path, report: ReportInput) -> None:
    alone = replace(report, models=report.models[:1], most_moments=1)
    pages = [write_report(tmp_path / name, alone).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_recording_that_is_gone_is_told_and_the_rest_is_shown(
    tmp_path: Path, report: ReportInput, recordings: list[Recording]
) -> None:
    gone = [replace(r, path=tmp_path / "gone.flac") if r.path.stem == "street" else r for r in recordings]
    scored = invented(gone, ["gone"])
    one = replace(report.models[0], scored=scored)
    text = write_report(tmp_path / "out", replace(report, models=(one,))).read_text()
    assert "gone.flac: cannot be decoded" in text or "No such file" in text
    assert "audio could not be read" in text


def test_model_alone_without_clips_or_long_recordings_still_has_a_page(
    tmp_path: Path, recordings: list[Recording]
) -> None:
    subject = sirens_alone()
    for kind in ("clip", "long"):
        some = [recording for recording in recordings if recording.kind == kind]
        one = measured(subject, invented(some, []), "alone")
        text = write_report(tmp_path / kind, ReportInput((one,))).read_text()
        assert ("average precision" in text) == (kind == "clip")
        assert ("false alarms per hour" in text) == (kind == "long")


def test_folder_that_cannot_be_written_is_the_operators_to_change(tmp_path: Path, report: ReportInput) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="name another folder"):
        write_report(tmp_path / "file", report)


@pytest.fixture(scope="module")
def whole(report: ReportInput) -> ReportInput:
    """A report with every part measured."""
    parts: list[dict[str, Any]] = [
        {
            "events": event_figures(recall),
            "robustness": robustness_figures(recall),
            "kinds": kind_figures(round(12 * recall)),
            "speed": speed_figures(speed),
        }
        for recall, speed in ((0.9, 600.0), (0.6, 55.0))
    ]
    parts[0] |= {"folds": fold_figures(), "nested": nested_figures(0.85)}
    titles = [model.title for model in report.models]
    parts[1]["equal_alarms"] = [equal_alarms(*titles, what) for what in ("clips", "events at +0 dB SNR")]
    models = tuple(replace(model, findings=found) for model, found in zip(report.models, parts, strict=True))
    return ReportInput(models, most_moments=0)


def test_every_part_that_was_measured_is_shown(tmp_path: Path, whole: ReportInput) -> None:
    text = write_report(tmp_path, whole).read_text()
    page = Page(text)
    shown = headline(text)
    assert shown["events heard, +0 dB"][:2] == ["0.700", "0.400"]
    assert shown["time to detect, median, +10 dB"][:2] == ["0.72 s", "0.72 s"]
    assert shown["PSDS1, +10 dB"][:2] == ["0.450", "0.300"]
    assert shown["recall at 0 dB SNR"][:2] == ["0.900", "0.600"]
    assert shown["clips found at equal false alarms"][:2] == ["0.900", "0.700"]
    assert shown["recall, point chosen elsewhere"][:2] == ["0.850", "-"]
    assert shown["recall of the worst kind, +10 dB"][:2] == ["0.92", "0.58"]
    assert shown["audio seconds per core second"][:2] == ["600", "55"]
    headings = page.text("h3")
    for title in (
        "Kinds at +0 dB SNR", "Events heard by SNR", "Time to detect, +10 dB", "By SNR", "Codec",
        "Detection error trade-off", "Detection error trade-off, events at +0 dB SNR",
    ):  # fmt: skip
        assert title in headings
    assert "ffmpeg is missing" in page.text("td")
    assert "11 of 12, 1.5 s" in page.text("td")
    assert "runs/f2" in page.text("th")


def test_better_figure_is_marked_whichever_direction_is_better(tmp_path: Path, whole: ReportInput) -> None:
    text = write_report(tmp_path, whole).read_text()
    rows = dict(re.findall(r'<tr><th scope="row">([^<]*)<small>[^<]*</small></th>(<td.*?)</tr>', text))
    assert rows["events heard, +0 dB"].startswith('<td class="best">0.700')
    assert rows["model size"].count("best") == 0
    assert rows["false alarms per hour, balanced"].count('class="best"') == 1


def test_part_that_was_not_measured_is_left_out(folder: Path) -> None:
    text = (folder / "index.html").read_text()
    assert "robustness" not in text
    assert "soundscapes" not in text
    assert "fold by fold" not in text


def balanced_and_bolder(presets: Presets) -> Presets:
    point = presets.balanced["siren"].model_copy(update={"enter": 0.8, "leave": 0.5, "min_length_s": 0.4})
    return Presets(
        quiet={"siren": point.model_copy(update={"enter": 0.95})},
        balanced={"siren": point},
        sensitive={"siren": point.model_copy(update={"enter": 0.5})},
    )


def test_worst_false_alarm_is_the_one_that_the_strictest_preset_reports(recordings: list[Recording]) -> None:
    presets = balanced_and_bolder(sirens_alone().presets)
    peaks = {"street": 0.85, "room": 0.99, "horn": 0.6, "hiss": 0.3}
    tracks = []
    for recording in recordings:
        posteriors = np.zeros(400, np.float32)
        posteriors[300:350] = peaks.get(recording.path.stem, 0.99)
        tracks.append(Track(recording, 16.0, posteriors, HOP_S))
    moments = worst_false_alarms(tracks, "siren", presets, most=8)
    assert [moment.track.recording.path.stem for moment in moments] == ["room", "street", "horn"]
    assert [moment.verdict for moment in moments] == [
        "alarm at quiet and above",
        "alarm at balanced and above",
        "alarm at sensitive only",
    ]
    assert all(moment.begin_s <= 12.0 and moment.end_s >= 14.0 for moment in moments)
    assert len(worst_false_alarms(tracks, "siren", presets, most=2)) == 2


def test_worst_miss_is_the_siren_with_the_lowest_score(recordings: list[Recording]) -> None:
    presets = balanced_and_bolder(sirens_alone().presets)
    peaks = {"wail": 0.7, "hilo": 0.1, "long_siren": 0.9}
    tracks = [
        Track(recording, 4.0, np.full(100, peaks.get(recording.path.stem, 0.1), np.float32), HOP_S)
        for recording in recordings
    ]
    moments = worst_misses(tracks, "siren", presets, most=8)
    assert [moment.track.recording.path.stem for moment in moments] == ["hilo", "wail"]
    assert [moment.verdict for moment in moments] == ["missed at every preset", "found at sensitive only"]


def test_tone_stands_at_its_frequency_in_the_spectrogram() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    picture = log_mel_picture(tone)
    centres_hz = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([50, 8000]) / 700)), 66) / 2595) - 1)
    loudest = picture.level_db.mean(axis=0).argmax()
    assert centres_hz[1 + loudest] == pytest.approx(1000, rel=0.05)
    assert picture.level_db.max() == pytest.approx(0, abs=3)
    assert len(picture.level_db) * picture.hop_s == pytest.approx(1.0, abs=0.02)
