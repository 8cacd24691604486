"""Figures are called held out only if the measured model was not trained on what it was measured on."""

import hashlib
from typing import Any

import pytest

from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.presets import ChosenOn
from earshot_trainer.packaging.held_out import check_held_out, check_made_by, points_chosen_on
from earshot_trainer.training.run_record import RunRecord

SHIPPED_GRAPH = "cd" * 32
FOLD2_GRAPH = "ef" * 32
TEST_GROUPS = ("21", "22")


def report(graph: str, groups: tuple[str, ...] = TEST_GROUPS, not_read: int = 0) -> dict[str, Any]:
    return {"subject": {"model_sha256": graph}, "protocol": {"groups": list(groups), "not_read": not_read}}


def run(graph: str, groups: tuple[str, ...], seed: int = 1, steps: int = 10) -> RunRecord:
    return RunRecord.model_validate(
        {
            "recipe": {"name": "siren", "training": {"seed": seed, "steps": steps}},
            "seed": seed,
            "code_version": "1",
            "dataset_sha256": "ab" * 32,
            "training_groups": groups,
            "graphs": {graph: "model.int8.onnx"},
            "trained_on": {"recordings": 1},
            "audio_licences": {"CC0": 1},
        }
    )


FOLD2_RUN = run(FOLD2_GRAPH, ("11", "12"))
SHIPPED_RUN = run(SHIPPED_GRAPH, ("11", "12", *TEST_GROUPS))


def test_groups_that_this_model_did_not_train_on_are_held_out() -> None:
    assert check_held_out({"held_out": report(FOLD2_GRAPH)}, FOLD2_RUN, ()) == "this"


def test_model_trained_on_everything_cannot_have_held_out_figures_of_its_own() -> None:
    with pytest.raises(OperatorError, match="trained on 2 of the 2 original recordings, such as 21"):
        check_held_out({"held_out": report(SHIPPED_GRAPH)}, SHIPPED_RUN, (FOLD2_RUN,))


def test_one_group_that_leaked_into_training_is_found() -> None:
    leaky = run(FOLD2_GRAPH, ("11", "22"))
    with pytest.raises(OperatorError, match="trained on 1 of the 2 original recordings, such as 22"):
        check_held_out({"held_out": report(FOLD2_GRAPH)}, SHIPPED_RUN, (leaky,))


def test_every_report_called_held_out_is_checked() -> None:
    good = report(FOLD2_GRAPH)
    assert check_held_out({"held_out": good, "held_out_ambience": good}, SHIPPED_RUN, (FOLD2_RUN,)) == "other"
    bad = report(FOLD2_GRAPH, ("11",))
    with pytest.raises(OperatorError, match="--metrics held_out_ambience: its model was trained on"):
        check_held_out({"held_out": good, "held_out_ambience": bad}, SHIPPED_RUN, (FOLD2_RUN,))


def test_reports_on_two_models_are_refused() -> None:
    own = report(SHIPPED_GRAPH, ("31",))
    with pytest.raises(OperatorError, match="models of different runs"):
        check_held_out({"held_out": report(FOLD2_GRAPH), "held_out_ambience": own}, SHIPPED_RUN, (FOLD2_RUN,))


def test_graph_of_an_unnamed_run_is_refused() -> None:
    for other in ((), (FOLD2_RUN,)):
        with pytest.raises(OperatorError, match="comes from neither --run nor --held-out-run"):
            check_held_out({"held_out": report("00" * 32)}, SHIPPED_RUN, other)


def test_run_of_another_recipe_is_refused_and_another_seed_is_not() -> None:
    with pytest.raises(OperatorError, match="another recipe"):
        check_held_out({"held_out": report(FOLD2_GRAPH)}, SHIPPED_RUN, (run(FOLD2_GRAPH, ("11",), steps=20),))
    assert (
        check_held_out({"held_out": report(FOLD2_GRAPH)}, SHIPPED_RUN, (run(FOLD2_GRAPH, ("11",), seed=2),)) == "other"
    )


def test_run_that_began_with_other_weights_is_refused() -> None:
    start = {"recipe": "siren", "segments": 9, "seed": 1, "code_version": "1", "model_sha256": "cd" * 32}
    longer = RunRecord.model_validate(FOLD2_RUN.model_dump() | {"started_from": start})
    with pytest.raises(OperatorError, match="another recipe"):
        check_held_out({"held_out": report(FOLD2_GRAPH)}, SHIPPED_RUN, (longer,))


def pooled(groups_by_graph: dict[str, tuple[str, ...]], heard: tuple[str, ...] = TEST_GROUPS) -> dict[str, Any]:
    runs = [{"model_sha256": graph, "groups": list(groups)} for graph, groups in groups_by_graph.items()]
    together = hashlib.sha256("".join(groups_by_graph).encode()).hexdigest()
    return report(together, heard) | {"subject": {"kind": "pooled", "model_sha256": together, "runs": runs}}


A_GRAPH, B_GRAPH = "a0" * 32, "b0" * 32
A_RUN, B_RUN = run(A_GRAPH, ("11", "22")), run(B_GRAPH, ("11", "21"), seed=2)


def test_pooled_report_is_held_out_when_every_graph_judged_what_its_run_left_out() -> None:
    good = pooled({A_GRAPH: ("21",), B_GRAPH: ("22",)})
    assert check_held_out({"held_out": good}, SHIPPED_RUN, (A_RUN, B_RUN)) == "pooled"


