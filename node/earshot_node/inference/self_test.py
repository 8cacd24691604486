"""Does this machine compute what the trainer computed?"""

import time
from dataclasses import dataclass

import numpy as np

from earshot_node.errors import BundleError
from earshot_node.inference.bundle import Bundle
from earshot_node.inference.model import StreamingModel


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A passed self-test: greatest deviation from the expected posteriors, and seconds of work per second of audio."""

    deviation: float
    real_time_factor: float


def self_test(bundle: Bundle, model: StreamingModel) -> SelfTest:
    """Run the reference clips hop by hop and compare with the posteriors in the bundle.

    Raises:
        BundleError: a posterior is off by more than the clip's tolerance, or a clip is damaged.
    """
    hop = bundle.manifest.hop_samples
    worst, work_s, audio_s = 0.0, 0.0, 0.0
    for clip in bundle.manifest.reference_clips:
        samples, expected = bundle.reference(clip)
        frames = len(samples) // hop
        state, rows = model.initial_state(), []
        begin = time.perf_counter()
        for frame in range(frames):
            output = model.run(samples[None, frame * hop : (frame + 1) * hop], [state])
            state = output.states[0]
            rows.append(output.posteriors[0, 0])
        work_s += time.perf_counter() - begin
        audio_s += frames * bundle.manifest.hop_s
        if len(rows) != len(expected):
            raise BundleError(
                f"{bundle.origin}: self-test on {clip.audio}: {len(rows)} frames, {len(expected)} expected"
            )
        deviation = float(np.abs(np.stack(rows) - expected).max())
        if not deviation <= clip.tolerance:
            raise BundleError(
                f"{bundle.origin}: self-test on {clip.audio} failed: posteriors are off by {deviation:.3f}, "
                f"at most {clip.tolerance} is right; this build of onnxruntime computes it differently"
            )
        worst = max(worst, deviation)
    return SelfTest(worst, work_s / audio_s)
