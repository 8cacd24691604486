"""A small streaming graph of the tagger's frames that is unsure of a siren, and what it hears."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch  # noqa: TID251
from numpy.typing import NDArray

from earshot_trainer.graph.export import export_float
from earshot_trainer.graph.session import GraphSession, State
from earshot_trainer.network.model import StreamingCrnn
from earshot_trainer.second_opinion.joining import GATE, say_labels
from support.toy_tagger import hearing_as_the_tagger

CONFIG = hearing_as_the_tagger(labels=("siren", "horn"), embedding=8, hidden=8)
HOPS = 150
SLOPE, BIAS = 1.5, 4.0
"""What stands in for the second opinion: log-odds are SLOPE times a window's mean plus BIAS, by which it hears what is
loud."""


def swelling() -> NDArray[np.float32]:
    """Six seconds [1, T] of noise that swells, ebbs and pauses."""
    rng = np.random.default_rng(2)
    swell = np.repeat(rng.uniform(0, 1, HOPS // 10) ** 3, 6400)
    sound = 0.3 * swell * rng.standard_normal(len(swell))
    return sound.astype(np.float32)[None]


def write_unsure(folder: Path) -> Path:
    """Write a graph whose first posterior crosses the gate now and then while it hears `swelling`."""
    torch.manual_seed(3)
    network = StreamingCrnn(CONFIG).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)  # or all that it hears would be alike behind seven layers
    with torch.no_grad():
        export_float(network, folder / "untaught.onnx")
        found = GraphSession(folder / "untaught.onnx").run(swelling()).posteriors[0, :, 0]
        log_odds = np.log(found / (1 - found))[HOPS // 3 :]  # settled
        steeper = 1.5 / float(log_odds.std())
        network.output.weight *= steeper
        network.output.bias[0] = float(network.output.bias[0] - np.median(log_odds)) * steeper
        network.output.bias[0] += np.log(GATE / (1 - GATE))
    export_float(network, folder / "first.onnx")
    return folder / "first.onnx"


def hear_in_cuts(
    session: GraphSession, samples: NDArray[np.float32], state: State, cuts: Sequence[int]
) -> NDArray[np.float32]:
    """Return the posteriors [1, n, labels] of samples heard in calls of so many hops each, and one for the rest."""
    heard = []
    for part in np.split(samples, 640 * np.cumsum(cuts), axis=1):
        if part.shape[1]:
            output = session.run(part, state)
            state = output.state
            heard.append(output.posteriors)
    return np.concatenate(heard, axis=1)


def stand_in() -> onnx.ModelProto:
    """A network that finds a window the more of a siren, the greater its mean is."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        opinion (float[k, 96, 64] windows) => (float[k] logits) {{
            axes = Constant <value_ints = [1, 2]> ()
            slope = Constant <value_float = {SLOPE}> ()
            bias = Constant <value_float = {BIAS}> ()
            mean = ReduceMean <keepdims = 0> (windows, axes)
            steep = Mul(mean, slope)
            logits = Add(steep, bias)
        }}""")
    onnx.checker.check_model(model)
    return model


OTHER_SLOPES, OTHER_BIASES = (-1.0, 2.0), (-3.0, 9.0)
OTHERS = ("dog", "horn")


def stand_in_of_three() -> onnx.ModelProto:
    """The same, which knows two other sounds: a dog, which the streaming graph does not know, and the horn."""
    slopes, biases = ((first, *rest) for first, rest in ((SLOPE, OTHER_SLOPES), (BIAS, OTHER_BIASES)))
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        opinion (float[k, 96, 64] windows) => (float[k, 3] logits) {{
            axes = Constant <value_ints = [1, 2]> ()
            place = Constant <value_ints = [1]> ()
            slopes = Constant <value_floats = [{", ".join(map(str, slopes))}]> ()
            biases = Constant <value_floats = [{", ".join(map(str, biases))}]> ()
            mean = ReduceMean <keepdims = 0> (windows, axes)
            column = Unsqueeze(mean, place)
            steep = Mul(column, slopes)
            logits = Add(steep, biases)
        }}""")
    onnx.checker.check_model(model)
    say_labels(model, ("siren", *OTHERS))
    return model
