"""What a joint graph says of other sounds than sirens: the second opinion's answer alone, to streams that want it.

    state `wanted_<label>` of a stream is 1 -> every `EVERY` hops, from the `FIRST_AT`-th on -> window -> second opinion
    its answer holds until the next one and is the label's posterior; before the first one that is 0

The streaming network need not know such a label: its column comes behind those that the network has, and is 0 in a
stream that does not want it. A label that the network knows keeps the network's own posterior there.

The texts are for `onnx.parser`; they go where `joining` has room for them. What they use from there is named in each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

from earshot_node.contract.manifest import WANTED_STATE

STATE = "second_others"
"""Hops heard, up to `FIRST_AT` and then in turns of `EVERY`; and the answers that hold, 0 for none."""
EVERY = 12
"""Hops from one window to the next: .48 s, half a window."""
FIRST_AT = 24
"""Hops until a window is full."""

_WATCH = """
    $passed_on
    second_wanted = Concat <axis = 1> ($wanted)
    most_wanted = ReduceMax <keepdims = 0> (second_wanted)
    no_wish = Constant <value_float = 0.0> ()
    is_wanted = Greater(most_wanted, no_wish)
    second_is_alert = Or(second_is_suspect, is_wanted)
"""
"""In every call; uses `second_is_suspect`."""

_CALM = """
    next_others = Identity(state_second_others)
    i_others = Constant <value_ints = [$count]> ()
    calm_shape = Shape(second_p)
    others_shape = Concat <axis = 0> (calm_shape, i_others)
    no_others = Expand(zero, others_shape)
    first_and_none = Concat <axis = 2> (second_first, no_others)
    order = Constant <value_ints = [$calm_order]> ()
    posteriors = Gather <axis = 2> (first_and_none, order)
"""
"""In a call in which nothing is suspected and no stream wants anything, so that no window is counted."""

_ASKS = """
    first_others = Constant <value_int = $first_at> ()
    every_other = Constant <value_int = $every> ()
    heard_f = Slice(state_second_others, i0, i1, i1)
    heard_others = Cast <to = 7> (heard_f)
    elapsed_others = Add(heard_others, hop_after)
    rest_others = Mod(elapsed_others, every_other)
    is_turn = Equal(rest_others, s0)
    is_full = GreaterOrEqual(elapsed_others, first_others)
    wanted_of_row = ReduceMax <keepdims = 1> (second_wanted, i1)
    row_wants = Greater(wanted_of_row, zero)
    is_full_turn = And(is_turn, is_full)
    asks_of_others = And(is_full_turn, row_wants)
    asks = Or(asks_of_siren, asks_of_others)
"""
"""Which hops ask; uses `hop_after`, `asks_of_siren` and constants."""

_TOLD = """
    i_others = Constant <value_ints = [$count]> ()
    other_answers = Slice(second_answers, i1, most, i1)
    lifted_others = Add(other_answers, none)
    kept_others = Max(lifted_others, small)
    others_shape = Concat <axis = 0> (shape, i_others)
    no_others = Expand(zero, others_shape)
    all_others_placed = ScatterND(no_others, asked, kept_others)
    asks_3d = Unsqueeze(asks_of_others, i2)
    others_placed = Where(asks_3d, all_others_placed, zero)
    last_others = Slice(state_second_others, i1, most, i1)
    last_others_3d = Unsqueeze(last_others, i1)
    every_answer = Concat <axis = 1> (last_others_3d, others_placed)
    latest_other = Sub(hop_after, rest_others)
    latest_other_kept = Max(latest_other, s0)
    latest_other_3d = Unsqueeze(latest_other_kept, i2)
    latest_others = Expand(latest_other_3d, others_shape)
    others_answer = GatherElements <axis = 1> (every_answer, latest_others)
    others_logit = Sub(others_answer, none)
    others_p = Sigmoid(others_logit)
    others_answered = Greater(others_answer, zero)
    others_heard = Where(others_answered, others_p, zero)
    first_and_none = Concat <axis = 2> (second_first, no_others)
    own_order = Constant <value_ints = [$own_order]> ()
    others_own = Gather <axis = 2> (first_and_none, own_order)
    wanted_3d = Unsqueeze(second_wanted, i1)
    is_wanted = Greater(wanted_3d, zero)
    others_told = Where(is_wanted, others_heard, others_own)
    told_and_others = Concat <axis = 2> (told, others_told)
    order = Constant <value_ints = [$order]> ()
    posteriors = Gather <axis = 2> (told_and_others, order)

    elapsed_last = Slice(elapsed_others, m1, most, i1)
    rest_last = Slice(rest_others, m1, most, i1)
    turn_last = Add(rest_last, every_other)
    is_full_last = GreaterOrEqual(elapsed_last, first_others)
    count_last = Where(is_full_last, turn_last, elapsed_last)
    count_others = Cast <to = 1> (count_last)
    held_others_3d = Slice(others_answer, m1, most, i1)
    held_others = Squeeze(held_others_3d, i1)
    next_others = Concat <axis = 1> (count_others, held_others)
