"""Simulates three households on real audio: what a retraining does for each of them, before and after.

Each household has a trainer's home of its own with 20 recordings of sirens and 20 of its nuisance sounds, 3 s each, out
of UrbanSound8K's fold 1, and others of other originals to compare on. The base has never heard any of them. Two more
have sirens that come again: `one-city` compares on the same services' sirens, recorded by the same person another time,
`town-siren` on later passages of the very sirens that it learnt from. Everything goes the way of `trainer-cli retrain`;
nothing is collected and nothing deployed.
"""

import argparse
import csv
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray
from rich.console import Console

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.inference.bundle import load_bundle_unsigned
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.corpus.recordings import Recording, load_manifest
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.home.folder import Home, create_home
from earshot_trainer.packaging.base import install_base
from earshot_trainer.packaging.command import PackageRequest, run_packaging
from earshot_trainer.retraining.command import retrain
from earshot_trainer.retraining.run_folder import STAGES, RunFolder, RunRequest, runs_of
from earshot_trainer.retraining.settings import load_settings
from earshot_trainer.training.run_record import load_run

FOLD = "us8k-fold1"
RATE_HZ = 16_000
TAKE_S = 3.0
TRAIN, HELD_OUT = 20, 12
FIRST_SHARE = 2 / 3
BEGIN = datetime(2026, 11, 1, 8, tzinfo=UTC)
HELD_OUT_FROM = datetime(2026, 11, 15, tzinfo=UTC)
MANIFESTS = ("$EARSHOT_DATA/urban/manifest.csv", "$EARSHOT_DATA/negatives/manifest.csv")


@dataclass(frozen=True)
class Household:
    """Originals (Freesound ids) of its sirens to train on and to hold out, and labels of its nuisance sounds.

    An original on both sides gives its first two thirds to train on and its later passages to hold out. `alarming` is a
    label of the long negatives that part a holds out: of two thirds of its recordings the passages that the base hears
    loudest are nuisances to train on, of the others those to hold out.
    """

    name: str
    sirens: tuple[str, ...]
    held_out_sirens: tuple[str, ...]
    nuisances: tuple[str, ...] = ()
    alarming: str = ""


HOUSEHOLDS = (
    Household("music", ("157867",), ("164053", "43806"), ("street_music",)),
    Household("children", ("118279", "106905", "30823"), ("40722",), ("children_playing", "dog_bark")),
    Household("machines", ("40722", "164053", "106905"), ("118279",), ("car_horn", "drilling", "jackhammer")),
    # What a household has that hears the same services every day: other recordings of one recordist, of fold 2.
    Household("one-city", ("159738",), ("159747", "159750"), ("gun_shot", "air_conditioner", "engine_idling")),
    Household("town-siren", ("118279", "40722"), ("118279", "40722"), ("street_music", "dog_bark", "drilling")),
    Household("nursery", ("157867",), ("164053", "43806"), alarming="baby"),
)
ONE_RECORDIST = frozenset({"159738", "159747", "159750"})
Row = dict[str, str]


@dataclass(frozen=True)
class Passage:
    """Up to 3 s of an audio file from `begin_s` on; `original` names what it was cut from."""

    path: Path
    label: str
    original: str
    begin_s: float = 0.0


