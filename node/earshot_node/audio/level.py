"""Sound level."""

import math

import numpy as np

from earshot_node.audio.block import Samples

SILENCE_DBFS = -120.0


def level_dbfs(samples: Samples) -> float:
    """Root mean square of float32[n] in dB below full scale (a full-scale square wave is 0 dBFS), at least -120."""
    if len(samples) == 0:
        return SILENCE_DBFS
    power = float(np.dot(samples, samples)) / len(samples)
    return max(SILENCE_DBFS, 10.0 * math.log10(power)) if power > 0 else SILENCE_DBFS
