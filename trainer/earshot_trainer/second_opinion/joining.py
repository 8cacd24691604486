"""Two graphs in one: the streaming network, and the second opinion where that suspects a siren.

    frames of the streaming graph -> the last .96 s of them, carried from call to call
    its posterior -> greatest of the last half second -> above `GATE`: worth a question
    every `ASK_EVERY` hops that are -> windows -> second opinion
    its answer holds until the next question; log-odds of both are added up

What depends on a suspicion is inside an If, the second opinion inside another one: without, a call costs little more.

The node sees one streaming graph as before, with three more states. Below `GATE` nothing is asked and posteriors stay
what they were; above it a posterior is the two networks' together. Until the answer is there it does not exceed `GATE`,
and just above `GATE` it moves from one to the other, so that a rounding error changes no more than as much.

What the second opinion says of other sounds than sirens stands alone, see `joining_others`.
"""

from collections.abc import Mapping, Sequence
from string import Template

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from earshot_node.contract.manifest import WANTED_STATE
from earshot_node.contract.names import SIREN
from earshot_node.errors import OperatorError
from earshot_trainer.graph.export import FRAMES_NODE
from earshot_trainer.network.tagger_layers import QUIETEST
from earshot_trainer.second_opinion.joining_others import STATE as OTHERS_STATE
from earshot_trainer.second_opinion.joining_others import Others

GATE = 0.2
"""Posterior of the streaming network from which the other one is asked."""
CROSSING = 0.1
"""How much further the answer counts in full."""
ASK_EVERY = 3
"""Hops between questions: .12 s."""
SUSPECT_HOPS = 12
"""A suspicion lasts so long: about half of the window that the answer is about."""
FIRST_WEIGHT = 0.35
"""Of the streaming network's log-odds beside the other one's."""
ALARM, QUESTION = "second_opinion", "second_question"
"""Names of the If nodes: is anything suspected, and is anybody to be asked now?"""
MOST = 2**63 - 1
NO_ANSWER = 30.0
"""Answers are kept this much higher, above zero: zero is that there is none."""
PREFIX = "second_"
BRANCH = "asked_"
"""In front of the names inside the If: a graph and the graphs in it share their names."""
LABELS_KEY = "labels"
"""Of a second opinion's metadata: what its outputs tell of, with spaces between."""
STATES = ("second_frames", "second_suspicion", "second_answer")

_WATCH = f"""
<ir_version: 10, opset_import: ["" : 20]>
watch (
    float[batch, n, labels] {PREFIX}first, float[batch, f, 64] {PREFIX}heard,
    float[batch, 92, 64] state_second_frames,
    float[batch, {SUSPECT_HOPS - 1}] state_second_suspicion,
    float[batch, 2] state_second_answer$inputs
) => (
    float[batch, n, $told] posteriors,
    float[batch, 92, 64] next_state_second_frames,
    float[batch, {SUSPECT_HOPS - 1}] next_state_second_suspicion,
    float[batch, 2] next_state_second_answer$outputs
) {{
    m92 = Constant <value_ints = [-92]> ()
    older = Constant <value_ints = [{1 - SUSPECT_HOPS}]> ()
    i1 = Constant <value_ints = [1]> ()
    i2 = Constant <value_ints = [2]> ()
    most = Constant <value_ints = [{MOST}]> ()
    column = Constant <value_ints = [$column]> ()
    next_column = Constant <value_ints = [$column_after]> ()
    floor = Constant <value_float = {QUIETEST}> ()
    {PREFIX}gate = Constant <value_float = {GATE}> ()

    above_floor = Sub({PREFIX}heard, floor)
    {PREFIX}frames = Concat <axis = 1> (state_second_frames, above_floor)
    next_state_second_frames = Slice({PREFIX}frames, m92, most, i1)

    p_column = Slice({PREFIX}first, column, next_column, i2)
    {PREFIX}p = Squeeze(p_column, i2)
    suspicion = Concat <axis = 1> (state_second_suspicion, {PREFIX}p)
    next_state_second_suspicion = Slice(suspicion, older, most, i1)
    suspicion_3d = Unsqueeze(suspicion, i1)
    greatest_3d = MaxPool <kernel_shape = [{SUSPECT_HOPS}]> (suspicion_3d)
    {PREFIX}greatest = Squeeze(greatest_3d, i1)
    greatest_of_all = ReduceMax <keepdims = 0> ({PREFIX}greatest)
    {PREFIX}is_suspect = Greater(greatest_of_all, {PREFIX}gate)
    $alert
}}
"""
"""What runs in every call: the frames and the suspicion that are carried on."""

