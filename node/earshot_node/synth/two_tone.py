"""Regional two-tone (hi-lo) sirens: pitches and tempo."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TwoToneStandard:
    """Two pitches and how long each sounds. `verified` is False where the figures are approximate."""

    name: str
    low_hz: float
    high_hz: float
    tone_s: float
    verified: bool


TWO_TONES = (
    TwoToneStandard("germany", 435.0, 580.0, 0.75, False),
    TwoToneStandard("france_fire", 435.0, 488.0, 1.1, False),
    TwoToneStandard("france_police", 435.0, 580.0, 0.55, False),
    TwoToneStandard("france_ambulance", 420.0, 516.0, 1.1, False),
    TwoToneStandard("france_gendarmerie", 435.0, 732.0, 0.55, False),
    TwoToneStandard("italy", 466.0, 622.0, 0.5, False),
    TwoToneStandard("netherlands", 375.0, 500.0, 0.7, False),
    TwoToneStandard("united_kingdom", 500.0, 660.0, 0.5, False),
    TwoToneStandard("united_states", 500.0, 700.0, 0.55, False),
    TwoToneStandard("japan_ambulance", 770.0, 960.0, 0.65, False),
)
