"""How fast a subject is on this machine: audio seconds per second of one core, and the delay of one live decision."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.contract.names import SIREN
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline
from earshot_node.synth.reference import reference_clips
from earshot_trainer.corpus.cache import to_int16
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.evaluate.console import say
from earshot_trainer.evaluate.sections import Material, Section
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagger_subject import TaggerSubject
from earshot_trainer.evaluate.tracks import Scored
from earshot_trainer.training.teacher import HOP_SAMPLES, WINDOW_SAMPLES, Teacher

ROUNDS = 5
AUDIO_S = 30.0
BLOCK_HOPS = (1, 5, 25, 250)
LATENCY_WARM_UP = 50
MACHINE_FILE = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class SpeedFigures:
    """One subject's speed, one thread.

    Attributes:
        throughput: audio seconds per CPU second in a street without sirens, the best of `by_call`.
        throughput_in_sirens: the same where three quarters are sirens, in two events whose kinds are sought.
        throughput_of_all: as `throughput`, while all labels that it knows are listened for, not sirens alone.
        by_call: what one call is given -> audio seconds per CPU second in that street, the best of some rounds.
        live: length of audio of one live decision.
        live_median_ms, live_p99_ms: wall time of one live decision.
        protocol: machine, audio, rounds.
    """

    throughput: float
    throughput_in_sirens: float
    throughput_of_all: float
    by_call: dict[str, float]
    live: str
    live_median_ms: float
    live_p99_ms: float
    protocol: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


def measure_speed(
    subject: Subject,
    scored: Scored,  # noqa: ARG001
    material: Material,
    advance: Callable[[int, int], None],
) -> SpeedFigures | None:
    """Time the subject, or the model that hears its first pool, on synthesized audio; None for an unknown kind."""
    member = subject.for_recordings(material.pools[0]) if material.pools else subject
    street, sirens = _audio(sirens=False), _audio(sirens=True)
    advance(0, 1)
    if isinstance(member, BundleSubject):
        return _measure_bundle(member, street, sirens)
    if isinstance(member, TaggerSubject):
        return _measure_tagger(member, street, sirens)
    return None


def show_speed(console: Console, found: Mapping[str, SpeedFigures]) -> None:
    """Print all subjects in one table."""
    table = Table(title="speed on this machine, one thread", title_justify="left")
    for column in (
        "model",
        "audio s per core s",
        "in sirens",
        "all labels",
        "each call",
        "one live decision",
        "median",
        "p99",
    ):
        table.add_column(column)
    for title, speed in found.items():
        calls = "\n".join(f"{call}: {rate:.0f}" for call, rate in speed.by_call.items())
        median, p99 = f"{speed.live_median_ms:.2f} ms", f"{speed.live_p99_ms:.2f} ms"
        rates = (f"{rate:.0f}" for rate in (speed.throughput, speed.throughput_in_sirens, speed.throughput_of_all))
        table.add_row(title, *rates, calls, speed.live, median, p99)
    console.print(table)
    how = next(iter(found.values())).protocol
    say(console, f"{how['machine']}; {how['audio_s']:g} s of audio, {how['rounds']} rounds; {how['throughput']}")


def _measure_bundle(subject: BundleSubject, street: NDArray[np.float32], sirens: NDArray[np.float32]) -> SpeedFigures:
    """Time the node's pipeline with detector at several block lengths, then the bare model hop by hop."""
    manifest, graph, points = subject.bundle.manifest, subject.bundle.model, dict(subject.presets.balanced)
    model, for_all = StreamingModel(manifest, graph, (SIREN,)), StreamingModel(manifest, graph)
    hop_samples = manifest.hop_samples

    def rate(audio: NDArray[np.float32], hops: int, model: StreamingModel = model) -> float:
        blocks = _blocks(audio, hops * hop_samples)

        def listen() -> None:
            pipeline = Pipeline(model, lambda _: points)
            for block in blocks:
                pipeline.push([block])

        return _audio_per_cpu_second(listen, len(audio))

    rates = {f"{hops * subject.hop_s:g} s": rate(street, hops) for hops in BLOCK_HOPS}
    in_sirens = max(rate(sirens, hops) for hops in BLOCK_HOPS)
    of_all = max(rate(street, hops, for_all) for hops in BLOCK_HOPS)
    state = model.initial_state()
    walls = []
    for start in range(0, len(street) - hop_samples + 1, hop_samples):
        begin_s = time.perf_counter()
        output = model.run(street[None, start : start + hop_samples], [state])
        walls.append(time.perf_counter() - begin_s)
        state = output.states[0]
    return _figures(rates, in_sirens, of_all, f"{subject.hop_s:g} s", walls)


