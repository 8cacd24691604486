"""Releases, offers, alarms and disagreements in either database; an older catalogue gets their tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, inspect

from earshot_node.contract.deployment import Disagreement, InstallResult, ShadowReport
from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.alarms import AlarmRate, Alarms
from earshot_trainer.catalogue.disagreements import Disagreements
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.releases import Offer, Release, Releases
from earshot_trainer.catalogue.schema import alarm_hours, canary_watches, disagreements, offers, releases, stamp

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def release(version: str, sha256: str) -> Release:
    return Release(sha256 * 32, version, "siren", 1000, ("siren", "glass"), "", "", "ada", "", "", False, stamp(NOW))


def offer(node: str, sha256: str, at_s: int, offer_id: str) -> Offer:
    offered = stamp(NOW + timedelta(seconds=at_s))
    return Offer(offer_id, node, sha256 * 32, "install", False, "ada", False, offered)


def result(offer_id: str, outcome: str, at_s: int, sha256: str = "ab", reason: str = "") -> InstallResult:
    values = {"id": offer_id, "version": "2026.12.1", "sha256": sha256 * 32, "outcome": outcome, "reason": reason}
    return InstallResult.model_validate({**values, "active": "1", "time": NOW + timedelta(seconds=at_s)})


def shadow_report(*events: str) -> ShadowReport:
    """The active model heard these, the candidate did not."""
    told = tuple(
        Disagreement(
            id=one,
            heard_by="active",
            source="mic",
            label="siren",
            onset=NOW,
            offset=NOW + timedelta(seconds=1),
            peak=0.5,
        )
        for one in events
    )
    return ShadowReport(
        active="2026.12.1",
        candidate="2026.12.2",
        sha256="ab" * 32,
        begun=NOW,
        heard_s=1,
        agreed=0,
        only_active=len(told),
        only_candidate=0,
        latest=told,
        real_time_factor=0,
    )


def test_releases_are_in_the_order_of_their_versions(engine: Engine) -> None:
    kept = Releases(engine)
    for version, sha256 in (("2026.12.10", "ab"), ("2026.12.9", "cd"), ("2027.1.0", "ef")):
        kept.add(release(version, sha256))
    kept.add(release("2027.1.0", "ef"))
    assert [one.version for one in kept.all()] == ["2026.12.9", "2026.12.10", "2027.1.0"]
    assert (kept.chosen("").version, kept.chosen("2026.12.9").labels) == ("2027.1.0", ("siren", "glass"))
    with pytest.raises(OperatorError, match="another bundle of version"):
        kept.add(release("2027.1.0", "00"))
    with pytest.raises(OperatorError, match="no release 2020"):
        kept.chosen("2020.1.0")


def test_what_a_node_tells_is_kept_in_the_order_of_its_times(engine: Engine) -> None:
    kept = Releases(engine)
    kept.add(release("2026.12.1", "ab"))
    kept.note_offers(
        [offer("hall", "ab", 0, "first"), offer("attic", "ab", 0, "first"), offer("hall", "ab", 9, "next")]
    )
    kept.note_result("hall", result("first", "refused", 20, reason="full"))
    kept.note_result("hall", result("first", "installed", 10))  # retained, and long overtaken
    kept.note_result("hall", result("unknown", "installed", 30))
    kept.note_result("attic", result("", "rolled_back", 30))  # it has not told of an installation here
    told = {(one.id, one.node): (one.outcome, one.reason) for one in kept.offers()}
    assert told == {("first", "hall"): ("refused", "full"), ("first", "attic"): ("", ""), ("next", "hall"): ("", "")}
    kept.note_result("hall", result("next", "installed", 40))
    kept.note_result("hall", result("", "rolled_back", 50, reason="it alarmed"))
    assert kept.latest_offers()["hall"].outcome == "rolled_back"
    kept.note_withdrawal("attic", ["first"], "rolled back by ada", NOW)
    assert kept.latest_offers()["attic"].state == "taken back"


def test_node_that_goes_back_and_forward_again_has_the_release_installed(engine: Engine) -> None:
    kept = Releases(engine)
    kept.add(release("2026.12.1", "ab"))
    kept.note_offers([offer("hall", "ab", 0, "first"), offer("attic", "ab", 0, "first")])
    for node in ("hall", "attic"):
        kept.note_result(node, result("first", "installed", 10))
        kept.note_result(node, result("", "rolled_back", 20, reason="on request"))
        kept.note_withdrawal(node, ["first"], "rolled back by ada", NOW)
    forward = result("", "rolled_back", 30, reason="on request").model_copy(update={"version": "1", "sha256": ""})
    kept.note_result("hall", forward)  # told before the switch
    assert kept.latest_offers()["hall"].outcome == "rolled_back"
    forward = forward.model_copy(update={"active": "2026.12.1"})
    for _ in range(2):
        kept.note_result("hall", forward)
        one = kept.latest_offers()["hall"]
        assert (one.outcome, one.reason, one.withdrawn) == ("installed", "", "")
    assert kept.latest_offers()["attic"].outcome == "rolled_back"
    kept.note_result("hall", result("", "rolled_back", 40, reason="on request"))
    kept.note_result("hall", forward)  # retained, and long overtaken
    assert kept.latest_offers()["hall"].outcome == "rolled_back"


def test_alarms_and_disagreements_are_kept(engine: Engine) -> None:
    for _ in range(2):
        Alarms(engine).add("hall", NOW, AlarmRate(2, 60.0))
    assert Alarms(engine).past("hall", NOW - timedelta(days=1)) == AlarmRate(4, 120.0)
    report = shadow_report("e")
    assert Disagreements(engine).note("hall", report, NOW) == 1
    (kept,) = Disagreements(engine).all()
    assert kept.opinions == "2026.12.1 heard siren (50%), 2026.12.2 did not"


def test_report_that_somebody_else_notes_at_the_same_moment_does_no_harm(engine: Engine) -> None:
    others: list[int] = []

    def be_quicker(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        """The first insert finds that what was not there when it looked is there by now."""
        if statement.startswith("INSERT INTO disagreements") and not others:
            others.append(0)
            others.append(Disagreements(engine).note("hall", shadow_report("e", "f"), NOW))

    event.listen(engine, "before_cursor_execute", be_quicker)
    assert Disagreements(engine).note("hall", shadow_report("e", "f", "g"), NOW) == 1
    assert others == [0, 2]
    assert {one.event for one in Disagreements(engine).all()} == {"e", "f", "g"}
    assert Disagreements(engine).note("hall", shadow_report("f", "g", "h"), NOW) == 1


def test_watch_that_ended_well_is_known_until_the_release_is_offered_anew(engine: Engine) -> None:
    kept = Releases(engine)
    for version, sha256 in (("2026.12.1", "ab"), ("2026.12.2", "cd")):
        kept.add(release(version, sha256))
    kept.note_offers([offer("hall", "ab", 0, "first")])
    assert not kept.was_watched("hall", "ab" * 32, 60.0)
    for watched_s in (60.0, 90.0):
        kept.note_watch("hall", "ab" * 32, watched_s, NOW)
        assert [kept.was_watched("hall", "ab" * 32, one) for one in (60.0, 90.0)] == [True, watched_s == 90.0]
    assert not kept.was_watched("attic", "ab" * 32, 60.0)
    assert not kept.was_watched("hall", "cd" * 32, 60.0)
    kept.note_offers([offer("attic", "ab", 9, "next"), offer("hall", "cd", 9, "next")])
    kept.note_offers([replace(offer("hall", "ab", 10, "beside"), mode="shadow")])
    assert kept.was_watched("hall", "ab" * 32, 60.0)
    kept.note_offers([offer("hall", "ab", 11, "again")])
    assert not kept.was_watched("hall", "ab" * 32, 60.0)


def test_last_offer_is_that_by_which_a_node_was_to_decide(engine: Engine) -> None:
    kept = Releases(engine)
    kept.add(release("2026.12.1", "ab"))
    assert kept.last_offer("hall", "ab" * 32) is None
    kept.note_offers([offer("hall", "ab", 0, "first"), offer("attic", "ab", 8, "other")])
    kept.note_offers([offer("hall", "ab", 7, "last"), replace(offer("hall", "ab", 9, "beside"), mode="shadow")])
    last = kept.last_offer("hall", "ab" * 32)
    assert last is not None
    assert last.id == "last"


def test_past_up_to_a_time_has_only_hours_that_were_over(engine: Engine) -> None:
    for hours in range(4):
        Alarms(engine).add("hall", NOW + timedelta(hours=hours), AlarmRate(10**hours, 60.0))
    until = NOW + timedelta(hours=2, minutes=30)
    assert Alarms(engine).past("hall", NOW, until) == AlarmRate(11, 120.0)
    assert Alarms(engine).past("hall", NOW, NOW + timedelta(hours=2)) == AlarmRate(11, 120.0)
    assert Alarms(engine).past("hall", NOW) == AlarmRate(1111, 240.0)


def test_catalogue_of_an_earlier_program_gets_the_new_tables_and_keeps_the_rest(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    engine = open_catalogue(url)
    new = (offers, canary_watches, releases, disagreements, alarm_hours)
    for table in new:
        table.drop(engine)
    engine.dispose()
    names = set(inspect(open_catalogue(url)).get_table_names())
    assert {table.name for table in new} <= names
