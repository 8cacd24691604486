"""What a node listens for, by configuration, model and commands."""

from support.mqtt_node import node_config

from earshot_node.configuration.file import check_labels
from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_node.deployment.models import OperatingPoints
from earshot_node.inference.bundle import load_bundled
from earshot_node.mqtt.settings import LabelSettings

BOTH = ("siren", "baby_cry")


def with_points_for(*labels: str) -> BundleManifest:
    """The shipped model's manifest with operating points for these labels alone."""
    manifest = load_bundled().manifest

    def some(points: dict[str, OperatingPoint]) -> dict[str, OperatingPoint]:
        return {label: points[label] for label in labels}

    presets = manifest.presets
    kept = Presets(quiet=some(presets.quiet), balanced=some(presets.balanced), sensitive=some(presets.sensitive))
    return manifest.model_copy(update={"presets": kept})


def listened_for(manifest: BundleManifest, *off: str) -> set[str]:
    config = node_config(1883, labels=BOTH)
    points = OperatingPoints(config, lambda _, label: LabelSettings(enabled=label not in off, sensitivity=50))
    return set(points.of(manifest)(config.sources[0].id))


def test_all_configured_labels_are_listened_for_but_those_switched_off() -> None:
    assert listened_for(with_points_for(*BOTH)) == set(BOTH)
    assert listened_for(with_points_for(*BOTH), "baby_cry") == {"siren"}


def test_own_operating_points_stand_for_those_that_a_model_lacks() -> None:
    manifest, own = with_points_for("siren"), load_bundled().manifest.presets.balanced["baby_cry"]
    config = node_config(1883, labels=BOTH, detection={"operating_points": {"baby_cry": own.model_dump()}})
    points = OperatingPoints(config, lambda *_: LabelSettings(enabled=True, sensitivity=50))
    assert points.of(manifest)(config.sources[0].id)["baby_cry"] == own
    assert points.unheard(manifest) == []
    check_labels(config, manifest.decided_labels(config.detection.operating_points))


def test_label_without_operating_points_is_left_out_and_sirens_are_heard_all_the_same() -> None:
    manifest = with_points_for("siren")
    assert manifest.decided_labels() == ("siren",)
    assert listened_for(manifest) == {"siren"}
    points = OperatingPoints(node_config(1883, labels=BOTH), lambda *_: LabelSettings(enabled=True, sensitivity=50))
    assert points.unheard(manifest) == ["baby_cry"]
