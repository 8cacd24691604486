"""A power cut at any write leaves a node that starts with a working model, and that can be installed to again."""

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support import deployed
from support.bundles import BUNDLED_VERSION, LIGHT
from support.deployed import (
    CONFIG,
    install,
    installer,
    public_text,
    slots_on_disk,
    write_broken_bundle,
    write_bundle,
)
from support.power_cuts import Lost, RecordedDisk, killed_at, write_disk
from support.trainer_server import TrainerServer, running

from earshot_node.deployment.boot import Opener, end_cleanly, open_models
from earshot_node.deployment.download import Wanted, download
from earshot_node.deployment.membership import Membership
from earshot_node.deployment.rollback import swapped
from earshot_node.deployment.slots import SlotStore
from earshot_node.errors import BundleError
from earshot_node.inference.bundle import load_bundle_unsigned

pytestmark = pytest.mark.usefixtures("_unproven", "_light")
OLD, NEW, NEWER = "2099.1.0", "2099.1.1", "2099.1.2"
MOST_WRITES = 200


def write_light_bundle(folder: Path, version: str, **options: Any) -> Path:
    """One that opens fast: each test here opens hundreds."""
    return write_bundle(folder, version, of=LIGHT.read_bytes(), **options)


@pytest.fixture
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let installations compare labels with the light bundle: a model may drop none of the package's."""
    bundle = load_bundle_unsigned(LIGHT)
    monkeypatch.setattr(deployed, "load_bundled", lambda: bundle)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A node's state folder with an installed model, and room for another, of which there are two bundles."""
    write_light_bundle(tmp_path, NEW)
    (tmp_path / "again").mkdir()
    write_light_bundle(tmp_path / "again", NEW, edit=lambda manifest: manifest.update(licence="other bytes"))
    state = tmp_path / "state"
    install(state, write_light_bundle(tmp_path, OLD), watch_s=0, running=True)
    return state


@pytest.fixture
def on_trial(template: Path) -> Path:
    """The same with the other model on trial, and a broken one to follow it."""
    install(template, template.parent / f"{NEW}.earshot")
    assert boot(template, "first") == NEW
    write_broken_bundle(template.parent / "broken", NEWER)
    return template


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


def install_while_stopped_and_boot(state: Path) -> None:
    install(state, state.parent / f"{NEW}.earshot")
    assert boot(state, "second") == NEW


def install_two_of_a_version_while_stopped_and_boot(state: Path) -> None:
    install(state, state.parent / f"{NEW}.earshot")
    install(state, state.parent / "again" / f"{NEW}.earshot")
    assert boot(state, "second") == NEW


def install_broken_and_boot(state: Path) -> None:
    install(state, state.parent / "broken" / f"{NEW}.earshot")
    assert boot(state, "second") == OLD


def follow_by_broken_and_boot(state: Path) -> None:
    install(state, state.parent / "broken" / f"{NEWER}.earshot")
    assert boot(state, "second") == NEW


def install_and_go_back(state: Path) -> None:
    install_new(state)
    SlotStore(state).change(lambda slots: swapped(slots, "on request"))


def begin_shadow(state: Path) -> None:
    one = installer(state)
    with one.alone():
        one.shadow(one.prepare(one.stage(state.parent / f"{NEW}.earshot")))
    SlotStore(state).clean()


def begin_and_end_shadow(state: Path) -> None:
    begin_shadow(state)
    SlotStore(state).change(lambda slots: slots.model_copy(update={"shadow": None}))
    SlotStore(state).clean()


def let_shadow_decide(state: Path) -> None:
    begin_shadow(state)
    install_and_boot(state)


def assert_shadow_is_whole(state: Path) -> None:
    """What runs beside the active model is what the slots say, and its file is there."""
    store = SlotStore(state)
    found = open_models(Opener(CONFIG, store, (public_text(),)), store, "shadow")
    if found.slots.watch is None:
        beside = found.companion.manifest.version if found.companion is not None else None
        assert beside == (found.slots.shadow.version if found.slots.shadow is not None else None)
    end_cleanly(store)


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


def killed_at_each_write(template: Path, work: Callable[[Path], object]) -> Iterator[Path]:
    """Yield a copy of the template's state for each write at which `work` was killed there."""
    for step in range(MOST_WRITES):
        state = template.parent / "victim"
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(template, state)
        if not killed_at(step, partial(work, state)):
            return
        yield state


def cut_after_each_change(template: Path, work: Callable[[Path], object], lost: Lost) -> Iterator[Path]:
    """Let `work` change the template; yield what a disk that loses what was not flushed holds after each change."""
    disk = RecordedDisk(template)
    with disk.recording():
        work(template)
    for count in range(len(disk.changes) + 1):
        victim = template.parent / "victim"
        shutil.rmtree(victim, ignore_errors=True)
        write_disk(disk.after(count, lost), template, victim)
        yield victim


@pytest.mark.parametrize(
    "work",
    [
        install_and_boot,
        install_while_stopped_and_boot,
        install_two_of_a_version_while_stopped_and_boot,
        install_and_crash,
        install_and_go_back,
        begin_and_end_shadow,
        let_shadow_decide,
    ],
)
def test_kill_at_any_write_leaves_a_node_that_starts(template: Path, work: Callable[[Path], None]) -> None:
    kills = 0
    for state in killed_at_each_write(template, work):
        assert_shadow_is_whole(state)
        assert_works(state)
        kills += 1
    assert 20 < kills < MOST_WRITES


