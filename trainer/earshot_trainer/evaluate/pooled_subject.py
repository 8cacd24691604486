"""Several runs of one recipe as one subject: each recording is heard by a run that was not trained on it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import load_bundle_unsigned
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.evaluate.parallel import map_with_subject
from earshot_trainer.evaluate.subject import Heard, Subject, describe_subject
from earshot_trainer.training.run_record import RunRecord, load_run

GRAPH_ENDINGS = ("int8.onnx", "float.onnx")


@dataclass(frozen=True, slots=True)
class Member:
    """One run: its model, and the original recordings that it was trained on."""

    name: str
    subject: BundleSubject
    run: RunRecord

    def may_hear(self, recording: Recording) -> bool:
        """Tell whether training left the recording and its whole group out."""
        return recording.group not in self.run.training_groups


@dataclass(frozen=True)
class PooledSubject:
    """Runs of one recipe; see `Subject`. Made for the recordings that it will hear.

    Attributes:
        members: the runs, in the order in which they are asked.
        member_of: path -> index of the first run that was not trained on the recording; others are left out.
        groups: for each run, the original recordings that it is asked about.
        presets: the same operating points for all.
    """

    members: tuple[Member, ...]
    member_of: Mapping[Path, int]
    groups: tuple[frozenset[str], ...]
    presets: Presets
    presets_origin: str

    @classmethod
    def open(cls, runs: Sequence[Path], recordings: Sequence[Recording]) -> "PooledSubject":
        """Open runs for these recordings.

        Args:
            runs: folders of runs (the INT8 graph is taken, else the float one), or graphs or bundles beside a run.json.
            recordings: whatever may be asked for later.

        Raises:
            OperatorError: a run is incomplete, the runs do not belong together, or none left anything out.
        """
        members = tuple(_open_member(path) for path in runs)
        _check_alike(members)
        member_of: dict[Path, int] = {}
        groups: list[set[str]] = [set() for _ in members]
        for recording in recordings:
            index = next((i for i, member in enumerate(members) if member.may_hear(recording)), None)
            if index is not None:
                member_of[recording.path] = index
                groups[index].add(recording.group)
        if not member_of:
            raise OperatorError(
                f"--run: all {len(recordings)} recordings were trained on by every run; name runs that held some out"
            )
        first = members[0].subject
        return cls(members, member_of, tuple(map(frozenset, groups)), first.presets, first.presets_origin)

    @property
    def title(self) -> str:
        """What to call it in tables."""
        models = sorted({member.name.rpartition("/")[2] for member in self.members})
        return f"{', '.join(models)}, {len(self.members)} runs out of fold"

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of its posteriors."""
        return self.members[0].subject.labels

    @property
    def hop_s(self) -> float:
        """Seconds between frames."""
        return self.members[0].subject.hop_s

    @property
    def model_sha256(self) -> str:
        """Hash over the members' graph hashes."""
        return hashlib.sha256("".join(member.subject.model_sha256 for member in self.members).encode()).hexdigest()

    def groups_by_graph(self) -> dict[str, frozenset[str]]:
        """Return graph hash -> the original recordings that it is asked about."""
        return {m.subject.model_sha256: groups for m, groups in zip(self.members, self.groups, strict=True) if groups}

    def describe(self) -> dict[str, Any]:
        """Return JSON types for the report."""
        size = max(len(member.subject.bundle.model) for member in self.members)
        heard = list(self.member_of.values())
        runs = [
            {
                "run": member.name,
                "model_sha256": member.subject.model_sha256,
                "recipe": member.run.recipe_name,
                "seed": member.run.seed,
                "excluded": {kind: list(names) for kind, names in member.run.excluded.items()},
                "recordings": heard.count(index),
                "groups": sorted(self.groups[index]),
            }
            for index, member in enumerate(self.members)
        ]
        recipes = [member.run.recipe_without_seed() for member in self.members]
        alike = all(recipe == recipes[0] for recipe in recipes)
        return describe_subject(self, kind="pooled", version="", model_bytes=size) | {
            "runs": runs,
            "one_recipe": alike,
        }

    def with_presets(self, presets: Presets, origin: str) -> "PooledSubject":
        """Return the same runs deciding by other presets."""
        members = tuple(replace(m, subject=m.subject.with_presets(presets, origin)) for m in self.members)
        return replace(self, members=members, presets=presets, presets_origin=origin)

    def for_recordings(self, recordings: Sequence[Recording]) -> BundleSubject:
        """Return the first run that was trained on none of them.

        Raises:
            OperatorError: every run knows one of them.
        """
        for member in self.members:
            if all(member.may_hear(recording) for recording in recordings):
                return member.subject
        names = ", ".join(recording.name for recording in recordings[:3])
        raise OperatorError(f"no run left all of {names} out of training; mix recordings of one run's test side")

    def score_files(self, paths: Sequence[Path], jobs: int) -> Iterator[Heard]:
        """Hear files, each by its run; the paths are of recordings that the subject was made for.

        Raises:
            KeyError: every run was trained on the recording, or it was not named at `open`.
        """
        yield from map_with_subject(_hear_file, self, paths, jobs)

    def hear_file(self, path: Path) -> Heard:
        """Hear one file by its run."""
        return self.members[self.member_of[path]].subject.hear_file(path)

    def score_audio(self, samples: NDArray[np.float32], label: str | None = None) -> NDArray[np.float32]:  # noqa: ARG002
        """Refuse: whose recordings is it made of?

        Raises:
            ValueError: always; ask `for_recordings` first.
        """
        raise ValueError("audio in memory is heard by one run: ask for_recordings(...) which")


def _open_member(path: Path) -> Member:
    folder = path if path.is_dir() else path.parent
    run = load_run(folder)
    model = _find_graph(folder, run) if path.is_dir() else path
    if model.suffix == ".onnx":
        subject = BundleSubject.of_graph(model, run.labels)
    else:
        subject = BundleSubject.of_bundle(load_bundle_unsigned(model), model.name)
    if subject.model_sha256 not in run.graphs:
        raise OperatorError(f"{model} was not made of the run in {folder}; make it with `trainer-cli quantize`")
    name = f"{folder.resolve().name}/{model.name}"
    return Member(name, replace(subject, title=name), run)


def _find_graph(folder: Path, run: RunRecord) -> Path:
    names = [name for name in run.graphs.values() if (folder / name).is_file()]
    for ending in GRAPH_ENDINGS:
        if fitting := [name for name in names if name.endswith(ending)]:
            return folder / fitting[-1]
    if len(names) != 1:
        problem = "has no graph" if not names else f"has several graphs ({', '.join(sorted(names))})"
        raise OperatorError(f"{folder} {problem}; make one with `trainer-cli quantize`, or name the graph itself")
    return folder / names[0]


def _check_alike(members: Sequence[Member]) -> None:
    first = members[0]
    for member in members[1:]:
        same = (member.subject.labels, member.subject.hop_s) == (first.subject.labels, first.subject.hop_s)
        if not same:
            raise OperatorError(f"--run {member.name}: other labels or another hop than {first.name}; pool one recipe")
    hashes = [member.subject.model_sha256 for member in members]
    if len(set(hashes)) < len(hashes):
        raise OperatorError("--run: the same graph twice; name each run once")


def _hear_file(subject: Subject, path: Path) -> Heard:
    assert isinstance(subject, PooledSubject)
    return subject.hear_file(path)
