"""What the page is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from earshot_node.contract.operating_point import Presets
from earshot_trainer.evaluate.equal_alarms import EQUAL_ALARMS, EqualAlarms
from earshot_trainer.evaluate.evaluation import Evaluation
from earshot_trainer.evaluate.tracks import Scored, Track

MOST_MOMENTS = 8
"""Worst false alarms, and worst misses, that a page shows of each label."""


@dataclass(frozen=True, slots=True)
class ShownModel:
    """One model's figures with the posteriors behind them.

    Attributes:
        title: what to call it; unlike the other models'.
        evaluation: the figures.
        scored: posteriors of the recordings that they come from.
        findings: what the other parts of the evaluation found, by the part's key; a rival's `equal_alarms` are
            comparisons of the subject with it.
    """

    title: str
    evaluation: Evaluation
    scored: Scored
    findings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def presets(self) -> Presets:
        """The operating points that decided."""
        return Presets.model_validate(self.evaluation.subject["presets"])

    def tracks(self, label: str, kind: str) -> list[Track]:
        """Return the tracks of one label that are `clip` or `long`; empty for a label that it does not know."""
        return [track for track in self.scored.by_label.get(label, []) if track.recording.kind == kind]


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything that `write_report` shows.

    Attributes:
        models: the model under measurement, then its rivals on the same recordings; at most four are drawn.
        command: the command line that measures it all again.
        document: all figures as JSON types; written beside the page as report.json.
        most_moments: bounds each list of worst false alarms and misses.
    """

    models: tuple[ShownModel, ...]
    command: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)
    most_moments: int = MOST_MOMENTS

    @property
    def titles(self) -> list[str]:
        """The models' titles in order."""
        return [model.title for model in self.models]

    @property
    def comparisons(self) -> dict[str, Sequence[EqualAlarms]]:
        """The subject compared with rivals at equal false alarms, by the rival's title."""
        return {model.title: model.findings.get(EQUAL_ALARMS, ()) for model in self.models[1:]}

    @property
    def subject(self) -> ShownModel:
        """The model under measurement."""
        return self.models[0]
