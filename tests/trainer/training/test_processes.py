"""Two real processes that talk by Gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.tiny_corpus import make_corpus, write_recipe  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_trainer.training.checkpoint import load_checkpoint  # noqa: E402
from earshot_trainer.training.processes import Processes  # noqa: E402

CHILD = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import torch
from support.heard_mixtures import class_scores, everything_allowed, heard_mixtures
from torch.nn.parallel import DistributedDataParallel
from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.distillation.lessons import HeardLessons
from earshot_trainer.segments.mixing import SegmentMixer
from earshot_trainer.segments.sounds import gather_sounds
from earshot_trainer.training.learner import Learner
from earshot_trainer.training.lineage import Origin
from earshot_trainer.training.losses import segment_loss
from earshot_trainer.training.processes import Processes, joined
from earshot_trainer.training.recipe import load_recipe
from earshot_trainer.training.train import train

torch.set_num_threads(1)
folder, cpu, processes = Path(sys.argv[1]), torch.device("cpu"), Processes.from_environment()
recipe = load_recipe(folder / "tiny.yaml")
recordings = load_manifest(folder / "manifest.csv")
losses = []
report = lambda step: losses.append(step.loss)
with joined(processes, cpu):
    with processes.first_on_host():
        cache = PcmCache(folder / "cache")
        cache.add(recordings)
        sounds = gather_sounds(recordings, cache, recipe, folder / "cache")
    origin = Origin("ab" * 32, "test")
    arguments = (recipe, sounds, origin)
    train(*arguments, folder / "whole", cpu, report, None, processes)
    train(*arguments, folder / "parts", cpu, stop_after_step=4, processes=processes)
    train(*arguments, folder / "parts", cpu, processes=processes, workers=3)

    distilled = ("teacher={model: none, classes: []}", "distillation={batch_size: 2, components: 3}")
    recipe = load_recipe(folder / "tiny.yaml", distilled)
    heard = heard_mixtures(16_000, 32)
    heard = HeardLessons(heard, everything_allowed(), class_scores(), recipe.distillation, 1, cpu)
    taught = (recipe, sounds, origin)
    train(*taught, folder / "heard", cpu, processes=processes, heard=heard)
    train(*taught, folder / "heard_parts", cpu, stop_after_step=4, processes=processes, heard=heard)
    train(*taught, folder / "heard_parts", cpu, processes=processes, workers=3, heard=heard)

    recipe = load_recipe(folder / "tiny.yaml", ("model.dropout=0.0",))
    learner, rival = (Learner(recipe, cpu, processes) for _ in range(2))
    mixer = SegmentMixer(sounds, recipe.model, recipe.mixing, recipe.augment, 1, cpu)
    lesson = learner.prepare(mixer.batch(0, 2, sounds.span_odds, processes.rank), 0)
    learner._loss(lesson)[0].backward()
    processes.average(learner._shared())
    wrapped = DistributedDataParallel(rival.network)
    logits, _ = wrapped(lesson.batch.log_mel, rival.network.initial_state(2))
    segment_loss(logits[:, :, 0], lesson.batch.targets, lesson.batch.weights, recipe.training).backward()
    pairs = zip(learner.network.parameters(), rival.network.parameters(), strict=True)
    torch.save(
        {
            "gradients": [(ours.grad, theirs.grad) for ours, theirs in pairs],
            "running": learner.network.stem_norm.running_mean,
            "own_running": rival.network.stem_norm.running_mean,
            "network": learner.network.state_dict(),
            "losses": losses,
        },
        folder / f"rank{processes.rank}.pt",
    )
"""


TESTS = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes wrote: a whole training, one in two parts, and what each saw in one step."""
    folder = tmp_path_factory.mktemp("two")
    make_corpus(folder)
    write_recipe(folder)
    common = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(TESTS),
    }
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder)], env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(2)
    ]
    try:
        codes = [child.wait(400) for child in children]
    finally:
        for child in children:
            child.kill()
    assert codes == [0, 0]
    return folder


def saved(folder: Path, rank: int) -> dict[str, object]:
    values: dict[str, object] = torch.load(folder / f"rank{rank}.pt", weights_only=True)
    return values


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("names", [("whole", "parts"), ("heard", "heard_parts")], ids=["labels", "with mixtures"])
def test_run_in_two_parts_gives_the_weights_of_a_whole_one(folder: Path, names: tuple[str, str]) -> None:
    whole, parts = (load_checkpoint(folder / name / "checkpoint.pt") for name in names)
    assert whole["steps_done"] == parts["steps_done"] == 12
    assert all(torch.equal(whole["average"][name], parts["average"][name]) for name in whole["average"])
    assert torch.equal(whole["hardness"], parts["hardness"])
    assert np.count_nonzero(whole["hardness"]) > 0


@pytest.mark.slow
def test_each_process_learns_from_its_own_mixtures(folder: Path) -> None:
    left = load_checkpoint(folder / "heard" / "checkpoint.pt")["left"]["gru"]
    assert len(left) == 2 * (2 + 1)  # each: two segments, one mixture
    assert len({tuple(row.tolist()) for row in left}) == 6
    plain, taught = (load_checkpoint(folder / name / "checkpoint.pt")["average"] for name in ("whole", "heard"))
    assert not torch.equal(plain["stem.conv.weight"], taught["stem.conv.weight"])


@pytest.mark.slow
def test_averaged_gradients_are_those_of_torch_s_own_wrapper(folder: Path) -> None:
    for rank in range(2):
        pairs = saved(folder, rank)["gradients"]
        assert len(pairs) > 20
        for ours, theirs in pairs:
            assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_processes_hear_different_segments_and_hold_the_same_network(folder: Path) -> None:
    first, second = saved(folder, 0), saved(folder, 1)
    assert not torch.equal(first["own_running"], second["own_running"])
    assert torch.allclose(first["running"], (first["own_running"] + second["own_running"]) / 2, atol=1e-6)
    assert all(torch.equal(first["network"][name], second["network"][name]) for name in first["network"])


@pytest.mark.slow
def test_checkpoint_holds_the_carried_state_of_every_process_and_the_first_one_alone_reports(folder: Path) -> None:
    checkpoint = load_checkpoint(folder / "whole" / "checkpoint.pt")
    left = checkpoint["left"]["gru"]
    assert checkpoint["processes"] == 2
    assert len(left) == 4
    assert not torch.equal(left[:2], left[2:])
    assert len(saved(folder, 0)["losses"]) == 12
    assert saved(folder, 1)["losses"] == []


def test_batch_that_cannot_be_divided_names_one_that_can() -> None:
    assert Processes(rank=1, count=2).rows(16) == slice(8, 16)
    with pytest.raises(OperatorError, match=r"batch_size 16 cannot be divided among 3 processes; .*batch_size=15"):
        Processes(count=3).share(16)
    with pytest.raises(OperatorError, match=r"distillation\.batch_size 8 .* --set distillation\.batch_size=9"):
        Processes(count=3).share(8, "distillation.batch_size")


def test_process_that_torchrun_did_not_start_is_alone() -> None:
    assert Processes.from_environment({}) == Processes()
    started = Processes.from_environment({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"})
    assert (started.rank, started.count, started.local_rank, started.leads) == (3, 4, 1, False)
