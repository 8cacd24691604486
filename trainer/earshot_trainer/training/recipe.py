"""Training recipes: YAML parsed into models that forbid unknown keys."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from earshot_node.errors import ConfigError
from earshot_node.synth.sirens import SirenKind
from earshot_trainer.network.architecture import HOP_SAMPLES, SAMPLE_RATE_HZ, ModelConfig

Share = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]


class Section(BaseModel):
    """A part of a recipe; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MixingRecipe(Section):
    """How segments are put together.

    Attributes:
        segment_s: length of a segment.
        positive_share: segments with a siren; the rest are negatives.
        synthetic_share: of the sirens, those synthesized by the project.
        trap_share: of the negatives, those with a synthesized siren-like trap on top.
        second_background_share: segments with two backgrounds summed.
        clean_share: sirens without background.
        snr_db: siren level over background level.
        level_dbfs: RMS level of the finished segment.
        onset_grace_s: time after an onset, and after an offset, that is not scored.
        fade_s: greatest fade at a siren's cut ends.
        active_range_db: a siren recording counts as sounding within this range of its loudest part.
        streets: how often each real siren is there once more, as from a vehicle moving in a street.
        towns: the same, as from far off across a town whose echo outlasts it.
        balance: how far rare labels of a source are drawn as often as common ones: 0 by size, 1 all alike.
    """

    segment_s: float = Field(4.0, gt=0.5, le=60)
    positive_share: Share = 0.45
    synthetic_share: Share = 0.4
    trap_share: Share = 0.1
    second_background_share: Share = 0.25
    clean_share: Share = 0.12
    snr_db: Range = (-5.0, 25.0)
    level_dbfs: Range = (-55.0, -8.0)
    onset_grace_s: float = Field(0.4, ge=0)
    fade_s: float = Field(0.3, ge=0)
    active_range_db: float = Field(18.0, gt=0)
    streets: int = Field(2, ge=0)
    towns: int = Field(0, ge=0)
    balance: Share = 0.5

    @property
    def segment_hops(self) -> int:
        """A segment's length in whole decisions."""
        return round(self.segment_s * SAMPLE_RATE_HZ / HOP_SAMPLES)


class AugmentRecipe(Section):
    """What happens to the sound; shares are of segments, ranges are drawn from uniformly (ratios in their logarithm).

    Attributes:
        pitch, background_pitch: factor on all frequencies of the siren or trap, and of each background.
        tempo: factor on the speed of each layer, at the same pitch.
        room_share, mix_room_share: sirens alone, and finished segments, that sound in a room.
        room_decay_s: time in which the room's sound falls by 60 dB.
        reverberant_db: the room's energy against the direct sound's.
        distance_share, distance_hz: sirens behind a second-order low-pass, and its cut-off.
        equalizer_db: greatest gain of the microphone's frequency response either way.
        noise_dbfs: level of the microphone's own noise.
    """

    pitch: Range = (0.88, 1.14)
    background_pitch: Range = (0.8, 1.25)
    tempo: Range = (0.88, 1.14)
    room_share: Share = 0.4
    mix_room_share: Share = 0.3
    room_decay_s: Range = (0.15, 1.2)
    reverberant_db: Range = (-10.0, 6.0)
    distance_share: Share = 0.25
    distance_hz: Range = (800.0, 4000.0)
    equalizer_db: float = Field(8.0, ge=0)
    band_limit_share: Share = 0.15
    band_limit_hz: Range = (3000.0, 7000.0)
    noise_dbfs: Range = (-95.0, -60.0)
    mel_masks: int = Field(2, ge=0)
    mel_mask_bins: int = Field(8, ge=0)
    time_mask_s: float = Field(0.15, ge=0)


class MiningRecipe(Section):
    """Negatives that fool the network are drawn more often.

    Attributes:
        strength: the hardest span is drawn this many times as often again as an easy one; 0 switches mining off.
        every_steps: how often the draw weights are renewed.
    """

    strength: float = Field(6.0, ge=0)
    every_steps: int = Field(100, ge=1)


class SyntheticRecipe(Section):
    """The pool of synthesized sirens and traps, rendered once from the seed.

    Attributes:
        music: pieces of random music, which count as traps.
        kind_shares: share of each kind of siren; empty takes the synthesizer's own.
        steady_share: of civil defence sirens, those that hold one pitch.
        chorus_share: sirens that are two or three at once: several vehicles, or a town's sirens.
        town_share: sirens heard from far off across a town, whose echo outlasts them; half of these are choruses.
        street_share: of the others, those heard from a vehicle moving in a street, with its echoes.
    """

    sirens: int = Field(400, ge=0)
    traps: int = Field(200, ge=0)
    music: int = Field(0, ge=0)
    length_s: float = Field(6.0, gt=0)
    kind_shares: dict[SirenKind, Annotated[float, Field(ge=0)]] = {}
    steady_share: Share = 0.4
    chorus_share: Share = 0.0
    town_share: Share = 0.0
    street_share: Share = 0.0


class TeacherRecipe(Section):
    """Optional scores of a published tagger as extra targets on backgrounds.

    The network has an output for each of `classes`, if any, while it trains; they are dropped when training ends. A
    real siren counts as sounding only where the teacher's siren score reaches `least_siren_score`; 0 trusts every
    label.
    """

    model: str
    classes: tuple[str, ...]
    weight: float = Field(0.1, ge=0)
    least_siren_score: Share = 0.0


