"""May a candidate take the active model's place? Figures in, a verdict with its reasons out; no files, no models."""

from collections.abc import Sequence
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Part = Literal["base", "long", "own"]
Verdict = Literal["better", "as good", "worse"]
Outcome = Literal["promote", "shadow", "stop"]
PART_TITLES: Final[dict[Part, str]] = {
    "base": "base test set",
    "long": "long negatives",
    "own": "own held-out recordings",
}
CHANCE_ERRORS: Final = 1.28
"""A gain has to be more than so many standard errors; one in ten models that are as good gets there by chance."""
_NOISE: Final = 1e-9


class Figure(BaseModel):
    """One figure of both models on the same recordings.

    Attributes:
        what: such as `recall at balanced`.
        margin: by how much the candidate may be worse and still count as as good.
        gain: by how much it has to be better to count as better.
        chance: standard error of the difference, where both were compared recording by recording.
        decides: whether being better here is what a promotion is for.
    """

    model_config = ConfigDict(frozen=True)

    part: Part
    label: str
    what: str
    active: float
    candidate: float
    more_is_better: bool
    margin: float = 0.0
    gain: float = 0.0
    chance: float = 0.0
    decides: bool = False

    @property
    def verdict(self) -> Verdict:
        """How the candidate compares."""
        gained = self.candidate - self.active if self.more_is_better else self.active - self.candidate
        if gained < -self.margin - _NOISE:
            return "worse"
        return "better" if gained > max(self.gain, CHANCE_ERRORS * self.chance) + _NOISE else "as good"

    def __str__(self) -> str:
        return (
            f"{self.label}, {PART_TITLES[self.part]}: {self.what} {self.active:.3g} -> {self.candidate:.3g} "
            f"({self.verdict})"
        )


class Had(BaseModel):
    """What there was to compare on.

    Attributes:
        test_clips, corpora: clips of the base test set; recordings of it and of the long negatives that are real.
        long_hours: of the long negatives.
        own_sirens, own_others: the household's held-out recordings.
        own_sessions: sessions that these are of.
        same_sitting: some of these are of a sitting that was learnt from.
    """

    model_config = ConfigDict(frozen=True)

    test_clips: int = Field(ge=0)
    corpora: int = Field(ge=0)
    long_hours: float = Field(ge=0)
    own_sirens: int = Field(ge=0)
    own_others: int = Field(ge=0)
    own_sessions: int = Field(default=0, ge=0)
    same_sitting: bool = False

    def __str__(self) -> str:
        material = f"{self.corpora} of the recordings real" if self.corpora else "synthesized only"
        return (
            f"base test set: {self.test_clips} clips and {self.long_hours:.2f} h of long negatives, {material}; "
            f"own held-out: {self.own_sirens} with a siren, {self.own_others} without, of {self.own_sessions} sessions"
        )


