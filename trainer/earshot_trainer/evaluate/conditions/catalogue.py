"""All conditions that are measured, in the order of the table."""

from functools import partial

from earshot_trainer.evaluate.conditions import background, codec, microphone, room, speed
from earshot_trainer.evaluate.conditions.take import Apply, Condition

PLAIN = "plain"
SNR_DB = (20, 15, 10, 5, 0, -5, -10)
LEVEL_DBFS = (-10, -20, -30, -40, -50)
WIND_SNR_DB = (10, 0, -10)
SPEED_KM_H = (30, 50, 80, 110)
SPEED_FACTOR = (0.8, 0.9, 1.1, 1.25)
RATE_HZ = (44_100, 48_000)
BIT_S = {"opus": 24_000, "aac": 32_000}


def all_conditions() -> tuple[Condition, ...]:
    """Return every condition; those that cannot be measured here say why in `missing`."""
    return (*_references(), *_backgrounds(), *_codecs(), *_rooms(), *_speeds(), *_microphones())


def _references() -> list[Condition]:
    return [
        Condition("reference", PLAIN, None, "", background.at_level),
        Condition("reference", "as recorded", None, "", background.as_recorded),
        Condition("reference", "background alone", None, "", background.background_alone),
    ]


def _backgrounds() -> list[Condition]:
    return [
        *(_numbered("SNR", "dB", snr_db, partial(background.at_snr, snr_db=snr_db), signed=True) for snr_db in SNR_DB),
        *(
            _numbered("level", "dBFS", level_dbfs, partial(background.at_level, level_dbfs=level_dbfs))
            for level_dbfs in LEVEL_DBFS
        ),
        *(
            _numbered("wind SNR", "dB", snr_db, partial(background.in_wind, snr_db=snr_db), signed=True)
            for snr_db in WIND_SNR_DB
        ),
    ]


def _codecs() -> list[Condition]:
    return [
        Condition("codec", "Opus 24 kbit/s", None, "", partial(codec.through_opus, bit_s=BIT_S["opus"])),
        Condition(
            "codec", "AAC 32 kbit/s", None, "", partial(codec.through_aac, bit_s=BIT_S["aac"]), codec.why_no_aac()
        ),
        Condition("codec", "G.711 A-law 8 kHz", None, "", partial(codec.through_g711, law="ALAW")),
        Condition("codec", "G.711 mu-law 8 kHz", None, "", partial(codec.through_g711, law="ULAW")),
    ]


def _rooms() -> list[Condition]:
    return [
        Condition("room", "small room, 0.4 s", None, "", partial(room.in_room, room=room.SMALL_ROOM)),
        Condition("room", "large room, 1.6 s", None, "", partial(room.in_room, room=room.LARGE_ROOM)),
        Condition("room", "street with a wall", None, "", room.before_wall),
        Condition("room", "across a town, 4 s", None, "", room.across_town),
        Condition("room", "closed window", None, "", room.behind_window),
        Condition("room", "closed window, SNR +5 dB", None, "", partial(room.behind_window_at_snr, snr_db=5.0)),
    ]


def _speeds() -> list[Condition]:
    return [
        *(
            _numbered("pass-by", "km/h", speed_km_h, partial(speed.passing_by, speed_km_h=speed_km_h))
            for speed_km_h in SPEED_KM_H
        ),
        *(_numbered("speed", "times", factor, partial(speed.at_speed, factor=factor)) for factor in SPEED_FACTOR),
    ]


def _microphones() -> list[Condition]:
    name = "microphone"
    return [
        *(
            Condition(name, f"captured at {rate_hz} Hz", None, "", partial(microphone.captured_at, rate_hz=rate_hz))
            for rate_hz in RATE_HZ
        ),
        Condition(name, "DC offset 0.1", None, "", partial(microphone.with_dc, offset=0.1)),
        Condition(name, "overdriven by 12 dB", None, "", partial(microphone.overdriven, by_db=12.0)),
        Condition(name, "self-noise -50 dBFS", None, "", partial(microphone.with_noise, noise_dbfs=-50.0)),
        Condition(name, "mains hum -25 dBFS", None, "", partial(background.mains_hum, level_dbfs=-25.0)),
    ]


def _numbered(family: str, unit: str, value: float, apply: Apply, *, signed: bool = False) -> Condition:
    number = f"{value:+g}" if signed else f"{value:g}"
    return Condition(family, f"{family} {number} {unit}", float(value), unit, apply)
