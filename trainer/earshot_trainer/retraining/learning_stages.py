"""From the catalogue to a quantized candidate: collect, split, train, quantize."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from earshot_node.contract.names import SIREN
from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.members import Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.collecting.command import run_collection
from earshot_trainer.corpus.cache import PcmCache, default_cache_dir
from earshot_trainer.corpus.recordings import dataset_hash
from earshot_trainer.evaluate.console import counting, say
from earshot_trainer.graph.command import FLOAT_NAME, INT8_NAME, REPORT_NAME, calibration_clips, pick_calibration
from earshot_trainer.packaging.base import Base
from earshot_trainer.retraining.compared import compared_with
from earshot_trainer.retraining.material import Material
from earshot_trainer.retraining.new_labels import count_labels, presence, shares_word
from earshot_trainer.retraining.own import (
    OwnSplit,
    holds,
    lay_out,
    name_sessions,
    split_own,
    usable,
    write_manifest,
)
from earshot_trainer.retraining.parts import (
    HELD_OUT_NAME,
    SPLIT_NAME,
    TRAIN_NAME,
    OwnRecordings,
    active_bundle,
    added_labels,
    base_of,
    material_of,
    own_recordings,
)
from earshot_trainer.retraining.stage import Stage
from earshot_trainer.retraining.synthetic import count_of, is_synthetic, synthetic_set
from earshot_trainer.training.checkpoint import MODEL_NAME
from earshot_trainer.training.run_record import RUN_NAME, record_graphs

if TYPE_CHECKING:
    from earshot_trainer.network.architecture import ModelConfig
    from earshot_trainer.retraining.tuning import TuningSounds
    from earshot_trainer.segments.synthetic import SyntheticSound
    from earshot_trainer.training.recipe import Recipe

FEWEST_OWN: Final = 4
FEWEST_TAUGHT: Final = 5
"""Recordings of a label that the base knows, from which on they teach it."""
CALIBRATION_CLIPS: Final = 32
TIMED_CALLS: Final = 100
LOSSES_TOLD: Final = 6


def collect(stage: Stage) -> None:
    """Bring the nodes' recordings here; what is away is left for the next time."""
    if not stage.run.request.collect:
        stage.skipped = "not asked for"
        stage.note("nothing collected, as asked")
        return
    engine = open_catalogue(stage.home.catalogue_url)
    members = Members(engine).chosen(stage.run.request.nodes)
    if not members:
        stage.skipped = "no node has joined"
        stage.note("no node has joined: nothing to collect")
        return
    library = Library(engine)
    before = len(library.all())
    stage.read(f"recordings that wait at {', '.join(one.id for one in members)}")
    if run_collection(stage.home, stage.run.request.nodes, as_json=False):
        stage.partly = "not everything was collected; the rest comes the next time"
        stage.note(stage.partly)
    after = len(library.all())
    stage.kept(f"catalogue: {after - before} new recordings, {after} in all")


def split(stage: Stage) -> None:
    """Part the household's recordings in two sides, in whole sessions, and say which labels become outputs.

    Raises:
        OperatorError: too few recordings, of a label that the active model hears too; or nothing is known of how to
            decide about a label that the run begins with.
    """
    run, settings = stage.run, stage.run.request.settings
    infos = Library(open_catalogue(stage.home.catalogue_url)).all()
    kept, left = usable(infos)
    told = "".join(f"; left out: {count} {why}" for why, count in left.items())
    stage.read(f"catalogue: {len(infos)} recordings, {len(kept)} usable{told}")
    if len(kept) < FEWEST_OWN:
        raise OperatorError(
            f"{len(kept)} labelled recordings are too few to learn from; record some with `node-cli record`, collect "
            "them, and label what is unlabelled with `trainer-cli label`"
        )
    known = tuple(base_of(run).values["config"]["labels"])
    counts = count_labels(kept, known, name_sessions(kept, settings.split.session_gap_s))
    for one in counts:
        stage.note(str(one))
    added = [one.label for one in counts if one.enough]
    sides = split_own(
        kept,
        settings.split.held_out_share,
        settings.split.session_gap_s,
        settings.seed,
        run.request.held_out_from,
        added,
    )
    if not sides.train:
        raise OperatorError("all recordings would be held out; choose a later --held-out-from")
    lay_out(kept, open_audio_store(stage.home.recordings_place), stage.home.folder / "runs" / "audio")
    _write_sides(stage, sides)
    added = _in_order(stage, [label for label in added if _is_on_both_sides(stage, sides, label)], known)
    values = {
        "seed": settings.seed,
        "held_out_share": settings.split.held_out_share,
        "session_gap_s": settings.split.session_gap_s,
        "notes": sides.notes,
        "same_sitting": sides.same_sitting,
        "held_out_sessions": sorted({sides.session_of[one.sha256] for one in sides.held_out}),
        "added_labels": added,
    }
    stage.write(run.write(SPLIT_NAME, values))
    # What `calibrate` would refuse is told before anything is learnt.
    compared_with(run, active_bundle(stage.home, run))


