"""What tables of recordings call the sounds that we have labels for besides sirens: `words.yaml`, read once."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from earshot_node.contract.names import Label

WORDS_NAME: Final = "words.yaml"


class LabelWords(BaseModel):
    """Names of one label's sounds.

    Attributes:
        heard_as: classes of the published tagger.
        holds: words of recordings that hold it.
        may_hold: words of recordings of which it is not known.
        as_heard: the tagger's own opinion is taken for it where one is asked; recordings would teach it worse.
        synthesized: labels of `earshot_node.synth.alarms` whose signals are taught and measured as it, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    heard_as: tuple[str, ...]
    holds: frozenset[str]
    may_hold: frozenset[str] = frozenset()
    as_heard: bool = False
    synthesized: frozenset[str] = frozenset()


@cache
def label_words() -> Mapping[Label, LabelWords]:
    """All labels besides `siren`, in the order in which models have them."""
    text = files("earshot_trainer.corpus").joinpath(WORDS_NAME).read_text(encoding="utf-8")
    return TypeAdapter(dict[Label, LabelWords]).validate_python(yaml.safe_load(text))


@cache
def labels_of(word: str) -> frozenset[str]:
    """The labels that a recording of this name holds."""
    return frozenset(label for label, words in label_words().items() if word in words.holds)


@cache
def doubtful_in(word: str) -> frozenset[str]:
    """The labels of which nobody knows whether a recording of this name holds them."""
    return frozenset(label for label, words in label_words().items() if word in words.may_hold)
