"""Two graphs in one: asked when suspected, in any cut and any company, and never otherwise."""

from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

import onnxruntime  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from support.unsure import BIAS, CONFIG, SLOPE, hear_in_cuts, stand_in, swelling, write_unsure  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_trainer.graph.export import export_float  # noqa: E402
from earshot_trainer.graph.session import GraphSession  # noqa: E402
from earshot_trainer.network.model import ModelConfig, StreamingCrnn  # noqa: E402
from earshot_trainer.packaging.graph import read_interface  # noqa: E402
from earshot_trainer.second_opinion.adding import add_second_opinion, hand_on_second_opinion  # noqa: E402
from earshot_trainer.second_opinion.ears import Ears  # noqa: E402
from earshot_trainer.second_opinion.joining import (  # noqa: E402
    ASK_EVERY,
    CROSSING,
    FIRST_WEIGHT,
    GATE,
    STATES,
    SUSPECT_HOPS,
    join,
    second_of,
)

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def samples() -> NDArray[np.float32]:
    return swelling()


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A streaming graph whose first posterior crosses the gate now and then, and the same with a second opinion."""
    first = write_unsure(tmp_path_factory.mktemp("joint"))
    joint = first.with_name("joint.onnx")
    onnx.save(join(onnx.load(first), stand_in(), CONFIG.labels), joint)
    onnx.checker.check_model(joint, full_check=True)
    return first, joint


def expected(first: NDArray[np.float32], frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the joint graph must say of a stream, hop by hop, from first posteriors [n] and frames [4n, 64]."""
    heard = np.concatenate([np.full((92, 64), np.log(1e-3)), frames])
    answer, told = None, []
    for hop, posterior in enumerate(first):
        greatest = first[max(0, hop + 1 - SUSPECT_HOPS) : hop + 1].max()
        if (hop + 1) % ASK_EVERY == 0:
            answer = SLOPE * heard[4 * hop : 4 * hop + 96].mean() + BIAS if greatest > GATE else None
        own = min(posterior, GATE)
        if answer is not None:
            together = 1 / (1 + np.exp(-answer - FIRST_WEIGHT * np.log(greatest / (1 - greatest))))
            own += min(max((greatest - GATE) / CROSSING, 0), 1) * (together - own)
        told.append(own)
    return np.array(told)


def test_posteriors_are_what_the_rule_says(graphs: tuple[Path, Path], samples: NDArray[np.float32]) -> None:
    first = GraphSession(graphs[0]).run(samples).posteriors
    frames = Ears(CONFIG).frames(np.round(samples[0] * 32768).astype(np.int16)).numpy()
    joint = GraphSession(graphs[1]).run(samples).posteriors
    wanted = expected(first[0, :, 0], frames)
    asked = first[0, :, 0] > GATE
    assert 0.1 < asked.mean() < 0.9
    assert np.ptp(wanted) > 0.3
    np.testing.assert_allclose(joint[0, :, 0], wanted, rtol=0, atol=2e-3)  # the frames here are of rounded samples
    np.testing.assert_array_equal(joint[0, :, 1], first[0, :, 1])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_any_cut_equals_the_whole(graphs: tuple[Path, Path], samples: NDArray[np.float32], cuts: list[int]) -> None:
    session = GraphSession(graphs[1])
    whole = session.run(samples).posteriors
    np.testing.assert_allclose(hear_in_cuts(session, samples, session.initial_state(1), cuts), whole, rtol=0, atol=1e-4)


def test_rows_are_asked_for_themselves(graphs: tuple[Path, Path], samples: NDArray[np.float32]) -> None:
    """A quiet neighbour and one that is ahead by a few hops change nothing."""
    session = GraphSession(graphs[1])
    ahead = session.run(samples[:, : 640 * 4]).state
    rows = np.concatenate([samples[:, : 640 * 100], np.zeros((1, 64000), np.float32), samples[:, 640 * 4 : 640 * 104]])
    state = {name: np.concatenate([np.zeros_like(value)] * 2 + [value]) for name, value in ahead.items()}
    together = session.run(rows, state).posteriors
    alone = session.run(samples).posteriors[0]
    np.testing.assert_allclose(together[0], alone[:100], rtol=0, atol=1e-4)
    np.testing.assert_allclose(together[2], alone[4:104], rtol=0, atol=1e-4)