def rows_of(folder: Path) -> list[Row]:
    """Return fold 1 of the manifest, and what the split holds out with it of one recordist."""
    with (folder / "urban" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return [row for row in rows if row["fold"] == FOLD or row["fsid"] in ONE_RECORDIST]


def chosen(rows: Sequence[Row], household: Household) -> dict[str, list[Row]]:
    """Return the recordings of both sides; no original is on two unless the household's sirens come again."""
    others = sorted({row["fsid"] for row in rows if row["label"] in household.nuisances})
    order = [others[int(i)] for i in np.random.default_rng(3).permutation(len(others))]
    nuisances = [row for group in order for row in rows if row["fsid"] == group and row["label"] != "siren"]
    train = nuisances[:TRAIN]
    heard = {row["fsid"] for row in train}
    return {
        "train": sirens_of(rows, household.sirens, household.held_out_sirens, is_first=True)[:TRAIN] + train,
        "held_out": sirens_of(rows, household.held_out_sirens, household.sirens, is_first=False)[:HELD_OUT]
        + [row for row in nuisances if row["fsid"] not in heard][:HELD_OUT],
    }


def sirens_of(rows: Sequence[Row], originals: Sequence[str], others: Sequence[str], *, is_first: bool) -> list[Row]:
    """Return the sirens of one side; of an original that is on the other side too, its earlier or later passages."""
    sirens = [row for row in rows if row["label"] == "siren" and row["fsid"] in originals]
    found = []
    for row in sirens:
        passages = sorted((one for one in sirens if one["fsid"] == row["fsid"]), key=place_in_original)
        is_early = passages.index(row) < round(FIRST_SHARE * len(passages))
        if row["fsid"] not in others or is_early == is_first:
            found.append(row)
    return found


def place_in_original(row: Row) -> tuple[int, ...]:
    """Return where in its original a clip lies: UrbanSound8K's number of the occurrence, then of the slice."""
    return tuple(int(number) for number in Path(row["path"]).stem.rsplit("-", 2)[1:])


def loudest_passages(data: Path, label: str, base: Path) -> dict[str, list[Passage]]:
    """Return, for both sides, passages of the label's long negatives that the base hears best, no two overlapping."""
    recordings = [
        one for one in load_manifest(data / "negatives" / "manifest.csv") if one.label == label and one.kind == "long"
    ]
    subject = BundleSubject.of_graph(base / "model.int8.onnx", load_run(base).labels)
    heard = subject.score_files([one.path for one in recordings], 1)
    ranked = [
        list(_ranked(recording, one.posteriors[:, 0], subject.hop_s))
        for recording, one in zip(recordings, heard, strict=True)
    ]
    cut = round(FIRST_SHARE * len(ranked))
    return {
        side: [passage for _, passage in sorted(chain(*part), key=lambda pair: -pair[0])[:count]]
        for side, part, count in (("train", ranked[:cut], TRAIN), ("held_out", ranked[cut:], HELD_OUT))
    }


def _ranked(recording: Recording, posteriors: NDArray[np.floating], hop_s: float) -> Iterator[tuple[float, Passage]]:
    """Yield a recording's passages one after the other, each with the highest posterior in it."""
    parts = np.array_split(posteriors, max(1, int(len(posteriors) * hop_s / TAKE_S)))
    begin_s = 0.0
    for part in parts:
        yield float(part.max()), Passage(recording.path, recording.label, recording.group, begin_s)
        begin_s += len(part) * hop_s


def passages_of(data: Path, household: Household, base: Path) -> dict[str, list[Passage]]:
    """Return the recordings of both sides."""
    sides = {
        side: [Passage(data / "urban" / row["path"], row["label"], row["fsid"]) for row in rows]
        for side, rows in chosen(rows_of(data), household).items()
    }
    if household.alarming:
        for side, passages in loudest_passages(data, household.alarming, base).items():
            sides[side] += passages
    return sides


def furnish(home: Home, sides: dict[str, list[Passage]], name: str) -> None:
    """Enter the recordings as if a node had made them: each original a session of its own."""
    engine = open_catalogue(home.catalogue_url)
    secret, now = hashlib.sha256(name.encode()).hexdigest(), datetime.now(UTC)
    Members(engine).add_invite(secret, name, now, now + timedelta(hours=1))
    Members(engine).admit(secret, Member(name, "simulated", "", "2026.11.0", "", ""), now)
    library, audio = Library(engine), open_audio_store(home.recordings_place)
    for side, begin in (("train", BEGIN), ("held_out", HELD_OUT_FROM)):
        originals = sorted({passage.original for passage in sides[side]})
        for number, passage in enumerate(sides[side]):
            when = begin + timedelta(hours=originals.index(passage.original), seconds=5 * number)
            flac = home.incoming / f"{side}{number}.flac"
            info = take(passage, when, name, flac)
            audio.put(info.sha256, flac)
            flac.unlink()
            library.keep(info, name, info.size_bytes, now)


def take(passage: Passage, when: datetime, node: str, flac: Path) -> RecordingInfo:
    """Write a passage as a node's take, and return what the node would say of it."""
    samples, rate_hz = sf.read(passage.path, dtype="float32", always_2d=True)
    begin = int(passage.begin_s * RATE_HZ)
    heard = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)[begin : begin + int(TAKE_S * RATE_HZ)]
    sf.write(flac, heard, RATE_HZ, subtype="PCM_16")
    data = flac.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    level = 10 * np.log10(max(1e-12, float(np.mean(np.square(heard)))))
    labels = ("siren",) if passage.label == "siren" else ()
    return RecordingInfo(
        id=f"{when:%Y%m%dT%H%M%S}000-{digest[:8]}",
        origin="take",
        node=node,
        source="window",
        begin=when,
        duration_s=len(heard) / RATE_HZ,
        rate_hz=RATE_HZ,
        level_dbfs=float(level),
        peak_dbfs=float(20 * np.log10(max(1e-6, float(np.abs(heard).max())))),
        clipped_share=0.0,
        sha256=digest,
        size_bytes=len(data),
        labelling=Labelling(labels=labels, by="command_line", time=when),
    )


