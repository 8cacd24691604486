"""Which model a node starts with, whatever happened before."""

import os
from pathlib import Path

import pytest
from support.bundles import BUNDLED_VERSION
from support.deployed import CONFIG, OTHER_KEY, install, public_text, write_bundle

from earshot_node.deployment.boot import Boot, Opener, end_cleanly, open_models
from earshot_node.deployment.rollback import swapped
from earshot_node.deployment.slots import Slots, SlotStore
from earshot_node.errors import OperatorError

pytestmark = pytest.mark.usefixtures("_unproven")
BUNDLED, OLD, NEW = BUNDLED_VERSION, "2099.1.0", "2099.1.1"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A node with two installed models; the newer one is on trial."""
    state = tmp_path / "state"
    install(state, write_bundle(tmp_path, OLD), watch_s=0, running=True)
    install(state, write_bundle(tmp_path, NEW))
    return state


def boot(state: Path, boot_id: str = "a", *keys: str) -> Boot:
    return open_models(Opener(CONFIG, SlotStore(state), keys or (public_text(),)), SlotStore(state), boot_id)


def keep(state: Path) -> None:
    """Let the model on trial have decided, and prove itself."""
    boot(state)
    SlotStore(state).change(lambda slots: slots.model_copy(update={"watch": None}))


def actions(slots: Slots) -> list[str]:
    return [entry.action for entry in slots.history]


@pytest.mark.parametrize("damage", [b"", b'{"schema": 2}', b"\xff"])
def test_models_outlast_a_document_that_cannot_be_read(state: Path, damage: bytes) -> None:
    kept = {path.name for path in (state / "models").glob("*.earshot")}
    assert len(kept) == 2
    document = state / "models" / "slots.json"
    document.write_bytes(damage)
    os.utime(document, (0, 0))  # nothing had happened for long
    for _ in range(2):
        assert boot(state).bundle.manifest.version == BUNDLED
        SlotStore(state).clean()
    install(state, write_bundle(state.parent, "2099.1.2"))
    SlotStore(state).clean()
    aside = document.with_name("slots.json.unreadable")
    assert aside.read_bytes() == damage
    assert kept < {path.name for path in (state / "models").glob("*.earshot")}
    os.utime(aside, (0, 0))
    SlotStore(state).clean()
    assert not aside.exists()
    assert not kept & {path.name for path in (state / "models").glob("*.earshot")}


def test_node_without_slots_starts_with_the_model_of_the_package(tmp_path: Path) -> None:
    started = boot(tmp_path / "state")
    assert started.bundle.manifest.version == BUNDLED
    assert started.companion is None
    assert not (tmp_path / "state").exists()


def test_model_on_trial_starts_with_the_former_one_beside_it(state: Path) -> None:
    started = boot(state)
    assert started.bundle.manifest.version == NEW
    assert started.companion is not None
    assert started.companion.manifest.version == OLD


def test_crash_on_trial_is_rolled_back_at_the_next_start(state: Path) -> None:
    boot(state)
    started = boot(state)
    assert started.bundle.manifest.version == OLD
    assert (started.companion, started.slots.watch, started.slots.previous) == (None, None, None)
    assert started.slots.history[-1].action == "rolled_back"
    assert "crashed while the model was on trial" in started.slots.history[-1].reason


def test_stop_on_trial_is_no_crash(state: Path) -> None:
    for _ in range(5):
        assert boot(state).bundle.manifest.version == NEW
        end_cleanly(SlotStore(state))


def test_power_cut_on_trial_is_forgiven_twice(state: Path) -> None:
    started = [boot(state, f"boot {number}").bundle.manifest.version for number in range(4)]
    assert started == [NEW, NEW, NEW, OLD]


def test_model_on_trial_that_cannot_be_loaded_is_rolled_back(state: Path) -> None:
    store = SlotStore(state)
    active = store.load().active
    assert active is not None
    store.path_of(active).write_bytes(b"rotten")
    started = boot(state)
    assert started.bundle.manifest.version == OLD
    assert actions(store.load())[-1] == "rolled_back"


def test_rotten_model_falls_back_to_the_previous_and_then_to_the_package(state: Path) -> None:
    store = SlotStore(state)
    keep(state)
    slots = store.load()
    assert slots.active is not None
    assert slots.previous is not None
    store.path_of(slots.active).write_bytes(b"rotten")
    started = boot(state)
    assert started.bundle.manifest.version == OLD
    assert "damaged or not a bundle" in started.problem
    store.path_of(slots.previous).unlink()
    assert boot(state).bundle.manifest.version == BUNDLED
    assert actions(store.load()).count("fell_back") == 1


def test_key_that_is_no_longer_pinned_takes_its_models_along(state: Path) -> None:
    keep(state)
    started = boot(state, "a", public_text(OTHER_KEY))
    assert started.bundle.manifest.version == BUNDLED
    assert "not signed by a key" in started.problem
    assert boot(state).bundle.manifest.version == NEW  # and back when it is pinned again


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema": 2}', b"\xff" * 100])
def test_document_that_makes_no_sense_starts_the_model_of_the_package(state: Path, content: bytes) -> None:
    (state / "models" / "slots.json").write_bytes(content)
    assert boot(state).bundle.manifest.version == BUNDLED


def test_disk_that_refuses_writes_does_not_keep_the_node_from_starting(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("earshot_node.deployment.slots.write_file", read_only)
    assert boot(state).bundle.manifest.version == NEW


def test_going_back_twice_is_nothing_and_needs_a_previous_model(state: Path) -> None:
    store = SlotStore(state)
    back = store.change(lambda slots: swapped(slots, "on request"))
    assert back.active is not None
    assert back.active.version == OLD
    again = store.change(lambda slots: swapped(slots, "on request"))
    assert again.active is not None
    assert again.active.version == NEW
    with pytest.raises(OperatorError, match="no previous model"):
        swapped(Slots(), "on request")
