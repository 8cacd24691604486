"""Does the model verify, compute what it should, and fast enough here?"""

from pathlib import Path
from typing import Final

from earshot_node.configuration.file import check_labels
from earshot_node.contract.config import NodeConfig
from earshot_node.doctor.finding import Finding, fail, ok, warn
from earshot_node.errors import EarshotError

_BUSY_FACTOR: Final = 0.5


def check_model(config: NodeConfig | None, path: Path | None = None) -> list[Finding]:
    """Verify the bundle, run its self-test hop by hop, and compare its speed with the number of sources."""
    from earshot_node.deployment.models import active_bundle
    from earshot_node.inference.bundle import load_bundled
    from earshot_node.inference.model import StreamingModel
    from earshot_node.inference.self_test import self_test

    try:
        bundle = active_bundle(config) if config else load_bundled()
        result = self_test(bundle, StreamingModel(bundle.manifest, bundle.model))
    except EarshotError as error:
        return [fail("model", str(error), "go back with `node-cli model rollback`, or remove model.bundle")]
    manifest = bundle.manifest
    hears = ", ".join(manifest.labels)
    findings = [
        ok(
            "model",
            f"{manifest.name} {manifest.version} hears {hears}; self-test off by {result.deviation:.4f} at most",
        )
    ]
    if config:
        try:
            check_labels(config, manifest.decided_labels(config.detection.operating_points), path)
        except EarshotError as error:
            findings.append(fail("labels", str(error), "list only labels of the model"))
    return [*findings, judge_speed(result.real_time_factor, len(config.sources) if config else 1)]


def judge_speed(real_time_factor: float, sources: int) -> Finding:
    """Judge seconds of work per second of audio of one source, for this many sources one after another."""
    total = real_time_factor * sources
    what = f"{total:.1%} of one core for {sources} source{'s' if sources > 1 else ''} (real-time factor {total:.4f})"
    if total >= 1:
        return fail("speed", f"too slow: {what}", "use fewer sources, or a faster machine")
    if total > _BUSY_FACTOR:
        return warn("speed", what, "other programs on this machine may make it drop audio")
    return ok("speed", what)
