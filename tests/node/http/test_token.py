"""The bearer token's file."""

import threading
from pathlib import Path

import pytest

from earshot_node.errors import OperatorError
from earshot_node.http.token import TOKEN_NAME, load_or_create_token


def test_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    token = load_or_create_token(folder)
    assert len(token) >= 32
    assert load_or_create_token(folder) == token
    assert (folder / TOKEN_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == [TOKEN_NAME]


def test_configured_token_wins_and_nothing_is_written(tmp_path: Path) -> None:
    assert load_or_create_token(tmp_path, "mine") == "mine"
    assert list(tmp_path.iterdir()) == []


def test_open_permissions_are_closed(tmp_path: Path) -> None:
    path = tmp_path / TOKEN_NAME
    path.write_text("known\n")
    path.chmod(0o644)
    assert load_or_create_token(tmp_path) == "known"
    assert path.stat().st_mode & 0o777 == 0o600


def test_empty_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / TOKEN_NAME).touch()
    token = load_or_create_token(tmp_path)
    assert token
    assert load_or_create_token(tmp_path) == token


def test_threads_that_begin_together_get_one_token(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    tokens: list[str] = []

    def begin() -> None:
        barrier.wait()
        tokens.append(load_or_create_token(tmp_path))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 8
    assert len(set(tokens)) == 1


def test_folder_that_cannot_be_made_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match=r"cannot keep the HTTP token .*set http.token or node.state_dir"):
        load_or_create_token(tmp_path / "file" / "state")
