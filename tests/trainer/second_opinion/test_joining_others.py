"""Other sounds than sirens in a joint graph: told to streams that want to hear them, and sirens stay what they are."""

from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from support.unsure import (  # noqa: E402
    CONFIG,
    HOPS,
    OTHER_BIASES,
    OTHER_SLOPES,
    OTHERS,
    hear_in_cuts,
    stand_in,
    stand_in_of_three,
    swelling,
    write_unsure,
)

from earshot_node.contract.operating_point import Presets  # noqa: E402
from earshot_node.inference.model import StreamingModel  # noqa: E402
from earshot_trainer.graph.session import GraphSession, State  # noqa: E402
from earshot_trainer.packaging.graph import bare_manifest  # noqa: E402
from earshot_trainer.second_opinion.ears import Ears  # noqa: E402
from earshot_trainer.second_opinion.joining import join, labels_of, labels_told, second_of  # noqa: E402
from earshot_trainer.second_opinion.joining_others import EVERY, FIRST_AT  # noqa: E402

pytestmark = pytest.mark.torch
TOLD = ("siren", "horn", "dog")
"""Columns of the joint graph: the streaming graph's, then what it does not know."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The streaming graph `first.onnx`; with a second opinion of sirens `siren.onnx`, of three sounds `joint.onnx`."""
    folder = tmp_path_factory.mktemp("others")
    first = onnx.load(write_unsure(folder))
    onnx.save(join(first, stand_in(), CONFIG.labels), folder / "siren.onnx")
    onnx.save(join(first, stand_in_of_three(), CONFIG.labels), folder / "joint.onnx")
    onnx.checker.check_model(folder / "joint.onnx", full_check=True)
    return folder


def wanting(session: GraphSession, *labels: str, rows: int = 1) -> State:
    state = session.initial_state(rows)
    for label in OTHERS:
        state[f"wanted_{label}"][:] = float(label in labels)
    return state


def expected(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """What is told of a dog and a horn where both are wanted, [n, 2]."""
    frames = Ears(CONFIG).frames(np.round(samples[0] * 32768).astype(np.int16)).numpy()
    told, answer = [], np.zeros(2)
    for hop in range(HOPS):
        if (hop + 1) % EVERY == 0 and hop + 1 >= FIRST_AT:
            window = frames[4 * (hop + 1) - 96 : 4 * (hop + 1)]
            answer = 1 / (1 + np.exp(-np.array(OTHER_SLOPES) * window.mean() - np.array(OTHER_BIASES)))
        told.append(answer)
    return np.array(told)


def test_what_is_wanted_is_the_answer_to_every_window(folder: Path) -> None:
    session = GraphSession(folder / "joint.onnx")
    told = session.run(swelling(), wanting(session, *OTHERS)).posteriors[0]
    wanted = expected(swelling())
    assert (np.ptp(wanted, axis=0) > 0.5).all()
    np.testing.assert_allclose(told[:, [2, 1]], wanted, rtol=0, atol=5e-3)  # the frames here are of rounded samples


@pytest.mark.parametrize("labels", [(), ("dog",), OTHERS])
def test_sirens_stay_what_they_are_whatever_else_is_wanted(folder: Path, labels: tuple[str, ...]) -> None:
    session = GraphSession(folder / "joint.onnx")
    alone = GraphSession(folder / "siren.onnx").run(swelling()).posteriors[0]
    told = session.run(swelling(), wanting(session, *labels)).posteriors[0]
    np.testing.assert_array_equal(told[:, 0], alone[:, 0])


def test_what_is_not_wanted_is_what_the_streaming_graph_says_or_nothing(folder: Path) -> None:
    session = GraphSession(folder / "joint.onnx")
    first = GraphSession(folder / "first.onnx").run(swelling()).posteriors[0]
    for labels in ((), ("dog",)):
        told = session.run(swelling(), wanting(session, *labels)).posteriors[0]
        np.testing.assert_array_equal(told[:, 1], first[:, 1])
        assert told[:, 2].any() == ("dog" in labels)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_any_cut_equals_the_whole(folder: Path, cuts: list[int]) -> None:
    session, samples = GraphSession(folder / "joint.onnx"), swelling()
    whole = session.run(samples, wanting(session, *OTHERS)).posteriors
    heard = hear_in_cuts(session, samples, wanting(session, *OTHERS), cuts)
    np.testing.assert_allclose(heard, whole, rtol=0, atol=1e-4)


def test_rows_want_and_are_told_for_themselves(folder: Path) -> None:
    """One that wants nothing, one that is ahead by a few hops, and one that wants a dog alone."""
    session, samples = GraphSession(folder / "joint.onnx"), swelling()
    everything, dog = wanting(session, *OTHERS), wanting(session, "dog")
    ahead = session.run(samples[:, : 640 * 7], everything).state
    rows = np.concatenate([samples[:, : 640 * 100], samples[:, 640 * 7 : 640 * 107], samples[:, : 640 * 100]])
    state = {name: np.concatenate([wanting(session)[name], value, dog[name]]) for name, value in ahead.items()}
    together = session.run(rows, state).posteriors
    told = [session.run(samples, one).posteriors[0] for one in (wanting(session), everything, dog)]
    for row, alone in zip(together, (told[0][:100], told[1][7:107], told[2][:100]), strict=True):
        np.testing.assert_allclose(row, alone, rtol=0, atol=1e-4)


def test_labels_are_kept_inside_the_graph(folder: Path) -> None:
    second = second_of(onnx.load(folder / "joint.onnx"))
    assert second is not None
    assert labels_of(second) == ("siren", *OTHERS)
    assert labels_told(CONFIG.labels, second) == TOLD
    again = join(onnx.load(folder / "first.onnx"), second, CONFIG.labels)
    assert second_of(again) == second
    assert labels_of(stand_in()) == ("siren",)


def test_node_hears_what_it_listens_for(folder: Path) -> None:
    """A model's streams want what it was opened for, everything if nobody said."""
    graph = (folder / "joint.onnx").read_bytes()
    manifest = bare_manifest(graph, "joint.onnx", TOLD, Presets(quiet={}, balanced={}, sensitive={}))
    session, samples = GraphSession(folder / "joint.onnx"), swelling()
    for listened, labels in ((None, OTHERS), (("siren",), ()), (("siren", "dog"), ("dog",))):
        model = StreamingModel(manifest, graph, listened)
        told = model.run(samples, [model.initial_state()]).posteriors
        np.testing.assert_array_equal(told, session.run(samples, wanting(session, *labels)).posteriors)
