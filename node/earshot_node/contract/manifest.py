"""The bundle manifest: what a model file claims to be and what its node must check."""

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from earshot_node.contract.names import Label
from earshot_node.contract.operating_point import Presets

MANIFEST_SCHEMA = 1
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.sig"
MODEL_NAME = "model.onnx"
MODEL_CARD_NAME = "MODEL_CARD.md"
WANTED_STATE = "wanted_"
"""In front of a label's name: a state of length 1 that says whether a stream hears the label, see `StateTensor`."""
MAX_MODEL_BYTES = 4_000_000
MAX_BUNDLE_BYTES = 16_000_000

Version = Annotated[str, StringConstraints(pattern=r"^20\d\d\.(?:[1-9]|1[0-2])\.(?:0|[1-9]\d{0,4})$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class StateTensor(BaseModel):
    """One state of the streaming graph: input `state_<name>`, output `next_state_<name>`, float32, zeros to begin with.

    But for a state named `wanted_<label>`: it begins with 1 where that label is to be heard, and stays as it is. With 0
    the label's posteriors are worth nothing, and it costs nothing.

    Attributes:
        name: the state's name without prefix.
        shape: its dimensions after the batch axis.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    shape: tuple[int, ...]


class ReferenceClip(BaseModel):
    """A synthesized clip with the posteriors that this model must give for it.

    Attributes:
        audio: path in the bundle, 16 kHz mono FLAC.
        posteriors: path in the bundle, JSON: {"posteriors": [[...], ...]}, one row a frame, one column a label.
        tolerance: greatest allowed absolute difference.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    audio: str
    posteriors: str
    tolerance: float = Field(gt=0, lt=1)


class Lineage(BaseModel):
    """Where the weights come from.

    Attributes:
        teacher: name, licence and hash of a published model whose scores helped in training.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    dataset_sha256: Sha256
    code_version: str
    recipe: str
    seed: int
    teacher: str | None = None
    parent: Version | None = None


MelRange = tuple[float, float]
"""Edges in Hz of the lowest and of the highest band of log-mel frames; HTK mels between them."""
MEL_RANGE_HZ: MelRange = (50.0, 8000.0)
"""Of bundles that do not say."""


class BundleManifest(BaseModel):
    """The JSON beside a model. Unknown fields are ignored, so that an older node reads a newer manifest of its schema.

    A setting of an operating point is not: whoever does not know it would decide otherwise.

    Attributes:
        files: sha256 of every other file of the bundle but the signature.
        metrics: measured figures, each with its protocol; free-form JSON for people and the model card.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_: Literal[1] = Field(alias="schema")
    name: Label
    version: Version
    labels: tuple[Label, ...] = Field(min_length=1)
    sample_rate_hz: Literal[16000]
    mel_hop_samples: int = Field(gt=0)
    hop_samples: int = Field(gt=0)
    mels: int = Field(gt=0)
    mel_range_hz: MelRange = MEL_RANGE_HZ
    state_tensors: tuple[StateTensor, ...]
    presets: Presets
    metrics: dict[str, Any]
    lineage: Lineage
    licence: str
    audio_licences: dict[str, int]
    min_node_version: Version
    reference_clips: tuple[ReferenceClip, ...] = Field(min_length=1)
    files: dict[str, Sha256]

    @property
    def hop_s(self) -> float:
        """Seconds between decisions."""
        return self.hop_samples / self.sample_rate_hz

    def decided_labels(self, own: Collection[str] = ()) -> tuple[Label, ...]:
        """Labels that can be listened for: those with operating points, here or among the node's `own`."""
        return tuple(label for label in self.labels if label in self.presets.balanced or label in own)


def encode_manifest(manifest: BundleManifest) -> bytes:
    """Return the manifest as the exact bytes that are signed: UTF-8 JSON, indented, keys in the model's order."""
    return (manifest.model_dump_json(by_alias=True, indent=1) + "\n").encode()


class _Needs(BaseModel):
    min_node_version: Version


def needed_node_version(data: bytes) -> str:
    """Return which version of the node manifest bytes ask for, whether or not this one understands the rest of them.

    Raises:
        ValueError: not JSON, or it does not say.
    """
    return _Needs.model_validate_json(data).min_node_version


def decode_manifest(data: bytes) -> BundleManifest:
    """Parse manifest bytes.

    Raises:
        ValueError: not JSON or not a manifest (pydantic's ValidationError is one).
    """
    return BundleManifest.model_validate_json(data)