_CALM = f"""
calm () => (float[batch, n, told] posteriors, float[batch, 2] next_answer$next_answers) {{
    i0 = Constant <value_ints = [0]> ()
    i1 = Constant <value_ints = [1]> ()
    i2 = Constant <value_ints = [2]> ()
    every = Constant <value_float = {ASK_EVERY}.0> ()
    zero = Constant <value_float = 0.0> ()
    shape = Shape <start = 1, end = 2> ({PREFIX}p)
    count = Cast <to = 1> (shape)
    since = Slice(state_second_answer, i0, i1, i1)
    elapsed = Add(since, count)
    rest = Mod <fmod = 1> (elapsed, every)
    was_due = GreaterOrEqual(elapsed, every)
    last = Slice(state_second_answer, i1, i2, i1)
    held = Where(was_due, zero, last)
    next_answer = Concat <axis = 1> (rest, held)
    $calm
}}
"""
"""Nothing is suspected: posteriors are as they are, and an answer is forgotten once the next question would be due."""

_ALERT = f"""
alert () => (float[batch, n, told] posteriors, float[batch, 2] next_answer$next_answers) {{
    m1 = Constant <value_ints = [-1]> ()
    i0 = Constant <value_ints = [0]> ()
    i1 = Constant <value_ints = [1]> ()
    i2 = Constant <value_ints = [2]> ()
    s0 = Constant <value_int = 0> ()
    s1 = Constant <value_int = 1> ()
    most = Constant <value_ints = [{MOST}]> ()
    column = Constant <value_ints = [$column]> ()
    next_column = Constant <value_ints = [$column_after]> ()
    floor = Constant <value_float = {QUIETEST}> ()
    crossing = Constant <value_float = {CROSSING}> ()
    every = Constant <value_int = {ASK_EVERY}> ()
    four = Constant <value_int = 4> ()
    none = Constant <value_float = {NO_ANSWER}> ()
    weight = Constant <value_float = {FIRST_WEIGHT}> ()
    zero = Constant <value_float = 0.0> ()
    one = Constant <value_float = 1.0> ()
    small = Constant <value_float = 0.000001> ()
    large = Constant <value_float = 0.999999> ()

    shape = Shape({PREFIX}p)
    count = Gather(shape, s1)
    hop = Range(s0, count, s1)
    hop_after = Add(hop, s1)
    since_f = Slice(state_second_answer, i0, i1, i1)
    since = Cast <to = 7> (since_f)
    elapsed = Add(since, hop_after)
    rest = Mod(elapsed, every)
    is_due = Equal(rest, s0)
    is_suspect = Greater({PREFIX}greatest, {PREFIX}gate)
    asks_of_siren = And(is_due, is_suspect)
    $asks

    asked_t = NonZero(asks)
    asked = Transpose <perm = [1, 0]> (asked_t)
    rows = Gather <axis = 1> (asked, s0)
    hops = Gather <axis = 1> (asked, s1)
    frames_shape = Shape({PREFIX}frames)
    length = Gather(frames_shape, s1)
    row_start = Mul(rows, length)
    hop_start = Mul(hops, four)
    start = Add(row_start, hop_start)
    start_2d = Unsqueeze(start, i1)
    offsets = Constant <value_ints = [$offsets]> ()
    places = Add(start_2d, offsets)
    flat_shape = Constant <value_ints = [-1, 64]> ()
    flat = Reshape({PREFIX}frames, flat_shape)
    lifted = Gather <axis = 0> (flat, places)
    {PREFIX}windows = Add(lifted, floor)
    asked_count = Size(rows)
    {PREFIX}is_asked = Greater(asked_count, s0)

    siren_answers = Gather <axis = 1> ({PREFIX}answers, s0)
    lifted_answers = Add(siren_answers, none)
    kept_answers = Max(lifted_answers, small)
    no_answers = Expand(zero, shape)
    all_placed = ScatterND(no_answers, asked, kept_answers)
    placed = Where(asks_of_siren, all_placed, zero)
    last_answer = Slice(state_second_answer, i1, i2, i1)
    all_answers = Concat <axis = 1> (last_answer, placed)
    latest = Sub(hop_after, rest)
    latest_kept = Max(latest, s0)
    answer = GatherElements <axis = 1> (all_answers, latest_kept)

    bounded_low = Max({PREFIX}greatest, small)
    bounded = Min(bounded_low, large)
    complement = Sub(one, bounded)
    odds = Div(bounded, complement)
    log_odds = Log(odds)
    weighed = Mul(log_odds, weight)
    answer_logit = Sub(answer, none)
    together = Add(answer_logit, weighed)
    joint_p = Sigmoid(together)
    over = Sub({PREFIX}greatest, {PREFIX}gate)
    over_share = Div(over, crossing)
    over_low = Max(over_share, zero)
    share = Min(over_low, one)
    at_most = Min({PREFIX}p, {PREFIX}gate)
    is_answered = Greater(answer, zero)
    difference = Sub(joint_p, at_most)
    moved = Mul(share, difference)
    crossed = Add(at_most, moved)
    own = Where(is_answered, crossed, at_most)
    own_3d = Unsqueeze(own, i2)
    before = Slice({PREFIX}first, i0, column, i2)
    behind = Slice({PREFIX}first, next_column, most, i2)
    told = Concat <axis = 2> (before, own_3d, behind)
    $tell

    last_rest = Slice(rest, m1, most, i1)
    last_rest_f = Cast <to = 1> (last_rest)
    held = Slice(answer, m1, most, i1)
    next_answer = Concat <axis = 1> (last_rest_f, held)
}}
"""
"""Something is suspected in one of the rows: the questions that are due, and what comes of them."""


