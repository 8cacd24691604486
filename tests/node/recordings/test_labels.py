"""Which labels a recording may have, and what their files look like."""

from pathlib import Path

import pytest
from support.recording_parts import SIREN, noise_draft, recording_config

from earshot_node.contract.recordings import Labelling
from earshot_node.errors import ConfigError, OperatorError
from earshot_node.recordings.entry import Entry
from earshot_node.recordings.labels import (
    configured_labels,
    count_labels,
    known_labels,
    load_labels,
    parse_labels,
    unknown_labels,
)


def entry(labelling: Labelling | None) -> Entry:
    return Entry(noise_draft(1, 0.1).info(labelling), 1000, None)


def labelled(*labels: str, absent: tuple[str, ...] = ()) -> Entry:
    return entry(SIREN.model_copy(update={"labels": labels, "absent": absent}))


def test_example_file_is_valid(repository: Path) -> None:
    assert load_labels(repository / "config" / "labels" / "household.yaml").names == ("siren",)


def test_labels_are_those_of_the_file_and_what_is_listened_for(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text("labels:\n- name: dog_bark\n- name: doorbell\n")
    config = recording_config(tmp_path, recordings={"labels_file": str(tmp_path / "labels.yaml")})
    assert configured_labels(config) == ("dog_bark", "doorbell", "siren")
    assert known_labels(configured_labels(config), [labelled("tractor"), labelled("siren"), entry(None)]) == (
        "dog_bark",
        "doorbell",
        "siren",
        "tractor",
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("labels: []", r"labels.yaml:1: labels: "),
        ("labels:\n- name: Siren!", r"labels.yaml:2: labels.0.name: .*not a valid label"),
        ("labels:\n- name: siren\n- name: siren", "listed twice"),
        ("labels:\n- name: background", "always there"),
        ("labels:\n- name: siren\n  colour: red", "labels.0.colour"),
        ("", "labels: "),
    ],
)
def test_wrong_file_is_told_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    (tmp_path / "labels.yaml").write_text(text)
    with pytest.raises(ConfigError, match=where):
        load_labels(tmp_path / "labels.yaml")


def test_words_become_a_label_set() -> None:
    assert parse_labels(["siren", "dog", "siren"]) == ("siren", "dog")
    assert parse_labels(["background"]) == ()
    for wrong in (["background", "siren"], ["Siren!"], [""]):
        with pytest.raises(OperatorError):
            parse_labels(wrong)


def test_slip_of_the_keys_is_told_with_what_was_probably_meant() -> None:
    assert unknown_labels(["siren"], ["siren"]) == ""
    told = unknown_labels(["sirne"], ["siren", "dog"])
    assert told == "'sirne' is not among the labels siren, dog, background; did you mean 'siren'?"


def test_counts_are_by_label_and_not_siren_is_no_background() -> None:
    entries = [labelled("siren"), labelled("siren", "dog"), labelled(), labelled(absent=("siren",)), entry(None)]
    assert count_labels(entries) == {"siren": 2, "dog": 1, "background": 1}
