"""What waits for somebody's word, the most telling first."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Engine

from earshot_node.contract.recordings import RecordingInfo
from earshot_trainer.catalogue.disagreements import Disagreements
from earshot_trainer.catalogue.labellings import Labellings
from earshot_trainer.catalogue.library import Library

Why = Literal["disagreement", "uncertain", "detected", "unlabelled", "feedback", "suspect"]

ORDER: Final[tuple[Why, ...]] = ("suspect", "disagreement", "uncertain", "detected", "unlabelled", "feedback")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A recording and why it is asked about.

    Attributes:
        why: `disagreement`: two models heard it differently; `uncertain`, `detected`: a node kept it unasked;
            `feedback`: said with a button in Home Assistant and not confirmed here; `suspect`: perhaps labelled wrong.
        note: what more is known, for people; one line.
    """

    info: RecordingInfo
    why: Why
    note: str = ""


def what_waits(engine: Engine, nodes: tuple[str, ...] = ()) -> list[Waiting]:
    """Return what waits here, of these nodes, of all if none is named; of one kind the latest first."""
    opinions = {
        sha256: disagreed.opinions for disagreed in Disagreements(engine).all() for sha256 in disagreed.recordings
    }
    said = Labellings(engine).said()
    found = [
        one
        for info in Library(engine).all()
        if (not nodes or info.node in nodes) and (one := _asked(info, opinions.get(info.sha256, ""), said))
    ]
    return in_order(found)


def in_order(waiting: Iterable[Waiting]) -> list[Waiting]:
    """Sort by kind, and the latest first within one."""
    latest_first = sorted(waiting, key=lambda one: one.info.begin, reverse=True)
    return sorted(latest_first, key=lambda one: ORDER.index(one.why))


def _asked(info: RecordingInfo, opinions: str, said: set[str]) -> Waiting | None:
    labelling, candidate = info.labelling, info.candidate
    if labelling is not None:
        if labelling.by != "home_assistant" or info.sha256 in said:
            return None
        note = f"said in Home Assistant: {labelling.title}"
        return Waiting(info, "feedback", f"{note}; {opinions}" if opinions else note)
    if opinions:
        return Waiting(info, "disagreement", opinions)
    if candidate is not None:
        note = f"model {candidate.model} gave {candidate.label} {candidate.posterior:.2f}"
        return Waiting(info, candidate.reason, note)
    return Waiting(info, "unlabelled")