class DistillationRecipe(Section):
    """What the teacher heard in rendered mixtures, learnt beside the labels of the segments; see `distillation/`.

    The network has an output for each of `components` while it trains; they are dropped when training ends.

    Attributes:
        mixtures: how many are rendered of the whole corpus; a run learns from those without what it keeps out.
        batch_size: mixtures of one step, beside the segments.
        siren_weight: of the cross entropy against the teacher's view of a siren.
        components: parts of the gist of the teacher's opinions: of a siren first, then principal components.
        components_weight: of the distance to that gist.
        doubt: how much of the teacher's view counts where no siren was laid.
        seed: of the mixtures and of the synthesized sounds in them, so that runs with other seeds share them.
    """

    mixtures: int = Field(28_000, ge=1)
    batch_size: int = Field(24, ge=1)
    components: int = Field(64, ge=1, le=256)
    siren_weight: float = Field(1.0, ge=0)
    components_weight: float = Field(1.0, ge=0)
    doubt: Share = 0.3
    seed: int = 1


class TrainingRecipe(Section):
    """The optimizer's settings.

    Attributes:
        batch_size: segments of one step, shared out among the processes of a training.
        average_decay: of the exponential moving average of the weights, which becomes the model.
        clip_loss_weight: weight of a segment's loudest opinion beside the frames'.
        carry_share: segments that begin with the state in which the network left another one, as on a node, which
            never hears silence first.
        tagger_rate: learning rate of the tagger's own convolutions (`model.tagger_layers`), relative to the others'.
    """

    steps: int = Field(3000, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    warmup_share: Share = 0.1
    clip_gradient: float = Field(5.0, gt=0)
    average_decay: float = Field(0.998, ge=0, lt=1)
    label_smoothing: float = Field(0.02, ge=0, lt=0.5)
    clip_loss_weight: float = Field(0.3, ge=0)
    negative_weight: float = Field(1.0, gt=0)
    carry_share: Share = 0.7
    tagger_rate: Share = 0.3
    checkpoint_every_steps: int = Field(250, ge=1)
    seed: int = 1


class Recipe(Section):
    """One recipe file.

    Attributes:
        developed_on: folds and sources whose figures steered this recipe; model cards say so beside those figures.
        precision: of the network's arithmetic; `auto` is float32 on a CPU and on CUDA bfloat16, or float16 with a
            gradient scaler where CUDA knows no bfloat16. Features, losses and weights are float32 always.
    """

    name: str
    developed_on: tuple[str, ...] = ()
    model: ModelConfig
    mixing: MixingRecipe = MixingRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    mining: MiningRecipe = MiningRecipe()
    synthetic: SyntheticRecipe = SyntheticRecipe()
    teacher: TeacherRecipe | None = None
    distillation: DistillationRecipe | None = None
    training: TrainingRecipe = TrainingRecipe()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    @model_validator(mode="after")
    def _someone_to_distil(self) -> "Recipe":
        if self.distillation is not None and self.teacher is None:
            raise ValueError("distillation needs a teacher; add the section or --set distillation=null")
        if self.model.tagger_layers and self.teacher is None:
            raise ValueError("model.tagger_layers needs a teacher to take them from; add the section")
        return self

    @field_validator("model", mode="before")
    @classmethod
    def _model_from_mapping(cls, value: Any) -> Any:
        return ModelConfig.from_dict(value) if isinstance(value, dict) else value

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `Recipe.model_validate` reads them back."""
        values = self.model_dump(mode="json", exclude={"model"})
        return values | {"model": self.model.to_dict()}


def load_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """The recipe in a YAML file; `overrides` are `section.key=value` texts that replace single values.

    A recipe may say `extends: FILE`, a recipe in the same folder; what it says itself replaces that one's values. That
    recipe may extend another.

    Raises:
        ConfigError: unreadable, no YAML, an unknown key or a value out of range; names file and key.
    """
    values = _read_extended(path)
    for override in overrides:
        apply_override(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join([str(path), *([".".join(str(part) for part in first["loc"])] if first["loc"] else [])])
        what = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {what}; compare config/recipes/siren.yaml") from error


def _read_extended(path: Path, readers: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A recipe's values over those that it extends; `readers` are the recipes that led here."""
    if path in readers:
        raise ConfigError(f"{readers[-1]}: extends {path.name}, which extends it in turn; remove one `extends`")
    values = _read(path)
    if "extends" in values:
        base = path.parent / str(values.pop("extends"))
        values = _merged(_read_extended(base, (*readers, path)), values)
    return values


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read recipe {path}: {error.strerror}; try config/recipes/siren.yaml") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}".replace("\n", " ")) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping with `name` and `model`")
    return values


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Section by section; lists are replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set the value that a `section.key=value` text names; ConfigError for another text."""
    key, separator, text = override.partition("=")
    *sections, last = key.strip().split(".")
    if not separator or not last:
        raise ConfigError(f"override {override!r}: expected section.key=value, such as training.steps=500")
    target = values
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise ConfigError(f"override {override!r}: {section} is not a section")
    target[last] = yaml.safe_load(text)
