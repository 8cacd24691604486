"""Parts for tests about recordings: a node's configuration with one source, drafts, blocks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block, Samples
from earshot_node.audio.intake import SourceStatus
from earshot_node.contract.config import FileSource, NodeConfig
from earshot_node.contract.recordings import Labelling
from earshot_node.recordings.draft import Draft, draft_from_samples

BEGIN = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
SOURCE = FileSource(type="file", id="street", path="x.wav")
SIREN = Labelling(labels=("siren",), by="command_line", time=BEGIN)
HEALTHY = SourceStatus("healthy", "", 0.0, 0.0, 0)


def recording_config(state_dir: Path, **sections: Any) -> NodeConfig:
    """A node `hall` with the file source `street`, room on any disk, no broker."""
    values: dict[str, Any] = {
        "node": {"id": "hall", "state_dir": str(state_dir)},
        "sources": [{"id": "street", "name": "Street", "type": "file", "path": "x.wav"}],
        "mqtt": {"enabled": False},
        "recordings": {"free_floor_mb": 0},
    }
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section} if isinstance(section, dict) else section
    return NodeConfig.model_validate(values)


def noise_draft(number: int, seconds: float = 1.0) -> Draft:
    """A draft of noise, which FLAC cannot make small, begun `number` minutes after `BEGIN`."""
    pcm = np.random.default_rng(number).integers(-20000, 20000, round(seconds * 16000)).astype(np.int16)
    return draft_from_samples(pcm, BEGIN + timedelta(minutes=number), "hall", SOURCE)


def blocks_of(samples: Samples, *, source: str = "street", stream: int = 0, size: int = 640) -> Iterator[Block]:
    """Cut samples into blocks whose first sample is of `BEGIN`."""
    for start in range(0, len(samples), size):
        piece = samples[start : start + size]
        end_s = BEGIN.timestamp() + (start + len(piece)) / SAMPLE_RATE_HZ
        yield Block(source, stream, start, piece, end_s, end_s)
