"""Words can be taken back one by one, and corpora are entered once; the same on both databases."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.corpora import Corpora, Corpus
from earshot_trainer.catalogue.labellings import Labellings
from earshot_trainer.catalogue.library import Library

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def recording() -> RecordingInfo:
    return RecordingInfo(
        id="20261122T120000000-1f0c9a3e",
        origin="take",
        node="imported",
        source="mic",
        begin=NOW,
        duration_s=3,
        rate_hz=16_000,
        level_dbfs=-30,
        peak_dbfs=-10,
        clipped_share=0,
        sha256="a" * 64,
        size_bytes=1000,
    )


def word(minutes: int, *labels: str) -> Labelling:
    return Labelling(labels=labels, by="command_line", time=NOW + timedelta(minutes=minutes))


def test_words_are_taken_back_in_turn(engine: Engine) -> None:
    library, labellings = Library(engine), Labellings(engine)
    assert [library.add(recording(), NOW), library.add(recording(), NOW)] == ["stored", "duplicate"]
    for minutes, label in enumerate(("siren", "glass")):
        labellings.say("a" * 64, word(minutes, label), NOW)
    assert library.counts() == {"glass": 1}
    assert labellings.said() == {"a" * 64}
    assert labellings.take_back("a" * 64).labelling == word(0, "siren")
    assert labellings.take_back("a" * 64) == recording()
    assert (library.counts(), labellings.said()) == ({"": 1}, set())
    with pytest.raises(OperatorError, match="nothing was said here"):
        labellings.take_back("a" * 64)


def test_corpora_come_back_by_name_and_are_forgotten(engine: Engine) -> None:
    corpora = Corpora(engine)
    entered = [
        Corpus(name, "manifest", Path("/x"), Path(f"/x/{name}.csv"), 3, 1.5, "CC0 (3)", "2026-11-22T12:00:00.000Z")
        for name in ("b", "a")
    ]
    for one in entered:
        corpora.add(one, NOW)
    assert corpora.all() == entered[::-1]
    with pytest.raises(OperatorError, match="there is a corpus 'a' already"):
        corpora.add(entered[1], NOW)
    corpora.remove("b")
    assert corpora.all() == entered[1:]
    with pytest.raises(OperatorError, match="no corpus 'b'"):
        corpora.remove("b")