def before(arguments: argparse.Namespace, out: Path) -> tuple[Path, Path]:
    """Package the base as the active model; return its bundle and the folder with its checkpoint."""
    bundle, folder = out / "active.earshot", out / "base"
    if not (folder / "base.json").exists():
        request = PackageRequest(
            model=arguments.base / "model.int8.onnx", run=arguments.base, presets=arguments.presets, metrics=(),
            name="siren", version="2026.11.0", out=bundle,
        )  # fmt: skip
        run_packaging(request, Console(stderr=True))
        install_base(arguments.base, load_bundle_unsigned(bundle), folder)
    return bundle, folder


def simulate(household: Household, arguments: argparse.Namespace) -> RunFolder:
    """Furnish a household's home unless it is there, and retrain it."""
    data, out = Path(os.environ["EARSHOT_DATA"]), arguments.out.absolute()
    bundle, base = before(arguments, out)
    sides = passages_of(data, household, arguments.base)
    folder = out / household.name
    is_new = not (folder / "trainer.yaml").exists()
    home, _ = create_home(folder, {"url": "http://127.0.0.1:8770", "mqtt": {"host": "127.0.0.1"}})
    if is_new:
        furnish(home, sides, household.name)
    request = RunRequest(
        settings=load_settings(tuple(arguments.overrides)),
        manifests=MANIFESTS,
        split=str(Path("config/splits/three.yaml").absolute()),
        hold_out="a",
        without_groups=tuple(sorted({passage.original for side in sides.values() for passage in side})),
        active=str(bundle),
        base=str(base),
        held_out_from=HELD_OUT_FROM,
        collect=False,
        deploy=False,
        force=True,
    )
    retrain(home, request, Console(stderr=True), new=arguments.new)
    return runs_of(home.folder)[-1]


def figures(run: RunFolder) -> Iterator[str]:
    """Yield a household's rows of the table."""
    values = json.loads((run / "gate.json").read_text(encoding="utf-8"))
    had = values["had"]
    name = run.folder.parent.parent.name
    for one in values["figures"]:
        yield f"| {name} | {one['part']}: {one['what']} | {one['active']:.3f} | {one['candidate']:.3f} |"
    stamps = [stamp for name in STAGES if (stamp := run.stamp(name)) is not None]
    wall_s, cpu_s = sum(one.wall_s for one in stamps), sum(one.cpu_s for one in stamps)
    train = run.stamp("train")
    yield (
        f"| {name} | gate: {values['judged']}; held out {had['own_sirens']} sirens, "
        f"{had['own_others']} others; base {had['test_clips']} clips, {had['long_hours']:.2f} h | | "
        f"{wall_s:.0f} s, {cpu_s:.0f} s of processors, {train.cpu_s if train else 0:.0f} of them training |"
    )


def main(words: Sequence[str]) -> int:
    """Run the households that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="training run whose training never heard part a")
    parser.add_argument("--presets", type=Path, required=True, help="its operating points")
    parser.add_argument("--out", type=Path, required=True, help="folder for the three homes")
    parser.add_argument("--household", action="append", choices=[one.name for one in HOUSEHOLDS], help="only this one")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--new", action="store_true", help="retrain once more")
    arguments = parser.parse_args(words)
    print("| household | figure | before | after |\n|---|---|---|---|")
    for household in HOUSEHOLDS:
        if not arguments.household or household.name in arguments.household:
            run = simulate(household, arguments)
            print("\n".join(figures(run)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