def _write_sides(stage: Stage, sides: OwnSplit) -> None:
    for name, side in ((TRAIN_NAME, sides.train), (HELD_OUT_NAME, sides.held_out)):
        write_manifest(stage.run / name, side, sides.session_of, stage.home.folder / "runs" / "audio")
        sirens = sum(holds(one, "siren") for one in side)
        sessions = len({sides.session_of[one.sha256] for one in side})
        stage.write(
            stage.run / name,
            f"{sirens} with a siren, {len(side) - sirens} without, in {sessions} session(s) of their own",
        )
    for note in sides.notes:
        stage.note(note)


def _is_on_both_sides(stage: Stage, sides: OwnSplit, label: str) -> bool:
    learnt, held_out = (sum(holds(one, label) for one in side) for side in (sides.train, sides.held_out))
    there = min(learnt, held_out) > 0
    result = "" if there else "; no output: some are needed on either side; record some on another day"
    stage.note(f"{label}: {learnt} recordings to learn from, {held_out} held out{result}")
    return there


def _in_order(stage: Stage, added: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the added labels, those of the active model first.

    Raises:
        OperatorError: the active model hears a label that the candidate would not.
    """
    active = active_bundle(stage.home, stage.run).manifest
    if dropped := [label for label in active.labels if label not in (*known, *added)]:
        raise OperatorError(
            f"model {active.version} hears {', '.join(dropped)}, and there are too few recordings to learn that again; "
            "nodes refuse a model that drops a label: record what is missing (above)"
        )
    return sorted(added, key=lambda label: (label not in active.labels, label))


def train(stage: Stage) -> None:
    """Fine-tune the base; goes on from a checkpoint.

    Raises:
        OperatorError: nothing to learn from, or the training diverged.
    """
    from earshot_trainer.retraining.tuning import tune
    from earshot_trainer.training.train import StepReport

    run, settings = stage.run, stage.run.request.settings
    own, base = own_recordings(run), base_of(run)
    stage.read(f"checkpoint of model {base.pin.version}; {len(own.train)} own recordings")
    render(stage)
    material = material_of(stage.home, run, own)
    labels = added_labels(run)
    sounds = _gather(base, own, material, stage)
    learnt = (*own.train, *material.replay)
    origin = hashlib.sha256(
        f"{base.pin.sha256} {settings.model_dump_json()} {' '.join(labels)} {dataset_hash(learnt)}".encode()
    ).hexdigest()
    steps = settings.tuning.steps
    with counting("fine-tuning", steps) as advance:

        def report(step: StepReport) -> None:
            advance()
            if step.step % max(1, steps // LOSSES_TOLD) == 0:
                say(stage.console, f"step {step.step} of {steps}: loss {step.loss:.4f}")

        model = tune(
            base.values,
            settings.tuning,
            settings.seed,
            sounds,
            run.folder,
            origin,
            report,
        )
    segments = settings.tuning.batch_size + len(sounds.others) * settings.tuning.label_segments
    heard = ", ".join((*base.values["config"]["labels"], *labels))
    stage.write(model, f"{settings.tuning.steps} steps of {segments} segments; hears {heard}")
    stage.write(_write_run_record(stage, base, own, material), "what it was made of", changes=True)


def render(stage: Stage) -> None:
    """Render synthesized material that is not in the cache, and count it."""
    settings = stage.run.request.settings
    for purpose in ("replay", "calibration", "test"):
        with counting(f"synthesized material, {purpose}", count_of(purpose, settings.material)) as advance:
            synthetic_set(purpose, settings.material, settings.seed, default_cache_dir(), lambda _, go=advance: go())  # type: ignore[misc]


def quantize(stage: Stage) -> None:
    """Export the tuned network and make it INT8, calibrated on what was trained on."""
    from earshot_trainer.graph.export import export_float
    from earshot_trainer.graph.quantize import quantize_model
    from earshot_trainer.training.command import load_network

    run, settings = stage.run, stage.run.request.settings
    own = own_recordings(run)
    material = material_of(stage.home, run, own)
    stage.read(f"{run / MODEL_NAME}")
    picked = pick_calibration((*own.train, *material.replay), CALIBRATION_CLIPS, settings.seed)
    clips = calibration_clips(picked, settings.seed, default_cache_dir())
    network = load_network(run / MODEL_NAME)
    export_float(network, run / FLOAT_NAME)
    # Weights alone: fine-tuning changes no operator, and choosing by measured time is not worth a household's minutes.
    report = quantize_model(run / FLOAT_NAME, clips, run / INT8_NAME, groups=(), timed_calls=TIMED_CALLS)
    _hand_on_second_opinion(stage, own, material, network.config)
    calibration = {"dataset_sha256": dataset_hash(picked), "clips": len(picked), "seed": settings.seed}
    hashes = {hashlib.sha256((run / name).read_bytes()).hexdigest(): name for name in (FLOAT_NAME, INT8_NAME)}
    record_graphs(run.folder, hashes)
    stage.write(run / FLOAT_NAME)
    report = replace(report, file_bytes=(run / INT8_NAME).stat().st_size)
    stage.write(run / INT8_NAME, f"{report.file_bytes} bytes, mean deviation {report.candidates[0].mean_deviation:.5f}")
    stage.write(run.write(REPORT_NAME, report.to_dict() | {"calibration": calibration}))
    stage.wrote.append(run / RUN_NAME)


def _hand_on_second_opinion(stage: Stage, own: OwnRecordings, material: Material, config: "ModelConfig") -> None:
    """Let the candidate ask whom the model asks that it began with; that one learns what was taught, too."""
    import onnx

    from earshot_trainer.retraining.run_values import base_bundle
    from earshot_trainer.retraining.second_output import Lessons, own_sound, teach
    from earshot_trainer.second_opinion.adding import hand_on_second_opinion
    from earshot_trainer.second_opinion.joining import labels_of, second_of

    run, base = stage.run, base_of(stage.run)
    began_with = base_bundle(run, base)
    if began_with is None or hashlib.sha256(began_with.model).hexdigest() != base.pin.model_sha256:
        stage.note(f"no second opinion: model {base.pin.version}, which it began with, is not at hand")
        return
    second = second_of(onnx.load_from_string(began_with.model))
    if second is None:
        return
    cache = PcmCache(default_cache_dir())
    cache.add((*own.train, *material.replay))
    lessons = Lessons(
        own=[own_sound(one, cache.samples(one), labels_of(second)) for one in own.train],
        known=[*(cache.samples(one) for one in material.replay), *(one.samples for one in _pool(base, stage))],
    )
    with counting("the second opinion listens", len(lessons)) as advance:
        taught = teach(second, config, lessons, run.request.settings.tuning, advance)
    hand_on_second_opinion(taught.second, config, run / FLOAT_NAME, run / INT8_NAME)
    stage.note(
        f"second opinion: right about {taught.right_after} of {taught.windows} windows of what was learnt from, "
        f"{taught.right_before} before"
    )


def _recipe(base: Base) -> "Recipe":
    """The base's, without what only a whole training needs."""
    from earshot_trainer.training.recipe import Recipe

    recipe = Recipe.model_validate(json.loads(base.values["recipe"]))
    alone = {"mixing": recipe.mixing.model_copy(update={"streets": 0}), "teacher": None, "distillation": None}
    return recipe.model_copy(update=alone)


def _pool(base: Base, stage: Stage) -> list["SyntheticSound"]:
    """Synthesized sirens, traps and music of the retraining's own number."""
    from earshot_trainer.segments.synthetic import load_pool

    amounts, seed = stage.run.request.settings.material, stage.run.request.settings.seed
    counts = {"sirens": amounts.pool_sirens, "traps": amounts.pool_traps, "music": amounts.pool_music}
    return load_pool(_recipe(base).synthetic.model_copy(update=counts), seed, default_cache_dir())


def _gather(base: Base, own: OwnRecordings, material: Material, stage: Stage) -> "TuningSounds":
    """Return what the tuning's segments are made of.

    What may hold an added label is not replayed: there it would teach that it is nothing. A label that the base knows
    is taught as well, once the household has some recordings of it.
    """
    from earshot_trainer.retraining.tuning import TuningSounds, drawn_from, only_audible
    from earshot_trainer.segments.sounds import gather_sounds

    folder, recipe = default_cache_dir(), _recipe(base)
    labels = added_labels(stage.run)
    pool = [one for one in _pool(base, stage) if not any(shares_word(label, one.kind) for label in labels)]
    replay = [one for one in material.replay if all(presence(one, label) == "without" for label in labels)]
    cache = PcmCache(folder)
    with counting("decoding", len(own.train) + len(replay)) as advance:
        cache.add((*own.train, *replay), lambda _: advance())
    tuning, others = stage.run.request.settings.tuning, [one for one in replay if not one.is_siren]
    made = [one for one in pool if one.is_siren]
    own_sounds = gather_sounds((*own.train, *others), cache, recipe, folder, made)
    own_sounds = drawn_from(own_sounds, own.train, tuning.own_background_share)
    own_sounds = only_audible(own_sounds, base.values, tuning.audible_range_log_odds)
    known = [*own.train, *(one for one in replay if is_synthetic(one))]
    label_sounds = {
        label: gather_sounds(
            [one for one in known if presence(one, label) != "unknown"],
            cache,
            recipe,
            folder,
            [replace(one, is_siren=False) for one in pool if not shares_word(label, one.kind)],
            label=label,
        )
        for label in (*_taught(base, own), *labels)
    }
    return TuningSounds(own_sounds, gather_sounds(replay, cache, recipe, folder, pool), label_sounds)


def _taught(base: Base, own: OwnRecordings) -> list[str]:
    """Return the labels besides siren that the base knows and the household has recordings to learn from."""
    held = Counter(label for one in own.train for label in one.labels)
    return [label for label in base.values["config"]["labels"] if label != SIREN and held[label] >= FEWEST_TAUGHT]


def _write_run_record(stage: Stage, base: Base, own: OwnRecordings, material: Material) -> Path:
    """Write `run.json`: what quantize, evaluate and package need to know of this training and of the base's."""
    from earshot_trainer.retraining.run_values import run_values

    return stage.run.write(RUN_NAME, run_values(stage.run, base, own, material))
