"""Only what is signed, whole, fitting and newer becomes the active model; a refusal changes nothing and says why."""

import json
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from support.bundles import BUNDLED_VERSION, build_bundle, members_of, shipped_bytes
from support.deployed import KEY, OTHER_KEY, install, installer, signed_bundle, write_bundle

from earshot_node.contract.manifest import MAX_BUNDLE_BYTES
from earshot_node.deployment import installer as installer_module
from earshot_node.deployment.proving import prove
from earshot_node.deployment.slots import SlotStore
from earshot_node.errors import BundleError, RetryError
from earshot_node.inference.bundle import load_bundled


def refusal(state: Path, path: Path, *trusted: str) -> str:
    """The one line with which a file is refused; asserts that nothing of it stays."""
    one = installer(state, *trusted)
    before = SlotStore(state).load()
    with one.alone(), pytest.raises(BundleError) as caught:
        one.prepare(one.stage(path))
    assert SlotStore(state).load() == before
    held = before.files
    assert {file.name for file in (state / "models").rglob("*.earshot*")} == held
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_installed_model_is_active_and_the_former_one_is_previous(tmp_path: Path) -> None:
    slots = install(tmp_path / "state", write_bundle(tmp_path))
    assert slots == SlotStore(tmp_path / "state").load()
    assert slots.active is not None
    assert slots.active.version == "2099.1.0"
    assert slots.previous is not None
    assert (slots.previous.version, slots.previous.file) == (load_bundled().manifest.version, "")
    assert slots.watch is not None
    assert not slots.watch.running
    assert slots.watch.labels == load_bundled().manifest.labels
    assert [(entry.action, entry.version) for entry in slots.history] == [("installed", "2099.1.0")]


@pytest.mark.usefixtures("_unproven")
def test_only_two_bundles_stay_after_three_installations(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for version in ("2099.1.0", "2099.1.1", "2099.1.2"):
        install(state, write_bundle(tmp_path, version), watch_s=0, running=True)
    SlotStore(state).clean()
    kept = sorted(path.name.split("-")[1] for path in (state / "models").rglob("*.earshot*"))
    assert kept == ["2099.1.1", "2099.1.2"]


@pytest.mark.usefixtures("_unproven")
def test_model_that_is_still_on_trial_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    state = tmp_path / "state"
    install(state, write_bundle(tmp_path, "2099.1.0"), watch_s=0, running=True)
    install(state, write_bundle(tmp_path, "2099.1.1"), running=True)
    slots = install(state, write_bundle(tmp_path, "2099.1.2"))
    assert slots.previous is not None
    assert slots.previous.version == "2099.1.0"


@pytest.mark.usefixtures("_unproven")
def test_everything_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    install(tmp_path / "state", write_bundle(tmp_path))
    files = [path for path in (tmp_path / "state" / "models").rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "state" / "models").stat().st_mode) == 0o700


def test_unsigned_and_wrongly_signed_are_refused(tmp_path: Path) -> None:
    assert "not signed" in refusal(tmp_path / "state", write_bundle(tmp_path, key=None))
    assert "not signed by a key" in refusal(tmp_path / "state", write_bundle(tmp_path, key=OTHER_KEY))


def test_node_without_a_pinned_key_installs_nothing(tmp_path: Path) -> None:
    one = installer_module.Installer(SlotStore(tmp_path / "state"), (), load_bundled().manifest)
    with one.alone(), pytest.raises(BundleError, match="no key is trusted"):
        one.prepare(one.stage(write_bundle(tmp_path)))


