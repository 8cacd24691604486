"""Each content once, with its latest labelling; the same on both databases."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.catalogue.schema import transfers

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SIREN = Labelling(labels=("siren",), by="command_line", user="ada", time=NOW)
BACKGROUND = Labelling(by="http", time=NOW + timedelta(hours=1))


def library(engine: Engine) -> Library:
    members = Members(engine)
    for secret, name in (("a", "hall"), ("b", "attic")):
        members.add_invite(secret * 64, "", NOW, NOW + timedelta(hours=1))
        members.admit(secret * 64, Member(name, "t", "", "", "", ""), NOW)
    return Library(engine)


def recording(number: int, labelling: Labelling | None, *, node: str = "hall", revision: int = 1) -> RecordingInfo:
    return RecordingInfo(
        id=f"20261122T12000000{number}-1f0c9a3e",
        revision=revision,
        origin="take",
        node=node,
        source="mic",
        begin=NOW + timedelta(minutes=number),
        duration_s=3,
        rate_hz=16_000,
        level_dbfs=-30,
        peak_dbfs=-10,
        clipped_share=0,
        sha256=f"{number}" * 64,
        size_bytes=1000,
        labelling=labelling,
    )


def test_recordings_come_back_as_they_were_in_order_of_time(engine: Engine) -> None:
    here = library(engine)
    late, early = recording(2, None), recording(1, SIREN)
    assert [here.keep(one, "hall", 1000, NOW) for one in (late, early)] == ["stored", "stored"]
    assert here.all() == [early, late]
    assert here.counts() == {"": 1, "siren": 1}
    assert (here.has("1" * 64), here.has("3" * 64)) == (True, False)


def test_later_labelling_wins_in_whatever_order_they_come(engine: Engine) -> None:
    here = library(engine)
    here.keep(recording(1, SIREN), "hall", 1000, NOW)
    newer = recording(1, BACKGROUND, revision=2)
    assert here.keep(newer, "hall", 0, NOW) == "labelled"
    assert here.keep(recording(1, SIREN), "hall", 0, NOW) == "duplicate"
    assert here.keep(recording(1, None), "hall", 0, NOW) == "duplicate"
    assert here.all() == [newer]
    assert here.counts() == {"background": 1}


def test_labelling_of_another_nodes_copy_counts_and_the_first_node_stays_its_origin(engine: Engine) -> None:
    here = library(engine)
    here.keep(recording(1, None), "hall", 1000, NOW)
    assert here.keep(recording(1, SIREN, node="attic", revision=5), "attic", 0, NOW) == "labelled"
    assert here.all() == [recording(1, SIREN)]


def test_every_transfer_is_kept_with_its_bytes(engine: Engine) -> None:
    here = library(engine)
    here.keep(recording(1, SIREN), "hall", 1000, NOW)
    here.keep(recording(1, SIREN, node="attic"), "attic", 0, NOW)
    with engine.connect() as connection:
        rows = connection.execute(select(transfers).order_by(transfers.c.id)).all()
    assert [(row.node, row.outcome, row.bytes) for row in rows] == [("hall", "stored", 1000), ("attic", "duplicate", 0)]
