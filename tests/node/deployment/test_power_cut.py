"""A power cut at any write leaves a node that starts with a working model, and that can be installed to again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bundles import BUNDLED_VERSION
from support.deployed import CONFIG, install, installer, public_text, without_proof, write_bundle
from support.power_cuts import Lost, RecordedDisk, killed_at, write_disk

from earshot_node.deployment import installer as installer_module
from earshot_node.deployment.boot import Opener, end_cleanly, open_models
from earshot_node.deployment.rollback import swapped
from earshot_node.deployment.slots import SlotStore
from earshot_node.errors import BundleError

OLD, NEW = "2099.1.0", "2099.1.1"


@pytest.fixture(autouse=True)
def _unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-test writes nothing."""
    monkeypatch.setattr(installer_module, "prove", without_proof)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A node's state folder with an installed model, and room for another."""
    write_bundle(tmp_path, NEW)
    state = tmp_path / "state"
    install(state, write_bundle(tmp_path, OLD), watch_s=0)
    return state


def boot(state: Path, boot_id: str = "next") -> str:
    """Start and stop a node; return the version of its model."""
    store = SlotStore(state)
    version = open_models(Opener(CONFIG, store, (public_text(),)), store, boot_id).bundle.manifest.version
    end_cleanly(store)
    return version


def install_new(state: Path) -> None:
    install(state, state.parent / f"{NEW}.earshot", running=True, boot="first")
    SlotStore(state).clean()


def install_and_boot(state: Path) -> None:
    install_new(state)
    assert boot(state, "second") == NEW


def install_and_crash(state: Path) -> None:
    install_new(state)
    assert boot(state, "first") == OLD  # the same boot of the machine: the process has died


def install_and_go_back(state: Path) -> None:
    install_new(state)
    SlotStore(state).change(lambda slots: swapped(slots, "on request"))


def assert_works(state: Path) -> None:
    """It starts, tells what it has, lets go of litter, and takes another model or has it already."""
    version = boot(state)
    assert version in (OLD, NEW)
    store = SlotStore(state)
    slots = store.load()
    assert slots.active is not None
    assert slots.active.version == version
    store.clean()
    assert {path.name for path in store.folder.glob("*.earshot*")} == slots.files
    assert boot(state, "third") == version
    one = installer(state)
    try:
        candidate = one.prepare(one.stage(state.parent / f"{NEW}.earshot"), allow_downgrade=True)
    except BundleError as error:
        assert "is the active model already" in str(error)  # noqa: PT017
    else:
        one.switch(candidate, running=False)
    assert boot(state, "fourth") == NEW


@pytest.mark.parametrize("work", [install_and_boot, install_and_crash, install_and_go_back])
def test_kill_at_any_write_leaves_a_node_that_starts(template: Path, work: Callable[[Path], None]) -> None:
    for step in range(200):
        state = template.parent / "victim"
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(template, state)
        if not killed_at(step, lambda: work(state)):  # noqa: B023
            break
        assert_works(state)
    assert 20 < step < 200


@pytest.mark.parametrize("lost", ["content", "everything"])
@pytest.mark.parametrize("work", [install_and_boot, install_and_crash])
def test_disk_that_loses_what_was_not_flushed_leaves_a_node_that_starts(
    template: Path, work: Callable[[Path], None], lost: Lost
) -> None:
    disk = RecordedDisk(template)
    with disk.recording():
        work(template)
    assert len(disk.changes) > 20
    for count in range(len(disk.changes) + 1):
        victim = template.parent / "victim"
        shutil.rmtree(victim, ignore_errors=True)
        write_disk(disk.after(count, lost), template, victim)
        assert_works(victim)


def test_first_installation_that_is_cut_leaves_the_model_of_the_package(tmp_path: Path) -> None:
    path = write_bundle(tmp_path, NEW)
    disk = RecordedDisk(tmp_path / "state")
    (tmp_path / "state").mkdir()
    with disk.recording():
        install(tmp_path / "state", path)
    seen = set()
    for count in range(len(disk.changes) + 1):
        victim = tmp_path / "victim"
        shutil.rmtree(victim, ignore_errors=True)
        write_disk(disk.after(count, "everything"), tmp_path / "state", victim)
        seen.add(boot(victim))
    assert seen == {BUNDLED_VERSION, NEW}