class NewLabel(BaseModel):
    """What a candidate does about a label that the active model has no output for, at `balanced`.

    Attributes:
        held_out, sessions: the household's held-out recordings with it, and how many sessions these are of.
        found: of these, as they were recorded; its thresholds were chosen on them.
        found_under_conditions: share of these also quieter and over streets.
        own_others, own_alarmed: its held-out recordings without it, and those that are taken for it.
        clips, clips_alarmed: the same of the base test set.
        long_hours, false_alarms: of the long negatives.
        least_recall: of `found`; `most_...` are allowed at most.
    """

    model_config = ConfigDict(frozen=True)

    label: str
    held_out: int = Field(ge=0)
    sessions: int = Field(ge=0)
    found: int = Field(ge=0)
    found_under_conditions: float = Field(ge=0, le=1)
    own_others: int = Field(ge=0)
    own_alarmed: int = Field(ge=0)
    clips: int = Field(ge=0)
    clips_alarmed: int = Field(ge=0)
    long_hours: float = Field(ge=0)
    false_alarms: int = Field(ge=0)
    least_recall: float = Field(ge=0, le=1)
    most_own_alarmed: int = Field(ge=0)
    most_clips_alarmed: int = Field(ge=0)
    most_false_alarms: int = Field(ge=0)

    @property
    def recall(self) -> float:
        """Share of the household's held-out recordings with it that are found."""
        return self.found / self.held_out if self.held_out else 0.0

    @property
    def lacks(self) -> tuple[str, ...]:
        """What keeps it from being taken, one phrase each."""
        checks = (
            (
                self.recall >= self.least_recall,
                f"{self.found} of {self.held_out} found, at least {self.least_recall:.0%}",
            ),
            (
                self.own_alarmed <= self.most_own_alarmed,
                f"{self.own_alarmed} of {self.own_others} own others taken for it, at most {self.most_own_alarmed}",
            ),
            (
                self.clips_alarmed <= self.most_clips_alarmed,
                f"{self.clips_alarmed} of {self.clips} clips taken for it, at most {self.most_clips_alarmed}",
            ),
            (
                self.false_alarms <= self.most_false_alarms,
                f"{self.false_alarms} false alarms in {self.long_hours:.2f} h, at most {self.most_false_alarms}",
            ),
        )
        return tuple(f"{text} wanted" for is_met, text in checks if not is_met)

    def __str__(self) -> str:
        return (
            f"{self.label}, new: {self.found} of {self.held_out} own held-out recordings found, of {self.sessions} "
            f"session(s), on which its thresholds were chosen; {self.found_under_conditions:.0%} also quieter and over "
            f"streets; taken for it: {self.own_alarmed} of {self.own_others} other own ones, {self.clips_alarmed} of "
            f"{self.clips} clips; {self.false_alarms} false alarms in {self.long_hours:.2f} h"
        )


class GateReport(BaseModel):
    """What the gate says.

    Attributes:
        outcome: `promote`: it may decide on nodes; `shadow`: it may run beside the active model; `stop`: neither.
        reasons: why it is not `promote`, one line each; empty where it is.
        new_labels: what there is to say of labels that the active model does not hear.
        forced: somebody wanted it promoted all the same; `judged` is what the gate said before.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    judged: Outcome
    reasons: tuple[str, ...]
    figures: tuple[Figure, ...]
    had: Had
    active_version: str
    new_labels: tuple[NewLabel, ...] = ()
    forced: bool = False

    def with_force(self) -> Self:
        """Return the same, promoted against its own verdict; unchanged where it promotes anyway."""
        return self if self.judged == "promote" else self.model_copy(update={"outcome": "promote", "forced": True})


def judge(figures: Sequence[Figure], had: Had, active_version: str, new_labels: Sequence[NewLabel] = ()) -> GateReport:
    """Promote what is worse in nothing and better on the household's own recordings, as far as that could be seen.

    Worse on the base test set or the long negatives, or not better on the household's own recordings: stop. Nothing to
    see it on (no own held-out recordings of both kinds, or of a sitting that was learnt from, or no real sounds in the
    base test set): shadow at most. A new label that is found well enough is a gain; one that is not stops the round.
    """
    worse = [figure for figure in figures if figure.verdict == "worse"]
    stops = [f"worse: {figure}" for figure in worse]
    stops += [f"{one.label} is not good enough to be taken: {'; '.join(one.lacks)}" for one in new_labels if one.lacks]
    doubts = []
    if had.own_sirens and had.own_others:
        deciding = [figure for figure in figures if figure.decides]
        if had.same_sitting:
            doubts.append("the own held-out takes are of a sitting that was learnt from; record some on another day")
        elif not any(figure.verdict == "better" for figure in deciding) and not worse and not new_labels:
            stops.append("not better on the own held-out recordings: nothing is gained by it")
    elif not new_labels:
        missing = "with a siren" if not had.own_sirens else "without one"
        doubts.append(f"no own recordings {missing} are held out; record some in another session")
    if not had.corpora:
        doubts.append("the base test set is synthesized only; add real sounds with `trainer-cli corpora add`")
    outcome: Outcome = "stop" if stops else "shadow" if doubts else "promote"
    return GateReport(
        outcome=outcome,
        judged=outcome,
        reasons=tuple(stops + doubts),
        figures=tuple(figures),
        had=had,
        active_version=active_version,
        new_labels=tuple(new_labels),
    )