"""
"""What is told; uses `told`, which has the siren's column, `asked`, `second_answers` and constants."""


@dataclass(frozen=True)
class Others:
    """Which sounds besides the siren a second opinion tells of.

    Attributes:
        labels: in the order of its outputs, without the siren, which is the first.
        columns: of each among the streaming network's posteriors; None where it has none.
        known: how many columns the streaming network has.
    """

    labels: tuple[str, ...]
    columns: tuple[int | None, ...]
    known: int

    @classmethod
    def among(cls, labels: Sequence[str], known: Sequence[str]) -> "Others":
        """Those of `labels`, which the siren leads, where the streaming network has the columns `known`."""
        others = tuple(labels[1:])
        return cls(others, tuple(known.index(one) if one in known else None for one in others), len(known))

    @property
    def told(self) -> int:
        """How many columns the joint graph has."""
        return self.known + self.columns.count(None)

    @property
    def inputs(self) -> str:
        """Further states of `watch`, with a comma before each."""
        wanted = "".join(f", float[batch, 1] state_{WANTED_STATE}{label}" for label in self.labels)
        return f"{wanted}, float[batch, {1 + len(self.labels)}] state_{STATE}"

    @property
    def outputs(self) -> str:
        """Further next states of `watch`, likewise."""
        wanted = "".join(f", float[batch, 1] next_state_{WANTED_STATE}{label}" for label in self.labels)
        return f"{wanted}, float[batch, {1 + len(self.labels)}] next_state_{STATE}"

    @property
    def next_answers(self) -> str:
        """The further output of both branches, likewise."""
        return f", float[batch, {1 + len(self.labels)}] next_others"

    def watch(self) -> str:
        """Nodes of every call: from `second_is_suspect` to `second_is_alert`."""
        names = [f"state_{WANTED_STATE}{label}" for label in self.labels]
        passed_on = "\n    ".join(f"next_{name} = Identity({name})" for name in names)
        return Template(_WATCH).substitute(passed_on=passed_on, wanted=", ".join(names))

    def calm(self) -> str:
        """Nodes where no stream wants anything and nothing is suspected, to `posteriors` and `next_others`."""
        new = [self.known + number for number, column in enumerate(self.columns) if column is None]
        return self._filled(_CALM, calm_order=[*range(self.known), *new])

    def asks(self) -> str:
        """Nodes from `asks_of_siren` to `asks`."""
        return self._filled(_ASKS)

    def tell(self) -> str:
        """Nodes from `told` and `second_answers` to `posteriors` and `next_others`."""
        own = [self.known + number if column is None else column for number, column in enumerate(self.columns)]
        order = list(range(self.known))
        for number, column in enumerate(self.columns):
            if column is None:
                order.append(self.known + number)
            else:
                order[column] = self.known + number
        return self._filled(_TOLD, own_order=own, order=order)

    def _filled(self, text: str, **lists: Sequence[int]) -> str:
        values = {name: ", ".join(map(str, one)) for name, one in lists.items()}
        return Template(text).substitute(first_at=FIRST_AT, every=EVERY, count=len(self.labels), **values)
