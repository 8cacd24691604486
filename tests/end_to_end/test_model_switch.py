"""`node-cli model` with a running node: the model changes in it, no audio is lost, and a bad one is taken back."""

import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import BUNDLED_VERSION
from support.deployed import public_text, slots_on_disk, write_bundle
from support.mosquitto import free_port
from support.node_process import NodeProcess
from support.waiting import wait_until

from earshot_node.audio.block import Block
from earshot_node.deployment.rollback import rolled_back
from earshot_node.deployment.slots import Slot, Slots, SlotStore
from earshot_node.deployment.trial import MANY_ALARMS
from earshot_node.inference.bundle import load_bundled
from earshot_node.inference.facts import Frames
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline

RNG = np.random.default_rng(3)
NEVER = {"siren": {"enter": 1.0, "leave": 1.0, "min_length_s": 5.0, "bridging_s": 0.0, "cooldown_s": 0.0}}


def noise() -> bytes:
    """A second of it, never the same."""
    return (300 * RNG.standard_normal(16000)).astype("<i2").tobytes()


def usual_posterior() -> float:
    """What the bundled model says of the noise half of the time."""
    bundle = load_bundled()
    pipeline = Pipeline(StreamingModel(bundle.manifest, bundle.model), lambda _: {})
    heard: list[float] = []
    for second in range(20):
        samples = np.frombuffer(noise(), "<i2").astype(np.float32) / 32768
        facts = pipeline.push([Block("street", 0, second * 16000, samples, 0.0, 0.0)])
        heard += [value for one in facts if isinstance(one, Frames) for value in one.posteriors[:, 0]]
    return float(np.median(heard))


def node_with_stdin(folder: Path, **sections: Any) -> NodeProcess:
    config = {
        "sources": [{"id": "street", "type": "stdin"}],
        "mqtt": {"enabled": False},
        "http": {"enabled": True, "port": 0},
        "model": {"trusted_keys": [public_text()]},
        "detection": {"operating_points": NEVER},
        **sections,
    }
    return NodeProcess(folder, config)


