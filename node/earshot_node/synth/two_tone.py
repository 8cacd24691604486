"""Regional two-tone (hi-lo) sirens: pitches and tempo.

Where a rule could be read or is quoted by several independent sources it is named in `rule`; an empty
`rule` means approximate, from recordings or from memory of the trade.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TwoToneStandard:
    """Two pitches and how long each sounds.

    `beat_hz` is the offset of a second voice where a siren mixes two close pitches (0: none), `rule` the
    rule that fixes the pitches.
    """

    name: str
    low_hz: float
    high_hz: float
    tone_s: float
    beat_hz: float = 0.0
    rule: str = ""


TWO_TONES = (
    # 360 to 630 Hz, a perfect fourth (4:3) apart; a1-d2 is the usual pair. Tempo approximate.
    TwoToneStandard("germany", 440.0, 586.7, 0.75, rule="DIN 14610"),
    TwoToneStandard("germany_air_horn", 445.0, 592.0, 0.55, beat_hz=5.0, rule="DIN 14610"),
    # France: first tone 435 Hz, all within 2 %; 50 to 60 cycles a minute, fire brigade 25 to 30.
    TwoToneStandard("france_police", 435.0, 580.0, 0.55, rule="arrete du 30 octobre 1987"),
    TwoToneStandard("france_gendarmerie", 435.0, 732.0, 0.55, rule="arrete du 30 octobre 1987"),
    TwoToneStandard("france_ambulance", 435.0, 651.0, 0.55, rule="arrete du 30 octobre 1987"),
    TwoToneStandard("france_fire", 435.0, 488.0, 1.1, rule="arrete du 30 octobre 1987"),
    # Italy, ambulance and fire brigade: 392 and 660 Hz within 5 %. Tempo approximate.
    TwoToneStandard("italy_ambulance", 392.0, 660.0, 0.75, rule="decreto ministeriale 17 ottobre 1980"),
    TwoToneStandard("italy_police", 466.0, 622.0, 0.5),
    TwoToneStandard("netherlands", 375.0, 500.0, 0.7, rule="Regeling optische en geluidssignalen 2009"),
    # Two high and two low tones in 2.5 to 3.5 s; g sharp and c sharp.
    TwoToneStandard("switzerland", 415.3, 554.4, 0.75, rule="federal directive on two-tone horns"),
    # 0.65 s each, each mixed with a voice 10 Hz away; the second pair is the softer residential mode.
    TwoToneStandard("japan_ambulance", 770.0, 960.0, 0.65, beat_hz=10.0, rule="notice of 10 June 1970, No. 337"),
    TwoToneStandard("japan_residential", 680.0, 850.0, 0.65, beat_hz=10.0),
    TwoToneStandard("united_kingdom", 500.0, 660.0, 0.5),
    TwoToneStandard("united_states", 715.0, 1127.0, 0.55),
)
