"""One `trainer-cli second-opinion`: round the tagger's weights, fit an output, write the graph.

run.json and manifests -> recordings that the run was trained on, mixtures of them with a siren, and with alarms
  -> windows of the frames that the run's network hears -> embeddings by the tagger's rounded layers
  -> a row of the output for a siren, and for each other label of the run that its recordings teach -> second.onnx
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from earshot_node.contract.names import SIREN
from earshot_trainer.corpus.recordings import dataset_hash
from earshot_trainer.distillation.tagger import EmbeddingTagger
from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.second_opinion.adding import SECOND_NAME
from earshot_trainer.second_opinion.alarms import embed_alarms, mixtures_for
from earshot_trainer.second_opinion.ears import Ears
from earshot_trainer.second_opinion.exporting import export_second
from earshot_trainer.second_opinion.fitting import Floats, fit_output
from earshot_trainer.second_opinion.hearing import hear_recordings
from earshot_trainer.second_opinion.mixtures import choose_mixtures, embed_sirens
from earshot_trainer.second_opinion.network import SecondOpinion
from earshot_trainer.second_opinion.other_rows import fit_others
from earshot_trainer.segments.alarms import signals_of
from earshot_trainer.training.checkpoint import load_checkpoint
from earshot_trainer.training.finished_run import AdditionRequest, FinishedRun, mixtures_of, open_finished_run
from earshot_trainer.training.progress import counting
from earshot_trainer.training.run_record import FittedTo, record_second_opinion


def make_second_opinion(request: AdditionRequest, console: Console | None = None) -> Path:
    """Write `second.onnx` beside the model, for `trainer-cli quantize`, and into its `run.json` what it was made of.

    It learns from nothing but recordings that the model was trained on, as they are and, where its recipe distils,
    mixed as they were for that.

    Raises:
        OperatorError: the model does not hear the tagger's frames, has no teacher, or the manifests cannot be used.
    """
    console = console or Console(stderr=True)
    ears = Ears(ModelConfig.from_dict(load_checkpoint(request.model)["config"]))
    run = open_finished_run(request, "a second opinion is made of")
    tagger = EmbeddingTagger.open(run.teacher)
    layers = SecondOpinion()
    layers.take_layers(tagger.convolutions)
    layers.round_weights()
    heard = hear_recordings(run, ears, layers, tagger, console)
    sirens, others = heard.of(run)
    mixed = _hear_mixtures(run, ears, layers, tagger, console)
    alarms = _hear_alarms(run, ears, layers, console)
    rows = {SIREN: fit_output([sirens, mixed], others)} | fit_others(run, heard, tagger.classes, alarms)
    layers.output = torch.nn.Linear(layers.widths[-1], len(rows))
    layers.set_output(np.stack([weight for weight, _ in rows.values()]), np.array([b for _, b in rows.values()], "f4"))
    fitted_to = FittedTo(
        siren_windows=len(sirens),
        mixed_siren_windows=len(mixed),
        other_windows=len(others),
        synthesized_windows={label: len(windows) for label, windows in alarms.items()},
    )
    out = request.model.with_name(SECOND_NAME)
    export_second(layers, out, tuple(rows))
    record_second_opinion(
        request.model.parent,
        {
            "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
            "dataset_sha256": dataset_hash(run.learnt),
            "fitted_to": fitted_to.model_dump(),
            "labels": list(rows),
        },
    )
    console.print(f"tells of {', '.join(rows)}; fitted to {fitted_to}; wrote {out}")
    console.print("next: trainer-cli quantize --help")
    return out


def _hear_mixtures(
    run: FinishedRun, ears: Ears, network: SecondOpinion, tagger: EmbeddingTagger, console: Console
) -> Floats:
    """Embeddings [windows, C] of the windows of mixtures in which a siren is to be heard; none without distillation."""
    found = [np.zeros((0, network.widths[-1]), np.float32)]
    heard = mixtures_of(run, console)
    if heard is not None:
        mixtures = choose_mixtures(run, heard)
        with counting(console, "hearing mixtures", len(mixtures)) as count:
            found += embed_sirens(heard, mixtures, ears, network.embed, tagger.classes, lambda: count(1))
    return np.concatenate(found)


def _hear_alarms(run: FinishedRun, ears: Ears, network: SecondOpinion, console: Console) -> dict[str, Floats]:
    """Embeddings [windows, C] of synthesized alarms by the run's labels; none without distillation."""

    def hear(label: str) -> Floats:
        with counting(console, f"hearing synthesized alarms: {label}", mixtures_for(run)) as count:
            found = embed_alarms(run, label, ears, network.embed, lambda: count(1))
        return np.concatenate([np.zeros((0, network.widths[-1]), np.float32), *found])

    labels = [label for label in run.record.labels if signals_of(label)] if mixtures_for(run) else []
    return {label: hear(label) for label in labels}