def join(first: ModelProto, second: ModelProto, known: Sequence[str]) -> ModelProto:
    """Return a streaming graph that asks `second` where `first` suspects a siren, or what else a stream wants to hear.

    Its posteriors are of `labels_told(known, second)`.

    Args:
        first: what `export_float` or `quantize_model` wrote, of a network that hears as the tagger does.
        second: windows [K, 96, 64] to logits [K] of a siren, or [K, labels] of `labels_of(second)`.
        known: labels of the first's posteriors, a siren among them.

    Raises:
        OperatorError: the first graph makes no frames that the second one could listen to, or has one already.
    """
    joint = ModelProto()
    joint.CopyFrom(first)
    graph = joint.graph
    frames = next((node.output[0] for node in graph.node if node.name == FRAMES_NODE), None)
    if frames is None or second_of(first) is not None:
        raise OperatorError(
            "this graph cannot ask for a second opinion: it must hear the tagger's frames (model.magnitudes) and have "
            "none yet"
        )
    labels, column = labels_of(second), known.index(SIREN)
    others = Others.among(labels, known) if len(labels) > 1 else None
    watch = onnx.parser.parse_model(_filled(_WATCH, column, known, others)).graph
    _name_apart(watch, PREFIX)
    _rename(graph, {"posteriors": f"{PREFIX}first"})
    _rename(watch, {f"{PREFIX}heard": frames})
    branches = [onnx.parser.parse_graph(_filled(text, column, known, others)) for text in (_ALERT, _CALM)]
    graph.node.extend([*watch.node, _alarm(second.graph, *branches, tells_others=others is not None)])
    graph.input.extend(watch.input[2:])
    outputs = [watch.output[0] if one.name == f"{PREFIX}first" else one for one in graph.output]
    graph.ClearField("output")
    graph.output.extend([*outputs, *watch.output[1:]])
    return joint


def labels_told(known: Sequence[str], second: ModelProto) -> tuple[str, ...]:
    """Labels of a joint graph's posteriors: the streaming network's, then what the second opinion alone knows."""
    return (*known, *(label for label in labels_of(second) if label not in known))


def labels_of(second: ModelProto) -> tuple[str, ...]:
    """What a second opinion's outputs tell of; a siren alone where the graph does not say."""
    said = next((one.value for one in second.metadata_props if one.key == LABELS_KEY), None)
    return (SIREN,) if said is None else tuple(said.split())


def say_labels(second: ModelProto, labels: Sequence[str]) -> None:
    """Let a second opinion's graph say what its outputs tell of."""
    second.ClearField("metadata_props")
    second.metadata_props.add(key=LABELS_KEY, value=" ".join(labels))


def second_of(joint: ModelProto) -> ModelProto | None:
    """The second opinion inside a graph that `join` made, or None."""
    alarm = next((node for node in joint.graph.node if node.name == ALARM), None)
    if alarm is None:
        return None
    question = next(node for node in _branch(alarm, "then_branch").node if node.name == QUESTION)
    second = ModelProto()
    second.CopyFrom(joint)
    second.graph.CopyFrom(_branch(question, "then_branch"))
    second.graph.input.append(
        onnx.helper.make_tensor_value_info(f"{PREFIX}windows", onnx.TensorProto.FLOAT, ["k", 96, 64])
    )
    wanted = f"state_{WANTED_STATE}"
    others = [one.name.removeprefix(wanted) for one in joint.graph.input if one.name.startswith(wanted)]
    say_labels(second, (SIREN, *others))
    return second


