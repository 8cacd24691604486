"""A model that was installed while the node stood still, and its first start: only what has decided is used up."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from support.bundles import BUNDLED_VERSION
from support.deployed import (
    CONFIG,
    install,
    installer,
    public_text,
    signed_bundle,
    slots_on_disk,
    write_broken_bundle,
    write_bundle,
)

from earshot_node.cli.lazy_group import run_program
from earshot_node.cli.main import cli
from earshot_node.contract.manifest import BundleManifest
from earshot_node.deployment.boot import Boot, Opener, end_cleanly, open_models
from earshot_node.deployment.rollback import rolled_back, swapped
from earshot_node.deployment.slots import Slot, Slots, SlotStore
from earshot_node.errors import BundleError
from earshot_node.inference.model import StreamingModel

pytestmark = pytest.mark.usefixtures("_unproven")
OLD, NEW, NEWER = "2099.1.0", "2099.1.1", "2099.1.2"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A node that has run an installed model, and stands still."""
    state = tmp_path / "state"
    install(state, write_bundle(tmp_path, OLD), watch_s=0)
    assert run(state) == OLD
    return state


@pytest.fixture
def on_trial(state: Path, tmp_path: Path) -> Path:
    """The same with another model that was on trial for ten minutes, and that a third one follows at the next start."""
    install(state, write_bundle(tmp_path, NEW))
    assert run(state) == NEW
    SlotStore(state).change(heard_for_ten_minutes)
    install(state, write_bundle(tmp_path, NEWER))
    return state


def heard_for_ten_minutes(slots: Slots) -> Slots:
    assert slots.watch is not None
    return slots.model_copy(update={"watch": slots.watch.model_copy(update={"heard_s": 600.0, "alarms": 2})})


def boot(state: Path, boot_id: str = "a") -> Boot:
    return open_models(Opener(CONFIG, SlotStore(state), (public_text(),)), SlotStore(state), boot_id)


def run(state: Path) -> str:
    """Start and stop the node; return the version that decided."""
    started = boot(state)
    end_cleanly(SlotStore(state))
    SlotStore(state).clean()
    assert started.model.manifest == started.bundle.manifest
    return started.bundle.manifest.version


def repaired(folder: Path) -> Path:
    """The new version once more, with another hash."""
    path = folder / "repaired.earshot"
    path.write_bytes(signed_bundle(NEW, edit=lambda manifest: manifest.update(licence="other bytes")))
    return path


def refusal(state: Path, path: Path) -> str:
    one = installer(state)
    with one.alone(), pytest.raises(BundleError) as caught:
        one.prepare(one.stage(path))
    return str(caught.value)


def history(state: Path) -> list[str]:
    return [entry.action for entry in SlotStore(state).load().history]


def version_of(slot: Slot | None) -> str | None:
    return slot.version if slot is not None else None


def let_loading_fail(patch: pytest.MonkeyPatch, error: BaseException, version: str = NEW) -> None:
    """A version's graph is not loaded from now on."""

    def load(manifest: BundleManifest, model: bytes, wanted: Collection[str]) -> StreamingModel:
        if manifest.version == version:
            raise error
        return StreamingModel(manifest, model, wanted)

    patch.setattr("earshot_node.deployment.boot.StreamingModel", load)


@pytest.mark.parametrize("watch_s", [1800.0, 0.0])
def test_version_that_cannot_be_loaded_at_its_first_start_is_taken_again_when_it_is_repaired(
    state: Path, tmp_path: Path, watch_s: float
) -> None:
    install(state, write_broken_bundle(tmp_path, NEW), watch_s=watch_s)
    assert run(state) == OLD
    slots = SlotStore(state).load()
    assert (version_of(slots.active), version_of(slots.previous), slots.newest) == (OLD, BUNDLED_VERSION, OLD)
    assert "it cannot be loaded: the model's graph cannot be loaded" in slots.history[-1].reason
    install(state, repaired(tmp_path))
    assert run(state) == NEW
    assert history(state)[1:] == ["installed", "rolled_back", "installed"]


