"""A trained run that has heard every second recording of a corpus, for commands that add something to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from earshot_trainer.training.command import RunRequest, run_training
from earshot_trainer.training.finished_run import AdditionRequest

RATE_HZ = 16_000
HELD_OUT = "fold1"


@dataclass(frozen=True)
class HalfHeard:
    """The run's model, the manifest of the whole corpus and the cache."""

    model: Path
    manifest: Path
    cache: Path

    @property
    def request(self) -> AdditionRequest:
        """For an addition to the run, from the whole corpus."""
        return AdditionRequest(self.model, (str(self.manifest),), self.cache)

    def from_what_it_has_not_heard(self, folder: Path) -> AdditionRequest:
        """For one from the other half alone, whose manifest is written into `folder`."""
        head, *rows = self.manifest.read_text().splitlines()
        others = [f"{self.manifest.parent}/{row}" for row in rows if HELD_OUT in row]
        (folder / "others.csv").write_text("\n".join([head, *others]) + "\n")
        return AdditionRequest(self.model, (str(folder / "others.csv"),), self.cache)


def melody(rng: np.random.Generator, seconds: int) -> np.ndarray:
    """Chords of plucked notes: the tagger takes them for music."""
    time_s = np.arange(RATE_HZ * seconds) / RATE_HZ
    sound = np.zeros(len(time_s))
    for beat in np.arange(0, seconds, 0.25):
        since_s = np.maximum(time_s - beat, 0)
        for step in (0, 4, 7):
            pitch_hz = 220 * 2 ** ((step + 12 * (int(beat * 4) % 2) + rng.choice([0, 2, 5])) / 12)
            sound += (time_s >= beat) * np.exp(-6 * since_s) * np.sin(2 * np.pi * pitch_hz * since_s)
    return (0.1 * sound).astype(np.float32)


def train_on_half(
    folder: Path, sounds: Sequence[tuple[np.ndarray, bool]], recipe: str, names: Sequence[str] = ()
) -> HalfHeard:
    """Write sounds at 16 kHz, each a siren or not, and train by a recipe's text on every second one, the first too.

    `names` are what the manifest calls them; `x` if nothing is given.
    """
    rows = ["path,label,is_siren,kind,source,fsid,fold,dur,licence"]
    for number, (sound, is_siren) in enumerate(sounds):
        sf.write(folder / f"{number}.wav", sound, RATE_HZ)
        seconds = len(sound) / RATE_HZ
        name = names[number] if names else "x"
        rows.append(f"{number}.wav,{name},{int(is_siren)},clip,tiny,{100 + number},fold{number % 2},{seconds:g},CC0")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(recipe)
    manifest, cache = folder / "manifest.csv", folder / "cache"
    request = RunRequest(
        folder / "recipe.yaml",
        (str(manifest),),
        folder / "run",
        device="cpu",
        threads=1,
        cache=cache,
        folds=(HELD_OUT,),
    )
    return HalfHeard(run_training(request), manifest, cache)
