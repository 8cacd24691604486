"""What a model hears in a recording, by the node's own pipeline."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block, Samples
from earshot_node.audio.flac import decode_flac
from earshot_node.contract.manifest import MelRange
from earshot_node.contract.names import SIREN
from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import Bundle
from earshot_node.inference.facts import Frames, Offset, SoundEvent
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline, Points


@dataclass(frozen=True, slots=True)
class View:
    """What was heard.

    Attributes:
        model: the model's version.
        labels: the columns of `posteriors`.
        posteriors: float32[frames, labels], a row each `hop_s`.
        log_mel: float32[frames, mels], natural logarithm of power, a row each `mel_hop_s`.
        mel_range_hz: of its bands.
        events: by the balanced preset, all ended.
    """

    model: str
    labels: tuple[str, ...]
    posteriors: NDArray[np.float32]
    hop_s: float
    log_mel: NDArray[np.float32]
    mel_hop_s: float
    mel_range_hz: MelRange
    events: tuple[SoundEvent, ...]

    @property
    def suggestion(self) -> tuple[str, ...]:
        """The labels that had an event; empty: background."""
        return tuple(label for label in self.labels if any(event.label == label for event in self.events))

    def peak(self, label: str) -> float:
        """Return a label's highest posterior, 0 for one that the model does not know."""
        if label not in self.labels or not len(self.posteriors):
            return 0.0
        return float(self.posteriors[:, self.labels.index(label)].max())

    def told(self) -> str:
        """Say it in a line."""
        parts = []
        for label in self.labels:
            spans = [_span(event) for event in self.events if event.label == label]
            heard = f"event {', '.join(spans)}" if spans else "no event"
            parts.append(f"{label} {self.peak(label):.2f} ({heard})")
        return f"model {self.model} hears {'; '.join(parts)}"


class Ear:
    """Hears one recording after the other with one model, each with a fresh state.

    Args:
        bundle: the model.
        labels: that people here label with; what else the model knows is nothing to ask them about.
    """

    def __init__(self, bundle: Bundle, labels: Collection[str] = (SIREN,)) -> None:
        self.manifest = bundle.manifest
        self.model = StreamingModel(bundle.manifest, bundle.model)
        self.labels = tuple(label for label in bundle.manifest.labels if label in labels)
        presets = bundle.manifest.presets
        sensitivity = PRESET_SENSITIVITY["balanced"]
        self._points: Points = {
            label: presets.at(label, sensitivity) for label in self.labels if label in presets.balanced
        }

    def hear(self, samples: Samples) -> View:
        """Return what is heard in float32[n] at 16 kHz."""
        pipeline = Pipeline(self.model, lambda _: self._points)
        facts = [*pipeline.push([Block("recording", 0, 0, samples, 0.0, 0.0)]), *pipeline.flush("recording")]
        frames = [fact for fact in facts if isinstance(fact, Frames)]
        manifest = self.manifest
        posteriors = [np.zeros((0, len(manifest.labels)), np.float32), *(one.posteriors for one in frames)]
        log_mel = np.concatenate([one.log_mel for one in frames]) if frames else np.zeros((0, 1), np.float32)
        hops = sum(len(one.posteriors) for one in frames)
        return View(
            model=manifest.version,
            labels=self.labels,
            posteriors=np.concatenate(posteriors)[:, [manifest.labels.index(label) for label in self.labels]],
            hop_s=manifest.hop_s,
            log_mel=log_mel,
            mel_hop_s=manifest.hop_s * hops / max(1, len(log_mel)),
            mel_range_hz=manifest.mel_range_hz,
            events=tuple(fact.event for fact in facts if isinstance(fact, Offset)),
        )


def samples_of(flac: bytes, name: str) -> Samples:
    """Return a kept recording's audio, float32[n] at 16 kHz.

    Raises:
        OperatorError: it is no such audio.
    """
    try:
        samples, rate_hz = decode_flac(flac)
    except soundfile.SoundFileError as error:
        raise OperatorError(f"recording {name} cannot be decoded ({error}); restore it from a backup") from error
    if samples.ndim != 1 or rate_hz != SAMPLE_RATE_HZ:
        raise OperatorError(f"recording {name} is not mono at 16 kHz; import it again")
    return np.ascontiguousarray(samples, np.float32)


def _span(event: SoundEvent) -> str:
    end = "" if event.offset_s is None else f"{event.offset_s:.1f}"
    kind = f" {event.kind}" if event.kind and event.kind != "unknown" else ""
    return f"{event.onset_s:.1f}-{end} s{kind}"
