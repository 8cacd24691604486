from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.errors import ConfigError, OperatorError
from earshot_trainer.corpus.recordings import Recording, load_manifests
from earshot_trainer.corpus.splits import hold_out, load_parts

SHIPPED_PARTS = Path(__file__).parents[3] / "config" / "splits" / "three.yaml"


def recording(name: str, group: str, fold: str = "", source: str = "street") -> Recording:
    return Recording(
        path=Path("/audio") / name,
        name=name,
        label="dog",
        labels=frozenset(),
        kind="clip",
        source=source,
        group=group,
        fold=fold,
        duration_s=4.0,
        licence="CC0",
        note="",
    )


FOLDS = st.sampled_from(["a", "b", "c"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), FOLDS), min_size=1, max_size=30))
def test_no_group_is_on_both_sides(rows: list[tuple[int, str]]) -> None:
    recordings = [recording(str(i), str(group), fold) for i, (group, fold) in enumerate(rows)]
    split = hold_out(recordings, folds=[rows[0][1]])
    assert not {r.group for r in split.train} & {r.group for r in split.test}
    assert len(split.train) + len(split.test) + len(split.unused) == len(recordings)


def test_group_with_one_recording_in_the_held_out_fold_leaves_training() -> None:
    shared = [recording("x", "7", "a"), recording("y", "7", "b"), recording("z", "8", "b")]
    split = hold_out(shared, folds=["a"])
    assert [r.name for r in split.train] == ["z"]
    assert [r.name for r in split.test] == ["x"]
    assert [r.name for r in split.unused] == ["y"]


def test_barred_group_is_tested_on_only_inside_a_held_out_fold() -> None:
    recordings = [recording("x", "7", "a"), recording("y", "9", "a"), recording("z", "9", "b"), recording("w", "1")]
    split = hold_out(recordings, folds=["a"], groups=["9"])
    assert {r.name for r in split.test} == {"x", "y"}
    assert [r.name for r in split.train] == ["w"]


def test_source_is_held_out_whole() -> None:
    recordings = [recording("x", "1", source="rain"), recording("y", "2", source="music")]
    split = hold_out(recordings, sources=["rain"])
    assert [r.name for r in split.test] == ["x"]


def test_fold_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(OperatorError, match="no recording has fold 'fold22'"):
        hold_out([recording("x", "1", "fold2")], folds=["fold22"])


def test_part_with_an_unknown_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "parts.yaml").write_text("a: {fold: [one]}\n")
    with pytest.raises(ConfigError, match=r"parts\.yaml: a\.fold: .* a part has folds, groups and sources"):
        load_parts(tmp_path / "parts.yaml")


@pytest.mark.audio_data
def test_shipped_parts_hold_out_every_recording_once(audio_data: Path) -> None:
    recordings = load_manifests([audio_data / "urban" / "manifest.csv", audio_data / "negatives" / "manifest.csv"])
    held: list[Path] = []
    for part in load_parts(SHIPPED_PARTS).values():
        split = hold_out(recordings, folds=part.folds, groups=part.groups, sources=part.sources)
        assert {r.group for r in split.train}.isdisjoint(r.group for r in split.test)
        assert {r.group for r in split.train}.isdisjoint(part.groups)
        held.extend(r.path for r in split.test)
    assert len(held) == len(set(held)) == len(recordings)
