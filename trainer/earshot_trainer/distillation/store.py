"""What the tagger heard in each mixture, kept on disk: rendered and heard once, learnt from by every run.

The mixtures are of the whole corpus; a run takes those that hold nothing that it keeps out. They are made in pieces,
each of which appears whole or not at all, so that a build that was cut goes on where it was.
"""

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from earshot_node.worker_pool import worker_pool
from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.distillation import mixtures
from earshot_trainer.distillation.mixtures import MixtureRenderer
from earshot_trainer.distillation.tagger import MEL_HOP_SAMPLES, WINDOW_FRAMES, EmbeddingTagger
from earshot_trainer.network.architecture import HOP_SAMPLES
from earshot_trainer.network.features import LogMel
from earshot_trainer.segments.bank import FEATURE_KEYS
from earshot_trainer.segments.synthetic import load_pool, synthesizer_code
from earshot_trainer.training.memory import keep_freed_memory
from earshot_trainer.training.recipe import Recipe
from earshot_trainer.training.teacher import Teacher

PIECE = 250
AT_ONCE = 10
WINDOW_HOP_FRAMES = 48
TAGGER_DBFS = -23.0
"""What the tagger hears is brought to this level: it knows 4 points of average precision more of sirens than at the
levels that recordings have."""
LOWEST_FRAME = -21.0
FRAME_STEP = 0.125
"""Log-mel frames are kept in steps of .54 dB from here on, as bytes: from the recipe's floor to above full scale."""
Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class HeardMixtures:
    """Mixtures by number, in pieces of equal size.

    Attributes:
        frames: of each piece uint8 [PIECE, F, mels], read from disk as needed; see `decode_frames`.
        active: bool [count, F / 4], where a siren sounds.
        embeddings: float16 [count, windows, 1024].
        ingredients: numbers of the recordings in each mixture.
    """

    frames: Sequence[Frames]
    active: npt.NDArray[np.bool_]
    embeddings: npt.NDArray[np.float16]
    ingredients: Sequence[tuple[int, ...]]

    def frames_of(self, number: int) -> npt.NDArray[np.float32]:
        """Log-mel frames [F, mels] of one mixture, natural logarithm of power."""
        return decode_frames(self.frames[number // PIECE][number % PIECE])

    def made_of(self, allowed: Sequence[bool]) -> npt.NDArray[np.int64]:
        """Numbers of the mixtures that hold only recordings that are allowed."""
        return np.array([n for n, rows in enumerate(self.ingredients) if all(allowed[row] for row in rows)], np.int64)


def encode_frames(frames: npt.NDArray[np.float32]) -> Frames:
    """Frames as bytes; what is below the lowest or above the highest byte is cut."""
    return np.asarray(np.clip(np.rint((frames - LOWEST_FRAME) / FRAME_STEP), 0, 255), dtype=np.uint8)


def decode_frames(stored: Frames) -> npt.NDArray[np.float32]:
    """Frames from bytes, within half a step."""
    return stored.astype(np.float32) * np.float32(FRAME_STEP) + np.float32(LOWEST_FRAME)


def window_decisions(length: int) -> npt.NDArray[np.int64]:
    """The first decision (40 ms frame) that has heard the whole of each window of a mixture of `length` samples."""
    frames = (length - MEL_HOP_SAMPLES * 5 // 2) // MEL_HOP_SAMPLES + 1
    starts = np.arange(0, frames - WINDOW_FRAMES + 1, WINDOW_HOP_FRAMES) * MEL_HOP_SAMPLES
    return (starts + WINDOW_FRAMES * MEL_HOP_SAMPLES + MEL_HOP_SAMPLES * 3 // 2 - 1) // HOP_SAMPLES


def hear_mixtures(
    recordings: Sequence[Recording],
    recipe: Recipe,
    teacher: Teacher,
    folder: Path,
    progress: Callable[[int], None] = lambda _: None,
    processes: int | None = None,
) -> HeardMixtures:
    """The recipe's number of mixtures of these recordings, from `folder` where they were heard before.

    The recordings are in the cache in `folder`. `progress` is called with the number of mixtures done.
    """
    assert recipe.distillation is not None
    count = -(-recipe.distillation.mixtures // PIECE)
    home = folder / f"heard-{_digest(recordings, recipe, teacher, PcmCache(folder))}"
    home.mkdir(parents=True, exist_ok=True)
    load_pool(recipe.synthetic, recipe.distillation.seed, folder)
    missing = [number for number in range(count) if not _meta_path(home, number).exists()]
    progress(PIECE * (count - len(missing)))
    if missing:
        workers = max(1, min(processes or os.cpu_count() or 1, len(missing)))
        with worker_pool(workers, _prepare, tuple(recordings), recipe, teacher.path, folder, home) as executor:
            for _ in executor.map(_make_piece, missing):
                progress(PIECE)
    return _read(home, count)


def _read(home: Path, count: int) -> HeardMixtures:
    pieces = [np.load(_meta_path(home, number)) for number in range(count)]
    ingredients = [tuple(rows) for piece in pieces for rows in json.loads(str(piece["ingredients"]))]
    return HeardMixtures(
        frames=[np.load(_frames_path(home, number), mmap_mode="r") for number in range(count)],
        active=np.concatenate([piece["active"] for piece in pieces]),
        embeddings=np.concatenate([piece["embeddings"] for piece in pieces]),
        ingredients=ingredients,
    )


class _Listener:
    """One process' renderer and ears."""

    def __init__(
        self, recordings: tuple[Recording, ...], recipe: Recipe, model: Path, folder: Path, home: Path
    ) -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        cache = PcmCache(folder)
        cache.add(recordings)
        length = recipe.mixing.segment_hops * HOP_SAMPLES
        assert recipe.distillation is not None
        seed = recipe.distillation.seed
        pool = load_pool(recipe.synthetic, seed, folder)
        self._renderer = MixtureRenderer(recordings, cache, pool, length, recipe.mixing.active_range_db, seed)
        self._log_mel = LogMel(recipe.model)
        self._tagger = EmbeddingTagger.open(Teacher(model))
        self._home = home

    def make_piece(self, piece: int) -> None:
        """Render and hear the piece's mixtures; the small file is written last and makes it valid."""
        first = piece * PIECE
        made = [self._renderer.render(number) for number in range(first, first + PIECE)]
        frames, embeddings = [], []
        for start in range(0, PIECE, AT_ONCE):
            samples = torch.from_numpy(np.stack([one.samples for one in made[start : start + AT_ONCE]]))
            with torch.inference_mode():
                frames.append(self._log_mel(samples, self._log_mel.initial_cache(len(samples)))[0].numpy())
            embeddings.append(self._tagger.embed(_at_level(samples), WINDOW_HOP_FRAMES).numpy())
        partial = _frames_path(self._home, piece).with_suffix(f".{os.getpid()}.npy")
        np.save(partial, encode_frames(np.concatenate(frames)))
        partial.replace(_frames_path(self._home, piece))
        partial = _meta_path(self._home, piece).with_suffix(f".{os.getpid()}.npz")
        np.savez(
            partial,
            active=np.stack([one.active for one in made]),
            embeddings=np.concatenate(embeddings).astype(np.float16),
            ingredients=json.dumps([one.ingredients for one in made]),
        )
        partial.replace(_meta_path(self._home, piece))


_listener: list[_Listener] = []
"""This worker process' own."""


def _prepare(recordings: tuple[Recording, ...], recipe: Recipe, model: Path, folder: Path, home: Path) -> None:
    _listener[:] = [_Listener(recordings, recipe, model, folder, home)]


def _make_piece(piece: int) -> None:
    _listener[0].make_piece(piece)


def _at_level(samples: torch.Tensor) -> torch.Tensor:
    level = samples.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-9)
    return samples / level * 10 ** (TAGGER_DBFS / 20)


def _frames_path(home: Path, piece: int) -> Path:
    return home / f"{piece:04d}.frames.npy"


def _meta_path(home: Path, piece: int) -> Path:
    return home / f"{piece:04d}.npz"


def _digest(recordings: Sequence[Recording], recipe: Recipe, teacher: Teacher, cache: PcmCache) -> str:
    """Of all that mixtures and what is heard follow from, but their number: more go on with those that are there."""
    assert recipe.distillation is not None
    model = recipe.model.to_dict()
    settings = [
        {key: model[key] for key in FEATURE_KEYS},
        recipe.synthetic.model_dump(mode="json"),
        recipe.distillation.seed,
        recipe.mixing.segment_s,
        recipe.mixing.active_range_db,
        teacher.digest,
        [PIECE, WINDOW_HOP_FRAMES, TAGGER_DBFS, LOWEST_FRAME, FRAME_STEP],
    ]
    digest = hashlib.sha256(json.dumps(settings).encode() + synthesizer_code())
    digest.update(inspect.getsource(mixtures).encode())
    for recording in recordings:
        digest.update(f"{cache.key(recording)} {recording.is_siren}\n".encode())
    return digest.hexdigest()[:24]
