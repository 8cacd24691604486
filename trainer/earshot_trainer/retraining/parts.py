"""What several stages of a run need: base, active model, candidate, the household's recordings, other material."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import Bundle, load_bundled
from earshot_trainer.catalogue.corpora import Corpora
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.corpus.cache import default_cache_dir
from earshot_trainer.corpus.recordings import Recording, expand_path, load_manifest, load_manifests
from earshot_trainer.corpus.registered import registered_recordings
from earshot_trainer.corpus.splits import hold_out, load_parts
from earshot_trainer.deploying.active_model import model_here
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.graph.command import INT8_NAME
from earshot_trainer.home.folder import Home
from earshot_trainer.packaging.base import Base, check_belongs, load_base
from earshot_trainer.retraining.material import Material, gather_material, split_corpora
from earshot_trainer.retraining.run_folder import RunFolder
from earshot_trainer.training.run_record import load_run

TRAIN_NAME = "own_train.csv"
HELD_OUT_NAME = "own_held_out.csv"
SPLIT_NAME = "split.json"


@dataclass(frozen=True)
class OwnRecordings:
    """The household's recordings by side; either may be empty."""

    train: tuple[Recording, ...]
    held_out: tuple[Recording, ...]

    @property
    def groups(self) -> frozenset[str]:
        """Their sessions."""
        return frozenset(one.group for one in (*self.train, *self.held_out))


def own_recordings(run: RunFolder) -> OwnRecordings:
    """Return what the stage `split` wrote.

    Raises:
        OperatorError: it was not run.
    """
    for name in (TRAIN_NAME, HELD_OUT_NAME):
        if not (run / name).exists():
            raise OperatorError(f"{run / name} is not there; first: trainer-cli split --run {run.name}")
    return OwnRecordings(_rows(run / TRAIN_NAME), _rows(run / HELD_OUT_NAME))


def added_labels(run: RunFolder) -> tuple[str, ...]:
    """Return the labels that become outputs besides the base's, in order of their columns.

    Raises:
        OperatorError: the stage `split` was not run.
    """
    return tuple(run.read(SPLIT_NAME, "split").get("added_labels", ()))


def _rows(path: Path) -> tuple[Recording, ...]:
    has_rows = len(path.read_text(encoding="utf-8").splitlines()) > 1
    return tuple(load_manifest(path)) if has_rows else ()


def corpora_of(home: Home, run: RunFolder) -> list[Recording]:
    """Return the recordings of the registered corpora and of the manifests that were named, each once."""
    found = {one.path: one for one in registered_recordings(Corpora(open_catalogue(home.catalogue_url)))}
    for one in load_manifests([expand_path(text) for text in run.request.manifests]):
        found.setdefault(one.path, one)
    return list(found.values())


def material_of(home: Home, run: RunFolder, own: OwnRecordings) -> Material:
    """Return what is learnt again, calibrated on and compared on; rendered first where it is not in the cache."""
    request, corpora = run.request, corpora_of(home, run)
    learnt: Sequence[Recording]
    held_out: Sequence[Recording]
    if request.split:
        parts = load_parts(expand_path(request.split))
        if request.hold_out not in parts:
            raise OperatorError(f"--hold-out {request.hold_out}: {request.split} has the parts {', '.join(parts)}")
        split = hold_out(corpora, **parts[request.hold_out].model_dump())
        learnt, held_out = split.train, split.test
    else:
        share = request.settings.material.corpus_held_out_share
        learnt, held_out = split_corpora(corpora, share, request.settings.seed)
    without = own.groups | set(request.without_groups)
    return gather_material(request.settings, learnt, held_out, without, default_cache_dir())


def active_bundle(home: Home, run: RunFolder) -> Bundle:
    """Return the model that decides now: the one named, else the one that nodes run; see `model_here`.

    Raises:
        OperatorError: a bundle cannot be used.
    """
    asked = expand_path(run.request.active) if run.request.active else None
    return model_here(home, open_catalogue(home.catalogue_url), asked)


def base_of(run: RunFolder) -> Base:
    """Return what the run begins with.

    Raises:
        OperatorError: it is damaged, or does not belong to the model that ships with the node.
    """
    if run.request.base:
        return load_base(expand_path(run.request.base))
    base = load_base()
    check_belongs(base, load_bundled())
    return base


def candidate_of(run: RunFolder, presets: Presets | None = None) -> BundleSubject:
    """Return the candidate's INT8 graph, as the node hears by it.

    Raises:
        OperatorError: the stage `train` or `quantize` was not run.
    """
    subject = BundleSubject.of_graph(run / INT8_NAME, load_run(run.folder).labels)
    return subject if presets is None else subject.with_presets(presets, "made comparable to the active model's")