def test_nothing_is_asked_without_a_suspicion(graphs: tuple[Path, Path], samples: NDArray[np.float32]) -> None:
    """A second opinion that is sure of everything is not heard while the first one's posterior stays below the gate."""
    first = onnx.load(graphs[0])
    session = GraphSession(graphs[0])
    posteriors = session.run(samples).posteriors[0, :, 0]
    calm = int(np.argmax(posteriors > GATE))
    assert calm > ASK_EVERY
    certain = stand_in()
    for node in certain.graph.node:
        if "bias" in node.output:
            node.attribute[0].f = 20.0
    joint = onnxruntime.InferenceSession(join(first, certain, CONFIG.labels).SerializeToString())
    state = {f"state_{name}": value for name, value in session.initial_state(1).items()}
    state |= {
        value.name: np.zeros((1, *value.shape[1:]), np.float32)
        for value in joint.get_inputs()
        if value.name.removeprefix("state_") in STATES
    }
    (told,) = joint.run(["posteriors"], {"samples": samples, **state})
    np.testing.assert_array_equal(told[0, :calm, 0], posteriors[:calm])
    assert told[0, calm:, 0].max() > 0.999


def test_interface_has_three_more_states(graphs: tuple[Path, Path]) -> None:
    first, joint = (read_interface(path.read_bytes(), "graph") for path in graphs)
    assert joint.mel_range_hz == first.mel_range_hz == (125.0, 7500.0)
    assert joint.label_count == 2
    assert joint.state_tensors[: len(first.state_tensors)] == first.state_tensors
    assert [state.name for state in joint.state_tensors[len(first.state_tensors) :]] == list(STATES)


def test_second_opinion_is_taken_out_again(graphs: tuple[Path, Path]) -> None:
    second = second_of(onnx.load(graphs[1]))
    assert second is not None
    onnx.checker.check_model(second, full_check=True)
    windows = np.random.default_rng(1).standard_normal((3, 96, 64)).astype(np.float32)
    session = onnxruntime.InferenceSession(second.SerializeToString())
    (logits,) = session.run(None, {session.get_inputs()[0].name: windows})
    np.testing.assert_allclose(logits, SLOPE * windows.mean(axis=(1, 2)) + BIAS, rtol=1e-5)
    again = join(onnx.load(graphs[0]), second, CONFIG.labels)
    assert second_of(again) == second
    assert second_of(onnx.load(graphs[0])) is None


def test_model_that_was_made_of_a_bundle_asks_whom_that_asks(tmp_path: Path, graphs: tuple[Path, Path]) -> None:
    """A run's second opinion goes into both of its graphs, a bundle's into those of what is made of it."""
    onnx.save(stand_in(), tmp_path / "second.onnx")
    own, tuned = ([tmp_path / f"{name}.{kind}.onnx" for kind in ("float", "int8")] for name in ("own", "tuned"))
    for path in (*own, *tuned):
        path.write_bytes(graphs[0].read_bytes())
    add_second_opinion(tmp_path / "second.onnx", CONFIG, *own)
    assert all(second_of(onnx.load(path)) is not None for path in own)
    second = second_of(onnx.load(own[1]))
    assert second is not None
    hand_on_second_opinion(second, CONFIG, *tuned)
    assert [onnx.load(path) for path in tuned] == [onnx.load(own[1])] * 2
    assert second_of(onnx.load(graphs[0])) is None  # it asks nobody


def test_graph_that_hears_other_frames_cannot_ask(tmp_path: Path, graphs: tuple[Path, Path]) -> None:
    export_float(StreamingCrnn(ModelConfig(n_mels=64)).eval(), tmp_path / "other.onnx")
    with pytest.raises(OperatorError, match=r"model\.magnitudes"):
        join(onnx.load(tmp_path / "other.onnx"), stand_in(), CONFIG.labels)
    with pytest.raises(OperatorError, match="none yet"):
        join(onnx.load(graphs[1]), stand_in(), CONFIG.labels)