@pytest.mark.parametrize("lost", ["content", "everything"])
@pytest.mark.parametrize(
    "work",
    [
        install_and_boot,
        install_while_stopped_and_boot,
        install_two_of_a_version_while_stopped_and_boot,
        install_and_crash,
        begin_and_end_shadow,
    ],
)
def test_disk_that_loses_what_was_not_flushed_leaves_a_node_that_starts(
    template: Path, work: Callable[[Path], None], lost: Lost
) -> None:
    cuts = 0
    for victim in cut_after_each_change(template, work, lost):
        assert_shadow_is_whole(victim)
        assert_works(victim)
        cuts += 1
    assert cuts > 21


@pytest.mark.parametrize("next_boot", ["second", "third"])
def test_model_that_cannot_be_loaded_uses_up_no_version_wherever_it_is_cut(template: Path, next_boot: str) -> None:
    """Killed in the same boot of the machine, and with it."""
    write_broken_bundle(template.parent / "broken", NEW)
    assert boot(template) == OLD
    kills = 0
    for state in killed_at_each_write(template, install_broken_and_boot):
        assert boot(state, next_boot) == OLD
        assert slots_on_disk(state)["newest"] == OLD
        install(state, state.parent / f"{NEW}.earshot")
        assert boot(state, "fourth") == NEW
        kills += 1
    assert 20 < kills < MOST_WRITES


def assert_trial_goes_on(state: Path) -> None:
    """Whatever became of the broken model, the one before decides and is on trial, and all of its files are there."""
    store = SlotStore(state)
    assert boot(state, "third") == NEW
    store.clean()
    found = store.load()
    assert found.watch is not None
    assert found.replaced is None
    assert found.newest == NEW
    assert found.previous is not None
    assert found.previous.version == OLD
    assert {path.name for path in store.folder.glob("*.earshot*")} == found.files
    assert boot(state, "fourth") == NEW


def test_trial_goes_on_wherever_a_model_that_cannot_follow_it_is_cut(on_trial: Path) -> None:
    kills = 0
    for state in killed_at_each_write(on_trial, follow_by_broken_and_boot):
        assert_trial_goes_on(state)
        kills += 1
    assert 20 < kills < MOST_WRITES


@pytest.mark.parametrize("lost", ["content", "everything"])
def test_trial_goes_on_where_a_disk_loses_what_became_of_a_model_that_cannot_follow_it(
    on_trial: Path, lost: Lost
) -> None:
    cuts = 0
    for victim in cut_after_each_change(on_trial, follow_by_broken_and_boot, lost):
        assert_trial_goes_on(victim)
        cuts += 1
    assert cuts > 21


def test_first_installation_that_is_cut_leaves_the_model_of_the_package(tmp_path: Path) -> None:
    path = write_light_bundle(tmp_path, NEW)
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


def test_candidate_in_the_shadow_never_decides_wherever_it_is_cut(template: Path) -> None:
    disk = RecordedDisk(template)
    with disk.recording():
        begin_and_end_shadow(template)
    seen = set()
    for count in range(len(disk.changes) + 1):
        victim = template.parent / "victim"
        shutil.rmtree(victim, ignore_errors=True)
        write_disk(disk.after(count, "everything"), template, victim)
        shadow = SlotStore(victim).load().shadow
        seen.add(shadow.version if shadow is not None else None)
        assert boot(victim) == OLD
    assert seen == {None, NEW}


@contextmanager
def offered(data: bytes) -> Iterator[tuple[TrainerServer, Callable[[Path], Path]]]:
    """A trainer that has a bundle, and what fetches it into a node's staging folder."""
    wanted = Wanted(hashlib.sha256(data).hexdigest(), len(data))
    with running(TrainerServer({f"{wanted.sha256}.earshot": data})) as trainer:
        member = Membership(url=trainer.url, public_key=public_text(), token=SecretStr(trainer.token))

        def fetch(state: Path) -> Path:
            return asyncio.run(download(member, wanted, SlotStore(state).staging, lambda _done: None))

        yield trainer, fetch


def assert_is_fetched_and_installed(state: Path, fetch: Callable[[Path], Path], data: bytes) -> None:
    staged = fetch(state)
    assert staged.read_bytes() == data
    one = installer(state)
    one.switch(one.prepare(staged), running=False)
    assert boot(state) == NEW
    assert list(SlotStore(state).staging.iterdir()) == []


def test_download_that_is_killed_at_any_write_goes_on_to_the_whole_bundle(template: Path) -> None:
    data = (template.parent / f"{NEW}.earshot").read_bytes()
    with offered(data) as (trainer, fetch):
        kills = 0
        for state in killed_at_each_write(template, fetch):
            assert boot(state) == OLD
            assert_is_fetched_and_installed(state, fetch, data)
            kills += 1
    assert 10 < kills < MOST_WRITES
    assert len({asked for asked in trainer.ranges if asked}) > 5


@pytest.mark.parametrize("lost", ["content", "everything"])
def test_download_on_a_disk_that_loses_what_was_not_flushed_ends_whole(template: Path, lost: Lost) -> None:
    data = (template.parent / f"{NEW}.earshot").read_bytes()
    with offered(data) as (_trainer, fetch):
        cuts = 0
        for victim in cut_after_each_change(template, fetch, lost):
            assert boot(victim) == OLD
            assert_is_fetched_and_installed(victim, fetch, data)
            cuts += 1
    assert cuts > 11
