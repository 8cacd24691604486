"""The household's held-out recordings as they are, and as they would sound another time: quieter, over other sounds.

A dozen recordings tell two models apart in steps of a twelfth. Heard under several conditions each, they do so in finer
steps, and where both models find every recording as it is, the harder conditions show the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import soundfile as sf

from earshot_node.errors import OperatorError
from earshot_node.synth.filters import Samples
from earshot_trainer.corpus.cache import SAMPLE_RATE_HZ, PcmCache, default_cache_dir, to_int16
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.retraining.new_labels import presence

AS_RECORDED: Final = "as recorded"
QUIETER_DB: Final = -12.0
RATIOS_DB: Final = (10.0, 0.0)
_SILENCE: Final = 1e-5


@dataclass(frozen=True)
class Conditions:
    """The recordings under all conditions, and which of the held-out ones each is made of.

    Attributes:
        recordings: under every condition; those as they were recorded are the held-out ones themselves.
        origin: index of each one's recording among the held-out ones.
        names: condition of each.
        beneath: what each is laid over, if it is.
    """

    recordings: tuple[Recording, ...]
    origin: tuple[int, ...]
    names: tuple[str, ...]
    beneath: tuple[Recording | None, ...]

    def tell_of(self, label: str) -> list[bool]:
        """Tell of each whether it is known if a label is to be heard in it, whatever lies beneath."""
        known = []
        for one, under in zip(self.recordings, self.beneath, strict=True):
            here = presence(one, label)
            covers = under is None or presence(under, label) == "without"
            known.append(here == "holds" or (here == "without" and covers))
        return known


def under_conditions(held_out: Sequence[Recording], streets: Sequence[Recording], folder: Path) -> Conditions:
    """Write the held-out recordings under every condition into `folder`.

    A recording with a siren is heard quieter, and over another held-out recording without one and over a street, at
    each of `RATIOS_DB`; one without is heard quieter and over a street. Nothing is drawn by chance.

    Args:
        held_out: of both kinds.
        streets: recordings without a siren that nothing was learnt from; none: no street is laid under.
        folder: where the audio goes.

    Raises:
        OperatorError: a recording cannot be read, or the folder cannot be written.
    """
    cache = PcmCache(default_cache_dir())
    cache.add((*held_out, *streets))
    heard = {one: cache.samples(one).astype(np.float32) / 32768.0 for one in (*held_out, *streets)}
    others = [one for one in held_out if not one.is_siren]
    rows: list[tuple[Recording, int, str, Recording | None]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index, one in enumerate(held_out):
            rows.append((one, index, AS_RECORDED, None))
            pools = {"own sound": others if one.is_siren else [], "street": streets}
            changed: dict[str, tuple[Samples, Recording | None]] = {
                "quieter": (heard[one] * 10 ** (QUIETER_DB / 20), None)
            }
            for name, pool in pools.items():
                for turn, ratio_db in enumerate(RATIOS_DB if pool else ()):
                    under = pool[(index * len(RATIOS_DB) + turn) % len(pool)]
                    mixed = laid_over(heard[one], heard[under], ratio_db)
                    changed[f"over {name} at {ratio_db:+g} dB"] = (mixed, under)
            for name, (samples, below) in changed.items():
                path = folder / f"{index}-{name.replace(' ', '-')}.flac"
                sf.write(path, to_int16(samples), SAMPLE_RATE_HZ, subtype="PCM_16")
                rows.append((replace(one, path=path, name=f"{one.name}, {name}"), index, name, below))
    except OSError as error:
        raise OperatorError(f"{folder}: cannot be written ({error.strerror}); free some space") from error
    recordings, origin, names, beneath = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Conditions(tuple(recordings), tuple(origin), tuple(names), tuple(beneath))


def laid_over(front: Samples, under: Samples, ratio_db: float) -> Samples:
    """Return `front` at its own level over `under`, repeated as needed, `ratio_db` below it in power."""
    level = [max(_SILENCE, float(np.sqrt(np.mean(np.square(part))))) for part in (front, under)]
    fitting = np.resize(under, len(front))
    mixed = front + fitting * (level[0] / level[1] * 10 ** (-ratio_db / 20))
    return np.asarray(np.clip(mixed, -1.0, 1.0), dtype=np.float32)


def street_clips(test: Sequence[Recording]) -> list[Recording]:
    """Return the synthesized streets of the base test set: nothing was learnt or calibrated on them."""
    return [one for one in test if one.kind == "long" and one.source == "synthetic" and not one.is_siren]
