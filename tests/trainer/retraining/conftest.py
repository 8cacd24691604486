"""A home with recordings of a household: synthesized sirens and hiss, in sessions."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.trainer_home import make_home

from earshot_node.contract.recordings import RECORDINGS_NEEDED, Labelling, RecordingInfo
from earshot_node.synth.filters import Samples
from earshot_node.synth.sirens import random_siren
from earshot_node.synth.traps import synthesize_trap
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.home.folder import Home

BEGIN = datetime(2026, 11, 1, 8, tzinfo=UTC)


def keep_take(home: Home, sound: Samples, labels: tuple[str, ...], begin: datetime) -> None:
    """Enter two seconds as a take of node `attic`."""
    engine, flac = open_catalogue(home.catalogue_url), home.folder / "take.flac"
    sf.write(flac, sound, 16_000, subtype="PCM_16")
    data = flac.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    info = RecordingInfo(
        id=f"{begin:%Y%m%dT%H%M%S}000-{digest[:8]}", origin="take", node="attic", source="window", begin=begin,
        duration_s=2.0, rate_hz=16_000, level_dbfs=-20, peak_dbfs=-10, clipped_share=0, sha256=digest,
        size_bytes=len(data), labelling=Labelling(labels=labels, by="command_line", time=begin),
    )  # fmt: skip
    open_audio_store(home.recordings_place).put(digest, flac)
    Library(engine).keep(info, "attic", len(data), datetime.now(UTC))


@pytest.fixture
def household(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Three sessions of two sirens and three of two recordings of hiss; a cache of its own."""
    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache"))
    home = make_home(tmp_path / "home")
    members = Members(open_catalogue(home.catalogue_url))
    secret, now = "ab" * 32, datetime.now(UTC)
    members.add_invite(secret, "attic", now, now + timedelta(hours=1))
    members.admit(secret, Member("attic", "token", "", "2026.11.0", "", ""), now)
    rng = np.random.default_rng(5)
    for number in range(12):
        siren = number < 6
        sound = random_siren(rng, 2.0)[0] * 0.3 if siren else rng.normal(0, 0.02, 32_000)
        begin = BEGIN + timedelta(hours=number // 2, seconds=5 * (number % 2))
        keep_take(home, sound, ("siren",) if siren else (), begin)
    members.remove("attic", now)
    return home


@pytest.fixture
def household_with_bells(household: Home) -> Home:
    """The same with as many recordings of its doorbell as training needs, of two sessions."""
    rng = np.random.default_rng(6)
    for number in range(RECORDINGS_NEEDED):
        bell = synthesize_trap("doorbell", np.random.default_rng(1), 2.0) * np.float32(rng.uniform(0.05, 0.4))
        begin = BEGIN + timedelta(days=1 + number % 2, seconds=5 * number)
        keep_take(household, bell + rng.normal(0, 0.002, len(bell)).astype(np.float32), ("doorbell",), begin)
    return household