def test_bundle_that_lacked_memory_at_its_first_start_is_taken_again_as_it_is(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bundle(tmp_path, NEW)
    install(state, path)
    with monkeypatch.context() as short:
        let_loading_fail(short, BundleError("the model's graph cannot be loaded: bad allocation"))
        assert run(state) == OLD
    install(state, path)
    assert run(state) == NEW


def test_process_that_dies_while_it_loads_a_model_has_not_used_up_its_version(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bundle(tmp_path, NEW)
    install(state, path)
    with monkeypatch.context() as deadly:
        let_loading_fail(deadly, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            boot(state)
    assert run(state) == OLD
    assert SlotStore(state).load().history[-1].reason == "the node crashed while it loaded the model"
    install(state, path)
    assert run(state) == NEW


def test_versions_up_to_the_one_that_did_run_stay_refused(state: Path, tmp_path: Path) -> None:
    install(state, write_broken_bundle(tmp_path / "broken", NEW))
    assert run(state) == OLD
    path = tmp_path / "old.earshot"
    for version in (OLD, BUNDLED_VERSION):
        path.write_bytes(signed_bundle(version, edit=lambda manifest: manifest.update(licence="other bytes")))
        assert f"{version} is not newer than {OLD}" in refusal(state, path)


@pytest.mark.parametrize("version", [NEW, NEWER])
def test_version_that_never_started_is_not_used_up(state: Path, tmp_path: Path, version: str) -> None:
    install(state, write_bundle(tmp_path, version))
    last = install(state, repaired(tmp_path))
    assert (version_of(last.active), version_of(last.previous), last.newest) == (NEW, OLD, OLD)
    assert (last.history[-1].action, last.history[-1].former) == ("installed", OLD)
    assert run(state) == NEW
    assert SlotStore(state).load().active == last.active
    assert {path.name for path in (state / "models").glob("*.earshot")} == last.files
    assert f"{NEW} is not newer than {NEW}" in refusal(state, write_bundle(tmp_path, NEW))


def test_model_that_never_started_is_no_model_to_follow(state: Path, tmp_path: Path) -> None:
    def hear_more(manifest: dict[str, Any]) -> None:
        manifest["labels"].append("horn")
        for preset in manifest["presets"].values():
            preset["horn"] = preset["siren"]

    install(state, write_bundle(tmp_path, NEW, edit=hear_more))
    path = write_bundle(tmp_path, NEWER)
    install(state, path)
    assert "is the active model already" in refusal(state, path)
    assert run(state) == NEWER
    SlotStore(state).change(lambda slots: rolled_back(slots, "it failed"))
    assert run(state) == OLD


def test_version_that_ran_and_crashed_stays_refused(state: Path, tmp_path: Path) -> None:
    install(state, write_bundle(tmp_path, NEW))
    assert boot(state).bundle.manifest.version == NEW
    assert run(state) == OLD
    assert f"{NEW} is not newer than {NEW}" in refusal(state, repaired(tmp_path))
    assert f"{NEW} is not newer than {NEW}" in refusal(state, write_bundle(tmp_path, NEW))


def test_version_that_ran_and_rotted_on_trial_stays_refused(state: Path, tmp_path: Path) -> None:
    slots = install(state, write_bundle(tmp_path, NEW))
    assert run(state) == NEW
    assert slots.active is not None
    SlotStore(state).path_of(slots.active).write_bytes(b"rotten")
    assert run(state) == OLD
    assert f"{NEW} is not newer than {NEW}" in refusal(state, write_bundle(tmp_path, NEW))


def test_version_that_ran_and_failed_its_trial_stays_refused_also_when_its_start_could_not_be_noted(
    state: Path, tmp_path: Path
) -> None:
    install(state, write_bundle(tmp_path, NEW))
    SlotStore(state).change(lambda slots: rolled_back(slots, "it failed"))
    assert f"{NEW} is not newer than {NEW}" in refusal(state, repaired(tmp_path))


def test_version_that_a_person_took_back_before_its_first_start_is_used_up_when_it_decides_after_all(
    state: Path, tmp_path: Path
) -> None:
    install(state, write_bundle(tmp_path, NEW))
    store = SlotStore(state)
    store.change(lambda slots: swapped(slots, "on request"))
    assert run(state) == OLD
    assert slots_on_disk(state)["newest"] == OLD
    store.change(lambda slots: swapped(slots, "on request"))
    assert run(state) == NEW
    assert slots_on_disk(state)["newest"] == NEW


def test_kept_model_whose_graph_cannot_be_loaded_for_once_gives_way_until_it_can(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(state, write_bundle(tmp_path, NEW), watch_s=0)
    assert run(state) == NEW
    with monkeypatch.context() as short:
        let_loading_fail(short, BundleError("the model's graph cannot be loaded: bad allocation"))
        assert run(state) == OLD
    assert history(state)[-1] == "fell_back"
    assert run(state) == NEW


def test_start_writes_nothing_more_once_a_version_is_used_up(state: Path) -> None:
    before = (state / "models" / "slots.json").stat()
    assert run(state) == OLD
    after = (state / "models" / "slots.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def assert_trial_goes_on(started: Boot) -> None:
    """The second model decides, is on trial for what is left, and the first one runs beside it and is the way back."""
    slots = started.slots
    assert started.bundle.manifest.version == NEW
    assert started.companion is not None
    assert started.companion.manifest.version == OLD
    assert (version_of(slots.active), version_of(slots.previous), slots.newest) == (NEW, OLD, NEW)
    assert slots.watch is not None
    assert (slots.watch.heard_s, slots.watch.alarms, slots.watch.running) == (600.0, 2, True)
    assert (slots.history[-1].action, slots.history[-1].version, slots.history[-1].former) == (
        "rolled_back",
        NEWER,
        NEW,
    )


def test_trial_goes_on_when_what_follows_it_cannot_be_loaded(on_trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as short:
        let_loading_fail(short, BundleError("the model's graph cannot be loaded: bad allocation"), NEWER)
        started = boot(on_trial)
    assert_trial_goes_on(started)
    assert "bad allocation" in started.problem
    end_cleanly(SlotStore(on_trial))
    SlotStore(on_trial).clean()
    assert_trial_goes_on(boot(on_trial))
    assert boot(on_trial).bundle.manifest.version == OLD  # it crashed, like any on trial


def test_trial_goes_on_when_the_process_dies_while_it_loads_what_follows(
    on_trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as deadly:
        let_loading_fail(deadly, KeyboardInterrupt(), NEWER)
        with pytest.raises(KeyboardInterrupt):
            boot(on_trial)
    SlotStore(on_trial).clean()
    assert_trial_goes_on(boot(on_trial))


def test_trial_goes_on_when_the_second_of_two_that_follow_cannot_be_loaded(on_trial: Path, tmp_path: Path) -> None:
    install(on_trial, write_broken_bundle(tmp_path / "broken", "2099.1.3"))
    assert run(on_trial) == NEW
    assert history(on_trial)[-3:] == ["installed", "installed", "rolled_back"]


def test_model_that_crashed_on_trial_does_not_return_when_what_follows_it_cannot_be_loaded(
    state: Path, tmp_path: Path
) -> None:
    install(state, write_bundle(tmp_path, NEW))
    assert boot(state).bundle.manifest.version == NEW
    install(state, write_broken_bundle(tmp_path / "broken", NEWER))
    assert run(state) == OLD
    assert history(state)[-3:] == ["installed", "rolled_back", "rolled_back"]


def test_trial_that_cannot_go_on_either_ends_with_the_model_before(on_trial: Path) -> None:
    slots = SlotStore(on_trial).load()
    assert slots.active is not None
    assert slots.replaced is not None
    for slot in (slots.active, slots.replaced.active):
        SlotStore(on_trial).path_of(slot).write_bytes(b"rotten")
    started = boot(on_trial)
    assert started.bundle.manifest.version == OLD
    assert (version_of(started.slots.active), started.slots.watch) == (OLD, None)


def test_kept_model_that_gives_way_still_does_when_what_follows_it_cannot_be_loaded(
    state: Path, tmp_path: Path
) -> None:
    install(state, write_bundle(tmp_path, NEW), watch_s=0)
    assert run(state) == NEW
    install(state, write_broken_bundle(tmp_path / "broken", NEWER))
    slots = SlotStore(state).load()
    assert slots.replaced is not None
    SlotStore(state).path_of(slots.replaced.active).write_bytes(b"rotten")
    assert run(state) == OLD
    assert history(state)[-2:] == ["rolled_back", "fell_back"]


def test_model_that_started_ends_the_trial_that_it_interrupted(on_trial: Path) -> None:
    assert boot(on_trial).bundle.manifest.version == NEWER
    SlotStore(on_trial).clean()
    assert {path.name.split("-")[1] for path in (on_trial / "models").glob("*.earshot")} == {OLD, NEWER}
    assert run(on_trial) == OLD  # it crashed
    assert SlotStore(on_trial).load().replaced is None


def test_person_who_goes_back_from_what_never_started_ends_the_trial_too(on_trial: Path) -> None:
    SlotStore(on_trial).change(lambda slots: swapped(slots, "on request"))
    assert run(on_trial) == OLD
    assert SlotStore(on_trial).load().watch is None


def test_disk_that_refuses_writes_still_goes_on_with_the_trial(on_trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    let_loading_fail(monkeypatch, BundleError("the model's graph cannot be loaded"), NEWER)
    monkeypatch.setattr("earshot_node.deployment.slots.write_file", read_only)
    assert_trial_goes_on(boot(on_trial))


def test_list_tells_what_waits_for_its_start_from_what_is_active(
    on_trial: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = on_trial / "node.yaml"
    config.write_text(f"node: {{id: hall, state_dir: {on_trial}}}\nsources: [{{id: mic, type: microphone}}]\n")

    def listed() -> list[list[str]]:
        assert run_program(cli, "node-cli", ["model", "list", "--config", str(config)]) == 0
        return [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()]

    pending, active, previous, trial = listed()
    assert pending[:3] == ["pending", "siren", NEWER]
    assert "; decides from the node's next start, on trial for " in pending[3]
    assert [active[:3], previous[:3]] == [["active", "siren", NEW], ["previous", "siren", OLD]]
    assert trial[:3] == ["on", "trial", "10"]
    boot(on_trial)
    assert [line[0] for line in listed()] == ["active", "previous", "on"]
