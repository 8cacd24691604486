"""What is on disk survives a kill, and damage of the file does not stop a node."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.damage import damage
from support.mqtt_node import event
from support.waiting import wait_until

from earshot_node.errors import OperatorError
from earshot_node.mqtt.boot_clock import BootClock, Moment
from earshot_node.mqtt.database import StoreError
from earshot_node.mqtt.remembered import Announcement
from earshot_node.mqtt.settings import CommandedSettings
from earshot_node.mqtt.store import DROPPED_EVENTS, REFUSED_EVENTS, StateStore

NOW = Moment("boot", 12.5)


def fill(store: StateStore, count: int, limit: int = 1000) -> None:
    for number in range(count):
        store.add_event(f"id-{number}", "onset", f"payload {number}".encode(), NOW, limit)


def waiting(store: StateStore) -> list[str]:
    return [row.payload.decode() for row in store.events_after(0, 1000)]


def test_events_come_out_in_order_after_reopening(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 3)
    with closing(StateStore(tmp_path / "state")) as store:
        rows = store.events_after(0, 2)
        assert [row.payload for row in rows] == [b"payload 0", b"payload 1"]
        assert rows[0].moment == NOW
        assert [row.payload for row in store.events_after(rows[-1].row_id, 9)] == [b"payload 2"]


def test_numbers_of_deleted_rows_are_not_used_again(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 2)
        last = store.events_after(0, 9)[-1].row_id
        assert store.delete_events([row.row_id for row in store.events_after(0, 9)]) == 2
        fill(store, 1)
        assert store.events_after(0, 9)[0].row_id > last


def test_full_queue_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 13, limit=10)
        assert waiting(store)[0] == "payload 3"
        assert (store.queued(), store.counter(DROPPED_EVENTS)) == (10, 3)
    with closing(StateStore(tmp_path / "state")) as store:
        assert store.counter(DROPPED_EVENTS) == 3


def test_event_is_given_up_at_its_last_refusal_only(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 1)
        row_id = store.events_after(0, 1)[0].row_id
        assert [store.refuse_event(row_id, most=3) for _ in range(4)] == [False, False, True, False]
        assert (store.queued(), store.counter(REFUSED_EVENTS)) == (0, 1)


def test_settings_ledger_and_counters_are_kept(tmp_path: Path) -> None:
    entry = Announcement("print", {"siren-sound": "binary_sensor"}, deleted=True)
    with closing(StateStore(tmp_path / "state")) as store:
        store.save_settings({("street", "siren"): CommandedSettings(False, 30)})
        store.save_settings({("street", "siren"): CommandedSettings(False, 62.5)})
        store.save_settings({("yard", "siren"): CommandedSettings(sensitivity=5)})
        store.save_announcement("homeassistant/device/hall/node/config", entry)
        store.add_retained(["a", "b"])
        store.add_retained(["b", "c"])
        store.forget_retained(["a"])
        store.count("listened_s/street", 1.5)
        store.count("listened_s/street", 2.0)
    with closing(StateStore(tmp_path / "state")) as store:
        assert store.settings() == {
            ("street", "siren"): CommandedSettings(False, 62.5),
            ("yard", "siren"): CommandedSettings(None, 5),
        }
        assert store.announcements() == {"homeassistant/device/hall/node/config": entry}
        assert store.retained() == {"b", "c"}
        assert store.counter("listened_s/street") == 3.5
        assert store.counter("listened_s/yard") == 0
        store.forget_announcement("homeassistant/device/hall/node/config")
        assert store.announcements() == {}


@pytest.mark.parametrize(
    "content", [b"not a database at all, whatever it was before" * 50, b"SQLite format 3\0 and then"]
)
def test_damaged_file_is_moved_aside_and_a_new_one_begun(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_bytes(content)
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 1)
        assert store.queued() == 1
    (aside,) = tmp_path.glob("state.damaged-*")
    assert aside.read_bytes() == content
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert aside.name in caplog.text


def test_file_damaged_in_the_middle_is_moved_aside(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 500)
    with (tmp_path / "state").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * 16384)
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 1)
        assert store.queued() == 1
    assert len(list(tmp_path.glob("state.damaged-*"))) == 1


def test_damage_while_running_is_survived(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 3)
        damage(store)
        assert store.queued() == 0
    assert len(list(tmp_path.glob("state.damaged-*"))) == 1


def test_all_but_the_events_is_written_into_the_file_that_replaces_a_damaged_one(tmp_path: Path) -> None:
    entry = Announcement("print", {"siren-sound": "binary_sensor"}, deleted=True)
    with closing(StateStore(tmp_path / "state")) as store:
        store.save_settings({("street", "siren"): CommandedSettings(enabled=False)})
        store.save_announcement("homeassistant/device/hall/node/config", entry)
        store.add_retained(["a", "b"])
        store.save_departed("homeassistant/device/hall/source_yard/config", {"drill": "button"})
        store.save_last_event(event(1))
        store.count("listened_s/street", 1.5)
        fill(store, 3)
        damage(store)
        assert (store.waiting, store.queued()) == (0, 0)
        fill(store, 1)
        assert store.waiting == 1
        assert store.events_after(3, 9)[0].payload == b"payload 0", "numbers go on, so that a reader's place holds"
    with closing(StateStore(tmp_path / "state")) as store:
        assert store.settings() == {("street", "siren"): CommandedSettings(enabled=False)}
        assert store.announcements() == {"homeassistant/device/hall/node/config": entry}
        assert store.departed() == {"homeassistant/device/hall/source_yard/config": {"drill": "button"}}
        assert store.last_events() == {("street", "siren"): event(1)}
        assert store.retained() == {"a", "b"}
        assert store.counter("listened_s/street") == 1.5


def test_file_that_could_not_be_replaced_at_once_is_replaced_later(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "deep" / "state")) as store:
        store.save_settings({("street", "siren"): CommandedSettings(enabled=False)})
        (tmp_path / "deep").rename(tmp_path / "away")
        with pytest.raises(StoreError):
            damage(store)
        with pytest.raises(StoreError):
            fill(store, 1)
        (tmp_path / "deep").mkdir()
        fill(store, 1)
        assert store.waiting == 1
    with closing(StateStore(tmp_path / "deep" / "state")) as store:
        assert store.settings() == {("street", "siren"): CommandedSettings(enabled=False)}


def test_full_disk_is_a_store_error_and_changes_nothing(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 1)
        store._database._connection.execute("PRAGMA max_page_count=1")
        with pytest.raises(StoreError, match="full"):
            store.add_event("id", "onset", b"x" * 100_000, NOW, 10)
        assert store.queued() == 1


def test_second_process_on_the_same_file_is_told(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")), pytest.raises(OperatorError, match="in use"):
        StateStore(tmp_path / "state")


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OperatorError, match=r"node\.state_dir"):
        StateStore(tmp_path / "file" / "state")


def test_settings_of_an_older_file_are_taken_over(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")) as store:
        fill(store, 1)
    with closing(sqlite3.connect(tmp_path / "state")) as connection:
        connection.executescript(
            "DROP TABLE settings; CREATE TABLE settings (source TEXT NOT NULL, label TEXT NOT NULL, "
            "enabled INTEGER NOT NULL, sensitivity REAL NOT NULL, PRIMARY KEY (source, label)); "
            "INSERT INTO settings VALUES ('street', 'siren', 0, 30); PRAGMA user_version=1;"
        )
    with closing(StateStore(tmp_path / "state")) as store:
        store.save_settings({("yard", "siren"): CommandedSettings(enabled=False)})
        assert store.settings()["street", "siren"] == CommandedSettings(False, 30)
        assert store.waiting == 1


def test_newer_file_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state")) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(OperatorError, match="newer"):
        StateStore(tmp_path / "state")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


WRITER = """
import sys
from pathlib import Path
from earshot_node.mqtt.boot_clock import Moment
from earshot_node.mqtt.store import StateStore
store = StateStore(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    store.add_event(f"id-{number}", "onset", str(number).encode(), Moment("boot", 0.0), 10**6)
    print(number, flush=True)
    number += 1
"""


def test_every_committed_event_survives_sigkill(tmp_path: Path) -> None:
    committed: list[int] = []
    for _round in range(6):
        start = committed[-1] + 2 if committed else 0  # the one in between may have been committed unseen
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "state"), str(start)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        committed += [int(writer.stdout.readline()) for _ in range(5 + 7 * _round)]
        writer.kill()
        committed += [int(line) for line in writer.communicate()[0].split("\n")[:-1]]
    with closing(StateStore(tmp_path / "state")) as store:
        kept = [int(row.payload) for row in store.events_after(0, 10**6)]
    assert len(committed) > 100
    assert set(committed) <= set(kept)
    assert kept == sorted(set(kept))
    assert not list(tmp_path.glob("*damaged*"))


def test_age_is_counted_within_a_boot_and_infinite_beyond() -> None:
    clock = BootClock()
    moment = clock.now(age_s=3.0)
    assert 3.0 <= clock.age_s(moment) < 4.0
    assert BootClock("another boot").age_s(moment) == float("inf")
    assert clock.age_s(Moment(moment.boot, moment.at_s + 1000)) == 0.0


def test_two_processes_of_one_boot_agree_on_age() -> None:
    text = "from earshot_node.mqtt.boot_clock import BootClock; m = BootClock().now(); print(m.boot, m.at_s)"
    boot, at_s = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout.split()
    age_s = BootClock().age_s(Moment(boot, float(at_s)))
    assert 0 < age_s < 10
    wait_until(lambda: BootClock().age_s(Moment(boot, float(at_s))) > age_s)
