"""The transfer log holds every transfer, or nothing leaves."""

import json
from pathlib import Path

import pytest

from earshot_node.errors import OperatorError
from earshot_node.recordings import transfer_log
from earshot_node.recordings.transfer_log import TransferLog


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_transfer_is_a_line_before_and_a_line_after(tmp_path: Path) -> None:
    log = TransferLog(tmp_path)
    first, second = log.begin("1.2.3.4 x", "a", "http", 10), log.begin("1.2.3.4 x", "b", "http", 20)
    log.end(second, "1.2.3.4 x", "b", "http", 20)
    log.end(first, "1.2.3.4 x", "a", "http", 7)
    found = lines(tmp_path / "transfers.jsonl")
    assert [(line["phase"], line["what"], line["bytes"]) for line in found] == [
        ("begin", "a", 10),
        ("begin", "b", 20),
        ("end", "b", 20),
        ("end", "a", 7),
    ]
    assert found[0]["transfer"] == found[3]["transfer"] != found[1]["transfer"]


def test_full_log_moves_on_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_log, "MAX_BYTES", 1)
    log = TransferLog(tmp_path)
    for number in range(8):
        log.begin("x", str(number), "http", 1)
    names = ["transfers.jsonl", *(f"transfers.{number}.jsonl" for number in range(1, 6))]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert [lines(tmp_path / name)[0]["what"] for name in names] == ["7", "6", "5", "4", "3", "2"]


def test_log_that_cannot_be_written_says_that_no_audio_leaves(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no audio leaves"):
        TransferLog(tmp_path / "absent").begin("x", "a", "http", 1)
