"""A label that the household began becomes an output: a whole round with the shipped model and tiny settings."""

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from support.mqtt_node import node_config, node_info
from support.tiny_round import request

from earshot_node.configuration.file import check_labels
from earshot_node.deployment.models import OperatingPoints
from earshot_node.deployment.slots import Slots
from earshot_node.deployment.verification import check_candidate
from earshot_node.errors import BundleError, ConfigError, OperatorError
from earshot_node.inference.bundle import Bundle, load_bundle, load_bundled
from earshot_node.mqtt.discovery import announcements
from earshot_node.mqtt.settings import LabelSettings
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.releases import Releases
from earshot_trainer.home.folder import Home
from earshot_trainer.retraining.command import prepare_split, retrain, run_alone, show_plan
from earshot_trainer.retraining.run_folder import REQUEST_NAME, RunFolder, find_run

pytestmark = [pytest.mark.torch, pytest.mark.timeout(1200)]
NOTHING_HELD_OUT = datetime(2026, 11, 20, tzinfo=UTC)


def told(home: Home, **changes: object) -> tuple[dict[str, object], str]:
    """Split alone; returns what it wrote and what it said."""
    text = io.StringIO()
    assert prepare_split(home, request(**changes), Console(file=text, width=300)) == 0
    return json.loads((find_run(home.folder) / "split.json").read_text()), text.getvalue()


def test_dry_run_and_split_name_the_label_that_becomes_an_output(household_with_bells: Home) -> None:
    text = io.StringIO()
    show_plan(household_with_bells, request(), Console(file=text, width=200))
    line = "doorbell: 20 recordings of 2 session(s); it becomes an output of the model"
    assert line in text.getvalue()
    values, said = told(household_with_bells)
    assert values["added_labels"] == ["doorbell"]
    assert line in said
    assert "doorbell: 10 recordings to learn from, 10 held out" in said


def test_held_out_from_a_day_that_leaves_nothing_to_hold_out_goes_on_without_the_label(
    household_with_bells: Home,
) -> None:
    values, said = told(household_with_bells, held_out_from=NOTHING_HELD_OUT)
    assert values["added_labels"] == []
    assert "doorbell: 20 recordings to learn from, 0 held out; no output" in said


@pytest.mark.slow
def test_new_label_is_heard_by_the_model_that_comes_of_the_round(household_with_bells: Home) -> None:
    home, text = household_with_bells, io.StringIO()
    assert retrain(home, request(force=True), Console(file=text, width=300)) == 0
    run = find_run(home.folder)
    bundle, shipped = load_bundle(run / "signed.earshot", trusted_keys=[home.public_key]), load_bundled()
    labels = (*shipped.manifest.labels, "doorbell")
    assert bundle.manifest.labels == labels
    for preset in (bundle.manifest.presets.quiet, bundle.manifest.presets.balanced, bundle.manifest.presets.sensitive):
        assert set(preset) == set(labels)
    (new,) = bundle.manifest.metrics["gate"]["new_labels"]
    assert (new["label"], new["held_out"], new["sessions"]) == ("doorbell", 10, 1)
    compared = {one["label"] for one in bundle.manifest.metrics["gate"]["figures"]}
    assert compared == set(shipped.manifest.labels)
    assert f"Hears {', '.join(labels)} in 16 kHz" in bundle.model_card
    assert "doorbell, new: " in bundle.model_card
    (release,) = Releases(open_catalogue(home.catalogue_url)).all()
    assert release.labels == labels
    assert f"hears doorbell, {new['found']} of 10 found" in release.summary

    node_takes_it_and_never_drops_the_label(bundle, shipped)
    node_listens_and_announces_as_configured(bundle)
    next_round_compares_it(home, run)
    next_round_never_drops_it(home, run / "signed.earshot")


def node_takes_it_and_never_drops_the_label(bundle: Bundle, shipped: Bundle) -> None:
    sha256 = hashlib.sha256(bundle.model).hexdigest()
    check_candidate(bundle, shipped.manifest, Slots(), sha256)
    with pytest.raises(BundleError, match="does not hear doorbell, which the active model does"):
        check_candidate(shipped, bundle.manifest, Slots(), sha256, allow_downgrade=True)


def node_listens_and_announces_as_configured(bundle: Bundle) -> None:
    both, one = node_config(1883, labels=("siren", "doorbell")), node_config(1883)
    check_labels(both, bundle.manifest.decided_labels())
    with pytest.raises(ConfigError, match="does not know 'doorbell'"):
        check_labels(both, load_bundled().manifest.decided_labels())
    for config, labels in ((both, {"siren", "doorbell"}), (one, {"siren"})):
        points = OperatingPoints(config, lambda *_: LabelSettings(enabled=True, sensitivity=50)).of(bundle.manifest)(
            config.sources[0].id
        )
        assert set(points) == labels
        announced = json.dumps(list(announcements(config, node_info(config)).values()))
        assert ("doorbell" in announced) == (config is both)


def next_round_compares_it(home: Home, run: RunFolder) -> None:
    """With the model active, the gate has figures of both for the label, as for any other."""
    asked = run.request.model_copy(update={"active": str(run / "signed.earshot")})
    (run / REQUEST_NAME).write_text(asked.model_dump_json())
    for stage in ("calibrate", "evaluate"):
        assert run_alone(home, stage, run.name, Console(quiet=True)) == 0  # type: ignore[arg-type]
    values = json.loads((run / "evaluation.json").read_text())
    assert values["new_labels"] == []
    assert {one["label"] for one in values["figures"]} == {*load_bundled().manifest.labels, "doorbell"}


def next_round_never_drops_it(home: Home, active: Path) -> None:
    with pytest.raises(OperatorError, match="hears doorbell, and there are too few recordings to learn that again"):
        told(home, active=str(active), held_out_from=NOTHING_HELD_OUT)
