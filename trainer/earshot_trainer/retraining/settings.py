"""What a retraining does, in numbers; kept in its run's folder and in the bundle that comes out."""

from pydantic import Field, ValidationError

from earshot_node.errors import ConfigError
from earshot_trainer.training.recipe import Section, Share, apply_override


class TuningSettings(Section):
    """How the base is fine-tuned.

    Attributes:
        batch_size: segments of one step; `own_share` of them are made of the household's recordings, the rest replay.
        learning_rate: its highest; it warms up and falls by half a cosine.
        average_decay: of the moving average of the weights, which becomes the model.
        blend: how far the result goes from the base (0) to the fine-tuned weights (1).
        own_weight: of the cross entropy against the labels, on the household's segments.
        keep_weight: of how far the log-odds on replayed segments are from what the base says: nothing learnt is lost.
        own_keep_weight: of the same on the household's segments, where there is no siren and the base hears none.
        own_background_share: of the backgrounds under the household's sirens and of its segments without one, those
            that it recorded itself; the rest are replayed ones, or a siren would be learnt with its street.
        own_synthetic_share: of the sirens in its segments, those synthesized.
        audible_range_log_odds: own sirens count where the base's opinion is within this range of its highest in the
            recording.
        own_clean_share: of its sirens, those heard as they were recorded.
        label_segments: of each added label, besides `batch_size`.
        label_learning_rate: of an added label's row of the output layer, which begins with nothing.
        unlabelled_weight: of replay, taken to be without the added label, against the label's own segments.
    """

    steps: int = Field(160, ge=1)
    batch_size: int = Field(24, ge=2)
    own_share: Share = 0.33
    learning_rate: float = Field(5e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_share: Share = 0.1
    clip_gradient: float = Field(2.0, gt=0)
    average_decay: float = Field(0.97, ge=0, lt=1)
    blend: Share = 1.0
    own_weight: float = Field(1.0, ge=0)
    keep_weight: float = Field(2.0, ge=0)
    own_keep_weight: float = Field(0.5, ge=0)
    own_background_share: Share = 0.3
    own_synthetic_share: Share = 0.0
    audible_range_log_odds: float = Field(2.5, gt=0)
    own_clean_share: Share = 0.3
    label_segments: int = Field(12, ge=2)
    label_learning_rate: float = Field(2e-2, gt=0)
    unlabelled_weight: float = Field(0.3, ge=0)
    checkpoint_every_steps: int = Field(40, ge=1)


class MaterialSettings(Section):
    """What beside the household's recordings is learnt again and measured on.

    Attributes:
        pool_sirens, pool_traps, pool_music: synthesized sounds to mix from.
        pool_backgrounds: synthesized backgrounds of 20 s to mix over.
        scenes: synthesized clips, half of them with a siren, in each of the calibration and the test set.
        scene_minutes: synthesized street without a siren, in each of them.
        replay_hours: at most so much of the corpora is learnt again.
        test_hours: at most so much of them is in the calibration set, and as much in the test set.
        corpus_held_out_share: of the corpora, by original recordings, kept for those two sets.
    """

    pool_sirens: int = Field(240, ge=1)
    pool_traps: int = Field(200, ge=1)
    pool_music: int = Field(60, ge=0)
    pool_backgrounds: int = Field(30, ge=1)
    scenes: int = Field(80, ge=2)
    scene_minutes: int = Field(12, ge=1)
    replay_hours: float = Field(1.0, gt=0)
    test_hours: float = Field(1.0, gt=0)
    corpus_held_out_share: Share = 0.3


class SplitSettings(Section):
    """Which of the household's recordings are kept to compare on.

    Attributes:
        held_out_share: of each label's recordings, in whole sessions.
        session_gap_s: silence between two of the house's recordings that parts two sessions.
    """

    held_out_share: Share = 0.25
    session_gap_s: float = Field(120.0, gt=0)


class GateSettings(Section):
    """How much worse than the active model a candidate may be, and how much better it must be.

    Attributes:
        recall_margin, clip_alarm_margin: at `balanced`, on the base test set; shares of clips.
        precision_margin: of the average precision, on the base test set.
        alarms_margin: false alarms on the long negatives, as a share of the active model's; one is always allowed, and
            the square root of their number, by which such a count differs by chance.
        own_gain: by which the share of right decisions on the household's held-out recordings must grow.
        new_recall: of the held-out recordings with a label that the active model does not hear, so many must be found.
        new_own_alarms, new_clip_alarms: of the household's others and of the base test set's clips, so many may be
            taken for it; one always may.
        new_alarms_per_hour: of long negatives that may be taken for it; one always may.
    """

    recall_margin: Share = 0.03
    clip_alarm_margin: Share = 0.02
    precision_margin: Share = 0.02
    alarms_margin: Share = 0.1
    own_gain: Share = 0.01
    new_recall: Share = 0.7
    new_own_alarms: Share = 0.1
    new_clip_alarms: Share = 0.05
    new_alarms_per_hour: float = Field(2.0, ge=0)


class RetrainSettings(Section):
    """All of it. `seed` decides about the split, the synthetic material and every draw of the training."""

    seed: int = Field(1, ge=0)
    tuning: TuningSettings = TuningSettings()
    material: MaterialSettings = MaterialSettings()
    split: SplitSettings = SplitSettings()
    gate: GateSettings = GateSettings()


def load_settings(overrides: tuple[str, ...]) -> RetrainSettings:
    """Return the settings with single ones replaced by `section.key=value` texts.

    Raises:
        ConfigError: a key that there is not, or a value out of range.
    """
    values: dict[str, object] = {}
    for override in overrides:
        apply_override(values, override)
    try:
        return RetrainSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(name for name in RetrainSettings.model_fields if name != "seed")
        raise ConfigError(f"--set {key}: {first['msg']}; there are seed and the sections {known}") from error
