"""When a weakly labelled recording sounds: frames whose energy is close to its loudest part."""

import numpy as np
import numpy.typing as npt

from earshot_trainer.network.architecture import HOP_SAMPLES

SMOOTHING_FRAMES = 5
LOUD_PERCENTILE = 95.0
SILENCE_DBFS = -100.0
BLOCK_FRAMES = 15_000
FloatArray = npt.NDArray[np.float32]


def frame_levels_dbfs(samples: npt.NDArray[np.int16]) -> FloatArray:
    """RMS level of each 40 ms frame, the last one padded, smoothed over 200 ms; at least -100 dBFS."""
    frames = -(-len(samples) // HOP_SAMPLES)
    power = np.zeros(frames, dtype=np.float32)
    for first in range(0, frames, BLOCK_FRAMES):
        block = samples[first * HOP_SAMPLES : (first + BLOCK_FRAMES) * HOP_SAMPLES].astype(np.float32) / 32768.0
        padded = np.pad(block, (0, -len(block) % HOP_SAMPLES))
        power[first : first + BLOCK_FRAMES] = np.square(padded).reshape(-1, HOP_SAMPLES).mean(axis=1)
    kernel = np.ones(SMOOTHING_FRAMES) / SMOOTHING_FRAMES
    smooth = np.convolve(np.pad(power, SMOOTHING_FRAMES // 2, mode="edge"), kernel, mode="valid")
    floor = 10.0 ** (SILENCE_DBFS / 10.0)
    return np.asarray(10.0 * np.log10(np.maximum(smooth, floor)), dtype=np.float32)


def active_frames(samples: npt.NDArray[np.int16], range_db: float) -> npt.NDArray[np.bool_]:
    """Frames within `range_db` of the recording's 95th percentile level."""
    levels = frame_levels_dbfs(samples)
    loud = float(np.percentile(levels, LOUD_PERCENTILE))
    return np.asarray(levels >= max(loud - range_db, SILENCE_DBFS + 1.0))
