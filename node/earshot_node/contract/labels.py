"""The household's label set: what recordings may be labelled with on every node and at the trainer."""

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from earshot_node.contract.names import Label
from earshot_node.contract.recordings import BACKGROUND

LABELS_SCHEMA: Final = 1


class LabelEntry(BaseModel):
    """A label and what it means, for the person who has to decide."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Label
    description: str = Field(default="", max_length=200)


class LabelSet(BaseModel):
    """A file of labels. `background` is not one of them: it is the empty label set, and always there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal[1] = Field(default=LABELS_SCHEMA, alias="schema")
    labels: tuple[LabelEntry, ...] = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [entry.name for entry in self.labels]
        if len(set(names)) != len(names):
            raise ValueError("a label is listed twice")
        if BACKGROUND in names:
            raise ValueError(f"{BACKGROUND!r} is always there and is not listed")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Its labels in their order."""
        return tuple(entry.name for entry in self.labels)