def cli(node: NodeProcess, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "earshot_node", "model", *arguments, "--config", str(node.folder / "node.yaml")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def answered(node: NodeProcess, *arguments: str) -> Iterator[tuple[int, str, str]]:
    """Run a command while audio keeps coming."""
    process = cli(node, *arguments)
    with contextlib.suppress(BrokenPipeError):
        while process.poll() is None:
            node.feed(noise())
    out, error = process.communicate()
    yield process.returncode, out, error


def history(node: NodeProcess) -> list[str]:
    return [entry["action"] for entry in slots_on_disk(node.state_dir)["history"]]


def test_label_that_the_model_does_not_hear_is_a_problem_that_is_told(tmp_path: Path) -> None:
    """A household's model that heard its doorbell was taken back; the configuration still names the doorbell."""
    port = free_port()
    http = {"enabled": True, "port": port, "token": "secret"}
    node = node_with_stdin(tmp_path / "node", labels=["siren", "doorbell"], http=http)
    manifest = load_bundled().manifest
    learnt = Slot(name="siren", version="2099.1.0", file="siren-2099.1.0-aaaaaaaaaaaa.earshot", sha256="a" * 64)
    before = Slots(active=learnt, previous=Slot(name=manifest.name, version=manifest.version))
    SlotStore(node.state_dir).change(lambda _: rolled_back(before, "it alarmed too often"))
    with node:
        node.wait_for_log("HTTP on", 90)
        node.feed(noise())
        request = urllib.request.Request(f"http://127.0.0.1:{port}/healthz", headers={"Authorization": "Bearer secret"})

        def problems() -> list[str]:
            with urllib.request.urlopen(request, timeout=5) as answer:
                told: list[str] = json.load(answer)["problems"]
                return told

        wait_until(lambda: problems() == [f"doorbell: model {BUNDLED_VERSION} does not hear it"], 20, "the problem")


def test_model_is_installed_into_the_running_node_and_taken_back(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    with node_with_stdin(tmp_path / "node") as node:
        node.wait_for_log("HTTP on", 90)
        node.feed(noise())
        with answered(node, "install", str(bundle)) as (code, out, error):
            assert code == 0, error
            assert out.strip() == f"2099.1.0 is active, on trial for 30 min of listening; it was {BUNDLED_VERSION}"
            assert error.split("\n")[-2] == "switching ..."
        node.wait_for_log("siren 2099.1.0 decides from now on")
        assert slots_on_disk(node.state_dir)["watch"]["running"]
        with answered(node, "rollback") as (code, out, error):
            assert (code, out.strip()) == (0, f"siren {BUNDLED_VERSION} is active"), error
        node.wait_for_log(f"siren {BUNDLED_VERSION} decides from now on")
        with answered(node, "install", str(bundle)) as (code, _, error):
            assert code == 1
            assert "2099.1.0 is not newer than 2099.1.0, which this node has had" in error
            assert error.count("error:") == 1
    assert history(node) == ["installed", "rolled_back", "refused"]
    assert "Traceback" not in node.log
    assert "lost" not in node.log


def test_node_that_is_killed_on_trial_starts_with_the_former_model(tmp_path: Path) -> None:
    node = node_with_stdin(tmp_path / "node")
    with node:
        node.wait_for_log("HTTP on", 90)
        with answered(node, "install", str(write_bundle(tmp_path))) as (code, _, error):
            assert code == 0, error
        node.kill()
    with node:
        wait_until(lambda: node.log.count("HTTP on") == 2, 90)
        assert slots_on_disk(node.state_dir)["active"]["version"] == BUNDLED_VERSION
    assert history(node) == ["installed", "rolled_back"]


def test_stop_on_trial_goes_on_with_it(tmp_path: Path) -> None:
    node = node_with_stdin(tmp_path / "node")
    with node:
        node.wait_for_log("HTTP on", 90)
        with answered(node, "install", str(write_bundle(tmp_path))) as (code, _, error):
            assert code == 0, error
        assert node.terminate() == 0
    watch = slots_on_disk(node.state_dir)["watch"]
    assert not watch["running"]
    assert watch["heard_s"] > 0
    with node:
        wait_until(lambda: slots_on_disk(node.state_dir)["watch"]["running"], 90)
    assert slots_on_disk(node.state_dir)["active"]["version"] == "2099.1.0"


def test_model_that_alarms_far_more_often_is_taken_back(tmp_path: Path) -> None:
    """Its operating points let every noise pass for a siren, again and again."""

    level = usual_posterior()

    def eager(manifest: dict[str, Any]) -> None:
        point = {"enter": level, "leave": level, "min_length_s": 0.04, "bridging_s": 0.0, "cooldown_s": 0.0}
        for preset in manifest["presets"].values():
            preset["siren"] = point

    node = node_with_stdin(tmp_path / "node", detection={})
    with node:
        node.wait_for_log("HTTP on", 90)
        with answered(node, "install", str(write_bundle(tmp_path, edit=eager))) as (code, _, error):
            assert code == 0, error
        with contextlib.suppress(BrokenPipeError):
            while "going back" not in node.log and len(node.log) < 100_000:
                node.feed(noise())
        node.wait_for_log(f"siren {BUNDLED_VERSION} decides from now on", 90)
    assert history(node) == ["installed", "rolled_back"]
    reason = slots_on_disk(node.state_dir)["history"][-1]["reason"]
    alarms = re.match(r"2099\.1\.0 has alarmed (\d+) times in \d+ min, ", reason)
    assert alarms, reason
    assert int(alarms[1]) >= MANY_ALARMS  # a step of the inference may tell of several


def test_without_a_running_node_the_next_start_uses_the_model(tmp_path: Path) -> None:
    node = node_with_stdin(tmp_path / "node")
    with answered_alone(node, "install", str(write_bundle(tmp_path))) as (code, out, error):
        assert code == 0, error
        assert "2099.1.0 will be active at the node's next start" in out
    with answered_alone(node, "list") as (code, out, _):
        assert code == 0
        pending, active = out.splitlines()
        assert pending.startswith("pending   siren 2099.1.0  (")
        assert pending.endswith("; decides from the node's next start, on trial for 30 min of listening")
        assert active == f"active    siren {BUNDLED_VERSION}  (came with the node)"
    with answered_alone(node, "list", "--json") as (code, out, _):
        assert json.loads(out)["active"]["version"] == "2099.1.0"
    with node:
        wait_until(lambda: slots_on_disk(node.state_dir)["watch"]["running"], 90)
    with answered_alone(node, "history") as (code, out, _):
        assert "installed" in out
        assert f"2099.1.0 after {BUNDLED_VERSION}" in out


def test_model_that_cannot_be_loaded_at_the_next_start_can_be_installed_again(tmp_path: Path) -> None:
    node = node_with_stdin(tmp_path / "node")
    bundle = str(write_bundle(tmp_path))
    with answered_alone(node, "install", bundle) as (code, _, error):
        assert code == 0, error
    (installed,) = (node.state_dir / "models").glob("*.earshot")
    installed.write_bytes(b"rotten")
    with node:
        wait_until(lambda: history(node) == ["installed", "rolled_back"], 90)
        node.wait_for_log("HTTP on", 90)
    assert "model 2099.1.0 cannot be loaded; going back" in node.log
    with answered_alone(node, "install", bundle) as (code, out, error):
        assert code == 0, error
        assert "2099.1.0 will be active at the node's next start" in out
    with node:
        wait_until(lambda: slots_on_disk(node.state_dir)["newest"] == "2099.1.0", 90)
    assert history(node) == ["installed", "rolled_back", "installed"]


@contextmanager
def answered_alone(node: NodeProcess, *arguments: str) -> Iterator[tuple[int, str, str]]:
    process = cli(node, *arguments)
    out, error = process.communicate(timeout=60)
    yield process.returncode, out, error


def test_unsigned_bundle_is_refused_in_one_line_and_told_in_the_history(tmp_path: Path) -> None:
    node = node_with_stdin(tmp_path / "node")
    with answered_alone(node, "install", str(write_bundle(tmp_path, key=None))) as (code, out, error):
        assert (code, out) == (1, "")
        assert error.splitlines()[-1].startswith("error: ")
        assert "not signed" in error
    with answered_alone(node, "history") as (_, out, _):
        assert "refused     2099.1.0.earshot: " in out
        assert "not signed" in out


@pytest.mark.parametrize("command", ["rollback", "list", "history"])
def test_node_that_never_installed_anything_says_so(tmp_path: Path, command: str) -> None:
    node = node_with_stdin(tmp_path / "node")
    with answered_alone(node, command) as (code, out, error):
        expected = {
            "rollback": (1, "error: there is no previous model to go back to"),
            "list": (0, f"active    siren {BUNDLED_VERSION}  (came with the node)"),
            "history": (0, "nothing was ever installed"),
        }[command]
        assert code == expected[0]
        assert (out + error).startswith(expected[1])