def _branch(node: NodeProto, name: str) -> GraphProto:
    branch: GraphProto = next(one.g for one in node.attribute if one.name == name)
    return branch


def _filled(text: str, column: int, known: Sequence[str], others: Others | None) -> str:
    """Put columns into a text, and the nodes for other sounds than sirens, if any are told of."""
    values = {"column": column, "column_after": column + 1, "offsets": ", ".join(map(str, range(96)))}
    if others is None:
        parts = {
            "alert": f"{PREFIX}is_alert = Identity({PREFIX}is_suspect)",
            "calm": f"posteriors = Identity({PREFIX}first)",
            "asks": "asks = Identity(asks_of_siren)",
            "tell": "posteriors = Identity(told)",
        }
        parts |= {"told": str(len(known)), "inputs": "", "outputs": "", "next_answers": ""}
    else:
        parts = {"alert": others.watch(), "calm": others.calm(), "asks": others.asks(), "tell": others.tell()}
        parts |= {"told": str(others.told), "inputs": others.inputs, "outputs": others.outputs}
        parts["next_answers"] = others.next_answers
    return Template(text).safe_substitute(values, **parts)


def _alarm(second: GraphProto, alert: GraphProto, calm: GraphProto, *, tells_others: bool) -> NodeProto:
    """An If: what comes of a suspicion or a wish, or posteriors as they are."""
    for branch in (alert, calm):
        _name_apart(branch, f"{PREFIX}{branch.name}_")
    nodes = list(alert.node)
    place = next(i for i, node in enumerate(nodes) if f"{PREFIX}answers" in node.input)
    del alert.node[:]
    alert.node.extend([*nodes[:place], *_question(second), *nodes[place:]])
    outputs = ["posteriors", "next_state_second_answer", *([f"next_state_{OTHERS_STATE}"] if tells_others else [])]
    return onnx.helper.make_node("If", [f"{PREFIX}is_alert"], outputs, name=ALARM, then_branch=alert, else_branch=calm)


def _name_apart(graph: GraphProto, prefix: str) -> None:
    """Put `prefix` before the graph's own names; those with PREFIX in them and next states are known outside, too."""
    named = {name for node in graph.node for name in node.output if PREFIX not in name}
    own = {name for name in named if not name.startswith("next_state_")}
    _rename(graph, {name: f"{prefix}{name}" for name in own})
    for number, node in enumerate(graph.node):
        node.name = f"{prefix}{number}"


def _question(second: GraphProto) -> list[NodeProto]:
    """An If: the second opinion of all windows, [K, labels], or no number for none."""
    branch = GraphProto()
    branch.CopyFrom(second)
    branch.name = "asked"
    windows = branch.input[0].name
    del branch.input[:]
    named = {tensor.name for tensor in branch.initializer} | {name for node in branch.node for name in node.output}
    _rename(branch, {name: f"{BRANCH}{name.removeprefix(BRANCH)}" for name in named} | {windows: f"{PREFIX}windows"})
    shape = [dimension.dim_value for dimension in branch.output[0].type.tensor_type.shape.dim]
    nothing = np.zeros((0, *shape[1:]), np.float32)
    constant = onnx.helper.make_node("Constant", [], [f"{PREFIX}nothing"], value=numpy_helper.from_array(nothing))
    output = onnx.helper.make_tensor_value_info(f"{PREFIX}nothing", onnx.TensorProto.FLOAT, nothing.shape)
    empty = onnx.helper.make_graph([constant], "unasked", [], [output])
    told = f"{PREFIX}answers" if len(shape) > 1 else f"{PREFIX}answers_of_siren"
    asked = onnx.helper.make_node(
        "If", [f"{PREFIX}is_asked"], [told], name=QUESTION, then_branch=branch, else_branch=empty
    )
    if len(shape) > 1:
        return [asked]
    place = onnx.helper.make_node(
        "Constant", [], [f"{PREFIX}last_axis"], value=numpy_helper.from_array(np.array([1], np.int64))
    )
    return [asked, place, onnx.helper.make_node("Unsqueeze", [told, f"{PREFIX}last_axis"], [f"{PREFIX}answers"])]


def _rename(graph: GraphProto, new: Mapping[str, str]) -> None:
    """Give values of the graph other names; graphs inside it keep theirs."""
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for value in (*graph.initializer, *graph.output):
        value.name = new.get(value.name, value.name)
