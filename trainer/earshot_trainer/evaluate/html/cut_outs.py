"""A moment to look at and to listen to: spectrogram with posterior track, and a short audio file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples
from earshot_node.audio.file_reader import read_audio_file
from earshot_node.audio.flac import encode_flac
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.errors import AudioFileError
from earshot_trainer.corpus.cache import to_int16
from earshot_trainer.evaluate.html.moments import Moment
from earshot_trainer.evaluate.html.spectrogram import log_mel_picture
from earshot_trainer.evaluate.html.svg import INK, MODEL_COLOURS, MODEL_LINES, MUTED, THREE, stacked_drawing, to_svg
from earshot_trainer.evaluate.tracks import Track

MARGINS = (0.115, 0.93, 0.145, 0.975)
"""Of the picture; the page's playhead moves between the first two."""
ROOM_FOR_A_NAME = 0.12
"""Of the posterior's axis: closer to `enter`, `leave` goes without its name."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One model's line in the picture."""

    title: str
    track: Track


@dataclass(frozen=True, slots=True)
class CutOut:
    """A moment as the page shows it; every text is untrusted and escaped by the page.

    Attributes:
        audio: path of the audio file from the page, empty if the recording could not be read again.
    """

    file: str
    source: str
    sound: str
    licence: str
    verdict: str
    place: str
    more: int
    picture: Markup
    audio: str
    problem: str = ""


def cut_out(moment: Moment, point: OperatingPoint, voices: list[Voice], folder: Path, name: str) -> CutOut:
    """Read the stretch again, draw it and write `folder`/audio/`name`.flac.

    Args:
        moment: what to show.
        point: the operating point whose lines are drawn.
        voices: posteriors of the same recording, the subject's first.
        folder: the report's folder.
        name: the audio file's name without suffix.
    """
    problem = ""
    try:
        samples = read_stretch(moment.track.recording.path, moment.begin_s, moment.end_s)
    except AudioFileError as error:
        samples, problem = np.zeros(0, np.float32), str(error)
    audio = ""
    if len(samples):
        audio = f"audio/{name}.flac"
        (folder / audio).write_bytes(encode_flac(to_int16(samples)))
    picture = _draw(moment, samples, point, voices)
    recording = moment.track.recording
    return CutOut(
        file=recording.name, source=recording.source, sound=recording.label, licence=recording.licence,
        verdict=moment.verdict, place=_place(moment), more=moment.more, picture=picture, audio=audio, problem=problem,
    )  # fmt: skip


def read_stretch(path: Path, begin_s: float, end_s: float) -> Samples:
    """Return float32[n] of `begin_s` to `end_s` as a node would read it; shorter where the file ends.

    Raises:
        AudioFileError: the file cannot be read that far.
    """
    begin, end = round(begin_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)
    return np.concatenate([np.zeros(0, np.float32), *_overlapping(path, begin, end)])


def _overlapping(path: Path, begin: int, end: int) -> Iterator[Samples]:
    position = 0
    for block in read_audio_file(path):
        yield block[max(0, begin - position) : max(0, end - position)]
        position += len(block)
        if position >= end:
            return


def _place(moment: Moment) -> str:
    if moment.event is None:
        return f"{moment.begin_s:.1f} to {moment.end_s:.1f} s, highest posterior {moment.track.score:.3f}"
    end_s = moment.event.offset_s or moment.event.onset_s
    return f"{moment.event.onset_s:.1f} to {end_s:.1f} s, peak {moment.event.peak:.3f}"


def _draw(moment: Moment, samples: Samples, point: OperatingPoint, voices: list[Voice]) -> Markup:
    with stacked_drawing(2.9, (3, 2), MARGINS) as (figure, (upper, lower)):
        if len(samples):
            log_mel_picture(samples).draw(upper, moment.begin_s)
        else:
            upper.text(0.5, 0.5, "audio could not be read", ha="center", transform=upper.transAxes)
        _draw_tracks(lower, moment, point, voices)
        lower.set_xlim(moment.begin_s, max(moment.end_s, moment.begin_s + 0.1))
        return to_svg(figure, f"log-mel spectrogram and posterior, {_place(moment)}; {moment.verdict}")


def _draw_tracks(axes: Axes, moment: Moment, point: OperatingPoint, voices: list[Voice]) -> None:
    for voice, colour, line in zip(voices, MODEL_COLOURS, MODEL_LINES, strict=False):
        hop_s = voice.track.hop_s
        first = max(0, int(moment.begin_s / hop_s) - 1)
        rows = voice.track.posteriors[first : int(moment.end_s / hop_s) + 1]
        times_s = (first + 1 + np.arange(len(rows))) * hop_s
        axes.plot(times_s, rows, color=colour, linestyle=line, linewidth=1.4, label=voice.title, drawstyle="steps-pre")
    for level, name in ((point.enter, "enter"), (point.leave, "leave")):
        axes.axhline(level, color=INK if name == "enter" else MUTED, linewidth=0.8, linestyle=":")
        if name == "enter" or point.enter - point.leave > ROOM_FOR_A_NAME:
            axes.annotate(
                name, (1, level), xycoords=("axes fraction", "data"), xytext=(2, 0), textcoords="offset points",
                va="center", fontsize=7, color=MUTED, annotation_clip=False,
            )  # fmt: skip
    if moment.event is not None:
        end_s = moment.event.offset_s or moment.event.onset_s
        axes.axvspan(moment.event.onset_s, end_s, color=THREE, alpha=0.18, linewidth=0)
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_ylabel("posterior")
    axes.set_xlabel("time in the recording, s")
