"""Takes wait in memory for a while, and only a few of them."""

import pytest
from support.recording_parts import noise_draft

from earshot_node.recordings.errors import UnknownRecordingError
from earshot_node.recordings.pending import FORGOTTEN_AFTER_S, KEPT, PendingTakes


def test_take_waits_until_it_is_dropped() -> None:
    pending = PendingTakes()
    draft = noise_draft(1, 0.1)
    take = pending.add(draft)
    assert pending.get(take) is draft
    assert pending.get(take) is draft
    pending.drop(take)
    pending.drop(take)
    with pytest.raises(UnknownRecordingError):
        pending.get(take)


def test_oldest_take_goes_when_there_are_too_many() -> None:
    pending = PendingTakes()
    takes = [pending.add(noise_draft(number, 0.1)) for number in range(KEPT + 1)]
    with pytest.raises(UnknownRecordingError):
        pending.get(takes[0])
    assert all(pending.get(take) for take in takes[1:])


def test_take_is_forgotten_after_a_while() -> None:
    now_s = [0.0]
    pending = PendingTakes(clock=lambda: now_s[0])
    take = pending.add(noise_draft(1, 0.1))
    now_s[0] = FORGOTTEN_AFTER_S
    assert pending.get(take)
    now_s[0] += 0.1
    with pytest.raises(UnknownRecordingError):
        pending.get(take)
