"""Recordings in a trainer's home, as if a node had been collected from."""

from datetime import timedelta

from earshot_node.contract.recordings import Candidate, Labelling, RecordingInfo
from earshot_node.recordings.draft import draft_from_samples
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.home.folder import Home
from support.recording_parts import BEGIN, SOURCE
from support.sounds import Pcm, noise


def keep_recording(
    home: Home,
    hours: int,
    labelling: Labelling | None = None,
    candidate: Candidate | None = None,
    pcm: Pcm | None = None,
) -> RecordingInfo:
    """Keep one of node `hall`, begun `hours` after `BEGIN`; noise if no sound is given."""
    samples = noise(hours) if pcm is None else pcm
    draft = draft_from_samples(samples, BEGIN + timedelta(hours=hours), "hall", SOURCE, "candidate")
    info = draft.info(labelling, candidate)
    path = home.incoming / "audio"
    path.write_bytes(draft.flac)
    open_audio_store(home.recordings_place).put(info.sha256, path)
    path.unlink()
    Library(open_catalogue(home.catalogue_url)).add(info, BEGIN)
    return info
