"""Does a source really deliver? Opens it as the node would, listens for a moment, closes it."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from earshot_node.audio.alsa_cards import capture_pcms
from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.audio.intake import Intake, SourceStatus
from earshot_node.audio.level import SILENCE_DBFS, level_dbfs
from earshot_node.contract.config import MicrophoneSource, Source, UrlSource
from earshot_node.doctor.finding import Finding, fail, ok, warn

LISTEN_S: Final = 1.0
TIMEOUT_S: Final = 12.0
_WAIT_S: Final = 0.1


def check_hearing(
    sources: Iterable[Source], findings: Iterable[Finding], *, node_runs: bool = False
) -> Iterator[Finding]:
    """Listen to every live source that `findings` has nothing against.

    Microphones that a process holds, and all of them while a node runs here, are left alone.
    """
    failed = {finding.check for finding in findings if finding.outcome == "fail"}
    held = {pcm.stable_id for pcm in capture_pcms() if pcm.owner_pid}
    for source in sources:
        match source:
            case UrlSource():
                can_open = "ffmpeg" not in failed
            case MicrophoneSource():
                can_open = "PyAudio" not in failed and source.device not in held and not node_runs
            case _:
                can_open = False
        if can_open and f"source {source.id}" not in failed:
            yield listen(source)


def listen(source: Source, timeout_s: float = TIMEOUT_S) -> Finding:
    """Listen to one live source."""
    check = f"hearing {source.id}"
    logging.getLogger("earshot_node.audio").setLevel(logging.ERROR)  # a finding tells the same
    intake = Intake([source], lambda *_: None)
    intake.start()
    try:
        blocks, status = _listen(intake, source.id, timeout_s)
    finally:
        intake.stop()
    if not blocks:
        what, _, fix = status.problem.partition("; ")
        return fail(check, what or f"no audio within {timeout_s:.0f} s", fix or "`node-cli monitor` shows it live")
    level = level_dbfs(np.concatenate([block.samples for block in blocks]))
    if level <= SILENCE_DBFS:
        return warn(check, "delivers digital silence", "is the microphone muted, in `alsamixer` or by a switch?")
    return ok(check, f"delivers audio, {level:.0f} dBFS")


def _listen(intake: Intake, source_id: str, timeout_s: float) -> tuple[list[Block], SourceStatus]:
    blocks: list[Block] = []
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        intake.wait(_WAIT_S)
        blocks += intake.take()
        status = intake.status(source_id)
        if sum(len(block.samples) for block in blocks) >= LISTEN_S * SAMPLE_RATE_HZ or (status.problem and not blocks):
            break
    return blocks, intake.status(source_id)
