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


class GateReport(BaseModel):
    """What the gate says.

    Attributes:
        outcome: `promote`: it may decide on nodes; `shadow`: it may run beside the active model; `stop`: neither.
        reasons: why it is not `promote`, one line each; empty where it is.
        forced: somebody wanted it promoted all the same; `judged` is what the gate said before.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    judged: Outcome
    reasons: tuple[str, ...]
    figures: tuple[Figure, ...]
    had: Had
    active_version: str
    forced: bool = False

    def with_force(self) -> Self:
        """Return the same, promoted against its own verdict; unchanged where it promotes anyway."""
        return self if self.judged == "promote" else self.model_copy(update={"outcome": "promote", "forced": True})


def judge(figures: Sequence[Figure], had: Had, active_version: str) -> GateReport:
    """Promote what is worse in nothing and better on the household's own recordings, as far as that could be seen.

    Worse on the base test set or the long negatives, or not better on the household's own recordings: stop. Nothing to
    see it on (no own held-out recordings of both kinds, or of a sitting that was learnt from, or no real sounds in the
    base test set): shadow at most.
    """
    worse = [figure for figure in figures if figure.verdict == "worse"]
    stops = [f"worse: {figure}" for figure in worse]
    doubts = []
    if had.own_sirens and had.own_others:
        deciding = [figure for figure in figures if figure.decides]
        if had.same_sitting:
            doubts.append("the own held-out takes are of a sitting that was learnt from; record some on another day")
        elif not any(figure.verdict == "better" for figure in deciding) and not worse:
            stops.append("not better on the own held-out recordings: nothing is gained by it")
    else:
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
    )
