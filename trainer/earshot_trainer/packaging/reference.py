"""Reference clips: synthesized audio and the posteriors that the model gives for it on this machine."""

import io
import json
from dataclasses import dataclass

import numpy as np
import soundfile

from earshot_node.audio.block import Samples
from earshot_node.contract.manifest import BundleManifest, ReferenceClip
from earshot_node.inference.model import StreamingModel
from earshot_node.synth.sirens import SirenKind, SirenParameters, synthesize

TOLERANCE = 0.1
"""A different onnxruntime or processor may round INT8 differently; a wrong model is off by far more."""

_LENGTH_S = 4.0
_LEVEL = 0.2


@dataclass(frozen=True, slots=True)
class MeasuredReference:
    """A reference clip for the manifest, and its two files by name."""

    clip: ReferenceClip
    files: dict[str, bytes]


def reference_audio() -> dict[str, bytes]:
    """Return FLAC bytes by name: a wail, a hi-lo, and noise without a siren; the same at every call."""
    rng = np.random.default_rng(20260101)
    noise = rng.standard_normal(int(_LENGTH_S * 16_000)).astype(np.float32) * 0.02
    sounds: dict[str, Samples] = {"noise": noise}
    for kind in (SirenKind.WAIL, SirenKind.HILO):
        siren = synthesize(SirenParameters.random(kind, rng), duration_s=_LENGTH_S)
        sounds[kind.value] = np.asarray(_LEVEL * siren + noise, np.float32)
    return {name: _encode_flac(samples) for name, samples in sorted(sounds.items())}


def measure(manifest: BundleManifest, model: bytes) -> list[MeasuredReference]:
    """Run every reference clip hop by hop, as a node's self-test does, and keep the posteriors."""
    streaming = StreamingModel(manifest, model)
    measured = []
    for name, flac in reference_audio().items():
        audio, posteriors = f"reference/{name}.flac", f"reference/{name}.json"
        rows = hop_by_hop(streaming, _decode_flac(flac))
        text = json.dumps({"posteriors": [[round(float(p), 6) for p in row] for row in rows]}) + "\n"
        clip = ReferenceClip(audio=audio, posteriors=posteriors, tolerance=TOLERANCE)
        measured.append(MeasuredReference(clip, {audio: flac, posteriors: text.encode()}))
    return measured


def hop_by_hop(model: StreamingModel, samples: Samples) -> list[Samples]:
    """Return one row of posteriors float32[labels] for every whole hop of `samples`, from the initial state."""
    hop = model.manifest.hop_samples
    state, rows = model.initial_state(), []
    for start in range(0, len(samples) - hop + 1, hop):
        output = model.run(samples[None, start : start + hop], [state])
        state = output.states[0]
        rows.append(output.posteriors[0, 0])
    return rows


def _encode_flac(samples: Samples) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, 16_000, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def _decode_flac(data: bytes) -> Samples:
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    return np.asarray(samples, np.float32)
