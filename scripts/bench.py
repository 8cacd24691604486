"""Measures a node; `scripts/bench` runs it. A benchmark, not a test: it prints figures and judges nothing."""

import argparse
import json
import os
import platform
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
import soundfile
import soxr
import yaml
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.mosquitto import MOSQUITTO, Mosquitto  # noqa: E402 - the tests' real broker

from earshot_node.contract.manifest import MODEL_NAME  # noqa: E402
from earshot_node.inference.bundle import load_bundled  # noqa: E402
from earshot_node.inference.model import StreamingModel  # noqa: E402
from earshot_node.synth.scene import street_scene  # noqa: E402
from earshot_node.synth.sirens import random_siren  # noqa: E402

RATE_HZ = 16000
STARTS = 5
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    value: float
    unit: str
    goal: str
    how: str


def main() -> int:
    """Measure, print, and write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the live measurement")
    arguments = parser.parse_args()
    if MOSQUITTO is None:
        print("error: mosquitto is missing; sudo apt-get install mosquitto", file=sys.stderr)
        return 1
    figures = [*card_figures(), *model_figures(), *analyze_figures()]
    with tempfile.TemporaryDirectory() as folder:
        figures += live_figures(Path(folder), arguments.seconds)
    table = Table("figure", "value", "goal", "how", title=f"{platform.processor() or platform.machine()}, 1 thread")
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:.4g} {figure.unit}", figure.goal, figure.how)
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    print_operators(console)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    return 0


def model_figures() -> list[Figure]:
    """Time the model alone."""
    bundle = load_bundled()
    model = StreamingModel(bundle.manifest, bundle.model)
    hop = bundle.manifest.hop_samples
    audio = street_scene(1, 60.0).samples
    state, times = model.initial_state(), []
    for frame in range(1500):
        begin = time.perf_counter()
        state = model.run(audio[None, frame * hop : (frame + 1) * hop], [state]).states[0]
        times.append(time.perf_counter() - begin)
    long = audio[None, : 250 * hop]
    begin = time.perf_counter()
    for _ in range(10):
        model.run(long, [model.initial_state()])
    throughput = 10 * long.shape[1] / RATE_HZ / (time.perf_counter() - begin)
    rows = np.repeat(audio[None, :hop], 8, axis=0)
    states = [model.initial_state()] * 8
    batch = []
    for _ in range(300):
        begin = time.perf_counter()
        states = model.run(rows, states).states
        batch.append(time.perf_counter() - begin)
    return [
        Figure("model.onnx", len(bundle.files[MODEL_NAME]) / 1000, "kB", "<= 1000", "size of the file"),
        Figure("one hop, median", float(np.median(times)) * 1e3, "ms", "", "batch 1, 40 ms of audio a call"),
        Figure("one hop, p99", float(np.percentile(times, 99)) * 1e3, "ms", "", "same"),
        Figure("one hop of 8 sources, median", float(np.median(batch)) * 1e3, "ms", "", "batch 8"),
        Figure("long blocks", throughput, "x real time", "", "batch 1, 250 hops a call"),
    ]


def card_figures() -> list[Figure]:
    """Read what training measured from the shipped bundle's manifest; the model card says how to measure it again."""
    metrics = load_bundled().manifest.metrics
    held_out, quantization = metrics["held_out"], metrics["quantization"]
    int8, full = (report["labels"]["siren"]["tagging"]["auc"] for report in (held_out, held_out["against"]))
    how = "manifest: held-out model of the same recipe, fold 2"
    return [
        Figure("AUC, INT8", int8, "", ">= 0.93", how),
        Figure("AUC, INT8 minus float", (int8 - full) * 100, "points", ">= -0.5", how),
        Figure("stored weights, INT8 of float", quantization["weight_share"] * 100, "%", "<= 33", "manifest"),
    ]


def print_operators(console: Console) -> None:
    """Print which operator of the shipped graph is stored and computed in which precision."""
    table = Table("layer", "operator", "weights", "how many", "activations", title="operators with weights")
    for row in load_bundled().manifest.metrics["quantization"]["operators"]:
        if row["weights"] != "none":
            table.add_row(*(str(row[key]) for key in ("layer", "kind", "weights", "weight_count", "activations")))
    console.print(table)