def test_pooled_report_with_one_graph_that_knew_a_recording_is_refused() -> None:
    swapped = pooled({A_GRAPH: ("21", "22"), B_GRAPH: ()})
    with pytest.raises(OperatorError, match="trained on 1 of the 2 original recordings, such as 22"):
        check_held_out({"held_out": swapped}, SHIPPED_RUN, (A_RUN, B_RUN))


def test_pooled_report_needs_every_run_and_one_recipe() -> None:
    good = pooled({A_GRAPH: ("21",), B_GRAPH: ("22",)})
    with pytest.raises(OperatorError, match="graph b0b0b0b0b0b0b0b0 comes from neither"):
        check_held_out({"held_out": good}, SHIPPED_RUN, (A_RUN,))
    with pytest.raises(OperatorError, match="another recipe"):
        check_held_out({"held_out": good}, SHIPPED_RUN, (A_RUN, run(B_GRAPH, ("11", "21"), steps=20)))


def test_pooled_report_whose_runs_do_not_cover_it_or_are_not_its_own_is_refused() -> None:
    with pytest.raises(OperatorError, match="no run says that it judged recording 22"):
        check_held_out({"held_out": pooled({A_GRAPH: ("21",), B_GRAPH: ()})}, SHIPPED_RUN, (A_RUN, B_RUN))
    altered = pooled({A_GRAPH: ("21",), B_GRAPH: ("22",)})
    altered["subject"]["model_sha256"] = "00" * 32
    with pytest.raises(OperatorError, match="its runs are not those that were measured"):
        check_held_out({"held_out": altered}, SHIPPED_RUN, (A_RUN, B_RUN))


def test_rival_of_this_project_must_not_have_heard_the_recordings_either() -> None:
    good = pooled({A_GRAPH: ("21",), B_GRAPH: ("22",)})
    rival = {"subject": {"kind": "streaming", "model_sha256": SHIPPED_GRAPH}}
    with pytest.raises(OperatorError, match="--against: its model was trained on 2 of the 2"):
        check_held_out({"held_out": good | {"against": rival}}, SHIPPED_RUN, (A_RUN, B_RUN))
    tagger = {"subject": {"kind": "tagger", "model_sha256": "99" * 32}}
    assert check_held_out({"held_out": good | {"also_against": [tagger]}}, SHIPPED_RUN, (A_RUN, B_RUN)) == "pooled"


def test_pooled_presets_are_judged_graph_by_graph() -> None:
    def chosen(graphs: dict[str, tuple[str, ...]]) -> ChosenOn:
        everything = frozenset(group for groups in graphs.values() for group in groups)
        by_graph = {graph: frozenset(groups) for graph, groups in graphs.items()}
        return ChosenOn(model_sha256="77" * 32, data_sha256="ab" * 32, groups=everything, graphs=by_graph)

    runs = (A_RUN, B_RUN)
    assert points_chosen_on(chosen({A_GRAPH: ("21",), B_GRAPH: ("22",)}), SHIPPED_RUN, runs) == "held_out"
    assert points_chosen_on(chosen({A_GRAPH: ("22",), B_GRAPH: ("21",)}), SHIPPED_RUN, runs) == "trained_on"
    assert points_chosen_on(chosen({A_GRAPH: ("21",), "99" * 32: ("22",)}), SHIPPED_RUN, runs) == "unknown"
    longer = (A_RUN, run(B_GRAPH, ("11",), steps=20))
    assert points_chosen_on(chosen({A_GRAPH: ("21",), B_GRAPH: ("22",)}), SHIPPED_RUN, longer) == "other_recipe"


def test_report_with_unread_recordings_is_refused() -> None:
    with pytest.raises(OperatorError, match="3 recordings could not be read"):
        check_held_out({"held_out": report(FOLD2_GRAPH, not_read=3)}, FOLD2_RUN, ())


def test_report_that_does_not_say_what_it_heard_is_refused() -> None:
    values = {"subject": {"model_sha256": FOLD2_GRAPH}, "protocol": {"folds": ["us8k-fold2"]}}
    with pytest.raises(OperatorError, match="no evaluation of this version"):
        check_held_out({"held_out": values}, FOLD2_RUN, ())


def test_no_figures_are_nobodys() -> None:
    assert check_held_out({"shipped": report(SHIPPED_GRAPH)}, SHIPPED_RUN, ()) == "none"


def test_graph_that_the_run_did_not_give_is_not_packaged() -> None:
    with pytest.raises(OperatorError, match="not a graph of --run"):
        check_made_by(b"another graph", SHIPPED_RUN)


@pytest.mark.parametrize(
    ("graph", "groups", "kind"),
    [
        (FOLD2_GRAPH, TEST_GROUPS, "held_out"),
        (FOLD2_GRAPH, ("11", "21"), "trained_on"),
        (SHIPPED_GRAPH, TEST_GROUPS, "trained_on"),
        ("00" * 32, TEST_GROUPS, "unknown"),
    ],
)
def test_presets_are_judged_by_the_run_of_the_model_they_were_chosen_with(
    graph: str, groups: tuple[str, ...], kind: str
) -> None:
    chosen_on = ChosenOn(model_sha256=graph, data_sha256="ab" * 32, groups=frozenset(groups))
    assert points_chosen_on(chosen_on, SHIPPED_RUN, (FOLD2_RUN,)) == kind
    assert points_chosen_on(None, SHIPPED_RUN, (FOLD2_RUN,)) == "unknown"