def _measure_tagger(subject: TaggerSubject, street: NDArray[np.float32], sirens: NDArray[np.float32]) -> SpeedFigures:
    """Time windows one after the other without overlap, then as the evaluation hears them, then single windows."""
    tagger = Teacher(subject.model)
    pcm = to_int16(street)
    windows = _windows(pcm)

    def apart_rate(windows: list[NDArray[np.int16]]) -> float:
        return _audio_per_cpu_second(lambda: [tagger.score(one) for one in windows], len(windows) * WINDOW_SAMPLES)

    apart = f"{WINDOW_SAMPLES / SAMPLE_RATE_HZ:g} s"
    rates = {
        apart: apart_rate(windows),
        f"{apart} every {HOP_SAMPLES / SAMPLE_RATE_HZ:g} s": _audio_per_cpu_second(lambda: tagger.score(pcm), len(pcm)),
    }
    in_sirens = apart_rate(_windows(to_int16(sirens)))
    walls = []
    for number in range(LATENCY_WARM_UP + 250):
        begin_s = time.perf_counter()
        tagger.score(windows[number % len(windows)])
        walls.append(time.perf_counter() - begin_s)
    return _figures(rates, in_sirens, max(rates.values()), apart, walls)


def _figures(rates: dict[str, float], in_sirens: float, of_all: float, live: str, walls: list[float]) -> SpeedFigures:
    settled_ms = 1000 * np.array(walls[LATENCY_WARM_UP:])
    return SpeedFigures(
        throughput=round(max(rates.values()), 1),
        throughput_in_sirens=round(in_sirens, 1),
        throughput_of_all=round(of_all, 1),
        by_call={call: round(rate, 1) for call, rate in rates.items()},
        live=live,
        live_median_ms=round(float(np.median(settled_ms)), 4),
        live_p99_ms=round(float(np.quantile(settled_ms, 0.99)), 4),
        protocol={
            "machine": _machine(),
            "cores": os.cpu_count(),
            "threads": 1,
            "audio_s": AUDIO_S,
            "rounds": ROUNDS,
            "throughput": (
                "audio seconds per CPU second of the process, best round, in traffic with horns; in sirens: three "
                "quarters are sirens; decoding of files not included"
            ),
            "live": "wall time of one call of the model",
        },
    )


def _audio_per_cpu_second(listen: Callable[[], object], samples: int) -> float:
    listen()
    best_s = float("inf")
    for _ in range(ROUNDS):
        begin_s = time.process_time()
        listen()
        best_s = min(best_s, time.process_time() - begin_s)
    return samples / SAMPLE_RATE_HZ / max(best_s, 1e-9)


def _audio(*, sirens: bool) -> NDArray[np.float32]:
    """Return half a minute of a street's traffic and a horn, or of that with 11 s of sirens before it."""
    clips = np.concatenate([clip.samples for clip in reference_clips() if sirens or not clip.is_siren])
    return np.resize(clips, round(AUDIO_S * SAMPLE_RATE_HZ)).astype(np.float32)


def _windows(pcm: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    starts = range(0, len(pcm) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES)
    return [pcm[start : start + WINDOW_SAMPLES] for start in starts]


def _blocks(audio: NDArray[np.float32], length: int) -> list[Block]:
    starts = range(0, len(audio), length)
    return [Block("audio", 0, start, audio[start : start + length], 0.0, 0.0) for start in starts]


def _machine() -> str:
    try:
        lines = MACHINE_FILE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


SPEED = Section("speed", measure_speed, show_speed)