def analyze_figures() -> list[Figure]:
    """Time `node-cli analyze` as a process, on ten minutes of audio in one file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "street.wav"
        soundfile.write(path, np.tile(street_scene(2, 60.0).samples, 10), RATE_HZ)
        command = [sys.executable, "-m", "earshot_node", "analyze", str(path)]
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - begin
    return [Figure("analyze", 600 / seconds, "x real time", "", "600 s WAV, whole process with its start")]


def live_figures(folder: Path, seconds: float) -> list[Figure]:
    """Run a node on a 48 kHz file in real time, then one on rapid events, each against mosquitto."""
    scene = folder / "scene.wav"
    soundfile.write(scene, soxr.resample(street_scene(3, 60.0).samples, RATE_HZ, 48000), 48000)
    rapid = folder / "rapid.wav"
    soundfile.write(rapid, _rapid_sirens(seconds), RATE_HZ)
    broker_folder = folder / "broker"
    broker_folder.mkdir()
    with Mosquitto(broker_folder) as broker:
        firsts_s = []
        for _ in range(STARTS):
            with running_node(folder, broker.port, [scene], {}) as node:
                firsts_s.append(node.first_decision_s())
        with running_node(folder, broker.port, [scene], {}) as node:
            node.wait_for("health and metrics on")  # the last thing that a start does
            cpu, rss_mb = node.usage(seconds)
        point = {"enter": 0.3, "leave": 0.3, "min_length_s": 0.0, "bridging_s": 0.0, "cooldown_s": 0.0}
        delays = _delays(folder, broker.port, rapid, point, seconds)
    return [
        Figure("CPU of one stream", cpu * 100, "% of a core", "<= 2", f"node-cli run, 48 kHz source, {seconds:.0f} s"),
        Figure("resident memory", rss_mb, "MB", "<= 120", "node-cli run, at the end of the same run"),
        Figure("first decision", float(np.median(firsts_s)), "s", "<= 1.5", f"from exec, median of {STARTS} starts"),
        Figure(
            "delay, median", float(np.median(delays)) * 1e3, "ms", "", "end of the deciding block to MQTT subscriber"
        ),
        Figure("delay, p99", float(np.percentile(delays, 99)) * 1e3, "ms", "< 50", f"same, {len(delays)} messages"),
    ]


class RunningNode:
    """A `node-cli run` process."""

    def __init__(self, process: "subprocess.Popen[str]", started_s: float) -> None:
        self._process = process
        self._started_s = started_s
        self._lines: queue.Queue[tuple[float, str]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def first_decision_s(self) -> float:
        """Return the seconds from start to the log line of the first decision."""
        return self.wait_for("first decision")

    def wait_for(self, text: str) -> float:
        """Return the seconds from start to the next log line that holds `text`."""
        while True:
            at_s, line = self._lines.get(timeout=20)
            if text in line:
                return at_s - self._started_s

    def usage(self, seconds: float) -> tuple[float, float]:
        """Return CPU seconds per second and resident megabytes, children included."""
        before, begin = self._cpu_s(), time.monotonic()
        threading.Event().wait(seconds)
        share = (self._cpu_s() - before) / (time.monotonic() - begin)
        return share, sum(_resident_mb(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]

    def _cpu_s(self) -> float:
        ticks = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / CLOCK_TICKS

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.put((time.monotonic(), line))


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident is not None
    return int(resident[1]) * 1024 / 1e6


@contextmanager
def running_node(folder: Path, port: int, files: list[Path], points: dict[str, object]) -> Iterator[RunningNode]:
    """Run a node on files in real time."""
    config = {
        "node": {"id": "bench", "state_dir": str(folder / "state")},
        "sources": [
            {"id": f"file{i}", "type": "file", "path": str(path), "loop": True} for i, path in enumerate(files)
        ],
        "detection": {"operating_points": points},
        "mqtt": {"host": "127.0.0.1", "port": port},
        "http": {"port": 0},
    }
    path = folder / "node.yaml"
    path.write_text(yaml.safe_dump(config))
    started_s = time.monotonic()
    command = [sys.executable, "-m", "earshot_node", "run", "--config", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield RunningNode(process, started_s)
    finally:
        process.terminate()
        process.wait(20)


def _rapid_sirens(seconds: float) -> np.ndarray:
    """Half a second of siren, then near silence, again and again."""
    rng = np.random.default_rng(5)
    audio = 0.0005 * rng.standard_normal(round(seconds * RATE_HZ)).astype(np.float32)
    for begin in range(0, len(audio) - RATE_HZ, RATE_HZ):
        siren, _ = random_siren(rng, 0.5)
        audio[begin : begin + len(siren)] += 0.3 * siren
    return audio


def _delays(folder: Path, port: int, path: Path, point: dict[str, float], seconds: float) -> list[float]:
    """Return seconds from `decided` of every onset and offset to its arrival, with four sources at once."""
    delays: list[float] = []

    def on_message(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        arrived = time.time()
        decided = re.search(rb'"decided":"([^"]+)"', message.payload)
        assert decided is not None
        delays.append(arrived - datetime.fromisoformat(decided[1].decode()).timestamp())

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.subscribe([("earshot/bench/source/+/+/onset", 1), ("earshot/bench/source/+/+/offset", 1)])
    client.loop_start()
    with running_node(folder, port, [path] * 4, {"siren": point}):
        threading.Event().wait(seconds)
    client.loop_stop()
    if not delays:
        raise SystemExit("error: the node reported no event at all")
    return delays


if __name__ == "__main__":
    sys.exit(main())
