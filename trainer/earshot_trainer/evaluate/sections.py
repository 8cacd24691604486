"""How a part of the report plugs in: what it is given, what it returns, and where it is printed.

A part is one `Section` in `command.SECTIONS`. Each subject is measured on the same material; then all findings of the
part are printed side by side, and stand in the JSON under the part's key.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import Console

from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Scored


@dataclass(frozen=True, slots=True)
class Material:
    """What the parts measure on, the same for all subjects.

    Attributes:
        recordings: all that were read, in order.
        pools: the same, apart by the model of the first subject that may hear them; audio is mixed within a pool only,
            and heard by `subject.for_recordings(pool)`.
        seed: of everything random.
        jobs: processes at once.
        pool_names: what to call the pools in tables.
    """

    recordings: tuple[Recording, ...]
    pools: tuple[tuple[Recording, ...], ...]
    seed: int
    jobs: int
    pool_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, subject: Subject, recordings: Sequence[Recording], seed: int, jobs: int) -> "Material":
        """Group what was read by who may hear it."""
        pools: dict[int, list[Recording]] = {}
        names: dict[int, str] = {}
        for recording in recordings:
            member = subject.for_recordings([recording])
            pools.setdefault(id(member), []).append(recording)
            names[id(member)] = member.title
        by_name = sorted(pools, key=lambda number: names[number])
        return cls(
            recordings=tuple(recordings),
            pools=tuple(tuple(pools[number]) for number in by_name),
            seed=seed,
            jobs=jobs,
            pool_names=tuple(names[number] for number in by_name),
        )


class Findings(Protocol):
    """What a part found of one subject; a frozen dataclass with its protocol."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report.

    Attributes:
        key: its name in `--skip` and in the JSON.
        measure: (subject, its posteriors of the recordings, material, advance) -> findings, None where the material
            cannot show it. `advance(done, total)` moves a progress bar.
        show: prints findings by the subjects' titles, the first subject's first.
    """

    key: str
    measure: Callable[[Subject, Scored, Material, Callable[[int, int], None]], Findings | None]
    show: Callable[[Console, Mapping[str, Any]], None]