def test_truncated_and_altered_are_refused(tmp_path: Path) -> None:
    whole = signed_bundle()
    path = tmp_path / "cut.earshot"
    path.write_bytes(whole[:-1000])
    assert "fetch it again" in refusal(tmp_path / "state", path)
    altered = bytearray(whole)
    altered[len(whole) // 2] ^= 1
    path.write_bytes(altered)
    assert "damaged" in refusal(tmp_path / "state", path)


def test_model_that_drops_a_label_is_refused(tmp_path: Path) -> None:
    def rename(manifest: dict[str, Any]) -> None:
        manifest["labels"] = ["horn"]
        for preset in manifest["presets"].values():
            preset["horn"] = preset.pop("siren")

    assert f"does not hear {', '.join(load_bundled().manifest.labels)}, which the active model does" in refusal(
        tmp_path / "state", write_bundle(tmp_path, edit=rename)
    )


def test_operating_points_that_cannot_be_interpolated_are_refused(tmp_path: Path) -> None:
    def tiny(manifest: dict[str, Any]) -> None:
        for preset in manifest["presets"].values():
            preset["siren"] |= {"enter": 1e-9, "leave": 1e-9}

    assert "no usable operating points for siren" in refusal(tmp_path / "state", write_bundle(tmp_path, edit=tiny))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("schema", 2, "manifest is not valid"),
        ("min_node_version", "2099.12.0", "update the node"),
        ("hop_samples", 320, "decides every 320 samples"),
    ],
)
def test_model_for_another_node_is_refused(tmp_path: Path, field: str, value: object, reason: str) -> None:
    path = write_bundle(tmp_path, edit=lambda manifest: manifest.update({field: value}))
    assert reason in refusal(tmp_path / "state", path)


@pytest.mark.usefixtures("_unproven")
@pytest.mark.parametrize("version", ["2099.1.0", "2098.12.7", BUNDLED_VERSION])
def test_version_that_is_not_newer_is_refused_unless_asked_for(tmp_path: Path, version: str) -> None:
    state = tmp_path / "state"
    install(state, write_bundle(tmp_path, "2099.1.0"), running=True)
    path = tmp_path / "old.earshot"
    path.write_bytes(signed_bundle(version, edit=lambda manifest: manifest.update(licence="other bytes")))
    assert f"{version} is not newer than 2099.1.0" in refusal(state, path)
    one = installer(state)
    with one.alone():
        assert one.prepare(one.stage(path), allow_downgrade=True).slot.version == version


@pytest.mark.usefixtures("_unproven")
def test_model_that_is_active_already_is_told(tmp_path: Path) -> None:
    path = write_bundle(tmp_path)
    install(tmp_path / "state", path)
    assert "is the active model already" in refusal(tmp_path / "state", path)


def test_self_test_that_fails_refuses(tmp_path: Path) -> None:
    clip = load_bundled().manifest.reference_clips[0]
    expected = json.loads(members_of(shipped_bytes())[clip.posteriors])
    expected["posteriors"] = [[1.0 - p for p in row] for row in expected["posteriors"]]
    files = {clip.posteriors: json.dumps(expected).encode()}
    path = tmp_path / "wrong.earshot"
    path.write_bytes(build_bundle(lambda manifest: manifest.update(version="2099.1.0"), files, KEY))
    assert "self-test on" in refusal(tmp_path / "state", path)


def test_graph_that_kills_its_process_refuses_and_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(BundleError, match="its self-test failed"):
        prove(write_bundle(tmp_path))


def test_graph_that_hangs_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="did not end within 0 s"):
        prove(write_bundle(tmp_path), time_limit_s=0.01)


def test_file_larger_than_a_bundle_is_refused_while_it_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "large.earshot"
    with path.open("wb") as stream:
        stream.truncate(MAX_BUNDLE_BYTES + 1)
    with pytest.raises(BundleError, match="larger than a bundle may be"):
        installer(tmp_path / "state").stage(path)


def test_second_installation_at_the_same_time_waits_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earshot_node.deployment.durable.LOCK_WAIT_S", 0.05)
    failures: list[Exception] = []

    def other() -> None:
        try:
            with installer(tmp_path / "state").alone():
                pass
        except RetryError as error:
            failures.append(error)

    with installer(tmp_path / "state").alone():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert [str(error) for error in failures] == ["another model is being installed; try again in a minute"]


@pytest.mark.usefixtures("_unproven")
def test_full_disk_leaves_the_former_model_active(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    install(state, write_bundle(tmp_path, "2099.1.0"))
    before = SlotStore(state).load()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    one = installer(state)
    candidate = one.prepare(one.stage(write_bundle(tmp_path, "2099.1.1")))
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RetryError, match="No space left on device"):
        one.switch(candidate, running=False)
    assert SlotStore(state).load() == before
