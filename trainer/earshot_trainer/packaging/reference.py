"""Reference clips: synthesized audio and the posteriors that the model gives for it on this machine."""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import Samples
from earshot_node.audio.flac import encode_flac
from earshot_node.contract.manifest import BundleManifest, ReferenceClip
from earshot_node.inference.model import StreamingModel
from earshot_node.synth.reference import PCM_FULL_SCALE, reference_clips

TOLERANCE = 0.1
"""Another processor or onnxruntime may round INT8 differently; a wrong model is off by far more."""


@dataclass(frozen=True, slots=True)
class MeasuredReference:
    """A reference clip for the manifest, and its two files by name."""

    clip: ReferenceClip
    files: dict[str, bytes]


def measure_references(manifest: BundleManifest, model: bytes) -> list[MeasuredReference]:
    """Run every reference clip hop by hop, as a node's self-test does, and keep audio and posteriors."""
    streaming = StreamingModel(manifest, model)
    measured = []
    for reference in reference_clips():
        audio, posteriors = f"reference/{reference.name}.flac", f"reference/{reference.name}.json"
        heard = (reference.pcm.astype(np.float32) / np.float32(PCM_FULL_SCALE)).astype(np.float32)
        rows = [[round(float(p), 6) for p in row] for row in hop_by_hop(streaming, heard)]
        clip = ReferenceClip(audio=audio, posteriors=posteriors, tolerance=TOLERANCE)
        text = json.dumps({"posteriors": rows}) + "\n"
        measured.append(MeasuredReference(clip, {audio: encode_flac(reference.pcm), posteriors: text.encode()}))
    return measured


def hop_by_hop(model: StreamingModel, samples: Samples) -> NDArray[np.float32]:
    """Return posteriors float32[hops, labels] for the whole hops of `samples`, from the initial state."""
    hop = model.manifest.hop_samples
    state, rows = model.initial_state(), []
    for start in range(0, len(samples) - hop + 1, hop):
        output = model.run(samples[None, start : start + hop], [state])
        state = output.states[0]
        rows.append(output.posteriors[0, 0])
    return np.stack(rows)
