"""The numbers that define a model: its features, its network and its labels."""

from dataclasses import asdict, dataclass, fields
from typing import Any

SAMPLE_RATE_HZ = 16_000
MEL_HOP_SAMPLES = 160
"""One log-mel frame every 10 ms."""
FRAMES_PER_HOP = 4
HOP_SAMPLES = MEL_HOP_SAMPLES * FRAMES_PER_HOP
"""One decision every 40 ms."""
MEL_RANGE_KEY = "mel_range_hz"
"""In an exported graph's metadata: JSON, edges of the lowest and the highest band."""
TAGGER_LAYERS = (7, 9, 11, 13, 15)
"""Where the published tagger can be cut: behind a pointwise convolution, once a step is 40 ms."""
TAGGER_MELS = 64
TAGGER_CONVOLUTIONS = 27
"""All that it has."""
TAGGER_FROZEN_LAYERS = 5
"""The first ones, up to 40 ms a step, stay as they are: edges and onsets are what they are, and they cost the most."""


@dataclass(frozen=True)
class ModelConfig:
    """The `model:` section of a recipe; everything else about the model follows from it.

    `window_samples` is a multiple of four, so that a window's quarters can be added up before the DFT.
    `magnitudes` makes frames as the published tagger does (see `network/features.py`), which its layers expect.
    `channels` are the widths of the stem and of the three separable blocks behind it. `level_s` is the time constant of
    the level that frames are brought to (see `network/level.py`); 0 leaves them as they are. `wavelet_channels` is the
    width of the branch that sees slow changes (see `network/wavelets.py`); 0 leaves it out. `tagger_layers` is how many
    convolutions of the published tagger stand in place of stem, blocks and branch (see `network/tagger_layers.py`); of
    `channels` only the last width counts then.
    Raises ValueError for a combination that cannot be built.
    """

    labels: tuple[str, ...] = ("siren",)
    window_samples: int = 480
    n_mels: int = 80
    mel_min_hz: float = 50.0
    mel_max_hz: float = 8_000.0
    power_floor: float = 1e-6
    magnitudes: bool = False
    channels: tuple[int, int, int, int] = (16, 32, 64, 96)
    embedding: int = 96
    hidden: int = 112
    dropout: float = 0.1
    level_s: float = 0.0
    wavelet_channels: int = 0
    tagger_layers: int = 0

    def __post_init__(self) -> None:
        """Accept lists from YAML; reject what cannot be built."""
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "channels", tuple(self.channels))
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"model.labels: {self.labels}: need at least one label, each once")
        if self.window_samples % 4 or self.window_samples < 2 * MEL_HOP_SAMPLES:
            raise ValueError(
                f"model.window_samples: {self.window_samples}: need a multiple of 4, at least {2 * MEL_HOP_SAMPLES}"
            )
        if self.level_s < 0:
            raise ValueError(f"model.level_s: {self.level_s}: need seconds, or 0 for none")
        if self.wavelet_channels < 0:
            raise ValueError(f"model.wavelet_channels: {self.wavelet_channels}: need a width, or 0 for none")
        if self.n_mels % 16:
            raise ValueError(f"model.n_mels: {self.n_mels}: need a multiple of 16")
        if self.tagger_layers and (self.tagger_layers not in TAGGER_LAYERS or self.n_mels != TAGGER_MELS):
            raise ValueError(
                f"model.tagger_layers: {self.tagger_layers}: need 0, or with n_mels {TAGGER_MELS} one of "
                f"{', '.join(map(str, TAGGER_LAYERS))}"
            )
        if self.tagger_layers and self.wavelet_channels:
            raise ValueError("model.wavelet_channels: the branch joins the network's own blocks; need tagger_layers 0")
        if len(self.channels) != 4:
            raise ValueError(f"model.channels: {self.channels}: need four widths")
        if not 0 <= self.mel_min_hz < self.mel_max_hz <= SAMPLE_RATE_HZ / 2:
            raise ValueError("model.mel_min_hz, mel_max_hz: need 0 <= min < max <= 8000")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON and YAML types; `from_dict` reads them back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        """Build from a recipe's or checkpoint's mapping; ValueError names an unknown key."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"model: unknown key {', '.join(unknown)}")
        return cls(**values)
