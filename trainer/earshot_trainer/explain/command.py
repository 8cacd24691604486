"""One `trainer-cli explain`: find the stretch, take patches out, say and draw what mattered."""

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import Bundle, load_bundle_unsigned, load_bundled
from earshot_node.inference.model import StreamingModel
from earshot_trainer.evaluate.console import say
from earshot_trainer.explain.occlusion import Attribution, Patch, attribute, target_frames
from earshot_trainer.explain.stretch import PEAK_AT, Stretch, find_peak, hear_stretch


@dataclass(frozen=True)
class ExplainRequest:
    """What the command line asked for; `bundle` None is the shipped one, `at_s` None the highest posterior."""

    bundle: Path | None
    file: Path
    label: str | None
    out: Path | None
    at_s: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the posterior of one label in one stretch rests on."""

    label: str
    stretch: Stretch
    attribution: Attribution

    def words(self) -> list[str]:
        """Return lines for a person."""
        stretch, found = self.stretch, self.attribution
        span = f"{self.label}, {stretch.begin_s:.1f} to {stretch.begin_s + stretch.duration_s:.1f} s"
        first = f"{span}: mean posterior {found.before:.2f} in the {int(found.target.sum())} frames that are explained"
        if found.most is None:
            return [first, "no part of it matters more than another: the posterior stays when any patch is taken out"]
        return [
            first,
            f"mattered most: {describe(found.most, stretch.begin_s)}",
            f"without that part the mean posterior is {found.after:.2f}",
        ]


def describe(patch: Patch, begin_s: float) -> str:
    """Return band and time of a patch within a stretch that begins at `begin_s`."""
    low, high = (f"{frequency_hz / 1000:.1f}" for frequency_hz in (patch.low_hz, patch.high_hz))
    return f"{low}-{high} kHz, {begin_s + patch.begin_s:.1f}-{begin_s + patch.end_s:.1f} s"


def run_explanation(request: ExplainRequest, console: Console | None = None) -> None:
    """Explain, print and draw.

    Raises:
        OperatorError: an unknown label, a file that ends before `--at`, a picture that cannot be written.
        BundleError: the bundle is damaged.
        AudioFileError: the recording cannot be read.
    """
    from earshot_trainer.explain.picture import draw_explanation

    console = console or Console()
    bundle = load_bundled() if request.bundle is None else load_bundle_unsigned(request.bundle)
    label = _label(bundle, request.label)
    start_s = time.monotonic()
    explanation = explain(bundle, label, request.file, request.at_s, request.seconds)
    for line in explanation.words():
        say(console, line)
    out = request.out or Path(f"{request.file.stem}-{label}.png")
    column = bundle.manifest.labels.index(label)
    title = f"{request.file.name}: {label}, {bundle.manifest.name} {bundle.manifest.version}"
    point = bundle.manifest.presets.balanced[label]
    draw_explanation(out, title, label, explanation.stretch, column, explanation.attribution, point)
    say(console, f"wrote {out} in {time.monotonic() - start_s:.1f} s")
    say(console, f"next: node-cli analyze {request.file}")


def explain(bundle: Bundle, label: str, file: Path, at_s: float | None, seconds: float) -> Explanation:
    """Explain `seconds` from `at_s` on, or around the label's highest posterior; raises like `run_explanation`."""
    model = StreamingModel(bundle.manifest, bundle.model, (label,))
    column = bundle.manifest.labels.index(label)
    begin_s = find_peak(model, file, column) - PEAK_AT * seconds if at_s is None else at_s
    stretch = hear_stretch(model, file, begin_s, seconds)
    target = target_frames(stretch.posteriors[:, column], bundle.manifest.presets.balanced[label])
    return Explanation(label, stretch, attribute(model, stretch, column, target))


def _label(bundle: Bundle, name: str | None) -> str:
    labels = [label for label in bundle.manifest.labels if label in bundle.manifest.presets.balanced]
    if name is None:
        return labels[0]
    if name not in labels:
        raise OperatorError(f"--label {name}: the bundle hears {', '.join(labels)}; choose one of these")
    return name
